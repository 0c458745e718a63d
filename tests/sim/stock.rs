//! Stock clients, as far as they are seen from the wire: they **apply every response at once**, so whatever order the control plane sends in is
//! the order in which requests fail or do not.
//!
//! - Envoy asks for all clusters and, once it has them, all listeners; endpoints and routes by the names in those. A cluster that is new or
//!   changed warms up: it takes traffic only when its endpoints were sent *after* it, also if they are the same. It asks for them before it
//!   acknowledges the cluster.
//! - gRPC asks for listeners by name, then routes, clusters, endpoints, each when the one before says so, and acknowledges first.

mod asking;
mod parcel;

use crate::mutation::Mutation;
use crate::nodes::{Role, Style};
use crate::sidecar::Heard;
use crate::truth::{Floors, History, Key, Mark};
use crate::wire::{Reference, Seen};
use parcel::Parcel;
use std::collections::{BTreeMap, BTreeSet};
use weir_model::ResourceType;

/// More than any mesh here can need.
const RESOURCES: usize = 512;

/// A resource the client has.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) mark: Mark,
    /// The control plane's version, on an incremental stream.
    version: String,
    references: Vec<Reference>,
}

/// What the client does about one type.
#[derive(Debug, Default)]
struct Track {
    /// Names asked for on this stream; none before the first request.
    asked: Option<BTreeSet<String>>,
    /// Of the last response taken.
    version: String,
    /// Of the last response on this stream.
    nonce: String,
    held: BTreeMap<String, Held>,
}

/// A stock client.
#[derive(Debug)]
pub(crate) struct Stock {
    role: Role,
    tracks: [Track; 4],
    /// Clusters that wait for their endpoints. Envoy only.
    warming: BTreeMap<String, Held>,
    /// Clusters that took traffic because they were told that there are no endpoints for them.
    hollow: BTreeSet<String>,
    /// Names that the application dials. gRPC only.
    uses: BTreeSet<String>,
    /// Whether the first clusters came, and whether they are warm, so that listeners are asked for. Envoy only.
    clustered: bool,
    listening: bool,
    introduced: bool,
    outputs: Vec<Vec<u8>>,
    floors: Floors,
    /// Clusters accepted on this stream.
    known: BTreeSet<String>,
    /// Clusters from before this stream, which the control plane could not know it had to keep.
    excused: BTreeSet<String>,
    /// Clusters refused without an earlier version of them.
    refused: BTreeSet<String>,
    /// Listeners and routes that are the first of their name and were never whole: with a part missing they are better than nothing. One that
    /// replaces a whole one must be whole.
    stained: BTreeSet<String>,
}

impl Stock {
    /// A client that never ran.
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            tracks: Default::default(),
            warming: BTreeMap::new(),
            hollow: BTreeSet::new(),
            uses: BTreeSet::new(),
            clustered: false,
            listening: false,
            introduced: false,
            outputs: Vec::new(),
            floors: Floors::default(),
            known: BTreeSet::new(),
            excused: BTreeSet::new(),
            refused: BTreeSet::new(),
            stained: BTreeSet::new(),
        }
    }

    /// The process starts again: stock clients keep nothing on disk.
    pub(crate) fn restart(&mut self) {
        let uses = std::mem::take(&mut self.uses);
        *self = Self { uses, ..Self::new(self.role.clone()) };
    }

    /// A stream was opened.
    pub(crate) fn open(&mut self) {
        self.introduced = false;
        self.outputs.clear();
        self.known.clear();
        for track in &mut self.tracks {
            track.asked = None;
            track.nonce.clear();
        }
        self.reconcile(&BTreeSet::new());
    }

    /// The application dials a name.
    pub(crate) fn want(&mut self, name: String, connected: bool) {
        self.uses.insert(name);
        if connected {
            self.reconcile(&BTreeSet::new());
        }
    }

    /// Names the application dials.
    pub(crate) fn uses(&self) -> &BTreeSet<String> {
        &self.uses
    }

    /// What there is to send.
    pub(crate) fn outputs(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.outputs)
    }

    /// What it has of a type.
    pub(crate) fn held(&self, kind: ResourceType) -> &BTreeMap<String, Held> {
        &self.track(kind).held
    }

    /// Whether it asks for a resource now.
    pub(crate) fn asks(&self, (kind, name): &Key) -> bool {
        self.track(*kind).asked.as_ref().is_some_and(|asked| asked.contains(name))
    }

    /// Clusters that wait for their endpoints.
    pub(crate) fn warming(&self) -> impl Iterator<Item = &String> {
        self.warming.keys()
    }

    /// Takes a message, applies what it brings, answers it, and checks the outcome.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        history: &History,
        mutation: Option<Mutation>,
    ) -> Result<Heard, String> {
        let parcel = match self.role.style {
            Style::EnvoyDelta => parcel::delta(bytes)?,
            Style::EnvoySotw | Style::Grpc | Style::Weir => parcel::sotw(bytes)?,
        };
        let (kind, nonce, version) = (parcel.kind, parcel.nonce.clone(), parcel.version.clone());
        let mut heard = Heard { text: parcel::describe(&parcel), refused: 0 };
        let bad = |seen: &Seen| self.role.picky && seen.poisoned;
        let refused: Vec<String> = parcel
            .resources
            .iter()
            .filter(|(_, seen)| bad(seen))
            .map(|(_, seen)| seen.name.clone())
            .collect();
        if mutation == Some(Mutation::ForgetLastGood) {
            self.track_mut(kind).held.retain(|name, _| !refused.contains(name));
        }
        let whole = self.role.strict && !refused.is_empty();
        let mut again = BTreeSet::new();
        if kind == ResourceType::Cluster && mutation != Some(Mutation::ForgetLastGood) {
            let seen = parcel.resources.iter().map(|(_, seen)| &seen.name);
            let lacking = seen.filter(|name| whole || refused.contains(name));
            let held = &self.track(kind).held;
            let lacking: Vec<String> = lacking.filter(|name| !held.contains_key(*name)).cloned().collect();
            self.refused.extend(lacking);
        }
        if !whole {
            self.apply(parcel, &refused, &mut again)?;
        }
        let track = self.track_mut(kind);
        track.nonce.clone_from(&nonce);
        self.clustered |= kind == ResourceType::Cluster;
        let mut error = None;
        if refused.is_empty() {
            self.track_mut(kind).version = version;
        } else {
            heard.refused = refused.len();
            let named =
                refused.iter().map(|name| format!("{name}: carries x-poison")).collect::<Vec<_>>().join("; ");
            error = Some(if whole { "a constraint is not met (x-poison)".to_owned() } else { named });
        }
        if mutation == Some(Mutation::AcceptInWords) {
            error = None;
        }
        if self.role.style == Style::Grpc {
            self.answer(kind, nonce, error);
            self.reconcile(&again);
        } else {
            self.reconcile(&again);
            self.answer(kind, nonce, error);
        }
        self.check(history).map_err(|why| format!("{why}, after {}", heard.text))?;
        Ok(heard)
    }

    fn apply(
        &mut self,
        parcel: Parcel,
        refused: &[String],
        again: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        let Parcel { kind, resources, mut removed, .. } = parcel;
        let complete = self.role.style != Style::EnvoyDelta
            && matches!(kind, ResourceType::Cluster | ResourceType::Listener);
        if complete {
            let there: BTreeSet<&String> = resources.iter().map(|(_, seen)| &seen.name).collect();
            removed = self.track(kind).held.keys().filter(|name| !there.contains(name)).cloned().collect();
            self.warming.retain(|name, _| kind != ResourceType::Cluster || there.contains(name));
        }
        for (version, seen) in resources {
            if !refused.contains(&seen.name) {
                self.upsert(kind, version, seen, again);
            }
        }
        for name in removed {
            // Envoy does not take removals of what it asked for by name; but a cluster that waits for endpoints waits no longer.
            if self.role.style == Style::EnvoyDelta
                && matches!(kind, ResourceType::Endpoints | ResourceType::Route)
            {
                if kind == ResourceType::Endpoints {
                    let hollow = self.warm(&name);
                    self.hollow.extend(hollow);
                }
                continue;
            }
            self.warming.remove(&name);
            if self.track_mut(kind).held.remove(&name).is_some() && kind == ResourceType::Cluster {
                if complete && !self.known.contains(&name) {
                    self.excused.insert(name);
                } else if self.role.style == Style::Grpc
                    && self.wanted(kind).is_some_and(|wanted| wanted.contains(&name))
                {
                    return Err(format!("the cluster {name} is taken away while a route refers to it"));
                }
            }
        }
        Ok(())
    }

    fn upsert(&mut self, kind: ResourceType, version: String, seen: Seen, again: &mut BTreeSet<String>) {
        let held = Held { mark: seen.mark, version, references: seen.references };
        if kind == ResourceType::Cluster {
            self.known.insert(seen.name.clone());
        }
        let envoy = self.role.style != Style::Grpc;
        if kind == ResourceType::Cluster && envoy {
            self.warming.remove(&seen.name);
            let active = self.track(kind).held.get(&seen.name).map(|active| active.mark);
            let endpoints: Vec<String> = held.references.iter().map(|(_, name)| name.clone()).collect();
            if active != Some(held.mark) && !endpoints.is_empty() {
                self.warming.insert(seen.name, held);
                again.extend(endpoints);
                return;
            }
        }
        let first = self.track_mut(kind).held.insert(seen.name.clone(), held).is_none();
        if first && matches!(kind, ResourceType::Listener | ResourceType::Route) {
            self.stained.insert(seen.name.clone());
        }
        if kind == ResourceType::Endpoints && envoy {
            self.warm(&seen.name);
            let clusters = &self.tracks[ResourceType::Cluster as usize].held;
            let waits = |name: &String| {
                let references = clusters.get(name).map(|held| &held.references);
                references.is_some_and(|references| references.iter().all(|(_, other)| *other != seen.name))
            };
            self.hollow.retain(waits);
        }
    }

    /// The endpoints of this name are there: the clusters that waited for them take traffic.
    fn warm(&mut self, endpoints: &str) -> Vec<String> {
        let refers = |held: &Held| held.references.iter().any(|(_, name)| name == endpoints);
        let warm: Vec<String> =
            self.warming.iter().filter(|(_, held)| refers(held)).map(|(name, _)| name.clone()).collect();
        for name in &warm {
            if let Some(held) = self.warming.remove(name) {
                self.track_mut(ResourceType::Cluster).held.insert(name.clone(), held);
            }
        }
        warm
    }

    /// From what is in force: listeners and routes to clusters.
    fn referred_clusters(&self) -> impl Iterator<Item = (&String, &String)> {
        let holders = [ResourceType::Listener, ResourceType::Route].map(|kind| self.track(kind));
        holders.into_iter().flat_map(|track| &track.held).flat_map(|(from, held)| {
            let clusters = held.references.iter().filter(|(kind, _)| *kind == ResourceType::Cluster);
            clusters.map(move |(_, name)| (from, name))
        })
    }

    fn check(&mut self, history: &History) -> Result<(), String> {
        let clusters = &self.track(ResourceType::Cluster).held;
        let mut still = BTreeSet::new();
        let there = |name: &String| clusters.contains_key(name) && !self.hollow.contains(name);
        for (from, name) in self.referred_clusters().filter(|(_, name)| !there(name)) {
            // A gRPC client asks for a cluster because of the route; requests wait for it.
            let waits = self.role.style == Style::Grpc || self.excused.contains(name);
            let stained = self.stained.contains(from) && self.refused.contains(name);
            if !waits && !stained {
                let warming = if self.warming.contains_key(name) { " (still warming)" } else { "" };
                return Err(format!(
                    "{from} in force refers to the cluster {name}, which is not there{warming}"
                ));
            }
            still.insert(from.clone());
        }
        self.stained.retain(|from| still.contains(from));
        let mut now = BTreeMap::new();
        for kind in ResourceType::ALL {
            now.extend(self.held(kind).iter().map(|(name, held)| ((kind, name.clone()), held.mark)));
        }
        if now.len() > RESOURCES {
            return Err(format!("holds {} resources", now.len()));
        }
        self.floors.serve(history, &now)
    }

    fn track(&self, kind: ResourceType) -> &Track {
        &self.tracks[kind as usize]
    }

    fn track_mut(&mut self, kind: ResourceType) -> &mut Track {
        &mut self.tracks[kind as usize]
    }
}
