//! `/clusters`: what is used now, cluster by cluster and endpoint by endpoint.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::breakers;
use serde_json::{Value, json};
use weir_config::{Cluster, EndpointState, Snapshot};
use weir_model::{Endpoint, Health, LocalityEndpoints, Priority, Time};

/// As lines, one for each endpoint below its cluster's.
pub(super) fn text(snapshot: &Snapshot, now: Time) -> String {
    let mut text = format!("snapshot {} revision {}\n", snapshot.sequence, snapshot.revision);
    for cluster in sorted(snapshot) {
        let (state, limits) = (&cluster.state, &cluster.model.circuit_breakers);
        let totals = state.traffic.totals();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{}\n  requests {}/{} pending {}/{} connections {}/{} retries {} refused {}",
            cluster.model.name,
            state.requests.load(Relaxed),
            limits.max_requests,
            state.pending.load(Relaxed),
            limits.max_pending,
            state.connections.load(Relaxed),
            limits.max_connections,
            state.retries.load(Relaxed),
            totals.refused,
        );
        for (locality, endpoint, state) in endpoints(cluster) {
            let totals = state.traffic.totals();
            let latency = match cluster.latency(state, now) {
                Some(latency) => format!("{:.3} ms", latency.as_secs_f64() * 1e3),
                None => "-".to_owned(),
            };
            let _ = writeln!(
                text,
                "  {} {} priority {} locality {} weight {} {}{} active {} latency {latency} requests {} errors {}",
                endpoint.address,
                if endpoint.workload.is_empty() { "-" } else { &endpoint.workload },
                locality.priority,
                locality.locality,
                endpoint.weight,
                health(endpoint.health),
                standing(cluster, state, now),
                state.active.load(Relaxed),
                totals.started,
                totals.failed,
            );
        }
    }
    text
}

/// As JSON.
pub(super) fn json(snapshot: &Snapshot, now: Time) -> Value {
    let clusters = sorted(snapshot).into_iter().map(|cluster| {
        let (state, limits) = (&cluster.state, &cluster.model.circuit_breakers);
        let totals = state.traffic.totals();
        let endpoints = endpoints(cluster).map(|(locality, endpoint, state)| {
            let totals = state.traffic.totals();
            json!({
                "address": endpoint.address.to_string(),
                "workload": endpoint.workload,
                "priority": locality.priority,
                "locality": locality.locality.to_string(),
                "weight": endpoint.weight,
                "health": health(endpoint.health),
                "ejected": state.is_ejected(now),
                "ejections": state.standing.ejections(),
                "failing_checks": cluster.fails_checks(state),
                "part": cluster.part(state, now),
                "active": state.active.load(Relaxed),
                "connections": state.connections.load(Relaxed),
                "latency_ms": cluster.latency(state, now).map(|latency| latency.as_secs_f64() * 1e3),
                "requests": totals.started,
                "errors": totals.failed,
            })
        });
        json!({
            "name": cluster.model.name,
            "requests": {"active": state.requests.load(Relaxed), "max": limits.max_requests},
            "pending": {"active": state.pending.load(Relaxed), "max": limits.max_pending},
            "connections": {"active": state.connections.load(Relaxed), "max": limits.max_connections},
            "retries": {"active": state.retries.load(Relaxed)},
            "high_priority": breakers::json(cluster, Priority::High),
            "refused": totals.refused,
            "endpoints": endpoints.collect::<Vec<Value>>(),
        })
    });
    json!({
        "snapshot": snapshot.sequence,
        "revision": snapshot.revision.to_string(),
        "clusters": clusters.collect::<Vec<Value>>(),
    })
}

/// What the sidecar itself has against an endpoint, if anything.
fn standing(cluster: &Cluster, state: &EndpointState, now: Time) -> String {
    let mut text = String::new();
    if state.is_ejected(now) {
        let left = Time(state.ejected_until.load(Relaxed)).since(now);
        // Writing to a string cannot fail.
        let _ = write!(text, " ejected for {:.1} s", left.as_secs_f64());
    }
    if cluster.fails_checks(state) {
        text.push_str(" failing its checks");
    }
    let part = cluster.part(state, now);
    if part < 1.0 {
        let _ = write!(text, " starting at {:.0} %", part * 100.0);
    }
    text
}

fn sorted(snapshot: &Snapshot) -> Vec<&Cluster> {
    let mut clusters: Vec<&Cluster> = snapshot.live_clusters().map(|cluster| &**cluster).collect();
    clusters.sort_by(|a, b| a.model.name.cmp(&b.model.name));
    clusters
}

fn endpoints(cluster: &Cluster) -> impl Iterator<Item = (&LocalityEndpoints, &Endpoint, &EndpointState)> {
    let configured = cluster.assignment().into_iter().flat_map(|assignment| assignment.iter());
    configured.zip(&cluster.endpoints).map(|((locality, endpoint), state)| (locality, endpoint, &**state))
}

pub(super) fn health(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Draining => "draining",
        Health::Unhealthy => "unhealthy",
    }
}

#[cfg(test)]
mod tests;
