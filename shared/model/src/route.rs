//! Routes: which requests, and what happens to them.

mod conditions;
mod headers;
mod options;
mod rewrite;

use crate::limits;
pub use conditions::{CookieCondition, FieldCondition, MoreConditions, ValueCondition};
pub use headers::{EditAction, EditValue, HeaderChanges, HeaderEdit, HeaderEdits, HeaderMutation};
use http::{Method, StatusCode};
pub use options::{HostOptions, RoutesOptions};
pub use rewrite::{HostRewrite, HostSource, PathRewrite, Rewrite, Substitution};
use std::time::Duration;

/// A header field's name (lower case).
pub type HeaderName = http::HeaderName;
/// A header field's value.
pub type HeaderValue = http::HeaderValue;

/// A set of virtual hosts (RDS).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RouteConfiguration {
    /// Its name: `outbound/NAMESPACE/SERVICE:PORT`, `outbound` for all services of an Envoy.
    pub name: String,
    /// Looked up by authority: exact before wildcard, longest first.
    pub virtual_hosts: Vec<VirtualHost>,
    /// What few say besides.
    pub options: Option<Box<RoutesOptions>>,
}

/// A set of authorities which share routes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct VirtualHost {
    /// Unique within its route configuration.
    pub name: String,
    /// `host`, `host:port`, `*suffix`, `prefix*`, or `*`; lower case.
    pub domains: Vec<String>,
    /// The first that matches wins; the compiler put them in order of precedence.
    pub routes: Vec<Route>,
    /// What is done with the requests of its routes besides.
    pub filters: Option<Box<crate::Filters>>,
    /// What few say besides.
    pub options: Option<Box<HostOptions>>,
}

/// A match and what happens to a request that matches.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Route {
    /// Where it comes from, for people, spans and `explain`: `HTTPRoute NAMESPACE/NAME rule 0 match 1`.
    pub name: String,
    /// What metrics count its requests under, by the name if empty: `HTTPRoute NAMESPACE/NAME`. Many routes share one, since each costs
    /// a time series (Envoy's `Route.stat_prefix`).
    pub stat_prefix: String,
    /// Which requests.
    pub matches: RouteMatch,
    /// What happens.
    pub action: RouteAction,
    /// Applied to the request before it is sent on.
    pub request_headers: HeaderMutation,
    /// Applied to the response before it is returned.
    pub response_headers: HeaderMutation,
    /// What is done with its requests besides; before its virtual host's and its listener's.
    pub filters: Option<Box<crate::Filters>>,
}

/// All given conditions must hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RouteMatch {
    /// On the path without the query.
    pub path: PathMatch,
    /// On the method; any if absent.
    pub method: Option<Method>,
    /// On header fields, all of them.
    pub headers: Vec<HeaderMatch>,
    /// On query parameters (the first of each name, percent-decoded), all of them.
    pub query: Vec<QueryMatch>,
    /// Only this share of the requests that match otherwise; all if absent. One number decides for all routes of a request.
    pub fraction: Option<Fraction>,
    /// What few ask besides.
    pub more: Option<Box<MoreConditions>>,
}

/// A condition on the path.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PathMatch {
    /// The whole path, case sensitive.
    Exact(String),
    /// Whole segments: `/v2` matches `/v2` and `/v2/x`, not `/v2x`. `/` matches everything. Without trailing slash otherwise.
    Prefix(String),
    /// These characters and whatever follows: `/v2` matches `/v2x` too (Envoy's `prefix`; no policy says this).
    Characters(String),
    /// The whole path matches this expression (RE2 syntax).
    Regex(String),
}

impl Default for PathMatch {
    /// Every path.
    fn default() -> Self {
        PathMatch::Prefix("/".to_owned())
    }
}

/// A condition on a string.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum StringMatch {
    /// Equal.
    Exact(String),
    /// The whole value matches this expression (RE2 syntax).
    Regex(String),
    /// There, whatever it is.
    Present,
}

/// A condition on a header field. Of several fields of one name each is looked at alone, and one that fulfils it is enough.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HeaderMatch {
    /// The field.
    pub name: HeaderName,
    /// Its value.
    pub value: StringMatch,
}

/// A condition on a query parameter.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct QueryMatch {
    /// The parameter, case sensitive.
    pub name: String,
    /// Its value.
    pub value: StringMatch,
}

/// A share in parts per million.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fraction(pub u32);

/// What happens to a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all routes forward")]
pub enum RouteAction {
    /// It goes upstream.
    Forward(Forward),
    /// The caller is sent elsewhere.
    Redirect(Redirect),
    /// It is answered here.
    Direct(DirectResponse),
}

/// A request goes to one of several clusters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Forward {
    /// At least one, and the weights sum to at least 1 and at most `u32::MAX`.
    pub clusters: Vec<WeightedCluster>,
    /// Applied before sending on.
    pub rewrite: Rewrite,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// When to try again; never if absent.
    pub retry: Option<RetryPolicy>,
    /// Which circuit breakers count it.
    pub priority: Priority,
    /// What ties a caller to where it went before; nothing if absent.
    pub affinity: Option<Box<crate::Affinity>>,
    /// Where copies of its requests go.
    pub mirrors: Vec<crate::Mirror>,
    /// What answers where the clusters cannot; nothing if absent.
    pub fallback: Option<Box<crate::Fallback>>,
}

impl Forward {
    /// The clusters that it refers to, possibly several times.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let fallback = match self.fallback.as_deref() {
            Some(crate::Fallback::Cluster(cluster)) => Some(cluster.as_str()),
            Some(crate::Fallback::Direct(_)) | None => None,
        };
        let clusters = self.clusters.iter().map(|weighted| weighted.cluster.as_str());
        clusters.chain(self.mirrors.iter().map(|mirror| mirror.cluster.as_str())).chain(fallback)
    }
}

/// A cluster with its share.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WeightedCluster {
    /// A cluster that exists.
    pub cluster: String,
    /// Only its endpoints with these labels ([`crate::SubsetConfig`]); nothing asked for if absent.
    pub subset: Option<Box<crate::Labels>>,
    /// Its share of the sum; 0 gets nothing.
    pub weight: u32,
    /// Applied after the route's.
    pub request_headers: HeaderMutation,
    /// Applied before the route's.
    pub response_headers: HeaderMutation,
}

/// The caller is sent elsewhere (Gateway API `HTTPRequestRedirectFilter`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Redirect {
    /// `http` or `https`; the request's if absent.
    pub scheme: Option<String>,
    /// The request's if absent.
    pub host: Option<String>,
    /// If absent: none where a host is given; else the request's, unless it is the well-known one of the scheme that is left.
    pub port: Option<u16>,
    /// The request's if absent.
    pub path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// Whether the request's query is left out.
    pub strip_query: bool,
}

/// A request is answered here.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DirectResponse {
    /// The status.
    pub status: StatusCode,
    /// The body, at most 4096 bytes.
    pub body: String,
}

/// How long things may take; no limit where absent.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Timeouts {
    /// From the whole request received to the whole response sent, all attempts included. Streams that outlive it are reset.
    pub request: Option<Duration>,
    /// One attempt, up to the head of its response, from when it begins or the whole request was received, whichever is later.
    pub backend_request: Option<Duration>,
    /// Whether both of these begin with the request's head, and with the attempt, whatever of the request is still to come (Gateway API's
    /// GEP-1742); if not they do as Envoy's.
    pub from_head: bool,
    /// Between two bytes in either direction.
    pub idle: Option<Duration>,
    /// Of one attempt once the whole request was received, between two bytes in either direction.
    pub attempt_idle: Option<Duration>,
    /// From the request's head to the last byte of its response, whatever moves (Envoy's `max_stream_duration`).
    pub stream: Option<Duration>,
    /// What is made of a caller's `grpc-timeout`.
    pub grpc: GrpcTimeout,
}

/// What is made of a caller's `grpc-timeout`, which limits a gRPC request beside the route's own limits.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct GrpcTimeout {
    /// At most this; any if absent.
    pub max: Option<Duration>,
    /// Taken off, so that the answer is back before the caller gives up; not where nothing would be left.
    pub offset: Duration,
}

/// Which of a cluster's circuit breakers count a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Priority {
    /// Those of all others.
    #[default]
    Default,
    /// Those kept for few.
    High,
}

/// When to try again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RetryPolicy {
    /// Attempts beyond the first.
    pub attempts: u32,
    /// Which outcomes.
    pub on: RetryOn,
    /// The first back-off's upper bound; it doubles each time, with full jitter.
    pub backoff_base: Duration,
    /// The largest back-off.
    pub backoff_max: Duration,
    /// Waits that an upstream asks for itself, which take the place of the back-off.
    pub asked: Option<AskedWait>,
    /// Only requests with one of these header fields; all if empty.
    pub requests: Vec<HeaderMatch>,
    /// Whether an endpoint that was tried for a request is passed over while there are others (Envoy's `previous_hosts`).
    pub avoid_tried: bool,
    /// Whether an attempt that takes too long is left to go on beside the next one, and the first answer wins (Envoy's
    /// `hedge_on_per_try_timeout`). Only for idempotent methods.
    pub hedge: bool,
}

/// A wait that an upstream asks for in its response (Envoy's `rate_limited_retry_back_off`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AskedWait {
    /// The response fields that say so, in order: the first that is there and makes sense counts.
    pub fields: Vec<(HeaderName, ResetFormat)>,
    /// The longest wait that is granted; of a longer one the field is passed over.
    pub max: Duration,
}

/// What the number in a response field is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ResetFormat {
    /// Seconds from now, or an HTTP date (`Retry-After`).
    Seconds,
    /// A moment, in seconds of Unix time (`X-RateLimit-Reset`).
    UnixTimestamp,
}

impl AskedWait {
    /// `Retry-After`, up to a limit.
    pub fn retry_after(max: Duration) -> Self {
        Self { fields: vec![(http::header::RETRY_AFTER, ResetFormat::Seconds)], max }
    }
}

impl Default for RetryPolicy {
    /// Two more attempts where nothing can have happened upstream or happening twice does no harm, each at an endpoint that was not tried yet,
    /// and not before the upstream wants it.
    fn default() -> Self {
        let on = RetryOn { connect_failure: true, refused_stream: true, reset: true, ..RetryOn::default() };
        Self {
            attempts: 2,
            on,
            backoff_base: Duration::from_millis(25),
            backoff_max: Duration::from_millis(250),
            asked: Some(AskedWait::retry_after(limits::RETRY_AFTER)),
            requests: Vec::new(),
            avoid_tried: true,
            hedge: false,
        }
    }
}

/// Outcomes that are retried. A request that may have had an effect is retried only if its method is idempotent or the outcome proves that nothing was done.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RetryOn {
    /// The connection could not be made.
    pub connect_failure: bool,
    /// HTTP/2 REFUSED_STREAM, or GOAWAY before the stream was taken.
    pub refused_stream: bool,
    /// The connection broke before response headers, or the attempt took too long.
    pub reset: bool,
    /// These response statuses, in order.
    pub statuses: Vec<StatusCode>,
    /// These gRPC statuses in response headers (trailers-only), in order.
    pub grpc: Vec<u8>,
    /// Responses with one of these header fields.
    pub headers: Vec<HeaderMatch>,
    /// Responses that say they come of a rate limit (`x-envoy-ratelimited`). Without it they are never retried, whatever else is listed.
    pub rate_limited: bool,
}
