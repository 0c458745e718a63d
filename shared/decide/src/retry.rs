//! Whether and when to try again.
//!
//! **A request that may have had an effect is not repeated behind the caller's back.** It is sent again only if its method is
//! idempotent (RFC 9110 section 9.2.2), or the outcome proves that nothing was done, or the operator listed the status it was
//! answered with, which is the operator's word that repeating is safe. Whether the body can be sent again is the shell's to know.

use crate::circuit;
use http::{Method, StatusCode};
use std::time::Duration;
use weir_model::{Random, RetryBudget, RetryPolicy};

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The connection could not be made: nothing was sent.
    ConnectFailure,
    /// HTTP/2 REFUSED_STREAM, or GOAWAY before the stream was taken (RFC 9113 section 8.7): nothing was done.
    Refused,
    /// The connection or stream broke before response headers.
    Reset {
        /// Whether the connection had carried a request before: the peer may have closed it as idle in this very moment.
        reused: bool,
    },
    /// Response headers came, with this HTTP status, and with this gRPC status if the response is trailers-only.
    Status(StatusCode, Option<u8>),
    /// The attempt took longer than it may.
    Timeout,
}

/// Whether to try again, and if not, why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// After a back-off.
    Retry,
    /// The policy does not list this outcome; a success never is retried unless listed.
    NotListed,
    /// It may have had an effect, and its method is not idempotent.
    Unsafe,
    /// The policy's attempts are used up.
    Exhausted,
    /// The cluster's retry budget is used up.
    OverBudget,
}

/// Decides on one outcome.
///
/// `retries` is how many the request has had so far, 0 after its first attempt. `active_requests` and `active_retries` are the
/// cluster's, for the whole sidecar; a retry that would be the next one is not yet counted.
///
/// A timeout of one attempt counts as a 504 of this sidecar's own, so it is retried where the policy lists 504 and the method is
/// idempotent. A reset on a reused connection is retried for idempotent methods also where only connect failures are listed: a
/// pooled connection that turns out dead is a connection that could not be made.
pub fn should_retry(
    policy: &RetryPolicy,
    outcome: &Outcome,
    method: &Method,
    retries: u32,
    active_requests: u32,
    active_retries: u32,
    budget: &RetryBudget,
) -> Verdict {
    let on = &policy.on;
    let (listed, safe) = match outcome {
        Outcome::ConnectFailure => (on.connect_failure, true),
        Outcome::Refused => (on.refused_stream, true),
        Outcome::Reset { reused } => (on.reset || (*reused && on.connect_failure), idempotent(method)),
        Outcome::Timeout => (on.statuses.contains(&StatusCode::GATEWAY_TIMEOUT), idempotent(method)),
        Outcome::Status(status, grpc) => {
            (on.statuses.contains(status) || grpc.is_some_and(|code| on.grpc.contains(&code)), true)
        }
    };
    match () {
        () if !listed => Verdict::NotListed,
        () if !safe => Verdict::Unsafe,
        () if retries >= policy.attempts => Verdict::Exhausted,
        () if active_retries >= circuit::retry_allowance(active_requests, budget) => Verdict::OverBudget,
        () => Verdict::Retry,
    }
}

/// How long to wait before the retry that follows `retries` earlier ones: anything up to the base, doubled for each of them, and
/// never beyond the maximum (full jitter). Zero where the base is.
pub fn backoff(policy: &RetryPolicy, retries: u32, random: &mut Random) -> Duration {
    let factor = 1u32.checked_shl(retries).unwrap_or(u32::MAX);
    let bound = policy.backoff_base.saturating_mul(factor).min(policy.backoff_max);
    let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random.below(nanos.saturating_add(1)))
}

/// Whether a method may be repeated without further effect (RFC 9110 section 9.2.2).
pub fn idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}

#[cfg(test)]
mod tests;
