//! How long a change takes: from the moment it was durable to the moment a sidecar acknowledged the last resource it changed for it.
//!
//! One sample per (change, sidecar) pair that the change concerned. A sidecar which a newer change reaches before it acknowledged the older
//! one gives one sample, for the older: it waited for that long.

use std::collections::VecDeque;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Samples kept; the oldest go first.
pub const SAMPLES: usize = 16_384;

/// The latest samples.
#[derive(Debug, Default)]
pub struct Propagation {
    samples: VecDeque<(u64, Duration)>,
    newest: u64,
    changes: u64,
}

/// What they say.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Summary {
    /// Changes that concerned at least one sidecar.
    pub changes: u64,
    /// The median.
    pub p50: Duration,
    /// Of a hundred pairs, one took longer.
    pub p99: Duration,
    /// The longest kept.
    pub max: Duration,
    /// The longest of the newest change.
    pub last: Duration,
}

impl Propagation {
    /// A sidecar acknowledged all that `revision` changed for it, so long after it was written.
    pub fn record(&mut self, revision: u64, took: Duration) {
        if revision > self.newest {
            self.newest = revision;
            self.changes += 1;
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((revision, took));
    }

    /// Quantiles over the samples kept.
    pub fn summary(&self) -> Summary {
        let mut sorted: Vec<Duration> = self.samples.iter().map(|(_, took)| *took).collect();
        sorted.sort_unstable();
        let quantile = |q: f64| {
            let rank = (q * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        let of_newest =
            self.samples.iter().filter(|(revision, _)| *revision == self.newest).map(|(_, took)| *took);
        Summary {
            changes: self.changes,
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: sorted.last().copied().unwrap_or_default(),
            last: of_newest.max().unwrap_or_default(),
        }
    }
}
