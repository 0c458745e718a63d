//! Backends that go their own way: what a `backendRef` changes beyond header fields, and where copies of requests go.
//!
//! No data plane rewrites, redirects or mirrors by the side of a split, so such a backend becomes a route of its own in front of its siblings',
//! which takes its share of their requests. Their weights stay what they are relative to each other.

use crate::express::Origin;
use crate::memo;
use crate::outbound_name;
use crate::service::port_of;
use std::collections::BTreeSet;
use weir_model::mesh::{Backend, BackendTarget, HttpFilters, Mesh, MirrorFilter};
use weir_model::{
    Cors, Diagnostic, Filters, Fraction, Mirror, PathMatch, PathRewrite, Redirect, Rewrite, Severity,
    StringMatch, limits,
};

/// Whether a backend needs a route of its own.
pub(crate) fn is_apart(backend: &Backend) -> bool {
    let filters = &backend.filters;
    filters.redirect.is_some()
        || filters.rewrite_host.is_some()
        || filters.rewrite_path.is_some()
        || !filters.mirrors.is_empty()
}

/// What a rule rewrites, or a backend of it instead: the backend's word counts, part by part.
pub(crate) fn rewrite(rule: &HttpFilters, backend: Option<&HttpFilters>, matched: &PathMatch) -> Rewrite {
    let host = backend.and_then(|own| own.rewrite_host.clone()).or_else(|| rule.rewrite_host.clone());
    let path = backend.and_then(|own| own.rewrite_path.clone()).or_else(|| rule.rewrite_path.clone());
    Rewrite { host, path: path.and_then(|path| fitting(path, matched)), more: None }
}

/// A redirect as it can be done where `matched` is how the path was matched.
pub(crate) fn redirect(redirect: &Redirect, matched: &PathMatch) -> Redirect {
    let mut redirect = redirect.clone();
    redirect.path = redirect.path.and_then(|path| fitting(path, matched));
    // The port that another scheme implies (Gateway API `HTTPRequestRedirectFilter.port`); elsewhere it would stay the caller's.
    redirect.port = redirect.port.or(match redirect.scheme.as_deref() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    });
    redirect
}

/// A prefix can be replaced only where one matched; validation refuses everything else.
fn fitting(path: PathRewrite, matched: &PathMatch) -> Option<PathRewrite> {
    match (&path, matched) {
        (PathRewrite::Prefix(_), PathMatch::Exact(_) | PathMatch::Characters(_) | PathMatch::Regex(_)) => {
            None
        }
        _ => Some(path),
    }
}

/// The mirrors of a rule and of one of its backends; what does not resolve is told and left out.
pub(crate) fn mirrors<'m>(
    mesh: &Mesh,
    origin: &Origin<'_>,
    filters: impl Iterator<Item = &'m MirrorFilter>,
    clusters: &mut BTreeSet<memo::ServicePort>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Mirror> {
    let mut mirrors = Vec::new();
    for MirrorFilter { target, fraction } in filters.filter(|mirror| mirror.fraction > Fraction(0)) {
        let BackendTarget { service, port } = target;
        let exists = mesh.services.get(service).is_some_and(|found| port_of(found, *port).is_some());
        let problem = match exists {
            _ if mirrors.len() == limits::MIRRORS => {
                format!("a route mirrors to at most {} services", limits::MIRRORS)
            }
            true => {
                clusters.insert((service.clone(), *port));
                let cluster = outbound_name(service, *port);
                mirrors.push(Mirror { cluster, fraction: *fraction, marks_host: true });
                continue;
            }
            false if mesh.services.contains_key(service) => format!("service {service} has no port {port}"),
            false => format!("service {service} does not exist"),
        };
        diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            resource: origin.route.to_string(),
            field: format!("spec.rules[{}].filters", origin.rule),
            message: format!("{problem}: nothing is mirrored there"),
            mend: "apply the service, or remove the RequestMirror filter".to_owned(),
        });
    }
    mirrors
}

/// What a rule says of other origins, as data planes take it.
pub(crate) fn cors(filters: &HttpFilters) -> Option<Box<Filters>> {
    let said = filters.cors.as_ref()?;
    let cors = Cors {
        origins: said.origins.iter().map(|origin| from_origin(origin)).collect(),
        methods: said.methods.clone(),
        headers: said.headers.clone(),
        expose: said.expose.clone(),
        max_age: Some(said.max_age),
        credentials: said.credentials,
    };
    Some(Box::new(Filters { cors: Some(cors), ..Filters::default() }))
}

/// A star stands for one label or more, and alone for every origin.
fn from_origin(origin: &str) -> StringMatch {
    match origin.split_once('*') {
        Some(("", "")) | None => StringMatch::Exact(origin.to_owned()),
        Some((scheme, rest)) => {
            // Of what an origin is made of, only dots mean something else in an expression.
            StringMatch::Regex(format!("{scheme}[A-Za-z0-9.-]+{}", rest.replace('.', "\\.")))
        }
    }
}
