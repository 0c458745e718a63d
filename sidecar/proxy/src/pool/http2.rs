//! Upstream HTTP/2 connections: few, each with as many streams as its peer allows.
//!
//! The codec is driven by a task per connection. Streams go on the first connection that has room, so that the others grow
//! idle and close; when none has, one more is made, for everybody who waits. The `h2` crate is used directly rather than
//! through hyper's client, because a proxy needs what that one hides: how many streams the peer allows, and whether it says
//! that a stream was never begun.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use tokio::sync::Notify;
use weir_model::{Time, limits};

use super::{Counted, EndpointPool, Failure};
use crate::body::Body;
use crate::pinned::WorkerCluster;
use crate::reject::Kind;

/// What is assumed of a peer until its settings arrive (RFC 9113 section 6.5.2 recommends it as the least).
const STREAMS_BEFORE_SETTINGS: usize = 100;

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

/// A request body on its way: the chunk in hand waits for the peer's window.
struct Pump {
    stream: SendStream<Bytes>,
    body: Body,
    chunk: Option<(Bytes, bool)>,
}

/// A response body on its way.
pub(crate) struct Receive {
    stream: RecvStream,
    /// Bytes still to come, if the response says.
    left: Option<u64>,
    data_done: bool,
    /// The rest of the request body, which is dropped with the response.
    _pump: Option<AbortOnDrop>,
    _lease: Lease,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl EndpointPool {
    /// A place for one request.
    pub(crate) async fn http2(self: &Rc<Self>, cluster: &WorkerCluster) -> Result<Lease, Kind> {
        match self.free_stream() {
            Some(lease) => Ok(lease),
            // Boxed, so that requests which find a connection need not carry the way to a new one.
            None => Box::pin(self.new_http2(cluster)).await,
        }
    }

    async fn new_http2(self: &Rc<Self>, cluster: &WorkerCluster) -> Result<Lease, Kind> {
        let _pending = self.pend(cluster)?;
        loop {
            let connecting = self.http2.borrow().connecting.clone();
            match connecting {
                Some(connecting) => connecting.finished().await?,
                None => match self.permit(cluster) {
                    Some(counted) => self.begin(counted, cluster.config.model.connect_timeout),
                    None => self.shared.room().await,
                },
            }
            if let Some(lease) = self.free_stream() {
                return Ok(lease);
            }
        }
    }

    fn free_stream(&self) -> Option<Lease> {
        let mut connections = self.http2.borrow_mut();
        let mut at = 0;
        loop {
            let connection = connections.open.get(at)?;
            match connection.poll_ready() {
                Poll::Ready(Ok(())) if connection.has_room() => return Some(Lease::new(connection.clone())),
                Poll::Ready(Ok(())) | Poll::Pending => at += 1,
                // It broke, or the peer sent GOAWAY: streams under way go on, new ones go elsewhere.
                Poll::Ready(Err(_)) => drop(connections.open.remove(at)),
            }
        }
    }

    /// Makes a connection in a task of its own: those who wait for it may go away.
    fn begin(self: &Rc<Self>, counted: Counted, timeout: Duration) {
        let connecting = Rc::new(Connecting::default());
        self.http2.borrow_mut().connecting = Some(connecting.clone());
        let pool = self.clone();
        tokio::task::spawn_local(async move {
            let opened = pool.open(counted, timeout).await;
            pool.http2.borrow_mut().connecting = None;
            // Nobody else sets it.
            let _ = connecting.result.set(opened);
            connecting.done.notify_waiters();
        });
    }

    async fn open(self: &Rc<Self>, counted: Counted, timeout: Duration) -> Result<(), Kind> {
        let stream = self.connect(timeout).await?;
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
        self.streams.get() < self.sender.borrow().current_max_send_streams()
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
        let (parts, body) = request.into_parts();
        let end = body.is_end_stream();
        let sent = self.connection.sender.borrow_mut().send_request(Request::from_parts(parts, ()), end);
        let sent =
            sent.map(|(response, stream)| (response, (!end).then(|| Pump { stream, body, chunk: None })));
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
        let left = if stream.is_end_stream() { Some(0) } else { content_length(&head.headers) };
        let pump = pump.map(|pump| AbortOnDrop(tokio::task::spawn_local(pump.finish())));
        let receive = Receive { stream, left, data_done: false, _pump: pump, _lease: self };
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

/// Which side a body broke off on.
enum Broken {
    Downstream,
    Upstream,
}

impl Pump {
    /// Ready when the body is through.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            if let Some((chunk, end)) = self.chunk.take() {
                while self.stream.capacity() == 0 {
                    match self.stream.poll_capacity(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Broken::Upstream)),
                        Poll::Pending => {
                            self.chunk = Some((chunk, end));
                            return Poll::Pending;
                        }
                    }
                }
                self.send(chunk, end)?;
                if end {
                    return Poll::Ready(Ok(()));
                }
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                return Poll::Ready(self.send(Bytes::new(), true));
            };
            let Ok(frame) = frame else {
                self.stream.send_reset(Reason::CANCEL);
                return Poll::Ready(Err(Broken::Downstream));
            };
            match frame.into_data() {
                Ok(chunk) => {
                    let end = self.body.is_end_stream();
                    if chunk.is_empty() {
                        if end {
                            return Poll::Ready(self.send(chunk, true));
                        }
                    } else {
                        // The least claim on the connection's window; sending raises it to the whole chunk.
                        self.stream.reserve_capacity(1);
                        self.chunk = Some((chunk, end));
                    }
                }
                Err(frame) => {
                    let Ok(trailers) = frame.into_trailers() else { continue };
                    return Poll::Ready(self.stream.send_trailers(trailers).map_err(|_| Broken::Upstream));
                }
            }
        }
    }

    /// Sends the rest while the response is on its way, until the peer wants no more of it.
    async fn finish(mut self) {
        poll_fn(|cx| match self.stream.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => self.poll(cx).map(|_| ()),
        })
        .await;
    }

    fn send(&mut self, chunk: Bytes, end: bool) -> Result<(), Broken> {
        self.stream.send_data(chunk, end).map_err(|_| Broken::Upstream)
    }
}

impl Receive {
    /// The next frame of the response body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_done {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // It is passed on at once, so the peer may send as much again. Fails only when the stream is over.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(complete_or(error)),
                None => self.data_done = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(complete_or(error)),
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// Bytes still to come, if the response says.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }
}

/// A reset with NO_ERROR after a complete response only stops the request body (RFC 9113 section 8.1).
fn complete_or<T>(error: h2::Error) -> Option<Result<T, h2::Error>> {
    (error.reason() != Some(Reason::NO_ERROR)).then_some(Err(error))
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
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

fn content_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
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
