//! Rate limits: Envoy's `local_ratelimit`.
//!
//! A limit by a key is a descriptor without a value, which Envoy counts for each value by itself, and the action that makes it. Envoy must have
//! a bucket for everything; where there is no such limit, it is one that is never empty.

use super::super::fault::{At, Check, Fault, each, is_set, refuse, required};
use super::super::pb::{core, descriptors, google, kind, local_ratelimit, route};
use super::super::{header, wire};
use descriptors::rate_limit_descriptor::Entry;
use descriptors::{LocalRateLimitDescriptor, VhRateLimitsOptions};
use http::StatusCode;
use local_ratelimit::LocalRateLimit;
use route::rate_limit::action::{ActionSpecifier, RemoteAddress, RequestHeaders};
use std::time::Duration;
use weir_model::{Fraction, KeyedLimit, LimitKey, RateLimits, TokenBucket, limits};

/// The key of the descriptor that Envoy makes of an address.
const REMOTE_ADDRESS: &str = "remote_address";
/// A bucket that is never empty.
const OPEN: TokenBucket =
    TokenBucket { burst: u32::MAX, requests: u32::MAX, interval: Duration::from_secs(1) };

/// The message of limits, of which there is at least one.
pub(super) fn encode(limits: &RateLimits) -> LocalRateLimit {
    let descriptors = limits.keyed.iter().map(|limit| LocalRateLimitDescriptor {
        entries: vec![Entry { key: key_of(&limit.key).to_owned(), value: String::new() }],
        token_bucket: Some(bucket(&limit.bucket)),
        ..LocalRateLimitDescriptor::default()
    });
    let rate_limits = limits.keyed.iter().map(|limit| route::RateLimit {
        actions: vec![route::rate_limit::Action { action_specifier: Some(action(&limit.key)) }],
        ..route::RateLimit::default()
    });
    LocalRateLimit {
        stat_prefix: limits.name.clone(),
        status: (limits.status != StatusCode::TOO_MANY_REQUESTS)
            .then(|| kind::HttpStatus { code: i32::from(limits.status.as_u16()) }),
        token_bucket: Some(bucket(limits.all.as_ref().unwrap_or(&OPEN))),
        filter_enabled: everything(),
        filter_enforced: everything(),
        descriptors: descriptors.collect(),
        rate_limits: rate_limits.collect(),
        rate_limited_as_resource_exhausted: limits.exhausted,
        // Envoy would count twenty values only.
        max_dynamic_descriptors: (!limits.keyed.is_empty())
            .then_some(google::UInt32Value { value: (limits::RATE_LIMIT_CELLS / 4) as u32 }),
        enable_retry_after_header: true,
        ..LocalRateLimit::default()
    }
}

/// What an Envoy takes as a filter that limits nothing.
pub(super) fn nothing() -> LocalRateLimit {
    LocalRateLimit { stat_prefix: "routes".to_owned(), ..LocalRateLimit::default() }
}

fn everything() -> Option<core::RuntimeFractionalPercent> {
    Some(core::RuntimeFractionalPercent {
        default_value: Some(wire::fraction(Fraction(1_000_000))),
        ..core::RuntimeFractionalPercent::default()
    })
}

fn key_of(key: &LimitKey) -> &str {
    match key {
        LimitKey::Header(name) => name.as_str(),
        LimitKey::SourceAddress => REMOTE_ADDRESS,
    }
}

fn action(key: &LimitKey) -> ActionSpecifier {
    match key {
        LimitKey::Header(name) => ActionSpecifier::RequestHeaders(RequestHeaders {
            header_name: name.as_str().to_owned(),
            descriptor_key: name.as_str().to_owned(),
            ..RequestHeaders::default()
        }),
        LimitKey::SourceAddress => ActionSpecifier::RemoteAddress(RemoteAddress {}),
    }
}

fn bucket(bucket: &TokenBucket) -> kind::TokenBucket {
    kind::TokenBucket {
        max_tokens: bucket.burst,
        tokens_per_fill: wire::wrap(bucket.requests),
        fill_interval: Some(wire::duration(bucket.interval)),
    }
}

/// The limits of a message; none if it is switched off.
pub(super) fn decode(message: &LocalRateLimit) -> Check<RateLimits> {
    refuse!(message; request_headers_to_add_when_not_enforced, response_headers_to_add, stage,
        local_rate_limit_per_downstream_connection, local_cluster_rate_limit, enable_x_ratelimit_headers);
    if message.vh_rate_limits != VhRateLimitsOptions::Override as i32 {
        return Err(Fault::unsupported("vh_rate_limits"));
    }
    let enabled = all_or_nothing("filter_enabled", message.filter_enabled.as_ref())?;
    let enforced = all_or_nothing("filter_enforced", message.filter_enforced.as_ref())?;
    if !(enabled && enforced) {
        // Envoy would count, and let everything through.
        return Ok(RateLimits::default());
    }
    let all = from_bucket(required("token_bucket", message.token_bucket.as_ref())?).at("token_bucket")?;
    let all = Some(all).filter(|all| *all != OPEN);
    let keyed = from_descriptors(message)?;
    let consumes = message.always_consume_default_token_bucket.is_none_or(|always| always.value);
    if !consumes && all.is_some() && !keyed.is_empty() {
        return Err(Fault::of(
            "always_consume_default_token_bucket",
            "only true is supported with descriptors",
        ));
    }
    let limits = RateLimits {
        name: wire::name("stat_prefix", &message.stat_prefix)?,
        all,
        keyed,
        status: from_status(message.status.as_ref())?,
        exhausted: message.rate_limited_as_resource_exhausted,
        shared: false,
    };
    Ok(if limits.is_empty() { RateLimits::default() } else { limits })
}

/// Whether a switch is on for all requests or for none.
fn all_or_nothing(field: &str, switch: Option<&core::RuntimeFractionalPercent>) -> Check<bool> {
    let Some(switch) = switch else { return Ok(false) };
    let value = required("default_value", switch.default_value.as_ref()).at(field)?;
    match wire::from_fraction(value).at("default_value").at(field)?.0 {
        0 => Ok(false),
        1_000_000 => Ok(true),
        _ => Err(Fault::of(field, "only 0 and 100 % are supported")),
    }
}

fn from_status(status: Option<&kind::HttpStatus>) -> Check<StatusCode> {
    let Some(status) = status else { return Ok(StatusCode::TOO_MANY_REQUESTS) };
    // Envoy has a list of those it takes.
    let known = kind::StatusCode::try_from(status.code).ok();
    let code = known.and_then(|_| StatusCode::from_u16(u16::try_from(status.code).ok()?).ok());
    match code {
        // As Envoy has it: what is no error is no answer to an excess.
        Some(code) if code.as_u16() < 400 => Ok(StatusCode::TOO_MANY_REQUESTS),
        Some(code) => Ok(code),
        None if status.code == 0 => Ok(StatusCode::TOO_MANY_REQUESTS),
        None => Err(Fault::of("status.code", format!("{} is no HTTP status", status.code))),
    }
}

fn from_bucket(message: &kind::TokenBucket) -> Check<TokenBucket> {
    let requests = message.tokens_per_fill.as_ref().map_or(1, |tokens| tokens.value);
    let interval = wire::from_duration(required("fill_interval", message.fill_interval.as_ref())?)
        .at("fill_interval")?;
    for (field, value) in [("max_tokens", message.max_tokens), ("tokens_per_fill", requests)] {
        if value == 0 {
            return Err(Fault::of(field, "must be at least 1"));
        }
    }
    if interval.is_zero() {
        return Err(Fault::of("fill_interval", "must be longer than 0s"));
    }
    Ok(TokenBucket { burst: message.max_tokens, requests, interval })
}

fn from_descriptors(message: &LocalRateLimit) -> Check<Vec<KeyedLimit>> {
    let made = each("rate_limits", &message.rate_limits, limits::RATE_LIMITS, from_rate_limit)?;
    let mut keyed: Vec<KeyedLimit> = Vec::new();
    let decoded = each("descriptors", &message.descriptors, limits::RATE_LIMITS, |descriptor| {
        refuse!(descriptor; shadow_mode);
        let [entry] = descriptor.entries.as_slice() else {
            return Err(Fault::of("entries", "only descriptors of one entry are supported"));
        };
        if is_set(&entry.value) {
            return Err(Fault::of("entries[0].value", "only descriptors without a value are supported"));
        }
        let action = made.iter().find(|(key, _)| *key == entry.key).map(|(_, action)| action.clone());
        let Some(key) = action else {
            let message = format!("no action in rate_limits makes {:?}", wire::cut(&entry.key));
            return Err(Fault::of("entries[0].key", message));
        };
        let bucket = required("token_bucket", descriptor.token_bucket.as_ref())?;
        Ok(KeyedLimit { key, bucket: from_bucket(bucket).at("token_bucket")? })
    })?;
    for (index, limit) in decoded.into_iter().enumerate() {
        if keyed.iter().any(|known| known.key == limit.key) {
            return Err(Fault::of(&format!("descriptors[{index}]"), "there is one of this key already"));
        }
        keyed.push(limit);
    }
    Ok(keyed)
}

/// The key of the descriptor that an entry of `rate_limits` makes, and of what.
fn from_rate_limit(message: &route::RateLimit) -> Check<(String, LimitKey)> {
    refuse!(message; stage, disable_key, limit, hits_addend, apply_on_stream_done, x_ratelimit_option);
    let [action] = message.actions.as_slice() else {
        return Err(Fault::of("actions", "only one action for each is supported"));
    };
    match &action.action_specifier {
        Some(ActionSpecifier::RequestHeaders(headers)) => {
            let path = "actions[0].request_headers";
            let name = header::header_name(&headers.header_name).at("header_name").at(path)?;
            let key = wire::name("descriptor_key", &headers.descriptor_key).at(path)?;
            Ok((key, LimitKey::Header(name)))
        }
        Some(ActionSpecifier::RemoteAddress(_)) => Ok((REMOTE_ADDRESS.to_owned(), LimitKey::SourceAddress)),
        _ => Err(Fault::of("actions[0]", "only request_headers and remote_address are supported")),
    }
}
