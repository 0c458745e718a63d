//! What brings a caller back: the hash of a request, the side of a sticky split, the endpoint of a session, and the cookies that say so.
//!
//! Hashes are Envoy's, bit for bit (XXH64 of the same bytes, combined in the same way), so that an Envoy and a weir sidecar with the same
//! configuration send the same caller to the same place. Only the value of a cookie that has to be issued differs: Envoy derives it from
//! the connection's addresses, which gives all users behind one application the same; here each request draws its own.
//!
//! **A session cookie never names an address.** It holds two hashes, which are looked up among the clusters of the route and the endpoints
//! of the cluster; whatever else a caller writes into it finds nothing.

use crate::split::Split;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use std::net::{IpAddr, SocketAddr};
use weir_model::{Cookie, HashPolicy, HashSource, HeaderName, Random, Session, StickySplit};
use xxhash_rust::xxh64::xxh64;

/// What of a request its hash may be made of.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Its header.
    pub headers: &'a HeaderMap,
    /// Where its connection comes from.
    pub source: IpAddr,
    /// Its query, without the question mark.
    pub query: Option<&'a str>,
}

/// A request's hash.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hashed {
    /// Absent where the request has nothing of what is hashed.
    pub hash: Option<u64>,
    /// `Set-Cookie` values that its response has to carry, so that the caller brings the same hash next time.
    pub issued: Vec<HeaderValue>,
}

/// The hash of a request. Draws only for a cookie that has to be issued.
pub fn hash(policies: &[HashPolicy], caller: &Caller<'_>, random: &mut Random) -> Hashed {
    let mut hashed = Hashed::default();
    for policy in policies {
        let part = match &policy.source {
            HashSource::Header(name) => of_header(caller.headers, name),
            HashSource::Cookie(cookie) => match value_of(caller.headers, &cookie.name) {
                Some(value) if !value.is_empty() => Some(xxh64(value, 0)),
                _ => issue(cookie, random).map(|(value, header)| {
                    hashed.issued.push(header);
                    xxh64(value.as_bytes(), 0)
                }),
            },
            HashSource::SourceAddress => Some(of_source(caller.source)),
            HashSource::Query(name) => {
                caller.query.and_then(|query| parameter(query, name)).map(|value| xxh64(value.as_bytes(), 0))
            }
        };
        if let Some(part) = part {
            // Turned, so that the same thing hashed twice does not cancel itself.
            hashed.hash = Some(hashed.hash.map_or(0, |hash| hash.rotate_left(1)) ^ part);
        }
        if policy.terminal && hashed.hash.is_some() {
            break;
        }
    }
    hashed
}

/// The hash of a client's address, as Envoy hashes it.
pub fn of_source(address: std::net::IpAddr) -> u64 {
    xxh64(address.to_string().as_bytes(), 0)
}

/// The side of a split that a caller keeps: at random where there is nothing to go by.
pub fn side(
    split: &Split,
    sticky: &StickySplit,
    hash: Option<u64>,
    headers: &HeaderMap,
    random: &mut Random,
) -> usize {
    let number = match sticky {
        StickySplit::Hash => hash,
        StickySplit::Header(name) => sole(headers, name).and_then(|value| value.parse().ok()),
    };
    match number {
        Some(number) => split.at(number % split.total()),
        None => split.pick(random),
    }
}

/// What a session cookie says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin {
    /// [`cluster_key`] of the cluster.
    pub cluster: u64,
    /// [`endpoint_key`] of the endpoint.
    pub endpoint: u64,
}

impl Pin {
    /// The value of a cookie: 32 hexadecimal digits.
    pub fn value(&self) -> String {
        format!("{:016x}{:016x}", self.cluster, self.endpoint)
    }

    /// What a cookie's value says, if it is one of ours.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok().filter(|text| text.len() == 32 && text.is_ascii())?;
        // A sign would be taken as a part of the number.
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let part = |digits: &str| u64::from_str_radix(digits, 16).ok();
        Some(Self { cluster: part(&text[..16])?, endpoint: part(&text[16..])? })
    }
}

/// What stands for a cluster in a session cookie.
pub fn cluster_key(name: &str) -> u64 {
    xxh64(name.as_bytes(), 0)
}

/// What stands for an endpoint in a session cookie, and places it on a Maglev table: the hash of its address, the same in every process.
pub fn endpoint_key(address: SocketAddr) -> u64 {
    xxh64(address.to_string().as_bytes(), 0)
}

/// Whether a session is for requests to a path.
pub fn covers(session: &Session, path: &str) -> bool {
    let own = session.cookie.path.as_str();
    match path.strip_prefix(own) {
        _ if own.is_empty() || own == "/" => true,
        Some(rest) => own.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// The endpoint that a request's session names.
pub fn pin(session: &Session, headers: &HeaderMap) -> Option<Pin> {
    Pin::parse(value_of(headers, &session.cookie.name)?)
}

/// The `Set-Cookie` value that gives a cookie this value (RFC 6265 section 4.1), written as Envoy writes it. `None` for a cookie that no
/// header field can carry.
pub fn set_cookie(cookie: &Cookie, value: &str) -> Option<HeaderValue> {
    let mut text = format!("{}=\"{value}\"", cookie.name);
    let seconds = cookie.ttl.map_or(0, |ttl| ttl.as_secs());
    if seconds > 0 {
        text.push_str(&format!("; Max-Age={seconds}"));
    }
    if !cookie.path.is_empty() {
        text.push_str("; Path=");
        text.push_str(&cookie.path);
    }
    for (name, value) in &cookie.attributes {
        text.push_str("; ");
        text.push_str(name);
        if !value.is_empty() {
            text.push('=');
            text.push_str(value);
        }
    }
    text.push_str("; HttpOnly");
    HeaderValue::try_from(text).ok()
}

/// A value for a cookie that callers get where they have none.
fn issue(cookie: &Cookie, random: &mut Random) -> Option<(String, HeaderValue)> {
    cookie.ttl?;
    let value = format!("{:016x}", random.next_u64());
    let header = set_cookie(cookie, &value)?;
    Some((value, header))
}

/// The value of a request's first cookie of a name, without quotes.
fn value_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let mut named = pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..equals] == *name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
    });
    let value = named.next()?;
    Some(value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value))
}

/// The fields of a name in order of their values, each hash the seed of the next.
fn of_header(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    let Some(second) = values.next() else { return Some(xxh64(first, 0)) };
    let mut all: Vec<&[u8]> = [first, second].into_iter().chain(values).collect();
    all.sort_unstable();
    Some(all.into_iter().fold(0, |seed, value| xxh64(value, seed)))
}

/// The only field of a name.
fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The first parameter of a name, as it is written.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
