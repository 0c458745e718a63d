//! Gateway API `HTTPRoute` (v1), attached to services (GAMMA, GEP-1294 and GEP-1426): the route, its parents and its rules.
//!
//! What the API has and a mesh of weir does not enforce yet is refused by name, never dropped: a route that silently does less than it says is
//! the worst of the three.

mod filters;
pub(crate) mod matches;

use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::{fields, non_empty, read_label, read_subdomain};
use crate::scalar::is_subdomain;
use crate::traffic_policy::{affinity, read_service_kind, read_timeouts, retries, write_timeouts};
use crate::{HttpRouteSpec, RouteParent};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_model::mesh::{Backend, BackendTarget, HttpFilters, HttpRule, Name};
use weir_model::{PathMatch, PathRewrite, RouteMatch};

// The bounds of the Gateway API's CRD.
const PARENTS: usize = 32;
const HOSTNAMES: usize = 16;
const RULES: usize = 16;
const MATCHES: usize = 64;
const MATCHES_IN_ALL: usize = 128;
const BACKENDS: usize = 16;
pub(crate) const WEIGHT: u32 = 1_000_000;

const SPEC: Schema = Schema {
    known: &["parentRefs", "hostnames", "rules"],
    later: &[("useDefaultGateways", "name the service in parentRefs")],
    ignored: &[],
};

const RULE: Schema = Schema {
    known: &["name", "matches", "filters", "backendRefs", "timeouts", "retry", "sessionPersistence"],
    later: &[],
    ignored: &[],
};

pub(crate) fn read(at: &At<'_>, namespace: &str) -> Option<HttpRouteSpec> {
    let spec = at.object(&SPEC)?;
    let (parents, hostnames) = read_attachment(&spec, namespace);
    let known_parents = parents.as_deref().unwrap_or_default();
    let read_rule = |at: &At<'_>| read_rule(at, namespace, known_parents);
    let rules = spec
        .required("rules", "add a rule")
        .and_then(|at| read_rules(&at, read_rule, |rule: &HttpRule| rule));
    Some(HttpRouteSpec { parents: parents?, hostnames, rules: rules? })
}

/// What a route attaches to, and its host names.
pub(crate) fn read_attachment(spec: &Fields<'_>, namespace: &str) -> (Option<Vec<RouteParent>>, Vec<String>) {
    let mend = "name the service it attaches to: [{group: \"\", kind: Service, name: NAME}]";
    let parents = spec.required("parentRefs", mend).and_then(|at| read_parents(&at, namespace));
    let hostnames = spec.get("hostnames").and_then(|at| read_hostnames(&at)).unwrap_or_default();
    (parents, hostnames)
}

pub(crate) fn read_parents(at: &At<'_>, namespace: &str) -> Option<Vec<RouteParent>> {
    let mut parents: Vec<RouteParent> = Vec::new();
    let mut complete = true;
    for at in at.list(1..=PARENTS)? {
        match read_parent(&at, namespace) {
            Some(parent) if parents.contains(&parent) => {
                at.error("the same parent is there twice", "remove one")
            }
            Some(parent) => parents.push(parent),
            None => complete = false,
        }
    }
    complete.then_some(parents)
}

fn read_parent(at: &At<'_>, namespace: &str) -> Option<RouteParent> {
    let parent = at.object(&Schema::of(&["group", "kind", "namespace", "name", "sectionName", "port"]))?;
    read_service_kind(&parent, false);
    let service = read_service(&parent, namespace);
    let section = match parent.get_text("sectionName") {
        Some((at, text)) => read_label(&at, text).map(Some),
        None => Some(None),
    };
    let port = match parent.get("port") {
        Some(at) => at.port().map(Some),
        None => Some(None),
    };
    Some(RouteParent { service: service?, section: section?, port: port? })
}

/// `name` and `namespace` of a reference to a service.
fn read_service(reference: &Fields<'_>, default_namespace: &str) -> Option<Name> {
    let name =
        reference.required_text("name", "name the service").and_then(|(at, text)| read_label(&at, text));
    let namespace = match reference.get_text("namespace") {
        Some((at, text)) => read_label(&at, text),
        None => Some(default_namespace.to_owned()),
    };
    Some(Name { namespace: namespace?, name: name? })
}

fn read_hostnames(at: &At<'_>) -> Option<Vec<String>> {
    let elements = at.list(0..=HOSTNAMES)?;
    if !elements.is_empty() {
        at.warning("hostnames have no effect on a route that is attached to services", "remove them");
    }
    let names = elements.iter().filter_map(|at| {
        let text = at.text()?;
        let good = is_subdomain(text.strip_prefix("*.").unwrap_or(text))
            && text.parse::<std::net::Ipv4Addr>().is_err();
        if !good {
            at.error(
                format!("{} is not a host name", excerpt(at.value())),
                "write one such as example.com or *.example.com",
            );
        }
        good.then(|| text.to_owned())
    });
    Some(names.collect())
}

/// The rules of a route, of whichever kind: `http` says what each is as a rule of HTTP.
pub(crate) fn read_rules<R>(
    at: &At<'_>,
    read_rule: impl Fn(&At<'_>) -> Option<R>,
    http: impl Fn(&R) -> &HttpRule,
) -> Option<Vec<R>> {
    let mut names = BTreeMap::new();
    let (mut rules, mut complete, mut matches) = (Vec::new(), true, 0);
    for (index, at) in at.list(1..=RULES)?.iter().enumerate() {
        let Some(rule) = read_rule(at) else {
            complete = false;
            continue;
        };
        let HttpRule { name, matches: of_rule, .. } = http(&rule);
        matches += of_rule.len();
        if !name.is_empty()
            && let Some(first) = names.insert(name.clone(), index)
        {
            at.error(format!("rule {first} has the name {name:?} already"), "give each rule its own name");
        }
        rules.push(rule);
    }
    if matches > MATCHES_IN_ALL {
        at.error(
            format!("{matches} matches in all rules, at most {MATCHES_IN_ALL} are allowed"),
            "split the route",
        );
    }
    complete.then_some(rules)
}

fn read_rule(at: &At<'_>, namespace: &str, parents: &[RouteParent]) -> Option<HttpRule> {
    let rule = at.object(&RULE)?;
    let matches = read_matches(&rule, matches::read);
    let parts = read_parts(&rule, namespace, parents);
    let timeouts = rule.get("timeouts").and_then(|at| read_timeouts(&at, false)).unwrap_or_default();
    let retry = rule.get("retry").and_then(|at| retries::read_rule(&at));
    let session = rule.get("sessionPersistence").and_then(|at| affinity::read_session(&at));
    let rule = HttpRule { matches: matches?, timeouts, retry, session, ..parts? };
    check_rule(at, &rule);
    Some(rule)
}

/// The matches of a rule, of whichever kind; none if it has none.
pub(crate) fn read_matches<M>(rule: &Fields<'_>, read: impl Fn(&At<'_>) -> Option<M>) -> Option<Vec<M>> {
    let Some(at) = rule.get("matches") else { return Some(Vec::new()) };
    let matches: Vec<_> = at.list(0..=MATCHES)?.iter().map(read).collect();
    matches.into_iter().collect()
}

/// What rules of all kinds have: a name, filters and backends.
pub(crate) fn read_parts(rule: &Fields<'_>, namespace: &str, parents: &[RouteParent]) -> Option<HttpRule> {
    let name = match rule.get_text("name") {
        Some((at, text)) => read_subdomain(&at, text),
        None => Some(String::new()),
    };
    let filters = match rule.get("filters") {
        Some(at) => filters::read(&at, filters::Scope { namespace, parents }),
        None => Some(HttpFilters::default()),
    };
    let backends = match rule.get("backendRefs") {
        Some(at) => read_backends(&at, namespace, parents),
        None => Some(Vec::new()),
    };
    Some(HttpRule { name: name?, filters: filters?, backends: backends?, ..HttpRule::default() })
}

/// What the parts of a rule say of each other.
pub(crate) fn check_rule(at: &At<'_>, rule: &HttpRule) {
    let redirects = rule.filters.redirect.is_some();
    if redirects && !rule.backends.is_empty() {
        at.error(
            "a rule that redirects has no backendRefs",
            "remove the RequestRedirect filter or the backendRefs",
        );
    }
    if redirects && (rule.filters.rewrite_host.is_some() || rule.filters.rewrite_path.is_some()) {
        at.error("a rule has a RequestRedirect or a URLRewrite filter, not both", "remove one of them");
    }
    if redirects && !rule.filters.mirrors.is_empty() {
        at.warning("requests that are redirected are not mirrored", "remove the RequestMirror filter");
    }
    if !redirects && rule.backends.is_empty() && rule.filters.extensions.is_empty() {
        at.warning("the rule goes nowhere: requests that match it are answered 500", "add backendRefs");
    }
    if !rule.backends.is_empty() && rule.backends.iter().all(|backend| backend.weight == 0) {
        at.error("all weights are zero", "give at least one of the backendRefs a weight");
    }
    for backend in rule.backends.iter().filter(|backend| backend.filters.cors.is_some()) {
        at.error(
            format!("backend {} has a CORS filter, which is for whole rules", backend.target.service),
            "move it to the rule",
        );
    }
    for backend in rule.backends.iter().filter(|backend| !backend.filters.extensions.is_empty()) {
        at.error(
            format!(
                "backend {} has an ExtensionRef filter, which is for whole rules",
                backend.target.service
            ),
            "move it to the rule",
        );
    }
    for backend in rule.backends.iter().filter(|backend| backend.filters.redirect.is_some()) {
        if backend.filters.rewrite_host.is_some() || backend.filters.rewrite_path.is_some() {
            at.error(
                format!("backend {} has a RequestRedirect and a URLRewrite filter", backend.target.service),
                "remove one of them",
            );
        }
    }
    let filters = std::iter::once(&rule.filters).chain(rule.backends.iter().map(|backend| &backend.filters));
    let replaces_prefix = filters
        .flat_map(|filters| {
            let redirected = filters.redirect.as_ref().and_then(|redirect| redirect.path.as_ref());
            redirected.into_iter().chain(&filters.rewrite_path)
        })
        .any(|path| matches!(path, PathRewrite::Prefix(_)));
    let prefixes = |one: &RouteMatch| matches!(one.path, PathMatch::Prefix(_));
    if replaces_prefix && !(rule.matches.len() <= 1 && rule.matches.iter().all(prefixes)) {
        at.error(
            "ReplacePrefixMatch needs exactly one match, of type PathPrefix",
            "split the rule, or use ReplaceFullPath",
        );
    }
}

fn read_backends(at: &At<'_>, namespace: &str, parents: &[RouteParent]) -> Option<Vec<Backend>> {
    let elements = at.list(0..=BACKENDS)?;
    let backends: Vec<_> = elements.iter().map(|at| read_backend(at, namespace, parents)).collect();
    backends.into_iter().collect()
}

fn read_backend(at: &At<'_>, namespace: &str, parents: &[RouteParent]) -> Option<Backend> {
    let backend =
        at.object(&Schema::of(&["group", "kind", "namespace", "name", "port", "weight", "filters"]))?;
    read_service_kind(&backend, true);
    let target = read_target(&backend, namespace, parents);
    let weight = match backend.get("weight") {
        Some(at) => at.count(0..=WEIGHT),
        None => Some(1),
    };
    let filters = match backend.get("filters") {
        Some(at) => filters::read(&at, filters::Scope { namespace, parents }),
        None => Some(HttpFilters::default()),
    };
    Some(Backend { target: target?, weight: weight?, filters: filters? })
}

/// The service and port that a reference names, if a route of `namespace` with these parents may name it.
pub(crate) fn read_target(
    reference: &Fields<'_>,
    namespace: &str,
    parents: &[RouteParent],
) -> Option<BackendTarget> {
    let service = read_service(reference, namespace);
    let port = reference.required("port", "add the service's port").and_then(|at| at.port());
    let service = service?;
    let granted = service.namespace == namespace || parents.iter().any(|parent| parent.service == service);
    if !granted {
        let message = format!(
            "a backend in another namespace ({service}) needs a ReferenceGrant, which weir does not read yet"
        );
        reference
            .here()
            .error(message, "use a service of the route's own namespace, or one of its parentRefs");
    }
    Some(BackendTarget { service, port: port? })
}

pub(crate) fn write(spec: &HttpRouteSpec, namespace: &str) -> Value {
    let rules = spec.rules.iter().map(|rule| write_rule(rule, namespace)).collect();
    write_attachment(&spec.parents, &spec.hostnames, rules, namespace)
}

/// A route of whichever kind, of its parts.
pub(crate) fn write_attachment(
    parents: &[RouteParent],
    hostnames: &[String],
    rules: Vec<Value>,
    namespace: &str,
) -> Value {
    let hostnames = hostnames.iter().map(|name| json!(name)).collect();
    fields([
        ("parentRefs", non_empty(parents.iter().map(|parent| write_parent(parent, namespace)).collect())),
        ("hostnames", non_empty(hostnames)),
        ("rules", non_empty(rules)),
    ])
}

pub(crate) fn other_namespace(service: &Name, namespace: &str) -> Option<Value> {
    (service.namespace != namespace).then(|| json!(service.namespace))
}

pub(crate) fn write_parent(parent: &RouteParent, namespace: &str) -> Value {
    fields([
        ("group", Some(json!(""))),
        ("kind", Some(json!("Service"))),
        ("namespace", other_namespace(&parent.service, namespace)),
        ("name", Some(json!(parent.service.name))),
        ("sectionName", parent.section.as_ref().map(|name| json!(name))),
        ("port", parent.port.map(|port| json!(port))),
    ])
}

pub(crate) fn write_rule(rule: &HttpRule, namespace: &str) -> Value {
    fields([
        ("name", (!rule.name.is_empty()).then(|| json!(rule.name))),
        ("matches", non_empty(rule.matches.iter().map(matches::write).collect())),
        ("filters", non_empty(filters::write(&rule.filters, namespace))),
        (
            "backendRefs",
            non_empty(rule.backends.iter().map(|backend| write_backend(backend, namespace)).collect()),
        ),
        ("timeouts", write_timeouts(&rule.timeouts)),
        ("retry", rule.retry.as_ref().map(retries::write_rule)),
        ("sessionPersistence", rule.session.as_ref().map(affinity::write_session)),
    ])
}

fn write_backend(backend: &Backend, namespace: &str) -> Value {
    let BackendTarget { service, port } = &backend.target;
    fields([
        ("namespace", other_namespace(service, namespace)),
        ("name", Some(json!(service.name))),
        ("port", Some(json!(port))),
        ("weight", Some(json!(backend.weight))),
        ("filters", non_empty(filters::write(&backend.filters, namespace))),
    ])
}
