//! Decides which of the received resources are in force (stage 10 of the configuration path). Pure.
//!
//! *Received* is what the control plane said last; *effective* is what is linked and served. A resource is promoted only
//! when everything it refers to is there (warming), and a removal takes effect only when nothing effective refers to the
//! resource any more. **The effective set is closed after every step**: no reference in it dangles, whatever arrives in
//! whatever order. When the received set is closed, the effective set equals it.
//!
//! Whether a resource is well formed is not asked here: what does not compile is refused before it gets this far.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_model::{Resource, ResourceSet, ResourceType, Version, limits};

/// The kinds so that each refers only to those before it.
const REFERRED_FIRST: [ResourceType; 4] =
    [ResourceType::Endpoints, ResourceType::Cluster, ResourceType::Route, ResourceType::Listener];

/// Received and effective resources.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    received: ResourceSet,
    effective: Arc<ResourceSet>,
}

/// A received resource that is not in force, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: String,
    /// The version that waits.
    pub version: Version,
    /// Whether an older version of it is in force meanwhile.
    pub has_effective: bool,
    /// What it refers to that is missing, or pending itself without an older version.
    pub waits_for: Vec<(ResourceType, String)>,
}

/// The graph holds as many resources as it may ([`limits::RESOURCES`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "this sidecar holds {} resources already, which is its limit; declare fewer upstreams",
            limits::RESOURCES
        )
    }
}

impl Graph {
    /// A graph in which a set that was closed before is in force at once: the last good configuration. What is missing
    /// from it to be closed is left out together with everything that refers to it.
    pub fn restored(saved: ResourceSet) -> Self {
        let mut graph = Self { received: saved, effective: Arc::default() };
        graph.settle();
        graph.received = (*graph.effective).clone();
        graph
    }

    /// What the control plane said last.
    pub fn received(&self) -> &ResourceSet {
        &self.received
    }

    /// What is in force. Closed.
    pub fn effective(&self) -> &Arc<ResourceSet> {
        &self.effective
    }

    /// Takes a resource. It counts from the next [`Graph::settle`] on.
    pub fn upsert(&mut self, version: Version, resource: Arc<Resource>) -> Result<(), Full> {
        let known = self.received.get(resource.kind(), resource.name()).is_some();
        if !known && self.received.len() >= limits::RESOURCES {
            return Err(Full);
        }
        self.received.insert_versioned(version, resource);
        Ok(())
    }

    /// Takes a removal; whether the resource had been received.
    pub fn remove(&mut self, kind: ResourceType, name: &str) -> bool {
        self.received.remove(kind, name)
    }

    /// Brings into force what can be; whether anything changed.
    pub fn settle(&mut self) -> bool {
        let mut next = ResourceSet::default();
        for kind in REFERRED_FIRST {
            for (name, version, resource) in self.received.of(kind) {
                if is_closed(resource, &next) {
                    next.insert_versioned(version, resource.clone());
                } else if let Some((old_version, old)) = self.effective.get(kind, name) {
                    // What the old one refers to was effective too, and nothing effective was left out of `next` so far.
                    next.insert_versioned(*old_version, old.clone());
                }
            }
            // Removals wait until the kinds above have been decided.
            for (name, version, resource) in self.effective.of(kind) {
                if self.received.get(kind, name).is_none() {
                    next.insert_versioned(version, resource.clone());
                }
            }
        }
        self.drop_removed(&mut next);
        let changed = next != *self.effective;
        if changed {
            self.effective = Arc::new(next);
        }
        changed
    }

    /// Names of this kind that something received or effective refers to.
    pub fn referred(&self, kind: ResourceType) -> BTreeSet<String> {
        let resources = self.received.iter().chain(self.effective.iter());
        let mut names = BTreeSet::new();
        for (_, _, _, resource) in resources {
            for (_, name) in resource.references().into_iter().filter(|(target, _)| *target == kind) {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        }
        names
    }

    /// What was received and is not in force, with what it waits for.
    pub fn pending(&self) -> Vec<Pending> {
        let mut pending = Vec::new();
        for (kind, name, version, resource) in self.received.iter() {
            let effective = self.effective.get(kind, name);
            if effective.is_some_and(|(effective, _)| *effective == version) {
                continue;
            }
            let missing = resource
                .references()
                .into_iter()
                .filter(|(kind, name)| self.effective.get(*kind, name).is_none());
            let missing: BTreeSet<_> = missing.map(|(kind, name)| (kind, name.to_owned())).collect();
            pending.push(Pending {
                kind,
                name: name.to_owned(),
                version,
                has_effective: effective.is_some(),
                waits_for: missing.into_iter().collect(),
            });
        }
        pending
    }

    /// Leaves out of `next` what the control plane removed and nothing in `next` refers to, from the top down, so that a
    /// resource goes together with the last one that referred to it.
    fn drop_removed(&self, next: &mut ResourceSet) {
        for kind in REFERRED_FIRST.into_iter().rev() {
            let removed: Vec<String> = next
                .of(kind)
                .filter(|(name, ..)| self.received.get(kind, name).is_none())
                .map(|(name, ..)| name.to_owned())
                .collect();
            if removed.is_empty() {
                continue;
            }
            let mut used = BTreeSet::new();
            for (_, _, _, resource) in next.iter() {
                let targets = resource.references().into_iter().filter(|(target, _)| *target == kind);
                used.extend(targets.map(|(_, name)| name.to_owned()));
            }
            for name in removed.into_iter().filter(|name| !used.contains(name)) {
                next.remove(kind, &name);
            }
        }
    }
}

fn is_closed(resource: &Resource, within: &ResourceSet) -> bool {
    resource.references().into_iter().all(|(kind, name)| within.get(kind, name).is_some())
}

#[cfg(test)]
mod tests;
