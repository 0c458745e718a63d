//! The one body type of the data plane: what goes up, what comes down, and what is answered here, without boxing the common
//! cases.
//!
//! A response on its way down is its [`Exchange`]: reading it drives the upstream connection, counts, and watches the timeouts;
//! dropping it early cancels the upstream. Nothing is buffered here.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::exchange::Exchange;
use crate::upload::Upload;
use crate::upload::tee::Copied;

/// A message body.
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// Something of ours, in one piece.
    Full(Bytes),
    /// A request body on its way up.
    Upload(Upload),
    /// A copy of a request body on its way up.
    Copied(Copied),
    /// A response body on its way down.
    Download(Box<Exchange>),
}

/// Why a body broke off. The source is the codec's own error, so that a stream reset passes through with its reason.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// An HTTP/1 connection, or the downstream's stream.
    Hyper(hyper::Error),
    /// The upstream's HTTP/2 stream.
    Http2(h2::Error),
    /// It is larger than it may be.
    TooLarge,
    /// A timeout of ours; carries the reset that tells the peer.
    Timeout(h2::Error),
}

impl BodyError {
    pub(crate) fn timeout() -> BodyError {
        BodyError::Timeout(h2::Error::from(h2::Reason::CANCEL))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::Hyper(_) | BodyError::Http2(_) => "the body broke off",
            BodyError::TooLarge => "the body is too large",
            BodyError::Timeout(_) => "the body took too long",
        })
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyError::Hyper(error) => Some(error),
            BodyError::Http2(error) | BodyError::Timeout(error) => Some(error),
            BodyError::TooLarge => None,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let whole = match &mut *self {
            Body::Upload(upload) => return upload.poll(cx),
            Body::Copied(copied) => return copied.poll_frame(cx),
            Body::Download(exchange) => return exchange.poll_frame(cx),
            Body::Empty => None,
            Body::Full(bytes) => Some(Frame::data(std::mem::take(bytes))),
        };
        *self = Body::Empty;
        Poll::Ready(whole.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Upload(upload) => upload.is_end(),
            Body::Copied(copied) => copied.is_end(),
            Body::Download(exchange) => exchange.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Upload(upload) => upload.size_hint(),
            Body::Copied(copied) => copied.size_hint(),
            Body::Download(exchange) => exchange.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests;
