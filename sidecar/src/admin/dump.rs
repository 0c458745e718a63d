//! `/config_dump`: what is in force, what waits and what was refused, in the words of the model.

mod bytes;
mod rare;

use std::time::Duration;

use serde_json::{Value, json};
use weir_config::{Answer, Snapshot, Status};
use weir_model::access_log::{AccessLog, JsonTemplate, LogFormat};
use weir_model::node::Node;
use weir_model::{
    Cluster, ClusterKind, Discovery, Endpoints, Forward, Forwarded, HeaderMutation, HttpListener, Listener,
    ListenerKind, LoadBalancing, PathMatch, PathRewrite, Redirect, Resource, ResourceType, RetryPolicy,
    Route, RouteAction, RouteConfiguration, RouteMatch, RouteSource, StringMatch,
};

use super::clusters::health;

/// The whole page.
pub(super) fn dump(node: &Node, status: &Status, snapshot: &Snapshot) -> Value {
    let of = |kind: ResourceType| -> Value {
        let effective = status.effective.of(kind);
        effective.map(|(name, version, value)| json!({"name": name, "version": version.to_string(), "resource": resource(value)})).collect()
    };
    json!({
        "node": self::node(node),
        "control_plane": {
            "address": status.control_plane,
            "connected": status.connected_since.is_some(),
            "connected_since_unix_ms": status.connected_since.map(|nanos| nanos / 1_000_000),
            "version": status.control_plane_version,
            "connects": status.connects,
            "failures": status.failures,
            "last_error": status.last_error,
            "load_report_error": status.load_report_error,
        },
        "snapshot": {"sequence": snapshot.sequence, "revision": snapshot.revision.to_string(), "restored": status.restored},
        "last_good": {"saves": status.saves, "save_failures": status.save_failures, "save_error": status.save_error},
        "listeners": of(ResourceType::Listener),
        "routes": of(ResourceType::Route),
        "clusters": of(ResourceType::Cluster),
        "endpoints": of(ResourceType::Endpoints),
        "names": status.names.iter().map(|(name, answer)| json!({"name": &**name, "answer": self::answer(*answer)})).collect::<Value>(),
        "pending": status.pending.iter().map(|pending| json!({
            "type": pending.kind.to_string(),
            "name": pending.name,
            "version": pending.version.to_string(),
            "older_in_force": pending.has_effective,
            "waits_for": pending.waits_for.iter().map(|(kind, name)| json!({"type": kind.to_string(), "name": name})).collect::<Value>(),
        })).collect::<Value>(),
        "refused": status.refused.iter().map(|refused| json!({
            "type": refused.kind.to_string(),
            "name": refused.name,
            "error": refused.error,
        })).collect::<Value>(),
    })
}

fn answer(answer: Answer) -> &'static str {
    match answer {
        Answer::Listener => "found",
        Answer::Absent => "absent",
        Answer::None => "none yet",
    }
}

fn node(node: &Node) -> Value {
    json!({
        "id": node.id,
        "namespace": node.namespace,
        "service": node.service,
        "service_account": node.service_account,
        "labels": node.labels,
        "locality": node.locality.to_string(),
        "outbound": node.outbound.map(|address| address.to_string()),
        "outbound_tcp": node.outbound_tcp.iter().map(|(address, service)| (address.to_string(), service.clone().into())).collect::<serde_json::Map<_, _>>(),
        "inbound": node.inbound.iter().map(|inbound| json!({
            "name": inbound.name,
            "listen": inbound.listen.to_string(),
            "app": inbound.app.to_string(),
        })).collect::<Value>(),
        "upstreams": node.upstreams,
    })
}

fn resource(resource: &Resource) -> Value {
    match resource {
        Resource::Cluster(cluster) => self::cluster(cluster),
        Resource::Endpoints(endpoints) => self::endpoints(endpoints),
        Resource::Listener(listener) => self::listener(listener),
        Resource::Route(routes) => route_configuration(routes),
    }
}

fn cluster(cluster: &Cluster) -> Value {
    let breakers = &cluster.circuit_breakers;
    json!({
        "kind": match &cluster.kind {
            ClusterKind::Service { namespace, name, port } => format!("service {namespace}/{name}:{port}"),
            ClusterKind::Application => "application".to_owned(),
            ClusterKind::Unknown => "unknown".to_owned(),
        },
        "discovery": match &cluster.discovery {
            Discovery::Eds(name) => json!({"eds": name}),
            Discovery::Static(endpoints) => json!({"static": self::endpoints(endpoints)}),
            Discovery::Dns(dns) => json!({"dns": names(dns)}),
        },
        "load_balancing": match &cluster.load_balancing {
            LoadBalancing::RoundRobin => json!("round robin"),
            LoadBalancing::Random => json!("random"),
            LoadBalancing::LeastRequest { choices } => json!({"least request": {"choices": choices}}),
            LoadBalancing::PeakEwma { decay, default_rtt } => {
                json!({"peak ewma": {"decay": duration(*decay), "default_rtt": duration(*default_rtt)}})
            }
            LoadBalancing::RingHash(size) => json!({"ring hash": {"minimum": size.minimum, "maximum": size.maximum}}),
            LoadBalancing::Maglev { table_size } => json!({"maglev": {"table_size": table_size}}),
        },
        "localities_by_weight": cluster.spread.by_locality,
        "draining_sessions": cluster.spread.draining_sessions,
        "http": format!("{:?}", cluster.http).to_lowercase(),
        "connect_timeout": duration(cluster.connect_timeout),
        "idle_timeout": duration(cluster.idle_timeout),
        "health": {
            "outlier_detection": cluster.health.outlier_detection.as_ref().map(|it| format!("{it:?}")),
            "health_check": cluster.health.health_check.as_ref().map(|it| format!("{it:?}")),
            "panic_threshold": cluster.health.panic_threshold,
            "slow_start": cluster.health.slow_start.as_ref().map(|it| format!("{it:?}")),
        },
        "circuit_breakers": {
            "max_connections": breakers.max_connections,
            "max_pending": breakers.max_pending,
            "max_requests": breakers.max_requests,
            "retry_budget": {
                "parts_per_million": breakers.retry_budget.parts_per_million,
                "min_concurrency": breakers.retry_budget.min_concurrency,
            },
        },
    })
}

fn endpoints(endpoints: &Endpoints) -> Value {
    let localities = endpoints.localities.iter().map(|locality| {
        json!({
            "locality": locality.locality.to_string(),
            "priority": locality.priority,
            "weight": locality.weight,
            "endpoints": locality.endpoints.iter().map(|endpoint| json!({
                "address": endpoint.address.to_string(),
                "workload": endpoint.workload,
                "health": health(endpoint.health),
                "weight": endpoint.weight,
            })).collect::<Value>(),
        })
    });
    json!({"overprovisioning": endpoints.overprovisioning, "localities": localities.collect::<Value>()})
}

fn listener(listener: &Listener) -> Value {
    json!({
        "address": listener.address.map(|address| address.to_string()),
        "direction": format!("{:?}", listener.direction).to_lowercase(),
        "kind": match &listener.kind {
            ListenerKind::Http(it) => json!({"http": http(it)}),
            ListenerKind::Tcp(it) => json!({"tcp": bytes::tcp(it)}),
            ListenerKind::Chains(it) => json!({"filter_chains": bytes::chains(it)}),
        },
    })
}

fn http(http: &HttpListener) -> Value {
    json!({
        "routes": match &http.routes {
            RouteSource::Rds(name) => json!({"rds": name}),
            RouteSource::Inline(routes) => json!({"inline": route_configuration(routes)}),
        },
        "paths": {
            "normalize": http.paths.normalize,
            "merge_slashes": http.paths.merge_slashes,
            "escaped_slashes": format!("{:?}", http.paths.escaped_slashes).to_lowercase(),
        },
        "forwarded": forwarded(http.forwarded),
        "sampling_parts_per_million": http.tracing.as_ref().map(|tracing| tracing.sampling.0),
        "access_log": access_log(http.access_log.as_deref()),
        "otherwise": http.detection.as_ref().map(|detection| json!({"tcp": bytes::tcp(&detection.otherwise), "wait_ms": detection.wait.as_millis() as u64})),
    })
}

/// Where lines go and what they say; `null` for no log, a list of several.
fn access_log(log: Option<&AccessLog>) -> Value {
    let mut all: Vec<Value> = log.into_iter().flat_map(AccessLog::all).map(one_log).collect();
    match all.len() {
        0 => Value::Null,
        1 => all.remove(0),
        _ => Value::Array(all),
    }
}

fn one_log(log: &AccessLog) -> Value {
    let format = match &log.format {
        LogFormat::Default => json!("default"),
        LogFormat::Text { template, .. } => json!(template.to_string()),
        LogFormat::Json { members, .. } => log_members(members),
    };
    let mut shown = json!({"output": format!("{:?}", log.output).to_lowercase(), "format": format});
    if let (Some(filter), Some(shown)) = (&log.filter, shown.as_object_mut()) {
        shown.insert("filter".to_owned(), json!(format!("{filter:?}")));
    }
    shown
}

fn log_members(members: &[(String, JsonTemplate)]) -> Value {
    members.iter().map(|(name, member)| (name.clone(), log_member(member))).collect()
}

fn log_member(member: &JsonTemplate) -> Value {
    match member {
        JsonTemplate::Text(template) => json!(template.to_string()),
        JsonTemplate::Object(members) => log_members(members),
        JsonTemplate::List(items) => items.iter().map(log_member).collect(),
        JsonTemplate::Number(number) => number.parse().map_or(Value::Null, Value::Number),
        JsonTemplate::Bool(value) => json!(value),
        JsonTemplate::Null => Value::Null,
    }
}

fn forwarded(forwarded: Forwarded) -> Value {
    match forwarded {
        Forwarded::Pass => json!("pass"),
        Forwarded::Edge { trusted_hops, append } => {
            json!({"edge": {"trusted_hops": trusted_hops, "append": append}})
        }
    }
}

fn route_configuration(routes: &RouteConfiguration) -> Value {
    let hosts = routes.virtual_hosts.iter().map(|host| {
        let mut shown = json!({"name": host.name, "domains": host.domains, "routes": host.routes.iter().map(route).collect::<Value>()});
        rare::options(routes.options.as_deref(), host.options.as_deref(), &mut shown);
        shown
    });
    hosts.collect()
}

fn route(route: &Route) -> Value {
    json!({
        "name": route.name,
        "match": route_match(&route.matches),
        "action": match &route.action {
            RouteAction::Forward(forward) => json!({"forward": self::forward(forward)}),
            RouteAction::Redirect(redirect) => json!({"redirect": self::redirect(redirect)}),
            RouteAction::Direct(direct) => json!({"direct": {"status": direct.status.as_u16(), "body": direct.body}}),
        },
        "request_headers": headers(&route.request_headers),
        "response_headers": headers(&route.response_headers),
    })
}

fn route_match(matches: &RouteMatch) -> Value {
    json!({
        "path": match &matches.path {
            PathMatch::Exact(path) => json!({"exact": path}),
            PathMatch::Prefix(prefix) => json!({"prefix": prefix}),
            PathMatch::Characters(prefix) => json!({"characters": prefix}),
            PathMatch::Regex(regex) => json!({"regex": regex}),
        },
        "method": matches.method.as_ref().map(|method| method.as_str()),
        "headers": matches.headers.iter().map(|header| json!({"name": header.name.as_str(), "value": string_match(&header.value)})).collect::<Value>(),
        "query": matches.query.iter().map(|query| json!({"name": query.name, "value": string_match(&query.value)})).collect::<Value>(),
        "fraction_parts_per_million": matches.fraction.map(|fraction| fraction.0),
        "more": matches.more.as_deref().map(rare::conditions),
    })
}

fn string_match(value: &StringMatch) -> Value {
    match value {
        StringMatch::Exact(text) => json!({"exact": text}),
        StringMatch::Regex(regex) => json!({"regex": regex}),
        StringMatch::Present => json!("present"),
    }
}

fn forward(forward: &Forward) -> Value {
    json!({
        "clusters": forward.clusters.iter().map(|target| json!({
            "cluster": target.cluster,
            "weight": target.weight,
            "request_headers": headers(&target.request_headers),
            "response_headers": headers(&target.response_headers),
        })).collect::<Value>(),
        "affinity": forward.affinity.as_deref().map(affinity),
        "rewrite": {"host": forward.rewrite.host, "path": forward.rewrite.path.as_ref().map(path_rewrite), "more": forward.rewrite.more.as_deref().map(rare::host)},
        "timeouts": {
            "request": forward.timeouts.request.map(duration),
            "backend_request": forward.timeouts.backend_request.map(duration),
            "idle": forward.timeouts.idle.map(duration),
        },
        "retry": forward.retry.as_ref().map(retry),
    })
}

fn affinity(affinity: &weir_model::Affinity) -> Value {
    use weir_model::{HashSource, StickySplit};
    let hash = affinity.hash.iter().map(|policy| {
        let source = match &policy.source {
            HashSource::Header(name) => json!({"header": name.as_str()}),
            HashSource::Cookie(it) => json!({"cookie": cookie(it)}),
            HashSource::SourceAddress => json!("source address"),
            HashSource::Query(name) => json!({"query": name}),
        };
        json!({"source": source, "terminal": policy.terminal})
    });
    json!({
        "hash": hash.collect::<Value>(),
        "split": affinity.split.as_ref().map(|split| match split {
            StickySplit::Hash => json!("hash"),
            StickySplit::Header(name) => json!({"header": name.as_str()}),
        }),
        "session": affinity.session.as_ref().map(|it| json!({"cookie": cookie(&it.cookie), "strict": it.strict})),
    })
}

fn cookie(cookie: &weir_model::Cookie) -> Value {
    json!({
        "name": cookie.name,
        "ttl": cookie.ttl.map(duration),
        "path": cookie.path,
        "attributes": cookie.attributes.iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Value>(),
    })
}

fn redirect(redirect: &Redirect) -> Value {
    json!({
        "scheme": redirect.scheme,
        "host": redirect.host,
        "port": redirect.port,
        "path": redirect.path.as_ref().map(path_rewrite),
        "status": redirect.status.as_u16(),
        "strip_query": redirect.strip_query,
    })
}

fn path_rewrite(rewrite: &PathRewrite) -> Value {
    match rewrite {
        PathRewrite::Full(path) => json!({"full": path}),
        PathRewrite::Prefix(prefix) => json!({"prefix": prefix}),
        PathRewrite::Characters(prefix) => json!({"characters": prefix}),
        PathRewrite::Substitute(change) => json!({"substitute": rare::substitution(change)}),
    }
}

fn retry(retry: &RetryPolicy) -> Value {
    json!({
        "attempts": retry.attempts,
        "on": {
            "connect_failure": retry.on.connect_failure,
            "refused_stream": retry.on.refused_stream,
            "reset": retry.on.reset,
            "statuses": retry.on.statuses.iter().map(|status| status.as_u16()).collect::<Vec<_>>(),
            "grpc": retry.on.grpc,
        },
        "backoff_base": duration(retry.backoff_base),
        "backoff_max": duration(retry.backoff_max),
    })
}

fn headers(mutation: &HeaderMutation) -> Value {
    if mutation.is_empty() {
        return Value::Null;
    }
    let pairs = |pairs: &[(weir_model::HeaderName, weir_model::HeaderValue)]| -> Value {
        let shown = |value: &weir_model::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        pairs.iter().map(|(name, value)| json!({"name": name.as_str(), "value": shown(value)})).collect()
    };
    json!({
        "set": pairs(&mutation.set),
        "add": pairs(&mutation.add),
        "remove": mutation.remove.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        "edits": mutation.edits.as_deref().map(rare::edits),
    })
}

/// As Rust writes it: `1.5s`, `250ms`.
fn duration(duration: Duration) -> String {
    format!("{duration:?}")
}

/// Names as `NAME:PORT`.
fn names(dns: &weir_model::Dns) -> Vec<String> {
    let hosts = dns.hosts.iter().flat_map(|locality| &locality.hosts);
    hosts.map(|host| format!("{}:{}", host.name, host.port)).collect()
}
