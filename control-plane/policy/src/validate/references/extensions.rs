//! Rules and the `RouteFilter`s that they refer to.

use super::Findings;
use crate::decode::{Report, suggestion};
use crate::{Kind, Object, ObjectId, RouteParent, Spec};
use std::collections::BTreeSet;
use weir_model::mesh::{HttpFilters, HttpRule, Mesh, Name, RouteFilter};
use weir_model::{HeaderMutation, HeaderName};

/// What two filters of a rule must not both say.
type Part = (&'static str, fn(&RouteFilter) -> bool);
const PARTS: [Part; 4] = [
    ("directResponse", |filter| filter.answer.is_some()),
    ("rateLimits that the service enforces", |filter| filter.limits.service.is_some()),
    ("rateLimits that callers enforce", |filter| filter.limits.caller.is_some()),
    ("priority", |filter| filter.priority.is_some()),
];

pub(super) fn check_rule(
    id: &ObjectId,
    rule: &HttpRule,
    parents: &[RouteParent],
    path: &str,
    mesh: &Mesh,
    report: &Report,
) {
    if rule.filters.extensions.is_empty() {
        return;
    }
    let mut known: Vec<(&Name, &RouteFilter)> = Vec::new();
    for (index, name) in rule.filters.extensions.iter().enumerate() {
        let path = format!("{path}.filters[ExtensionRef {index}].extensionRef");
        let Some(filter) = mesh.route_filters.get(name) else {
            let message = format!("RouteFilter {name} does not exist");
            report.error(&format!("{path}.name"), message, mend(mesh, name));
            continue;
        };
        for (part, says) in PARTS {
            if let (true, Some((other, _))) = (says(filter), known.iter().find(|(_, earlier)| says(earlier)))
            {
                let message = format!("RouteFilter {name} has {part}, and so has RouteFilter {other}");
                report.error(&path, message, "say it in one of them");
            }
        }
        check_callers(id, parents, name, filter, &path, report);
        known.push((name, filter));
    }
    if let Some((name, _)) = known.iter().find(|(_, filter)| filter.limits.service.is_some())
        && let Some(problem) = unrecognised(id, rule, parents, &known)
    {
        let message = format!("the service cannot keep the rateLimits of RouteFilter {name}: {problem}");
        report.error(&format!("{path}.filters"), message, "write enforcedBy: Caller in that filter");
    }
    let answers = known.iter().find(|(_, filter)| filter.answer.is_some());
    let goes = !rule.backends.is_empty() || rule.filters.redirect.is_some();
    match answers {
        Some((name, _)) if id.kind == Kind::GrpcRoute => {
            let message = format!("RouteFilter {name} has a directResponse, which no gRPC call takes");
            report.error(&format!("{path}.filters"), message, "remove the filter, or write an HTTPRoute");
        }
        Some((name, _)) if goes => {
            let message = format!("the rule answers by itself (directResponse of RouteFilter {name})");
            let mend = "remove that filter, or the backendRefs and the RequestRedirect filter";
            report.error(path, message, mend);
        }
        None if !goes && known.len() == rule.filters.extensions.len() => {
            let message = "the rule goes nowhere: requests that match it are answered 500";
            report.warning(path, message, "add backendRefs");
        }
        Some(_) | None => {}
    }
}

/// Why the service's sidecars do not recognise the requests of a rule, if they do not.
fn unrecognised(
    id: &ObjectId,
    rule: &HttpRule,
    parents: &[RouteParent],
    known: &[(&Name, &RouteFilter)],
) -> Option<&'static str> {
    let own = &id.name.namespace;
    if known.iter().any(|(_, filter)| !filter.callers.is_empty()) {
        return Some("it does not know who calls, and the rule is for some callers only");
    }
    if parents.iter().any(|parent| parent.service.namespace != *own) {
        return Some("it does not know who calls, and the route is for callers in its own namespace only");
    }
    let backends = rule.backends.iter().map(|backend| &backend.filters);
    let filters = || std::iter::once(&rule.filters).chain(backends.clone());
    if filters().any(|filters| filters.rewrite_host.is_some() || filters.rewrite_path.is_some()) {
        return Some("it sees requests as the rule rewrites them");
    }
    let matched = |name: &HeaderName| {
        rule.matches.iter().flat_map(|one| &one.headers).any(|header| header.name == *name)
    };
    let changes = |filters: &HttpFilters| {
        let HeaderMutation { set, add, remove, .. } = &filters.request_headers;
        set.iter().chain(add).map(|(name, _)| name).chain(remove).any(matched)
    };
    filters().any(changes).then_some("it sees the fields that the rule matches on as the rule changes them")
}

/// Callers in other namespaces than those that the route applies to.
fn check_callers(
    id: &ObjectId,
    parents: &[RouteParent],
    name: &Name,
    filter: &RouteFilter,
    path: &str,
    report: &Report,
) {
    let own = &id.name.namespace;
    let consumer = parents.iter().all(|parent| parent.service.namespace != *own);
    let elsewhere = |namespaces: &BTreeSet<String>| !namespaces.is_empty() && !namespaces.contains(own);
    if consumer
        && !filter.callers.is_empty()
        && filter.callers.iter().all(|caller| elsewhere(&caller.namespaces))
    {
        let message = format!(
            "it never applies: a route of namespace {own} for services of others is for callers in {own}, and \
             RouteFilter {name} for none of those"
        );
        report.warning(
            path,
            message,
            "move the route to the namespace of its parentRefs, or remove the filter",
        );
    }
}

fn mend(mesh: &Mesh, wanted: &Name) -> String {
    let names = mesh.route_filters.keys().filter(|name| name.namespace == wanted.namespace);
    let names: Vec<&str> = names.map(|name| name.name.as_str()).collect();
    match suggestion(&wanted.name, &names) {
        Some(similar) => format!("did you mean {similar}? Otherwise apply the RouteFilter first"),
        None => "apply the RouteFilter first, or remove the filter".to_owned(),
    }
}

/// Filters that no rule refers to do nothing, which is worth a note.
pub(super) fn check_unused(objects: &[&Object], mesh: &Mesh, findings: &mut Findings) {
    if mesh.route_filters.is_empty() {
        return;
    }
    let rules = mesh.http_routes.values().flat_map(|route| &route.rules);
    let used: BTreeSet<&Name> = rules.flat_map(|rule| &rule.filters.extensions).collect();
    for object in objects {
        if matches!(object.spec, Spec::RouteFilter(_)) && !used.contains(&object.id.name) {
            findings.about(&object.id).note("", "no rule refers to it, so it does nothing", "");
        }
    }
}
