//! Tells HTTP/1 and HTTP/2 apart by the first bytes of a connection (stage 3).
//!
//! Both kinds of client speak first, so this waits for bytes only as long as a request head may take. An HTTP/2 client with
//! prior knowledge begins with a fixed preface (RFC 9113 section 3.4) which no HTTP/1 request can begin with; whatever else
//! comes is left to the HTTP/1 parser to accept or refuse. Listeners for opaque bytes never come here.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use weir_runtime::io::Rewind;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read to look at; what a first read brings beyond the preface is given back.
const FIRST_READ: usize = 4096;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1, or not HTTP at all.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// What the first bytes say; `None` while they could still become either.
pub(crate) fn sniff(bytes: &[u8]) -> Option<Protocol> {
    let compared = bytes.len().min(PREFACE.len());
    if bytes[..compared] != PREFACE[..compared] {
        Some(Protocol::Http1)
    } else if compared == PREFACE.len() {
        Some(Protocol::Http2)
    } else {
        None
    }
}

/// Reads until the protocol is known, and gives the bytes back. `None` if the peer closed without having sent anything.
pub(crate) async fn detect<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<Option<(Protocol, Rewind<S>)>> {
    let mut seen = BytesMut::with_capacity(FIRST_READ);
    loop {
        let ended = stream.read_buf(&mut seen).await? == 0;
        if ended && seen.is_empty() {
            return Ok(None);
        }
        // A part of the preface and no more: the HTTP/1 parser says what it thinks of it.
        if let Some(protocol) = sniff(&seen).or(ended.then_some(Protocol::Http1)) {
            return Ok(Some((protocol, Rewind::with_prefix(stream, seen.freeze()))));
        }
    }
}

#[cfg(test)]
mod tests;
