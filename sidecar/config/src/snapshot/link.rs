//! Turns resources into a [`Snapshot`] (stage 12 of the configuration path). No IO, no clock.
//!
//! Two steps, so that an error belongs to the resource that causes it. [`Linker::prepare`] compiles one resource by itself
//! when it arrives; what fails here is refused with its field path and never reaches the graph, so the last good version
//! stays in force. [`Linker::link`] resolves the names of a closed set to indices and cannot fail for what was prepared.
//!
//! What did not change is not linked again: a cluster keeps its index while its name lives, so the routes that refer to it
//! stay as they are when its endpoints change, and the other way round.

mod ids;
mod prepare;
mod routes;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use weir_decide::balance::Table;
use weir_decide::route::{FieldCompiler, Matcher};
use weir_model::{Discovery, Resource, ResourceSet, ResourceType, RouteSource, Time, Version};

use super::filters::{Filters, Known};
use super::state::{ClusterState, EndpointState, LastUse, NOT_BEGUN, Standing};
use super::{Cluster, Detection, Listener, ListenerKind, NamedEntry, NamedRoutes, Routes, Snapshot};
use ids::RouteIds;
pub use prepare::LinkError;
use prepare::{check_cluster, check_endpoints, check_filters};

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
}

/// Where a cluster is, and what it was linked from.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: usize,
    cluster: Version,
    endpoints: Version,
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
        }
    }

    /// Where sockets are bound that the configuration knows by another address, because they are bound to an unspecified one
    /// or advertised through another: from the address in the configuration to the socket's own.
    pub fn with_bound(mut self, bound: BTreeMap<SocketAddr, SocketAddr>) -> Self {
        self.bound = bound;
        self
    }

    /// Compiles a resource that arrived, and keeps the result until it is linked.
    pub fn prepare(&mut self, version: Version, resource: &Resource) -> Result<(), LinkError> {
        if let Resource::Listener(weir_model::Listener {
            kind: weir_model::ListenerKind::Http(http), ..
        }) = resource
        {
            check_filters(http.filters.as_deref(), &mut FieldCompiler::default())
                .map_err(|error| LinkError { field: format!("http_filters.{}", error.field), ..error })?;
        }
        match resource {
            Resource::Cluster(cluster) => check_cluster(cluster),
            Resource::Endpoints(endpoints) => check_endpoints(endpoints, ""),
            Resource::Listener(listener) => match &listener.kind {
                weir_model::ListenerKind::Http(http) => match &http.routes {
                    RouteSource::Rds(_) => Ok(()),
                    RouteSource::Inline(routes) => {
                        let key = (ResourceType::Listener, listener.name.clone());
                        self.prepare_routes(key, version, routes).map_err(|error| LinkError {
                            field: format!("route_config.{}", error.field),
                            ..error
                        })
                    }
                },
                weir_model::ListenerKind::Tcp(_) if listener.address.is_none() => Err(LinkError::new(
                    "address",
                    "a TCP listener needs an address; only HTTP is asked for by name",
                )),
                weir_model::ListenerKind::Tcp(_) => Ok(()),
            },
            Resource::Route(routes) => {
                self.prepare_routes((ResourceType::Route, routes.name.clone()), version, routes)
            }
        }
    }

    /// Gives up what was prepared for a resource that was removed.
    pub fn forget(&mut self, kind: ResourceType, name: &str) {
        self.prepared.remove(&(kind, name.to_owned()));
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
                ListenerKind::Http { routes, tracing, access_log, filters, paths, limits, .. }
                    if listener.address.is_none() =>
                {
                    let routes = Some(NamedRoutes { routes, tracing, access_log, filters, paths, limits });
                    named.insert(Arc::from(name), NamedEntry { used: Arc::default(), routes });
                }
                ListenerKind::Http { .. } | ListenerKind::Tcp { .. } => listeners.push(linked),
            }
        }
        for Name { name, used, absent } in names {
            if let Some(entry) = named.get_mut(&name) {
                entry.used = used;
            } else if absent {
                named.insert(name, NamedEntry { used, routes: None });
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

    fn link_clusters(&mut self, effective: &ResourceSet) -> Result<(), LinkError> {
        for (name, version, resource) in effective.of(ResourceType::Cluster) {
            let Resource::Cluster(cluster) = &**resource else { continue };
            let (endpoints_version, source) = match &cluster.discovery {
                Discovery::Eds(eds) => {
                    let missing =
                        || LinkError::new("eds_cluster_config", format!("endpoints {eds} are missing"));
                    effective.get(ResourceType::Endpoints, eds).ok_or_else(missing)?
                }
                Discovery::Static(_) => &(version, resource.clone()),
            };
            let (endpoints_version, source) = (*endpoints_version, source.clone());
            let place = self.clusters.get(name).copied();
            if place.is_some_and(|place| place.cluster == version && place.endpoints == endpoints_version) {
                continue;
            }
            let previous = place.map(|place| self.slots[place.slot].clone());
            let model = match &previous {
                Some(previous) if place.is_some_and(|place| place.cluster == version) => {
                    previous.model.clone()
                }
                _ => Arc::new(cluster.clone()),
            };
            let linked = Arc::new(self.cluster(model, source, previous.as_deref()));
            let slot = match place {
                Some(place) => place.slot,
                None => self.free.pop().unwrap_or_else(|| {
                    self.slots.push(self.vacant.clone());
                    self.slots.len() - 1
                }),
            };
            self.slots[slot] = linked;
            self.clusters
                .insert(name.to_owned(), Place { slot, cluster: version, endpoints: endpoints_version });
        }
        Ok(())
    }

    fn cluster(
        &mut self,
        model: Arc<weir_model::Cluster>,
        source: Arc<Resource>,
        previous: Option<&Cluster>,
    ) -> Cluster {
        let state = match previous {
            Some(previous) => previous.state.clone(),
            None => Arc::new(ClusterState::new(self.new_id(), model.name.as_str().into(), self.workers)),
        };
        let mut cluster =
            Cluster { model, table: super::empty_table(), endpoints: Vec::new(), state, source };
        let Some(assignment) = cluster.assignment() else { return cluster };
        let table = Table::new(&cluster.model.load_balancing, &cluster.model.spread, assignment);
        let health = &cluster.model.health;
        let table = table.with_panic_threshold(health.panic_threshold);
        // An endpoint that is new in a cluster that is not.
        let newcomer = previous.is_some() && health.slow_start.is_some();
        let checked = health.health_check.is_some();
        let known: HashMap<(SocketAddr, &str), &Arc<EndpointState>> = previous
            .into_iter()
            .flat_map(|previous| &previous.endpoints)
            .map(|endpoint| ((endpoint.address, &*endpoint.workload), endpoint))
            .collect();
        let mut endpoints = Vec::new();
        for (_, endpoint) in assignment.iter() {
            endpoints.push(match known.get(&(endpoint.address, endpoint.workload.as_str())) {
                Some(state) => Arc::clone(state),
                None => {
                    let id = self.new_id();
                    let workload = endpoint.workload.as_str().into();
                    if newcomer {
                        cluster.state.starting_until.store(NOT_BEGUN.0, Relaxed);
                    }
                    let standing = Standing::new(checked, if newcomer { NOT_BEGUN } else { Time(0) });
                    Arc::new(EndpointState::new(id, endpoint.address, workload, self.workers, standing))
                }
            });
        }
        cluster.table = table;
        cluster.endpoints = endpoints;
        cluster
    }

    fn link_listener(
        &mut self,
        version: Version,
        listener: &weir_model::Listener,
    ) -> Result<Listener, LinkError> {
        let kind = match &listener.kind {
            weir_model::ListenerKind::Http(http) => {
                let routes = match &http.routes {
                    RouteSource::Rds(name) => {
                        let missing =
                            || LinkError::new("rds", format!("route configuration {name} is missing"));
                        let linked = self.routes.get(&(ResourceType::Route, name.clone()));
                        linked.map(|(_, routes)| routes.clone()).ok_or_else(missing)?
                    }
                    RouteSource::Inline(routes) => {
                        self.link_routes((ResourceType::Listener, listener.name.clone()), version, routes)?
                    }
                };
                let detection = match &http.detection {
                    Some(detection) => Some(Detection {
                        cluster: self.slot(&detection.otherwise.cluster)?,
                        access_log: detection.otherwise.access_log.clone(),
                        wait: detection.wait,
                    }),
                    None => None,
                };
                ListenerKind::Http {
                    routes,
                    tracing: http.tracing.clone(),
                    access_log: http.access_log.clone(),
                    detection,
                    filters: self.listener_filters(listener, http)?,
                    paths: http.paths,
                    forwarded: http.forwarded,
                    limits: http.limits,
                }
            }
            weir_model::ListenerKind::Tcp(tcp) => {
                ListenerKind::Tcp { cluster: self.slot(&tcp.cluster)?, access_log: tcp.access_log.clone() }
            }
        };
        Ok(Listener {
            name: listener.name.as_str().into(),
            address: listener.address.map(|address| self.bound.get(&address).copied().unwrap_or(address)),
            direction: listener.direction,
            kind,
        })
    }

    fn listener_filters(
        &mut self,
        listener: &weir_model::Listener,
        http: &weir_model::HttpListener,
    ) -> Result<Option<Arc<Filters>>, LinkError> {
        let place = || format!("listener/{}", listener.name);
        self.filters
            .link(place, http.filters.as_deref(), None, &mut FieldCompiler::default())
            .map_err(|error| LinkError::new(error.field, error.message))
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
                self.slots[place.slot] = self.vacant.clone();
                self.free.push(place.slot);
            }
        }
        let route_ids = &mut self.route_ids;
        self.routes.retain(|(kind, name), (_, routes)| {
            let inline = |(_, resource): &(Version, Arc<Resource>)| match &**resource {
                Resource::Listener(listener) => match &listener.kind {
                    weir_model::ListenerKind::Http(http) => matches!(http.routes, RouteSource::Inline(_)),
                    weir_model::ListenerKind::Tcp(_) => false,
                },
                _ => true,
            };
            let used = effective.get(*kind, name).is_some_and(inline);
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
