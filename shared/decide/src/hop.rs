//! Which header fields end at this hop (RFC 9110 section 7.6.1), and what of them is said anew to the next.
//!
//! Removed are `Connection` and every field it lists, `Keep-Alive`, `Proxy-Connection`, `TE`, `Transfer-Encoding` and `Upgrade`.
//! Two things survive, because the proxy carries them through: an upgrade between HTTP/1.1 hops, and the caller's word that it
//! takes trailers. Message framing (`Content-Length`) and `Host` are not a hop's to lose: a `Connection` that lists them is ignored
//! in that. Credentials for proxies pass through.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Prepares a request's fields for an upstream that is spoken to in `upstream`.
///
/// An upgrade stays (`Connection: upgrade` and `Upgrade`) if both sides can carry it, which is to say towards HTTP/1.x, but for one to HTTP/2 itself; `TE:
/// trailers` stays, towards HTTP/1.x with `Connection: te`, which HTTP/1.1 demands.
pub fn request(headers: &mut HeaderMap, upstream: Version) {
    let ending = Ending::of(headers);
    if ending.is_none() {
        return;
    }
    let http1 = upstream <= Version::HTTP_11;
    let protocol = if http1 { upgrade(headers).filter(|asked| !is_http2(asked)).cloned() } else { None };
    let trailers = ending.contains(TE_BIT) && takes_trailers(headers);
    strip(headers, ending);
    if trailers {
        set(headers, TE, HeaderValue::from_static("trailers"));
    }
    let options = match (protocol.is_some(), trailers && http1) {
        (true, true) => "upgrade, te",
        (true, false) => "upgrade",
        (false, true) => "te",
        (false, false) => return,
    };
    set(headers, CONNECTION, HeaderValue::from_static(options));
    if let Some(protocol) = protocol {
        set(headers, UPGRADE, protocol);
    }
}

/// Prepares a response's fields for a downstream that speaks `downstream`. The upgrade stays in a `101` towards HTTP/1.x.
pub fn response(headers: &mut HeaderMap, status: StatusCode, downstream: Version) {
    let ending = Ending::of(headers);
    if ending.is_none() {
        return;
    }
    let upgraded = status == StatusCode::SWITCHING_PROTOCOLS && downstream <= Version::HTTP_11;
    let protocol = if upgraded { headers.get(UPGRADE).cloned() } else { None };
    strip(headers, ending);
    if let Some(protocol) = protocol {
        set(headers, CONNECTION, HeaderValue::from_static("upgrade"));
        set(headers, UPGRADE, protocol);
    }
}

/// Prepares trailers for the next hop: what belongs to a connection or frames a message has no meaning behind one, and where it is
/// taken for a field of the head nevertheless it does harm (RFC 9110 section 6.5.1).
pub fn trailers(fields: &mut HeaderMap) {
    let ending = Ending::of(fields);
    if !ending.is_none() {
        for (index, name) in ENDING.iter().enumerate() {
            if ending.contains(index) {
                fields.remove(name);
            }
        }
    }
    for name in [CONTENT_LENGTH, HOST, TRAILER] {
        fields.remove(name);
    }
}

/// Puts a `Cookie` that HTTP/2 divided together again for HTTP/1.x (RFC 9113 section 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    if headers.len() == headers.keys_len() {
        return;
    }
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    // What is put together of valid values is one.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// The protocol an upgrade is asked for or granted: `Upgrade`, where `Connection` lists it (RFC 9110 section 7.8).
pub fn upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    let protocol = headers.get(UPGRADE)?;
    lists(headers, &CONNECTION, "upgrade").then_some(protocol)
}

/// Whether an upgrade would change to HTTP/2, whose requests nobody here would see (RFC 9113 section 3.1 has abolished it).
fn is_http2(protocol: &HeaderValue) -> bool {
    tokens(protocol).any(|token| token.eq_ignore_ascii_case(b"h2c"))
}

/// Whether the content is gRPC's (`application/grpc`, with or without a format and parameters).
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else { return false };
    let Some((kind, rest)) = kind.split_at_checked(b"application/grpc".len()) else { return false };
    kind.eq_ignore_ascii_case(b"application/grpc") && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// Whether `TE` lists `trailers`, whatever its parameters.
fn takes_trailers(headers: &HeaderMap) -> bool {
    lists(headers, &TE, "trailers")
}

/// Whether a comma-separated field lists a token, in any case and whatever its parameters.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().flat_map(tokens).any(|listed| listed.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of a comma-separated list, trimmed, without parameters.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(|element| {
        let end = element.iter().position(|byte| *byte == b';').unwrap_or(element.len());
        element[..end].trim_ascii()
    })
}

/// Which of the fields that end here a message has. Most have none or one, and looking once at every name is cheaper than
/// looking up each of ours.
#[derive(Clone, Copy)]
struct Ending(u8);

/// The bit of `TE`.
const TE_BIT: usize = 3;

/// The field of each bit of [`Ending`]; `Connection` is the first.
static ENDING: [HeaderName; 6] = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];

impl Ending {
    fn of(headers: &HeaderMap) -> Ending {
        headers.keys().fold(Ending(0), |found, name| {
            // Few other names are as long as one of these.
            let candidates = match name.as_str().len() {
                2 => 3..4,
                7 => 5..6,
                10 => 0..2,
                16 => 2..3,
                17 => 4..5,
                _ => return found,
            };
            candidates
                .filter(|index| ENDING[*index] == name)
                .fold(found, |Ending(bits), index| Ending(bits | 1 << index))
        })
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }

    fn contains(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }
}

/// Removes every field that ends here.
fn strip(headers: &mut HeaderMap, ending: Ending) {
    if ending.contains(0) {
        strip_all_listed(headers);
    }
    for (index, name) in ENDING.iter().enumerate() {
        if ending.contains(index) {
            headers.remove(name);
        }
    }
}

/// Removes the fields that `Connection` lists.
fn strip_all_listed(headers: &mut HeaderMap) {
    let mut all = headers.get_all(CONNECTION).iter();
    if let (Some(only), None) = (all.next(), all.next())
        && is_usual(only.as_bytes())
    {
        return;
    }
    let listed: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    for token in listed.iter().flat_map(tokens) {
        strip_listed(headers, token);
    }
}

/// Whether an option names no field, or one that goes anyway.
fn is_usual(token: &[u8]) -> bool {
    [&b"keep-alive"[..], b"close", b"upgrade", b"te"].iter().any(|usual| token.eq_ignore_ascii_case(usual))
}

fn strip_listed(headers: &mut HeaderMap, token: &[u8]) {
    if is_usual(token) {
        return;
    }
    match HeaderName::from_bytes(token) {
        Ok(name) if name != HOST && name != CONTENT_LENGTH => {
            headers.remove(name);
        }
        _ => {}
    }
}

/// Sets a field; where the map is full it stays without, which is what a hop that cannot carry it would do.
fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _full = headers.try_insert(name, value);
}

#[cfg(test)]
mod tests;
