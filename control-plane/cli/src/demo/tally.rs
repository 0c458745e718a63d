//! Counts requests, each in the phase in which it was sent. Pure: latencies come in as arguments.
//!
//! A request belongs to a phase if it was sent while that phase was measured; what is sent between two phases, while a change
//! is on its way, is counted as transition. Whoever changes policy first waits until nothing sent under the old one is under
//! way ([`Tally::under_way_elsewhere`]), so no request is counted under weights that it did not meet.

use super::plan::PHASES;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// The two versions of `reviews`, as their Services are called; weights and counts are in this order.
pub(crate) const VERSIONS: [&str; 2] = ["reviews-v1", "reviews-v2"];

/// Most reasons of failures told apart.
const REASONS: usize = 16;
/// Where the others go.
const OTHER: &str = "other reasons";
/// The longest latency told apart; longer ones count as this.
const LONGEST_MICROS: u64 = 60_000_000;

/// Where a request is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Window {
    /// While a change is on its way.
    Transition,
    /// In one of [`PHASES`].
    Phase(usize),
}

/// A request that is under way.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ticket(Window);

/// How a request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Answered with 200 by this one of [`VERSIONS`].
    Served(usize),
    /// Anything else, and why.
    Failed(String),
}

/// What was counted in one window.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) versions: [u64; 2],
    under_way: u64,
    latency: Histogram<u64>,
}

/// All counts of a demo.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    window: Window,
    transition: Counts,
    phases: Vec<Counts>,
    reasons: BTreeMap<String, u64>,
}

impl Counts {
    fn new() -> Counts {
        let latency =
            Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("the bounds are constants that fit");
        Counts { requests: 0, failed: 0, versions: [0; 2], under_way: 0, latency }
    }

    /// The latency that so large a share of the answered requests did not exceed, in milliseconds.
    pub(crate) fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The share of each version among the answers, 0 to 1.
    pub(crate) fn observed(&self) -> [f64; 2] {
        let answers = self.versions.iter().sum::<u64>().max(1) as f64;
        self.versions.map(|count| count as f64 / answers)
    }
}

impl Tally {
    pub(crate) fn new() -> Tally {
        let phases = PHASES.iter().map(|_| Counts::new()).collect();
        Tally { window: Window::Transition, transition: Counts::new(), phases, reasons: BTreeMap::new() }
    }

    /// From now on requests are counted here.
    pub(crate) fn enter(&mut self, window: Window) {
        self.window = window;
    }

    /// A request is sent.
    pub(crate) fn begin(&mut self) -> Ticket {
        let window = self.window;
        self.counts_mut(window).under_way += 1;
        Ticket(window)
    }

    /// It ended, so long after it was due. A request that failed has no latency: it would make the others look better or worse.
    pub(crate) fn end(&mut self, ticket: Ticket, outcome: Outcome, latency: Duration) {
        let counts = self.counts_mut(ticket.0);
        counts.under_way -= 1;
        counts.requests += 1;
        match outcome {
            Outcome::Served(version) => {
                counts.versions[version] += 1;
                counts
                    .latency
                    .saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
            }
            Outcome::Failed(reason) => {
                counts.failed += 1;
                let full = self.reasons.len() >= REASONS && !self.reasons.contains_key(&reason);
                *self.reasons.entry(if full { OTHER.to_owned() } else { reason }).or_default() += 1;
            }
        }
    }

    /// How many requests are under way that were sent in other windows than the current one.
    pub(crate) fn under_way_elsewhere(&self) -> u64 {
        self.all().map(|counts| counts.under_way).sum::<u64>() - self.counts(self.window).under_way
    }

    /// What was counted in a window.
    pub(crate) fn counts(&self, window: Window) -> &Counts {
        match window {
            Window::Transition => &self.transition,
            Window::Phase(index) => &self.phases[index],
        }
    }

    /// What is counted now.
    pub(crate) fn current(&self) -> &Counts {
        self.counts(self.window)
    }

    /// All requests that ended.
    pub(crate) fn requests(&self) -> u64 {
        self.all().map(|counts| counts.requests).sum()
    }

    /// All that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.all().map(|counts| counts.failed).sum()
    }

    /// Why they failed, and how many each.
    pub(crate) fn reasons(&self) -> &BTreeMap<String, u64> {
        &self.reasons
    }

    fn all(&self) -> impl Iterator<Item = &Counts> {
        self.phases.iter().chain([&self.transition])
    }

    fn counts_mut(&mut self, window: Window) -> &mut Counts {
        match window {
            Window::Transition => &mut self.transition,
            Window::Phase(index) => &mut self.phases[index],
        }
    }
}

#[cfg(test)]
mod tests;
