//! Gateway API `GRPCRoute` (v1, GEP-1016), attached to services: calls by service and method instead of paths.
//!
//! A call is an HTTP/2 request to `/SERVICE/METHOD`, so each rule becomes a rule of an HTTP route here and nothing below needs to know better.
//! What is written is kept beside it, for writing it again.

use crate::decode::{At, Schema, excerpt};
use crate::http_route;
use crate::parse::{fields, non_empty};
use crate::scalar::is_grpc_name;
use crate::traffic_policy::affinity;
use crate::{GrpcMatch, GrpcMethod, GrpcRouteSpec, GrpcRule, RouteParent};
use serde_json::{Value, json};
use weir_model::mesh::HttpRule;
use weir_model::{PathMatch, RouteMatch};

// The bound of the Gateway API's CRD.
const NAME: usize = 1024;

const SPEC: Schema = Schema {
    known: &["parentRefs", "hostnames", "rules"],
    later: &[("useDefaultGateways", "name the service in parentRefs")],
    ignored: &[],
};

const RULE: Schema = Schema {
    known: &["name", "matches", "filters", "backendRefs", "sessionPersistence"],
    later: &[],
    ignored: &[],
};

/// Filters that change what a call means, which `GRPCRoute` does not have.
const FOREIGN: [&str; 3] = ["RequestRedirect", "URLRewrite", "CORS"];

pub(crate) fn read(at: &At<'_>, namespace: &str) -> Option<GrpcRouteSpec> {
    let spec = at.object(&SPEC)?;
    let (parents, hostnames) = http_route::read_attachment(&spec, namespace);
    let known_parents = parents.as_deref().unwrap_or_default();
    let read_rule = |at: &At<'_>| read_rule(at, namespace, known_parents);
    let rules = spec
        .required("rules", "add a rule")
        .and_then(|at| http_route::read_rules(&at, read_rule, |rule| &rule.lowered));
    Some(GrpcRouteSpec { parents: parents?, hostnames, rules: rules? })
}

fn read_rule(at: &At<'_>, namespace: &str, parents: &[RouteParent]) -> Option<GrpcRule> {
    let rule = at.object(&RULE)?;
    let matches = http_route::read_matches(&rule, read_match);
    let fitting = refuse_foreign(&rule.get("filters"));
    let lowered = http_route::read_parts(&rule, namespace, parents);
    let session = rule.get("sessionPersistence").and_then(|at| affinity::read_session(&at));
    let rule = GrpcRule::new(matches?, HttpRule { session, ..lowered? });
    http_route::check_rule(at, &rule.lowered);
    fitting.then_some(rule)
}

impl GrpcRule {
    /// A rule with these matches; `rest` has all but them.
    pub fn new(matches: Vec<GrpcMatch>, rest: HttpRule) -> Self {
        let lowered = HttpRule { matches: matches.iter().map(lower).collect(), ..rest };
        Self { matches, lowered }
    }
}

/// Whether all filters are of types that a `GRPCRoute` has.
fn refuse_foreign(at: &Option<At<'_>>) -> bool {
    let Some(Value::Array(filters)) = at.as_ref().map(At::value) else { return true };
    let foreign = |filter: &Value| {
        let kind = filter.get("type").and_then(Value::as_str).unwrap_or_default();
        FOREIGN.contains(&kind).then(|| kind.to_owned())
    };
    let found = filters.iter().find_map(foreign);
    if let (Some(at), Some(kind)) = (at, &found) {
        at.error(format!("a GRPCRoute has no filter of type {kind}"), "remove it, or write an HTTPRoute");
    }
    found.is_none()
}

fn read_match(at: &At<'_>) -> Option<GrpcMatch> {
    let one = at.object(&Schema::of(&["method", "headers"]))?;
    let method = match one.get("method") {
        Some(at) => read_method(&at).map(Some),
        None => Some(None),
    };
    let headers = http_route::matches::read_headers(&one);
    Some(GrpcMatch { method: method?, headers: headers? })
}

fn read_method(at: &At<'_>) -> Option<GrpcMethod> {
    let method = at.object(&Schema::of(&["type", "service", "method"]))?;
    let regex = match method.get_text("type") {
        Some((at, _)) => at.word(&[("Exact", false), ("RegularExpression", true)])?,
        None => false,
    };
    let read = |field: &'static str, dots: bool| match method.get_text(field) {
        None => Some(None),
        Some((at, text)) if text.len() > NAME => {
            at.error(format!("it is longer than {NAME} bytes"), "shorten it");
            None
        }
        Some((at, text)) if regex => http_route::matches::read_regex(&at, text).map(Some),
        Some((at, text)) => {
            let good = is_grpc_name(text, dots);
            if !good {
                let mend =
                    if dots { "write one such as helloworld.Greeter" } else { "write one such as SayHello" };
                at.error(format!("{} is not the name of a gRPC {field}", excerpt(at.value())), mend);
            }
            good.then(|| Some(text.to_owned()))
        }
    };
    let (service, name) = (read("service", true), read("method", false));
    let (service, name) = (service?, name?);
    if service.is_none() && name.is_none() {
        at.error(
            "it names neither a service nor a method",
            "add one of them, or remove it to match every call",
        );
        return None;
    }
    Some(GrpcMethod { regex, service, method: name })
}

/// The match on `/SERVICE/METHOD` that says the same. A service alone is a prefix, which keeps it in the table of paths.
fn lower(one: &GrpcMatch) -> RouteMatch {
    const ANY: &str = "[^/]+";
    let path = match &one.method {
        None => PathMatch::default(),
        Some(GrpcMethod { regex: false, service: Some(service), method: Some(method) }) => {
            PathMatch::Exact(format!("/{service}/{method}"))
        }
        Some(GrpcMethod { regex: false, service: Some(service), method: None }) => {
            PathMatch::Prefix(format!("/{service}"))
        }
        Some(GrpcMethod { regex: false, service: None, method }) => {
            PathMatch::Regex(format!("/{ANY}/{}", method.as_deref().unwrap_or(ANY)))
        }
        Some(GrpcMethod { regex: true, service, method }) => {
            let part = |part: &Option<String>| match part {
                Some(expression) => format!("(?:{expression})"),
                None => ANY.to_owned(),
            };
            PathMatch::Regex(format!("/{}/{}", part(service), part(method)))
        }
    };
    RouteMatch { path, headers: one.headers.clone(), ..RouteMatch::default() }
}

pub(crate) fn write(spec: &GrpcRouteSpec, namespace: &str) -> Value {
    let rules = spec.rules.iter().map(|rule| write_rule(rule, namespace)).collect();
    http_route::write_attachment(&spec.parents, &spec.hostnames, rules, namespace)
}

fn write_rule(rule: &GrpcRule, namespace: &str) -> Value {
    let mut written = http_route::write_rule(&rule.lowered, namespace);
    if let Some(fields) = written.as_object_mut() {
        fields.remove("matches");
        if let Some(matches) = non_empty(rule.matches.iter().map(write_match).collect()) {
            fields.insert("matches".to_owned(), matches);
        }
    }
    written
}

fn write_match(one: &GrpcMatch) -> Value {
    let method = one.method.as_ref().map(|method| {
        fields([
            ("type", Some(json!(if method.regex { "RegularExpression" } else { "Exact" }))),
            ("service", method.service.as_ref().map(|name| json!(name))),
            ("method", method.method.as_ref().map(|name| json!(name))),
        ])
    });
    fields([("method", method), ("headers", http_route::matches::write_headers(&one.headers))])
}

#[cfg(test)]
mod tests;
