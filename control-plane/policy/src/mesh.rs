//! Objects → the compiler's input.

use crate::{
    Object, RetriesSpec, RetryCondition, RouteParent, ServiceSpec, Spec, StreamRouteSpec, TrafficPolicySpec,
    WorkloadSpec,
};
use http::StatusCode;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use weir_model::mesh::{
    ActionPolicy, AdmissionPolicy, HttpRoute, HttpRule, Mesh, Name, ParentRef, RouteFilter, RouteKind,
    RouteName, Service, ServicePort, StreamRoute, TargetPort, TrafficPolicy, Workload, WorkloadPort,
};
use weir_model::{
    AskedWait, CircuitBreakers, ConnectionLimits, RetryBudget, RetryOn, RetryPolicy, Thresholds,
};

/// The mesh that these objects describe. Joined workloads are for the caller to add. What is not stored yet counts as the newest.
///
/// Total: a reference to a port by a name that its service does not have is left out, since [`crate::validate`] refuses it.
pub fn to_mesh<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Mesh {
    let mut mesh = Mesh::default();
    let mut attached = Vec::new();
    for object in objects {
        let name = object.id.name.clone();
        match &object.spec {
            Spec::Service(spec) => drop(mesh.services.insert(name, service(spec))),
            Spec::Workload(spec) => {
                drop(mesh.workloads.insert(name, workload(spec, &object.metadata.labels)))
            }
            // Ports are resolved when all services are known.
            Spec::HttpRoute(_)
            | Spec::GrpcRoute(_)
            | Spec::TlsRoute(_)
            | Spec::TcpRoute(_)
            | Spec::TrafficPolicy(_) => attached.push((name, object)),
            Spec::RouteFilter(spec) => {
                let filter = route_filter(spec, &name);
                mesh.route_filters.insert(name, filter);
            }
        }
    }
    for (name, object) in attached {
        let created_millis = object.metadata.created_millis.unwrap_or(u64::MAX);
        match &object.spec {
            Spec::HttpRoute(spec) => {
                let route = route(&spec.parents, spec.rules.clone(), created_millis, &mesh.services);
                mesh.http_routes.insert(RouteName::new(RouteKind::Http, name), route);
            }
            Spec::GrpcRoute(spec) => {
                let rules = spec.rules.iter().map(|rule| rule.lowered.clone()).collect();
                let route = route(&spec.parents, rules, created_millis, &mesh.services);
                mesh.http_routes.insert(RouteName::new(RouteKind::Grpc, name), route);
            }
            Spec::TlsRoute(spec) => {
                let route = stream_route(spec, created_millis, &mesh.services);
                mesh.tls_routes.insert(name, route);
            }
            Spec::TcpRoute(spec) => {
                let route = stream_route(spec, created_millis, &mesh.services);
                mesh.tcp_routes.insert(name, route);
            }
            Spec::TrafficPolicy(spec) => {
                let policy = traffic_policy(spec, &name, created_millis, &mesh.services);
                mesh.traffic_policies.insert(name, policy);
            }
            Spec::Service(_) | Spec::Workload(_) | Spec::RouteFilter(_) => {}
        }
    }
    mesh
}

fn service(spec: &ServiceSpec) -> Service {
    let ports = spec.ports.iter().map(|port| ServicePort {
        name: port.name.clone(),
        port: port.port,
        target: port.target.clone().unwrap_or(TargetPort::Number(port.port)),
        protocol: port.protocol(),
    });
    Service { selector: spec.selector.clone(), ports: ports.collect(), distribution: spec.distribution }
}

fn workload(spec: &WorkloadSpec, labels: &BTreeMap<String, String>) -> Workload {
    let ports = spec.ports.iter().map(|(name, number)| WorkloadPort {
        name: name.clone(),
        number: *number,
        address: SocketAddr::new(spec.address, *number),
    });
    Workload {
        labels: labels.clone(),
        locality: spec.locality.clone(),
        weight: spec.weight,
        ports: ports.collect(),
        ready: true,
    }
}

/// The port that a reference means, if it means one: both the name and the number must be that port's.
pub(crate) fn section_port(
    service: &Service,
    section: Option<&str>,
    port: Option<u16>,
) -> Option<Option<u16>> {
    let Some(section) = section else { return Some(port) };
    let named = service.ports.iter().find(|candidate| candidate.name == section)?;
    port.is_none_or(|port| port == named.port).then_some(Some(named.port))
}

fn parent_ref(parent: &RouteParent, services: &BTreeMap<Name, Service>) -> Option<ParentRef> {
    let port = match services.get(&parent.service) {
        Some(service) => section_port(service, parent.section.as_deref(), parent.port)?,
        None if parent.section.is_some() => return None,
        None => parent.port,
    };
    Some(ParentRef { service: parent.service.clone(), port })
}

fn route(
    parents: &[RouteParent],
    rules: Vec<HttpRule>,
    created_millis: u64,
    services: &BTreeMap<Name, Service>,
) -> HttpRoute {
    let parents = parents.iter().filter_map(|parent| parent_ref(parent, services)).collect();
    HttpRoute { parents, rules, created_millis }
}

fn stream_route(
    spec: &StreamRouteSpec,
    created_millis: u64,
    services: &BTreeMap<Name, Service>,
) -> StreamRoute {
    StreamRoute {
        parents: spec.parents.iter().filter_map(|parent| parent_ref(parent, services)).collect(),
        hostnames: spec.hostnames.clone(),
        backends: spec.backends.clone(),
        created_millis,
    }
}

fn traffic_policy(
    spec: &TrafficPolicySpec,
    name: &Name,
    created_millis: u64,
    services: &BTreeMap<Name, Service>,
) -> TrafficPolicy {
    let targets = spec.targets.iter().filter_map(|target| {
        let service = Name::new(&name.namespace, &target.name);
        parent_ref(&RouteParent { service, section: target.section.clone(), port: None }, services)
    });
    TrafficPolicy {
        targets: targets.collect::<BTreeSet<_>>(),
        load_balancing: spec.load_balancing.clone(),
        affinity: spec.affinity.clone(),
        connect_timeout: spec.connect_timeout,
        timeouts: spec.timeouts.clone(),
        retry: spec.retries.as_ref().map(retry_policy),
        circuit_breakers: circuit_breakers(spec),
        health: spec.health.clone(),
        actions: actions(&spec.actions, name),
        created_millis,
    }
}

/// Limits are called as their policy is.
fn actions(spec: &ActionPolicy, name: &Name) -> ActionPolicy {
    let mut actions = spec.clone();
    call(&mut actions.limits, name);
    actions
}

/// Limits are called as their filter is, and count for all matches of a rule together.
fn route_filter(spec: &RouteFilter, name: &Name) -> RouteFilter {
    let mut filter = spec.clone();
    call(&mut filter.limits, name);
    let AdmissionPolicy { service, caller } = &mut filter.limits;
    for limits in [service, caller].into_iter().flatten() {
        limits.shared = true;
    }
    filter
}

fn call(limits: &mut AdmissionPolicy, name: &Name) {
    let AdmissionPolicy { service, caller } = limits;
    for limits in [service, caller].into_iter().flatten() {
        limits.name = name.to_string();
    }
}

fn retry_policy(retries: &RetriesSpec) -> RetryPolicy {
    let default = RetryPolicy::default();
    let base = retries.backoff_base.unwrap_or(default.backoff_base);
    RetryPolicy {
        attempts: retries.attempts.unwrap_or(default.attempts),
        on: if retries.on.is_empty() { default.on } else { retry_on(&retries.on) },
        backoff_base: base,
        backoff_max: retries.backoff_max.unwrap_or(default.backoff_max).max(base),
        asked: match retries.retry_after {
            Some(max) => Some(AskedWait::retry_after(max)).filter(|_| !max.is_zero()),
            None => default.asked,
        },
        hedge: retries.hedge.unwrap_or(default.hedge),
        requests: default.requests,
        avoid_tried: default.avoid_tried,
    }
}

fn retry_on(conditions: &[RetryCondition]) -> RetryOn {
    let mut on = RetryOn::default();
    let (mut statuses, mut grpc) = (BTreeSet::new(), BTreeSet::new());
    for condition in conditions {
        match condition {
            RetryCondition::ConnectFailure => on.connect_failure = true,
            RetryCondition::RefusedStream => on.refused_stream = true,
            RetryCondition::Reset => on.reset = true,
            RetryCondition::RateLimited => on.rate_limited = true,
            RetryCondition::GatewayError => {
                on.reset = true;
                statuses.extend([502, 503, 504]);
            }
            RetryCondition::ServerError => {
                on.reset = true;
                statuses.extend(500..=599);
            }
            RetryCondition::Status(status) => {
                on.reset |= *status == 504;
                statuses.insert(*status);
            }
            RetryCondition::Grpc(status) => drop(grpc.insert(*status)),
        }
    }
    on.statuses = statuses.into_iter().filter_map(|status| StatusCode::from_u16(status).ok()).collect();
    on.grpc = grpc.into_iter().collect();
    on
}

fn circuit_breakers(spec: &TrafficPolicySpec) -> Option<CircuitBreakers> {
    let budget = spec.retries.as_ref().and_then(|retries| retries.budget.as_ref());
    if spec.circuit_breakers.is_none() && budget.is_none() {
        return None;
    }
    let limits = spec.circuit_breakers.clone().unwrap_or_default();
    let budget = budget.cloned().unwrap_or_default();
    let default = CircuitBreakers::default();
    let retry_budget = RetryBudget {
        parts_per_million: budget.parts_per_million.unwrap_or(default.retry_budget.parts_per_million),
        min_concurrency: budget.min_concurrency.unwrap_or(default.retry_budget.min_concurrency),
    };
    Some(CircuitBreakers {
        max_connections: limits.max_connections.unwrap_or(default.max_connections),
        max_pending: limits.max_pending.unwrap_or(default.max_pending),
        max_requests: limits.max_requests.unwrap_or(default.max_requests),
        max_endpoint_connections: limits.max_endpoint_connections,
        connection: ConnectionLimits {
            max_requests: limits.max_connection_requests,
            max_duration: limits.max_connection_duration,
            max_streams: None,
            keepalive: None,
        },
        high: Thresholds {
            max_connections: limits.high.max_connections.unwrap_or(default.high.max_connections),
            max_pending: limits.high.max_pending.unwrap_or(default.high.max_pending),
            max_requests: limits.high.max_requests.unwrap_or(default.high.max_requests),
            retry_budget: retry_budget.clone(),
        },
        retry_budget,
    })
}

#[cfg(test)]
mod tests;
