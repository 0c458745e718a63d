//! How fast an endpoint has been lately: a moving average that believes bad news at once and forgets it slowly (the cost of
//! Finagle's Peak EWMA).
//!
//! The whole state is one word, so the shell keeps it in one relaxed atomic: the upper half is the average in microseconds as an
//! `f32`, the lower half the time of the last observation in ticks of 2²⁰ ns. Zero means never measured. Ticks wrap after 52 days;
//! an endpoint without a request for half of that is taken for one just used.

use std::time::Duration;
use weir_model::Time;

/// An endpoint without measurements.
pub const UNMEASURED: u64 = 0;

/// The state after one more response time.
///
/// A sample above the average replaces it at once. A lower one pulls it down: an old average weighs `exp(-elapsed / decay)`, with
/// `elapsed` since the previous observation. A `decay` of zero keeps the last sample only.
pub fn observe(previous: u64, sample: Duration, now: Time, decay: Duration) -> u64 {
    let sample = (sample.as_secs_f64() * 1e6).max(LEAST);
    let tick = tick(now);
    let Some((average, last)) = unpack(previous) else {
        return pack(sample, tick);
    };
    let elapsed = elapsed(last, tick);
    let later = if elapsed == 0 { last } else { tick };
    if sample > average {
        return pack(sample, later);
    }
    let kept = weight(elapsed, decay);
    pack(average * kept + sample * (1.0 - kept), later)
}

/// The state after a request that had no answer when it was `waited` for: at least as slow as that, and no faster than it was known to be,
/// or than `unmeasured` where nothing was. So the answers that nobody waits for, which are the slowest, count, and what fails at once
/// does not look fast.
pub fn unanswered(previous: u64, waited: Duration, now: Time, decay: Duration, unmeasured: Duration) -> u64 {
    let known = read(previous, now, decay).unwrap_or(unmeasured);
    observe(previous, waited.max(known), now, decay)
}

/// The average as it counts now: without new samples it fades towards zero, so an endpoint that was slow is tried again. `None` if
/// it was never measured.
pub fn read(state: u64, now: Time, decay: Duration) -> Option<Duration> {
    let (average, last) = unpack(state)?;
    let micros = average * weight(elapsed(last, tick(now)), decay);
    Some(Duration::from_secs_f64((micros / 1e6).clamp(0.0, LONGEST)))
}

/// The smallest average in microseconds, so that no measured state packs to zero.
const LEAST: f64 = 1e-3;
/// The longest average reported, in seconds (over 30 000 years).
const LONGEST: f64 = 1e12;
/// Nanoseconds of a tick, as a power of two.
const TICK_BITS: u32 = 20;

fn tick(now: Time) -> u32 {
    (now.0 >> TICK_BITS) as u32
}

/// Ticks from `last` to `now`; zero if another worker's clock reading was ahead of ours.
fn elapsed(last: u32, now: u32) -> u32 {
    let ahead = now.wrapping_sub(last);
    if ahead > u32::MAX / 2 { 0 } else { ahead }
}

fn weight(elapsed: u32, decay: Duration) -> f64 {
    let elapsed = f64::from(elapsed) * f64::from(1u32 << TICK_BITS);
    if decay.is_zero() { 0.0 } else { (-elapsed / decay.as_nanos() as f64).exp() }
}

fn pack(micros: f64, tick: u32) -> u64 {
    u64::from((micros.max(LEAST) as f32).to_bits()) << 32 | u64::from(tick)
}

fn unpack(state: u64) -> Option<(f64, u32)> {
    let micros = f32::from_bits((state >> 32) as u32);
    (state != UNMEASURED && micros.is_finite()).then_some((f64::from(micros), state as u32))
}

#[cfg(test)]
mod tests;
