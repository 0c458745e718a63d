//! Links clusters: to their endpoints, wherever these come from, with the tables that choose among them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use weir_decide::balance::subset::Subsets;
use weir_decide::balance::{Callers, Table};
use weir_model::{Discovery, Endpoints, Resource, ResourceSet, ResourceType, Time, Version};

use super::prepare::LinkError;
use super::{Linker, Place};
use crate::snapshot::drops;
use crate::snapshot::state::{ClusterState, EndpointState, NOT_BEGUN, Standing};
use crate::snapshot::{Cluster, empty_table};

impl Linker {
    /// Takes what was found under the names of a cluster that is looked up; whether that is anything new.
    pub fn resolve(&mut self, cluster: &str, endpoints: Endpoints) -> bool {
        let resource = Resource::Endpoints(endpoints);
        let version = resource.version();
        let known = self.resolved.get(cluster).is_some_and(|(known, _)| *known == version);
        if !self.clusters.contains_key(cluster) || known {
            return false;
        }
        self.resolved.insert(cluster.to_owned(), (version, Arc::new(resource)));
        true
    }

    pub(super) fn link_clusters(&mut self, effective: &ResourceSet) -> Result<(), LinkError> {
        let callers = self.callers(effective);
        let callers_version = Version::of(&callers);
        for (name, version, resource) in effective.of(ResourceType::Cluster) {
            let Resource::Cluster(cluster) = &**resource else { continue };
            let found;
            let (endpoints_version, source) = match &cluster.discovery {
                Discovery::Eds(eds) => {
                    let missing =
                        || LinkError::new("eds_cluster_config", format!("endpoints {eds} are missing"));
                    effective.get(ResourceType::Endpoints, eds).ok_or_else(missing)?
                }
                Discovery::Static(_) => {
                    found = (version, resource.clone());
                    &found
                }
                // Until its names were looked up, it has no endpoints.
                Discovery::Dns(dns) => match self.resolved.get(name) {
                    Some(resolved) => resolved,
                    None => {
                        found = (Version(0), Arc::new(Resource::Endpoints(dns.endpoints.clone())));
                        &found
                    }
                },
            };
            let zone_aware = cluster.spread.zone_aware.is_some();
            let next = Place {
                slot: 0,
                cluster: version,
                endpoints: *endpoints_version,
                callers: if zone_aware { callers_version } else { Version(0) },
            };
            let source = source.clone();
            let place = self.clusters.get(name).copied();
            if place.is_some_and(|place| next == Place { slot: 0, ..place }) {
                continue;
            }
            let previous = place.map(|place| self.slots[place.slot].clone());
            let model = match &previous {
                Some(previous) if place.is_some_and(|place| place.cluster == version) => {
                    previous.model.clone()
                }
                _ => Arc::new(cluster.clone()),
            };
            let callers = callers.as_ref().filter(|_| zone_aware);
            let linked = Arc::new(self.cluster(model, source, callers, previous.as_deref()));
            let slot = match place {
                Some(place) => place.slot,
                None => self.free.pop().unwrap_or_else(|| {
                    self.slots.push(self.vacant.clone());
                    self.slots.len() - 1
                }),
            };
            self.slots[slot] = linked;
            self.clusters.insert(name.to_owned(), Place { slot, ..next });
        }
        Ok(())
    }

    /// Who calls clusters beside this sidecar: the endpoints of its own cluster.
    fn callers(&self, effective: &ResourceSet) -> Option<Callers> {
        let (locality, name) = self.local.as_ref()?;
        let (_, own) = effective.get(ResourceType::Cluster, name)?;
        let Resource::Cluster(own) = &**own else { return None };
        match &own.discovery {
            Discovery::Static(endpoints) => Some(Callers::new(locality.clone(), endpoints)),
            Discovery::Eds(eds) => match &*effective.get(ResourceType::Endpoints, eds)?.1 {
                Resource::Endpoints(endpoints) => Some(Callers::new(locality.clone(), endpoints)),
                _ => None,
            },
            Discovery::Dns(_) => match &*self.resolved.get(name)?.1 {
                Resource::Endpoints(endpoints) => Some(Callers::new(locality.clone(), endpoints)),
                _ => None,
            },
        }
    }

    fn cluster(
        &mut self,
        model: Arc<weir_model::Cluster>,
        source: Arc<Resource>,
        callers: Option<&Callers>,
        previous: Option<&Cluster>,
    ) -> Cluster {
        let state = match previous {
            Some(previous) => previous.state.clone(),
            None => Arc::new(ClusterState::new(self.new_id(), model.name.as_str().into(), self.workers)),
        };
        let mut cluster = Cluster {
            model,
            table: empty_table(),
            subsets: None,
            drops: Box::default(),
            endpoints: Vec::new(),
            state,
            source,
        };
        let Some(assignment) = cluster.assignment() else { return cluster };
        let health = &cluster.model.health;
        let (policy, spread) = (&cluster.model.load_balancing, &cluster.model.spread);
        let mut table = Table::new(policy, spread, assignment).with_panic_threshold(health.panic_threshold);
        if let Some(callers) = callers {
            table = table.with_callers(callers);
        }
        let subsets =
            cluster.model.subsets.as_ref().map(|config| {
                Box::new(Subsets::new(config, policy, spread, assignment, health.panic_threshold))
            });
        // An endpoint that is new in a cluster that is not.
        let newcomer = previous.is_some() && health.slow_start.is_some();
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
                    let unchecked = endpoint.details.as_ref().is_some_and(|details| details.unchecked);
                    let failing = health.health_check.is_some() && !unchecked;
                    let standing = Standing::new(failing, if newcomer { NOT_BEGUN } else { Time(0) });
                    Arc::new(EndpointState::new(id, endpoint.address, workload, self.workers, standing))
                }
            });
        }
        let drops = drops::link(&assignment.drops, previous.map_or(&[], |previous| &*previous.drops));
        cluster.table = table;
        cluster.subsets = subsets;
        cluster.drops = drops;
        cluster.endpoints = endpoints;
        cluster
    }
}

#[cfg(test)]
mod tests;
