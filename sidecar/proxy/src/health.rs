//! Beside the path: which endpoints take traffic, as far as the sidecar finds out by itself.
//!
//! [`watch`] runs on main's thread, not on a worker's, with one `keeper` for each cluster that has outlier detection, health checks
//! or slow start. Workers count what attempts come to (`outlier`) and look at the outcome when they balance; keepers judge by it
//! (`weir_decide::{outlier, health}`) and ask endpoints (`probe`). The two meet in single words only.
//!
//! Clusters that nobody uses are not in the snapshot, and not checked.

mod keeper;
pub(crate) mod outlier;
mod probe;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use weir_config::{Cluster, Snapshot};
use weir_model::limits;
use weir_telemetry::metrics::Registry;

/// What is needed to look after endpoints.
#[derive(Debug)]
pub struct HealthArgs {
    /// The configuration.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where is counted what is found.
    pub registry: Registry,
    /// For jitter, and for detectors that are enforced in a share of cases.
    pub seed: u64,
}

/// Looks after the endpoints of every snapshot's clusters, for ever or until its publisher is gone. Call it on main's `LocalSet`.
pub async fn watch(args: HealthArgs) {
    let HealthArgs { mut snapshots, registry, seed } = args;
    let metrics = Rc::new(keeper::Metrics::new(&registry));
    let room = Rc::new(Semaphore::new(limits::HEALTH_CHECKS));
    // By the cluster's number, which is never used again. A keeper ends with its sender.
    let mut keepers: HashMap<u64, watch::Sender<Arc<Cluster>>> = HashMap::new();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        keepers.retain(|id, _| {
            snapshot.live_clusters().any(|cluster| cluster.state.id == *id && is_kept(cluster))
        });
        for cluster in snapshot.live_clusters().filter(|cluster| is_kept(cluster)) {
            match keepers.get(&cluster.state.id) {
                Some(keeper) => {
                    keeper.send_if_modified(|known| {
                        let changed = !Arc::ptr_eq(known, cluster);
                        known.clone_from(cluster);
                        changed
                    });
                }
                None => {
                    let (sender, receiver) = watch::channel(cluster.clone());
                    keepers.insert(cluster.state.id, sender);
                    let keeper =
                        keeper::run(receiver, room.clone(), metrics.clone(), seed ^ cluster.state.id);
                    tokio::task::spawn_local(keeper);
                }
            }
        }
        drop(snapshot);
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

fn is_kept(cluster: &Cluster) -> bool {
    let health = &cluster.model.health;
    health.outlier_detection.is_some() || health.health_check.is_some() || health.slow_start.is_some()
}
