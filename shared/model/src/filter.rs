//! What is done with a request beside sending it somewhere: limited, broken on purpose, checked for its origin.
//!
//! Each of these is what Envoy calls an HTTP filter. A listener may have one for all its requests, a virtual host another one for its
//! routes, and a route one of its own: the most specific counts, and an empty one means that there is none.

use crate::{Fraction, HeaderMatch, HeaderName, StringMatch};
use http::{Method, StatusCode};
use std::time::Duration;

/// The filters of a listener, a virtual host or a route. What is absent is as the next wider one says.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Filters {
    /// How many requests are taken.
    pub limits: Option<RateLimits>,
    /// Which requests fail or wait on purpose.
    pub fault: Option<Fault>,
    /// Which other origins may read the answers.
    pub cors: Option<Cors>,
    /// How large a request's body may be.
    pub body: Option<BodyLimit>,
}

/// How large a request's body may be; a larger one is refused (413), at once where its length is said beforehand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BodyLimit {
    /// As large as it is.
    Off,
    /// So many bytes, at least 1.
    Bytes(u32),
}

impl Filters {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Limits on the rate of requests, for the whole sidecar. A request that exceeds one of them is turned away.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RateLimits {
    /// What is said to the caller and to people: Envoy's `stat_prefix`. Empty where there are no limits, and only there.
    pub name: String,
    /// On all requests together.
    pub all: Option<TokenBucket>,
    /// On requests that have something in common, one for each thing; each must let a request through.
    pub keyed: Vec<KeyedLimit>,
    /// What a request that exceeds one is answered with.
    pub status: StatusCode,
    /// Whether callers of gRPC are told `RESOURCE_EXHAUSTED` instead of `UNAVAILABLE`.
    pub exhausted: bool,
    /// Whether all routes of a virtual host with these limits count together, as the matches of one rule do. Envoy counts each by itself.
    pub shared: bool,
}

impl Default for RateLimits {
    /// None at all.
    fn default() -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self { name: String::new(), all: None, keyed: Vec::new(), status, exhausted: false, shared: false }
    }
}

impl RateLimits {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.keyed.is_empty()
    }
}

/// A bucket for every value of something in the request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KeyedLimit {
    /// What of a request is looked at; without it, a request is not limited by this.
    pub key: LimitKey,
    /// For each value of its own.
    pub bucket: TokenBucket,
}

/// What requests that share a bucket have in common.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum LimitKey {
    /// The value of a header field.
    Header(HeaderName),
    /// The address the connection comes from, without its port.
    SourceAddress,
}

/// So many requests in an interval, and at most so many at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TokenBucket {
    /// Requests that may come at once after a pause, at least 1.
    pub burst: u32,
    /// Requests that are added in each interval, at least 1.
    pub requests: u32,
    /// The interval, longer than nothing.
    pub interval: Duration,
}

/// Requests that are delayed or aborted on purpose, to see what callers make of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Fault {
    /// Only requests with all of these header fields; all if empty.
    pub headers: Vec<HeaderMatch>,
    /// Some of them wait before they go on.
    pub delay: Option<Delay>,
    /// Some of them are answered here; after the delay, if they had one.
    pub abort: Option<Abort>,
}

/// Some requests wait.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Delay {
    /// How long.
    pub duration: Duration,
    /// Which share of the requests.
    pub fraction: Fraction,
}

/// Some requests are answered as if the upstream had failed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Abort {
    /// With what.
    pub answer: AbortAnswer,
    /// Which share of the requests.
    pub fraction: Fraction,
}

/// What an aborted request is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AbortAnswer {
    /// This status.
    Http(StatusCode),
    /// This status of gRPC; callers that do not speak it get the status of HTTP that is closest.
    Grpc(u8),
}

/// Which pages of other origins may read the answers (Fetch standard, "CORS protocol"). Without origins, it is off.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Cors {
    /// Which origins, any of them; an exact `*` is every one.
    pub origins: Vec<StringMatch>,
    /// Methods that may be used; an empty list says nothing of them, and `*` is every one.
    pub methods: Vec<Method>,
    /// Request header fields that may be used; `*` is every one.
    pub headers: Vec<HeaderName>,
    /// Response header fields that may be read; `*` is every one.
    pub expose: Vec<HeaderName>,
    /// How long the answer to a preflight may be remembered.
    pub max_age: Option<Duration>,
    /// Whether cookies and the like may come along.
    pub credentials: bool,
}
