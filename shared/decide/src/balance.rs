//! Which endpoint of a cluster: first the priority, then the endpoint, as the cluster's policy has it.
//!
//! A [`Table`] holds what follows from configuration: shares of priorities and localities, weights, rings. It is immutable and
//! shared by all workers. A [`Position`] is one worker's place in it. What the whole sidecar measures comes in through [`Loads`].
//!
//! **An endpoint that is ejected or unhealthy is never picked while one is available**, unless its priority panics: fewer of it are
//! available than the cluster's threshold says, and the other priorities cannot make up for it. Then all of it is used but what
//! drains, as Envoy does, so that a few healthy ones are not overrun. By default that is only so when next to nothing is available.
//!
//! Ejections change while configuration does not. A worker looks at them again when it stumbles over one it did not know, and,
//! while it knows of any, every [`LOOK_AGAIN`]; so a pick costs the same with a thousand endpoints as with two.

mod choices;
mod maglev;
mod member;
mod priority;
mod ramp;
mod ring;
pub mod subset;
mod turns;
mod view;
mod weights;
mod zones;

use maglev::Maglev;
use member::Members;
use ring::Ring;
use std::time::Duration;
use turns::Turns;
use view::{Grade, Tier, View};
use weir_model::{Endpoint, Endpoints, Health, Label, LoadBalancing, Random, Spread, Time, Version};

pub use zones::Callers;

/// What the shell measures of a cluster's endpoints, by index in [`Endpoints::iter`]'s order.
pub trait Loads {
    /// Requests in flight to the endpoint, from the whole sidecar.
    fn active(&self, endpoint: usize) -> u32;
    /// Requests in flight to the whole cluster.
    fn total(&self) -> u32 {
        0
    }
    /// Its recent response time as [`crate::latency::read`] gives it; `None` if it was never measured.
    fn latency(&self, endpoint: usize, now: Time) -> Option<Duration>;
    /// Whether it takes no traffic for the time being: outlier detection has ejected it, or it fails its health checks.
    fn ejected(&self, endpoint: usize) -> bool;
    /// Whether it was tried in vain for this very request, and is taken again only if there is no other.
    fn tried(&self, _endpoint: usize) -> bool {
        false
    }
    /// Whether any endpoint has only a part of its share yet.
    fn starting(&self) -> bool {
        false
    }
    /// Which part of its share it has, as [`crate::slow_start::part`] gives it.
    fn part(&self, _endpoint: usize) -> f64 {
        1.0
    }
}

/// How long a worker may go on without an endpoint whose ejection has ended.
pub const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How often a pick starts anew because an ejection came in between, before it settles for whatever is not ejected.
const LOOKS: usize = 3;

/// A cluster's endpoints and how to choose among them. Immutable; shared by all workers.
#[derive(Debug)]
pub struct Table {
    /// What it was built from; a position of another table does not fit.
    version: Version,
    policy: Policy,
    members: Members,
    /// The shares while nothing is ejected.
    calm: View,
    /// Keys of endpoints with their indices, in order, for sessions.
    keys: Box<[(u64, u32)]>,
    /// Whether draining endpoints keep their sessions.
    draining_sessions: bool,
    /// How much more than its share an endpoint takes in a consistent hash, if that has a bound.
    bound: Option<Bound>,
}

/// How much more than its share of the requests in flight an endpoint takes in a consistent hash.
#[derive(Debug)]
struct Bound {
    /// In percent of the share.
    percent: u64,
    /// The share of each endpoint in its priority.
    shares: Box<[f64]>,
}

impl Bound {
    fn new(percent: u32, members: &Members) -> Self {
        let mut shares = vec![0.0; members.len()];
        for level in members.levels() {
            let weights = weights::nominal(&level);
            let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            for (endpoint, weight) in level.endpoints.iter().zip(weights) {
                shares[*endpoint as usize] = f64::from(weight) / sum;
            }
        }
        Self { percent: u64::from(percent), shares: shares.into() }
    }

    /// Whether an endpoint has all it takes, as Envoy counts it.
    fn is_full(&self, endpoint: usize, loads: &impl Loads) -> bool {
        let places = ((u64::from(loads.total()) + 1) * self.percent).div_ceil(100);
        let own = (places as f64 * self.shares[endpoint]).ceil().max(1.0);
        f64::from(loads.active(endpoint)) > own
    }
}

/// The policy, with what it needs of its own.
#[derive(Debug)]
enum Policy {
    RoundRobin,
    Random,
    LeastRequest {
        choices: usize,
    },
    PeakEwma {
        default_rtt: Duration,
    },
    /// One for each priority.
    RingHash(Box<[Ring]>),
    /// One for each priority.
    Maglev(Box<[Maglev]>),
}

/// One worker's place in one table: whose turn it is, and which ejections it knows of. Starts anew by itself when it is used with a
/// table of other content.
#[derive(Debug, Default)]
pub struct Position {
    table: Option<Version>,
    /// What the worker saw when it last found anything ejected.
    seen: Option<Seen>,
    /// One for each tier of the view in use.
    turns: Vec<Turns>,
}

#[derive(Debug)]
struct Seen {
    ejected: Vec<bool>,
    view: View,
    at: Time,
}

impl Table {
    /// The table of a cluster. Indices are those of [`Endpoints::iter`]; weights of 0 count as 1.
    pub fn new(policy: &LoadBalancing, spread: &Spread, endpoints: &Endpoints) -> Self {
        let version = Version::of(&(policy, spread, endpoints));
        let members = Members::new(endpoints, spread);
        let name = |(_, endpoint)| hashed_name(endpoint, spread.hash_by_hostname);
        let names = || endpoints.iter().map(name).collect::<Vec<_>>();
        let bound = spread.hash_balance_factor.map(|percent| Bound::new(percent, &members));
        let mut keys: Box<[(u64, u32)]> =
            (0..members.len()).map(|index| (members.member(index).key, index as u32)).collect();
        keys.sort_unstable();
        let calm = View::new(&members, |_| false);
        let policy = match policy {
            LoadBalancing::RoundRobin => Policy::RoundRobin,
            LoadBalancing::Random => Policy::Random,
            LoadBalancing::LeastRequest { choices } => {
                Policy::LeastRequest { choices: (*choices).max(2) as usize }
            }
            LoadBalancing::PeakEwma { default_rtt, .. } => Policy::PeakEwma { default_rtt: *default_rtt },
            LoadBalancing::RingHash(size) => {
                let names = names();
                Policy::RingHash(members.levels().map(|level| Ring::new(level, size, &names)).collect())
            }
            LoadBalancing::Maglev { table_size } => {
                let names = names();
                Policy::Maglev(
                    members.levels().map(|level| Maglev::new(level, *table_size, &names)).collect(),
                )
            }
        };
        Self { version, policy, members, calm, keys, draining_sessions: spread.draining_sessions, bound }
    }

    /// The endpoint that a session names by its [`crate::affinity::endpoint_key`], if it is there and keeps its sessions: not while it is
    /// ejected or unhealthy.
    pub fn pinned(&self, key: u64, loads: &impl Loads) -> Option<usize> {
        let place = self.keys.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        let endpoint = self.keys[place].1 as usize;
        let keeps = match self.members.health(endpoint) {
            Health::Healthy | Health::Degraded => true,
            Health::Draining => self.draining_sessions,
            Health::Unhealthy => false,
        };
        (keeps && !loads.ejected(endpoint)).then_some(endpoint)
    }

    /// The same where a priority panics below this percentage of available endpoints; 0 never does, and then there is nothing to send
    /// to without an available one. Without it, a table panics below 1 %.
    pub fn with_panic_threshold(mut self, percent: u32) -> Self {
        self.version = Version::of(&(self.version, percent));
        self.members.panic_threshold = percent.min(100);
        self.calm = View::new(&self.members, |_| false);
        self
    }

    /// The same where requests stay in the zone of their caller as far as its capacity goes, if the cluster asks for that.
    pub fn with_callers(mut self, callers: &Callers) -> Self {
        self.version = Version::of(&(self.version, callers));
        self.members.place(callers);
        self.calm = View::new(&self.members, |_| false);
        self
    }

    /// How many endpoints it has, in whichever health.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The endpoint for one request. `hash` is [`crate::affinity::hash`]'s. `None` if there is nothing to send to.
    pub fn pick(
        &self,
        position: &mut Position,
        loads: &impl Loads,
        hash: Option<u64>,
        now: Time,
        random: &mut Random,
    ) -> Option<usize> {
        position.follow(self);
        if position.seen.as_ref().is_some_and(|seen| seen.view.panics() || now.since(seen.at) >= LOOK_AGAIN) {
            position.look(self, loads, now);
        }
        for _ in 0..LOOKS {
            let view = position.seen.as_ref().map_or(&self.calm, |seen| &seen.view);
            let (tier, turns) = view.tier(hash.filter(|_| self.hashes()), random, &mut position.turns)?;
            if tier.is_empty() {
                return None;
            }
            match self.choose(tier, turns, loads, hash, now, random) {
                Some(endpoint) if tier.grade != Grade::Any && loads.ejected(endpoint) => {
                    position.look(self, loads, now);
                }
                Some(endpoint) if loads.tried(endpoint) => {}
                Some(endpoint) => return Some(endpoint),
                None if position.look(self, loads, now) => {}
                None => break,
            }
        }
        // What is left: what was not tried before what was, and only in panic what is not available.
        let view = position.seen.as_ref().map_or(&self.calm, |seen| &seen.view);
        let mut first = |tried: bool, any: bool| {
            let fits =
                |endpoint: usize| (tried || !loads.tried(endpoint)) && (any || !loads.ejected(endpoint));
            if any && !view.is_any() { None } else { self.members.first(random, fits, any) }
        };
        [(false, false), (false, true), (true, false), (true, true)]
            .into_iter()
            .find_map(|(tried, any)| first(tried, any))
    }

    /// One of a tier's endpoints, perhaps one that has been ejected since the view was made.
    fn choose(
        &self,
        tier: &Tier,
        turns: &mut Turns,
        loads: &impl Loads,
        hash: Option<u64>,
        now: Time,
        random: &mut Random,
    ) -> Option<usize> {
        let fits = |endpoint: usize| {
            tier.grade.has(self.members.health(endpoint))
                && (tier.grade == Grade::Any || !loads.ejected(endpoint))
                && !loads.tried(endpoint)
        };
        let has_room = |endpoint: usize| {
            fits(endpoint) && self.bound.as_ref().is_none_or(|bound| !bound.is_full(endpoint, loads))
        };
        match (&self.policy, hash) {
            (Policy::RingHash(rings), Some(hash)) => {
                let ring = rings.get(tier.level)?;
                return ring.find(hash, has_room).or_else(|| ring.find(hash, fits));
            }
            (Policy::Maglev(tables), Some(hash)) => {
                let table = tables.get(tier.level)?;
                return table.find(hash, has_room).or_else(|| table.find(hash, fits));
            }
            _ => {}
        }
        let starting = loads.starting();
        let mut draw = |random: &mut Random| match &self.policy {
            Policy::RoundRobin => turns.next(&tier.weights, random),
            _ => tier.weights.draw(random),
        };
        let first = if starting { ramp::place(tier, loads, random, draw) } else { draw(random) };
        // See `ramp`.
        let part = if starting { loads.part(tier.at(first)) } else { 1.0 };
        let rival = |endpoint: usize| !starting || loads.part(endpoint) >= part;
        Some(match &self.policy {
            Policy::LeastRequest { choices } => {
                let load = |endpoint| f64::from(loads.active(endpoint));
                choices::least(tier, *choices, first, random, rival, load)
            }
            Policy::PeakEwma { default_rtt } => {
                let measure = |endpoint| {
                    let active = loads.active(endpoint);
                    // One that nobody knows is found out about at once, by one request at a time. However fast the others are, it does
                    // not stay unknown.
                    let unknown = if active == 0 { Duration::ZERO } else { *default_rtt };
                    let latency = loads.latency(endpoint, now).unwrap_or(unknown);
                    (latency.as_secs_f64(), f64::from(active))
                };
                choices::fastest(tier, first, random, rival, measure)
            }
            Policy::RoundRobin | Policy::Random | Policy::RingHash(_) | Policy::Maglev(_) => tier.at(first),
        })
    }

    fn hashes(&self) -> bool {
        matches!(self.policy, Policy::RingHash(_) | Policy::Maglev(_))
    }
}

/// What a consistent hash knows an endpoint by: what its metadata says, or its host's name, or its address, as Envoy has it.
fn hashed_name(endpoint: &Endpoint, by_hostname: bool) -> String {
    let details = endpoint.details.as_deref();
    match details.and_then(|details| details.labels.get(HASH_KEY)) {
        Some(Label::Text(key)) if !key.is_empty() => return key.clone(),
        _ => {}
    }
    match details.map(|details| details.hostname.as_str()) {
        Some(name) if by_hostname && !name.is_empty() => name.to_owned(),
        _ => endpoint.address.to_string(),
    }
}

/// The label that places an endpoint in a consistent hash.
const HASH_KEY: &str = "hash_key";

impl Position {
    /// Starts anew if the table is not the one it was used with.
    fn follow(&mut self, table: &Table) {
        if self.table != Some(table.version) {
            self.table = Some(table.version);
            self.seen = None;
            self.turns = table.calm.turns();
        }
    }

    /// Looks at every endpoint's ejection, and makes a view of its own if any is ejected. Whether anything has changed.
    fn look(&mut self, table: &Table, loads: &impl Loads, now: Time) -> bool {
        let ejected: Vec<bool> = (0..table.len()).map(|endpoint| loads.ejected(endpoint)).collect();
        if !ejected.contains(&true) {
            let changed = self.seen.take().is_some();
            if changed {
                self.turns = table.calm.turns();
            }
            return changed;
        }
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.ejected == ejected) {
            seen.at = now;
            return false;
        }
        let view = View::new(&table.members, |endpoint| ejected[endpoint]);
        self.turns = view.turns();
        self.seen = Some(Seen { ejected, view, at: now });
        true
    }
}

#[cfg(test)]
mod tests;
