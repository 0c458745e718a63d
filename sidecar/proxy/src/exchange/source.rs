//! Where a response's body comes from, and what becomes of its connection at the end.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::net::TcpStream;
use weir_decide::hop;
use weir_model::Time;

use crate::body::BodyError;
use crate::pool::{Open, http1, http2};

/// Where a response body comes from.
pub(crate) enum Source {
    /// There is none, or no more.
    None,
    /// From us.
    Local(Bytes),
    /// An HTTP/1 connection that this exchange drives.
    Http1 { body: Incoming, lease: http1::Lease },
    /// An HTTP/1 connection that drives itself.
    Detached(Incoming),
    /// A stream of an HTTP/2 connection.
    Http2(http2::Receive),
    /// It broke off, which is still to be told.
    Broken(Option<Box<BodyError>>),
    /// There is no body: the connection speaks another protocol from here on.
    Upgraded(Box<Upgraded>),
}

/// An upstream connection after an upgrade.
pub(crate) struct Upgraded {
    pub(crate) stream: TcpStream,
    /// What was read of it beyond the response.
    pub(crate) early: Bytes,
    pub(crate) counted: Open,
}

impl Source {
    /// The body of a response on an HTTP/1 connection. If the request body is not through, both go on independently.
    pub(crate) fn http1(body: Incoming, lease: http1::Lease, unfinished: bool) -> Source {
        if unfinished {
            lease.detach();
            Source::Detached(body)
        } else {
            Source::Http1 { body, lease }
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        match self {
            Source::None | Source::Upgraded(_) => true,
            Source::Local(bytes) => bytes.is_empty(),
            Source::Broken(_) => false,
            Source::Http1 { body, .. } | Source::Detached(body) => body.is_end_stream(),
            Source::Http2(receive) => receive.is_end(),
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let hyper = |polled: Poll<Option<Result<_, _>>>| {
            polled.map(|frame| frame.map(|frame| frame.map_err(BodyError::Hyper)))
        };
        match self {
            Source::None | Source::Upgraded(_) => Poll::Ready(None),
            Source::Broken(error) => Poll::Ready(error.take().map(|error| Err(*error))),
            Source::Local(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Http1 { body, lease } => hyper(lease.poll_frame(body, cx)).map(sent_on),
            Source::Detached(body) => hyper(std::pin::Pin::new(body).poll_frame(cx)).map(sent_on),
            Source::Http2(receive) => {
                receive.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(BodyError::Http2)))
            }
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Source::None | Source::Upgraded(_) => SizeHint::with_exact(0),
            Source::Local(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Http1 { body, .. } | Source::Detached(body) => body.size_hint(),
            Source::Broken(_) => SizeHint::default(),
            Source::Http2(receive) => receive.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }

    /// Nobody wants it: its connection goes on if there is nothing left to read, and closes otherwise.
    pub(crate) fn pass_over(self, now: Time) {
        if self.is_end() {
            self.finish(now);
        }
    }

    /// It was read to its end: its connection is free.
    pub(crate) fn finish(self, now: Time) {
        if let Source::Http1 { lease, .. } = self {
            lease.release(now);
        }
    }
}

/// HTTP/2 has its own rule for trailers; those of HTTP/1 may say anything.
fn sent_on<E>(frame: Option<Result<Frame<Bytes>, E>>) -> Option<Result<Frame<Bytes>, E>> {
    frame.map(|frame| {
        frame.map(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                hop::trailers(trailers);
            }
            frame
        })
    })
}
