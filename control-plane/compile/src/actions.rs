//! What a service's policy has done with requests beside sending them somewhere.
//!
//! | | where | stock Envoy | proxyless gRPC |
//! |---|---|---|---|
//! | rate limits that the service enforces | the service's own sidecars, for all who call it | yes | by those sidecars |
//! | rate limits that callers enforce | callers | yes | no |
//! | the size of bodies | the service's own sidecars | yes | by those sidecars |
//! | faults | callers | yes | no |
//! | fallback | callers | no | no |

use crate::index::Policy;
use crate::memo;
use crate::outbound_name;
use crate::service::port_of;
use std::collections::BTreeSet;
use weir_model::mesh::{FallbackPolicy, Mesh, Name};
use weir_model::node::Target;
use weir_model::{Diagnostic, Fallback, Filters, Severity};

pub(crate) fn of_policy(name: &Name, field: &str, message: String, mend: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        resource: format!("TrafficPolicy {name}"),
        field: field.to_owned(),
        message,
        mend: mend.to_owned(),
    }
}

const SIDECAR: &str = "leave it out, or run a weir sidecar beside the client";

/// What callers do to requests on purpose, and how many of them they send.
pub(crate) fn of_callers(
    policy: &Policy<'_>,
    target: Target,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Box<Filters>> {
    let (fault, limits) = (policy.fault(), policy.caller_limits());
    if target == Target::Grpc {
        let said = [
            (
                fault.map(|(name, _)| name),
                "spec.faults",
                "gRPC clients neither delay nor abort calls on purpose",
            ),
            (limits.map(|(name, _)| name), "spec.rateLimits", "gRPC clients do not limit their rate"),
        ];
        for (name, field, message) in said {
            diagnostics.extend(name.map(|name| of_policy(name, field, message.to_owned(), SIDECAR)));
        }
        return None;
    }
    let filters = Filters {
        fault: fault.map(|(_, fault)| fault.clone()),
        limits: limits.map(|(_, limits)| limits.clone()),
        ..Filters::default()
    };
    (!filters.is_empty()).then(|| Box::new(filters))
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
