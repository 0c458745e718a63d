//! How long to wait after failures.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The pause after `failures` failures in a row: doubled each time up to five seconds, of which a random half to whole is
/// waited, so that sidecars do not come back to a restarted collector all at once.
pub(super) fn pause(failures: u32, random: u64) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let share = (random >> 11) as f64 / (1u64 << 53) as f64;
    whole.mul_f64(0.5 + 0.5 * share)
}
