//! weir's `TrafficPolicy`: how traffic to services is handled.

use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::{fields, non_empty, read_label};
use crate::scalar::{format_duration, parse_duration};
use crate::{
    CircuitBreakersSpec, PolicyTarget, RetriesSpec, RetryBudgetSpec, RetryCondition, TrafficPolicySpec,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use weir_model::{ConsistentHash, HeaderName, LoadBalancing, Timeouts, limits};

/// Targets of one policy, as in the Gateway API.
const TARGETS: usize = 16;
/// Conditions of one retry policy.
const CONDITIONS: usize = 64;
/// The largest concurrency limit.
const CONCURRENCY: u32 = 1_000_000;
/// How fast Peak EWMA forgets by default, as in Finagle.
const DECAY: Duration = Duration::from_secs(10);
/// What an endpoint without measurements is assumed to take.
const DEFAULT_RTT: Duration = Duration::from_millis(30);
const MILLISECOND: Duration = Duration::from_millis(1);
const DURATION_MEND: &str = "write one such as 1h30m, 10s or 250ms";

const WORDS: [(&str, RetryCondition); 10] = [
    ("connect-failure", RetryCondition::ConnectFailure),
    ("refused-stream", RetryCondition::RefusedStream),
    ("reset", RetryCondition::Reset),
    ("gateway-error", RetryCondition::GatewayError),
    ("5xx", RetryCondition::ServerError),
    ("cancelled", RetryCondition::Grpc(1)),
    ("deadline-exceeded", RetryCondition::Grpc(4)),
    ("resource-exhausted", RetryCondition::Grpc(8)),
    ("internal", RetryCondition::Grpc(13)),
    ("unavailable", RetryCondition::Grpc(14)),
];

/// Reads a duration of at least `least`.
pub(crate) fn read_duration(at: &At<'_>, text: &str, least: Duration) -> Option<Duration> {
    match parse_duration(text) {
        None => at.error(format!("{} is not a duration", excerpt(&Value::from(text))), DURATION_MEND),
        Some(duration) if duration < least => {
            at.error(format!("{text} is too short"), format!("write at least {}", format_duration(least)));
        }
        good => return good,
    }
    None
}

/// A field with a duration: absent, wrong (and reported), or good.
pub(crate) fn duration_field(fields: &Fields<'_>, name: &str, least: Duration) -> Option<Duration> {
    fields.get_text(name).and_then(|(at, text)| read_duration(&at, text, least))
}

pub(crate) fn read(at: &At<'_>) -> Option<TrafficPolicySpec> {
    let known = &["targetRefs", "loadBalancing", "connectTimeout", "timeouts", "retries", "circuitBreakers"];
    let spec = at.object(&Schema::of(known))?;
    let targets =
        spec.required("targetRefs", "add the services it applies to").and_then(|at| read_targets(&at));
    let policy = TrafficPolicySpec {
        load_balancing: spec.get("loadBalancing").and_then(|at| read_load_balancing(&at)),
        connect_timeout: duration_field(&spec, "connectTimeout", MILLISECOND),
        timeouts: spec.get("timeouts").and_then(|at| read_timeouts(&at, true)).unwrap_or_default(),
        retries: spec.get("retries").and_then(|at| read_retries(&at)),
        circuit_breakers: spec.get("circuitBreakers").and_then(|at| read_breakers(&at)),
        targets: targets?,
    };
    if (TrafficPolicySpec { targets: policy.targets.clone(), ..TrafficPolicySpec::default() }) == policy {
        at.warning("the policy changes nothing", "say what it is to change, or delete it");
    }
    Some(policy)
}

fn read_targets(at: &At<'_>) -> Option<Vec<PolicyTarget>> {
    let mut targets: Vec<PolicyTarget> = Vec::new();
    let mut complete = true;
    for at in at.list(1..=TARGETS)? {
        match read_target(&at) {
            Some(target) if targets.contains(&target) => {
                at.error("the same target is there twice", "remove one")
            }
            Some(target) => targets.push(target),
            None => complete = false,
        }
    }
    complete.then_some(targets)
}

fn read_target(at: &At<'_>) -> Option<PolicyTarget> {
    let schema = Schema {
        known: &["group", "kind", "name", "sectionName"],
        later: &[("namespace", "put the policy into the namespace of its target")],
        ignored: &[],
    };
    let target = at.object(&schema)?;
    read_service_kind(&target, true);
    let name = target.required_text("name", "name the service").and_then(|(at, text)| read_label(&at, text));
    let section = match target.get_text("sectionName") {
        Some((at, text)) => read_label(&at, text).map(Some),
        None => Some(None),
    };
    Some(PolicyTarget { name: name?, section: section? })
}

/// `group` and `kind` of a reference; absent ones mean a service if `default`.
pub(crate) fn read_service_kind(reference: &Fields<'_>, default: bool) {
    let group = reference.get("group").map(|at| (at.text(), at));
    match &group {
        Some((Some(group), at)) if !group.is_empty() => {
            at.error(
                format!("a reference to group {} is not supported yet", excerpt(&Value::from(*group))),
                "write \"\", the group of services",
            );
        }
        None if !default => {
            reference
                .here()
                .error("group is missing, which means a Gateway", "write group: \"\" and kind: Service");
        }
        _ => {}
    }
    match reference.get_text("kind") {
        Some((_, "Service")) => {}
        Some((at, kind)) => at.error(
            format!("a reference to a {} is not supported yet", excerpt(&Value::from(kind))),
            "write Service",
        ),
        None if !default => {
            reference.here().error("kind is missing, which means a Gateway", "write kind: Service")
        }
        None => {}
    }
}

fn read_load_balancing(at: &At<'_>) -> Option<LoadBalancing> {
    let fields = at.object(&Schema::of(&["policy", "choices", "decay", "defaultRtt", "hashHeader"]))?;
    let names = ["RoundRobin", "Random", "LeastRequest", "PeakEwma", "RingHash", "Maglev"];
    let (at, policy) = fields.required_text("policy", "name one, such as LeastRequest")?;
    let belongs = |field: &str, policies: &[&str]| {
        if let Some(at) = fields.get(field).filter(|_| !policies.contains(&policy) && names.contains(&policy))
        {
            at.error(format!("{policy} has no {field}"), "remove it, or choose another policy");
        }
    };
    belongs("choices", &["LeastRequest"]);
    belongs("decay", &["PeakEwma"]);
    belongs("defaultRtt", &["PeakEwma"]);
    belongs("hashHeader", &["RingHash", "Maglev"]);
    let hash = || {
        let (at, text) = fields.required_text("hashHeader", "name the request header that is hashed")?;
        let header = text.parse::<HeaderName>().ok();
        if header.is_none() {
            at.error(
                format!("{} is not a header's name", excerpt(&Value::from(text))),
                "write one, such as x-user",
            );
        }
        Some(ConsistentHash { header: header? })
    };
    match policy {
        "RoundRobin" => Some(LoadBalancing::RoundRobin),
        "Random" => Some(LoadBalancing::Random),
        "LeastRequest" => {
            let choices = fields.get("choices").map_or(Some(2), |at| at.count(2..=100))?;
            Some(LoadBalancing::LeastRequest { choices })
        }
        "PeakEwma" => Some(LoadBalancing::PeakEwma {
            decay: duration_field(&fields, "decay", MILLISECOND).unwrap_or(DECAY),
            default_rtt: duration_field(&fields, "defaultRtt", MILLISECOND).unwrap_or(DEFAULT_RTT),
        }),
        "RingHash" => hash().map(LoadBalancing::RingHash),
        "Maglev" => hash().map(LoadBalancing::Maglev),
        _ => {
            at.not_one_of(policy, &names);
            None
        }
    }
}

/// Timeouts of a rule or, with `idle`, of a policy. Zero means no limit.
pub(crate) fn read_timeouts(at: &At<'_>, idle: bool) -> Option<Timeouts> {
    const POLICY: Schema = Schema::of(&["request", "backendRequest", "idle"]);
    const RULE: Schema = Schema::of(&["request", "backendRequest"]);
    let fields = at.object(if idle { &POLICY } else { &RULE })?;
    let timeouts = Timeouts {
        request: duration_field(&fields, "request", Duration::ZERO),
        backend_request: duration_field(&fields, "backendRequest", Duration::ZERO),
        idle: if idle { duration_field(&fields, "idle", Duration::ZERO) } else { None },
    };
    if let (Some(request), Some(attempt)) = (timeouts.request, timeouts.backend_request)
        && attempt > request
        && !request.is_zero()
        && let Some(at) = fields.get("backendRequest")
    {
        let (attempt, request) = (format_duration(attempt), format_duration(request));
        at.error(
            format!("one attempt may take {attempt}, longer than the whole request, {request}"),
            format!("write at most {request}"),
        );
    }
    Some(timeouts)
}

fn read_retries(at: &At<'_>) -> Option<RetriesSpec> {
    let fields = at.object(&Schema::of(&["attempts", "on", "backoff", "budget"]))?;
    let backoff = fields.get("backoff").and_then(|at| {
        let fields = at.object(&Schema::of(&["base", "max"]))?;
        let base = duration_field(&fields, "base", MILLISECOND);
        let max = duration_field(&fields, "max", MILLISECOND);
        if let (Some(base), Some(max)) = (base, max)
            && max < base
        {
            at.error("max is shorter than base", format!("write max: {}", format_duration(base)));
        }
        Some((base, max))
    });
    let (backoff_base, backoff_max) = backoff.unwrap_or_default();
    Some(RetriesSpec {
        attempts: fields.get("attempts").and_then(|at| at.count(0..=limits::RETRIES)),
        on: fields.get("on").and_then(|at| read_conditions(&at)).unwrap_or_default(),
        backoff_base,
        backoff_max,
        budget: fields.get("budget").and_then(|at| read_budget(&at)),
    })
}

fn read_conditions(at: &At<'_>) -> Option<Vec<RetryCondition>> {
    let conditions: BTreeSet<_> = at.list(1..=CONDITIONS)?.iter().filter_map(read_condition).collect();
    Some(conditions.into_iter().collect())
}

fn read_condition(at: &At<'_>) -> Option<RetryCondition> {
    if at.value().is_number() {
        return at
            .integer(400..=599)
            .and_then(|status| u16::try_from(status).ok())
            .map(RetryCondition::Status);
    }
    let text = at.text()?;
    match text.parse::<u16>() {
        Ok(status) if (400..=599).contains(&status) => Some(RetryCondition::Status(status)),
        Ok(_) => {
            at.error(format!("{text} is not a status that tells of a failure"), "write one from 400 to 599");
            None
        }
        Err(_) => at.word(&WORDS),
    }
}

fn read_budget(at: &At<'_>) -> Option<RetryBudgetSpec> {
    let fields = at.object(&Schema::of(&["percent", "minConcurrency"]))?;
    let parts_per_million = fields.get("percent").and_then(|at| {
        let percent = at.value().as_f64().filter(|percent| (0.0..=100.0).contains(percent));
        if percent.is_none() {
            at.error(format!("{} is not a percentage", excerpt(at.value())), "write a number from 0 to 100");
        }
        percent.map(|percent| (percent * 10_000.0).round() as u32)
    });
    let min_concurrency = fields.get("minConcurrency").and_then(|at| at.count(0..=CONCURRENCY));
    Some(RetryBudgetSpec { parts_per_million, min_concurrency })
}

fn read_breakers(at: &At<'_>) -> Option<CircuitBreakersSpec> {
    let fields = at.object(&Schema::of(&["maxConnections", "maxPendingRequests", "maxRequests"]))?;
    let limit = |name: &str| fields.get(name).and_then(|at| at.count(1..=CONCURRENCY));
    Some(CircuitBreakersSpec {
        max_connections: limit("maxConnections"),
        max_pending: limit("maxPendingRequests"),
        max_requests: limit("maxRequests"),
    })
}

pub(crate) fn write(spec: &TrafficPolicySpec) -> Value {
    fields([
        ("targetRefs", non_empty(spec.targets.iter().map(write_target).collect())),
        ("loadBalancing", spec.load_balancing.as_ref().map(write_load_balancing)),
        ("connectTimeout", spec.connect_timeout.map(write_duration)),
        ("timeouts", write_timeouts(&spec.timeouts)),
        ("retries", spec.retries.as_ref().map(write_retries)),
        ("circuitBreakers", spec.circuit_breakers.as_ref().map(write_breakers)),
    ])
}

fn write_target(target: &PolicyTarget) -> Value {
    fields([
        ("group", Some(json!(""))),
        ("kind", Some(json!("Service"))),
        ("name", Some(json!(target.name))),
        ("sectionName", target.section.as_ref().map(|name| json!(name))),
    ])
}

pub(crate) fn write_duration(duration: Duration) -> Value {
    json!(format_duration(duration))
}

fn write_load_balancing(policy: &LoadBalancing) -> Value {
    match policy {
        LoadBalancing::RoundRobin => json!({"policy": "RoundRobin"}),
        LoadBalancing::Random => json!({"policy": "Random"}),
        LoadBalancing::LeastRequest { choices } => json!({"policy": "LeastRequest", "choices": choices}),
        LoadBalancing::PeakEwma { decay, default_rtt } => {
            json!({"policy": "PeakEwma", "decay": format_duration(*decay), "defaultRtt": format_duration(*default_rtt)})
        }
        LoadBalancing::RingHash(hash) => json!({"policy": "RingHash", "hashHeader": hash.header.as_str()}),
        LoadBalancing::Maglev(hash) => json!({"policy": "Maglev", "hashHeader": hash.header.as_str()}),
    }
}

pub(crate) fn write_timeouts(timeouts: &Timeouts) -> Option<Value> {
    let written = fields([
        ("request", timeouts.request.map(write_duration)),
        ("backendRequest", timeouts.backend_request.map(write_duration)),
        ("idle", timeouts.idle.map(write_duration)),
    ]);
    (*timeouts != Timeouts::default()).then_some(written)
}

fn write_retries(retries: &RetriesSpec) -> Value {
    let on = retries.on.iter().map(|condition| match condition {
        RetryCondition::Status(status) => json!(status.to_string()),
        word => json!(WORDS.iter().find(|(_, known)| known == word).map_or("unavailable", |(text, _)| text)),
    });
    let (base, max) = (retries.backoff_base, retries.backoff_max);
    let backoff = fields([("base", base.map(write_duration)), ("max", max.map(write_duration))]);
    fields([
        ("attempts", retries.attempts.map(|attempts| json!(attempts))),
        ("on", non_empty(on.collect())),
        ("backoff", (base.is_some() || max.is_some()).then_some(backoff)),
        ("budget", retries.budget.as_ref().map(write_budget)),
    ])
}

fn write_budget(budget: &RetryBudgetSpec) -> Value {
    let percent = budget.parts_per_million.map(|parts| match parts % 10_000 {
        0 => json!(parts / 10_000),
        _ => json!(f64::from(parts) / 10_000.0),
    });
    fields([("percent", percent), ("minConcurrency", budget.min_concurrency.map(|count| json!(count)))])
}

fn write_breakers(breakers: &CircuitBreakersSpec) -> Value {
    fields([
        ("maxConnections", breakers.max_connections.map(|limit| json!(limit))),
        ("maxPendingRequests", breakers.max_pending.map(|limit| json!(limit))),
        ("maxRequests", breakers.max_requests.map(|limit| json!(limit))),
    ])
}
