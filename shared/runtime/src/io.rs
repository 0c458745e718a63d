//! Byte streams whose beginning was already read, and their way into hyper.
//!
//! Protocol detection has to look at the first bytes of a connection. [`Rewind`] gives them back: it reads from a prefix until
//! that is used up and from the stream afterwards; writes pass straight through, vectored ones too. [`HyperIo`] puts any such
//! stream into hyper's traits, and [`Lingering`] closes one without losing its last words.

mod linger;

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use linger::Lingering;

/// A tokio stream in `hyper::rt::{Read, Write}`; vectored writes are kept.
pub use hyper_util::rt::TokioIo as HyperIo;

/// A stream with bytes put back in front of it.
#[derive(Debug)]
pub struct Rewind<S> {
    prefix: Bytes,
    stream: S,
}

impl<S> Rewind<S> {
    /// A stream of which nothing was read yet.
    pub fn new(stream: S) -> Rewind<S> {
        Rewind { prefix: Bytes::new(), stream }
    }

    /// A stream that yields `prefix` before anything else.
    pub fn with_prefix(stream: S, prefix: Bytes) -> Rewind<S> {
        Rewind { prefix, stream }
    }

    /// The bytes which were put back and not yet read again.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The bytes still to be read first, and the stream.
    pub fn into_parts(self) -> (Bytes, S) {
        (self.prefix, self.stream)
    }
}

impl<S> Rewind<Rewind<S>> {
    /// The same stream, of which was looked at twice.
    pub fn flatten(self) -> Rewind<S> {
        let Rewind { prefix, stream: Rewind { prefix: second, stream } } = self;
        let prefix = match (prefix.is_empty(), second.is_empty()) {
            (_, true) => prefix,
            (true, false) => second,
            (false, false) => [prefix, second].concat().into(),
        };
        Rewind { prefix, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let taken = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..taken]);
        self.prefix.advance(taken);
        if self.prefix.is_empty() {
            // The allocation behind the prefix need not live as long as the connection.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
