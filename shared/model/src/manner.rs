//! What a listener makes of HTTP where the RFCs leave a choice, beyond paths and times: whose name it says, what it takes from heads, which
//! connections it lets become something else.
//!
//! Everything is off in [`Manner::default`], which is how weir's own listeners behave; other control planes say what Envoy's connection manager
//! would do.

use crate::HeaderValue;

/// What a listener does with the requests and responses that pass through it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Manner {
    /// The name that is put into `Server` of responses; who answered says his own if absent.
    pub server: Option<ServerName>,
    /// What is added to `Via` of requests and responses (RFC 9110 section 7.6.3); nothing if absent.
    pub via: Option<HeaderValue>,
    /// Which ports of authorities are taken for none.
    pub ports: HostPorts,
    /// Whether the dot at the end of a host goes.
    pub strip_dot: bool,
    /// What becomes of request fields with an underscore in their name.
    pub underscores: Underscores,
    /// What identifies requests.
    pub request_id: RequestIds,
    /// Which host a request of HTTP/1.0 without `Host` is for; it is refused if absent.
    pub default_host: Option<HeaderValue>,
    /// Whether names of response fields towards HTTP/1 begin with capitals.
    pub proper_case: bool,
    /// Whether clients of HTTP/2 may ask for tunnels (RFC 8441).
    pub extended_connect: bool,
    /// Which protocols a connection may be upgraded to, compared without regard to case (Envoy's `upgrade_configs`); any if absent. Who asks
    /// for another one is refused (403).
    pub upgrades: Option<Vec<String>>,
}

impl Manner {
    /// Whether nothing is done.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// A name for `Server`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServerName {
    /// The name.
    pub name: HeaderValue,
    /// Whether it takes the place of one that is there.
    pub overwrite: bool,
}

/// Which ports of authorities are taken for none, before routing and on the way up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum HostPorts {
    /// All are kept.
    #[default]
    Keep,
    /// That of the address the caller connected to (Envoy's `strip_matching_host_port`).
    StripOwn,
    /// Every one (Envoy's `strip_any_host_port`).
    StripAny,
}

/// What becomes of request fields with an underscore in their name, which some applications take for a dash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Underscores {
    /// They pass.
    #[default]
    Allow,
    /// They are left out.
    Drop,
    /// The request is refused (400).
    Reject,
}

/// What is done with `X-Request-Id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RequestIds {
    /// A request without one gets one: a random UUID. At the edge, one that came is replaced.
    pub generate: bool,
    /// At the edge too one that came is kept.
    pub keep: bool,
    /// The response has it as well.
    pub tell: bool,
}
