//! Whether an endpoint is healthy by its checks, and when it is checked next: Envoy's rules, one [`Checked`] per endpoint.
//!
//! It does not connect anywhere; whoever does tells it what came of a check.

pub mod grpc;

use std::time::Duration;
use weir_model::{HealthCheck, Random, Time};

/// What came of one check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It serves.
    Passed,
    /// It says that it does not: it is unhealthy at once.
    Refused,
    /// It says so with a status that may pass by, or nothing came in time: so many of these in a row make it unhealthy.
    Failed,
}

/// What a check changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing.
    None,
    /// Nothing yet: too few in a row.
    Pending,
    /// It is healthy now.
    Healthy,
    /// It is unhealthy now.
    Unhealthy,
}

/// What checks say of one endpoint.
#[derive(Clone, Debug)]
pub struct Checked {
    healthy: bool,
    /// No check has come to an end.
    first: bool,
    /// Passed or failed in a row, against its state.
    in_a_row: u32,
    next: Time,
}

impl Checked {
    /// An endpoint that is new to its checks. One that is known already keeps taking traffic until a check says otherwise; any other
    /// one takes none before its first check has passed.
    pub fn new(config: &HealthCheck, known: bool, now: Time, random: &mut Random) -> Self {
        let next = now + part(config.initial_jitter, random);
        Self { healthy: known, first: true, in_a_row: 0, next }
    }

    /// Whether it takes traffic.
    pub fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// When it is to be checked next.
    pub fn next(&self) -> Time {
        self.next
    }

    /// The checks have changed: the next one comes within their interval.
    pub fn hasten(&mut self, config: &HealthCheck, now: Time) {
        self.next = self.next.min(now + config.interval);
    }

    /// Whether any check has come to an end.
    pub fn is_known(&self) -> bool {
        !self.first
    }

    /// A check has come to an end at `now`. `used` says whether its cluster ever took a request.
    pub fn conclude(
        &mut self,
        config: &HealthCheck,
        answer: Answer,
        used: bool,
        now: Time,
        random: &mut Random,
    ) -> Change {
        let first = std::mem::replace(&mut self.first, false);
        let change = match (answer, self.healthy) {
            (Answer::Passed, true) | (Answer::Refused | Answer::Failed, false) => {
                self.in_a_row = 0;
                Change::None
            }
            (Answer::Passed, false) => {
                self.in_a_row += 1;
                let enough = first || self.in_a_row >= config.healthy_threshold;
                if enough { Change::Healthy } else { Change::Pending }
            }
            (Answer::Refused, true) => Change::Unhealthy,
            (Answer::Failed, true) => {
                self.in_a_row += 1;
                if self.in_a_row >= config.unhealthy_threshold { Change::Unhealthy } else { Change::Pending }
            }
        };
        if let Change::Healthy | Change::Unhealthy = change {
            self.healthy = change == Change::Healthy;
            self.in_a_row = 0;
        }
        self.next = now + with_jitter(config, interval(config, answer, change, used), random);
        change
    }
}

/// Which interval comes after a check, before jitter.
fn interval(config: &HealthCheck, answer: Answer, change: Change, used: bool) -> Duration {
    let pending = change == Change::Pending;
    match answer {
        Answer::Passed if !used && !pending => config.no_traffic_healthy_interval,
        _ if !used => config.no_traffic_interval,
        Answer::Passed if pending => config.healthy_edge_interval,
        Answer::Passed => config.interval,
        Answer::Refused | Answer::Failed if pending => config.unhealthy_edge_interval,
        Answer::Refused | Answer::Failed => config.unhealthy_interval,
    }
}

fn with_jitter(config: &HealthCheck, interval: Duration, random: &mut Random) -> Duration {
    let share = interval.saturating_mul(config.interval_jitter_percent) / 100;
    interval.saturating_add(part(share, random)).saturating_add(part(config.interval_jitter, random))
}

/// A time below `most`.
fn part(most: Duration, random: &mut Random) -> Duration {
    Duration::from_nanos(random.below(u64::try_from(most.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests;
