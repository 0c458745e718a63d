//! Routes of connections that nobody reads.

use super::{BackendTarget, ParentRef};

/// Gateway API `TLSRoute` or `TCPRoute`, attached to services as HTTP routes are ([`super::HttpRoute::parents`]).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StreamRoute {
    /// The services it attaches to.
    pub parents: Vec<ParentRef>,
    /// Server names (`host` or `*.suffix`, in lower case) that it is for, the most specific of all routes first; every one if empty.
    pub hostnames: Vec<String>,
    /// Where connections go, by weight.
    pub backends: Vec<StreamBackend>,
    /// When it was first written, in milliseconds of Unix time; of routes for the same connections the oldest wins.
    pub created_millis: u64,
}

/// A weighted reference to a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamBackend {
    /// The service and port; of a reference that cannot be resolved its share of the connections is closed.
    pub target: BackendTarget,
    /// Its share; 0 gets nothing.
    pub weight: u32,
}
