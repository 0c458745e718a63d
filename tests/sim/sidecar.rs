//! weir's own sidecar: the real configuration core, graph and linker, on a disk and a process that can die.

use crate::invariants;
use crate::mutation::Mutation;
use crate::nodes::Role;
use crate::spoil::spoil;
use crate::truth::{Floors, History, Key, Mark};
use crate::wire::is_poisoned;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_config::client::Core;
use weir_config::persist;
use weir_config::snapshot::link::Linker;
use weir_config::{NameLookup, Snapshot};
use weir_decide::route::Head;
use weir_model::{Random, ResourceSet, ResourceType, Time};
use weir_proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use weir_xds::codec;

/// More than any mesh here can need.
const RESOURCES: usize = 512;

/// What is on the sidecar's disk.
#[derive(Debug, Clone)]
struct Kept {
    bytes: Vec<u8>,
    floors: Floors,
}

/// A request that is under way with the snapshot it began with.
#[derive(Debug)]
struct Pinned {
    snapshot: Arc<Snapshot>,
    authority: String,
    clusters: Vec<String>,
}

/// A sidecar.
#[derive(Debug)]
pub(crate) struct Sidecar {
    role: Role,
    core: Core,
    served: Arc<ResourceSet>,
    snapshot: Arc<Snapshot>,
    floors: Floors,
    kept: Option<Kept>,
    pinned: Vec<Pinned>,
    /// Whether what is served is not on disk yet.
    pub(crate) dirty: bool,
}

/// What a message did.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// For the journal.
    pub(crate) text: String,
    /// How many resources were refused.
    pub(crate) refused: usize,
}

impl Sidecar {
    /// A sidecar that never ran.
    pub(crate) fn new(role: Role, now: Time) -> Self {
        let core = Core::new(&role.node, Linker::new(2), None, now);
        Self {
            role,
            core,
            served: Arc::default(),
            snapshot: Arc::new(Snapshot::empty()),
            floors: Floors::default(),
            kept: None,
            pinned: Vec::new(),
            dirty: false,
        }
    }

    /// The process starts again, with what is on disk and nothing else.
    pub(crate) fn restart(&mut self, now: Time, history: &History) -> Result<(), String> {
        let kept = self.kept.clone();
        let saved = match &kept {
            None => None,
            Some(kept) => {
                let (saved, left_out) =
                    persist::decode(&kept.bytes, &self.role.node.id).map_err(|why| why.to_string())?;
                if let Some(why) = left_out.first() {
                    return Err(format!("cannot read what it wrote itself: {why}"));
                }
                Some(saved)
            }
        };
        let meant = saved.as_ref().map_or(0, |saved| saved.resources.len());
        self.core = Core::new(&self.role.node, Linker::new(2), saved, now);
        self.floors = kept.map(|kept| kept.floors).unwrap_or_default();
        self.served = Arc::default();
        self.pinned.clear();
        self.publish(history)?;
        if self.served.len() != meant {
            return Err(format!(
                "kept {meant} resources and serves {} of them after a restart",
                self.served.len()
            ));
        }
        self.dirty = false;
        Ok(())
    }

    /// What is served goes to disk.
    pub(crate) fn keep(&mut self) {
        self.kept = Some(Kept { bytes: persist::encode(&self.core.saved()), floors: self.floors.clone() });
        self.dirty = false;
    }

    /// A stream was opened; nothing that is served changes by that.
    pub(crate) fn open(&mut self) -> Result<(), String> {
        self.core.connect();
        self.unchanged("connecting")
    }

    /// It gives up its lease, and goes on asking on another stream.
    pub(crate) fn leave(&mut self) {
        self.core.disconnect();
        self.core.leave();
    }

    /// The stream is gone; nothing that is served changes by that.
    pub(crate) fn lost(&self) -> Result<(), String> {
        self.unchanged("losing the control plane")
    }

    fn unchanged(&self, what: &str) -> Result<(), String> {
        match Arc::ptr_eq(&self.served, self.core.graph().effective()) {
            true => Ok(()),
            false => Err(format!("{what} changes what is served")),
        }
    }

    /// What there is to send.
    pub(crate) fn outputs(&mut self, mutation: Option<Mutation>) -> Vec<Vec<u8>> {
        let mut outputs = Vec::new();
        while let Some(mut request) = self.core.poll_output() {
            if mutation == Some(Mutation::AcceptInWords) {
                request.error_detail = None;
            }
            outputs.push(request.encode_to_vec());
        }
        outputs
    }

    /// Takes a message, serves what it brings, and checks all of it.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        history: &History,
        mutation: Option<Mutation>,
    ) -> Result<Heard, String> {
        let mut response = DeltaDiscoveryResponse::decode(bytes).map_err(|error| error.to_string())?;
        let kind = codec::kind_of(&response.type_url).ok_or("a response of no known type")?;
        let mut heard = Heard { text: describe(kind, &response), refused: 0 };
        let bad = |resource: &weir_proto::envoy::envoy::service::discovery::v3::Resource| {
            self.role.picky && resource.resource.as_ref().is_some_and(is_poisoned)
        };
        let refused: Vec<String> = response
            .resources
            .iter()
            .filter(|resource| bad(resource))
            .map(|resource| resource.name.clone())
            .collect();
        if mutation == Some(Mutation::ForgetLastGood) {
            response.resources.retain(|resource| !refused.contains(&resource.name));
            response.removed_resources.extend(refused.iter().cloned());
        }
        for resource in response.resources.iter_mut().filter(|resource| refused.contains(&resource.name)) {
            spoil(kind, resource.resource.as_mut().ok_or("a resource without content")?);
        }
        let before = self.served.clone();
        let changed = self
            .core
            .receive(response)
            .map_err(|error| format!("the control plane broke the protocol: {error}"))?;
        if changed {
            self.publish(history)?;
        }
        self.unchanged("a message that was said to change nothing")?;
        for name in &refused {
            let version = |set: &ResourceSet| set.get(kind, name).map(|(version, _)| *version);
            if version(&before) != version(&self.served) {
                return Err(format!("refused {kind} {name} and does not serve the last good one any more"));
            }
            let known = self.core.refused().iter().any(|one| one.kind == kind && one.name == *name);
            // What was given up while it was on its way is nobody's concern.
            let asked = !matches!(kind, ResourceType::Route | ResourceType::Endpoints)
                || self.core.graph().referred(kind).contains(name);
            if asked && !known && mutation.is_none() {
                return Err(format!("refused {kind} {name} and does not say so"));
            }
        }
        heard.refused = refused.len();
        Ok(heard)
    }

    /// A request uses a name: it is asked for if it is not known.
    pub(crate) fn want(&mut self, authority: &str, now: Time, history: &History) -> Result<(), String> {
        let name = weir_decide::authority::normalize(authority).into_owned();
        if self.core.want(name.as_str().into(), now) {
            self.publish(history)?;
        }
        self.unchanged("asking for a name")
    }

    /// Names that nobody used for long are given up.
    pub(crate) fn expire(&mut self, now: Time, history: &History) -> Result<(), String> {
        if self.core.expire(now) {
            self.publish(history)?;
        }
        self.unchanged("giving up names")
    }

    /// A request goes through, and another one that began earlier ends.
    pub(crate) fn request(&mut self, authority: &str, now: Time, random: &mut Random) -> Result<(), String> {
        if let Some(earlier) = self.pinned.pop() {
            let now = targets(&earlier.snapshot, &earlier.authority, now);
            if now != earlier.clusters {
                return Err(format!(
                    "a request for {} saw {:?}, then {now:?}",
                    earlier.authority, earlier.clusters
                ));
            }
        }
        let snapshot = self.snapshot.clone();
        if let NameLookup::Found(found) = snapshot.name(authority, now) {
            let (method, headers) = (http::Method::GET, http::HeaderMap::new());
            let head = Head { authority, method: &method, path: "/v1/x", query: None, headers: &headers };
            if let Some(index) = found.routes.matcher.find(&head, random)
                && let weir_config::Action::Forward(forward) = &found.routes.route(index).action
            {
                let target = forward.split.pick(random);
                let cluster =
                    forward.targets.get(target).and_then(|target| snapshot.clusters.get(target.cluster));
                if cluster.is_none_or(|cluster| cluster.is_vacant()) {
                    return Err(format!("a request for {authority} is split to nowhere"));
                }
            }
        }
        let clusters = targets(&snapshot, authority, now);
        self.pinned.insert(0, Pinned { snapshot, authority: authority.to_owned(), clusters });
        self.pinned.truncate(4);
        Ok(())
    }

    /// What is in force.
    pub(crate) fn served(&self) -> &ResourceSet {
        &self.served
    }

    /// Names asked for.
    pub(crate) fn uses(&self) -> impl Iterator<Item = String> {
        self.core.names().all().into_iter().map(|(name, _)| name.to_string())
    }

    /// What was received and is not in force, or was refused; for the end, when there must be none.
    pub(crate) fn open_ends(&self) -> Vec<String> {
        let pending = self.core.graph().pending().into_iter().map(|pending| format!("{pending:?} waits"));
        let refused = self.core.refused().into_iter().map(|refused| format!("{refused:?} is refused"));
        let received = self.core.graph().received().len();
        let extra = (received != self.served.len())
            .then(|| format!("{received} resources received, {} in force", self.served.len()));
        pending.chain(refused).chain(extra).collect()
    }

    fn publish(&mut self, history: &History) -> Result<(), String> {
        let effective = self.core.graph().effective().clone();
        if let Some((from, kind, name)) = effective.dangling().first() {
            return Err(format!("what is in force is not closed: {from} refers to the {kind} {name}"));
        }
        let snapshot =
            self.core.snapshot().map_err(|error| format!("what is in force cannot be linked: {error}"))?;
        invariants::linked(&snapshot, &effective)?;
        let received = self.core.graph().received().len();
        if received > RESOURCES {
            return Err(format!("holds {received} resources"));
        }
        let now: BTreeMap<Key, Mark> =
            effective.iter().map(|(kind, name, version, _)| ((kind, name.to_owned()), version.0)).collect();
        self.floors.serve(history, &now)?;
        (self.served, self.snapshot) = (effective, Arc::new(snapshot));
        self.dirty = true;
        Ok(())
    }
}

/// The clusters that an authority's routes lead to in a snapshot, by index.
fn targets(snapshot: &Snapshot, authority: &str, now: Time) -> Vec<String> {
    let NameLookup::Found(found) = snapshot.name(authority, now) else { return vec![] };
    let forwards = found.routes.hosts.iter().flatten().filter_map(|route| match &route.action {
        weir_config::Action::Forward(forward) => Some(forward),
        _ => None,
    });
    let targets = forwards.flat_map(|forward| &forward.targets);
    targets.map(|target| snapshot.clusters[target.cluster].model.name.clone()).collect()
}

fn describe(kind: ResourceType, response: &DeltaDiscoveryResponse) -> String {
    let mut text = format!("{kind} #{}:", response.nonce);
    for resource in &response.resources {
        text.push_str(&format!(" +{}@{}", resource.name, resource.version.get(..6).unwrap_or_default()));
    }
    for name in &response.removed_resources {
        text.push_str(&format!(" -{name}"));
    }
    text
}
