//! When to ask for the next certificate. Pure: chance is an argument, and times are milliseconds since 1970.

use std::time::Duration;

use weir_model::Random;

/// The longest wait between two attempts.
pub const RETRY_MOST: Duration = Duration::from_secs(60);
/// The first bound of a wait between two attempts.
const RETRY_FIRST: Duration = Duration::from_millis(500);

/// When to renew a certificate with this validity: from half of its life on, spread over the following tenth, so that what was started together
/// does not ask together.
pub fn renew_at(not_before: u64, not_after: u64, random: &mut Random) -> u64 {
    let life = not_after.saturating_sub(not_before);
    let spread = (life / 10) as f64 * random.unit();
    not_before.saturating_add(life / 2).saturating_add(spread as u64)
}

/// How long to wait after the failure number `attempt` (from 0), with `left` of the certificate's life: exponential with jitter between half of
/// the bound and all of it, bounded by [`RETRY_MOST`] and by a quarter of what is left, so that several attempts always fit.
pub fn retry_after(attempt: u32, left: Duration, random: &mut Random) -> Duration {
    let bound = RETRY_FIRST.saturating_mul(1 << attempt.min(16)).min(RETRY_MOST);
    let bound = if left.is_zero() { bound } else { bound.min((left / 4).max(Duration::from_millis(100))) };
    bound.mul_f64(0.5 + random.unit() / 2.0)
}

#[cfg(test)]
mod tests;
