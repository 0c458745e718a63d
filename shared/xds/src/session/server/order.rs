//! Make before break: what must be there before something is sent, and what must be gone before something is removed.

use super::track::Track;
use crate::encoded::{Encoded, EncodedSet};
use std::collections::HashSet;
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
    ///
    /// What the client refused and has no earlier version of holds back what refers to it, so that the last good route stays in force. A
    /// client without any version of the route gets it nevertheless: the rest of it is better than nothing.
    pub(super) fn ready(&self, resource: &Encoded) -> bool {
        let own = self.position(resource.kind);
        let replaces = self.track(resource.kind).held.contains_key(resource.name());
        let settled = |(kind, name): (ResourceType, &str)| self.settled(kind, name, !replaces);
        self.needs(resource, own).all(|needed| {
            let further = self.set.get(needed.0, needed.1);
            settled(needed) && further.is_none_or(|further| self.needs(further, own).all(settled))
        })
    }

    /// What the client has, or is about to have, that holds back removals of one type.
    pub(super) fn referenced(&self, kind: ResourceType) -> Referenced<'_> {
        let mut referenced = Referenced::default();
        for track in self.tracks.iter().filter(|track| self.holds_back(track.kind, kind)) {
            // A client which brought something has not said yet what else it brought.
            referenced.anything |= self.track(kind).brought && self.is_unheard(track);
            referenced.anything |= track.obscure;
            let on_its_way = track.outstanding.iter().flat_map(|outstanding| &outstanding.upserts);
            for content in track.held.values().map(|held| held.content.as_ref()).chain(on_its_way.map(Some)) {
                match content {
                    Some(content) => {
                        let references = content.references.iter().filter(|(to, _)| *to == kind);
                        referenced.names.extend(references.map(|(_, name)| name.as_str()));
                    }
                    // Nobody knows what it refers to, until it is replaced.
                    None => referenced.anything = true,
                }
            }
        }
        referenced
    }

    /// Whether a client that reconnects has still to say what it has of a type. About routes it says nothing if it has no listener for any.
    fn is_unheard(&self, track: &Track) -> bool {
        !track.subscription.open && (track.kind != ResourceType::Route || self.leads_to_routes())
    }

    fn leads_to_routes(&self) -> bool {
        let listeners = self.track(ResourceType::Listener);
        let leads =
            |content: &Encoded| content.references.iter().any(|(kind, _)| *kind == ResourceType::Route);
        !listeners.subscription.open
            || listeners.held.values().any(|held| held.content.as_deref().is_none_or(leads))
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
    fn settled(&self, kind: ResourceType, name: &str, or_refused: bool) -> bool {
        let track = self.track(kind);
        let Some(wanted) = self.set.get(kind, name) else { return true };
        let leaves =
            || track.outstanding.iter().any(|outstanding| outstanding.removed.iter().any(|it| it == name));
        !track.subscription.covers(name)
            || track.held.contains_key(name) && !leaves()
            || or_refused && track.refused(wanted)
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

/// The names of one type that something at the client refers to.
#[derive(Default)]
pub(super) struct Referenced<'a> {
    names: HashSet<&'a str>,
    anything: bool,
}

impl Referenced<'_> {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.anything || self.names.contains(name)
    }

    /// Whether something refers to it that is known to.
    pub(super) fn surely(&self, name: &str) -> bool {
        self.names.contains(name)
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
