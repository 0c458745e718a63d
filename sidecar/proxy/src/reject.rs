//! Why a request was not answered by an upstream, in the dimensions its readers need.
//!
//! The retry loop reads [`Kind::safety`], people read [`Kind::stage`] and [`Kind::side`], and [`crate::respond`] turns
//! the [`Kind`] into a status and a response flag. All dimensions follow from the kind, in one `match`.

use std::fmt;
use std::io;

/// A request that leaves without an upstream's answer.
#[derive(Debug)]
pub(crate) struct Reject {
    pub(crate) kind: Kind,
    /// Whether other attempts were made before this one.
    pub(crate) retried: bool,
}

/// Where on the path it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Http,
    Route,
    Limit,
    Balance,
    Pool,
    Upstream,
}

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Downstream,
    Upstream,
    Local,
}

/// Whether the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safety {
    /// No upstream has seen it.
    Always,
    /// An upstream may have seen it; that it has not is likely if the connection was used before.
    Reused,
    /// It would not help, or it is too late.
    Never,
}

/// A circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    Requests,
    Pending,
    Connections,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request cannot be routed at all: what is wrong with it.
    Malformed(&'static str),
    /// The head has too many fields.
    TooManyFields,
    /// The head is larger than its listener takes.
    HeadTooLarge,
    /// The body is larger than its route takes.
    BodyTooLarge,
    /// The listener has no configuration yet.
    NotConfigured,
    /// The control plane knows no such name.
    NoSuchName,
    /// The control plane did not say whether there is such a name: why.
    NameUnknown(&'static str),
    /// No route matches.
    NoRoute,
    /// Its route does not lead to where it could become a tunnel.
    NoTunnel,
    /// A limit on the rate of requests is reached: what it is answered with, and whether callers of gRPC are told that it is exhausted.
    RateLimited { status: http::StatusCode, exhausted: bool },
    /// It fails on purpose.
    Aborted(weir_model::AbortAnswer),
    /// The cluster has no endpoint that takes traffic.
    NoEndpoint,
    /// The control plane has its share of the cluster's requests dropped.
    Dropped,
    /// A circuit breaker is open.
    Overflow(Breaker),
    /// No connection could be made.
    ConnectFailed(io::ErrorKind),
    /// No connection was made in time.
    ConnectTimeout,
    /// The connection went away before the response; `reused` if it had served requests before.
    ConnectionLost { reused: bool },
    /// The upstream reset the stream before the response.
    StreamReset(h2::Reason),
    /// The upstream said that it has not begun the request (REFUSED_STREAM, GOAWAY).
    Refused,
    /// The upstream answered what is to be tried again, and may not be asked any more.
    Spent,
    /// The upstream broke the protocol.
    Protocol,
    /// The request took longer than its route allows, or than the caller's deadline.
    RequestTimeout,
    /// One attempt took longer than its route allows.
    AttemptTimeout,
    /// The stream was open for longer than its route allows.
    DurationTimeout,
    /// It did so before the request was whole.
    UnfinishedTimeout,
    /// Nothing moved for longer than its route allows.
    IdleTimeout,
    /// The caller took too long over its body.
    SlowRequest,
    /// The caller's body broke off.
    DownstreamLost,
    /// This sidecar ends before the stream does.
    Draining,
}

impl From<Kind> for Reject {
    fn from(kind: Kind) -> Reject {
        Reject { kind, retried: false }
    }
}

impl Kind {
    pub(crate) fn stage(&self) -> Stage {
        self.dimensions().0
    }

    pub(crate) fn side(&self) -> Side {
        self.dimensions().1
    }

    pub(crate) fn safety(&self) -> Safety {
        self.dimensions().2
    }

    fn dimensions(&self) -> (Stage, Side, Safety) {
        match self {
            Kind::Malformed(_) | Kind::TooManyFields | Kind::HeadTooLarge | Kind::BodyTooLarge => {
                (Stage::Http, Side::Downstream, Safety::Never)
            }
            Kind::NotConfigured | Kind::NameUnknown(_) => (Stage::Route, Side::Local, Safety::Never),
            Kind::RateLimited { .. } | Kind::Aborted(_) => (Stage::Limit, Side::Local, Safety::Never),
            Kind::NoSuchName | Kind::NoRoute | Kind::NoTunnel => {
                (Stage::Route, Side::Downstream, Safety::Never)
            }
            Kind::NoEndpoint => (Stage::Balance, Side::Upstream, Safety::Never),
            Kind::Dropped => (Stage::Balance, Side::Local, Safety::Never),
            Kind::Overflow(_) => (Stage::Pool, Side::Local, Safety::Never),
            Kind::ConnectFailed(_) | Kind::ConnectTimeout => (Stage::Pool, Side::Upstream, Safety::Always),
            Kind::ConnectionLost { .. } | Kind::StreamReset(_) => {
                (Stage::Upstream, Side::Upstream, Safety::Reused)
            }
            Kind::Refused => (Stage::Upstream, Side::Upstream, Safety::Always),
            Kind::Protocol | Kind::Spent => (Stage::Upstream, Side::Upstream, Safety::Never),
            Kind::RequestTimeout | Kind::DurationTimeout | Kind::UnfinishedTimeout | Kind::IdleTimeout => {
                (Stage::Upstream, Side::Upstream, Safety::Never)
            }
            Kind::AttemptTimeout => (Stage::Upstream, Side::Upstream, Safety::Reused),
            Kind::DownstreamLost | Kind::SlowRequest => (Stage::Http, Side::Downstream, Safety::Never),
            Kind::Draining => (Stage::Http, Side::Local, Safety::Never),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Malformed(what) => write!(f, "malformed request: {what}"),
            Kind::TooManyFields => f.write_str("the request has too many header fields"),
            Kind::HeadTooLarge => f.write_str("the request's head is too large"),
            Kind::BodyTooLarge => f.write_str("the request's body is too large"),
            Kind::NotConfigured => f.write_str("this listener has no configuration yet"),
            Kind::NoSuchName => f.write_str("no service has this name"),
            Kind::NameUnknown(why) => write!(f, "cannot tell whether a service has this name: {why}"),
            Kind::NoRoute => f.write_str("no route matches"),
            Kind::NoTunnel => f.write_str("this protocol is not spoken here"),
            Kind::RateLimited { .. } => f.write_str("too many requests: rate limit reached"),
            Kind::Aborted(_) => f.write_str("aborted on purpose (fault injection)"),
            Kind::NoEndpoint => f.write_str("no healthy upstream"),
            Kind::Dropped => f.write_str("dropped: the cluster is overloaded"),
            Kind::Overflow(Breaker::Requests) => f.write_str("circuit breaker open: too many requests"),
            Kind::Overflow(Breaker::Pending) => {
                f.write_str("circuit breaker open: too many requests wait for a connection")
            }
            Kind::Overflow(Breaker::Connections) => f.write_str("circuit breaker open: too many connections"),
            Kind::ConnectFailed(kind) => write!(f, "cannot connect to the upstream: {kind}"),
            Kind::ConnectTimeout => f.write_str("cannot connect to the upstream: timeout"),
            Kind::ConnectionLost { .. } => {
                f.write_str("the upstream closed the connection before its response")
            }
            Kind::StreamReset(reason) => {
                write!(f, "the upstream reset the stream before its response: {reason}")
            }
            Kind::Refused => f.write_str("the upstream refused the request"),
            Kind::Spent => f.write_str("the upstream answered what is to be tried again, in vain"),
            Kind::Protocol => f.write_str("the upstream broke the protocol"),
            Kind::RequestTimeout => f.write_str("request timeout"),
            Kind::AttemptTimeout => f.write_str("upstream request timeout"),
            Kind::DurationTimeout => f.write_str("downstream duration timeout"),
            Kind::UnfinishedTimeout => {
                f.write_str("downstream duration timeout, before the request was whole")
            }
            Kind::IdleTimeout => f.write_str("idle timeout"),
            Kind::SlowRequest => f.write_str("the request took too long to come"),
            Kind::DownstreamLost => f.write_str("the request body broke off"),
            Kind::Draining => f.write_str("the sidecar is ending"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
