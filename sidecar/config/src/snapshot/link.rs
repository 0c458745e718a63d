//! Turns resources into a [`Snapshot`] (stage 12 of the configuration path). No IO, no clock.
//!
//! Two steps, so that an error belongs to the resource that causes it. [`Linker::prepare`] compiles one resource by itself
//! when it arrives; what fails here is refused with its field path and never reaches the graph, so the last good version
//! stays in force. [`Linker::link`] resolves the names of a closed set to indices and cannot fail for what was prepared.
//!
//! What did not change is not linked again: a cluster keeps its index while its name lives, so the routes that refer to it
//! stay as they are when its endpoints change, and the other way round.

mod clusters;
mod ids;
mod listeners;
mod more;
mod prepare;
mod routes;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use weir_decide::route::Matcher;
use weir_model::{Locality, Resource, ResourceSet, ResourceType, Version};

use super::filters::Known;
use super::state::LastUse;
use super::{Cluster, ListenerKind, Named, NamedEntry, NamedRoutes, Routes, Snapshot};
use ids::RouteIds;
pub use prepare::LinkError;
pub(crate) use prepare::check_subsets;
use prepare::{check_cluster, check_endpoints};

/// A name that was asked for and answered.
#[derive(Clone, Debug)]
pub struct Name {
    /// The authority.
    pub name: Arc<str>,
    /// Where its use is noted.
    pub used: Arc<LastUse>,
    /// Whether the control plane said that it does not exist.
    pub absent: bool,
}

/// Links snapshot after snapshot, keeping what did not change.
#[derive(Debug)]
pub struct Linker {
    workers: usize,
    bound: BTreeMap<SocketAddr, SocketAddr>,
    next_id: u64,
    sequence: u64,
    route_ids: RouteIds,
    /// Compiled and not linked yet, by route configuration, or by listener for routes written in it.
    prepared: BTreeMap<(ResourceType, String), (Version, Arc<Matcher>)>,
    routes: BTreeMap<(ResourceType, String), (Version, Arc<Routes>)>,
    clusters: BTreeMap<String, Place>,
    slots: Vec<Arc<Cluster>>,
    free: Vec<usize>,
    vacant: Arc<Cluster>,
    filters: Known,
    /// What was found under the names of clusters that are looked up.
    resolved: BTreeMap<String, (Version, Arc<Resource>)>,
    /// Where this sidecar is, and the cluster that it belongs to.
    local: Option<(Locality, String)>,
}

/// Where a cluster is, and what it was linked from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    slot: usize,
    cluster: Version,
    endpoints: Version,
    /// Who else calls it, where that counts.
    callers: Version,
}

impl Linker {
    /// For a sidecar with this many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            bound: BTreeMap::new(),
            next_id: 1,
            sequence: 0,
            route_ids: RouteIds::default(),
            prepared: BTreeMap::new(),
            routes: BTreeMap::new(),
            clusters: BTreeMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            vacant: Arc::new(Cluster::vacant()),
            filters: Known::default(),
            resolved: BTreeMap::new(),
            local: None,
        }
    }

    /// Where sockets are bound that the configuration knows by another address, because they are bound to an unspecified one
    /// or advertised through another: from the address in the configuration to the socket's own.
    pub fn with_bound(mut self, bound: BTreeMap<SocketAddr, SocketAddr>) -> Self {
        self.bound = bound;
        self
    }

    /// Where this sidecar is, and the name of the cluster that it belongs to itself (Envoy's `local_cluster_name`), by whose endpoints
    /// clusters are shared among zones.
    pub fn with_local(mut self, locality: Locality, cluster: Option<String>) -> Self {
        self.local = cluster.map(|cluster| (locality, cluster));
        self
    }

    /// Compiles a resource that arrived, and keeps the result until it is linked.
    pub fn prepare(&mut self, version: Version, resource: &Resource) -> Result<(), LinkError> {
        match resource {
            Resource::Cluster(cluster) => check_cluster(cluster),
            Resource::Endpoints(endpoints) => check_endpoints(endpoints, ""),
            Resource::Listener(listener) => self.prepare_listener(version, listener),
            Resource::Route(routes) => {
                self.prepare_routes((ResourceType::Route, routes.name.clone()), version, routes)
            }
        }
    }

    /// Gives up what was prepared for a resource that was removed.
    pub fn forget(&mut self, kind: ResourceType, name: &str) {
        self.prepared.retain(|(prepared, key), _| *prepared != kind || listeners::of_key(key) != name);
    }

    /// The snapshot of a closed set. An error means that the set is not closed or was not prepared, and changes nothing
    /// that is served.
    pub fn link(
        &mut self,
        effective: &ResourceSet,
        names: impl IntoIterator<Item = Name>,
    ) -> Result<Snapshot, LinkError> {
        if let Some((from, kind, name)) = effective.dangling().into_iter().next() {
            return Err(LinkError::new("", format!("{from} refers to the {kind} {name}, which is missing")));
        }
        self.link_clusters(effective)?;
        for (name, version, resource) in effective.of(ResourceType::Route) {
            if let Resource::Route(routes) = &**resource {
                self.link_routes((ResourceType::Route, name.to_owned()), version, routes)?;
            }
        }
        let mut listeners = Vec::new();
        let mut named = HashMap::new();
        for (name, version, resource) in effective.of(ResourceType::Listener) {
            let Resource::Listener(listener) = &**resource else { continue };
            let linked = self.link_listener(version, listener)?;
            match linked.kind {
                ListenerKind::Http {
                    routes, tracing, access_log, filters, paths, limits, manner, ..
                } if listener.address.is_none() => {
                    let found = NamedRoutes { routes, tracing, access_log, filters, paths, limits, manner };
                    let answer = Some(Named::Routes(found));
                    named.insert(Arc::from(name), NamedEntry { used: Arc::default(), answer });
                }
                ListenerKind::Tcp(tcp) if listener.address.is_none() => {
                    let answer = Some(Named::Bytes(tcp));
                    named.insert(Arc::from(name), NamedEntry { used: Arc::default(), answer });
                }
                ListenerKind::Http { .. } | ListenerKind::Tcp(_) | ListenerKind::Chains(_) => {
                    listeners.push(linked);
                }
            }
        }
        for Name { name, used, absent } in names {
            if let Some(entry) = named.get_mut(&name) {
                entry.used = used;
            } else if absent {
                named.insert(name, NamedEntry { used, answer: None });
            }
        }
        self.drop_unused(effective);
        self.filters.sweep();
        self.sequence += 1;
        let versions: Vec<_> =
            effective.iter().map(|(kind, name, version, _)| (kind, name, version)).collect();
        Ok(Snapshot {
            sequence: self.sequence,
            revision: Version::of(&versions),
            listeners,
            clusters: self.slots.clone(),
            names: named,
        })
    }

    fn slot(&self, cluster: &str) -> Result<usize, LinkError> {
        let place = self.clusters.get(cluster);
        place
            .map(|place| place.slot)
            .ok_or_else(|| LinkError::new("", format!("cluster {cluster} is missing")))
    }

    fn drop_unused(&mut self, effective: &ResourceSet) {
        let gone: Vec<String> = self
            .clusters
            .keys()
            .filter(|name| effective.get(ResourceType::Cluster, name).is_none())
            .cloned()
            .collect();
        for name in gone {
            if let Some(place) = self.clusters.remove(&name) {
                self.resolved.remove(&name);
                self.slots[place.slot] = self.vacant.clone();
                self.free.push(place.slot);
            }
        }
        let route_ids = &mut self.route_ids;
        self.routes.retain(|(kind, name), (_, routes)| {
            let used = listeners::has_routes(effective, *kind, name);
            if !used {
                route_ids.release(routes);
            }
            used
        });
    }

    fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

#[cfg(test)]
mod tests;
