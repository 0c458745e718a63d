//! Where a caller is sent instead (Gateway API `HTTPRequestRedirectFilter`).

use crate::route::Substitute;
use crate::{authority, rewrite};
use http::HeaderValue;
use http::header::InvalidHeaderValue;
use weir_model::{PathRewrite, Redirect};

/// The request as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// `Host` or `:authority`.
    pub authority: &'a str,
    /// Without the query.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    /// The prefix the route matched by, absent if it matched otherwise.
    pub prefix: Option<&'a str>,
    /// The path of a redirect whose path is a [`PathRewrite::Substitute`], compiled.
    pub substitute: Option<&'a Substitute>,
}

/// The value of `Location`.
///
/// The port is the redirect's; else none where the redirect says the host; else the one the caller used, unless that is the well-known
/// port of a scheme that changes. It is left out where it is the well-known port of the scheme that results. A path that the redirect
/// says with a query replaces the request's. An error if the request's own authority or path cannot stand in a header.
pub fn location(redirect: &Redirect, original: &Original<'_>) -> Result<HeaderValue, InvalidHeaderValue> {
    let (host, used) = authority::split(original.authority);
    let scheme = redirect.scheme.as_deref().unwrap_or(original.scheme);
    let used = used.filter(|port| scheme == original.scheme || well_known(original.scheme) != Some(*port));
    let (host, used) = redirect.host.as_deref().map_or((host, used), |host| (host, None));
    let port = redirect.port.or(used);
    let path = match &redirect.path {
        Some(PathRewrite::Substitute(_)) => {
            original.substitute.map_or(original.path.into(), |substitute| substitute.apply(original.path))
        }
        Some(path) => rewrite::path(path, original.path, original.prefix),
        None => original.path.into(),
    };
    let mut location = [scheme, "://", host].concat();
    if let Some(port) = port.filter(|port| well_known(scheme) != Some(*port)) {
        location.push(':');
        location.push_str(&port.to_string());
    }
    location.push_str(&path);
    let own = matches!(&redirect.path, Some(PathRewrite::Full(full)) if full.contains('?'));
    if let Some(query) = original.query.filter(|_| !own && !redirect.strip_query) {
        location.push('?');
        location.push_str(query);
    }
    HeaderValue::try_from(location)
}

fn well_known(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
