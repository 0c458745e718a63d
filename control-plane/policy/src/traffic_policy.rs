//! weir's `TrafficPolicy`: how traffic to services is handled.

pub(crate) mod actions;
pub(crate) mod affinity;
mod balancing;
mod breakers;
pub(crate) mod health;
pub(crate) mod retries;

use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::{fields, non_empty, read_label};
use crate::scalar::{format_duration, parse_duration};
use crate::{PolicyTarget, TrafficPolicySpec};
use serde_json::{Value, json};
use std::time::Duration;
use weir_model::Timeouts;
use weir_model::mesh::AffinityPolicy;

/// Targets of one policy, as in the Gateway API.
const TARGETS: usize = 16;
const MILLISECOND: Duration = Duration::from_millis(1);
const DURATION_MEND: &str = "write one such as 1h30m, 10s or 250ms";

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

pub(crate) fn read(at: &At<'_>, namespace: &str) -> Option<TrafficPolicySpec> {
    let known = &[
        "targetRefs",
        "loadBalancing",
        "connectTimeout",
        "timeouts",
        "retries",
        "circuitBreakers",
        "sessionPersistence",
        "splitting",
        "localityFailover",
        "outlierDetection",
        "healthCheck",
        "panicThreshold",
        "slowStart",
        "rateLimits",
        "faults",
        "fallback",
        "maxRequestBytes",
    ];
    let spec = at.object(&Schema::of(known))?;
    let targets =
        spec.required("targetRefs", "add the services it applies to").and_then(|at| read_targets(&at));
    let (load_balancing, hash) = spec.get("loadBalancing").and_then(|at| balancing::read(&at)).unzip();
    let affinity = AffinityPolicy {
        hash: hash.flatten(),
        sticky: spec.get("splitting").and_then(|at| affinity::read_splitting(&at)),
        session: spec.get("sessionPersistence").and_then(|at| affinity::read_session(&at)),
        failover: spec.get("localityFailover").and_then(|at| affinity::read_failover(&at)),
    };
    let policy = TrafficPolicySpec {
        load_balancing,
        affinity,
        connect_timeout: duration_field(&spec, "connectTimeout", MILLISECOND),
        timeouts: spec.get("timeouts").and_then(|at| read_timeouts(&at, true)).unwrap_or_default(),
        retries: spec.get("retries").and_then(|at| retries::read(&at)),
        circuit_breakers: spec.get("circuitBreakers").and_then(|at| breakers::read(&at)),
        health: health::read(&spec),
        actions: actions::read(&spec, namespace),
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

/// Timeouts of a rule or, with `idle`, of a policy. Zero means no limit.
pub(crate) fn read_timeouts(at: &At<'_>, idle: bool) -> Option<Timeouts> {
    const POLICY: Schema = Schema::of(&["request", "backendRequest", "idle", "stream"]);
    const RULE: Schema = Schema::of(&["request", "backendRequest"]);
    let fields = at.object(if idle { &POLICY } else { &RULE })?;
    let timeouts = Timeouts {
        request: duration_field(&fields, "request", Duration::ZERO),
        backend_request: duration_field(&fields, "backendRequest", Duration::ZERO),
        idle: if idle { duration_field(&fields, "idle", Duration::ZERO) } else { None },
        stream: if idle { duration_field(&fields, "stream", Duration::ZERO) } else { None },
        ..Timeouts::default()
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

pub(crate) fn write(spec: &TrafficPolicySpec) -> Value {
    let of = &spec.affinity;
    let mut object = fields([
        ("targetRefs", non_empty(spec.targets.iter().map(write_target).collect())),
        (
            "loadBalancing",
            spec.load_balancing.as_ref().map(|policy| balancing::write(policy, of.hash.as_ref())),
        ),
        ("sessionPersistence", of.session.as_ref().map(affinity::write_session)),
        ("splitting", of.sticky.as_ref().map(affinity::write_splitting)),
        ("localityFailover", of.failover.as_ref().map(affinity::write_failover)),
        ("connectTimeout", spec.connect_timeout.map(write_duration)),
        ("timeouts", write_timeouts(&spec.timeouts)),
        ("retries", spec.retries.as_ref().map(retries::write)),
        ("circuitBreakers", spec.circuit_breakers.as_ref().map(breakers::write)),
    ]);
    if let Value::Object(object) = &mut object {
        let said = health::write(&spec.health).into_iter().chain(actions::write(&spec.actions));
        object.extend(said.filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    object
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

pub(crate) fn write_timeouts(timeouts: &Timeouts) -> Option<Value> {
    let written = fields([
        ("request", timeouts.request.map(write_duration)),
        ("backendRequest", timeouts.backend_request.map(write_duration)),
        ("idle", timeouts.idle.map(write_duration)),
        ("stream", timeouts.stream.map(write_duration)),
    ]);
    (*timeouts != Timeouts::default()).then_some(written)
}
