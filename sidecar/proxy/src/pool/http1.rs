//! Upstream HTTP/1.1 connections: idle ones in a stack, the last used on top, so that the others grow old and close.
//!
//! A busy connection is driven by the request that has it, not by a task of its own: what arrives wakes the one who waits for
//! it, and nobody in between. Only where a response comes before the request body is through does the connection get a task,
//! since then both directions have to go on whichever of them is read.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use tokio::net::TcpStream;
use weir_model::{Priority, Time, limits};
use weir_runtime::io::HyperIo;

use super::driving::{self, Socket};
use super::{EndpointPool, Failure, Life, Open};
use crate::body::Body;
use crate::pinned::WorkerCluster;
use crate::reject::Kind;
use crate::sound;

/// One connection.
pub(crate) struct Http1 {
    sender: http1::SendRequest<Body>,
    /// Moves bytes when polled. `None` once it is over.
    driver: Option<http1::Connection<HyperIo<Socket>, Body>>,
    over: bool,
    /// Whether it has carried a request.
    used: bool,
    life: Life,
    idle_since: Time,
    _counted: Open,
}

/// What becomes of a request: hyper gives it back where it was not written.
type Answer = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// A connection in use, and where it goes back to.
pub(crate) struct Lease {
    connection: Box<Http1>,
    pool: Rc<EndpointPool>,
}

impl EndpointPool {
    /// A connection for one request: an idle one, or a new one.
    pub(crate) async fn http1(
        self: &Rc<Self>,
        cluster: &WorkerCluster,
        priority: Priority,
    ) -> Result<Lease, Kind> {
        match self.idle_http1() {
            Some(lease) => Ok(lease),
            // Boxed, so that requests which find a connection need not carry the way to a new one.
            None => Box::pin(self.new_http1(cluster, priority)).await,
        }
    }

    async fn new_http1(self: &Rc<Self>, cluster: &WorkerCluster, priority: Priority) -> Result<Lease, Kind> {
        let _pending = self.pend(cluster, priority)?;
        loop {
            if let Some(counted) = self.permit(cluster, priority) {
                let stream =
                    self.connect(cluster.config.model.connect_timeout, super::keepalive(cluster)).await?;
                return Ok(Lease {
                    connection: Http1::new(stream, counted, Life::new(cluster)).await?,
                    pool: self.clone(),
                });
            }
            self.shared.room().await;
            if let Some(lease) = self.idle_http1() {
                return Ok(lease);
            }
        }
    }

    fn idle_http1(self: &Rc<Self>) -> Option<Lease> {
        loop {
            let connection = self.http1.borrow_mut().pop()?;
            if connection.life.goes_on() {
                return Some(Lease { connection, pool: self.clone() });
            }
        }
    }
}

impl Http1 {
    async fn new(stream: TcpStream, counted: Open, life: Life) -> Result<Box<Http1>, Kind> {
        let handshake =
            http1::Builder::new().max_buf_size(limits::HEAD_BYTES).handshake(HyperIo::new(Socket(stream)));
        // It only builds the connection; nothing is sent.
        let (sender, driver) = handshake.await.map_err(|_| Kind::ConnectionLost { reused: false })?;
        let driver = Some(driver);
        Ok(Box::new(Http1 {
            sender,
            driver,
            over: false,
            used: false,
            life,
            idle_since: Time(0),
            _counted: counted,
        }))
    }

    pub(super) fn idle_since(&self) -> Time {
        self.idle_since
    }

    /// Moves what can be moved; whether the connection is over.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if let (false, Some(driver)) = (self.over, &mut self.driver) {
            self.over = driving::connection(cx, |cx| Pin::new(driver).poll(cx)).is_ready();
        }
        self.over
    }
}

impl Lease {
    /// Hands a request to the connection; [`Lease::receive`] sends it.
    pub(crate) fn send(&mut self, request: Request<Body>) -> impl Future<Output = Answer> + use<> {
        self.connection.sender.try_send_request(request)
    }

    /// Sends what [`Lease::send`] was given and waits for the head of the response. Not in one with it, so that the request is
    /// stored in one place only.
    pub(crate) async fn receive(
        &mut self,
        mut answer: Pin<&mut impl Future<Output = Answer>>,
    ) -> Result<Response<Incoming>, Failure> {
        let connection = &mut *self.connection;
        let reused = std::mem::replace(&mut connection.used, true);
        connection.life.spend();
        let answer = poll_fn(|cx| {
            let over = connection.drive(cx);
            match driving::handle(cx, |cx| answer.as_mut().poll(cx)) {
                Poll::Pending if over => {
                    // Nobody will take the request any more; without the driver it comes back.
                    connection.driver = None;
                    driving::handle(cx, |cx| answer.as_mut().poll(cx))
                }
                polled => polled,
            }
        });
        let response = answer.await.map_err(|mut error| match error.take_message() {
            Some(request) => Failure::Unsent { request: Box::new(request), fresh: !reused },
            None => Failure::Failed(failed(&error.into_error(), reused)),
        })?;
        // What is refused here takes its connection along: nobody knows where its next response begins.
        sound::response(&response).map_err(Failure::Failed)?;
        Ok(response)
    }

    /// The next frame of the response body.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let ready = driving::handle(cx, |cx| Pin::new(&mut *body).poll_frame(cx));
        if ready.is_ready() {
            return ready;
        }
        if self.connection.drive(cx) {
            // What the driver still holds of the body ends with it, as broken off.
            self.connection.driver = None;
        }
        driving::handle(cx, |cx| Pin::new(body).poll_frame(cx))
    }

    /// The response is through: the connection is idle, if it may go on.
    pub(crate) fn release(mut self, now: Time) {
        let connection = &mut *self.connection;
        if !connection.sender.is_ready() {
            // The driver has not been back since the last byte was taken.
            connection.drive(&mut Context::from_waker(Waker::noop()));
        }
        let closing = self.pool.retired.get() || !connection.life.goes_on();
        if connection.over || !connection.sender.is_ready() || closing {
            return;
        }
        let mut idle = self.pool.http1.borrow_mut();
        if idle.len() < limits::IDLE_CONNECTIONS {
            self.connection.idle_since = now;
            idle.push(self.connection);
            drop(idle);
            self.pool.shared.tell_freed();
        }
    }

    /// The request body is not through yet: the connection goes on by itself, in a task that it and its handles may wake, until
    /// it is idle or over.
    pub(crate) fn detach(mut self) {
        tokio::task::spawn_local(async move {
            let connection = &mut *self.connection;
            poll_fn(|cx| {
                if let (false, Some(driver)) = (connection.over, &mut connection.driver) {
                    connection.over = Pin::new(driver).poll(cx).is_ready();
                }
                let done = connection.over || connection.sender.is_ready();
                if done { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            self.release(crate::timer::now());
        });
    }

    /// After a response with status 101: the stream, and what was read of it beyond the response.
    pub(crate) async fn upgrade(mut self) -> Option<(TcpStream, Bytes, Open)> {
        poll_fn(|cx| if self.connection.drive(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        let connection = *self.connection;
        let parts = connection.driver?.into_parts();
        Some((parts.io.into_inner().0, parts.read_buf, connection._counted))
    }
}

/// Closes idle connections that are too old, and those the peer has closed.
pub(super) fn sweep(pool: &EndpointPool, now: Time, age: Duration) {
    let mut idle = pool.http1.take();
    idle.retain_mut(|connection| {
        let young = now.since(connection.idle_since) < age;
        young && connection.life.goes_on() && !connection.drive(&mut Context::from_waker(Waker::noop()))
    });
    pool.http1.replace(idle);
}

fn failed(error: &hyper::Error, reused: bool) -> Kind {
    if error.is_parse() { Kind::Protocol } else { Kind::ConnectionLost { reused } }
}
