//! Clusters and endpoints of services.

use crate::index::Index;
use crate::memo::{self, versioned};
use crate::near::{Nearness, Place};
use crate::{express, health, outbound_name};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use weir_model::mesh::{AppProtocol, Mesh, Name, Service, ServicePort};
use weir_model::node::Target;
use weir_model::{
    Cluster, ClusterKind, Diagnostic, Discovery, Endpoint, Endpoints, Health, HttpVersion, Locality,
    LocalityEndpoints, Resource, Severity, limits,
};

/// The port of a service with a number.
pub(crate) fn port_of(service: &Service, number: u16) -> Option<&ServicePort> {
    service.ports.iter().find(|port| port.port == number)
}

/// What is spoken upstream on a port.
pub(crate) fn http_version(protocol: AppProtocol) -> HttpVersion {
    match protocol {
        AppProtocol::Http => HttpVersion::Http1,
        AppProtocol::Http2 | AppProtocol::Grpc => HttpVersion::Http2,
        AppProtocol::Unspecified | AppProtocol::Tcp => HttpVersion::Downstream,
    }
}

/// The cluster of a service's port.
///
/// How a cluster is reached is the concern of its own service: a policy for the service that a route is attached to says how long its requests
/// may take and when they are retried, not how the endpoints of the backends are chosen.
pub(crate) fn cluster(
    mesh: &Mesh,
    index: &Index,
    name: &Name,
    port: &ServicePort,
    target: Target,
) -> memo::Cluster {
    let policy = index.policy(mesh, name, port.port);
    let mut diagnostics = Vec::new();
    let cluster_name = outbound_name(name, port.port);
    let load_balancing = express::load_balancing(&policy, target, &mut diagnostics);
    let authority = format!("{}.{}:{}", name.name, name.namespace, port.port);
    let cluster = Cluster {
        subsets: None,
        kind: ClusterKind::Service {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            port: port.port,
        },
        discovery: Discovery::Eds(cluster_name.clone()),
        name: cluster_name,
        health: health::of(&policy, &authority, &load_balancing, target, &mut diagnostics),
        load_balancing,
        http: http_version(port.protocol),
        connect_timeout: policy.connect_timeout().map_or(limits::CONNECT_TIMEOUT, |(_, timeout)| timeout),
        idle_timeout: limits::IDLE_CONNECTION_AGE,
        spread: weir_model::Spread::default(),
        circuit_breakers: policy.circuit_breakers().map(|(_, breakers)| breakers.clone()).unwrap_or_default(),
    };
    express::connection(&policy, target, &mut diagnostics);
    memo::Cluster { resource: versioned(Resource::Cluster(cluster)), diagnostics }
}

/// The endpoints of a service's port for nodes at a place: one for each ready workload that it selects, in localities weighted by their
/// endpoints. All are of one priority, unless a policy prefers those near the node.
pub(crate) fn endpoints(
    mesh: &Mesh,
    index: &Index,
    (name, service): (&Name, &Service),
    port: &ServicePort,
    near: Option<&(Nearness, Place)>,
) -> memo::Endpoints {
    let mut found: BTreeMap<&Locality, BTreeMap<SocketAddr, Endpoint>> = BTreeMap::new();
    let mut addresses = std::collections::BTreeSet::new();
    let mut beyond = 0usize;
    for (workload_name, workload) in index.selection.of(mesh, name, service) {
        let Some(serving) = service.workload_port(port, &workload.ports).filter(|_| workload.ready) else {
            continue;
        };
        if addresses.len() == limits::ENDPOINTS && !addresses.contains(&serving.address) {
            beyond += 1;
            continue;
        }
        // The first by name has the address.
        if addresses.insert(serving.address) {
            let endpoint = Endpoint {
                details: None,
                address: serving.address,
                workload: workload_name.name.clone(),
                health: Health::Healthy,
                weight: workload.weight.max(1),
            };
            found.entry(&workload.locality).or_default().insert(serving.address, endpoint);
        }
    }
    // Weights add up in 32 bits on every data plane.
    let all = found.values().flat_map(BTreeMap::values);
    let scale = weight_scale(all.map(|endpoint| u64::from(endpoint.weight)).sum());
    let localities = found.into_iter().map(|(locality, endpoints)| {
        let endpoints: Vec<Endpoint> = endpoints
            .into_values()
            .map(|endpoint| Endpoint { weight: scaled(endpoint.weight, scale), ..endpoint })
            .collect();
        let weight = endpoints.iter().fold(0, |sum: u32, endpoint| sum.saturating_add(endpoint.weight));
        LocalityEndpoints { locality: locality.clone(), priority: 0, weight, endpoints }
    });
    let mut resource = Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: outbound_name(name, port.port),
        localities: localities.collect(),
        overprovisioning: weir_model::OVERPROVISIONING,
    };
    if let Some((near, place)) = near {
        near.prefer(mesh, index, place, &mut resource);
    }
    let mut diagnostics = Vec::new();
    if beyond > 0 {
        diagnostics.push(Diagnostic {
            severity: Severity::Error,
            resource: format!("Service {name}"),
            field: "spec.selector".to_owned(),
            message: format!(
                "{beyond} of its endpoints get no traffic: a cluster has at most {}",
                limits::ENDPOINTS
            ),
            mend: "split the service".to_owned(),
        });
    }
    memo::Endpoints { resource: versioned(Resource::Endpoints(resource)), diagnostics }
}

/// By what weights are divided so that they add up in 32 bits; half of it is left for what rounding up adds.
pub(crate) fn weight_scale(sum: u64) -> u64 {
    sum / (u64::from(u32::MAX) / 2) + 1
}

/// A weight, divided; what was something stays something.
pub(crate) fn scaled(weight: u32, scale: u64) -> u32 {
    match u32::try_from(u64::from(weight) / scale) {
        Ok(0) if weight > 0 => 1,
        Ok(scaled) => scaled,
        Err(_) => u32::MAX,
    }
}
