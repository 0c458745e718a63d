//! Listeners: where traffic enters.

use crate::access_log::AccessLog;
use crate::{FilterChains, Fraction, RouteConfiguration, TcpListener};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// An address, or a name, where traffic enters (LDS).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listener {
    /// Its name: `inbound/ADDRESS`, `outbound/ADDRESS`, or without an address the authority that was asked for.
    pub name: String,
    /// Where it listens; absent for a listener that a client asks for by name (xDS `api_listener`).
    pub address: Option<SocketAddr>,
    /// Towards the application or away from it.
    pub direction: Direction,
    /// What is spoken.
    pub kind: ListenerKind,
}

/// Towards the application or away from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// From the mesh to the application beside the sidecar.
    Inbound,
    /// From the application to the mesh.
    Outbound,
}

/// What a listener speaks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ListenerKind {
    /// HTTP/1.1 and HTTP/2, told apart by the connection's first bytes.
    Http(HttpListener),
    /// Bytes.
    Tcp(TcpListener),
    /// One or the other, by what is known of a connection.
    Chains(Box<FilterChains>),
}

/// HTTP on a listener.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpListener {
    /// Where its routes come from.
    pub routes: RouteSource,
    /// Whether and how requests are traced; absent: contexts pass through untouched.
    pub tracing: Option<Tracing>,
    /// How each request is logged, if it is.
    pub access_log: Option<Arc<AccessLog>>,
    /// What is done with its requests besides, where neither their route nor its virtual host says otherwise.
    pub filters: Option<Box<crate::Filters>>,
    /// The form in which paths are matched and sent on.
    pub paths: Paths,
    /// What is believed and told about who asks.
    pub forwarded: Forwarded,
    /// What becomes of connections that turn out not to speak HTTP; absent: they are taken for bad HTTP.
    pub detection: Option<Box<Detection>>,
    /// How long its connections, and requests whose route does not say, may take, and how much of them is taken.
    pub limits: HttpLimits,
    /// What it makes of HTTP besides; nothing if absent.
    pub manner: Option<Arc<crate::Manner>>,
}

/// How long connections and requests of a listener may take, and how much of them is taken; no limit where absent, but those of
/// [`crate::limits`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct HttpLimits {
    /// As [`crate::Timeouts::idle`], where the route says nothing.
    pub stream_idle: Option<Duration>,
    /// As [`crate::Timeouts::stream`], where the route says nothing.
    pub stream: Option<Duration>,
    /// How long a connection may stay without a request.
    pub idle: Option<Duration>,
    /// How long a connection is used: after it, what is under way ends in order, and the caller makes another one.
    pub connection: Option<Duration>,
    /// How long a head may take to come.
    pub head: Option<Duration>,
    /// Bytes of a request's head.
    pub head_bytes: Option<u32>,
    /// Fields of a request's head.
    pub head_fields: Option<u32>,
    /// Requests of one connection: with the last of them it ends in order.
    pub requests: Option<u32>,
    /// Streams of one HTTP/2 connection at the same time.
    pub streams: Option<u32>,
    /// What may be sent on one stream of HTTP/2 before it is told to go on, in bytes.
    pub stream_window: Option<u32>,
    /// The same for all streams of a connection.
    pub connection_window: Option<u32>,
}

/// A listener that finds out what is spoken.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Detection {
    /// Where everything that is not HTTP goes.
    pub otherwise: TcpListener,
    /// How long a client may say nothing before its connection is taken for one whose server speaks first.
    pub wait: Duration,
}

/// The form in which paths are matched and sent on. The rules apply in this order, once, before routing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Paths {
    /// What becomes of `%2F` and `%5C`.
    pub escaped_slashes: EscapedSlashes,
    /// Whether segments of dots are resolved and backslashes are slashes (RFC 3986, and Envoy's `normalize_path`).
    pub normalize: bool,
    /// Whether slashes in a row are one.
    pub merge_slashes: bool,
}

impl Paths {
    /// As they come: Envoy's default.
    pub const NONE: Paths =
        Paths { escaped_slashes: EscapedSlashes::Keep, normalize: false, merge_slashes: false };
    /// Without dots and backslashes: what Istio calls `BASE` and has as its default, and weir's own listeners too.
    pub const BASE: Paths = Paths { normalize: true, ..Paths::NONE };
}

/// What becomes of an escaped slash or backslash in a path (Envoy's `path_with_escaped_slashes_action`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EscapedSlashes {
    /// It stays as it is.
    Keep,
    /// The request is refused (400).
    Reject,
    /// The caller is sent to the path with the slash (307).
    Redirect,
    /// It becomes the slash.
    Forward,
}

/// What is believed and told about who asks (`X-Forwarded-For`, `X-Forwarded-Proto`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Forwarded {
    /// Both pass as they come: a sidecar stands between an application and its own mesh, and neither adds hops nor trusts any.
    Pass,
    /// This is the edge (Envoy's `use_remote_address`): the peer's address is put behind those that came, and the scheme is
    /// the connection's.
    Edge {
        /// Proxies in front of this one; where there are any, their word about the scheme is taken.
        trusted_hops: u32,
        /// Whether the peer's address is put behind the others.
        append: bool,
    },
}

/// Where an HTTP listener's routes come from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RouteSource {
    /// The route discovery service, under this name.
    Rds(String),
    /// Written in the listener itself.
    Inline(RouteConfiguration),
}

/// Tracing of a listener's requests.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tracing {
    /// The share of requests without a caller's decision that are sampled.
    pub sampling: Fraction,
}
