//! The two bodies of a stream: the request's on its way up, the response's on its way down.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use http_body::{Body as _, Frame};

use super::Lease;
use crate::body::Body;

/// A request body on its way: the chunk in hand waits for the peer's window.
pub(super) struct Pump {
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

/// Which side a body broke off on.
pub(super) enum Broken {
    Downstream,
    Upstream,
}

impl Pump {
    pub(super) fn new(stream: SendStream<Bytes>, body: Body) -> Pump {
        Pump { stream, body, chunk: None }
    }

    /// Ready when the body is through.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
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
    /// The body of a response with this head. The rest of the request body goes on beside it.
    pub(super) fn new(stream: RecvStream, head: &HeaderMap, pump: Option<Pump>, lease: Lease) -> Receive {
        let left = if stream.is_end_stream() { Some(0) } else { content_length(head) };
        let pump = pump.map(|pump| AbortOnDrop(tokio::task::spawn_local(pump.finish())));
        Receive { stream, left, data_done: false, _pump: pump, _lease: lease }
    }

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

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
