//! What a worker does with each outcome: errors in a row in one word, and how an outcome adds to an endpoint's totals.

use super::Reason;
use weir_model::OutlierDetection;

/// What an attempt says of its endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It answered: an HTTP status, or a gRPC status by [`http_status`].
    Status(u16),
    /// A connection could be made, which is all there is to know of opaque bytes.
    Connected,
    /// No connection could be made, or it broke off before the answer.
    Failed,
    /// It did not answer in time.
    TimedOut,
}

/// Errors in a row, packed: of each kind a number of a few bits, which stays at its largest. Zero: the last attempt was good.
pub type InARow = u64;

const BITS: u32 = 21;
pub(super) const MOST: u64 = (1 << BITS) - 1;
const SERVER_ERROR: u32 = 0;
pub(super) const GATEWAY: u32 = BITS;
const LOCAL: u32 = 2 * BITS;

/// Thresholds that errors in a row have just reached: a set as the shell keeps it in a word.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Suspicion(pub u32);

impl Suspicion {
    pub(super) fn of(reason: Reason) -> Self {
        Self(1 << reason as u32)
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The detectors, in order.
    pub fn reasons(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |reason| self.0 & Self::of(*reason).0 != 0)
    }
}

/// Errors in a row after one more outcome, and which thresholds it reached. Says so only once until the count starts anew.
pub fn count(before: InARow, outcome: Outcome, config: &OutlierDetection) -> (InARow, Suspicion) {
    let split = config.split_external_local_origin_errors;
    let status = match outcome {
        Outcome::Connected => return (0, Suspicion::default()),
        Outcome::Failed | Outcome::TimedOut if split => {
            let (after, reached) = add(before, LOCAL, config.consecutive_local_origin_failure);
            let suspicion = Suspicion::of(Reason::ConsecutiveLocalOriginFailure);
            return (after, if reached { suspicion } else { Suspicion::default() });
        }
        Outcome::Failed => 503,
        Outcome::TimedOut => 504,
        Outcome::Status(status) => status,
    };
    if !(500..=599).contains(&status) {
        return (0, Suspicion::default());
    }
    let mut suspicion = Suspicion::default();
    // It was reached.
    let mut after = clear(before, LOCAL);
    if matches!(status, 502..=504) {
        let (next, reached) = add(after, GATEWAY, config.consecutive_gateway_failure);
        after = next;
        if reached {
            suspicion.0 |= Suspicion::of(Reason::ConsecutiveGatewayFailure).0;
        }
    } else {
        after = clear(after, GATEWAY);
    }
    let (after, reached) = add(after, SERVER_ERROR, config.consecutive_5xx);
    if reached {
        suspicion.0 |= Suspicion::of(Reason::Consecutive5xx).0;
    }
    (after, suspicion)
}

fn add(word: InARow, shift: u32, threshold: u32) -> (InARow, bool) {
    let count = (word >> shift & MOST) + 1;
    if count > MOST {
        return (word, false);
    }
    (clear(word, shift) | count << shift, count == u64::from(threshold))
}

fn clear(word: InARow, shift: u32) -> InARow {
    word & !(MOST << shift)
}

/// What starts anew once a suspicion was dealt with, as a mask of an [`InARow`].
pub fn kept_after(suspicion: Suspicion) -> InARow {
    suspicion.reasons().fold(u64::MAX, |kept, reason| match reason {
        Reason::Consecutive5xx => clear(kept, SERVER_ERROR),
        Reason::ConsecutiveGatewayFailure => clear(kept, GATEWAY),
        Reason::ConsecutiveLocalOriginFailure => clear(kept, LOCAL),
        _ => kept,
    })
}

/// The HTTP status that a gRPC status counts as (the gRPC project's `http-grpc-status-mapping` the other way round, as Envoy has it).
pub fn http_status(grpc: u8) -> u16 {
    match grpc {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// How an outcome counts in a [`super::Tally`]: whether as an answer and, if so, an error; and the same as an attempt to reach it.
pub fn tallied(outcome: Outcome, config: &OutlierDetection) -> (Option<bool>, Option<bool>) {
    let split = config.split_external_local_origin_errors;
    match outcome {
        Outcome::Status(status) => (Some((500..=599).contains(&status)), split.then_some(false)),
        Outcome::Connected if split => (None, Some(false)),
        Outcome::Connected => (Some(false), None),
        Outcome::Failed | Outcome::TimedOut if split => (None, Some(true)),
        Outcome::Failed | Outcome::TimedOut => (Some(true), None),
    }
}
