//! Reads the clocks, once, for everybody.
//!
//! [`Time`] is the monotonic clock as a plain number: pure crates take it (or its nanoseconds) as an argument and never read
//! a clock themselves. It follows `tokio::time`, so a paused or simulated clock moves it. [`unix_nanos`] is the wall clock,
//! for what leaves the process (spans, logs); never compute a duration from it.
//!
//! The same place hands hyper its timer and its executor.

use std::future::Future;
use std::ops::{Add, Sub};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Hyper's timer over `tokio::time`, so that hyper's timeouts follow a paused clock too.
pub use hyper_util::rt::TokioTimer as HyperTimer;

/// What the clock shows at the first reading in a process: one day, in nanoseconds. It is not zero so that a clock which is
/// behind the first reading (each paused test runtime has its own) and `now - window` both stay on the scale.
const EPOCH: u64 = 24 * 60 * 60 * 1_000_000_000;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// A moment on the monotonic clock: nanoseconds since an arbitrary fixed moment of this process.
///
/// Comparable only within one process. All arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The moment as nanoseconds.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// How long `self` is after `earlier`; zero if it is not.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long ago this moment was; zero if it lies ahead.
    pub fn elapsed(self) -> Duration {
        now().since(self)
    }

    /// The same moment for `tokio::time::sleep_until` and `timeout_at`.
    pub fn instant(self) -> Instant {
        let origin = origin();
        let moved = match self.0.checked_sub(EPOCH) {
            Some(after) => origin.checked_add(Duration::from_nanos(after)),
            None => origin.checked_sub(Duration::from_nanos(EPOCH - self.0)),
        };
        moved.unwrap_or(origin)
    }
}

impl From<Instant> for Time {
    fn from(instant: Instant) -> Time {
        let origin = origin();
        match instant.checked_duration_since(origin) {
            Some(after) => Time(EPOCH.saturating_add(nanos(after))),
            None => Time(EPOCH.saturating_sub(nanos(origin.duration_since(instant)))),
        }
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, later: Duration) -> Time {
        Time(self.0.saturating_add(nanos(later)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, earlier: Duration) -> Time {
        Time(self.0.saturating_sub(nanos(earlier)))
    }
}

impl Sub<Time> for Time {
    type Output = Duration;

    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

/// The monotonic clock, now.
pub fn now() -> Time {
    Time::from(Instant::now())
}

/// The wall clock: nanoseconds since 1970-01-01 UTC, as OpenTelemetry wants them. Zero if the clock is set before that.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos)
}

fn origin() -> Instant {
    *ORIGIN.get_or_init(Instant::now)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Runs hyper's HTTP/2 tasks on the worker they were made on: futures need not be `Send`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalExec;

impl<F> hyper::rt::Executor<F> for LocalExec
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

#[cfg(test)]
mod tests;
