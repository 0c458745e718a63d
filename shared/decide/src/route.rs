//! Which route a request takes: the first of its virtual host whose conditions all hold.
//!
//! The order of routes is the policy's precedence, which the compiler of policy has already settled; here the first match in the
//! list wins. **The cost does not grow with the list**: a virtual host is found by its name, and in it the candidates by the
//! request's path (a table of exact paths, a tree of segments, tables of regular expressions by their literal beginnings) and,
//! where many routes share a path, by the rarest exact condition of each. Candidates are then checked in full, so an index can
//! only narrow, never decide.
//!
//! What it deliberately does not do: it does not normalize or decode paths, and it does not know what a route's action is.

mod bucket;
mod condition;
mod explain;
mod fields;
mod hashing;
mod host;
mod more;
mod path;
mod pattern;
mod prefix;
mod query;
mod regexes;
mod substitute;

pub use explain::{Considered, Explanation, Failure, Finding, explain};
pub use fields::{AllFields, AnyField, AnyText, FieldCompiler};
pub use pattern::RegexError;
pub use substitute::Substitute;

use http::{HeaderMap, Method};
use weir_model::{Random, RouteConfiguration, limits};

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

impl RouteError {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// The same error, seen from one level further out.
    fn within(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }
}

/// Whether a regular expression can be matched on: RE2 syntax, and a table within [`limits::REGEX_MEMORY`]. What is refused here is refused
/// by [`Matcher::compile`] too, so that whoever takes policy can say so to the one who writes it.
pub fn check_regex(expression: &str) -> Result<(), RegexError> {
    pattern::Library::default().single(expression).map(drop)
}

/// A route configuration, compiled. Immutable; shared by all workers.
#[derive(Debug)]
pub struct Matcher {
    names: host::Names,
    hosts: Box<[path::Paths]>,
}

impl Matcher {
    /// Compiles every condition. Fails with the first field that cannot be.
    pub fn compile(configuration: &RouteConfiguration) -> Result<Self, RouteError> {
        let names = host::Names::compile(configuration)?;
        let mut library = pattern::Library::default();
        let hosts = configuration.virtual_hosts.iter().enumerate().map(|(index, host)| {
            let field = format!("virtual_hosts[{index}]");
            if host.routes.len() > limits::ROUTES {
                let message = format!("{} routes; at most {} fit", host.routes.len(), limits::ROUTES);
                return Err(RouteError::new(format!("{field}.routes"), message));
            }
            path::Paths::compile(&host.routes, &mut library).map_err(|error| error.within(&field))
        });
        Ok(Self { names, hosts: hosts.collect::<Result<_, _>>()? })
    }

    /// The first route of the request's virtual host whose conditions all hold. `None` if no virtual host has the authority or
    /// none of its routes matches.
    ///
    /// A route with a fraction is taken with that probability where all its other conditions hold. A request draws once, for all of them.
    /// Does not allocate but where a request is unusual: capitals in the authority, a repeated header field that is matched on, a
    /// percent sign in a query parameter that is matched on.
    pub fn find(&self, head: &Head<'_>, random: &mut Random) -> Option<RouteIndex> {
        let host = self.names.find(head.authority)?;
        let route = self.hosts.get(host)?.find(head, random)?;
        Some(RouteIndex { host, route })
    }
}

#[cfg(test)]
mod tests;
