//! Which endpoint of a cluster: first the priority, then the endpoint, as the cluster's policy has it.
//!
//! A [`Table`] holds what follows from configuration: shares of priorities and localities, weights, rings. It is immutable and
//! shared by all workers. A [`Position`] is one worker's place in it. What the whole sidecar measures comes in through [`Loads`].
//!
//! **An endpoint that is ejected or unhealthy is never picked while one is available.** Only when nothing at all is does a pick go to
//! any endpoint, of the first priority that has one which is not draining. Envoy does so as soon as half of a priority is unhealthy,
//! which lets the bad half take good requests.
//!
//! Ejections change while configuration does not. A worker looks at them again when it stumbles over one it did not know, and,
//! while it knows of any, every [`LOOK_AGAIN`]; so a pick costs the same with a thousand endpoints as with two.

mod choices;
mod maglev;
mod member;
mod priority;
mod ring;
mod turns;
mod view;
mod weights;

use crate::header;
use http::HeaderMap;
use maglev::Maglev;
use member::Members;
use ring::Ring;
use std::time::Duration;
use turns::Turns;
use view::{Tier, View};
use weir_model::{Endpoints, LoadBalancing, Random, Time, Version};
use xxhash_rust::xxh3::xxh3_64;

/// What the shell measures of a cluster's endpoints, by index in [`Endpoints::iter`]'s order.
pub trait Loads {
    /// Requests in flight to the endpoint, from the whole sidecar.
    fn active(&self, endpoint: usize) -> u32;
    /// Its recent response time as [`crate::latency::read`] gives it; `None` if it was never measured.
    fn latency(&self, endpoint: usize, now: Time) -> Option<Duration>;
    /// Whether outlier detection has taken it out for the time being.
    fn ejected(&self, endpoint: usize) -> bool;
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
    pub fn new(policy: &LoadBalancing, endpoints: &Endpoints) -> Self {
        let version = Version::of(&(policy, endpoints));
        let members = Members::new(endpoints);
        let calm = View::new(&members, |_| false);
        let policy = match policy {
            LoadBalancing::RoundRobin => Policy::RoundRobin,
            LoadBalancing::Random => Policy::Random,
            LoadBalancing::LeastRequest { choices } => {
                Policy::LeastRequest { choices: (*choices).max(2) as usize }
            }
            LoadBalancing::PeakEwma { default_rtt, .. } => Policy::PeakEwma { default_rtt: *default_rtt },
            LoadBalancing::RingHash(_) => Policy::RingHash(members.levels().map(Ring::new).collect()),
            LoadBalancing::Maglev(_) => Policy::Maglev(members.levels().map(Maglev::new).collect()),
        };
        Self { version, policy, members, calm }
    }

    /// How many endpoints it has, in whichever health.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The endpoint for one request. `hash` is [`hash`]'s. `None` if there is nothing to send to.
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
            let chosen = self.choose(view, tier, turns, loads, hash, now, random);
            match chosen.filter(|endpoint| view.panics() || !loads.ejected(*endpoint)) {
                Some(endpoint) => return Some(endpoint),
                None => position.look(self, loads, now),
            }
        }
        self.members.first(random, |endpoint| !loads.ejected(endpoint))
    }

    /// One of a tier's endpoints, perhaps one that has been ejected since the view was made.
    #[expect(clippy::too_many_arguments, reason = "each is a fact of its own that some policy needs")]
    fn choose(
        &self,
        view: &View,
        tier: &Tier,
        turns: &mut Turns,
        loads: &impl Loads,
        hash: Option<u64>,
        now: Time,
        random: &mut Random,
    ) -> Option<usize> {
        let fits = |endpoint: usize| {
            tier.grade.has(self.members.health(endpoint)) && (view.panics() || !loads.ejected(endpoint))
        };
        match (&self.policy, hash) {
            (Policy::RoundRobin, _) => Some(tier.at(turns.next(&tier.weights, random))),
            (Policy::LeastRequest { choices }, _) => {
                Some(choices::least(tier, *choices, random, |endpoint| f64::from(loads.active(endpoint))))
            }
            (Policy::PeakEwma { default_rtt }, _) => Some(choices::fastest(tier, random, |endpoint| {
                let latency = loads.latency(endpoint, now).unwrap_or(*default_rtt);
                (latency.as_secs_f64(), f64::from(loads.active(endpoint)))
            })),
            (Policy::RingHash(rings), Some(hash)) => rings.get(tier.level)?.find(hash, fits),
            (Policy::Maglev(tables), Some(hash)) => tables.get(tier.level)?.find(hash, fits),
            (Policy::Random | Policy::RingHash(_) | Policy::Maglev(_), _) => {
                Some(tier.at(tier.weights.draw(random)))
            }
        }
    }

    fn hashes(&self) -> bool {
        matches!(self.policy, Policy::RingHash(_) | Policy::Maglev(_))
    }
}

impl Position {
    /// Starts anew if the table is not the one it was used with.
    fn follow(&mut self, table: &Table) {
        if self.table != Some(table.version) {
            self.table = Some(table.version);
            self.seen = None;
            self.turns = table.calm.turns();
        }
    }

    /// Looks at every endpoint's ejection, and makes a view of its own if any is ejected.
    fn look(&mut self, table: &Table, loads: &impl Loads, now: Time) {
        let ejected: Vec<bool> = (0..table.len()).map(|endpoint| loads.ejected(endpoint)).collect();
        if !ejected.contains(&true) {
            if self.seen.take().is_some() {
                self.turns = table.calm.turns();
            }
            return;
        }
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.ejected == ejected) {
            seen.at = now;
            return;
        }
        let view = View::new(&table.members, |endpoint| ejected[endpoint]);
        self.turns = view.turns();
        self.seen = Some(Seen { ejected, view, at: now });
    }
}

/// What a consistent hash policy hashes of a request. `None` for other policies, and where the request lacks the header; the pick
/// is then random.
pub fn hash(policy: &LoadBalancing, headers: &HeaderMap) -> Option<u64> {
    match policy {
        LoadBalancing::RingHash(of) | LoadBalancing::Maglev(of) => {
            header::joined(headers, &of.header).map(|value| xxh3_64(&value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
