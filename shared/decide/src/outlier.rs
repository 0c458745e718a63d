//! Which endpoints are ejected for what they answer, and when they come back: Envoy's outlier detection, and one detector of weir's own
//! for endpoints that are slow.
//!
//! Two halves. [`count`] is what a worker does with each [`Outcome`]: errors in a row are kept in one word per endpoint, so that the
//! shell keeps it in one relaxed atomic, and whoever reaches a threshold says so. [`Detector`] belongs to one task of the whole
//! sidecar: it hears of those ([`Detector::suspect`]), compares endpoints once in an interval ([`Detector::tick`]), and alone decides
//! who is ejected and until when.
//!
//! **The last endpoint that is available is never ejected**, whatever the percentages say. Envoy ejects it and then panics.
//!
//! An ejection ends on time, not with the next interval as Envoy's does.

mod compare;
mod count;

use std::collections::HashMap;
use std::time::Duration;
use weir_model::{OutlierDetection, Random, Time};

pub use count::{InARow, Outcome, Suspicion, count, http_status, kept_after, tallied};

/// Which detector.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// 5xx in a row.
    Consecutive5xx,
    /// 502, 503 or 504 in a row.
    ConsecutiveGatewayFailure,
    /// Failures to connect or timeouts in a row, where they are counted apart.
    ConsecutiveLocalOriginFailure,
    /// A success rate far below the others'.
    SuccessRate,
    /// The same of failures to connect and timeouts.
    LocalOriginSuccessRate,
    /// Too many failures.
    FailurePercentage,
    /// The same of failures to connect and timeouts.
    LocalOriginFailurePercentage,
    /// Much slower than the others.
    Latency,
}

impl Reason {
    /// All of them, in Envoy's order.
    pub const ALL: [Self; 8] = [
        Self::Consecutive5xx,
        Self::ConsecutiveGatewayFailure,
        Self::ConsecutiveLocalOriginFailure,
        Self::SuccessRate,
        Self::LocalOriginSuccessRate,
        Self::FailurePercentage,
        Self::LocalOriginFailurePercentage,
        Self::Latency,
    ];

    /// Its name in metrics, as in Envoy's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive_5xx",
            Self::ConsecutiveGatewayFailure => "consecutive_gateway_failure",
            Self::ConsecutiveLocalOriginFailure => "consecutive_local_origin_failure",
            Self::SuccessRate => "success_rate",
            Self::LocalOriginSuccessRate => "local_origin_success_rate",
            Self::FailurePercentage => "failure_percentage",
            Self::LocalOriginFailurePercentage => "local_origin_failure_percentage",
            Self::Latency => "latency",
        }
    }

    /// In how many percent of cases it ejects.
    fn enforcing(self, config: &OutlierDetection) -> u32 {
        match self {
            Self::Consecutive5xx => config.enforcing_consecutive_5xx,
            Self::ConsecutiveGatewayFailure => config.enforcing_consecutive_gateway_failure,
            Self::ConsecutiveLocalOriginFailure => config.enforcing_consecutive_local_origin_failure,
            Self::SuccessRate => config.enforcing_success_rate,
            Self::LocalOriginSuccessRate => config.enforcing_local_origin_success_rate,
            Self::FailurePercentage => config.enforcing_failure_percentage,
            Self::LocalOriginFailurePercentage => config.enforcing_failure_percentage_local_origin,
            Self::Latency => config.latency.as_ref().map_or(0, |latency| latency.enforcing),
        }
    }
}

/// Running totals of an endpoint, over all workers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Outcomes that count as the endpoint's own.
    pub answers: u64,
    /// Those of them that are errors.
    pub errors: u64,
    /// Attempts to reach it, where they are counted apart.
    pub attempts: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Response heads that were timed.
    pub timed: u64,
    /// What they took together, in microseconds.
    pub micros: u64,
}

impl Tally {
    /// What was added since `earlier`.
    fn since(self, earlier: Self) -> Self {
        Self {
            answers: self.answers.saturating_sub(earlier.answers),
            errors: self.errors.saturating_sub(earlier.errors),
            attempts: self.attempts.saturating_sub(earlier.attempts),
            failures: self.failures.saturating_sub(earlier.failures),
            timed: self.timed.saturating_sub(earlier.timed),
            micros: self.micros.saturating_sub(earlier.micros),
        }
    }
}

/// An endpoint as the shell sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observed {
    /// Unique, and never used again.
    pub id: u64,
    /// Whether it takes traffic, as far as anybody else than outlier detection says.
    pub available: bool,
    /// Its totals.
    pub tally: Tally,
}

/// What the shell is to do, or to count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// It takes no traffic until then.
    Ejected {
        /// Which endpoint.
        id: u64,
        /// Why.
        reason: Reason,
        /// Until when.
        until: Time,
    },
    /// It was found an outlier, and is left in.
    Spared {
        /// Which endpoint.
        id: u64,
        /// By which detector.
        reason: Reason,
        /// Why it is left in.
        why: Mercy,
    },
    /// Its ejection is over.
    Returned {
        /// Which endpoint.
        id: u64,
    },
}

/// Why an outlier is not ejected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mercy {
    /// The detector is not enforced, or not this time.
    NotEnforced,
    /// As many are ejected as may be.
    Overflow,
    /// No other endpoint would be left.
    Last,
}

/// Who of a cluster is ejected. One for each cluster that has outlier detection.
#[derive(Debug)]
pub struct Detector {
    hosts: HashMap<u64, Host>,
    /// When endpoints are compared next.
    next: Time,
}

#[derive(Default, Debug)]
struct Host {
    /// Until when, if it is ejected.
    until: Option<Time>,
    /// How many base times the last ejection took; falls with every interval without one.
    multiplier: u32,
    /// When it came back last.
    returned: Option<Time>,
    /// Its totals when endpoints were compared last.
    before: Tally,
    /// Moving average over intervals of its mean response time, in microseconds.
    latency: Option<f64>,
}

impl Detector {
    /// Nobody is ejected; what was counted before does not matter.
    pub fn new(config: &OutlierDetection, hosts: &[Observed], now: Time) -> Self {
        let mut detector = Self { hosts: HashMap::new(), next: now + config.interval };
        detector.follow(hosts);
        detector
    }

    /// When [`Detector::tick`] has something to do at the latest.
    pub fn deadline(&self) -> Time {
        self.hosts.values().filter_map(|host| host.until).fold(self.next, Time::min)
    }

    /// How many are ejected.
    pub fn ejected(&self) -> usize {
        self.hosts.values().filter(|host| host.until.is_some()).count()
    }

    /// An endpoint has reached thresholds.
    pub fn suspect(
        &mut self,
        config: &OutlierDetection,
        hosts: &[Observed],
        id: u64,
        suspicion: Suspicion,
        now: Time,
        random: &mut Random,
    ) -> Vec<Event> {
        self.follow(hosts);
        // Envoy looks at gateway failures first.
        let mut reasons: Vec<Reason> = suspicion.reasons().collect();
        reasons.sort_by_key(|reason| *reason == Reason::Consecutive5xx);
        reasons.into_iter().filter_map(|reason| self.judge(config, hosts, id, reason, now, random)).collect()
    }

    /// Lets back whose time is over and, once in an interval, compares the endpoints.
    pub fn tick(
        &mut self,
        config: &OutlierDetection,
        hosts: &[Observed],
        now: Time,
        random: &mut Random,
    ) -> Vec<Event> {
        self.follow(hosts);
        let mut events = Vec::new();
        for observed in hosts {
            let host = self.hosts.entry(observed.id).or_default();
            if host.until.is_some_and(|until| until <= now) {
                host.come_back(now);
                events.push(Event::Returned { id: observed.id });
            }
        }
        // A shorter interval counts from now on.
        self.next = self.next.min(now + config.interval);
        if self.next > now {
            return events;
        }
        self.next = now + config.interval;
        for (id, reason) in compare::outliers(config, hosts, &mut self.hosts) {
            events.extend(self.judge(config, hosts, id, reason, now, random));
        }
        for host in self.hosts.values_mut().filter(|host| host.until.is_none()) {
            if host.returned.is_some_and(|returned| now.since(returned) >= config.interval) {
                host.multiplier = host.multiplier.saturating_sub(1);
            }
        }
        events
    }

    /// An endpoint passed its health check, which ends its ejection if the configuration says so.
    pub fn passed_check(&mut self, config: &OutlierDetection, id: u64, now: Time) -> Option<Event> {
        let host = self.hosts.get_mut(&id).filter(|host| host.until.is_some())?;
        config.successful_active_health_check_uneject_host.then(|| {
            host.come_back(now);
            Event::Returned { id }
        })
    }

    /// Forgets endpoints that are gone, and counts new ones from now on.
    fn follow(&mut self, hosts: &[Observed]) {
        if hosts.len() == self.hosts.len() && hosts.iter().all(|host| self.hosts.contains_key(&host.id)) {
            return;
        }
        let mut before = std::mem::take(&mut self.hosts);
        for observed in hosts {
            let new = || Host { before: observed.tally, ..Host::default() };
            self.hosts.insert(observed.id, before.remove(&observed.id).unwrap_or_else(new));
        }
    }

    /// An outlier was found: whether it is ejected.
    fn judge(
        &mut self,
        config: &OutlierDetection,
        hosts: &[Observed],
        id: u64,
        reason: Reason,
        now: Time,
        random: &mut Random,
    ) -> Option<Event> {
        let ejected = self.ejected();
        let others = hosts.iter().any(|host| {
            host.id != id
                && host.available
                && self.hosts.get(&host.id).is_some_and(|host| host.until.is_none())
        });
        let host = self.hosts.get_mut(&id).filter(|host| host.until.is_none())?;
        let spared = |why| Some(Event::Spared { id, reason, why });
        let allowed = config.max_ejection_percent.min(100) as usize;
        let first = config.always_eject_one_host && ejected == 0;
        let room = first || 100 * (ejected + 1) <= allowed * hosts.len();
        if !room {
            return spared(Mercy::Overflow);
        }
        if !others {
            return spared(Mercy::Last);
        }
        if random.below(100) >= u64::from(reason.enforcing(config)) {
            return spared(Mercy::NotEnforced);
        }
        let base = config.base_ejection_time;
        if base.saturating_mul(host.multiplier) < config.max_ejection_time.saturating_add(base) {
            host.multiplier += 1;
        }
        let time = base.saturating_mul(host.multiplier).min(config.max_ejection_time);
        let until = now + time.saturating_add(jitter(config.max_ejection_time_jitter, random));
        host.until = Some(until);
        Some(Event::Ejected { id, reason, until })
    }
}

impl Host {
    fn come_back(&mut self, now: Time) {
        self.until = None;
        self.returned = Some(now);
        self.latency = None;
    }
}

/// A time up to `most`, in milliseconds.
fn jitter(most: Duration, random: &mut Random) -> Duration {
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX - 1);
    Duration::from_millis(random.below(millis.saturating_add(1)))
}

#[cfg(test)]
mod tests;
