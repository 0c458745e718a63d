//! How much of its share an endpoint gets that is new, or back (Envoy's slow start).
//!
//! [`crate::balance`] takes it as a chance: **an endpoint within its window gets at most this part of the share it will have**, however
//! idle or fast it looks, so that a newcomer without load does not draw everything to itself.

use weir_model::{SlowStart, Time};

/// The part of its weight that an endpoint has which began at `began`, from the configured minimum to 1.
///
/// A time of zero began long ago, one ahead of `now` just now.
pub fn part(config: &SlowStart, began: Time, now: Time) -> f64 {
    let since = now.since(began);
    if since >= config.window || began == Time(0) {
        return 1.0;
    }
    let elapsed = since.as_secs_f64() / config.window.as_secs_f64();
    let aggression = f64::from(config.aggression.max(1)) / 1000.0;
    let minimum = f64::from(config.min_weight_percent.min(100)) / 100.0;
    elapsed.powf(1.0 / aggression).clamp(minimum, 1.0)
}

#[cfg(test)]
mod tests;
