//! A snapshot as one worker holds it: the shared immutable value, and beside each cluster what is this worker's own.
//!
//! Made once per snapshot and worker, then shared by plain reference counts: a request pins it for its whole life. Pools and
//! balancer positions move over from the snapshot before, so that a change of one cluster leaves the connections of all
//! others alone; pools of endpoints that are gone retire.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use weir_config::{Cluster, Listener, Snapshot};
use weir_decide::balance::subset::Positions;

use crate::pool::{ClusterShared, EndpointPool};
use crate::telemetry::Telemetry;
use crate::worker::Entrance;

/// A snapshot with this worker's pools.
pub(crate) struct Pinned {
    pub(crate) snapshot: Arc<Snapshot>,
    /// In the order of the snapshot's, where a cluster keeps its place while it lives.
    pub(crate) clusters: Vec<Rc<WorkerCluster>>,
    /// For each of the worker's entrances the index of its listener.
    listeners: Vec<Option<usize>>,
}

/// A cluster with this worker's pools.
pub(crate) struct WorkerCluster {
    pub(crate) config: Arc<Cluster>,
    pub(crate) shared: Rc<ClusterShared>,
    /// In the order of the cluster's endpoints.
    pub(crate) pools: Vec<Rc<EndpointPool>>,
    pub(crate) positions: RefCell<Positions>,
}

impl Pinned {
    /// The first one of a worker.
    pub(crate) fn first(snapshot: Arc<Snapshot>, entrances: &[Entrance], telemetry: &Telemetry) -> Pinned {
        Pinned::after(&[], snapshot, entrances, telemetry)
    }

    /// The one that follows this one; takes over its pools.
    pub(crate) fn next(
        &self,
        snapshot: Arc<Snapshot>,
        entrances: &[Entrance],
        telemetry: &Telemetry,
    ) -> Pinned {
        Pinned::after(&self.clusters, snapshot, entrances, telemetry)
    }

    /// The listener of an entrance, if it is configured.
    pub(crate) fn listener(&self, entrance: usize) -> Option<&Listener> {
        let index = *self.listeners.get(entrance)?;
        self.snapshot.listeners.get(index?)
    }

    /// Every pool, once.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (&WorkerCluster, &Rc<EndpointPool>)> {
        self.clusters.iter().flat_map(|cluster| cluster.pools.iter().map(move |pool| (&**cluster, pool)))
    }

    fn after(
        before: &[Rc<WorkerCluster>],
        snapshot: Arc<Snapshot>,
        entrances: &[Entrance],
        telemetry: &Telemetry,
    ) -> Pinned {
        let mut clusters = Vec::with_capacity(snapshot.clusters.len());
        for (index, config) in snapshot.clusters.iter().enumerate() {
            clusters.push(match before.get(index) {
                Some(same) if Arc::ptr_eq(&same.config, config) => same.clone(),
                previous => {
                    let previous = previous.map(|previous| &**previous);
                    let cluster = Rc::new(WorkerCluster::new(config.clone(), previous, telemetry));
                    previous.inspect(|previous| previous.retire_all_but(&cluster.pools));
                    cluster
                }
            });
        }
        for gone in before.iter().skip(clusters.len()) {
            gone.retire_all_but(&[]);
        }
        let index_of = |entrance: &Entrance| {
            snapshot.listeners.iter().position(|listener| listener.address == Some(entrance.address))
        };
        let listeners = entrances.iter().map(index_of).collect();
        Pinned { snapshot, clusters, listeners }
    }
}

impl WorkerCluster {
    fn new(config: Arc<Cluster>, previous: Option<&WorkerCluster>, telemetry: &Telemetry) -> WorkerCluster {
        let previous = previous.filter(|previous| previous.shared.state.id == config.state.id);
        let shared = match previous {
            Some(previous) => previous.shared.clone(),
            None => Rc::new(ClusterShared::new(&config, telemetry)),
        };
        let known: HashMap<u64, &Rc<EndpointPool>> = previous
            .into_iter()
            .flat_map(|previous| &previous.pools)
            .map(|pool| (pool.endpoint.id, pool))
            .collect();
        let pool = |endpoint: &Arc<weir_config::EndpointState>| match known.get(&endpoint.id) {
            Some(pool) => Rc::clone(pool),
            None => Rc::new(EndpointPool::new(endpoint.clone(), shared.clone())),
        };
        let pools = config.endpoints.iter().map(pool).collect();
        WorkerCluster { pools, shared, config, positions: RefCell::default() }
    }

    fn retire_all_but(&self, kept: &[Rc<EndpointPool>]) {
        let kept: HashSet<u64> = kept.iter().map(|pool| pool.endpoint.id).collect();
        for pool in self.pools.iter().filter(|pool| !kept.contains(&pool.endpoint.id)) {
            pool.retire();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
