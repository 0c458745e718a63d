//! What a response of one type carries now, if anything.

use super::order::Order;
use super::track::Track;
use crate::encoded::Encoded;
use std::sync::Arc;
use weir_model::{ResourceType, limits};

/// A response to be.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Everything in it. More than what changes where a message must be complete.
    pub(super) resources: Vec<Arc<Encoded>>,
    /// What is new to the client.
    pub(super) upserts: Vec<Arc<Encoded>>,
    /// What the client is to give up, or learn not to exist.
    pub(super) removed: Vec<String>,
    /// Whether the one upsert is a suspect, so that no other may come along.
    alone: bool,
}

impl Plan {
    /// Takes what is new to the client, unless it has to wait for its turn; whether it did.
    fn offer(&mut self, track: &Track, wanted: &Arc<Encoded>) -> bool {
        let suspect = track.suspects.contains(wanted.name());
        let fits = !self.alone && (!suspect || self.upserts.is_empty());
        if fits {
            self.alone = suspect;
            self.upserts.push(wanted.clone());
        }
        fits
    }
}

/// An incremental response: only what changes, in pieces if it is much.
pub(super) fn delta(track: &Track, order: &Order<'_>) -> Option<Plan> {
    let mut plan = Plan::default();
    let mut withheld = !track.pending.is_empty();
    changes(track, order, &mut plan, &mut withheld);
    let gone = |name: &&String| order.set.get(track.kind, name).is_none() && !track.pending.contains(*name);
    let surplus = track.held.keys().filter(gone);
    // What it does not have and still waits for, or shows as refused.
    let untold = |name: &&String| !track.held.contains_key(*name) && !track.absent.contains(*name);
    let waited_for = track.subscription.names().iter().chain(track.nacks.keys()).filter(gone).filter(untold);
    let (surplus, waited_for): (Vec<&String>, Vec<&String>) = (surplus.collect(), waited_for.collect());
    if !surplus.is_empty() || !waited_for.is_empty() {
        let referenced = order.referenced(track.kind);
        let count = surplus.len() + waited_for.len();
        plan.removed.extend(surplus.into_iter().filter(|name| !referenced.contains(name)).cloned());
        // The endpoints of a cluster that warms up count as not there; it keeps waiting for them until it goes.
        plan.removed.extend(waited_for.into_iter().filter(|name| !referenced.surely(name)).cloned());
        withheld |= plan.removed.len() < count;
    }
    plan.removed.sort_unstable();
    plan.removed.dedup();
    plan.resources.clone_from(&plan.upserts);
    // A client that asked for everything starts only when it is told that nothing is all there is.
    let greeting = !track.answered && track.subscription.is_wildcard() && !withheld;
    let empty = plan.upserts.is_empty() && plan.removed.is_empty();
    (!empty || greeting).then_some(plan)
}

/// A state-of-the-world response of routes or endpoints: only what changes. That one of them is gone cannot be said.
pub(super) fn named(track: &Track, order: &Order<'_>) -> Option<Plan> {
    let mut plan = Plan::default();
    changes(track, order, &mut plan, &mut false);
    plan.resources.clone_from(&plan.upserts);
    (!plan.upserts.is_empty()).then_some(plan)
}

/// A state-of-the-world response of listeners or clusters: all there are; what is not in it is gone.
pub(super) fn complete(track: &Track, order: &Order<'_>) -> Option<Plan> {
    if !track.pending.is_empty() {
        return None;
    }
    let mut plan = Plan::default();
    let mut again = vec![];
    for (name, wanted) in order.set.of(track.kind).filter(|(name, _)| track.subscription.covers(name)) {
        let held = || track.held.get(name).and_then(|held| held.content.clone());
        if track.refused(wanted) {
            // What was refused is not offered again. What it was to replace is, or leaving it out would remove it.
            match held() {
                Some(held) => plan.resources.push(held),
                None if track.brought => again.push(wanted.clone()),
                None => {}
            }
            continue;
        }
        if track.version(name) != Some(wanted.version) {
            if !order.ready(wanted) {
                return None;
            }
            if !plan.offer(track, wanted) {
                plan.resources.extend(held());
                continue;
            }
        }
        plan.resources.push(wanted.clone());
    }
    let surplus = track.held.iter().filter(|(name, _)| order.set.get(track.kind, name).is_none());
    let surplus: Vec<_> = surplus.collect();
    if !surplus.is_empty() {
        let referenced = order.referenced(track.kind);
        for (name, held) in surplus {
            match &held.content {
                Some(content) if referenced.contains(name) => plan.resources.push(content.clone()),
                _ => plan.removed.push(name.clone()),
            }
        }
    }
    let unwanted = track.nacks.keys().filter(|name| order.set.get(track.kind, name).is_none());
    plan.removed.extend(unwanted.filter(|name| !track.held.contains_key(*name)).cloned());
    plan.resources.extend(again.iter().cloned());
    plan.resources.sort_by(|a, b| a.name().cmp(b.name()));
    let changed = !plan.upserts.is_empty() || !plan.removed.is_empty();
    // The client may take now what it refused together with something that has changed since.
    plan.upserts.append(&mut again);
    (changed || !track.answered).then_some(plan)
}

/// What is new to the client and may be sent, until the response is large enough.
fn changes(track: &Track, order: &Order<'_>, plan: &mut Plan, withheld: &mut bool) {
    let mut bytes = 0;
    let mut consider = |name: &str, wanted: &Arc<Encoded>| {
        if track.version(name) == Some(wanted.version) || track.refused(wanted) {
            return;
        }
        if bytes >= limits::XDS_RESPONSE_BYTES || track.pending.contains(name) || !order.ready(wanted) {
            *withheld = true;
            return;
        }
        if !plan.offer(track, wanted) {
            *withheld = true;
            return;
        }
        bytes += wanted.any.value.len();
    };
    if track.subscription.is_wildcard() {
        order.set.of(track.kind).for_each(|(name, wanted)| consider(name, wanted));
    } else {
        for name in track.subscription.names() {
            if let Some(wanted) = order.set.get(track.kind, name) {
                consider(name, wanted);
            }
        }
    }
}

/// Whether a state-of-the-world response of this type is complete.
pub(super) fn is_complete(kind: ResourceType) -> bool {
    matches!(kind, ResourceType::Listener | ResourceType::Cluster)
}
