//! Which endpoints take traffic, as far as a data plane finds out by itself, and what of it the target can.
//!
//! | | stock Envoy | proxyless gRPC |
//! |---|---|---|
//! | consecutive errors | yes | no |
//! | success rate, failure percentage | yes | yes (gRFC A50) |
//! | latency outliers | no | no |
//! | health checks | yes | no |
//! | panic threshold | yes | no |
//! | slow start | round robin, least request | no |
//!
//! Without a policy nobody is ejected and nobody is asked: either sends or withholds traffic in ways that an owner should have chosen.

use crate::index::Policy;
use weir_model::mesh::Name;
use weir_model::node::Target;
use weir_model::{
    Diagnostic, EndpointHealth, HealthCheck, HttpProbe, LoadBalancing, OutlierDetection, Probe, Severity,
    SlowStart,
};

/// In percent: the bad ones get requests only once practically nothing else is left, in place of as soon as they are the majority.
const PANIC_THRESHOLD: u32 = 1;

/// What holds where no policy says anything.
pub(crate) fn own() -> EndpointHealth {
    EndpointHealth { panic_threshold: PANIC_THRESHOLD, ..EndpointHealth::default() }
}

/// What policies say, as the target can do it. `authority` is what the service is called, for checks that do not say; `balancing` is what
/// the target will do.
pub(crate) fn of(
    policy: &Policy<'_>,
    authority: &str,
    balancing: &LoadBalancing,
    target: Target,
    diagnostics: &mut Vec<Diagnostic>,
) -> EndpointHealth {
    let mut health = own();
    if let Some((name, threshold)) = policy.panic_threshold() {
        health.panic_threshold = threshold;
        if target == Target::Grpc {
            say(diagnostics, name, "panicThreshold", "gRPC clients have no panic threshold");
        }
    }
    if let Some((name, detection)) = policy.outlier_detection() {
        let detection = outliers(name, detection, target, diagnostics);
        health.outlier_detection = Some(Box::new(detection));
    }
    if let Some((name, check)) = policy.health_check() {
        match target {
            Target::Grpc => {
                say(diagnostics, name, "healthCheck", "gRPC clients are not told to check their endpoints");
            }
            Target::Weir | Target::Envoy => {
                health.health_check =
                    Some(Box::new(HealthCheck { probe: named(&check.probe, authority), ..check.clone() }));
            }
        }
    }
    if let Some((name, slow_start)) = policy.slow_start() {
        health.slow_start = slow(name, slow_start, balancing, target, diagnostics);
    }
    health
}

/// A check that names the service it asks: Envoy would send its cluster's name, which is no host.
fn named(probe: &Probe, authority: &str) -> Probe {
    let mut probe = probe.clone();
    match &mut probe {
        Probe::Http(HttpProbe { host: name, .. }) | Probe::Grpc { authority: name, .. }
            if name.is_empty() =>
        {
            authority.clone_into(name);
        }
        Probe::Http(_) | Probe::Grpc { .. } | Probe::Tcp { .. } => {}
    }
    probe
}

fn outliers(
    name: &Name,
    wanted: &OutlierDetection,
    target: Target,
    diagnostics: &mut Vec<Diagnostic>,
) -> OutlierDetection {
    let mut detection = wanted.clone();
    if target == Target::Weir {
        return detection;
    }
    if detection.latency.take().is_some() {
        let message = "only weir's sidecar ejects endpoints for their latency";
        say(diagnostics, name, "outlierDetection.latency", message);
    }
    let in_a_row = [
        (wanted.consecutive_5xx, wanted.enforcing_consecutive_5xx),
        (wanted.consecutive_gateway_failure, wanted.enforcing_consecutive_gateway_failure),
    ];
    if target == Target::Grpc && in_a_row.iter().any(|(count, enforcing)| *count > 0 && *enforcing > 0) {
        let message = "gRPC clients eject by success rate and failure percentage, not after errors in a row";
        say(diagnostics, name, "outlierDetection", message);
    }
    detection
}

fn slow(
    name: &Name,
    wanted: &SlowStart,
    balancing: &LoadBalancing,
    target: Target,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<SlowStart> {
    let message = match (target, balancing) {
        (Target::Grpc, _) => "gRPC clients have no slow start",
        (_, LoadBalancing::RingHash(_) | LoadBalancing::Maglev { .. }) => {
            "a consistent hash has no slow start: a new endpoint has its keys at once"
        }
        (_, LoadBalancing::Random) => "random balancing has no slow start",
        (
            _,
            LoadBalancing::RoundRobin | LoadBalancing::LeastRequest { .. } | LoadBalancing::PeakEwma { .. },
        ) => {
            return Some(wanted.clone());
        }
    };
    let mend = match target {
        Target::Grpc => SIDECAR,
        Target::Weir | Target::Envoy => "leave it out, or balance by RoundRobin, LeastRequest or PeakEwma",
    };
    diagnostics.push(warning(name, "slowStart", message, mend));
    None
}

const SIDECAR: &str = "leave it out, or run a sidecar beside the client";

fn say(diagnostics: &mut Vec<Diagnostic>, name: &Name, field: &str, message: &str) {
    diagnostics.push(warning(name, field, message, SIDECAR));
}

fn warning(name: &Name, field: &str, message: &str, mend: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        resource: format!("TrafficPolicy {name}"),
        field: format!("spec.{field}"),
        message: message.to_owned(),
        mend: mend.to_owned(),
    }
}
