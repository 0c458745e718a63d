//! Copies of requests, and answers in place of those that an upstream cannot give.

use crate::{DirectResponse, Fraction, HeaderValue};

/// A copy of some requests goes to another cluster, and nobody waits for its answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mirror {
    /// A cluster that exists.
    pub cluster: String,
    /// Which share of the requests.
    pub fraction: Fraction,
    /// Whether the host in the copy ends in `-shadow`, so that whoever gets it can tell (Envoy's default).
    pub marks_host: bool,
}

/// What answers where the clusters of a route cannot: no healthy endpoint, no connection, an open breaker, retries in vain.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fallback {
    /// Another cluster, which exists. The request is sent there once.
    Cluster(String),
    /// This sidecar, with these words.
    Direct(StaticAnswer),
}

/// Words that are answered with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StaticAnswer {
    /// Status and body.
    pub response: DirectResponse,
    /// What the body is; plain text if absent.
    pub content_type: Option<HeaderValue>,
}
