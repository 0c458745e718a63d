//! When to try again.
//!
//! Envoy's `reset` retries whatever the method is, so a stock Envoy is told `reset-before-request`, which is safe; weir's own `reset` looks
//! at the method. gRPC statuses that Envoy has no word for are matched in the response headers. Envoy's `reset-before-request` and its
//! `connect-failure` are one thing to weir, which sends a request's head only over a connection that it has.
//!
//! A virtual host's policies are those of its routes that have none of their own; Envoy does not mix two of them either.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{google, previous_hosts, route};
use super::{header, matches, text, wire};
use http::StatusCode;
use route::header_matcher::HeaderMatchSpecifier;
use std::time::Duration;
use weir_model::node::Target;
use weir_model::{
    AskedWait, HeaderMatch, ResetFormat, RetryOn, RetryPolicy, Route, RouteAction, StringMatch, Timeouts,
    limits,
};

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

/// The longest wait an upstream may ask for where a policy does not say.
const ASKED: Duration = Duration::from_secs(300);

/// How often an Envoy picks anew to find an endpoint that was not tried; weir finds one if there is one.
const PICKS: i64 = 5;

/// A policy, and how long one attempt may take, which Envoy keeps in the same place.
#[derive(Default)]
pub(super) struct Attempts {
    pub(super) retry: Option<RetryPolicy>,
    pub(super) timeout: Option<Duration>,
    pub(super) idle: Option<Duration>,
}

/// The message of a policy and of how long one attempt may take.
pub(super) fn encode(
    retry: Option<&RetryPolicy>,
    timeouts: &Timeouts,
    target: Target,
) -> Option<route::RetryPolicy> {
    let per_try_timeout = timeouts.backend_request.map(wire::duration);
    let per_try_idle_timeout = timeouts.attempt_idle.map(wire::duration);
    let Some(policy) = retry else {
        // gRPC knows neither a limit per attempt nor a policy of no retries.
        if target == Target::Grpc || (per_try_timeout.is_none() && per_try_idle_timeout.is_none()) {
            return None;
        }
        return Some(route::RetryPolicy {
            num_retries: wire::wrap(0),
            per_try_timeout,
            per_try_idle_timeout,
            ..route::RetryPolicy::default()
        });
    };
    if target == Target::Grpc && policy.attempts == 0 {
        return None;
    }
    let other = policy.on.grpc.iter().filter(|code| grpc_word(**code).is_none());
    let mut retriable_headers: Vec<_> = other.map(|code| grpc_status(*code)).collect();
    retriable_headers.extend(policy.on.headers.iter().map(matches::header_match));
    let previous_hosts = || route::retry_policy::RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(route::retry_policy::retry_host_predicate::ConfigType::TypedConfig(wire::pack(
            &previous_hosts::PreviousHostsPredicate {},
        ))),
    };
    let avoid = policy.avoid_tried && target != Target::Grpc;
    Some(route::RetryPolicy {
        retry_on: words(&policy.on, target, !retriable_headers.is_empty()).join(","),
        num_retries: wire::wrap(policy.attempts),
        per_try_timeout,
        per_try_idle_timeout,
        retry_host_predicate: avoid.then(previous_hosts).into_iter().collect(),
        host_selection_retry_max_attempts: if avoid { PICKS } else { 0 },
        rate_limited_retry_back_off: policy.asked.as_ref().map(asked),
        retriable_request_headers: policy.requests.iter().map(matches::header_match).collect(),
        retriable_status_codes: policy.on.statuses.iter().map(|status| u32::from(status.as_u16())).collect(),
        retriable_headers,
        retry_back_off: Some(route::retry_policy::RetryBackOff {
            base_interval: Some(wire::duration(policy.backoff_base)),
            max_interval: Some(wire::duration(policy.backoff_max)),
        }),
        ..route::RetryPolicy::default()
    })
}

/// The policy of a message, and how long one attempt may take.
pub(super) fn decode(message: &route::RetryPolicy) -> Check<Attempts> {
    refuse!(message; retry_priority, retry_options_predicates, refresh_cluster_on_retry);
    let timeout = wire::timeout("per_try_timeout", message.per_try_timeout.as_ref())?;
    let idle = wire::timeout("per_try_idle_timeout", message.per_try_idle_timeout.as_ref())?;
    let attempts = message.num_retries.as_ref().map_or(1, |retries| retries.value);
    if attempts > limits::RETRIES {
        return Err(Fault::of("num_retries", format!("{attempts} is more than {}", limits::RETRIES)));
    }
    let on = from_words(message)?;
    let requests = each(
        "retriable_request_headers",
        &message.retriable_request_headers,
        limits::RETRY_HEADERS,
        matches::from_header_match,
    )?;
    let hosts = each("retry_host_predicate", &message.retry_host_predicate, 16, from_host_predicate)?;
    let asked = match &message.rate_limited_retry_back_off {
        Some(backoff) => Some(from_asked(backoff).at("rate_limited_retry_back_off")?),
        None => None,
    };
    if attempts == 0 && on == RetryOn::default() && message.retry_back_off.is_none() {
        return Ok(Attempts { retry: None, timeout, idle });
    }
    let (backoff_base, backoff_max) = match &message.retry_back_off {
        Some(backoff) => from_backoff(backoff).at("retry_back_off")?,
        None => (BACKOFF, BACKOFF * 10),
    };
    let avoid_tried = !hosts.is_empty();
    let retry =
        RetryPolicy { attempts, on, backoff_base, backoff_max, asked, requests, avoid_tried, hedge: false };
    Ok(Attempts { retry: Some(retry), timeout, idle })
}

/// The message that asks for hedging.
pub(super) fn hedging(retry: Option<&RetryPolicy>, target: Target) -> Option<route::HedgePolicy> {
    let hedge = retry.is_some_and(|policy| policy.hedge) && target != Target::Grpc;
    hedge.then(|| route::HedgePolicy { hedge_on_per_try_timeout: true, ..route::HedgePolicy::default() })
}

/// Whether a message asks for hedging.
pub(super) fn from_hedging(message: Option<&route::HedgePolicy>) -> Check<bool> {
    let Some(message) = message else { return Ok(false) };
    let initial = message.initial_requests.as_ref().map_or(1, |requests| requests.value);
    if initial != 1 {
        return Err(Fault::of("initial_requests", format!("{initial} is not supported; leave it at 1")));
    }
    if message.additional_request_chance.as_ref().is_some_and(|chance| chance.numerator > 0) {
        return Err(Fault::unsupported("additional_request_chance"));
    }
    Ok(message.hedge_on_per_try_timeout)
}

/// Gives the policies of a virtual host to those of its routes, decoded from `messages`, that have none of their own.
pub(super) fn inherit(
    host: &route::VirtualHost,
    messages: &[route::Route],
    routes: &mut [Route],
) -> Check<()> {
    let hedge = from_hedging(host.hedge_policy.as_ref()).at("hedge_policy")?;
    for (message, route) in messages.iter().zip(routes) {
        let (Some(route::route::Action::Route(own)), RouteAction::Forward(forward)) =
            (&message.action, &mut route.action)
        else {
            continue;
        };
        if let (None, Some(policy)) = (&own.retry_policy, &host.retry_policy) {
            let hedged = from_hedging(own.hedge_policy.as_ref()).at("hedge_policy")?;
            let Attempts { retry, timeout, idle } = decode(policy).at("retry_policy")?;
            forward.retry = retry.map(|retry| RetryPolicy { hedge: hedged, ..retry });
            (forward.timeouts.backend_request, forward.timeouts.attempt_idle) = (timeout, idle);
        }
        if let (None, true, Some(retry)) = (&own.hedge_policy, hedge, &mut forward.retry) {
            retry.hedge = true;
        }
    }
    // A policy that no route takes over must be a good one all the same.
    host.retry_policy.as_ref().map_or(Ok(()), |policy| decode(policy).at("retry_policy").map(drop))
}

fn from_host_predicate(predicate: &route::retry_policy::RetryHostPredicate) -> Check<()> {
    use route::retry_policy::retry_host_predicate::ConfigType::TypedConfig;
    match &predicate.config_type {
        Some(TypedConfig(config)) => {
            wire::unpack::<previous_hosts::PreviousHostsPredicate>(config).map(drop).at("typed_config")
        }
        None => Err(Fault::of("typed_config", "missing")),
    }
}

fn asked(asked: &AskedWait) -> route::retry_policy::RateLimitedRetryBackOff {
    use route::retry_policy::{ResetHeader, ResetHeaderFormat};
    let field = |(name, format): &(weir_model::HeaderName, ResetFormat)| ResetHeader {
        name: name.as_str().to_owned(),
        format: match format {
            ResetFormat::Seconds => ResetHeaderFormat::Seconds,
            ResetFormat::UnixTimestamp => ResetHeaderFormat::UnixTimestamp,
        } as i32,
    };
    route::retry_policy::RateLimitedRetryBackOff {
        reset_headers: asked.fields.iter().map(field).collect(),
        max_interval: Some(wire::duration(asked.max)),
    }
}

fn from_asked(message: &route::retry_policy::RateLimitedRetryBackOff) -> Check<AskedWait> {
    use route::retry_policy::{ResetHeader, ResetHeaderFormat};
    let from_field = |field: &ResetHeader| {
        let format = match ResetHeaderFormat::try_from(field.format) {
            Ok(ResetHeaderFormat::Seconds) => ResetFormat::Seconds,
            Ok(ResetHeaderFormat::UnixTimestamp) => ResetFormat::UnixTimestamp,
            Err(_) => return Err(Fault::of("format", format!("{} is unknown", field.format))),
        };
        Ok((header::header_name(&field.name).at("name")?, format))
    };
    let fields = each("reset_headers", &message.reset_headers, limits::RETRY_HEADERS, from_field)?;
    if fields.is_empty() {
        return Err(Fault::of("reset_headers", "empty"));
    }
    let max = wire::optional_duration("max_interval", message.max_interval.as_ref())?.unwrap_or(ASKED);
    Ok(AskedWait { fields, max })
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
    words.extend((on.rate_limited && target != Target::Grpc).then_some("envoy-ratelimited"));
    words
}

fn from_words(message: &route::RetryPolicy) -> Check<RetryOn> {
    let mut on = RetryOn::default();
    let listed =
        each("retriable_status_codes", &message.retriable_status_codes, 1000, |status| from_status(*status))?;
    let headers = each(
        "retriable_headers",
        &message.retriable_headers,
        limits::RETRY_HEADERS,
        matches::from_header_match,
    )?;
    for word in message.retry_on.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "connect-failure" => on.connect_failure = true,
            "reset-before-request" => on.connect_failure = true,
            "refused-stream" => on.refused_stream = true,
            "reset" => on.reset = true,
            "retriable-status-codes" => on.statuses.extend(&listed),
            "retriable-4xx" => on.statuses.push(StatusCode::CONFLICT),
            "envoy-ratelimited" => on.rate_limited = true,
            "gateway-error" => {
                (on.connect_failure, on.refused_stream, on.reset) = (true, true, true);
                on.statuses.extend((502..=504).filter_map(|status| StatusCode::from_u16(status).ok()));
            }
            "5xx" => {
                (on.connect_failure, on.refused_stream, on.reset) = (true, true, true);
                on.statuses.extend((500..=599).filter_map(|status| StatusCode::from_u16(status).ok()));
            }
            "retriable-headers" => {
                for condition in &headers {
                    match grpc_code(condition) {
                        Some(code) => on.grpc.push(code),
                        None => on.headers.push(condition.clone()),
                    }
                }
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

/// The gRPC status that a condition is about, if it is about one.
fn grpc_code(condition: &HeaderMatch) -> Option<u8> {
    match &condition.value {
        StringMatch::Exact(code) if condition.name == "grpc-status" => code.parse().ok(),
        StringMatch::Exact(_) | StringMatch::Regex(_) | StringMatch::Present => None,
    }
}
