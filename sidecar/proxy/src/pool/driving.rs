//! Who is woken when a request drives an HTTP/1 connection itself.
//!
//! Hyper's connection and its handles (the request queue, the response, the body) tell each other of progress through wakers.
//! Here they all belong to one task, which polls one after the other, so that being woken by one of them would only run the
//! task again for nothing; worse, an idle connection remembers the task that used it last, and would wake that one. So the
//! parts of a connection get wakers that only take a note, and **what comes from outside wakes the task**: the socket
//! ([`Socket`]), and a request body ([`outside`]).
//!
//! The note is read after each poll: hyper yields, and tokio's cooperative budget runs out, by waking oneself.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

thread_local! {
    static DRIVING: Driving = Driving::new();
}

/// One worker's wakers.
struct Driving {
    /// The task that drives now, or drove last.
    task: RefCell<Waker>,
    active: Cell<bool>,
    connection: (Arc<Note>, Waker),
    handle: (Arc<Note>, Waker),
}

/// A waker that takes a note.
#[derive(Default)]
struct Note(AtomicBool);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

impl Driving {
    fn new() -> Driving {
        let note = || {
            let note = Arc::new(Note::default());
            (note.clone(), Waker::from(note))
        };
        Driving {
            task: RefCell::new(Waker::noop().clone()),
            active: Cell::new(false),
            connection: note(),
            handle: note(),
        }
    }
}

/// Polls a connection for the task of `cx`.
pub(super) fn connection<T>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    DRIVING.with(|driving| {
        // Nothing happens if it is the same task as before.
        driving.task.borrow_mut().clone_from(cx.waker());
        driving.active.set(true);
        let polled = noted(&driving.connection, cx, poll);
        driving.active.set(false);
        polled
    })
}

/// Polls a connection's handle for the task of `cx`, which has just driven the connection.
pub(super) fn handle<T>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    DRIVING.with(|driving| noted(&driving.handle, cx, poll))
}

/// Polls what wakes from outside: within a connection that is driven, for the task that drives it.
pub(crate) fn outside<T>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
    DRIVING.with(|driving| {
        if driving.active.get() { poll(&mut Context::from_waker(&driving.task.borrow())) } else { poll(cx) }
    })
}

fn noted<T>(
    (note, waker): &(Arc<Note>, Waker),
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    note.0.store(false, Relaxed);
    let polled = poll(&mut Context::from_waker(waker));
    if polled.is_pending() && note.0.load(Relaxed) {
        cx.waker().wake_by_ref();
    }
    polled
}

/// The socket of a driven connection.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) TcpStream);

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        outside(cx, |cx| Pin::new(&mut self.0).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        outside(cx, |cx| Pin::new(&mut self.0).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        outside(cx, |cx| write_gathered(Pin::new(&mut self.0), cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        outside(cx, |cx| Pin::new(&mut self.0).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        outside(cx, |cx| Pin::new(&mut self.0).poll_shutdown(cx))
    }
}

/// Writes beyond this are left to the kernel to gather.
const GATHERED: usize = 1024;

/// Writes several buffers, as one where they are small: gathering them here costs less than a vectored system call.
pub(crate) fn write_gathered<S: AsyncWrite>(
    stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [only] = bufs {
        return stream.poll_write(cx, only);
    }
    let mut gathered = [0; GATHERED];
    let mut length = 0;
    for buf in bufs {
        let Some(room) = gathered.get_mut(length..length + buf.len()) else {
            return stream.poll_write_vectored(cx, bufs);
        };
        room.copy_from_slice(buf);
        length += buf.len();
    }
    stream.poll_write(cx, &gathered[..length])
}

#[cfg(test)]
mod tests;
