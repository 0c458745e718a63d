//! The endpoints of a cluster, flat, with the priority and locality each belongs to.

use super::view::Grade;
use super::zones::{Callers, Zones};
use crate::affinity::endpoint_key;
use weir_model::{Endpoints, Health, Random, Spread, ZoneAware};

/// Endpoints by index, in the order of [`Endpoints::iter`].
#[derive(Debug)]
pub(super) struct Members {
    members: Box<[Member]>,
    localities: Box<[Locality]>,
    /// How many different priorities there are; each is a level, the first used first.
    levels: usize,
    /// Whether localities share by weight, and by how much more than its share one can take, in percent.
    pub(super) by_locality: bool,
    pub(super) overprovisioning: usize,
    /// Below this percentage of available endpoints, a priority panics.
    pub(super) panic_threshold: u32,
    /// Whether a priority's health is that of its endpoints' weights.
    pub(super) by_weight: bool,
    /// Who else calls from where, if requests stay in their caller's zone.
    pub(super) zones: Option<Zones>,
    /// Whether a priority that panics serves nobody.
    pub(super) fails_in_panic: bool,
    zone_aware: Option<ZoneAware>,
}

/// Unless somebody says otherwise, only when next to nothing is available.
const PANIC_THRESHOLD: u32 = 1;

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) health: Health,
    pub(super) locality: usize,
    /// At least 1.
    pub(super) weight: u32,
    /// [`endpoint_key`] of its address.
    pub(super) key: u64,
}

/// The endpoints of one locality at one priority.
#[derive(Clone, Debug)]
pub(super) struct Locality {
    /// Where they are.
    pub(super) place: weir_model::Locality,
    pub(super) level: usize,
    /// At least 1.
    pub(super) weight: u32,
    /// How many endpoints it has, in whichever health.
    pub(super) total: usize,
}

/// All endpoints of one level, in whichever health, with their shares while all are healthy.
#[derive(Debug)]
pub(super) struct Level<'a> {
    pub(super) members: &'a Members,
    pub(super) endpoints: Vec<u32>,
}

impl Members {
    pub(super) fn new(endpoints: &Endpoints, spread: &Spread) -> Self {
        let mut priorities: Vec<u32> =
            endpoints.localities.iter().map(|locality| locality.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let localities = endpoints.localities.iter().map(|locality| Locality {
            place: locality.locality.clone(),
            level: priorities.partition_point(|priority| *priority < locality.priority),
            weight: locality.weight.max(1),
            total: locality.endpoints.len(),
        });
        let members = endpoints.localities.iter().enumerate().flat_map(|(index, locality)| {
            locality.endpoints.iter().map(move |endpoint| Member {
                health: endpoint.health,
                locality: index,
                weight: endpoint.weight.max(1),
                key: endpoint_key(endpoint.address),
            })
        });
        Self {
            members: members.collect(),
            localities: localities.collect(),
            levels: priorities.len(),
            by_locality: spread.by_locality,
            overprovisioning: endpoints.overprovisioning.max(1) as usize,
            panic_threshold: PANIC_THRESHOLD,
            by_weight: endpoints.weighted_priority_health,
            zones: None,
            fails_in_panic: spread
                .zone_aware
                .as_ref()
                .is_some_and(|zone_aware| zone_aware.fail_traffic_on_panic),
            zone_aware: spread.zone_aware.clone().filter(|_| !spread.by_locality),
        }
    }

    /// Tells where the callers are.
    pub(super) fn place(&mut self, callers: &Callers) {
        let Some(zone_aware) = &self.zone_aware else { return };
        self.zones = Zones::new(zone_aware, callers, self.localities.iter().map(|locality| &locality.place));
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn member(&self, endpoint: usize) -> &Member {
        &self.members[endpoint]
    }

    pub(super) fn health(&self, endpoint: usize) -> Health {
        self.members[endpoint].health
    }

    pub(super) fn locality(&self, index: usize) -> &Locality {
        &self.localities[index]
    }

    pub(super) fn locality_count(&self) -> usize {
        self.localities.len()
    }

    pub(super) fn level_count(&self) -> usize {
        self.levels
    }

    pub(super) fn level_of(&self, endpoint: usize) -> usize {
        self.localities[self.members[endpoint].locality].level
    }

    /// The endpoints of each level.
    pub(super) fn levels(&self) -> impl Iterator<Item = Level<'_>> {
        let mut levels = vec![Vec::new(); self.levels];
        for endpoint in 0..self.len() {
            levels[self.level_of(endpoint)].push(endpoint as u32);
        }
        levels.into_iter().map(|endpoints| Level { members: self, endpoints })
    }

    /// The best endpoint that passes: healthy before degraded before the rest, which is taken only if `any` is; draining ones never.
    /// The first from a random place on.
    pub(super) fn first(
        &self,
        random: &mut Random,
        passes: impl Fn(usize) -> bool,
        any: bool,
    ) -> Option<usize> {
        let start = random.below(self.len() as u64) as usize;
        let order = || (start..self.len()).chain(0..start).filter(|endpoint| passes(*endpoint));
        let of = |grade: Grade| order().find(|endpoint| grade.has(self.health(*endpoint)));
        let healthy = of(Grade::Healthy).or_else(|| of(Grade::Degraded));
        healthy.or_else(|| any.then(|| of(Grade::Any)).flatten())
    }
}

#[cfg(test)]
mod tests;
