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
use weir_decide::client_hello::{ClientHello, HelloError, HelloReader};
use weir_decide::detect::{self, Protocol};
use weir_model::{Inspect, limits};
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

/// What a client said first, as far as it was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Said {
    /// If it is TLS.
    hello: bool,
    server_name: Option<String>,
    /// The protocols it offers, or the one it speaks.
    pub(crate) protocols: Vec<Vec<u8>>,
}

impl Said {
    /// The server name it asks for; empty if it asks for none.
    pub(crate) fn server_name(&self) -> &str {
        self.server_name.as_deref().unwrap_or_default()
    }

    /// What its bytes are wrapped in, in Envoy's words.
    pub(crate) fn transport(&self) -> &'static str {
        if self.hello { "tls" } else { "raw_buffer" }
    }
}

/// Looks at what a client says first, as Envoy's inspectors do, and gives the bytes back. `None` if the connection is to be closed: its
/// client is gone, says too little in its time, or begins TLS with a hello that is too large.
pub(crate) async fn inspect<S: AsyncRead + Unpin>(
    mut stream: S,
    wanted: Inspect,
) -> Option<(Said, Rewind<S>)> {
    let mut seen = BytesMut::with_capacity(detect::SNIFFED);
    let mut hello = wanted.tls.then(HelloReader::default);
    let until = Instant::now() + wanted.wait;
    let mut read = 0;
    let said = loop {
        match timeout_at(until, stream.read_buf(&mut seen)).await {
            Err(_) if wanted.go_on => break Said::default(),
            // It ended before it was clear what it is.
            Err(_) | Ok(Err(_) | Ok(0)) => return None,
            Ok(Ok(_)) => {}
        }
        let new = &seen[read..];
        if let Some(reader) = &mut hello {
            match reader.receive(new) {
                Ok(Some(found)) => {
                    let ClientHello { server_name, alpn } = found;
                    break Said { hello: true, server_name, protocols: alpn };
                }
                // In records of a few bytes each it may come to several times its size.
                Ok(None) if seen.len() > 2 * limits::CLIENT_HELLO_BYTES => return None,
                Ok(None) => {
                    read = seen.len();
                    continue;
                }
                Err(HelloError::TooLarge) => return None,
                Err(HelloError::NotTls | HelloError::Malformed(_)) => hello = None,
            }
        }
        if !wanted.http {
            break Said::default();
        }
        if let Some(protocol) = detect::sniff(&seen) {
            let spoken: &[u8] = match protocol {
                Protocol::Http2 => b"h2c",
                Protocol::Http1 if is_http10(&seen) => b"http/1.0",
                Protocol::Http1 => b"http/1.1",
                Protocol::Tls | Protocol::Opaque => break Said::default(),
            };
            break Said { protocols: vec![spoken.to_vec()], ..Said::default() };
        }
    };
    Some((said, Rewind::with_prefix(stream, seen.freeze())))
}

/// Whether a request line is one of HTTP/1.0.
fn is_http10(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    lines.find(|line| !line.is_empty()).is_some_and(|line| line.ends_with(b" HTTP/1.0"))
}

#[cfg(test)]
mod tests;
