//! Endpoints (EDS): localities, priorities, weights, health.
//!
//! Beside endpoints, a control plane says which share of the requests is refused (`drop_overloads`). gRPC takes no locality without weight and no endpoint of unknown weight; Envoy's priorities end at 127.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{core, endpoint};
use super::{metadata, subset, wire};
use core::HealthStatus;
use endpoint::cluster_load_assignment::{Policy, policy};
use endpoint::lb_endpoint::HostIdentifier;
use std::net::SocketAddr;
use weir_model::{
    DropOverload, Endpoint, EndpointDetails, Endpoints, Health, Locality, LocalityEndpoints,
    OVERPROVISIONING, limits,
};

/// The key of a workload's name in an endpoint's metadata.
const WORKLOAD: &str = "workload";
/// Envoy's largest priority.
const PRIORITIES: u32 = 127;

/// The message of a cluster's endpoints.
pub(super) fn encode(endpoints: &Endpoints) -> endpoint::ClusterLoadAssignment {
    endpoint::ClusterLoadAssignment {
        cluster_name: endpoints.name.clone(),
        endpoints: endpoints.localities.iter().map(locality).collect(),
        policy: policy(endpoints),
        ..endpoint::ClusterLoadAssignment::default()
    }
}

fn policy(endpoints: &Endpoints) -> Option<Policy> {
    let drop = |drop: &DropOverload| policy::DropOverload {
        category: drop.category.clone(),
        drop_percentage: Some(wire::fraction(drop.share)),
    };
    let policy = Policy {
        overprovisioning_factor: match endpoints.overprovisioning {
            OVERPROVISIONING => None,
            other => wire::wrap(other),
        },
        weighted_priority_health: endpoints.weighted_priority_health,
        drop_overloads: endpoints.drops.iter().map(drop).collect(),
        ..Policy::default()
    };
    (policy != Policy::default()).then_some(policy)
}

/// The endpoints of a message.
pub(super) fn decode(message: &endpoint::ClusterLoadAssignment) -> Check<Endpoints> {
    refuse!(message; named_endpoints);
    let policy = message.policy.clone().unwrap_or_default();
    let (overprovisioning, drops) = from_policy(&policy).at("policy")?;
    let total: usize = message.endpoints.iter().map(|locality| locality.lb_endpoints.len()).sum();
    if total > limits::ENDPOINTS {
        return Err(Fault::of(
            "endpoints",
            format!("{total} endpoints, at most {} are taken", limits::ENDPOINTS),
        ));
    }
    Ok(Endpoints {
        drops,
        weighted_priority_health: policy.weighted_priority_health,
        name: wire::name("cluster_name", &message.cluster_name)?,
        localities: each("endpoints", &message.endpoints, limits::ENDPOINTS, from_locality)?,
        overprovisioning,
    })
}

fn from_policy(policy: &Policy) -> Check<(u32, Vec<DropOverload>)> {
    refuse!(policy; endpoint_stale_after);
    let overprovisioning = match &policy.overprovisioning_factor {
        None => OVERPROVISIONING,
        Some(factor) if factor.value == 0 => {
            return Err(Fault::of("overprovisioning_factor", "must be above 0"));
        }
        Some(factor) => factor.value,
    };
    let drops = each("drop_overloads", &policy.drop_overloads, limits::DROPS, |drop| {
        let category = wire::name("category", &drop.category)?;
        let share = required("drop_percentage", drop.drop_percentage.as_ref())?;
        Ok(DropOverload { category, share: wire::from_fraction(share).at("drop_percentage")? })
    })?;
    Ok((overprovisioning, drops))
}

/// The message of a locality with its endpoints.
pub(super) fn locality(locality: &LocalityEndpoints) -> endpoint::LocalityLbEndpoints {
    endpoint::LocalityLbEndpoints {
        locality: Some(encode_locality(&locality.locality)),
        lb_endpoints: locality.endpoints.iter().map(one).collect(),
        load_balancing_weight: wire::wrap(locality.weight.max(1)),
        priority: locality.priority,
        ..endpoint::LocalityLbEndpoints::default()
    }
}

/// The endpoints of a locality's message.
pub(super) fn from_locality(message: &endpoint::LocalityLbEndpoints) -> Check<LocalityEndpoints> {
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
    let mut host = endpoint::Endpoint {
        address: Some(wire::address(endpoint.address)),
        ..endpoint::Endpoint::default()
    };
    let workload = match endpoint.workload.as_str() {
        "" => None,
        workload => Some(metadata::encode(WORKLOAD, workload)),
    };
    let metadata = match &endpoint.details {
        Some(details) => {
            host.hostname.clone_from(&details.hostname);
            let check = endpoint::endpoint::HealthCheckConfig {
                hostname: details.check_host.clone(),
                address: details.check_address.map(wire::address),
                disable_active_health_check: details.unchecked,
                ..Default::default()
            };
            host.health_check_config = (check != Default::default()).then_some(check);
            subset::add_labels(&details.labels, workload)
        }
        None => workload,
    };
    endpoint::LbEndpoint {
        health_status: health as i32,
        metadata,
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
    let (address, details) = from_host(host).at("endpoint")?;
    let details = EndpointDetails { labels: subset::endpoint_labels(message.metadata.as_ref())?, ..details };
    Ok(Endpoint {
        address,
        details: details.boxed(),
        workload: workload.to_owned(),
        health,
        weight: weight(message.load_balancing_weight.as_ref().map(|weight| weight.value))?,
    })
}

/// Where an endpoint is, and what few of them have but labels.
fn from_host(host: &endpoint::Endpoint) -> Check<(SocketAddr, EndpointDetails)> {
    refuse!(host; additional_addresses);
    let address = wire::from_address(required("address", host.address.as_ref())?).at("address")?;
    let mut details = EndpointDetails { hostname: short("hostname", &host.hostname)?, ..Default::default() };
    if let Some(config) = &host.health_check_config {
        let inner = || {
            let mut check = match &config.address {
                Some(address) => wire::from_address(address).at("address")?,
                None => address,
            };
            match u16::try_from(config.port_value) {
                Ok(0) => {}
                Ok(port) => check.set_port(port),
                Err(_) => return Err(Fault::of("port_value", "above 65535")),
            }
            Ok((check, short("hostname", &config.hostname)?))
        };
        let (check, host) = inner().at("health_check_config")?;
        details.check_address = Some(check).filter(|check| *check != address);
        details.check_host = host;
        details.unchecked = config.disable_active_health_check;
    }
    Ok((address, details))
}

/// A text that may be empty.
fn short(field: &str, value: &str) -> Check<String> {
    match value {
        "" => Ok(String::new()),
        value => wire::name(field, value),
    }
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
