//! Requests that become tunnels over HTTP/2 (RFC 8441): a stream that asks for another protocol is taken for what it would be over HTTP/1.1,
//! an `Upgrade`, so that routes, policies and upstreams see one thing; where the upstream switches, the stream is the connection.
//!
//! Only listeners that say so take such requests; the codec refuses them elsewhere. What is carried is bounded as on any stream: by
//! HTTP/2's windows, the buffer of what waits to be sent, and the copy's own.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use weir_model::Random;
use weir_runtime::io::HyperIo;

use crate::body::Body;
use crate::tcp::{self, Upgrade};

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// The stream of a request that wants to be a tunnel, once its response says that it is one.
pub(crate) struct Tunnel {
    stream: OnUpgrade,
}

/// Turns a request for another protocol into an upgrade; nothing happens to others.
pub(crate) fn of<B>(request: &mut Request<B>, random: &mut Random) -> Option<Box<Tunnel>> {
    if *request.method() != Method::CONNECT || request.version() != Version::HTTP_2 {
        return None;
    }
    let protocol = request.extensions_mut().remove::<Protocol>()?;
    let protocol = HeaderValue::from_str(protocol.as_str()).ok()?;
    let stream = hyper::upgrade::on(&mut *request);
    *request.method_mut() = Method::GET;
    let websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    let headers = request.headers_mut();
    // Where the map is full it is no upgrade, and refused for that.
    let _full = headers.try_insert(CONNECTION, HeaderValue::from_static("upgrade"));
    let _full = headers.try_insert(UPGRADE, protocol);
    if websocket && !headers.contains_key(KEY) {
        let _full = headers.try_insert(KEY, key(random));
    }
    Some(Box::new(Tunnel { stream }))
}

/// A key for a handshake over HTTP/1.1, which HTTP/2 does without: sixteen bytes in base 64 (RFC 6455 section 4.1).
fn key(random: &mut Random) -> HeaderValue {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
    let mut text = [b'='; 24];
    for (place, digit) in text.iter_mut().take(22).enumerate() {
        // Six bits at a time from the top; the last digit has two, and zeros behind them.
        let six = match 122_usize.checked_sub(6 * place) {
            Some(shift) => bits >> shift,
            None => bits << 4,
        };
        *digit = DIGITS[six as usize & 63];
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Answers a request whose upstream has switched: from here on its stream is the tunnel.
pub(crate) fn open(mut upgrade: Upgrade, head: http::response::Parts) -> Response<Body> {
    let mut response = Response::from_parts(head, Body::Empty);
    *response.status_mut() = StatusCode::OK;
    strip(response.headers_mut());
    // What was sent is what the log says.
    upgrade.exchange.status = Some(StatusCode::OK);
    let tunnel = upgrade.exchange.extra.as_mut().and_then(|extra| extra.tunnel.take());
    if let Some(tunnel) = tunnel {
        tokio::task::spawn_local(async move {
            // Fails only if the stream is gone before it has begun.
            if let Ok(stream) = tunnel.stream.await {
                tcp::carry_upgraded(HyperIo::new(stream), &[], upgrade).await;
            }
        });
    }
    response
}

/// What belongs to the handshake over HTTP/1.1.
fn strip(headers: &mut HeaderMap) {
    for name in [CONNECTION, UPGRADE, ACCEPT] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
