//! Endpoints (EDS): localities, priorities, weights, health.
//!
//! gRPC takes no locality without weight and no endpoint of unknown weight; Envoy's priorities end at 127.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{core, endpoint};
use super::{metadata, wire};
use core::HealthStatus;
use endpoint::cluster_load_assignment::Policy;
use endpoint::lb_endpoint::HostIdentifier;
use weir_model::{Endpoint, Endpoints, Health, Locality, LocalityEndpoints, OVERPROVISIONING, limits};

/// The key of a workload's name in an endpoint's metadata.
const WORKLOAD: &str = "workload";
/// Envoy's largest priority.
const PRIORITIES: u32 = 127;

/// The message of a cluster's endpoints.
pub(super) fn encode(endpoints: &Endpoints) -> endpoint::ClusterLoadAssignment {
    endpoint::ClusterLoadAssignment {
        cluster_name: endpoints.name.clone(),
        endpoints: endpoints.localities.iter().map(locality).collect(),
        policy: (endpoints.overprovisioning != OVERPROVISIONING).then(|| Policy {
            overprovisioning_factor: wire::wrap(endpoints.overprovisioning),
            ..Policy::default()
        }),
        ..endpoint::ClusterLoadAssignment::default()
    }
}

/// The endpoints of a message.
pub(super) fn decode(message: &endpoint::ClusterLoadAssignment) -> Check<Endpoints> {
    refuse!(message; named_endpoints);
    let overprovisioning = match &message.policy {
        Some(policy) => from_policy(policy).at("policy")?,
        None => OVERPROVISIONING,
    };
    let total: usize = message.endpoints.iter().map(|locality| locality.lb_endpoints.len()).sum();
    if total > limits::ENDPOINTS {
        return Err(Fault::of(
            "endpoints",
            format!("{total} endpoints, at most {} are taken", limits::ENDPOINTS),
        ));
    }
    Ok(Endpoints {
        name: wire::name("cluster_name", &message.cluster_name)?,
        localities: each("endpoints", &message.endpoints, limits::ENDPOINTS, from_locality)?,
        overprovisioning,
    })
}

fn from_policy(policy: &Policy) -> Check<u32> {
    refuse!(policy; drop_overloads, endpoint_stale_after, weighted_priority_health);
    match &policy.overprovisioning_factor {
        None => Ok(OVERPROVISIONING),
        Some(factor) if factor.value == 0 => Err(Fault::of("overprovisioning_factor", "must be above 0")),
        Some(factor) => Ok(factor.value),
    }
}

fn locality(locality: &LocalityEndpoints) -> endpoint::LocalityLbEndpoints {
    endpoint::LocalityLbEndpoints {
        locality: Some(encode_locality(&locality.locality)),
        lb_endpoints: locality.endpoints.iter().map(one).collect(),
        load_balancing_weight: wire::wrap(locality.weight.max(1)),
        priority: locality.priority,
        ..endpoint::LocalityLbEndpoints::default()
    }
}

fn from_locality(message: &endpoint::LocalityLbEndpoints) -> Check<LocalityEndpoints> {
    refuse!(message; lb_config);
    if message.priority > PRIORITIES {
        return Err(Fault::of("priority", format!("{} is above {PRIORITIES}", message.priority)));
    }
    Ok(LocalityEndpoints {
        locality: decode_locality(message.locality.as_ref()).at("locality")?,
        priority: message.priority,
        weight: weight(message.load_balancing_weight.as_ref().map(|weight| weight.value))?,
        endpoints: each("lb_endpoints", &message.lb_endpoints, limits::ENDPOINTS, from_one)?,
    })
}

fn one(endpoint: &Endpoint) -> endpoint::LbEndpoint {
    let health = match endpoint.health {
        Health::Healthy => HealthStatus::Healthy,
        Health::Degraded => HealthStatus::Degraded,
        Health::Draining => HealthStatus::Draining,
        Health::Unhealthy => HealthStatus::Unhealthy,
    };
    let host = endpoint::Endpoint {
        address: Some(wire::address(endpoint.address)),
        ..endpoint::Endpoint::default()
    };
    endpoint::LbEndpoint {
        health_status: health as i32,
        metadata: match endpoint.workload.as_str() {
            "" => None,
            workload => Some(metadata::encode(WORKLOAD, workload)),
        },
        load_balancing_weight: wire::wrap(endpoint.weight.max(1)),
        host_identifier: Some(HostIdentifier::Endpoint(host)),
    }
}

fn from_one(message: &endpoint::LbEndpoint) -> Check<Endpoint> {
    let host = match &message.host_identifier {
        Some(HostIdentifier::Endpoint(host)) => host,
        Some(HostIdentifier::EndpointName(_)) => return Err(Fault::unsupported("endpoint_name")),
        None => return Err(Fault::of("endpoint", "missing")),
    };
    let health = match HealthStatus::try_from(message.health_status) {
        Ok(HealthStatus::Unknown | HealthStatus::Healthy) => Health::Healthy,
        Ok(HealthStatus::Degraded) => Health::Degraded,
        Ok(HealthStatus::Draining) => Health::Draining,
        Ok(HealthStatus::Unhealthy | HealthStatus::Timeout) => Health::Unhealthy,
        Err(_) => return Err(Fault::of("health_status", format!("{} is unknown", message.health_status))),
    };
    let workload = metadata::decode(message.metadata.as_ref(), WORKLOAD)?.unwrap_or_default();
    Ok(Endpoint {
        address: from_host(host).at("endpoint")?,
        workload: workload.to_owned(),
        health,
        weight: weight(message.load_balancing_weight.as_ref().map(|weight| weight.value))?,
    })
}

fn from_host(host: &endpoint::Endpoint) -> Check<std::net::SocketAddr> {
    refuse!(host; additional_addresses);
    if let Some(config) = &host.health_check_config {
        let inner = || {
            refuse!(config; port_value, hostname, address, disable_active_health_check);
            Ok(())
        };
        inner().at("health_check_config")?;
    }
    wire::from_address(required("address", host.address.as_ref())?).at("address")
}

fn weight(value: Option<u32>) -> Check<u32> {
    match value {
        None => Ok(1),
        Some(0) => Err(Fault::of("load_balancing_weight", "must be at least 1")),
        Some(weight) => Ok(weight),
    }
}

/// The message of a locality.
pub(crate) fn encode_locality(locality: &Locality) -> core::Locality {
    core::Locality {
        region: locality.region.clone(),
        zone: locality.zone.clone(),
        sub_zone: locality.sub_zone.clone(),
    }
}

/// The locality of a message; empty if there is none.
pub(crate) fn decode_locality(message: Option<&core::Locality>) -> Check<Locality> {
    let Some(message) = message else { return Ok(Locality::default()) };
    let part = |field: &str, value: &str| match value {
        "" => Ok(String::new()),
        value => wire::name(field, value),
    };
    Ok(Locality {
        region: part("region", &message.region)?,
        zone: part("zone", &message.zone)?,
        sub_zone: part("sub_zone", &message.sub_zone)?,
    })
}
