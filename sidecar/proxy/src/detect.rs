//! Finds out what a connection speaks by its first bytes (stage 3).
//!
//! On a listener that was told to carry HTTP there is HTTP/2 with prior knowledge, and whatever else comes is left to the HTTP/1 parser to
//! accept or refuse: clients of both speak first, so bytes are waited for as long as a request head may take. On one that was not told it
//! may be anything, and the server may be the first to speak: there the wait is short, and who says nothing is passed through. Listeners
//! for opaque bytes never come here. What bytes mean is decided in [`weir_decide::detect`].

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};
use weir_decide::detect::{self, Protocol};
use weir_runtime::io::Rewind;

/// Finds out which HTTP it is, and gives the bytes back. `None` if the peer closed without having sent anything.
pub(crate) async fn which_http<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<Option<(Protocol, Rewind<S>)>> {
    let mut seen = BytesMut::with_capacity(detect::SNIFFED);
    loop {
        let ended = stream.read_buf(&mut seen).await? == 0;
        if ended && seen.is_empty() {
            return Ok(None);
        }
        // A part of the preface and no more: the HTTP/1 parser says what it thinks of it.
        if let Some(http2) = detect::is_http2(&seen).or(ended.then_some(false)) {
            let protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
            return Ok(Some((protocol, Rewind::with_prefix(stream, seen.freeze()))));
        }
    }
}

/// Finds out whether it is HTTP, and gives the bytes back. Takes no longer than `wait` and no more than [`detect::SNIFFED`] bytes.
pub(crate) async fn whatever<S: AsyncRead + Unpin>(
    mut stream: S,
    wait: Duration,
) -> io::Result<(Protocol, Rewind<S>)> {
    let mut seen = BytesMut::with_capacity(detect::SNIFFED);
    let until = Instant::now() + wait;
    let protocol = loop {
        let ended = match timeout_at(until, stream.read_buf(&mut seen)).await {
            Ok(read) => read? == 0,
            Err(_) => true,
        };
        match detect::sniff(&seen) {
            Some(protocol) => break protocol,
            None if ended => break detect::guess(&seen),
            None => {}
        }
    };
    Ok((protocol, Rewind::with_prefix(stream, seen.freeze())))
}

#[cfg(test)]
mod tests;
