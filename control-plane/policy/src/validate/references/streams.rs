//! References of routes for connections, and which of them another one hides.

use super::{check_target, ports_of};
use crate::decode::Report;
use crate::mesh::section_port;
use crate::validate::{Findings, service_mend};
use crate::{Kind, ObjectId, RouteParent, StreamRouteSpec};
use weir_model::mesh::{AppProtocol, Mesh, Name, Service, StreamRoute};

pub(super) fn check(id: &ObjectId, spec: &StreamRouteSpec, mesh: &Mesh, findings: &mut Findings) {
    let report = findings.about(id);
    for (index, parent) in spec.parents.iter().enumerate() {
        check_parent(id, parent, &format!("spec.parentRefs[{index}]"), mesh, report);
    }
    for (index, backend) in spec.backends.iter().enumerate().filter(|(_, backend)| backend.weight > 0) {
        check_target(&backend.target, &format!("spec.rules[0].backendRefs[{index}]"), mesh, report);
    }
}

fn check_parent(id: &ObjectId, parent: &RouteParent, path: &str, mesh: &Mesh, report: &Report) {
    let RouteParent { service: name, section, port } = parent;
    let Some(service) = mesh.services.get(name) else {
        let message = format!("service {name} does not exist");
        return report.error(&format!("{path}.name"), message, service_mend(mesh, name));
    };
    let Some(number) = section_port(service, section.as_deref(), *port) else {
        let section = section.as_deref().unwrap_or_default();
        let message = match service.ports.iter().any(|port| port.name == section) {
            true => format!("port {section} of service {name} has another number than port says"),
            false => format!("service {name} has no port {section}"),
        };
        return report.error(&format!("{path}.sectionName"), message, ports_of(service));
    };
    if let Some(number) = number
        && service.ports.iter().all(|port| port.port != number)
    {
        let message = format!("service {name} has no port {number}");
        return report.error(&format!("{path}.port"), message, ports_of(service));
    }
    for port in service.ports.iter().filter(|port| number.is_none_or(|number| number == port.port)) {
        check_port(id, (name, service), port.port, path, mesh, report);
    }
}

/// What else is said of the same connections.
fn check_port(
    id: &ObjectId,
    (name, service): (&Name, &Service),
    number: u16,
    path: &str,
    mesh: &Mesh,
    report: &Report,
) {
    let opaque =
        |port: &weir_model::mesh::ServicePort| port.port == number && port.protocol == AppProtocol::Tcp;
    if !service.ports.iter().any(opaque) {
        let message = format!(
            "port {number} of service {name} speaks HTTP, whose requests go by HTTPRoutes: only connections through outbound TCP \
             listeners take this route"
        );
        report.warning(path, message, "give the port the appProtocol tcp or tls, or write an HTTPRoute");
    }
    // Routes of one side only hide each other: those of callers' namespaces have their own.
    let same_side = |other: &Name| other.namespace == id.name.namespace;
    let attached = |route: &StreamRoute| {
        let mut parents = route.parents.iter();
        parents.any(|parent| parent.service == *name && parent.port.is_none_or(|port| port == number))
    };
    let of_tls = mesh.tls_routes.iter().filter(|(other, route)| same_side(other) && attached(route));
    let place = format!("port {number} of service {name}");
    if id.kind == Kind::TcpRoute {
        if let Some((other, _)) = of_tls.clone().next() {
            let message = format!(
                "TLSRoute {other} has {place}, and TLS routes come first: this one takes nothing there"
            );
            return report.warning(path, message, "remove one of them, or attach it to another port");
        }
        let Some(own) = mesh.tcp_routes.get(&id.name) else { return };
        let of_tcp = mesh.tcp_routes.iter().filter(|(other, route)| same_side(other) && attached(route));
        let first = of_tcp.min_by_key(|(other, route)| (route.created_millis, *other));
        if let Some((other, _)) = first.filter(|(other, _)| **other != id.name) {
            let older = if mesh.tcp_routes[other].created_millis < own.created_millis {
                "is older"
            } else {
                "comes first by its name"
            };
            let message = format!("TCPRoute {other} has {place} and {older}: this one takes nothing there");
            report.warning(path, message, "remove one of them, or attach it to another port");
        }
        return;
    }
    let Some(own) = mesh.tls_routes.get(&id.name) else { return };
    let rank = |other: &Name, route: &StreamRoute| (route.created_millis, other.clone());
    let own_rank = rank(&id.name, own);
    let earlier: Vec<_> = of_tls.filter(|(other, route)| rank(other, route) < own_rank).collect();
    let names: Vec<Option<&String>> = match own.hostnames.as_slice() {
        [] => vec![None],
        names => names.iter().map(Some).collect(),
    };
    for (index, wanted) in names.into_iter().enumerate() {
        let has = |route: &StreamRoute| match wanted {
            None => route.hostnames.is_empty(),
            Some(wanted) => route.hostnames.contains(wanted),
        };
        if let Some((other, _)) = earlier.iter().find(|(_, route)| has(route)) {
            let (field, what) = match wanted {
                None => ("spec.hostnames".to_owned(), "every server name".to_owned()),
                Some(wanted) => (format!("spec.hostnames[{index}]"), wanted.clone()),
            };
            let message = format!("TLSRoute {other} has {what} on {place} already, and comes first");
            report.warning(&field, message, "remove it from one of them");
        }
    }
}
