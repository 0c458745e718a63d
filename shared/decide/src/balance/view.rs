//! Who gets which share right now: priorities with their percentages, and in each the endpoints with their weights.

use super::member::Members;
use super::priority::{self, Counts};
use super::turns::Turns;
use super::weights::{self, Weights};
use weir_model::{Health, Random};

/// The shares under one set of ejections.
#[derive(Debug)]
pub(super) struct View {
    tiers: Box<[Tier]>,
    panics: bool,
}

/// Endpoints of one priority and one grade, which share a percentage of the traffic.
#[derive(Debug)]
pub(super) struct Tier {
    /// The priority's level.
    pub(super) level: usize,
    pub(super) grade: Grade,
    /// Its percentage and those of all tiers before it.
    end: u32,
    endpoints: Box<[u32]>,
    /// One for each endpoint, by place in `endpoints`.
    pub(super) weights: Weights,
}

/// Which health a tier's endpoints have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grade {
    Healthy,
    Degraded,
    /// Too little is available: any that may take something new.
    Any,
}

impl Grade {
    pub(super) fn has(self, health: Health) -> bool {
        match self {
            Self::Healthy => health == Health::Healthy,
            Self::Degraded => health == Health::Degraded,
            Self::Any => health != Health::Draining,
        }
    }
}

impl View {
    pub(super) fn new(members: &Members, ejected: impl Fn(usize) -> bool) -> Self {
        let counts = |weight: &dyn Fn(usize) -> usize| {
            let mut counts = vec![Counts::default(); members.level_count()];
            for endpoint in 0..members.len() {
                let level = &mut counts[members.level_of(endpoint)];
                let weight = weight(endpoint);
                level.total += weight;
                match members.health(endpoint) {
                    _ if ejected(endpoint) => {}
                    Health::Healthy => level.healthy += weight,
                    Health::Degraded => level.degraded += weight,
                    Health::Draining | Health::Unhealthy => {}
                }
            }
            counts
        };
        let hosts = counts(&|_| 1);
        // What a priority can take may go by weight; whether it panics never does.
        let weighed = members.by_weight.then(|| counts(&|it| members.member(it).weight as usize));
        let counts = weighed.as_ref().unwrap_or(&hosts);
        let Some(shares) = priority::shares(counts, members.overprovisioning) else {
            return Self::panic(members, true);
        };
        let panics = priority::panics((counts, &hosts), members.overprovisioning, members.panic_threshold);
        if panics.iter().all(|panics| *panics) {
            return Self::panic(members, false);
        }
        let shares = shares.iter().zip(panics).enumerate();
        let first = shares.clone().map(|(level, (share, panics))| match panics {
            true => (level, Grade::Any, share.healthy + share.degraded),
            false => (level, Grade::Healthy, share.healthy),
        });
        let degraded = shares
            .filter(|(_, (_, panics))| !panics)
            .map(|(level, (share, _))| (level, Grade::Degraded, share.degraded));
        let mut end = 0;
        let tiers = first.chain(degraded).filter(|(.., share)| *share > 0).map(|(level, grade, share)| {
            end += share;
            Tier::new(members, level, grade, end, |endpoint| grade != Grade::Any && ejected(endpoint))
        });
        Self { tiers: tiers.collect(), panics: false }
    }

    /// All endpoints that may take something new, in whichever health; none if nothing is available and nobody panics.
    fn panic(members: &Members, nothing: bool) -> Self {
        let mut totals = vec![0; members.level_count()];
        if (!nothing || members.panic_threshold > 0) && !members.fails_in_panic {
            let fit = (0..members.len()).filter(|endpoint| Grade::Any.has(members.health(*endpoint)));
            fit.for_each(|endpoint| totals[members.level_of(endpoint)] += 1);
        }
        let mut end = 0;
        let shares = priority::in_panic(&totals).into_iter().enumerate().filter(|(_, share)| *share > 0);
        let tiers = shares.map(|(level, share)| {
            end += share;
            Tier::new(members, level, Grade::Any, end, |_| false)
        });
        Self { tiers: tiers.collect(), panics: nothing }
    }

    /// Whether nothing is available.
    pub(super) fn panics(&self) -> bool {
        self.panics
    }

    /// Whether any priority panics.
    pub(super) fn is_any(&self) -> bool {
        self.tiers.iter().any(|tier| tier.grade == Grade::Any)
    }

    /// The tier for one request and its turns: by hash, so that a key stays with its priority, or else at random.
    pub(super) fn tier<'a>(
        &self,
        hash: Option<u64>,
        random: &mut Random,
        turns: &'a mut [Turns],
    ) -> Option<(&Tier, &'a mut Turns)> {
        let index = match &*self.tiers {
            [] => return None,
            [_] => 0,
            tiers => {
                // Envoy's: the last two decimal digits say nothing of where on a ring or in a table the hash is.
                let point = hash.map_or_else(|| random.below(100), |hash| hash % 100) as u32;
                tiers.partition_point(|tier| tier.end <= point)
            }
        };
        Some((self.tiers.get(index)?, turns.get_mut(index)?))
    }

    /// Turns for every tier, at their beginning.
    pub(super) fn turns(&self) -> Vec<Turns> {
        self.tiers.iter().map(|_| Turns::default()).collect()
    }
}

impl Tier {
    fn new(members: &Members, level: usize, grade: Grade, end: u32, ejected: impl Fn(usize) -> bool) -> Self {
        let fits = |endpoint: usize| {
            members.level_of(endpoint) == level && grade.has(members.health(endpoint)) && !ejected(endpoint)
        };
        let endpoints: Box<[u32]> =
            (0..members.len()).filter(|endpoint| fits(*endpoint)).map(|it| it as u32).collect();
        let zones = members.zones.as_ref().filter(|_| level == 0 && grade == Grade::Healthy);
        let (endpoints, shares) = match zones.and_then(|zones| zones.shares(members, &endpoints)) {
            Some(within) => within,
            None => {
                let shares = weights::shares(members, &endpoints);
                (endpoints, shares)
            }
        };
        let endpoints = match grade == Grade::Any && members.fails_in_panic {
            true => Box::default(),
            false => endpoints,
        };
        Self { level, grade, end, endpoints, weights: Weights::new(shares) }
    }

    /// Whether it serves nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// How many endpoints it has.
    pub(super) fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// The endpoint at a place in `0..len()`.
    pub(super) fn at(&self, place: usize) -> usize {
        self.endpoints[place] as usize
    }
}
