//! Whether and when to try again.
//!
//! **A request that may have had an effect is not repeated behind the caller's back.** It is sent again only if its method is
//! idempotent (RFC 9110 section 9.2.2), or the outcome proves that nothing was done, or the operator listed the status it was
//! answered with, which is the operator's word that repeating is safe. Whether the body can be sent again is the shell's to know.

use crate::circuit;
use crate::route::{AnyField, FieldCompiler, RouteError};
use crate::storm;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use std::time::{Duration, SystemTime};
use weir_model::{AskedWait, Random, ResetFormat, RetryBudget, RetryPolicy};

/// In a response: it comes of a rate limit (Envoy's own word for it).
const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A policy with its conditions compiled. Immutable; shared by all workers.
#[derive(Debug)]
pub struct Retry {
    policy: RetryPolicy,
    requests: AnyField,
    responses: AnyField,
}

impl Retry {
    /// Compiles a policy's conditions.
    ///
    /// # Errors
    ///
    /// With the first regular expression that cannot be compiled; the field is named as in Envoy's `RetryPolicy`.
    pub fn compile(policy: &RetryPolicy, compiler: &mut FieldCompiler) -> Result<Self, RouteError> {
        Ok(Self {
            requests: compiler.any(&policy.requests, "retriable_request_headers")?,
            responses: compiler.any(&policy.on.headers, "retriable_headers")?,
            policy: policy.clone(),
        })
    }

    /// As configured.
    pub fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Whether requests with these header fields may be retried at all.
    pub fn takes(&self, request: &HeaderMap) -> bool {
        self.policy.attempts > 0 && (self.requests.is_empty() || self.requests.holds(request))
    }

    /// Whether the same request could be wanted again after it was written to an upstream.
    pub fn may_repeat(&self, method: &Method, http2: bool) -> bool {
        let on = &self.policy.on;
        let answered =
            !on.statuses.is_empty() || !on.grpc.is_empty() || !on.headers.is_empty() || on.rate_limited;
        answered
            || (http2 && (on.refused_stream || on.reset))
            || ((on.reset || on.connect_failure) && idempotent(method))
    }

    /// Whether the policy lists a response.
    pub fn lists(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let on = &self.policy.on;
        // The usual case first: nothing is listed that this could be.
        let by_header = !self.responses.is_empty() && self.responses.holds(headers);
        let by_grpc = || {
            let code = headers.get(GRPC_STATUS)?.to_str().ok()?.parse::<u8>().ok()?;
            Some(on.grpc.contains(&code))
        };
        let by_status = !on.statuses.is_empty() && on.statuses.binary_search(&status).is_ok();
        let listed = by_status || by_header || (!on.grpc.is_empty() && by_grpc() == Some(true));
        let concerned = listed || on.rate_limited;
        if concerned && headers.contains_key(RATE_LIMITED) { on.rate_limited } else { listed }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The connection could not be made: nothing was sent.
    ConnectFailure,
    /// HTTP/2 REFUSED_STREAM, or GOAWAY before the stream was taken (RFC 9113 section 8.7): nothing was done.
    Refused,
    /// The connection or stream broke before response headers.
    Reset {
        /// Whether the connection had carried a request before: the peer may have closed it as idle in this very moment.
        reused: bool,
    },
    /// Response headers came.
    Response(StatusCode, &'a HeaderMap),
    /// The attempt took longer than it may.
    Timeout,
    /// The attempt takes longer than it may and goes on, and another one is wanted beside it.
    Overtaken,
}

impl Outcome<'_> {
    /// Whether nothing was done, so that trying elsewhere asks no more of anybody.
    pub fn is_free(&self) -> bool {
        matches!(self, Outcome::ConnectFailure | Outcome::Reset { reused: true })
    }
}

/// What is known of the request itself.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// How many retries it has had so far, 0 after its first attempt.
    pub retries: u32,
    /// Its fields, which say whether it came as somebody else's further attempt ([`storm::is_further`]). Absent where it did not for sure.
    pub headers: Option<&'a HeaderMap>,
}

/// What is under way in the cluster, for the whole sidecar. A retry that would be the next one is not yet counted.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests in flight.
    pub requests: u32,
    /// Retries in flight, those of other requests.
    pub retries: u32,
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
    /// It is a further attempt of somebody above, who decides.
    Further,
    /// The response says that it is not to be retried.
    Told,
    /// The policy's attempts are used up.
    Exhausted,
    /// The cluster's retry budget is used up.
    OverBudget,
}

impl Verdict {
    /// Whether those above are told that this response is not to be retried.
    pub fn is_spent(self) -> bool {
        matches!(self, Verdict::Exhausted | Verdict::OverBudget | Verdict::Told)
    }
}

/// Decides on one outcome.
///
/// What has no answer at all counts as a reset: where resets are retried, so are attempts that took too long, connections that could
/// not be made and streams that were refused. A reset on a reused
/// connection is retried for idempotent methods also where only connect failures are listed: a pooled connection that turns out
/// dead is a connection that could not be made. A response that comes of a rate limit is retried only where that is listed.
pub fn should_retry(
    retry: &Retry,
    outcome: &Outcome<'_>,
    request: &Request<'_>,
    load: Load,
    budget: &RetryBudget,
) -> Verdict {
    let on = &retry.policy.on;
    let (listed, safe) = match outcome {
        Outcome::ConnectFailure => (on.connect_failure || on.reset, true),
        Outcome::Refused => (on.refused_stream || on.reset, true),
        Outcome::Reset { reused } => {
            (on.reset || (*reused && on.connect_failure), idempotent(request.method))
        }
        Outcome::Timeout => (on.reset, idempotent(request.method)),
        Outcome::Overtaken => (retry.policy.hedge, idempotent(request.method)),
        Outcome::Response(status, headers) => (retry.lists(*status, headers), true),
    };
    let further = || !outcome.is_free() && request.headers.is_some_and(storm::is_further);
    let told = matches!(outcome, Outcome::Response(_, headers) if storm::told(headers).is_some());
    match () {
        () if !listed => Verdict::NotListed,
        () if !safe => Verdict::Unsafe,
        () if further() => Verdict::Further,
        () if told => Verdict::Told,
        () if request.retries >= retry.policy.attempts => Verdict::Exhausted,
        () if load.retries >= circuit::retry_allowance(load.requests, budget) => Verdict::OverBudget,
        () => Verdict::Retry,
    }
}

/// How long to wait before the retry that follows `retries` earlier ones.
///
/// What the response asks for counts first: the first field that holds a number or an HTTP date, as far as the policy grants it, and up to half
/// as much again, so that those who were turned away together do not come back together. Else it is anything up to the
/// policy's base, doubled for each earlier retry, and never beyond its maximum (full jitter). `unix` is the wall clock in seconds.
pub fn pause(
    policy: &RetryPolicy,
    retries: u32,
    response: Option<&HeaderMap>,
    unix: u64,
    random: &mut Random,
) -> Duration {
    let asked = policy.asked.as_ref().zip(response).and_then(|(asked, headers)| wait(asked, headers, unix));
    if let Some(asked) = asked {
        return asked + below(asked / 2, random);
    }
    let factor = 1u32.checked_shl(retries).unwrap_or(u32::MAX);
    below(policy.backoff_base.saturating_mul(factor).min(policy.backoff_max), random)
}

fn wait(asked: &AskedWait, headers: &HeaderMap, unix: u64) -> Option<Duration> {
    asked.fields.iter().find_map(|(name, format)| {
        let text = headers.get(name)?.to_str().ok()?.trim();
        let seconds = match (text.parse::<u64>(), format) {
            (Ok(number), ResetFormat::Seconds) => number,
            (Ok(number), ResetFormat::UnixTimestamp) => number.checked_sub(unix)?,
            // In all three of its forms (RFC 9110 sections 5.6.7 and 10.2.3).
            (Err(_), _) => {
                let date = httpdate::parse_http_date(text).ok()?;
                date.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs().checked_sub(unix)?
            }
        };
        Some(Duration::from_secs(seconds)).filter(|wait| *wait <= asked.max)
    })
}

/// Anything up to a bound.
fn below(bound: Duration, random: &mut Random) -> Duration {
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
