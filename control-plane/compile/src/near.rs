//! Which localities come first for a node: as a policy says, or else as the service's `trafficDistribution` does.
//!
//! A policy's `localityFailover` goes by health alone: what is near is used as long as enough of it is healthy. `PreferSameZone` goes by
//! capacity, too, as far as it is known where the callers are: **a zone that has more of the callers than of the endpoints uses its own
//! for what they can take, and the rest goes where there is more than is needed** ([`weir_decide::zone`]), so that nobody's endpoints are
//! overrun. The callers are the workloads of the node's own service. What is decided is in priorities and in the weights of localities, which
//! all data planes have.

use crate::index::Index;
use std::collections::BTreeSet;
use weir_decide::zone;
use weir_model::mesh::{Distribution, LocalityFailover, Mesh, Name, Near, Service};
use weir_model::node::Node;
use weir_model::{Endpoints, Locality, OVERPROVISIONING};

/// What comes first for the callers of a service, and how soon others help.
pub(crate) struct Nearness {
    steps: &'static [Step],
    overprovisioning: u32,
    by_capacity: bool,
}

/// What two places have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Node,
    Zone,
    Region,
}

/// What the sum of the weights of localities that share their zone's part is about.
const WHOLE: u64 = 1_000_000;

/// What a policy says of near localities, or else the service itself; nothing if all are one.
pub(crate) fn nearness(failover: Option<(&Name, &LocalityFailover)>, service: &Service) -> Option<Nearness> {
    if let Some((_, failover)) = failover {
        let steps: &[Step] = match failover.prefer {
            Near::Zone => &[Step::Zone, Step::Region],
            Near::Region => &[Step::Region],
        };
        let overprovisioning = failover.overprovisioning.unwrap_or(OVERPROVISIONING);
        return Some(Nearness { steps, overprovisioning, by_capacity: false });
    }
    let (steps, by_capacity): (&[Step], bool) = match service.distribution? {
        Distribution::SameZone => (&[Step::Zone, Step::Region], true),
        Distribution::SameNode => (&[Step::Node, Step::Zone, Step::Region], false),
    };
    Some(Nearness { steps, overprovisioning: OVERPROVISIONING, by_capacity })
}

/// As much of a node as counts: nodes for which it is the same get the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place {
    locality: Locality,
    /// The service it is one of, if it counts where its workloads are.
    service: Option<Name>,
}

impl Nearness {
    /// As much of a node as counts.
    pub(crate) fn of(&self, node: &Node) -> Place {
        let part = |text: &str, counts: bool| if counts { text.to_owned() } else { String::new() };
        let at = &node.locality;
        let service = (self.by_capacity && !node.service.is_empty()).then(|| {
            let (namespace, name) = node.service.split_once('/').unwrap_or((&node.namespace, &node.service));
            Name::new(namespace, name)
        });
        Place {
            locality: Locality {
                region: at.region.clone(),
                zone: part(&at.zone, self.steps.contains(&Step::Zone)),
                sub_zone: part(&at.sub_zone, self.steps.contains(&Step::Node)),
            },
            service,
        }
    }

    /// Puts what is near first: priorities from 0 on without a gap, as gRPC wants them.
    pub(crate) fn prefer(&self, mesh: &Mesh, index: &Index, place: &Place, endpoints: &mut Endpoints) {
        endpoints.overprovisioning = self.overprovisioning;
        let node = &place.locality;
        let shared = share(mesh, index, place, endpoints).unwrap_or_default();
        let distance = |locality: &Locality| {
            let region = !node.region.is_empty() && node.region == locality.region;
            let zone = region && !node.zone.is_empty() && node.zone == locality.zone;
            let same = |step: &Step| match step {
                // A machine's name is a sub-zone.
                Step::Node => zone && !node.sub_zone.is_empty() && node.sub_zone == locality.sub_zone,
                Step::Zone => zone,
                Step::Region => region,
            };
            let far = self.steps.iter().position(same).unwrap_or(self.steps.len());
            if shared.contains(&zone_of(locality)) { 0 } else { far }
        };
        let found: BTreeSet<usize> = endpoints.localities.iter().map(|it| distance(&it.locality)).collect();
        let priority = |it: &Locality| found.range(..distance(it)).count() as u32;
        let priorities: Vec<u32> = endpoints.localities.iter().map(|it| priority(&it.locality)).collect();
        for (it, priority) in endpoints.localities.iter_mut().zip(priorities) {
            it.priority = priority;
        }
        endpoints.localities.sort_by_key(|it| it.priority);
    }
}

type Zone = (String, String);

fn zone_of(locality: &Locality) -> Zone {
    (locality.region.clone(), locality.zone.clone())
}

/// Gives the localities of the zones that serve a place their weights, if these are more than its own; those zones.
fn share(mesh: &Mesh, index: &Index, place: &Place, endpoints: &mut Endpoints) -> Option<BTreeSet<Zone>> {
    let name = place.service.as_ref()?;
    let service = mesh.services.get(name)?;
    if place.locality.zone.is_empty() {
        return None;
    }
    let mut zones: Vec<Zone> = Vec::new();
    let mut number = |zone: Zone| {
        zones.iter().position(|known| *known == zone).unwrap_or_else(|| {
            zones.push(zone);
            zones.len() - 1
        })
    };
    let here = number(zone_of(&place.locality));
    let of: Vec<usize> = endpoints.localities.iter().map(|it| number(zone_of(&it.locality))).collect();
    let workloads = index.selection.of(mesh, name, service).into_iter();
    let callers: Vec<usize> = workloads
        .filter(|(_, workload)| workload.ready)
        .map(|(_, workload)| number(zone_of(&workload.locality)))
        .collect();
    let (mut calling, mut serving) = (vec![0u64; zones.len()], vec![0u64; zones.len()]);
    callers.into_iter().for_each(|zone| calling[zone] += 1);
    for (it, zone) in endpoints.localities.iter().zip(&of) {
        serving[*zone] += u64::from(it.weight);
    }
    let shares = zone::shares(&calling, &serving, here)?;
    let sum: u64 = shares.iter().sum();
    if shares[here] == sum {
        // All of it stays, and priorities are enough.
        return None;
    }
    for (it, zone) in endpoints.localities.iter_mut().zip(&of).filter(|(_, zone)| shares[**zone] > 0) {
        let part = u128::from(WHOLE) * u128::from(shares[*zone]) * u128::from(it.weight);
        let weight = part / (u128::from(sum) * u128::from(serving[*zone].max(1)));
        it.weight = u32::try_from(weight).unwrap_or(u32::MAX).max(1);
    }
    let serving = zones.into_iter().zip(shares).filter(|(_, share)| *share > 0);
    Some(serving.map(|(zone, _)| zone).collect())
}

#[cfg(test)]
mod tests;
