//! What a service's policy has done with requests beside sending them somewhere.
//!
//! | | where | stock Envoy | proxyless gRPC |
//! |---|---|---|---|
//! | rate limits | the service's own sidecars, for all who call it | yes | by those sidecars |
//! | faults | callers | yes | no |
//! | fallback | callers | no | no |

use crate::index::Policy;
use crate::memo;
use crate::outbound_name;
use crate::scope::Pass;
use crate::service::port_of;
use std::collections::BTreeSet;
use weir_model::mesh::{FallbackPolicy, Mesh, Name, WorkloadPort};
use weir_model::node::{Inbound, Target};
use weir_model::{Diagnostic, Fallback, Filters, RateLimits, Severity};

fn of_policy(name: &Name, field: &str, message: String, mend: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        resource: format!("TrafficPolicy {name}"),
        field: field.to_owned(),
        message,
        mend: mend.to_owned(),
    }
}

const SIDECAR: &str = "leave it out, or run a weir sidecar beside the client";

/// What callers do to requests on purpose.
pub(crate) fn faults(
    policy: &Policy<'_>,
    target: Target,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Box<Filters>> {
    let (name, fault) = policy.fault()?;
    if target == Target::Grpc {
        let message = "gRPC clients neither delay nor abort calls on purpose".to_owned();
        diagnostics.push(of_policy(name, "spec.faults", message, SIDECAR));
        return None;
    }
    Some(Box::new(Filters { fault: Some(fault.clone()), ..Filters::default() }))
}

/// What answers callers where the service's clusters cannot.
pub(crate) fn fallback(
    mesh: &Mesh,
    policy: &Policy<'_>,
    target: Target,
    clusters: &mut BTreeSet<memo::ServicePort>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Box<Fallback>> {
    let (name, said) = policy.fallback()?;
    if target != Target::Weir {
        let message = "only weir's own sidecars answer for a service that cannot".to_owned();
        diagnostics.push(of_policy(name, "spec.fallback", message, SIDECAR));
        return None;
    }
    let backend = match said {
        FallbackPolicy::Response(response) => return Some(Box::new(Fallback::Direct(response.clone()))),
        FallbackPolicy::Backend(backend) => backend,
    };
    let found = mesh.services.get(&backend.service).and_then(|service| port_of(service, backend.port));
    if found.is_none() {
        let message =
            format!("{}:{} is no port of a service: nothing answers instead", backend.service, backend.port);
        diagnostics.push(of_policy(name, "spec.fallback.backendRef", message, "apply the service"));
        return None;
    }
    clusters.insert((backend.service.clone(), backend.port));
    Some(Box::new(Fallback::Cluster(outbound_name(&backend.service, backend.port))))
}

/// How many requests an inbound listener lets in: as the first by name says of the services that it serves.
pub(crate) fn limits(
    pass: &mut Pass<'_>,
    inbound: &Inbound,
    ports: &[WorkloadPort],
    wanted: &WorkloadPort,
) -> Option<Box<Filters>> {
    let node = pass.node;
    let own = node.service.rsplit_once('/').map_or(node.service.as_str(), |(_, name)| name);
    let first = Name::new(&node.namespace, "");
    let services = pass.mesh.services.range(first..).take_while(|(name, _)| name.namespace == node.namespace);
    let mut found: Option<(&Name, &RateLimits)> = None;
    for (name, service) in services {
        if !service.selects(&node.labels) && (name.name != own || !service.selector.is_empty()) {
            continue;
        }
        let serving =
            |port: &&weir_model::mesh::ServicePort| service.workload_port(port, ports) == Some(wanted);
        for port in service.ports.iter().filter(serving) {
            let Some((policy, limits)) = pass.policy(name, port.port).limits() else { continue };
            match found {
                None => found = Some((policy, limits)),
                Some((_, before)) if before != limits => {
                    let message = format!("{} has the limits of another policy already", inbound.listen);
                    let mend = "give the services that share a port the same limits";
                    pass.say(of_policy(policy, "spec.rateLimits", message, mend));
                }
                Some(_) => {}
            }
        }
    }
    let (_, limits) = found?;
    Some(Box::new(Filters { limits: Some(limits.clone()), ..Filters::default() }))
}
