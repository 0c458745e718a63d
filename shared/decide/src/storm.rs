//! What the hops of a chain of calls tell each other about retries, so that they do not multiply.
//!
//! A backend that fails at the end of a chain of four callers, each of which tries three times, would be asked 81 times. Two header fields keep
//! it to what one of the callers makes of it:
//!
//! - **[`ATTEMPT`] in a request** says that it is a further attempt. Whoever gets it makes no further attempts of its own, but where no work
//!   was done: the caller above has them.
//! - **[`NO_RETRY`] in a response** says that it was tried again below already, in vain, or that a whole cluster is overloaded. Whoever gets it
//!   does not try again: the retry has been had.
//!
//! So of all the callers only the lowest that is able to retry does it, within its own budget.
//!
//! Between a sidecar and the next lies an application. It hands on its trace context, by which its sidecar knows which requests belong together
//! ([`trace`]); where there is none it has to hand both fields on in the same way: [`ATTEMPT`] from the request it serves to those it makes,
//! [`NO_RETRY`] from a response it fails with to its own.
//!
//! Both only ever take retries away, and only from who sends them or asks whom, so nothing is gained by forging them; a field that makes no
//! sense says nothing.

pub mod trace;

use http::{HeaderMap, HeaderName, HeaderValue};

/// In a request: which attempt it is, from 1. From 2 on nobody below makes further ones.
pub const ATTEMPT: HeaderName = HeaderName::from_static("x-weir-attempt");

/// In a response: why it is not to be retried, as one of the words of [`Reason`].
pub const NO_RETRY: HeaderName = HeaderName::from_static("x-weir-no-retry");

/// Why a response is not to be retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It was tried again in vain, or there was no budget for it.
    Spent,
    /// A circuit breaker is open: more requests are what it needs least.
    Overloaded,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 2] = [Reason::Spent, Reason::Overloaded];

    /// As it stands in [`NO_RETRY`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Spent => "spent",
            Reason::Overloaded => "overloaded",
        }
    }
}

/// Whether a request is a further attempt of somebody above.
pub fn is_further(request: &HeaderMap) -> bool {
    let attempt = request.get(ATTEMPT).and_then(|value| value.to_str().ok());
    attempt.and_then(|text| text.parse::<u32>().ok()).is_some_and(|attempt| attempt > 1)
}

/// Says of a request which attempt it is, from 1.
pub fn mark(request: &mut HeaderMap, attempt: u32) {
    let _full = request.try_insert(ATTEMPT, HeaderValue::from(attempt));
}

/// What a response says against being retried.
pub fn told(response: &HeaderMap) -> Option<Reason> {
    let word = response.get(NO_RETRY)?;
    Reason::ALL.into_iter().find(|reason| reason.as_str() == word)
}

/// Says of a response that it is not to be retried.
pub fn tell(response: &mut HeaderMap, reason: Reason) {
    let _full = response.try_insert(NO_RETRY, HeaderValue::from_static(reason.as_str()));
}

#[cfg(test)]
mod tests;
