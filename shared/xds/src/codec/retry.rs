//! When to try again.
//!
//! Envoy's `reset` retries whatever the method is, so a stock Envoy is told `reset-before-request`, which is safe; weir's own `reset` looks
//! at the method. gRPC statuses that Envoy has no word for are matched in the response headers.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{google, route};
use super::{text, wire};
use http::StatusCode;
use route::header_matcher::HeaderMatchSpecifier;
use std::time::Duration;
use weir_model::node::Target;
use weir_model::{RetryOn, RetryPolicy, StringMatch, limits};

/// gRPC statuses with a word of their own in `retry_on`.
const GRPC: [(u8, &str); 5] = [
    (1, "cancelled"),
    (4, "deadline-exceeded"),
    (8, "resource-exhausted"),
    (13, "internal"),
    (14, "unavailable"),
];

/// Envoy's back-off where a policy does not say.
const BACKOFF: Duration = Duration::from_millis(25);

/// The message of a policy and of the time one attempt may take, which Envoy keeps in the same place.
pub(super) fn encode(
    retry: Option<&RetryPolicy>,
    attempt: Option<Duration>,
    target: Target,
) -> Option<route::RetryPolicy> {
    let per_try_timeout = attempt.map(wire::duration);
    let Some(policy) = retry else {
        // gRPC knows neither a limit per attempt nor a policy of no retries.
        let per_try_timeout = per_try_timeout.filter(|_| target != Target::Grpc)?;
        let (num_retries, per_try_timeout) = (wire::wrap(0), Some(per_try_timeout));
        return Some(route::RetryPolicy { num_retries, per_try_timeout, ..route::RetryPolicy::default() });
    };
    if target == Target::Grpc && policy.attempts == 0 {
        return None;
    }
    let other = policy.on.grpc.iter().filter(|code| grpc_word(**code).is_none());
    let retriable_headers: Vec<_> = other.map(|code| grpc_status(*code)).collect();
    Some(route::RetryPolicy {
        retry_on: words(&policy.on, target, !retriable_headers.is_empty()).join(","),
        num_retries: wire::wrap(policy.attempts),
        per_try_timeout,
        retriable_status_codes: policy.on.statuses.iter().map(|status| u32::from(status.as_u16())).collect(),
        retriable_headers,
        retry_back_off: Some(route::retry_policy::RetryBackOff {
            base_interval: Some(wire::duration(policy.backoff_base)),
            max_interval: Some(wire::duration(policy.backoff_max)),
        }),
        ..route::RetryPolicy::default()
    })
}

/// The policy of a message, and the time one attempt may take.
pub(super) fn decode(message: &route::RetryPolicy) -> Check<(Option<RetryPolicy>, Option<Duration>)> {
    refuse!(message; per_try_idle_timeout, retry_priority, retry_host_predicate, retry_options_predicates,
        rate_limited_retry_back_off, retriable_request_headers, refresh_cluster_on_retry);
    let attempt = wire::timeout("per_try_timeout", message.per_try_timeout.as_ref())?;
    let attempts = message.num_retries.as_ref().map_or(1, |retries| retries.value);
    if attempts > limits::RETRIES {
        return Err(Fault::of("num_retries", format!("{attempts} is more than {}", limits::RETRIES)));
    }
    let on = from_words(message)?;
    if attempts == 0 && on == RetryOn::default() && message.retry_back_off.is_none() {
        return Ok((None, attempt));
    }
    let (backoff_base, backoff_max) = match &message.retry_back_off {
        Some(backoff) => from_backoff(backoff).at("retry_back_off")?,
        None => (BACKOFF, BACKOFF * 10),
    };
    Ok((Some(RetryPolicy { attempts, on, backoff_base, backoff_max }), attempt))
}

fn from_backoff(backoff: &route::retry_policy::RetryBackOff) -> Check<(Duration, Duration)> {
    let base: &google::Duration = required("base_interval", backoff.base_interval.as_ref())?;
    let base = wire::from_duration(base).at("base_interval")?;
    let max = wire::optional_duration("max_interval", backoff.max_interval.as_ref())?;
    Ok((base, max.unwrap_or(base.saturating_mul(10))))
}

fn words(on: &RetryOn, target: Target, headers: bool) -> Vec<&'static str> {
    let reset = if target == Target::Envoy { "reset-before-request" } else { "reset" };
    let mut words = Vec::new();
    words.extend(on.connect_failure.then_some("connect-failure"));
    words.extend(on.refused_stream.then_some("refused-stream"));
    words.extend(on.reset.then_some(reset));
    words.extend(on.grpc.iter().filter_map(|code| grpc_word(*code)));
    words.extend((!on.statuses.is_empty()).then_some("retriable-status-codes"));
    words.extend(headers.then_some("retriable-headers"));
    words
}

fn from_words(message: &route::RetryPolicy) -> Check<RetryOn> {
    let mut on = RetryOn::default();
    let listed =
        each("retriable_status_codes", &message.retriable_status_codes, 1000, |status| from_status(*status))?;
    let headers =
        each("retriable_headers", &message.retriable_headers, limits::HEAD_FIELDS, from_grpc_status)?;
    for word in message.retry_on.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "connect-failure" => on.connect_failure = true,
            "refused-stream" => on.refused_stream = true,
            "reset" | "reset-before-request" => on.reset = true,
            "retriable-status-codes" => on.statuses.extend(&listed),
            "retriable-headers" => on.grpc.extend(&headers),
            "gateway-error" => {
                on.statuses.extend((502..=504).filter_map(|status| StatusCode::from_u16(status).ok()))
            }
            "5xx" => {
                (on.connect_failure, on.refused_stream, on.reset) = (true, true, true);
                on.statuses.extend((500..=599).filter_map(|status| StatusCode::from_u16(status).ok()));
            }
            _ => match GRPC.iter().find(|(_, known)| *known == word) {
                Some((code, _)) => on.grpc.push(*code),
                None => return Err(Fault::of("retry_on", format!("{:?} is not supported", wire::cut(word)))),
            },
        }
    }
    on.statuses.sort_unstable();
    on.statuses.dedup();
    on.grpc.sort_unstable();
    on.grpc.dedup();
    Ok(on)
}

fn from_status(status: u32) -> Check<StatusCode> {
    let status_code = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    status_code.ok_or_else(|| Fault::new(format!("{status} is no HTTP status")))
}

fn grpc_word(code: u8) -> Option<&'static str> {
    GRPC.iter().find(|(known, _)| *known == code).map(|(_, word)| *word)
}

fn grpc_status(code: u8) -> route::HeaderMatcher {
    let matcher = text::encode(&StringMatch::Exact(code.to_string()));
    route::HeaderMatcher {
        name: "grpc-status".to_owned(),
        header_match_specifier: matcher.map(HeaderMatchSpecifier::StringMatch),
        ..route::HeaderMatcher::default()
    }
}

fn from_grpc_status(matcher: &route::HeaderMatcher) -> Check<u8> {
    refuse!(matcher; invert_match, treat_missing_header_as_empty);
    let value = match &matcher.header_match_specifier {
        Some(HeaderMatchSpecifier::StringMatch(value)) => text::decode(value).at("string_match")?,
        _ => StringMatch::Present,
    };
    let code = match value {
        StringMatch::Exact(code) if matcher.name == "grpc-status" => code.parse().ok(),
        _ => None,
    };
    code.ok_or_else(|| Fault::new("only an exact grpc-status is supported"))
}
