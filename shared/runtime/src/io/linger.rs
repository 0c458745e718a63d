//! Closing a connection without losing what was said last.
//!
//! A socket that is closed while its peer still sends answers with a reset, and a reset makes the peer's kernel throw away or
//! its program overlook what it had not read yet: the last response, or the GOAWAY that says which streams were never begun.
//! So a server shuts down its sending side, and then reads and drops what comes until the peer closes too (RFC 9112 section
//! 9.6), within bounds.

use std::future::Future;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How much is read at once.
const CHUNK: usize = 1024;

/// A stream whose shutdown lingers: it is over when the peer has closed, or a bound is reached. All else passes through.
#[derive(Debug)]
pub struct Lingering<S> {
    stream: S,
    limit: Duration,
    bytes: usize,
    /// Until when it reads on; set once the sending side is shut down.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Lingering<S> {
    /// Reads on for at most `limit` and `bytes` after it was shut down.
    pub fn new(stream: S, limit: Duration, bytes: usize) -> Lingering<S> {
        Lingering { stream, limit, bytes, until: None }
    }

    /// The stream below.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> Lingering<S> {
    /// Ready when the peer has closed, or it has taken too long or sent too much.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut chunk = [0; CHUNK];
        while self.bytes > 0 {
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.bytes = self.bytes.saturating_sub(buffer.filled().len());
                }
                // A reset is an end, too.
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    return self.until.as_mut().map_or(Poll::Ready(()), |until| until.as_mut().poll(cx));
                }
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.until.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.until = Some(Box::pin(tokio::time::sleep(self.limit)));
        }
        self.poll_closed(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests;
