//! Listeners: where traffic enters.

use crate::{Fraction, RouteConfiguration};
use std::net::SocketAddr;

/// An address, or a name, where traffic enters (LDS).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listener {
    /// Its name: `inbound/ADDRESS`, `outbound/ADDRESS`, or for [`ListenerKind::Http`] without an address the authority that was asked for.
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
}

/// HTTP on a listener.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpListener {
    /// Where its routes come from.
    pub routes: RouteSource,
    /// Whether and how requests are traced; absent: contexts pass through untouched.
    pub tracing: Option<Tracing>,
    /// Whether each request is logged.
    pub access_log: bool,
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

/// Opaque bytes go to one cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TcpListener {
    /// A cluster that exists.
    pub cluster: String,
    /// Whether each connection is logged.
    pub access_log: bool,
}
