//! Whether a request is within its rate (stage 8).
//!
//! One that is not is answered with `Retry-After` and with `RateLimit` and `RateLimit-Policy` as draft 10 of the IETF's "RateLimit header
//! fields for HTTP" (draft-ietf-httpapi-ratelimit-headers) has them: structured fields which name the policy.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use weir_config::snapshot::filters::{Excess, Limits};
use weir_decide::{header, limit as decide};
use weir_model::LimitKey;

use crate::exchange::Exchange;
use crate::reject::Kind;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Takes the request's tokens, or turns it away.
pub(crate) fn admit(exchange: &mut Exchange, limits: &Limits, headers: &HeaderMap) -> Result<(), Kind> {
    let octets = match exchange.downstream.peer.ip().to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let value = |key: &LimitKey| match key {
        LimitKey::Header(name) => header::joined(headers, name),
        LimitKey::SourceAddress => Some(Cow::Borrowed(octets.as_slice())),
    };
    limits.take(value, exchange.started).map_err(|excess| {
        tell(&limits.model.name, &excess, exchange.extra().stamp_mut());
        Kind::RateLimited { status: limits.model.status, exhausted: limits.model.exhausted }
    })
}

/// How long to wait, and what the limit is.
fn tell(name: &str, excess: &Excess, headers: &mut HeaderMap) {
    let wait = decide::whole_seconds(excess.wait);
    headers.insert(RETRY_AFTER, HeaderValue::from(wait));
    let name = quoted(name);
    let window = decide::whole_seconds(excess.bucket.window());
    let policy = format!("{name};q={};w={window}", excess.bucket.policy.burst);
    for (field, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, format!("{name};r=0;t={wait}"))] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(field, value);
        }
    }
}

/// A string of a structured field (RFC 9651 section 3.3.3); what cannot stand in one becomes a question mark.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars().take(64) {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            ' '..='~' => quoted.push(char),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
