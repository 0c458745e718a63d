//! What few routes do besides: no policy says it, other control planes do.

use std::sync::Arc;

use weir_decide::route::Substitute;
use weir_model::access_log::LogField;
use weir_model::{HeaderMutation, HeaderName};

/// What few routes do besides. Routes that do the same share it.
#[derive(Debug, Default)]
pub struct More {
    /// Changes to requests and to responses in Envoy's order; they include the route's own.
    pub levels: Option<Levels>,
    /// What of requests is wanted for the values of fields in responses.
    pub wanted: Box<[LogField]>,
    /// Whether upstreams are told which attempt a request is.
    pub tell_attempts: bool,
    /// Whether callers are told how many attempts there were.
    pub answer_attempts: bool,
    /// The path that is sent upstream, or where the caller is sent.
    pub path: Option<Substitute>,
    /// The authority that is sent upstream.
    pub host: Option<Host>,
    /// Whether the authority that another one replaces is appended to `X-Forwarded-Host`.
    pub forwarded_host: bool,
}

/// Changes of a target, then of these in turn.
#[derive(Debug, Default)]
pub struct Levels {
    /// To requests.
    pub request: Vec<Arc<HeaderMutation>>,
    /// To responses.
    pub response: Vec<Arc<HeaderMutation>>,
}

/// Where the authority that is sent upstream comes from.
#[derive(Debug)]
pub enum Host {
    /// The first field of this name, if it is there and not empty.
    Header(HeaderName),
    /// The path, with each match of an expression replaced.
    Path(Substitute),
    /// The host name of the endpoint, if it has one.
    Endpoint,
}
