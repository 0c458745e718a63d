//! How far the circuit breakers are from opening, cluster by cluster and priority by priority; read when it is asked for.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use weir_config::{Breaker, Cluster, Snapshot};
use weir_model::Priority;
use weir_telemetry::metrics::{Family, Registry};

static OPEN: Family = Family::gauge(
    "weir_circuit_breaker_open",
    "Whether a circuit breaker is open: one more would be turned away or would have to wait.",
    &["weir_cluster", "priority", "breaker"],
);
static REMAINING: Family = Family::gauge(
    "weir_circuit_breaker_remaining",
    "How many more a circuit breaker lets through now.",
    &["weir_cluster", "priority", "breaker"],
);

/// Shows all of them in a registry.
pub(super) fn register(registry: &Registry, snapshots: &watch::Receiver<Arc<Snapshot>>) {
    let show = |family: &'static Family, value: fn(Breaker) -> f64| {
        let snapshots = snapshots.clone();
        registry.observe_table(family, move || table(&snapshots.borrow(), value));
    };
    show(&OPEN, |breaker| if breaker.is_open() { 1.0 } else { 0.0 });
    show(&REMAINING, |breaker| f64::from(breaker.remaining()));
}

fn table(snapshot: &Snapshot, value: fn(Breaker) -> f64) -> Vec<(Vec<String>, f64)> {
    let mut rows = Vec::new();
    for cluster in snapshot.live_clusters() {
        for (priority, name) in [(Priority::Default, "default"), (Priority::High, "high")] {
            if cluster.uses(priority) {
                rows.extend(cluster.breakers(priority).map(|breaker| {
                    let labels = [cluster.model.name.as_str(), name, breaker.name];
                    (labels.map(str::to_owned).to_vec(), value(breaker))
                }));
            }
        }
    }
    rows
}

/// As JSON, by breaker; null where the priority is not used.
pub(super) fn json(cluster: &Cluster, priority: Priority) -> Value {
    if !cluster.uses(priority) {
        return Value::Null;
    }
    let one =
        |breaker: Breaker| (breaker.name.to_owned(), json!({"active": breaker.active, "max": breaker.max}));
    Value::Object(cluster.breakers(priority).into_iter().map(one).collect())
}
