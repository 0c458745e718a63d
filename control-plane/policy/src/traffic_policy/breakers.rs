//! `TrafficPolicy.circuitBreakers`: how much may be under way at once, and how long a connection is used.

use super::{MILLISECOND, duration_field, write_duration};
use crate::decode::{At, Schema};
use crate::parse::fields;
use crate::{CircuitBreakersSpec, ThresholdsSpec};
use serde_json::{Value, json};

/// The largest concurrency limit.
pub(super) const CONCURRENCY: u32 = 1_000_000;

const KNOWN: Schema = Schema::of(&[
    "maxConnections",
    "maxPendingRequests",
    "maxRequests",
    "maxConnectionsPerEndpoint",
    "maxRequestsPerConnection",
    "maxConnectionDuration",
    "high",
]);

/// For requests of high priority.
const HIGH: Schema = Schema::of(&["maxConnections", "maxPendingRequests", "maxRequests"]);

pub(super) fn read(at: &At<'_>) -> Option<CircuitBreakersSpec> {
    let fields = at.object(&KNOWN)?;
    let limit = |name: &str| fields.get(name).and_then(|at| at.count(1..=CONCURRENCY));
    let spec = CircuitBreakersSpec {
        max_connections: limit("maxConnections"),
        max_pending: limit("maxPendingRequests"),
        max_requests: limit("maxRequests"),
        high: fields.get("high").and_then(|at| read_high(&at)).unwrap_or_default(),
        max_endpoint_connections: limit("maxConnectionsPerEndpoint"),
        max_connection_requests: limit("maxRequestsPerConnection"),
        max_connection_duration: duration_field(&fields, "maxConnectionDuration", MILLISECOND),
    };
    if let (Some(all), Some(one)) = (spec.max_connections, spec.max_endpoint_connections)
        && one > all
        && let Some(at) = fields.get("maxConnectionsPerEndpoint")
    {
        at.error(
            format!("one endpoint may have {one} connections, more than all of them together, {all}"),
            format!("write at most {all}"),
        );
    }
    Some(spec)
}

fn read_high(at: &At<'_>) -> Option<ThresholdsSpec> {
    let fields = at.object(&HIGH)?;
    let limit = |name: &str| fields.get(name).and_then(|at| at.count(1..=CONCURRENCY));
    let high = ThresholdsSpec {
        max_connections: limit("maxConnections"),
        max_pending: limit("maxPendingRequests"),
        max_requests: limit("maxRequests"),
    };
    if high == ThresholdsSpec::default() {
        at.warning("it limits nothing", "add a limit, or remove it");
    }
    Some(high)
}

pub(super) fn write(breakers: &CircuitBreakersSpec) -> Value {
    let limit = |limit: Option<u32>| limit.map(|limit| json!(limit));
    let high = fields([
        ("maxConnections", limit(breakers.high.max_connections)),
        ("maxPendingRequests", limit(breakers.high.max_pending)),
        ("maxRequests", limit(breakers.high.max_requests)),
    ]);
    fields([
        ("maxConnections", limit(breakers.max_connections)),
        ("maxPendingRequests", limit(breakers.max_pending)),
        ("maxRequests", limit(breakers.max_requests)),
        ("maxConnectionsPerEndpoint", limit(breakers.max_endpoint_connections)),
        ("maxRequestsPerConnection", limit(breakers.max_connection_requests)),
        ("maxConnectionDuration", breakers.max_connection_duration.map(write_duration)),
        ("high", (breakers.high != ThresholdsSpec::default()).then_some(high)),
    ])
}
