//! Make before break: what must be there before something is sent, and what must be gone before something is removed.

use super::track::Track;
use crate::encoded::{Encoded, EncodedSet};
use weir_model::{Resource, ResourceType};

/// The tracks of a stream in order of delivery, and what it should have.
pub(super) struct Order<'a> {
    pub(super) tracks: &'a [Track; 4],
    pub(super) set: &'a EncodedSet,
}

impl Order<'_> {
    /// Whether everything a resource needs from earlier types was answered by the client, as far as it asked for it: the clusters of a
    /// route, and the endpoints of those clusters. What the client did not ask for is not waited for: gRPC asks for clusters only after it
    /// has the route, and every Envoy for endpoints only after it has the cluster.
    pub(super) fn ready(&self, resource: &Encoded) -> bool {
        let own = self.position(resource.kind);
        self.needs(resource, own).all(|(kind, name)| {
            self.settled(kind, name)
                && self
                    .set
                    .get(kind, name)
                    .is_none_or(|needed| self.needs(needed, own).all(|(kind, name)| self.settled(kind, name)))
        })
    }

    /// Whether something the client has, or is about to have, refers to a resource.
    pub(super) fn referenced(&self, kind: ResourceType, name: &str) -> bool {
        let refers =
            |content: &Encoded| content.references.iter().any(|(to, target)| *to == kind && target == name);
        self.tracks.iter().filter(|track| self.holds_back(track.kind, kind)).any(|track| {
            let held = track.held.values().any(|held| match &held.content {
                Some(content) => refers(content),
                // Nobody knows what it refers to, until it is replaced.
                None => true,
            });
            held || track
                .outstanding
                .iter()
                .flat_map(|outstanding| &outstanding.upserts)
                .any(|upsert| refers(upsert))
        })
    }

    fn needs<'b>(
        &self,
        resource: &'b Encoded,
        before: usize,
    ) -> impl Iterator<Item = (ResourceType, &'b str)> {
        let needs = resource.references.iter().filter(move |(kind, _)| self.position(*kind) < before);
        needs.map(|(kind, name)| (*kind, name.as_str()))
    }

    /// Any version counts: endpoints that change all the time would otherwise hold a route back for ever.
    fn settled(&self, kind: ResourceType, name: &str) -> bool {
        let track = self.track(kind);
        let Some(wanted) = self.set.get(kind, name) else { return true };
        !track.subscription.covers(name) || track.held.contains_key(name) || track.refused(wanted)
    }

    /// Whether a removal of `kind` waits for resources of type `referrer`: if they come later, or if they lead the client to it.
    fn holds_back(&self, referrer: ResourceType, kind: ResourceType) -> bool {
        match (referrer, kind) {
            (ResourceType::Cluster, ResourceType::Endpoints)
            | (ResourceType::Listener, ResourceType::Route) => true,
            (ResourceType::Listener | ResourceType::Route, ResourceType::Cluster) => {
                self.position(referrer) > self.position(kind)
            }
            _ => false,
        }
    }

    fn track(&self, kind: ResourceType) -> &Track {
        &self.tracks[self.position(kind)]
    }

    fn position(&self, kind: ResourceType) -> usize {
        // The four tracks are of the four types; what is not found counts as last.
        self.tracks.iter().position(|track| track.kind == kind).unwrap_or(self.tracks.len() - 1)
    }
}

/// The endpoints that an Envoy wants again after a cluster was replaced: it warms the new one up with a fresh answer.
pub(super) fn rewarmed(upserts: &[std::sync::Arc<Encoded>]) -> impl Iterator<Item = &str> {
    upserts.iter().filter(|upsert| matches!(*upsert.resource, Resource::Cluster(_))).flat_map(|upsert| {
        upsert
            .references
            .iter()
            .filter(|(kind, _)| *kind == ResourceType::Endpoints)
            .map(|(_, name)| name.as_str())
    })
}
