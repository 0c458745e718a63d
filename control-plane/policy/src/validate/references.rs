//! References between objects: parents, backends and filters of routes, targets of policies.

mod extensions;
mod streams;

use super::{Findings, service_mend};
use crate::decode::Report;
use crate::mesh::section_port;
use crate::{Kind, Object, ObjectId, RouteParent, Spec, TrafficPolicySpec};
use std::collections::BTreeMap;
use weir_model::mesh::{
    AppProtocol, BackendTarget, FallbackPolicy, HttpFilters, HttpRule, Mesh, Name, Service,
};

pub(super) fn check(objects: &[&Object], mesh: &Mesh, findings: &mut Findings) {
    extensions::check_unused(objects, mesh, findings);
    let mut governed = BTreeMap::new();
    for object in objects {
        match &object.spec {
            Spec::HttpRoute(spec) => {
                check_route(&object.id, &spec.parents, spec.rules.iter(), mesh, findings);
            }
            Spec::GrpcRoute(spec) => {
                let rules = spec.rules.iter().map(|rule| &rule.lowered);
                check_route(&object.id, &spec.parents, rules, mesh, findings);
            }
            Spec::TlsRoute(spec) | Spec::TcpRoute(spec) => streams::check(&object.id, spec, mesh, findings),
            Spec::TrafficPolicy(spec) => check_policy(&object.id, spec, mesh, &mut governed, findings),
            Spec::Service(_) | Spec::Workload(_) | Spec::RouteFilter(_) => {}
        }
    }
}

fn ports_of(service: &Service) -> String {
    let ports: Vec<String> = service
        .ports
        .iter()
        .map(|port| {
            if port.name.is_empty() {
                port.port.to_string()
            } else {
                format!("{} ({})", port.port, port.name)
            }
        })
        .collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    format!("its ports are {}", crate::decode::list(&ports))
}

fn check_route<'a>(
    id: &ObjectId,
    parents: &[RouteParent],
    rules: impl Iterator<Item = &'a HttpRule>,
    mesh: &Mesh,
    findings: &mut Findings,
) {
    let report = findings.about(id);
    for (index, parent) in parents.iter().enumerate() {
        let path = format!("spec.parentRefs[{index}]");
        let RouteParent { service: name, section, port } = parent;
        let Some(service) = mesh.services.get(name) else {
            report.error(
                &format!("{path}.name"),
                format!("service {name} does not exist"),
                service_mend(mesh, name),
            );
            continue;
        };
        if let Some(section) = section
            && section_port(service, Some(section), *port).is_none()
        {
            let message = match service.ports.iter().any(|port| port.name == *section) {
                true => format!("port {section} of service {name} has another number than port says"),
                false => format!("service {name} has no port {section}"),
            };
            report.error(&format!("{path}.sectionName"), message, ports_of(service));
            continue;
        }
        let number = section_port(service, section.as_deref(), *port).flatten();
        let Some(number) = number else {
            if service.ports.iter().all(|port| port.protocol == AppProtocol::Tcp) {
                report.warning(&path, opaque(name), OPAQUE_MEND);
            }
            continue;
        };
        match service.ports.iter().find(|port| port.port == number) {
            None => report.error(
                &format!("{path}.port"),
                format!("service {name} has no port {number}"),
                ports_of(service),
            ),
            Some(port) if port.protocol == AppProtocol::Tcp => {
                report.warning(&format!("{path}.port"), opaque(name), OPAQUE_MEND);
            }
            Some(port) if port.protocol == AppProtocol::Http && id.kind == Kind::GrpcRoute => {
                let message = format!("service {name} speaks HTTP/1.1 there, and gRPC needs HTTP/2");
                report.warning(&format!("{path}.port"), message, "give the port the appProtocol grpc");
            }
            Some(_) => {}
        }
    }
    for (rule_index, rule) in rules.enumerate() {
        let path = format!("spec.rules[{rule_index}]");
        extensions::check_rule(id, rule, parents, &path, mesh, report);
        check_mirrors(&rule.filters, &path, mesh, report);
        for (index, backend) in rule.backends.iter().enumerate() {
            let path = format!("{path}.backendRefs[{index}]");
            // A share of nothing goes nowhere, whatever it names.
            if backend.weight > 0 {
                check_mirrors(&backend.filters, &path, mesh, report);
                check_target(&backend.target, &path, mesh, report);
            }
        }
    }
}

/// The services that filters mirror to. Which filter of that type it is, counted among them.
fn check_mirrors(filters: &HttpFilters, path: &str, mesh: &Mesh, report: &Report) {
    for (index, mirror) in filters.mirrors.iter().enumerate() {
        check_target(
            &mirror.target,
            &format!("{path}.filters[RequestMirror {index}].backendRef"),
            mesh,
            report,
        );
    }
}

/// A service and its port.
pub(super) fn check_target(target: &BackendTarget, path: &str, mesh: &Mesh, report: &Report) {
    let (name, number) = (&target.service, target.port);
    match mesh.services.get(name) {
        None => {
            let (message, mend) = (format!("service {name} does not exist"), service_mend(mesh, name));
            report.error(&format!("{path}.name"), message, mend);
        }
        Some(service) if service.ports.iter().all(|port| port.port != number) => {
            let message = format!("service {name} has no port {number}");
            report.error(&format!("{path}.port"), message, ports_of(service));
        }
        Some(_) => {}
    }
}

const OPAQUE_MEND: &str = "give the port an appProtocol such as http, or remove the reference";

fn opaque(service: &Name) -> String {
    format!("service {service} carries opaque bytes there, so the route has no effect on it")
}

/// A service, or one port of it, and who governs it.
type Governed<'a> = BTreeMap<(Name, Option<u16>), &'a ObjectId>;

fn check_policy<'a>(
    id: &'a ObjectId,
    spec: &TrafficPolicySpec,
    mesh: &Mesh,
    governed: &mut Governed<'a>,
    findings: &mut Findings,
) {
    if let Some(FallbackPolicy::Backend(target)) = &spec.actions.fallback {
        check_target(target, "spec.fallback.backendRef", mesh, findings.about(id));
    }
    for (index, target) in spec.targets.iter().enumerate() {
        let path = format!("spec.targetRefs[{index}]");
        let name = Name::new(&id.name.namespace, &target.name);
        let Some(service) = mesh.services.get(&name) else {
            let (message, mend) = (format!("service {name} does not exist"), service_mend(mesh, &name));
            findings.about(id).error(&format!("{path}.name"), message, mend);
            continue;
        };
        let Some(port) = section_port(service, target.section.as_deref(), None) else {
            let section = target.section.as_deref().unwrap_or_default();
            let message = format!("service {name} has no port {section}");
            findings.about(id).error(&format!("{path}.sectionName"), message, ports_of(service));
            continue;
        };
        let place = match port {
            Some(port) => format!("port {port} of service {name}"),
            None => format!("service {name}"),
        };
        if let Some(other) = governed.insert((name, port), id) {
            let mend = "merge the two, or let them apply to different ports";
            findings.about(id).error(&path, format!("{other} applies to {place} already"), mend);
        }
    }
}
