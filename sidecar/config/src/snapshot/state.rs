//! What workers share about clusters and endpoints: single-word atomics that outlive snapshots.
//!
//! Limits count for the whole sidecar, so `requests`, `active` and the like are written by all workers, each alone on its
//! cache lines. Totals are only ever summed up, so each worker has a cell of its own ([`Sharded`]). All operations are
//! relaxed: no decision depends on the order of two of these words.

mod standing;

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use weir_decide::outlier::Tally;
use weir_model::{Priority, Time};

pub use standing::{NOT_BEGUN, Standing};

/// A value alone on its cache lines (two, since processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// One endpoint as all workers see it. Lives as long as its cluster has an endpoint with this address and workload, and as
/// long as a request or a connection holds it.
#[derive(Debug)]
pub struct EndpointState {
    /// Unique in this process, never used again: the key of connection pools.
    pub id: u64,
    /// Where to connect.
    pub address: SocketAddr,
    /// The workload's name; empty if unknown.
    pub workload: Arc<str>,
    /// Requests in flight (or TCP connections, on a TCP listener).
    pub active: Padded<AtomicU32>,
    /// Open connections, and those that are being made.
    pub connections: Padded<AtomicU32>,
    /// Moving average of latency, packed as `weir_decide::latency` has it; zero before the first measurement.
    pub latency: Padded<AtomicU64>,
    /// Until when ([`Time`], nanoseconds) it is not chosen; zero if it is not ejected.
    pub ejected_until: AtomicU64,
    /// What the sidecar has found out about it.
    pub standing: Standing,
    /// Requests and errors.
    pub traffic: Sharded,
}

impl EndpointState {
    pub(crate) fn new(
        id: u64,
        address: SocketAddr,
        workload: Arc<str>,
        workers: usize,
        standing: Standing,
    ) -> Self {
        Self {
            standing,
            id,
            address,
            workload,
            active: Padded::default(),
            connections: Padded::default(),
            latency: Padded::default(),
            ejected_until: AtomicU64::new(0),
            traffic: Sharded::new(workers),
        }
    }

    /// Counts a request as in flight until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> ActiveGuard {
        self.active.fetch_add(1, Relaxed);
        ActiveGuard { endpoint: self.clone() }
    }

    /// Whether it is ejected at `now`.
    pub fn is_ejected(&self, now: Time) -> bool {
        self.ejected_until.load(Relaxed) > now.0
    }
}

/// One request in flight at an endpoint.
#[derive(Debug)]
pub struct ActiveGuard {
    endpoint: Arc<EndpointState>,
}

impl ActiveGuard {
    /// The endpoint.
    pub fn endpoint(&self) -> &Arc<EndpointState> {
        &self.endpoint
    }
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.endpoint.active.fetch_sub(1, Relaxed);
    }
}

/// One cluster as all workers see it: what its circuit breakers count. Lives as long as the cluster's name does.
#[derive(Debug)]
pub struct ClusterState {
    /// Unique in this process, never used again: the key of per-worker state such as balancer positions.
    pub id: u64,
    /// The cluster's name.
    pub name: Arc<str>,
    /// Requests in flight.
    pub requests: Padded<AtomicU32>,
    /// Requests that wait for a connection.
    pub pending: Padded<AtomicU32>,
    /// Open connections.
    pub connections: Padded<AtomicU32>,
    /// Retries in flight.
    pub retries: Padded<AtomicU32>,
    /// Until when ([`Time`], nanoseconds) any of its endpoints starts slowly.
    pub starting_until: AtomicU64,
    /// Told when an endpoint's errors in a row have reached a threshold. **The one word beside the path of good requests whose sleeper
    /// is woken through a lock**: once for each run of errors, and its only other user is main's task.
    pub suspects: Notify,
    /// The same four for requests of high priority.
    pub high: Padded<HighCounts>,
    /// Requests and errors; `refused` are those an open circuit breaker turned away.
    pub traffic: Sharded,
}

impl ClusterState {
    pub(crate) fn new(id: u64, name: Arc<str>, workers: usize) -> Self {
        Self {
            id,
            name,
            requests: Padded::default(),
            pending: Padded::default(),
            connections: Padded::default(),
            retries: Padded::default(),
            starting_until: AtomicU64::new(0),
            suspects: Notify::new(),
            high: Padded::default(),
            traffic: Sharded::new(workers),
        }
    }
}

/// What is under way with high priority. These are few, so they share their cache lines.
#[derive(Debug, Default)]
pub struct HighCounts {
    /// Requests in flight.
    pub requests: AtomicU32,
    /// Requests that wait for a connection.
    pub pending: AtomicU32,
    /// Open connections.
    pub connections: AtomicU32,
    /// Retries in flight.
    pub retries: AtomicU32,
}

/// What is under way with one priority.
#[derive(Clone, Copy, Debug)]
pub struct Counts<'a> {
    /// Requests in flight.
    pub requests: &'a AtomicU32,
    /// Requests that wait for a connection.
    pub pending: &'a AtomicU32,
    /// Open connections.
    pub connections: &'a AtomicU32,
    /// Retries in flight.
    pub retries: &'a AtomicU32,
}

impl ClusterState {
    /// What its circuit breakers count of a priority.
    pub fn of(&self, priority: Priority) -> Counts<'_> {
        match priority {
            Priority::Default => Counts {
                requests: &self.requests,
                pending: &self.pending,
                connections: &self.connections,
                retries: &self.retries,
            },
            Priority::High => Counts {
                requests: &self.high.requests,
                pending: &self.high.pending,
                connections: &self.high.connections,
                retries: &self.high.retries,
            },
        }
    }
}

/// Running totals with one cell per worker. **A worker writes only its own cell**, without a locked instruction; whoever
/// reads sums them up.
#[derive(Debug)]
pub struct Sharded {
    cells: Box<[Padded<Traffic>]>,
}

/// One worker's totals since the start.
#[derive(Debug, Default)]
pub struct Traffic {
    started: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    /// What outlier detection compares, where there is any: see [`Tally`].
    answers: AtomicU64,
    errors: AtomicU64,
    attempts: AtomicU64,
    failures: AtomicU64,
    timed: AtomicU64,
    micros: AtomicU64,
}

/// Totals of all workers since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Requests begun.
    pub started: u64,
    /// Requests answered without error.
    pub succeeded: u64,
    /// Requests that failed: a 5xx status, a gRPC error status that means the server's fault, or no answer.
    pub failed: u64,
    /// Requests turned away before an endpoint was chosen; not among the started ones.
    pub refused: u64,
}

impl Totals {
    /// What was added since `earlier`, which must be of the same counters.
    pub fn since(self, earlier: Totals) -> Totals {
        Totals {
            started: self.started.saturating_sub(earlier.started),
            succeeded: self.succeeded.saturating_sub(earlier.succeeded),
            failed: self.failed.saturating_sub(earlier.failed),
            refused: self.refused.saturating_sub(earlier.refused),
        }
    }
}

impl Sharded {
    /// Cells for this many workers, at least one.
    pub fn new(workers: usize) -> Self {
        Self { cells: (0..workers.max(1)).map(|_| Padded::default()).collect() }
    }

    /// The cell of a worker, which alone may write it.
    pub fn of(&self, worker: usize) -> &Traffic {
        &self.cells[worker % self.cells.len()]
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        self.cells.iter().fold(Totals::default(), |sum, cell| Totals {
            started: sum.started + cell.started.load(Relaxed),
            succeeded: sum.succeeded + cell.succeeded.load(Relaxed),
            failed: sum.failed + cell.failed.load(Relaxed),
            refused: sum.refused + cell.refused.load(Relaxed),
        })
    }
}

impl Sharded {
    /// The sums of what outlier detection compares.
    pub fn tally(&self) -> Tally {
        self.cells.iter().fold(Tally::default(), |sum, cell| Tally {
            answers: sum.answers + cell.answers.load(Relaxed),
            errors: sum.errors + cell.errors.load(Relaxed),
            attempts: sum.attempts + cell.attempts.load(Relaxed),
            failures: sum.failures + cell.failures.load(Relaxed),
            timed: sum.timed + cell.timed.load(Relaxed),
            micros: sum.micros + cell.micros.load(Relaxed),
        })
    }
}

impl Traffic {
    /// What an attempt came to, as [`weir_decide::outlier::tallied`] has it, and how long its answer took.
    fn tally(&self, (answer, attempt): (Option<bool>, Option<bool>), waited: Option<Duration>) {
        if let Some(error) = answer {
            add_one(&self.answers);
            if error {
                add_one(&self.errors);
            }
        }
        if let Some(failure) = attempt {
            add_one(&self.attempts);
            if failure {
                add_one(&self.failures);
            }
        }
        if let Some(waited) = waited {
            add_one(&self.timed);
            let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
            self.micros.store(self.micros.load(Relaxed).wrapping_add(micros), Relaxed);
        }
    }

    /// A request begins.
    pub fn start(&self) {
        add_one(&self.started);
    }

    /// A request that began ends.
    pub fn end(&self, success: bool) {
        add_one(if success { &self.succeeded } else { &self.failed });
    }

    /// A request is turned away.
    pub fn refuse(&self) {
        add_one(&self.refused);
    }
}

/// A load and a store instead of a locked addition: there is one writer.
fn add_one(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

/// When something was used last, in whole seconds, written by whoever uses it.
#[derive(Debug, Default)]
pub struct LastUse(AtomicU32);

impl LastUse {
    /// Used at `now`. A store only if a later second has begun, so that the cache line stays shared between workers.
    pub fn touch(&self, now: Time) {
        let second = seconds(now);
        if self.0.load(Relaxed) < second {
            self.0.store(second, Relaxed);
        }
    }

    /// The second of the last use, on the scale of [`seconds`].
    pub fn second(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// A time in whole seconds; saturates after 136 years.
pub fn seconds(time: Time) -> u32 {
    u32::try_from(time.0 / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
