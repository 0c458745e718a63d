//! Gateway API `TCPRoute` (v1alpha2) and `TLSRoute` (v1alpha2, v1alpha3), attached to services: where connections go that nobody reads.
//!
//! There is nothing to match on but the server name of a `TLSRoute`, so each has exactly one rule.

use crate::decode::{At, Fields, Schema, excerpt};
use crate::http_route::{WEIGHT, other_namespace, read_parents, read_target, write_parent};
use crate::parse::{fields, non_empty, read_subdomain};
use crate::scalar::is_subdomain;
use crate::traffic_policy::read_service_kind;
use crate::{Kind, RouteParent, StreamRouteSpec};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use weir_model::mesh::{BackendTarget, StreamBackend};

// The bounds of the Gateway API's CRD.
const HOSTNAMES: usize = 16;
const RULES: usize = 16;
const BACKENDS: usize = 16;

const LATER: &[(&str, &str)] = &[("useDefaultGateways", "name the service in parentRefs")];
const TCP: Schema = Schema { known: &["parentRefs", "rules"], later: LATER, ignored: &[] };
const TLS: Schema = Schema { known: &["parentRefs", "hostnames", "rules"], later: LATER, ignored: &[] };

pub(crate) fn read(at: &At<'_>, kind: Kind, namespace: &str) -> Option<StreamRouteSpec> {
    let spec = at.object(if kind == Kind::TlsRoute { &TLS } else { &TCP })?;
    let mend = "name the service it attaches to: [{group: \"\", kind: Service, name: NAME}]";
    let parents = spec.required("parentRefs", mend).and_then(|at| read_parents(&at, namespace));
    let hostnames = match spec.get("hostnames") {
        Some(at) => read_hostnames(&at),
        None => Some(Vec::new()),
    };
    let known_parents = parents.as_deref().unwrap_or_default();
    let rule =
        spec.required("rules", "add a rule").and_then(|at| read_rules(&at, kind, namespace, known_parents));
    let (name, backends) = rule?;
    Some(StreamRouteSpec { parents: parents?, hostnames: hostnames?, name, backends })
}

fn read_hostnames(at: &At<'_>) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut complete = true;
    for at in at.list(0..=HOSTNAMES)? {
        let Some(text) = at.text() else {
            complete = false;
            continue;
        };
        let good = is_subdomain(text.strip_prefix("*.").unwrap_or(text)) && text.parse::<Ipv4Addr>().is_err();
        if !good {
            at.error(
                format!("{} is not a server name", excerpt(at.value())),
                "write one such as db.example.com or *.example.com, in lower case",
            );
            complete = false;
        } else if names.iter().any(|known| known == text) {
            at.error("the same name is there twice", "remove one");
            complete = false;
        } else {
            names.push(text.to_owned());
        }
    }
    complete.then_some(names)
}

fn read_rules(
    at: &At<'_>,
    kind: Kind,
    namespace: &str,
    parents: &[RouteParent],
) -> Option<(String, Vec<StreamBackend>)> {
    let rules = at.list(1..=RULES)?;
    let read: Vec<_> = rules.iter().map(|at| read_rule(at, namespace, parents)).collect();
    if let [_, second, ..] = rules.as_slice() {
        let message = format!("a {kind} has one rule, since all match the same connections");
        second.error(message, "remove it, or write another route");
        return None;
    }
    read.into_iter().next()?
}

fn read_rule(at: &At<'_>, namespace: &str, parents: &[RouteParent]) -> Option<(String, Vec<StreamBackend>)> {
    let rule = at.object(&Schema::of(&["name", "backendRefs"]))?;
    let name = match rule.get_text("name") {
        Some((at, text)) => read_subdomain(&at, text),
        None => Some(String::new()),
    };
    let backends = read_backends(&rule, namespace, parents)?;
    if backends.iter().all(|backend| backend.weight == 0) {
        at.error("all weights are zero", "give at least one of the backendRefs a weight");
    }
    Some((name?, backends))
}

fn read_backends(rule: &Fields<'_>, namespace: &str, parents: &[RouteParent]) -> Option<Vec<StreamBackend>> {
    let at = rule.required("backendRefs", "name the services that connections go to")?;
    let read: Vec<_> = at.list(1..=BACKENDS)?.iter().map(|at| read_backend(at, namespace, parents)).collect();
    read.into_iter().collect()
}

fn read_backend(at: &At<'_>, namespace: &str, parents: &[RouteParent]) -> Option<StreamBackend> {
    let backend = at.object(&Schema::of(&["group", "kind", "namespace", "name", "port", "weight"]))?;
    read_service_kind(&backend, true);
    let target = read_target(&backend, namespace, parents);
    let weight = match backend.get("weight") {
        Some(at) => at.count(0..=WEIGHT),
        None => Some(1),
    };
    Some(StreamBackend { target: target?, weight: weight? })
}

pub(crate) fn write(spec: &StreamRouteSpec, namespace: &str) -> Value {
    let backend = |backend: &StreamBackend| {
        let BackendTarget { service, port } = &backend.target;
        fields([
            ("namespace", other_namespace(service, namespace)),
            ("name", Some(json!(service.name))),
            ("port", Some(json!(port))),
            ("weight", Some(json!(backend.weight))),
        ])
    };
    let rule = fields([
        ("name", (!spec.name.is_empty()).then(|| json!(spec.name))),
        ("backendRefs", non_empty(spec.backends.iter().map(backend).collect())),
    ]);
    fields([
        (
            "parentRefs",
            non_empty(spec.parents.iter().map(|parent| write_parent(parent, namespace)).collect()),
        ),
        ("hostnames", non_empty(spec.hostnames.iter().map(|name| json!(name)).collect())),
        ("rules", Some(json!([rule]))),
    ])
}

#[cfg(test)]
pub(crate) mod tests;
