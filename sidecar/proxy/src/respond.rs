//! How a request that no upstream answered is answered here (stage 13), and the last touch on those that one did.
//!
//! One exhaustive match takes a [`Kind`] to an HTTP status, a gRPC status and Envoy's response flag. A gRPC caller gets the gRPC
//! status in a response without body (trailers-only), everybody else the HTTP status and one line of text.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SERVER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use weir_config::{Route, Target};
use weir_decide::{hop, redirect};
use weir_model::{AbortAnswer, DirectResponse, Redirect};

use crate::changes;
use crate::exchange::{Exchange, Source};
use crate::reject::{Kind, Reject};

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The answer to a head of HTTP/1 that did not come in time. There is no request to answer, so it is written as it stands.
pub(crate) const SLOW_HEAD: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nserver: weir\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What a [`Kind`] is on the wire and in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The status code of gRPC.
    pub(crate) grpc: u8,
    /// Envoy's response flag; empty where it has none.
    pub(crate) flag: &'static str,
}

/// gRPC's status codes, as far as they are given here.
mod grpc {
    pub(super) const CANCELLED: u8 = 1;
    pub(super) const UNKNOWN: u8 = 2;
    pub(super) const DEADLINE_EXCEEDED: u8 = 4;
    pub(super) const PERMISSION_DENIED: u8 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(super) const UNIMPLEMENTED: u8 = 12;
    pub(super) const INTERNAL: u8 = 13;
    pub(super) const UNAVAILABLE: u8 = 14;
    pub(super) const UNAUTHENTICATED: u8 = 16;
}

/// The answer to a kind.
pub(crate) fn answer(kind: &Kind) -> Answer {
    let (status, grpc, flag) = match kind {
        Kind::Malformed(_) => (StatusCode::BAD_REQUEST, grpc::INTERNAL, "DPE"),
        Kind::TooManyFields | Kind::HeadTooLarge => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, grpc::INTERNAL, "DPE")
        }
        // Envoy has no flag for these.
        Kind::NoTunnel => (StatusCode::FORBIDDEN, grpc::PERMISSION_DENIED, ""),
        Kind::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, grpc::RESOURCE_EXHAUSTED, ""),
        Kind::NotConfigured | Kind::NameUnknown(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, grpc::UNAVAILABLE, "NC")
        }
        Kind::NoSuchName | Kind::NoRoute => (StatusCode::NOT_FOUND, grpc::UNIMPLEMENTED, "NR"),
        Kind::RateLimited { status, exhausted } => {
            (*status, if *exhausted { grpc::RESOURCE_EXHAUSTED } else { grpc::UNAVAILABLE }, "RL")
        }
        Kind::Aborted(AbortAnswer::Http(status)) => (*status, grpc_of(*status), "FI"),
        Kind::Aborted(AbortAnswer::Grpc(code)) => (http_of(*code), *code, "FI"),
        Kind::NoEndpoint => (StatusCode::SERVICE_UNAVAILABLE, grpc::UNAVAILABLE, "UH"),
        Kind::Dropped => (StatusCode::SERVICE_UNAVAILABLE, grpc::UNAVAILABLE, "DO"),
        Kind::Overflow(_) => (StatusCode::SERVICE_UNAVAILABLE, grpc::UNAVAILABLE, "UO"),
        Kind::ConnectFailed(_) | Kind::ConnectTimeout => {
            (StatusCode::SERVICE_UNAVAILABLE, grpc::UNAVAILABLE, "UF")
        }
        Kind::ConnectionLost { .. } => (StatusCode::SERVICE_UNAVAILABLE, grpc::UNAVAILABLE, "UC"),
        Kind::StreamReset(_) | Kind::Refused => (StatusCode::SERVICE_UNAVAILABLE, grpc::UNAVAILABLE, "UR"),
        Kind::Spent => (StatusCode::SERVICE_UNAVAILABLE, grpc::UNAVAILABLE, "URX"),
        Kind::Protocol => (StatusCode::BAD_GATEWAY, grpc::UNAVAILABLE, "UPE"),
        Kind::RequestTimeout | Kind::AttemptTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, grpc::DEADLINE_EXCEEDED, "UT")
        }
        Kind::DurationTimeout => (StatusCode::GATEWAY_TIMEOUT, grpc::DEADLINE_EXCEEDED, "DT"),
        Kind::UnfinishedTimeout => (StatusCode::REQUEST_TIMEOUT, grpc::DEADLINE_EXCEEDED, "DT"),
        Kind::SlowRequest => (StatusCode::REQUEST_TIMEOUT, grpc::DEADLINE_EXCEEDED, "SI"),
        Kind::IdleTimeout => (StatusCode::GATEWAY_TIMEOUT, grpc::DEADLINE_EXCEEDED, "SI"),
        Kind::DownstreamLost => (StatusCode::BAD_REQUEST, grpc::CANCELLED, "DC"),
        Kind::Draining => (StatusCode::SERVICE_UNAVAILABLE, grpc::UNAVAILABLE, "LR"),
    };
    Answer { status, grpc, flag }
}

/// The response to a request that was turned away.
pub(crate) fn rejected(reject: &Reject, is_grpc: bool) -> Response<Source> {
    let Answer { status, grpc, flag } = answer(&reject.kind);
    let flag = if flag.is_empty() { String::new() } else { format!(" ({flag})") };
    if is_grpc {
        return trailers_only(grpc, &format!("{}{flag}", reject.kind));
    }
    let exhausted = if reject.retried { ", after retries" } else { "" };
    text(status, Bytes::from(format!("{}{exhausted}{flag}\n", reject.kind)))
}

/// A response that says everything in its head.
pub(crate) fn empty() -> Response<Source> {
    text(StatusCode::OK, Bytes::new())
}

/// The response of a route that answers by itself.
pub(crate) fn direct(direct: &DirectResponse, is_grpc: bool) -> Response<Source> {
    if is_grpc {
        return trailers_only(grpc_of(direct.status), &direct.body);
    }
    text(direct.status, Bytes::copy_from_slice(direct.body.as_bytes()))
}

/// Says what a response of ours is, where that is not plain text. A caller of gRPC reads no body.
pub(crate) fn typed(response: &mut Response<Source>, content_type: Option<&HeaderValue>, is_grpc: bool) {
    if let Some(kind) = content_type.filter(|_| !is_grpc && response.headers().contains_key(CONTENT_TYPE)) {
        response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
}

/// Takes away what a route says of the body of its own answer, where that has none, as Envoy does.
pub(crate) fn untyped(response: &mut Response<Source>, direct: &DirectResponse, is_grpc: bool) {
    if direct.body.is_empty() && !is_grpc {
        response.headers_mut().remove(CONTENT_TYPE);
    }
}

/// The response that sends the caller elsewhere.
pub(crate) fn redirected<B>(
    redirect: &Redirect,
    route: &Route,
    request: &Request<B>,
) -> Result<Response<Source>, Kind> {
    let authority = crate::route::authority(request)?;
    let original = redirect::Original {
        scheme: "http",
        authority,
        path: request.uri().path(),
        query: request.uri().query(),
        prefix: route.prefix.as_deref(),
        substitute: route.more.as_deref().and_then(|more| more.path.as_ref()),
    };
    let location = redirect::location(redirect, &original);
    let location = location.map_err(|_| Kind::Malformed("its target cannot stand in Location"))?;
    let mut response = text(redirect.status, Bytes::new());
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// Prepares an upstream's response for the downstream: what ends at this hop goes, then the policy's changes in order.
pub(crate) fn finish(
    exchange: &Exchange,
    response: &mut Response<Source>,
    route: &Route,
    target: Option<&Target>,
) {
    let (status, downstream) = (response.status(), exchange.version);
    hop::response(response.headers_mut(), status, downstream);
    changed(exchange, response, route, target);
    *response.version_mut() = if downstream == Version::HTTP_2 { Version::HTTP_2 } else { Version::HTTP_11 };
}

/// Applies what a route changes in responses, and before it what its chosen target does.
pub(crate) fn changed(
    exchange: &Exchange,
    response: &mut Response<Source>,
    route: &Route,
    target: Option<&Target>,
) {
    let status = response.status();
    changes::response(exchange, route, target, status, response.headers_mut());
}

/// The gRPC status in response headers or trailers.
pub(crate) fn grpc_status(headers: &HeaderMap) -> Option<u8> {
    headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

pub(crate) fn text(status: StatusCode, body: Bytes) -> Response<Source> {
    let mut response = Response::new(Source::None);
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("weir"));
    // A status without content has no length either (RFC 9110 section 8.6).
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) && !status.is_informational() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            *response.body_mut() = Source::Local(body);
        }
    }
    *response.status_mut() = status;
    response
}

fn trailers_only(status: u8, message: &str) -> Response<Source> {
    let mut response = Response::new(Source::None);
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("weir"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(status)));
    if let Ok(message) = HeaderValue::try_from(percent_encoded(message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
    response
}

/// As gRPC over HTTP/2 has it for `grpc-message`: everything but printable ASCII, and the percent sign itself.
fn percent_encoded(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The HTTP status that is closest to a status of gRPC, as `google.rpc.Code` maps them.
fn http_of(code: u8) -> StatusCode {
    match code {
        0 => StatusCode::OK,
        // It left before it was answered; the number is nginx's.
        1 => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        4 => StatusCode::GATEWAY_TIMEOUT,
        5 => StatusCode::NOT_FOUND,
        6 | 10 => StatusCode::CONFLICT,
        7 => StatusCode::FORBIDDEN,
        8 => StatusCode::TOO_MANY_REQUESTS,
        12 => StatusCode::NOT_IMPLEMENTED,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        16 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a gRPC caller makes of an HTTP status (gRPC's "HTTP to gRPC status code mapping").
fn grpc_of(status: StatusCode) -> u8 {
    match status {
        StatusCode::OK => 0,
        StatusCode::BAD_REQUEST => grpc::INTERNAL,
        StatusCode::UNAUTHORIZED => grpc::UNAUTHENTICATED,
        StatusCode::FORBIDDEN => grpc::PERMISSION_DENIED,
        StatusCode::NOT_FOUND => grpc::UNIMPLEMENTED,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => grpc::UNAVAILABLE,
        _ => grpc::UNKNOWN,
    }
}

#[cfg(test)]
mod tests;
