//! Affinity: what brings a caller back to where it was before.
//!
//! Three kinds, from loose to strict. A *hash* of something in the request chooses the endpoint in a cluster that balances by
//! consistent hash; most callers stay when endpoints come and go. A *sticky split* chooses the side of a weighted split by such a
//! hash. A *session* names one endpoint in a cookie and holds for as long as that endpoint is there.

use crate::HeaderName;
use std::time::Duration;

/// How the requests of a route are tied to where their callers were before.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Affinity {
    /// What a request's hash is made of, in order (Envoy's `RouteAction.hash_policy`). None of it found: no hash, and the choice is random.
    pub hash: Vec<HashPolicy>,
    /// How a caller keeps its side of a split; each request draws for itself if absent.
    pub split: Option<StickySplit>,
    /// Sessions pinned to an endpoint.
    pub session: Option<Session>,
}

impl Affinity {
    /// Whether callers are tied to nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One part of a request's hash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HashPolicy {
    /// What is hashed.
    pub source: HashSource,
    /// Whether those that follow are left out once there is a hash.
    pub terminal: bool,
}

/// What is hashed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum HashSource {
    /// A request header; the order of several fields of the name does not matter.
    Header(HeaderName),
    /// A cookie. With a `ttl` it is issued to callers that come without it.
    Cookie(Cookie),
    /// The address, without the port, that the connection comes from.
    SourceAddress,
    /// The first query parameter of this name, as it is written in the query.
    Query(String),
}

/// A cookie (RFC 6265) that is read, and issued where it is missing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cookie {
    /// Its name, a token.
    pub name: String,
    /// How long it lives, in whole seconds; zero for as long as the browser session. Absent: it is read and never issued.
    pub ttl: Option<Duration>,
    /// The path it is issued for; none said if empty.
    pub path: String,
    /// Further attributes, such as `SameSite` with `Lax`, or `Secure` with nothing.
    pub attributes: Vec<(String, String)>,
}

/// How a caller keeps its side of a split: by a number, of which the remainder by the sum of the weights is a point on the sides laid
/// end to end (Envoy's `WeightedCluster.random_value_specifier`).
///
/// **Of two sides under a constant sum, the one whose weight grows loses no caller**, whichever it is: the boundary between them moves,
/// and nothing else. Of several, that holds for the first and the last.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum StickySplit {
    /// The request's hash.
    Hash,
    /// A decimal number in a request header that somebody else chose once.
    Header(HeaderName),
}

/// A session pinned to an endpoint by a cookie (Envoy's `StatefulSession` filter with `CookieBasedSessionState`; Gateway API
/// `SessionPersistence`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Session {
    /// Names the endpoint. Sessions are for the requests under its path; without a `ttl`, or with zero, it lives as long as the browser
    /// session.
    pub cookie: Cookie,
    /// Refuse a request whose endpoint is gone (503) instead of choosing another.
    pub strict: bool,
}
