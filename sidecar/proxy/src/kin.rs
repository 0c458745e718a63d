//! Which requests belong together: those of one trace, the ones that come in and the ones that go out on their behalf. What is said against
//! retries on one side holds on the other (`weir_decide::storm`), without the application's help but for its handing on the trace context.
//!
//! One table for the whole sidecar, of 4 096 words and never more (32 KiB). Workers read and write it with single relaxed operations;
//! where two of them race for a word, one mark is lost, which costs a retry.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use weir_config::Padded;
use weir_decide::storm::trace::{Mark, Marks, SETS, TraceKey, WAYS};
use weir_decide::storm::{self, Reason, trace};
use weir_model::{Forwarded, Time};
use weir_telemetry::context;

use crate::exchange::{Exchange, Source};
use crate::timer::now;

/// How often a mark is tried to be put where others are put at the same time.
const TRIES: usize = 4;
/// How exactly the time of the last mark is kept, so that it is written a few times a second and no more.
const SLACK: Duration = Duration::from_millis(250);

/// What is said about traces in one sidecar. All its workers share it.
#[derive(Debug)]
pub struct Kin {
    seed: u64,
    /// Until when any mark holds, in nanoseconds: before the first retry, and when all is well, nothing else is looked at.
    until: Padded<AtomicU64>,
    sets: Box<[Padded<[AtomicU64; WAYS]>]>,
}

impl Kin {
    /// With nothing said. `seed` is a secret of this process.
    pub fn new(seed: u64) -> Kin {
        let sets = (0..SETS).map(|_| Padded(std::array::from_fn(|_| AtomicU64::new(0)))).collect();
        Kin { seed, until: Padded::default(), sets }
    }

    fn put(&self, key: TraceKey, mark: Mark, now: Time) {
        let until = now + trace::AGE;
        if self.until.load(Relaxed) < until.0 {
            self.until.store((until + SLACK).0, Relaxed);
        }
        let set = &self.sets[key.set()];
        for _ in 0..TRIES {
            let words = std::array::from_fn(|way| set[way].load(Relaxed));
            let (way, word) = trace::place(&words, key, mark, now);
            if set[way].compare_exchange(words[way], word, Relaxed, Relaxed).is_ok() {
                return;
            }
        }
    }

    fn find(&self, key: TraceKey, now: Time) -> Marks {
        if self.until.load(Relaxed) <= now.0 {
            return Marks::default();
        }
        trace::find(self.sets[key.set()].iter().map(|word| word.load(Relaxed)), key, now)
    }
}

/// A request has come. One that comes in as a further attempt marks its trace; one that goes out takes the mark, and hands it on.
pub(crate) fn enter(exchange: &mut Exchange, headers: &mut HeaderMap) {
    let kin = &exchange.downstream.worker.kin;
    let Some(trace) = context::trace_id(headers) else { return };
    let key = TraceKey::of(trace, kin.seed);
    if exchange.inbound() {
        if storm::is_further(headers) {
            kin.put(key, Mark::Further, exchange.started);
        }
    } else if kin.find(key, exchange.started).further() && !storm::is_further(headers) {
        storm::mark(headers, 2);
    }
    exchange.trace = Some(key);
}

/// A response goes back. One that is not to be retried says so to the application, and marks its trace; the application's failure takes the mark
/// on its way to the caller. Strangers at an edge are told nothing.
pub(crate) fn leave(exchange: &Exchange, response: &mut Response<Source>) {
    let headers = response.headers_mut();
    if let Some(reason) = exchange.against_retry() {
        storm::tell(headers, reason);
    }
    relate(exchange, response);
    if exchange.policy.as_ref().is_some_and(|policy| policy.forwarded != Forwarded::Pass) {
        response.headers_mut().remove(storm::NO_RETRY);
    }
}

fn relate(exchange: &Exchange, response: &mut Response<Source>) {
    let (status, headers) = (response.status(), response.headers_mut());
    let Some(key) = exchange.trace.filter(|_| fails(status, headers)) else { return };
    let kin = &exchange.downstream.worker.kin;
    match storm::told(headers) {
        Some(reason) if !exchange.inbound() => kin.put(key, Mark::Told(reason), now()),
        // What goes wrong between a sidecar and its application says nothing about those further on.
        None if exchange.inbound() && exchange.failure.is_none() => {
            if let Some(reason) = kin.find(key, exchange.latest).told() {
                storm::tell(headers, reason);
            }
        }
        Some(Reason::Spent | Reason::Overloaded) | None => {}
    }
}

/// Whether a response is one that callers try again.
fn fails(status: StatusCode, headers: &HeaderMap) -> bool {
    let grpc = || crate::respond::grpc_status(headers).is_some_and(|code| code != 0);
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || grpc()
}

#[cfg(test)]
mod tests;
