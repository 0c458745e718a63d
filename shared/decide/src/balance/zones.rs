//! Which of a cluster's zones serve the callers of one zone: facts of the table in, [`crate::zone`]'s shares out.
//!
//! Only the first priority is shared by zones, as in Envoy, and only by what is healthy. Within a zone endpoints have their own weights.

use super::member::Members;
use crate::zone;
use weir_model::{Endpoints, Health, Locality, ZoneAware};

/// Where the callers of a cluster are: this data plane, and the healthy endpoints of the cluster that it belongs to itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Callers {
    here: Locality,
    counts: Vec<(Locality, u64)>,
}

impl Callers {
    /// A data plane at a place, and the endpoints of the cluster it is one of.
    pub fn new(here: Locality, own: &Endpoints) -> Self {
        let mut counts: Vec<(Locality, u64)> = Vec::new();
        for (locality, endpoint) in own.iter() {
            if endpoint.health != Health::Healthy {
                continue;
            }
            match counts.iter_mut().find(|(known, _)| *known == locality.locality) {
                Some((_, count)) => *count += 1,
                None => counts.push((locality.locality.clone(), 1)),
            }
        }
        counts.sort_unstable();
        Self { here, counts }
    }
}

/// The zones of a cluster.
#[derive(Debug)]
pub(super) struct Zones {
    /// The zone of each locality of the table.
    of: Box<[usize]>,
    /// How many callers each zone has; this data plane's is `here`. Zones without endpoints come last.
    callers: Box<[u64]>,
    here: usize,
    /// How many zones have endpoints.
    used: usize,
    least: u64,
    /// For which share of the requests, from 0 to 1.
    enabled: f64,
}

impl Zones {
    /// Nothing if there is no endpoint in the zone of the data plane.
    pub(super) fn new<'a>(
        config: &ZoneAware,
        callers: &Callers,
        localities: impl Iterator<Item = &'a Locality>,
    ) -> Option<Self> {
        let mut zones: Vec<&Locality> = Vec::new();
        let of = localities.map(|locality| match zones.iter().position(|zone| *zone == locality) {
            Some(zone) => zone,
            None => {
                zones.push(locality);
                zones.len() - 1
            }
        });
        let of: Box<[usize]> = of.collect();
        let here = zones.iter().position(|zone| **zone == callers.here)?;
        let count = |zone: &&Locality| {
            callers.counts.iter().find(|(known, _)| known == *zone).map_or(0, |(_, count)| *count)
        };
        let mut counts: Vec<u64> = zones.iter().map(count).collect();
        let others = callers.counts.iter().filter(|(known, _)| !zones.contains(&known));
        counts.extend(others.map(|(_, count)| *count));
        Some(Self {
            of,
            used: zones.len(),
            callers: counts.into(),
            here,
            least: config.min_cluster_size,
            enabled: f64::from(config.enabled.min(1_000_000)) / 1e6,
        })
    }

    /// The endpoints that serve callers of this zone, of those that could, with their shares. Nothing if zones do not count: there are
    /// too few endpoints, or none here, or only here.
    pub(super) fn shares(&self, members: &Members, endpoints: &[u32]) -> Option<(Box<[u32]>, Vec<u32>)> {
        let zone_of = |endpoint: &u32| self.of[members.member(*endpoint as usize).locality];
        let weight = |endpoint: &u32| f64::from(members.member(*endpoint as usize).weight);
        if (endpoints.len() as u64) < self.least || self.enabled == 0.0 {
            return None;
        }
        let mut capacity = vec![0u64; self.callers.len()];
        let mut weights = vec![0.0; self.used];
        for endpoint in endpoints {
            capacity[zone_of(endpoint)] += 1;
            weights[zone_of(endpoint)] += weight(endpoint);
        }
        if capacity.iter().filter(|count| **count > 0).count() < 2 {
            return None;
        }
        let zones = zone::shares(&self.callers, &capacity, self.here)?;
        let sum: u64 = zones.iter().sum();
        let all: f64 = weights.iter().sum();
        let exact = |endpoint: &u32| {
            let zone = zone_of(endpoint);
            let own = weight(endpoint);
            let near = zones[zone] as f64 / sum as f64 * own / weights[zone];
            self.enabled * near + (1.0 - self.enabled) * own / all
        };
        let exact: Vec<(u32, f64)> =
            endpoints.iter().map(|endpoint| (*endpoint, exact(endpoint))).filter(|it| it.1 > 0.0).collect();
        let most = exact.iter().map(|it| it.1).fold(f64::MIN_POSITIVE, f64::max);
        let shares =
            exact.iter().map(|(_, share)| ((share / most * f64::from(u32::MAX)).round() as u32).max(1));
        let shares = shares.collect();
        Some((exact.into_iter().map(|it| it.0).collect(), shares))
    }
}

#[cfg(test)]
mod tests;
