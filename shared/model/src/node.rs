//! Nodes: the data planes that ask for configuration, and the workloads they join.

use crate::{Fraction, Locality};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// What a node can enforce.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    /// A weir sidecar.
    Weir,
    /// A stock Envoy.
    Envoy,
    /// A gRPC library in the application.
    Grpc,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Weir => "weir",
            Self::Envoy => "envoy",
            Self::Grpc => "grpc",
        })
    }
}

/// A data plane that asks for configuration. Nodes which differ only in `id` get the same configuration.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Node {
    /// Unique in the mesh.
    pub id: String,
    /// What it can enforce.
    pub target: Target,
    /// The namespace it runs in: short names are looked up here, and consumer routes of it apply.
    pub namespace: String,
    /// The service it is part of, for traces; empty if it did not say.
    pub service: String,
    /// The service account it runs as, of its namespace; [`crate::mesh::SERVICE_ACCOUNT`] if it did not say.
    pub service_account: String,
    /// Its labels: a workload that joins is selected by them.
    pub labels: BTreeMap<String, String>,
    /// Where it is.
    pub locality: Locality,
    /// The explicit outbound HTTP listener, if it has one.
    pub outbound: Option<SocketAddr>,
    /// Outbound listeners for opaque bytes: where, and to which service (`NAME.NAMESPACE:PORT` or any other form of its name).
    pub outbound_tcp: BTreeMap<SocketAddr, String>,
    /// Inbound listeners, each with the application behind it.
    pub inbound: Vec<Inbound>,
    /// The services it declared to use (`NAMESPACE/NAME`); they are sent without being asked for.
    pub upstreams: BTreeSet<String>,
    /// Names it asked for (authorities, as requests carry them).
    pub uses: BTreeSet<String>,
    /// The share of requests without a caller's decision that it samples.
    pub sampling: Option<Fraction>,
    /// Whether it logs requests.
    pub access_log: bool,
}

/// An inbound listener and the application behind it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Inbound {
    /// The service port's name this serves; chosen by number if empty.
    pub name: String,
    /// Where the sidecar listens, as peers reach it.
    pub listen: SocketAddr,
    /// Where the application listens.
    pub app: SocketAddr,
}
