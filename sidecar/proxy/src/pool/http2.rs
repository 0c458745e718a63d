//! Upstream HTTP/2 connections: few, each with as many streams as its peer allows.
//!
//! The codec is driven by a task per connection. Streams go on the first connection that has room, so that the others grow
//! idle and close; when none has, one more is made, for everybody who waits. The `h2` crate is used directly rather than
//! through hyper's client, because a proxy needs what that one hides: how many streams the peer allows, and whether it says
//! that a stream was never begun.

mod stream;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use http_body::Body as _;
use tokio::sync::Notify;
use weir_model::{Priority, Time, limits};
use weir_runtime::net::Keepalive;

use super::{EndpointPool, Failure, Life, Open};
use crate::body::Body;
use crate::pinned::WorkerCluster;
use crate::reject::Kind;
pub(crate) use stream::Receive;
use stream::{Broken, Pump};

/// What is assumed of a peer until its settings arrive (RFC 9113 section 6.5.2 recommends it as the least).
const STREAMS_BEFORE_SETTINGS: usize = 100;

/// How many connections may be made, and turn out closed or taken by others, before a request gives up.
const NEW_CONNECTIONS: u32 = 8;

/// One endpoint's connections on one worker.
#[derive(Default)]
pub(crate) struct Connections {
    open: Vec<Rc<Http2>>,
    /// The one that is being made.
    connecting: Option<Rc<Connecting>>,
}

/// One connection.
struct Http2 {
    sender: RefCell<SendRequest<Bytes>>,
    streams: Cell<usize>,
    /// Whether it has carried a request.
    used: Cell<bool>,
    life: Cell<Life>,
    /// Whether it has carried one since it was last swept, which was then.
    busy: Cell<bool>,
    idle_since: Cell<Time>,
}

/// A connection that is being made, and what becomes of it.
#[derive(Default)]
struct Connecting {
    result: OnceCell<Result<(), Kind>>,
    done: Notify,
}

/// A stream's place on a connection.
pub(crate) struct Lease {
    connection: Rc<Http2>,
}

impl EndpointPool {
    /// A place for one request.
    pub(crate) async fn http2(
        self: &Rc<Self>,
        cluster: &WorkerCluster,
        priority: Priority,
    ) -> Result<Lease, Kind> {
        match self.free_stream() {
            Some(lease) => Ok(lease),
            // Boxed, so that requests which find a connection need not carry the way to a new one.
            None => Box::pin(self.new_http2(cluster, priority)).await,
        }
    }

    async fn new_http2(self: &Rc<Self>, cluster: &WorkerCluster, priority: Priority) -> Result<Lease, Kind> {
        let _pending = self.pend(cluster, priority)?;
        let mut made = 0;
        while made < NEW_CONNECTIONS {
            let connecting = self.http2.borrow().connecting.clone();
            match connecting {
                Some(connecting) => {
                    connecting.finished().await?;
                    made += 1;
                }
                None => match self.permit(cluster, priority) {
                    Some(counted) => {
                        let how = (cluster.config.model.connect_timeout, super::keepalive(cluster));
                        self.begin(counted, Life::new(cluster), how);
                    }
                    None => self.shared.room().await,
                },
            }
            if let Some(lease) = self.free_stream() {
                return Ok(lease);
            }
        }
        Err(Kind::ConnectFailed(std::io::ErrorKind::ConnectionReset))
    }

    fn free_stream(&self) -> Option<Lease> {
        let mut connections = self.http2.borrow_mut();
        let mut at = 0;
        loop {
            let connection = connections.open.get(at)?;
            if !connection.life.get().goes_on() {
                // Streams under way go on; it closes after the last of them.
                drop(connections.open.remove(at));
                continue;
            }
            match connection.poll_ready() {
                Poll::Ready(Ok(())) if connection.has_room() => return Some(Lease::new(connection.clone())),
                Poll::Ready(Ok(())) | Poll::Pending => at += 1,
                // It broke, or the peer sent GOAWAY: streams under way go on, new ones go elsewhere.
                Poll::Ready(Err(_)) => drop(connections.open.remove(at)),
            }
        }
    }

    /// Makes a connection in a task of its own: those who wait for it may go away.
    fn begin(self: &Rc<Self>, counted: Open, life: Life, how: (Duration, Option<Keepalive>)) {
        let connecting = Rc::new(Connecting::default());
        self.http2.borrow_mut().connecting = Some(connecting.clone());
        let pool = self.clone();
        tokio::task::spawn_local(async move {
            let opened = pool.open(counted, life, how).await;
            pool.http2.borrow_mut().connecting = None;
            // Nobody else sets it.
            let _ = connecting.result.set(opened);
            connecting.done.notify_waiters();
        });
    }

    async fn open(
        self: &Rc<Self>,
        counted: Open,
        life: Life,
        (timeout, keepalive): (Duration, Option<Keepalive>),
    ) -> Result<(), Kind> {
        let stream = self.connect(timeout, keepalive).await?;
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(limits::HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW)
            .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
            .max_send_buffer_size(limits::HTTP2_SEND_BUFFER)
            .max_header_list_size(u32::try_from(limits::HEAD_BYTES).unwrap_or(u32::MAX));
        // It sends the preface; the peer's settings come when they come.
        let handshake = tokio::time::timeout(timeout, builder.handshake::<_, Bytes>(stream));
        let (sender, driver) = match handshake.await {
            Ok(Ok(connection)) => connection,
            Ok(Err(_)) => return Err(Kind::ConnectionLost { reused: false }),
            Err(_) => return Err(Kind::ConnectTimeout),
        };
        let connection = Rc::new(Http2 {
            sender: RefCell::new(sender),
            streams: Cell::new(0),
            used: Cell::new(false),
            life: Cell::new(life),
            busy: Cell::new(true),
            idle_since: Cell::new(Time(0)),
        });
        let pool = Rc::downgrade(self);
        let handle = Rc::downgrade(&connection);
        tokio::task::spawn_local(async move {
            // How it ended is told to each of its streams.
            let _ = driver.await;
            drop(counted);
            forget(&pool, &handle);
        });
        if !self.retired.get() {
            self.http2.borrow_mut().open.push(connection);
        }
        Ok(())
    }
}

fn forget(pool: &Weak<EndpointPool>, connection: &Weak<Http2>) {
    if let Some(pool) = pool.upgrade() {
        pool.http2.borrow_mut().open.retain(|open| !Weak::ptr_eq(&Rc::downgrade(open), connection));
    }
}

impl Connecting {
    async fn finished(&self) -> Result<(), Kind> {
        loop {
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            // Nothing else runs on this thread between the check and the registration.
            self.done.notified().await;
        }
    }
}

impl Http2 {
    /// Whether it takes new streams. Whoever finds it full asks again, so nobody is told.
    fn poll_ready(&self) -> Poll<Result<(), h2::Error>> {
        self.sender.borrow_mut().poll_ready(&mut Context::from_waker(Waker::noop()))
    }

    fn has_room(&self) -> bool {
        let allowed = self.sender.borrow().current_max_send_streams().min(self.life.get().streams);
        self.streams.get() < allowed
    }
}

impl Lease {
    fn new(connection: Rc<Http2>) -> Lease {
        connection.streams.set(connection.streams.get() + 1);
        connection.busy.set(true);
        Lease { connection }
    }

    /// Sends a request and waits for the head of the response.
    pub(crate) fn send(
        self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Receive>, Failure>> {
        let reused = self.connection.used.replace(true);
        let mut life = self.connection.life.get();
        life.spend();
        self.connection.life.set(life);
        let (parts, body) = request.into_parts();
        let end = body.is_end_stream();
        let sent = self.connection.sender.borrow_mut().send_request(Request::from_parts(parts, ()), end);
        let sent = sent.map(|(response, stream)| (response, (!end).then(|| Pump::new(stream, body))));
        self.receive(sent.map_err(|error| Failure::Failed(failed(&error, reused))), reused)
    }

    async fn receive(
        self,
        sent: Result<(ResponseFuture, Option<Pump>), Failure>,
        reused: bool,
    ) -> Result<Response<Receive>, Failure> {
        let (mut response, mut pump) = sent?;
        let (head, stream) =
            poll_fn(|cx| poll_head(&mut response, &mut pump, reused, cx)).await?.into_parts();
        let receive = Receive::new(stream, &head.headers, pump, self);
        Ok(Response::from_parts(head, receive))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get() - 1);
    }
}

/// Sends what can be sent of the body until the response comes.
fn poll_head(
    response: &mut ResponseFuture,
    pump: &mut Option<Pump>,
    reused: bool,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<RecvStream>, Failure>> {
    if let Some(pumping) = pump {
        match pumping.poll(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => *pump = None,
            Poll::Ready(Err(Broken::Downstream)) => {
                return Poll::Ready(Err(Failure::Failed(Kind::DownstreamLost)));
            }
            // The response tells more.
            Poll::Ready(Err(Broken::Upstream)) => *pump = None,
        }
    }
    Pin::new(response).poll(cx).map_err(|error| Failure::Failed(failed(&error, reused)))
}

/// Gives up connections that have been idle for too long; a connection without handles and streams says goodbye and closes.
pub(super) fn sweep(pool: &EndpointPool, now: Time, age: Duration) {
    let mut closing = Vec::new();
    let mut connections = pool.http2.borrow_mut();
    connections.open.retain(|connection| {
        if connection.busy.replace(false) || connection.streams.get() > 0 {
            connection.idle_since.set(now);
        }
        let young = now.since(connection.idle_since.get()) < age;
        if !young {
            closing.push(connection.clone());
        }
        young
    });
}

fn failed(error: &h2::Error, reused: bool) -> Kind {
    match error.reason() {
        Some(Reason::REFUSED_STREAM) if error.is_remote() => Kind::Refused,
        // Only streams that the peer says it has not begun end this way.
        Some(_) if error.is_go_away() && error.is_remote() => Kind::Refused,
        Some(reason) if error.is_remote() => Kind::StreamReset(reason),
        Some(_) => Kind::Protocol,
        None if error.is_io() => Kind::ConnectionLost { reused },
        None => Kind::Malformed("it cannot be expressed in HTTP/2"),
    }
}
