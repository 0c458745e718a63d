//! What a listener makes of HTTP besides (stage 5): what is refused or changed in a request's head before it is routed, and what is put into
//! requests and responses on their way out ([`weir_model::Manner`]).
//!
//! A listener that says nothing of it costs a look at an `Option`.

use std::net::SocketAddr;

use http::header::{CONNECTION, HOST, SERVER, UPGRADE, VIA};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use weir_decide::authority;
use weir_model::{Forwarded, HostPorts, HttpLimits, Manner, Random, Underscores, limits};

use crate::reject::Kind;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Refuses heads that are larger than the listener wants them. What all listeners refuse was refused before.
pub(crate) fn admit<B>(request: &Request<B>, limits: &HttpLimits) -> Result<(), Kind> {
    if limits.head_fields.is_none() && limits.head_bytes.is_none() {
        return Ok(());
    }
    let headers = request.headers();
    if limits.head_fields.is_some_and(|most| headers.len() > most as usize) {
        return Err(Kind::TooManyFields);
    }
    let Some(most) = limits.head_bytes else { return Ok(()) };
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len())
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    if fields.sum::<usize>() + target > most as usize { Err(Kind::HeadTooLarge) } else { Ok(()) }
}

/// How many fields a head may have at a listener.
pub(crate) fn most_fields(limits: &HttpLimits) -> usize {
    limits.head_fields.map_or(limits::HEAD_FIELDS, |most| most as usize)
}

/// Gives a request of HTTP/1.0 the host it is for, before anybody asks for it.
pub(crate) fn host<B>(request: &mut Request<B>, manner: &Manner) {
    if let Some(host) = &manner.default_host
        && request.version() < Version::HTTP_11
        && request.uri().authority().is_none()
        && !request.headers().contains_key(HOST)
    {
        // Where the map is full it stays without, and is refused.
        let _full = request.headers_mut().try_insert(HOST, host.clone());
    }
}

/// Refuses or changes a request's head as its listener says. `local` is where the caller connected to.
pub(crate) fn request<B>(
    request: &mut Request<B>,
    manner: &Manner,
    forwarded: Forwarded,
    local: Option<SocketAddr>,
    random: &mut Random,
) -> Result<(), Kind> {
    underscores(request.headers_mut(), manner.underscores)?;
    if let Some(listed) = &manner.upgrades {
        upgrade(request.headers(), listed)?;
    }
    if manner.ports != HostPorts::Keep || manner.strip_dot {
        strip(request, manner, local.map(|local| local.port()))?;
    }
    let headers = request.headers_mut();
    if manner.request_id.generate {
        let replaced = forwarded != Forwarded::Pass && !manner.request_id.keep;
        if replaced || !headers.contains_key(REQUEST_ID) {
            let _full = headers.try_insert(REQUEST_ID, uuid(random));
        }
    }
    if let Some(via) = &manner.via {
        append(headers, &VIA, via);
    }
    Ok(())
}

/// Puts into a response what its listener says. `id` is the request's, if it is to be told.
pub(crate) fn response(headers: &mut HeaderMap, manner: &Manner, id: Option<HeaderValue>) {
    if let Some(server) = &manner.server
        && (server.overwrite || !headers.contains_key(SERVER))
    {
        let _full = headers.try_insert(SERVER, server.name.clone());
    }
    if let Some(via) = &manner.via {
        append(headers, &VIA, via);
    }
    if let Some(id) = id {
        let _full = headers.try_insert(REQUEST_ID, id);
    }
}

/// What identifies a request, if its response is to say so.
pub(crate) fn request_id(headers: &HeaderMap, manner: &Manner) -> Option<HeaderValue> {
    headers.get(REQUEST_ID).filter(|_| manner.request_id.tell).cloned()
}

/// Refuses to become what the listener does not list. `h2c` is nobody's to ask for between here and an upstream, and left out later.
fn upgrade(headers: &HeaderMap, listed: &[String]) -> Result<(), Kind> {
    let Some(asked) = headers.get(UPGRADE).map(HeaderValue::as_bytes) else { return Ok(()) };
    let is = |name: &str| asked.eq_ignore_ascii_case(name.as_bytes());
    let means_it = || {
        let all =
            headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        all.map(<[u8]>::trim_ascii).any(|token| token.eq_ignore_ascii_case(b"upgrade"))
    };
    let refused = !is("h2c") && means_it() && !listed.iter().any(|name| is(name));
    if refused { Err(Kind::NoTunnel) } else { Ok(()) }
}

fn underscores(headers: &mut HeaderMap, action: Underscores) -> Result<(), Kind> {
    let has_one = |name: &HeaderName| name.as_str().contains('_');
    if action == Underscores::Allow || !headers.keys().any(has_one) {
        return Ok(());
    }
    if action == Underscores::Reject {
        return Err(Kind::Malformed("the name of a field has an underscore"));
    }
    let names: Vec<HeaderName> = headers.keys().filter(|name| has_one(name)).cloned().collect();
    names.iter().for_each(|name| drop(headers.remove(name)));
    Ok(())
}

/// Takes the port or the final dot off the authority, wherever the request has it.
fn strip<B>(request: &mut Request<B>, manner: &Manner, own: Option<u16>) -> Result<(), Kind> {
    // The port is what CONNECT is about.
    let tunnel = *request.method() == Method::CONNECT;
    let stripped = {
        let whole = crate::route::authority(request)?;
        let (host, port) = authority::split(whole);
        let rest = &whole[host.len()..];
        let host = if manner.strip_dot { host.strip_suffix('.').unwrap_or(host) } else { host };
        let gone = match manner.ports {
            HostPorts::Keep => false,
            HostPorts::StripOwn => port.is_some() && port == own,
            HostPorts::StripAny => true,
        };
        let stripped = if gone && !tunnel { host.to_owned() } else { format!("{host}{rest}") };
        if stripped == whole {
            return Ok(());
        }
        stripped
    };
    let bad = |_| Kind::Malformed("Host is not a host");
    if request.uri().authority().is_some() {
        let mut parts = request.uri().clone().into_parts();
        parts.authority = Some(Authority::try_from(stripped.as_str()).map_err(|_| bad(()))?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| bad(()))?;
        if !request.headers().contains_key(HOST) {
            return Ok(());
        }
    }
    request.headers_mut().insert(HOST, HeaderValue::try_from(stripped).map_err(|_| bad(()))?);
    Ok(())
}

/// Adds an element to a list that is one field or several; it becomes one.
fn append(headers: &mut HeaderMap, name: &HeaderName, element: &HeaderValue) {
    let mut all = Vec::new();
    for known in headers.get_all(name) {
        all.extend_from_slice(known.as_bytes());
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(element.as_bytes());
    // What is put together of valid values is one; where the map is full it stays without.
    if let Ok(all) = HeaderValue::from_bytes(&all) {
        let _full = headers.try_insert(name, all);
    }
}

/// A random UUID (RFC 9562, version 4).
fn uuid(random: &mut Random) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let mut text = [b'-'; 36];
    let places = (0..36).filter(|place| !matches!(place, 8 | 13 | 18 | 23));
    for (nibble, place) in places.enumerate() {
        text[place] = HEX[(bits >> (124 - 4 * nibble)) as usize & 0xf];
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests;
