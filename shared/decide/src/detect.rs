//! What the first bytes of a connection speak, where its listener does not know.
//!
//! HTTP/2 with prior knowledge begins with a fixed preface (RFC 9113 section 3.4), TLS with a handshake record, and HTTP/1 with a request line
//! that ends in its version (RFC 9112 section 3); whatever else comes is opaque. Protocols with lines that only look like requests (`get key`)
//! are not taken for HTTP, because it takes the version to be that.

/// How much of a connection is looked at, in bytes. A request line that is longer is taken for what it looks like until then.
pub const SNIFFED: usize = weir_model::limits::SNIFF_BYTES;

/// The first bytes of HTTP/2 with prior knowledge.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest method that is taken for one; the longest registered one has 17 bytes.
const METHOD: usize = 32;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// TLS; see [`crate::client_hello`].
    Tls,
    /// Something else.
    Opaque,
}

/// Whether the first bytes are HTTP/2's; `None` while they could still become that. For listeners that know that they carry HTTP, where whatever
/// else comes is for the HTTP/1 parser to accept or refuse.
pub fn is_http2(bytes: &[u8]) -> Option<bool> {
    let compared = bytes.len().min(PREFACE.len());
    if bytes[..compared] != PREFACE[..compared] {
        Some(false)
    } else if compared == PREFACE.len() {
        Some(true)
    } else {
        None
    }
}

/// What the first bytes speak; `None` while more of them could tell. Never `None` from [`SNIFFED`] bytes on.
pub fn sniff(bytes: &[u8]) -> Option<Protocol> {
    match (is_http2(bytes), is_tls(bytes)) {
        (Some(true), _) => return Some(Protocol::Http2),
        (_, Some(true)) => return Some(Protocol::Tls),
        (None, _) | (_, None) => return None,
        (Some(false), Some(false)) => {}
    }
    match request_line(bytes) {
        Line::Complete => Some(Protocol::Http1),
        Line::Other => Some(Protocol::Opaque),
        Line::InTarget if bytes.len() >= SNIFFED => Some(Protocol::Http1),
        Line::InMethod if bytes.len() >= SNIFFED => Some(Protocol::Opaque),
        Line::InMethod | Line::InTarget => None,
    }
}

/// What the bytes are taken for if no more come: HTTP/1 once there is a method, which no other beginning has.
pub fn guess(bytes: &[u8]) -> Protocol {
    sniff(bytes).unwrap_or(match request_line(bytes) {
        Line::Complete | Line::InTarget => Protocol::Http1,
        Line::InMethod | Line::Other => Protocol::Opaque,
    })
}

/// A handshake record with a ClientHello in it.
fn is_tls(bytes: &[u8]) -> Option<bool> {
    const HEAD: [Option<u8>; 6] = [Some(22), Some(3), None, None, None, Some(1)];
    let same = HEAD.iter().zip(bytes).all(|(wanted, byte)| wanted.is_none_or(|wanted| wanted == *byte));
    if !same || bytes.is_empty() { Some(false) } else { (bytes.len() >= HEAD.len()).then_some(true) }
}

/// How far bytes are a request line.
enum Line {
    /// As far as they go, and there is no whole method yet.
    InMethod,
    /// As far as they go, with a whole method.
    InTarget,
    /// All of one.
    Complete,
    /// They are not.
    Other,
}

fn request_line(bytes: &[u8]) -> Line {
    // A client may send empty lines first, and servers are asked to bear them (RFC 9112 section 2.2).
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let bytes = &bytes[begin..];
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let method = bytes.iter().position(|byte| !is_token(byte)).unwrap_or(bytes.len());
    let Some(after) = bytes.get(method) else {
        return if method <= METHOD { Line::InMethod } else { Line::Other };
    };
    if *after != b' ' || !(1..=METHOD).contains(&method) {
        return Line::Other;
    }
    let rest = &bytes[method + 1..];
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        // A line of text, which may yet end in a carriage return.
        let text = rest.strip_suffix(b"\r").unwrap_or(rest);
        return if text.iter().any(|byte| byte.is_ascii_control()) { Line::Other } else { Line::InTarget };
    };
    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    let version = line.split_last_chunk::<9>().map(|(target, version)| (target, *version));
    match version {
        Some((target, [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor]))
            if minor.is_ascii_digit()
                && !target.is_empty()
                && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f) =>
        {
            Line::Complete
        }
        _ => Line::Other,
    }
}

#[cfg(test)]
mod tests;
