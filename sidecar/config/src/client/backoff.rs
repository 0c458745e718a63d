//! How long to wait before connecting again.

use std::time::Duration;

use weir_model::Random;

/// The bound of the first wait; it doubles with each attempt.
const BASE: Duration = Duration::from_millis(100);
/// The bound while a control plane may just be restarting: its sidecars are back within about a second.
const SHORT_MAX: Duration = Duration::from_secs(1);
/// The bound when it stays away.
const LONG_MAX: Duration = Duration::from_secs(10);
/// From this attempt on it stays away: after some fifteen seconds on average.
const PATIENCE: u32 = 32;

/// Exponential back-off with full jitter (uniform between nothing and the bound), so that the sidecars which lost a control
/// plane together do not come back together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    attempt: u32,
}

impl Backoff {
    /// The next wait.
    pub(crate) fn next(&mut self, random: &mut Random) -> Duration {
        let bound = self.bound();
        self.attempt = self.attempt.saturating_add(1);
        bound.mul_f64(random.unit())
    }

    /// The connection was a good one: begin anew.
    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }

    fn bound(self) -> Duration {
        let max = if self.attempt < PATIENCE { SHORT_MAX } else { LONG_MAX };
        BASE.saturating_mul(1 << self.attempt.min(16)).min(max)
    }
}

#[cfg(test)]
mod tests;
