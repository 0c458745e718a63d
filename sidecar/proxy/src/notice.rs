//! The shutdown notice of HTTP/2: a GOAWAY that names no stream, well before the one that does.
//!
//! A client that reads GOAWAY begins no further streams, but some may be on their way already. So a server first sends one
//! that covers all streams there could be, and only later the final one (RFC 9113 section 6.8). Hyper sends both within a round
//! trip, which is too short: the client answers its PING at once, ahead of requests it has begun, and those are refused. This
//! writes the notice itself, between two frames, and leaves hyper to say the rest when clients have had time.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// GOAWAY with the highest stream there can be, and NO_ERROR.
const NOTICE: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// The length of a frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;

/// The server's end of an HTTP/2 connection, which can give notice.
pub(crate) struct Noticed<S> {
    stream: S,
    wanted: Rc<Cell<bool>>,
    /// What is left of a notice that was begun.
    rest: &'static [u8],
    frames: Frames,
}

/// Where in a sequence of frames its writer stands.
#[derive(Default)]
struct Frames {
    /// The length in the head that is being written.
    length: [u8; 3],
    /// How much of that head was written.
    head: usize,
    /// How much of the frame is left after its head.
    left: usize,
    /// Whether a frame was begun: the first one must be the server's settings.
    begun: bool,
}

impl<S> Noticed<S> {
    /// Gives notice once `wanted` is set, when it is next written to or flushed.
    pub(crate) fn new(stream: S, wanted: Rc<Cell<bool>>) -> Noticed<S> {
        Noticed { stream, wanted, rest: &[], frames: Frames::default() }
    }
}

impl<S: AsyncWrite + Unpin> Noticed<S> {
    /// Ready when there is no notice to be written now.
    fn poll_notice(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wanted.get() && self.frames.are_whole() {
            self.wanted.set(false);
            self.rest = NOTICE;
        }
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest = &self.rest[written..];
        }
        Poll::Ready(Ok(()))
    }
}

impl Frames {
    fn are_whole(&self) -> bool {
        self.begun && self.head == 0 && self.left == 0
    }

    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEAD - self.head).min(bytes.len());
            for (place, byte) in self.length.iter_mut().skip(self.head).zip(&bytes[..taken]) {
                *place = *byte;
            }
            self.head += taken;
            self.begun = true;
            bytes = &bytes[taken..];
            if self.head == HEAD {
                let [high, middle, low] = self.length.map(usize::from);
                (self.head, self.left) = (0, high << 16 | middle << 8 | low);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noticed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noticed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_notice(cx))?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.frames.advance(&buf[..*written]);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_notice(cx))?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(written)) = &polled {
            let mut left = *written;
            for buf in bufs {
                let here = left.min(buf.len());
                self.frames.advance(&buf[..here]);
                left -= here;
            }
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_notice(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
