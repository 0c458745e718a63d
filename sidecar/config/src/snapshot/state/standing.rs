//! What the sidecar itself has found out about an endpoint: whether it answers well, passes its checks, and since when it is there.
//!
//! Workers write what attempts at it came to; one task on main's thread judges by it and writes whether it takes traffic. Words that
//! change with every request are in each worker's own cell ([`super::Traffic`]); those here change with errors only, and are read
//! with each attempt.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use weir_decide::outlier::{self, Outcome, Suspicion};
use weir_model::{OutlierDetection, Time};

use super::EndpointState;

/// An endpoint whose slow start has not begun, though it is there: main's task tells when it does.
pub const NOT_BEGUN: Time = Time(u64::MAX);

/// An endpoint's standing.
#[derive(Debug, Default)]
pub struct Standing {
    /// Errors in a row, as [`outlier::count`] has them.
    in_a_row: AtomicU64,
    /// Which thresholds they have reached since main's task looked, as a [`Suspicion`].
    suspicion: AtomicU32,
    /// Whether it fails its health checks, or has not passed one yet.
    failing: AtomicBool,
    /// When its slow start began ([`Time`]); zero if it was there before.
    began: AtomicU64,
    /// How often it was ejected.
    ejections: AtomicU32,
}

impl Standing {
    pub(crate) fn new(failing: bool, began: Time) -> Self {
        Self { failing: AtomicBool::new(failing), began: AtomicU64::new(began.0), ..Self::default() }
    }

    /// Whether it fails its health checks, or has not passed one yet.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Relaxed)
    }

    /// Says whether it fails its health checks.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Relaxed);
    }

    /// When its slow start began; zero if it was there before, [`NOT_BEGUN`] if that is still to come.
    pub fn began(&self) -> Time {
        Time(self.began.load(Relaxed))
    }

    /// Its slow start begins then.
    pub fn begin(&self, at: Time) {
        self.began.store(at.0, Relaxed);
    }

    /// How often it was ejected.
    pub fn ejections(&self) -> u32 {
        self.ejections.load(Relaxed)
    }

    /// Which thresholds were reached since this was asked before; what reached them starts anew.
    pub fn take_suspicion(&self) -> Suspicion {
        if self.suspicion.load(Relaxed) == 0 {
            return Suspicion::default();
        }
        let suspicion = Suspicion(self.suspicion.swap(0, Relaxed));
        self.in_a_row.fetch_and(outlier::kept_after(suspicion), Relaxed);
        suspicion
    }
}

impl EndpointState {
    /// An attempt at it came to this; `waited` is how long its response head took. `true` if main's task should look at it, which is
    /// so only when errors in a row reach a threshold.
    pub fn observe(
        &self,
        worker: usize,
        outcome: Outcome,
        waited: Option<Duration>,
        config: &OutlierDetection,
    ) -> bool {
        self.traffic.of(worker).tally(outlier::tallied(outcome, config), waited);
        let word = &self.standing.in_a_row;
        let mut before = word.load(Relaxed);
        loop {
            let (after, suspicion) = outlier::count(before, outcome, config);
            if after == before {
                return false;
            }
            match word.compare_exchange_weak(before, after, Relaxed, Relaxed) {
                Ok(_) if suspicion.is_none() => return false,
                Ok(_) => return self.standing.suspicion.fetch_or(suspicion.0, Relaxed) == 0,
                Err(meanwhile) => before = meanwhile,
            }
        }
    }

    /// It takes no traffic until then, and then starts slowly.
    pub fn eject(&self, until: Time) {
        self.standing.ejections.fetch_add(1, Relaxed);
        self.standing.begin(until);
        self.ejected_until.store(until.0, Relaxed);
    }

    /// Its ejection is over, at `now` or before; errors from before it do not count.
    pub fn restore(&self, now: Time) {
        self.standing.in_a_row.store(0, Relaxed);
        self.standing.suspicion.store(0, Relaxed);
        if self.ejected_until.swap(0, Relaxed) > now.0 {
            self.standing.begin(now);
        }
    }
}

#[cfg(test)]
mod tests;
