//! One open downstream connection as its worker sees it: what it is doing, and how it is told to end.
//!
//! No timer and no channel per connection: the worker looks over its connections a few times a second and when draining
//! begins, sets a flag on those that have to end, and wakes their tasks.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use weir_config::ListenerKind;
use weir_decide::framing::{Ambiguity, Framing, Place};
use weir_model::{HttpLimits, Time, limits};
use weir_runtime::io::{Lingering, Rewind};

use crate::pinned::Pinned;
use crate::pool::driving::write_gathered;
use crate::route::Scope;
use crate::tcp::Upgrade;
use crate::worker::Worker;

/// An open connection.
pub(crate) struct Downstream {
    pub(crate) worker: Rc<Worker>,
    /// Which of the worker's entrances it came through.
    pub(crate) entrance: usize,
    pub(crate) peer: SocketAddr,
    /// Where the peer connected to; unknown until it is served.
    pub(crate) local: Cell<Option<SocketAddr>>,
    /// Which of its listener's filter chains it took, if there are several ([`weir_config::Chains`]).
    pub(crate) chain: Cell<Option<u64>>,
    /// What the last request was served from: the next one usually goes to the same authority.
    pub(crate) remembered: RefCell<Option<Rc<Scope>>>,
    /// Set when a response switches protocols: what the connection becomes.
    pub(crate) upgrade: RefCell<Option<Upgrade>>,
    requests: Cell<u32>,
    /// How many requests it may serve.
    most: Cell<Option<u32>>,
    /// Whether part of a request head has come.
    in_head: Cell<bool>,
    /// When it last became idle, or when the head began.
    since: Cell<Time>,
    /// When it was accepted.
    opened: Time,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    /// Requests that have begun on an HTTP/1 connection, and the first that is ambiguous.
    served: Cell<u64>,
    ambiguity: Cell<Option<Ambiguity>>,
    /// Since when more of a request body is waited for.
    starving: Cell<Option<Time>>,
    /// Whether the peer took too long over a head or a body.
    slow: Cell<bool>,
    /// Whether it must not end in order.
    aborted: Cell<bool>,
}

/// What the connection has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// Ask the peer to go elsewhere, and go on.
    Tell,
    /// End after what is under way.
    Finish,
    /// End.
    Close,
}

impl Downstream {
    pub(crate) fn new(worker: Rc<Worker>, entrance: usize, peer: SocketAddr) -> Downstream {
        let order = if worker.drain.is_draining() { Order::Finish } else { Order::Serve };
        Downstream {
            since: Cell::new(worker.recently()),
            opened: worker.recently(),
            worker,
            entrance,
            peer,
            local: Cell::new(None),
            chain: Cell::new(None),
            remembered: RefCell::default(),
            upgrade: RefCell::default(),
            requests: Cell::new(0),
            most: Cell::new(None),
            in_head: Cell::new(false),
            order: Cell::new(order),
            waker: RefCell::default(),
            served: Cell::new(0),
            ambiguity: Cell::new(None),
            starving: Cell::new(None),
            slow: Cell::new(false),
            aborted: Cell::new(false),
        }
    }

    /// What is ambiguous in the request that has just begun, or was in one before it.
    pub(crate) fn ambiguous(&self) -> Option<&'static str> {
        self.ambiguity
            .get()
            .filter(|ambiguity| ambiguity.head < self.served.get())
            .map(|ambiguity| ambiguity.what)
    }

    /// Whether the peer took too long over what it sends.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.get()
    }

    /// It is to end with a reset.
    pub(crate) fn abort(&self) {
        self.aborted.set(true);
    }

    /// Whether it is.
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.get()
    }

    /// A request begins.
    pub(crate) fn begin(&self) {
        self.requests.set(self.requests.get() + 1);
        self.served.set(self.served.get() + 1);
        self.in_head.set(false);
        if self.most.get().is_some_and(|most| self.served.get() >= u64::from(most)) {
            self.order(Order::Finish);
        }
    }

    /// Puts its listener's limits in force, which hold for as long as it is open.
    pub(crate) fn limit(&self, limits: &HttpLimits) {
        self.most.set(limits.requests);
    }

    /// Whether no request is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.get() == 0
    }

    /// A request is over.
    pub(crate) fn end(&self, now: Time) {
        self.requests.set(self.requests.get() - 1);
        self.since.set(now);
        if self.worker.drain.is_leaving() {
            // A connection that came late is served once before it is told.
            self.order(Order::Tell);
        }
    }

    /// Gives an order, unless a stricter one was given.
    pub(crate) fn order(&self, order: Order) {
        if order > self.order.get() {
            self.order.set(order);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Waits until the connection has to end after what is under way.
    pub(crate) async fn finishing(&self) {
        poll_fn(|cx| if self.ordered(cx) < Order::Finish { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    /// The order in force. `cx` is the connection's task: it is woken by the next one.
    pub(crate) fn ordered(&self, cx: &Context<'_>) -> Order {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.order.get()
    }

    /// Ends the connection if it has taken too long over a head, or was idle for too long, and a body that has stopped coming.
    pub(crate) fn sweep(&self, now: Time) {
        let limits = self.limits();
        if limits.connection.is_some_and(|limit| now.since(self.opened) >= limit) {
            self.order(Order::Finish);
        }
        if self.requests.get() > 0 {
            if self.starving.get().is_some_and(|since| now.since(since) >= limits::BODY_TIMEOUT) {
                // The next read fails.
                self.slow.set(true);
                self.wake();
            }
            return;
        }
        let waited = now.since(self.since.get());
        if self.in_head.get() {
            if waited >= limits.head.unwrap_or(limits::HEAD_TIMEOUT) {
                self.slow.set(true);
                self.order(Order::Close);
            }
        } else if waited >= limits.idle.unwrap_or(limits::DOWNSTREAM_IDLE) {
            self.order(Order::Finish);
        }
    }

    /// What is spoken on it, as its listener says now.
    pub(crate) fn kind<'a>(&self, pinned: &'a Pinned) -> Option<&'a ListenerKind> {
        pinned.listener(self.entrance)?.kind.of_chain(self.chain.get())
    }

    /// What its listener says now.
    pub(crate) fn limits(&self) -> HttpLimits {
        match self.kind(&self.worker.pinned()) {
            Some(ListenerKind::Http { limits, .. }) => *limits,
            Some(ListenerKind::Tcp(_) | ListenerKind::Chains(_)) | None => HttpLimits::default(),
        }
    }

    /// What its listener makes of HTTP besides.
    pub(crate) fn manner(&self) -> Option<std::sync::Arc<weir_model::Manner>> {
        match self.kind(&self.worker.pinned()) {
            Some(ListenerKind::Http { manner, .. }) => manner.clone(),
            _ => None,
        }
    }

    /// Bytes came.
    fn received(&self) {
        self.starving.set(None);
        if self.requests.get() == 0 && !self.in_head.replace(true) {
            self.since.set(self.worker.recently());
        }
    }

    /// More of a body is waited for.
    fn starve(&self) {
        if self.starving.get().is_none() {
            self.starving.set(Some(self.worker.recently()));
        }
    }
}

/// The stream of an HTTP/1 connection, which notes when a head begins and follows where messages end.
pub(crate) struct Watched {
    stream: Lingering<Rewind<TcpStream>>,
    downstream: Rc<Downstream>,
    framing: Framing,
    /// Whether a body was found to have no certain end.
    broken: bool,
    /// Whether the last write could not be finished.
    stuck: bool,
}

/// A stream that closes without losing what was sent last.
pub(crate) fn lingering(stream: Rewind<TcpStream>) -> Lingering<Rewind<TcpStream>> {
    Lingering::new(stream, limits::LINGER, limits::LINGER_BYTES)
}

impl Watched {
    pub(crate) fn new(stream: Rewind<TcpStream>, downstream: Rc<Downstream>) -> Watched {
        Watched {
            stream: lingering(stream),
            downstream,
            framing: Framing::new(),
            broken: false,
            stuck: false,
        }
    }

    pub(crate) fn into_inner(self) -> Rewind<TcpStream> {
        self.stream.into_inner()
    }

    /// Whether part of what was to be written is still to be.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        if this.broken {
            return Poll::Ready(Err(std::io::ErrorKind::InvalidData.into()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let read = &buf.filled()[before..];
        if read.is_empty() {
            if polled.is_pending() && this.framing.place() == Place::Body {
                if this.downstream.slow.get() {
                    return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
                }
                this.downstream.starve();
            }
        } else {
            this.downstream.received();
            if let Some(ambiguity) = this.framing.advance(read) {
                this.downstream.ambiguity.set(Some(ambiguity));
                if ambiguity.in_body {
                    // The codec might see an end where there is none: it gets what is sound, and an error after it.
                    this.broken = true;
                    buf.set_filled(before + ambiguity.before);
                    if ambiguity.before == 0 {
                        return Poll::Ready(Err(std::io::ErrorKind::InvalidData.into()));
                    }
                }
            }
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.stuck = polled.is_pending();
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let polled = write_gathered(Pin::new(&mut self.stream), cx, bufs);
        self.stuck = polled.is_pending();
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
