//! Subsets: which part of a cluster's endpoints a request may go to, by the labels that its route asks for (Envoy's subset load balancer).
//!
//! For each selector there is a `Part` for every combination of values that an endpoint has under all of its keys: the indices of its
//! endpoints and a [`Table`] of its own, so that shares, rings, priorities and panic are the subset's. A route asks by exactly the keys of
//! a selector. Where there is no such part, the selector's fallback decides, else the cluster's.
//!
//! **A cluster has at most [`limits::SUBSETS`] parts.** Whoever configures asks [`count`] before; parts beyond are left out.

use super::{Loads, Position, Table};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_model::{
    Endpoint, Endpoints, Label, Labels, LoadBalancing, Random, SelectorFallback, Spread, SubsetConfig,
    SubsetFallback, SubsetSelector, Time, Version, limits,
};

/// What a route asks for.
#[derive(Debug)]
pub struct Wanted {
    labels: Labels,
    key: u64,
}

impl Wanted {
    /// By these labels.
    pub fn new(labels: Labels) -> Self {
        Self { key: Version::of(&labels).0, labels }
    }

    /// The labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// The subsets of a cluster. Immutable; shared by all workers.
#[derive(Debug)]
pub struct Subsets {
    parts: Box<[Part]>,
    /// Keys of parts with their indices, in order.
    keys: Box<[(u64, u32)]>,
    selectors: Vec<SubsetSelector>,
    fallback: SubsetFallback,
    /// That of [`SubsetFallback::Default`]; behind those that are found by labels.
    default: Part,
    panic_mode_any: bool,
}

/// Some of a cluster's endpoints.
#[derive(Debug)]
struct Part {
    labels: Labels,
    /// By index in the part, the index in the cluster.
    endpoints: Box<[u32]>,
    table: Table,
}

/// One worker's places in the whole table and in those of the parts.
#[derive(Debug, Default)]
pub struct Positions {
    /// In the whole.
    pub whole: Position,
    /// By part; as long as the highest that was used.
    parts: Vec<Position>,
}

/// What there is to know of a request.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What its route asks for.
    pub wanted: Option<&'a Wanted>,
    /// [`crate::affinity::hash`]'s.
    pub hash: Option<u64>,
    /// When it is asked.
    pub now: Time,
}

/// Who serves a request.
enum Chosen {
    Nobody,
    All,
    /// By index; the default comes after all others.
    Part(usize),
}

impl Subsets {
    /// The subsets of a cluster that panics below this percentage of available endpoints.
    pub fn new(
        config: &SubsetConfig,
        policy: &LoadBalancing,
        spread: &Spread,
        endpoints: &Endpoints,
        panic_threshold: u32,
    ) -> Self {
        let spread =
            Spread { by_locality: spread.by_locality && config.locality_weight_aware, ..spread.clone() };
        let part = |labels: Labels, within: Vec<u32>| {
            let some = some(config, endpoints, &within);
            let table = Table::new(policy, &spread, &some).with_panic_threshold(panic_threshold);
            Part { labels, endpoints: within.into(), table }
        };
        let found = found(config, endpoints);
        let parts: Box<[Part]> =
            found.into_iter().take(limits::SUBSETS).map(|(labels, within)| part(labels, within)).collect();
        let mut keys: Box<[(u64, u32)]> =
            parts.iter().zip(0..).map(|(part, index)| (Version::of(&part.labels).0, index)).collect();
        keys.sort_unstable();
        let has = |(_, (_, endpoint)): &(usize, (_, &Endpoint))| {
            let own = labels(endpoint);
            config.default_subset.iter().all(|(key, value)| {
                own.and_then(|own| own.get(key)).is_some_and(|own| is(own, value, config.list_as_any))
            })
        };
        let within = endpoints.iter().enumerate().filter(has).map(|(index, _)| index as u32).collect();
        Self {
            default: part(config.default_subset.clone(), within),
            parts,
            keys,
            selectors: config.selectors.clone(),
            fallback: config.fallback,
            panic_mode_any: config.panic_mode_any,
        }
    }

    /// How many there are, the default not counted.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels of each, with the indices of its endpoints.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &[u32])> {
        self.parts.iter().map(|part| (&part.labels, &*part.endpoints))
    }

    /// The endpoint for a request, of the whole cluster's. `whole` is the cluster's table.
    pub fn pick(
        &self,
        whole: &Table,
        positions: &mut Positions,
        loads: &impl Loads,
        asked: Asked<'_>,
        random: &mut Random,
    ) -> Option<usize> {
        let (chosen, is_fallback) = match asked.wanted {
            Some(wanted) => self.find(&wanted.labels, wanted.key),
            None => (self.of(self.fallback), true),
        };
        let (hash, now) = (asked.hash, asked.now);
        let picked = match chosen {
            Chosen::Nobody => None,
            Chosen::All => whole.pick(&mut positions.whole, loads, hash, now, random),
            Chosen::Part(index) => {
                let part = self.parts.get(index).unwrap_or(&self.default);
                if positions.parts.len() <= index {
                    positions.parts.resize_with(index + 1, Position::default);
                }
                let within = Within { loads, endpoints: &part.endpoints };
                let picked = part.table.pick(&mut positions.parts[index], &within, hash, now, random);
                picked.map(|place| part.endpoints[place] as usize)
            }
        };
        // Without a fallback there is nothing that could find nobody.
        let panics = self.panic_mode_any && is_fallback && self.fallback != SubsetFallback::None;
        match picked {
            None if panics => whole.pick(&mut positions.whole, loads, hash, now, random),
            picked => picked,
        }
    }

    /// Who serves requests for these labels, and whether that is the cluster's fallback.
    fn find(&self, wanted: &Labels, key: u64) -> (Chosen, bool) {
        let from = self.keys.partition_point(|(known, _)| *known < key);
        let same = self.keys[from..].iter().take_while(|(known, _)| *known == key);
        let mut places = same.map(|(_, index)| *index as usize);
        if let Some(index) = places.find(|index| self.parts[*index].labels == *wanted) {
            return (Chosen::Part(index), false);
        }
        let selector = self.selectors.iter().find(|selector| selector.keys.iter().eq(wanted.keys()));
        match selector.and_then(|selector| selector.fallback.as_ref()) {
            Some(SelectorFallback::Of(fallback)) => (self.of(*fallback), false),
            Some(SelectorFallback::Keys(keys)) => {
                // Fewer keys each time, so this ends.
                let fewer: Labels = wanted
                    .iter()
                    .filter(|(key, _)| keys.contains(key))
                    .map(|(key, label)| (key.clone(), label.clone()))
                    .collect();
                let key = Version::of(&fewer).0;
                self.find(&fewer, key)
            }
            None => (self.of(self.fallback), true),
        }
    }

    fn of(&self, fallback: SubsetFallback) -> Chosen {
        match fallback {
            SubsetFallback::None => Chosen::Nobody,
            SubsetFallback::Any => Chosen::All,
            SubsetFallback::Default => Chosen::Part(self.parts.len()),
        }
    }
}

/// How many subsets a cluster with these endpoints has.
pub fn count(config: &SubsetConfig, endpoints: &Endpoints) -> usize {
    found(config, endpoints).len()
}

fn labels(endpoint: &Endpoint) -> Option<&Labels> {
    endpoint.details.as_ref().map(|details| &details.labels)
}

/// Whether a label has a value.
fn is(label: &Label, value: &Label, list_as_any: bool) -> bool {
    label == value || (list_as_any && matches!(label, Label::List(list) if list.contains(value)))
}

/// The endpoints of each subset.
fn found(config: &SubsetConfig, endpoints: &Endpoints) -> BTreeMap<Labels, Vec<u32>> {
    let mut found: BTreeMap<Labels, Vec<u32>> = BTreeMap::new();
    for (index, (_, endpoint)) in endpoints.iter().enumerate() {
        let Some(own) = labels(endpoint) else { continue };
        for selector in &config.selectors {
            for labels in combinations(own, &selector.keys, config.list_as_any) {
                // One past the bound is enough to tell.
                if found.len() <= limits::SUBSETS || found.contains_key(&labels) {
                    let within = found.entry(labels).or_default();
                    if within.last() != Some(&(index as u32)) {
                        within.push(index as u32);
                    }
                }
            }
        }
    }
    found
}

/// The combinations of values that an endpoint has under these keys; none if it has not all of them.
fn combinations(own: &Labels, keys: &[String], list_as_any: bool) -> Vec<Labels> {
    let mut all = vec![Labels::new()];
    for key in keys {
        let Some(label) = own.get(key) else { return Vec::new() };
        let values = match label {
            Label::List(list) if list_as_any => list.as_slice(),
            label => std::slice::from_ref(label),
        };
        let with = |labels: &Labels, value: &Label| {
            let mut labels = labels.clone();
            labels.insert(key.clone(), value.clone());
            labels
        };
        let longer = all.iter().flat_map(|labels| values.iter().map(move |value| with(labels, value)));
        // Lists under several keys multiply.
        all = longer.take(limits::SUBSETS + 1).collect();
    }
    all
}

/// Some of a cluster's endpoints, with all of its localities.
fn some(config: &SubsetConfig, endpoints: &Endpoints, within: &[u32]) -> Endpoints {
    let mut index = 0..;
    let mut within = within.iter().copied().peekable();
    let localities = endpoints.localities.iter().map(|locality| {
        let kept: Vec<Endpoint> = locality
            .endpoints
            .iter()
            .filter(|_| index.next().is_some_and(|index| within.next_if_eq(&index).is_some()))
            .cloned()
            .collect();
        let weight = match (config.scale_locality_weight, locality.endpoints.len()) {
            (true, all @ 1..) => {
                let scaled = u64::from(locality.weight) * kept.len() as u64 / all as u64;
                u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
            }
            _ => locality.weight,
        };
        weir_model::LocalityEndpoints {
            locality: locality.locality.clone(),
            priority: locality.priority,
            weight,
            endpoints: kept,
        }
    });
    Endpoints {
        name: endpoints.name.clone(),
        localities: localities.collect(),
        overprovisioning: endpoints.overprovisioning,
        weighted_priority_health: endpoints.weighted_priority_health,
        drops: Vec::new(),
    }
}

/// What is measured of a part's endpoints.
struct Within<'a, L> {
    loads: &'a L,
    endpoints: &'a [u32],
}

impl<L: Loads> Within<'_, L> {
    fn at(&self, endpoint: usize) -> usize {
        self.endpoints[endpoint] as usize
    }
}

impl<L: Loads> Loads for Within<'_, L> {
    fn active(&self, endpoint: usize) -> u32 {
        self.loads.active(self.at(endpoint))
    }

    fn total(&self) -> u32 {
        self.loads.total()
    }

    fn latency(&self, endpoint: usize, now: Time) -> Option<Duration> {
        self.loads.latency(self.at(endpoint), now)
    }

    fn ejected(&self, endpoint: usize) -> bool {
        self.loads.ejected(self.at(endpoint))
    }

    fn tried(&self, endpoint: usize) -> bool {
        self.loads.tried(self.at(endpoint))
    }

    fn starting(&self) -> bool {
        self.loads.starting()
    }

    fn part(&self, endpoint: usize) -> f64 {
        self.loads.part(self.at(endpoint))
    }
}

#[cfg(test)]
mod tests;
