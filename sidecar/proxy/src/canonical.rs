//! A request in the form in which it is routed and sent on: its path by the listener's rules, and who asks.
//!
//! Both are the listener's settings ([`weir_model::Paths`], [`weir_model::Forwarded`]) and both come before routing, so that
//! what is matched is what the upstream gets. A path that is already as it should be costs one look at its bytes, a listener
//! that is not an edge nothing.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::LOCATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use weir_decide::path::{self, Outcome};
use weir_decide::storm;
use weir_model::{Forwarded, Paths};

use crate::exchange::Source;
use crate::reject::Kind;
use crate::respond;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a request's target becomes.
pub(crate) enum Target {
    /// It stays.
    Same,
    /// It is meant so.
    Changed(Uri),
    /// The caller is sent elsewhere.
    Redirect(Response<Source>),
}

/// Applies the rules for paths.
pub(crate) fn target<B>(request: &Request<B>, rules: &Paths) -> Result<Target, Kind> {
    let uri = request.uri();
    let normal = match path::normalize(uri.path(), rules) {
        Outcome::Same => return Ok(Target::Same),
        Outcome::Refused(why) => return Err(Kind::Malformed(why)),
        Outcome::Redirect(path) => {
            let location = HeaderValue::try_from(with_query(path, uri));
            let location = location.map_err(|_| Kind::Malformed("its target cannot stand in Location"))?;
            let mut response = respond::text(StatusCode::TEMPORARY_REDIRECT, Bytes::new());
            response.headers_mut().insert(LOCATION, location);
            return Ok(Target::Redirect(response));
        }
        Outcome::Changed(path) => with_query(path, uri),
    };
    let mut parts = uri.clone().into_parts();
    let path = PathAndQuery::try_from(normal).map_err(|_| Kind::Malformed("its path is not one"))?;
    parts.path_and_query = Some(path);
    let uri = Uri::from_parts(parts).map_err(|_| Kind::Malformed("its path is not one"))?;
    Ok(Target::Changed(uri))
}

fn with_query(mut path: String, uri: &Uri) -> String {
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    path
}

/// Says at the edge who asks. Several `X-Forwarded-For` become one, in their order.
pub(crate) fn forwarded(headers: &mut HeaderMap, peer: IpAddr, rules: Forwarded) {
    let Forwarded::Edge { trusted_hops, append } = rules else { return };
    // Those of the mesh do not come this way, so whoever says it knows nothing.
    headers.remove(storm::ATTEMPT);
    if append {
        let mut all = Vec::new();
        for known in headers.get_all(FORWARDED_FOR) {
            all.extend_from_slice(known.as_bytes());
            all.push(b',');
        }
        all.extend_from_slice(peer.to_canonical().to_string().as_bytes());
        // What is put together of valid values is one; where the map is full it stays without.
        if let Ok(all) = HeaderValue::from_bytes(&all) {
            let _full = headers.try_insert(FORWARDED_FOR, all);
        }
    }
    if trusted_hops == 0 || !headers.contains_key(FORWARDED_PROTO) {
        let _full = headers.try_insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
}

#[cfg(test)]
mod tests;
