//! What a sidecar knows of its configuration, between the stream and the snapshot. No IO: messages, names and the time come
//! in, requests, snapshots and what is to be kept on disk come out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_model::node::Node;
use weir_model::{Resource, ResourceSet, ResourceType, Time, Version, limits};
use weir_proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use weir_xds::{DeltaClient, Rejection, SessionError};

use crate::demand::{Answer, Names, Wanted};
use crate::graph::Graph;
use crate::persist::Saved;
use crate::snapshot::Snapshot;
use crate::snapshot::link::{LinkError, Linker, check_subsets};
use crate::status::Refused;

/// Refusals that are remembered for people; the control plane is told all of them.
const REFUSALS: usize = 256;

/// The sans-IO half of the configuration task.
#[derive(Debug)]
pub struct Core {
    node: String,
    session: DeltaClient,
    graph: Graph,
    linker: Linker,
    names: Names,
    /// What is subscribed to because something refers to it.
    followed: BTreeMap<ResourceType, BTreeSet<String>>,
    /// The control plane's versions of what was received.
    versions: BTreeMap<(ResourceType, String), String>,
    refused: BTreeMap<(ResourceType, String), String>,
    refusals: u64,
    /// What the control plane calls the state it last sent.
    control_plane_version: String,
}

impl Core {
    /// Begins with what was kept, if anything was.
    pub fn new(node: &Node, linker: Linker, saved: Option<Saved>, now: Time) -> Self {
        let mut core = Self {
            node: node.id.clone(),
            session: DeltaClient::new(node),
            graph: Graph::default(),
            linker,
            names: Names::default(),
            followed: BTreeMap::new(),
            versions: BTreeMap::new(),
            refused: BTreeMap::new(),
            refusals: 0,
            control_plane_version: String::new(),
        };
        core.session.subscribe(ResourceType::Listener, ["*"]);
        core.session.subscribe(ResourceType::Cluster, ["*"]);
        if let Some(saved) = saved {
            core.restore(saved, now);
        }
        core
    }

    fn restore(&mut self, saved: Saved, now: Time) {
        let mut resources = ResourceSet::default();
        for (wire, resource) in saved.resources {
            let (kind, name) = (resource.kind(), resource.name().to_owned());
            let version = resource.version();
            if let Err(error) = self.linker.prepare(version, &resource) {
                tracing::warn!("the {kind} {name} of the last good configuration is not used: {error}");
                continue;
            }
            self.versions.insert((kind, name), wire);
            resources.insert_versioned(version, resource);
        }
        self.graph = Graph::restored(resources);
        let received = self.graph.received();
        self.versions.retain(|(kind, name), _| received.get(*kind, name).is_some());
        for (name, absent) in saved.names {
            if crate::demand::is_name(&name) {
                self.want(name.as_str().into(), now);
                let found = self.graph.received().get(ResourceType::Listener, &name).is_some();
                let answer = match (found, absent) {
                    (true, _) => Answer::Listener,
                    (false, true) => Answer::Absent,
                    (false, false) => Answer::None,
                };
                self.names.answer(&name, answer);
            }
        }
        self.follow();
        for ((kind, name), wire) in self.versions.iter().filter(|(_, wire)| !wire.is_empty()) {
            self.session.restore(*kind, name, wire);
        }
    }

    /// A stream was opened. What is still wanted of what was refused will be sent again, so that refusals begin anew.
    pub fn connect(&mut self) {
        self.refused.clear();
        self.session.connect();
    }

    /// Streams that are opened from now on are no lease: the workload takes nothing new.
    pub fn leave(&mut self) {
        self.session.leave();
    }

    /// The stream is gone.
    pub fn disconnect(&mut self) {
        self.session.disconnect();
    }

    /// The next request to send.
    pub fn poll_output(&mut self) -> Option<DeltaDiscoveryRequest> {
        self.session.poll_output()
    }

    /// Takes a response; whether there is a new snapshot to publish. The answer to it is in [`Core::poll_output`], to be sent
    /// after publication, so that what is acknowledged is served.
    pub fn receive(&mut self, response: DeltaDiscoveryResponse) -> Result<bool, SessionError> {
        let control_plane_version = response.system_version_info.clone();
        let received = self.session.receive(response)?;
        let kind = received.kind;
        if !control_plane_version.is_empty() {
            self.control_plane_version = control_plane_version;
        }
        let mut rejections = Vec::new();
        let mut answered = false;
        for (wire, resource) in received.upserts {
            let name = resource.name().to_owned();
            match self.take(&resource) {
                Ok(()) => {
                    self.refused.remove(&(kind, name.clone()));
                    if kind == ResourceType::Listener {
                        answered |= self.names.answer(&name, Answer::Listener);
                    }
                    self.versions.insert((kind, name), wire);
                }
                Err(error) => {
                    self.refuse(kind, &name, error.to_string());
                    rejections.push(Rejection { name, field: error.field, message: error.message });
                }
            }
        }
        for error in &received.rejected {
            let text = match error.field.is_empty() {
                true => error.message.clone(),
                false => format!("{}: {}", error.field, error.message),
            };
            self.refuse(kind, &error.resource, text);
        }
        for name in received.removed {
            self.drop_received(kind, &name);
            if kind == ResourceType::Listener {
                answered |= self.names.answer(&name, Answer::Absent);
            }
        }
        let changed = self.settle();
        self.session.accept(&rejections);
        Ok(changed || answered)
    }

    /// A request uses a name that no snapshot knows; whether there is something to publish.
    pub fn want(&mut self, name: Arc<str>, now: Time) -> bool {
        match self.names.want(name.clone(), now) {
            Wanted::Known => false,
            Wanted::Subscribe { evicted } => {
                let given_up = evicted.map(|evicted| self.give_up(&[evicted]));
                self.session.subscribe(ResourceType::Listener, [&*name]);
                given_up.is_some()
            }
        }
    }

    /// Gives up names that were not used for long; whether there is something to publish.
    pub fn expire(&mut self, now: Time) -> bool {
        let idle = self.names.expire(now);
        if idle.is_empty() {
            return false;
        }
        self.give_up(&idle);
        true
    }

    /// The names of a cluster were looked up; whether there is something to publish.
    pub fn resolved(&mut self, cluster: &str, endpoints: weir_model::Endpoints) -> bool {
        self.linker.resolve(cluster, endpoints)
    }

    /// The snapshot of what is in force.
    pub fn snapshot(&mut self) -> Result<Snapshot, LinkError> {
        self.linker.link(self.graph.effective(), self.names.linked())
    }

    /// What is to be kept on disk.
    pub fn saved(&self) -> Saved {
        let resource = |(kind, name, version, resource): (ResourceType, &str, Version, &Arc<Resource>)| {
            let received =
                self.graph.received().get(kind, name).is_some_and(|(received, _)| *received == version);
            let wire = self.versions.get(&(kind, name.to_owned())).filter(|_| received);
            (wire.cloned().unwrap_or_default(), resource.clone())
        };
        Saved {
            node: self.node.clone(),
            resources: self.graph.effective().iter().map(resource).collect(),
            names: self
                .names
                .all()
                .into_iter()
                .map(|(name, answer)| (name.to_string(), answer == Answer::Absent))
                .collect(),
        }
    }

    /// Received and effective resources.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Names asked for.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// What was refused last and not replaced since.
    pub fn refused(&self) -> Vec<Refused> {
        let refused = self.refused.iter();
        refused
            .map(|((kind, name), error)| Refused { kind: *kind, name: name.clone(), error: error.clone() })
            .collect()
    }

    /// How many resources were refused since the start.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// What the control plane calls the state it last sent; empty if it does not say.
    pub fn control_plane_version(&self) -> &str {
        &self.control_plane_version
    }

    fn take(&mut self, resource: &Arc<Resource>) -> Result<(), LinkError> {
        let version = resource.version();
        check_subsets(resource, self.graph.received())?;
        self.linker.prepare(version, resource)?;
        self.graph.upsert(version, resource.clone()).map_err(|full| {
            self.linker.forget(resource.kind(), resource.name());
            LinkError { field: String::new(), message: full.to_string() }
        })
    }

    fn refuse(&mut self, kind: ResourceType, name: &str, mut error: String) {
        self.refusals += 1;
        error.truncate(error.floor_char_boundary(limits::NACK_TEXT_BYTES));
        tracing::warn!("refused the {kind} {name}, the last good one stays: {error}");
        if self.refused.len() < REFUSALS || self.refused.contains_key(&(kind, name.to_owned())) {
            self.refused.insert((kind, name.to_owned()), error);
        }
    }

    fn give_up(&mut self, names: &[Arc<str>]) {
        self.session.unsubscribe(ResourceType::Listener, names.iter().map(|name| &**name));
        for name in names {
            self.drop_received(ResourceType::Listener, name);
        }
        self.settle();
    }

    fn drop_received(&mut self, kind: ResourceType, name: &str) {
        self.graph.remove(kind, name);
        self.linker.forget(kind, name);
        let key = (kind, name.to_owned());
        self.versions.remove(&key);
        self.refused.remove(&key);
    }

    /// Brings into force what can be, and follows references, until neither leads any further; whether anything changed.
    fn settle(&mut self) -> bool {
        let mut changed = false;
        loop {
            changed |= self.graph.settle();
            if !self.follow() {
                return changed;
            }
        }
    }

    /// Subscribes to what something refers to and gives back what nothing refers to any more; whether anything was given
    /// back, so that more may have become unused.
    fn follow(&mut self) -> bool {
        let mut gave_back = false;
        for kind in [ResourceType::Route, ResourceType::Endpoints] {
            let wanted = self.graph.referred(kind);
            let followed = self.followed.entry(kind).or_default();
            let fresh: Vec<&str> = wanted.difference(followed).map(String::as_str).collect();
            let stale: Vec<String> = followed.difference(&wanted).cloned().collect();
            if !fresh.is_empty() {
                self.session.subscribe(kind, fresh);
            }
            if !stale.is_empty() {
                self.session.unsubscribe(kind, stale.iter().map(String::as_str));
            }
            self.followed.insert(kind, wanted);
            for name in &stale {
                self.drop_received(kind, name);
            }
            gave_back |= !stale.is_empty();
        }
        gave_back
    }
}

#[cfg(test)]
mod tests;
