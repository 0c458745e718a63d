//! Kubernetes `Service`, as far as a mesh reads it.

use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::{fields, non_empty, read_label, read_labels};
use crate::{ServicePortSpec, ServiceSpec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_model::mesh::{AppProtocol, Distribution, TargetPort};

/// Ports of one service; Kubernetes has no such bound, and nobody needs more.
const PORTS: usize = 256;

const SPEC: Schema = Schema {
    known: &["selector", "ports", "type", "trafficDistribution"],
    later: &[("externalName", "declare Workloads with the addresses and select them")],
    ignored: &[
        "allocateLoadBalancerNodePorts",
        "clusterIP",
        "clusterIPs",
        "externalIPs",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "internalTrafficPolicy",
        "ipFamilies",
        "ipFamilyPolicy",
        "loadBalancerClass",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "publishNotReadyAddresses",
        "sessionAffinity",
        "sessionAffinityConfig",
    ],
};

const PORT: Schema = Schema {
    known: &["name", "port", "targetPort", "protocol", "appProtocol"],
    later: &[],
    ignored: &["nodePort"],
};

/// What `trafficDistribution` may be; what comes first is how it is written.
const DISTRIBUTIONS: [(&str, Distribution); 3] = [
    ("PreferSameZone", Distribution::SameZone),
    ("PreferSameNode", Distribution::SameNode),
    ("PreferClose", Distribution::SameZone),
];

pub(crate) fn read(at: &At<'_>) -> Option<ServiceSpec> {
    let spec = at.object(&SPEC)?;
    if let Some((at, text)) = spec.get_text("type") {
        match text {
            "ClusterIP" | "NodePort" | "LoadBalancer" => {}
            "ExternalName" => at.error(
                "a service of type ExternalName is not supported yet",
                "declare Workloads with the addresses and select them",
            ),
            _ => at.not_one_of(text, &["ClusterIP", "NodePort", "LoadBalancer"]),
        }
    }
    for name in SPEC.ignored {
        note_ignored(&spec, name);
    }
    let selector = match spec.get("selector") {
        Some(at) => read_labels(&at),
        None => Some(BTreeMap::new()),
    };
    let ports = spec.required("ports", "add a port").and_then(|at| read_ports(&at));
    let distribution = spec.get_text("trafficDistribution").and_then(|(at, text)| {
        let found =
            DISTRIBUTIONS.iter().find(|(word, _)| *word == text).map(|(_, distribution)| *distribution);
        if found.is_none() {
            at.not_one_of(text, &DISTRIBUTIONS.map(|(word, _)| word));
        }
        found
    });
    Some(ServiceSpec { selector: selector?, ports: ports?, distribution })
}

fn note_ignored(spec: &Fields<'_>, name: &str) {
    let Some(at) = spec.get(name) else { return };
    // What Kubernetes itself fills in is not worth a word.
    let harmless = match name {
        "sessionAffinity" => at.value() == "None",
        "sessionAffinityConfig" => true,
        "publishNotReadyAddresses" => at.value() == false,
        "externalTrafficPolicy" | "internalTrafficPolicy" => at.value() == "Cluster",
        _ => true,
    };
    if !harmless {
        at.note(format!("{name} has no effect in the mesh"), "");
    }
}

fn read_ports(at: &At<'_>) -> Option<Vec<ServicePortSpec>> {
    let elements = at.list(1..=PORTS)?;
    let several = elements.len() > 1;
    let (mut names, mut numbers) = (BTreeMap::new(), BTreeMap::new());
    let mut ports = Vec::new();
    let mut complete = true;
    for (index, at) in elements.iter().enumerate() {
        let Some(port) = read_port(at, several) else {
            complete = false;
            continue;
        };
        if let Some(first) = names.insert(port.name.clone(), index)
            && !port.name.is_empty()
        {
            at.error(
                format!("port {first} has the name {:?} already", port.name),
                "give each port its own name",
            );
        }
        if let Some(first) = numbers.insert(port.port, index) {
            at.error(
                format!("port {first} has the number {} already", port.port),
                "give each port its own number",
            );
        }
        ports.push(port);
    }
    complete.then_some(ports)
}

fn read_port(at: &At<'_>, several: bool) -> Option<ServicePortSpec> {
    let port = at.object(&PORT)?;
    let name = match port.get_text("name") {
        Some((at, text)) => read_label(&at, text),
        None => Some(String::new()),
    };
    if several && name.as_deref() == Some("") {
        at.error("it has no name", "name the ports of a service with more than one");
    }
    if let Some((at, text)) = port.get_text("protocol") {
        match text {
            "TCP" => {}
            "UDP" | "SCTP" => at.error(format!("{text} is not supported yet"), "leave this port out"),
            _ => at.not_one_of(text, &["TCP"]),
        }
    }
    let app_protocol = port.get_text("appProtocol").map(|(at, text)| {
        if text.len() > 253 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            at.error(
                format!("{} is not a protocol", excerpt(&Value::from(text))),
                "write http, http2, grpc or tcp",
            );
        } else if app_protocol(text).is_none() {
            at.note(
                format!("{text} is carried as opaque bytes"),
                "write http, http2 or grpc if it is one of them",
            );
        }
        text.to_owned()
    });
    let number = port.required("port", "add the port's number").and_then(|at| at.port());
    let target = match port.get("targetPort") {
        Some(at) if at.value() == "" || at.value() == 0 => Some(None),
        Some(at) => read_target(&at).map(Some),
        None => Some(None),
    };
    let (number, target) = (number?, target?);
    // A target of the same number is what there is without one.
    let target = target.filter(|target| *target != TargetPort::Number(number));
    Some(ServicePortSpec { name: name?, port: number, target, app_protocol })
}

/// A number, a number as text, or a name.
fn read_target(at: &At<'_>) -> Option<TargetPort> {
    let Value::String(text) = at.value() else {
        return at.port().map(TargetPort::Number);
    };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse().ok().filter(|number| *number > 0);
        if number.is_none() {
            at.error(
                format!("{} is not a port", excerpt(at.value())),
                "write an integer from 1 to 65535, or a port's name",
            );
        }
        return number.map(TargetPort::Number);
    }
    read_label(at, text).map(TargetPort::Named)
}

/// What an `appProtocol` means; nothing if it is unknown.
fn app_protocol(text: &str) -> Option<AppProtocol> {
    match text.to_ascii_lowercase().as_str() {
        "http" | "http1" | "http/1.1" | "kubernetes.io/ws" => Some(AppProtocol::Http),
        "http2" | "h2c" | "kubernetes.io/h2c" => Some(AppProtocol::Http2),
        "grpc" => Some(AppProtocol::Grpc),
        "tcp" | "tls" | "https" | "kubernetes.io/wss" => Some(AppProtocol::Tcp),
        _ => None,
    }
}

impl ServicePortSpec {
    /// What is spoken on it; what is unknown is opaque.
    pub fn protocol(&self) -> AppProtocol {
        self.app_protocol
            .as_deref()
            .map_or(AppProtocol::Unspecified, |text| app_protocol(text).unwrap_or(AppProtocol::Tcp))
    }
}

pub(crate) fn write(spec: &ServiceSpec) -> Value {
    fields([
        ("selector", (!spec.selector.is_empty()).then(|| json!(spec.selector))),
        ("ports", non_empty(spec.ports.iter().map(write_port).collect())),
        (
            "trafficDistribution",
            spec.distribution.and_then(|distribution| {
                let word = DISTRIBUTIONS.iter().find(|(_, known)| *known == distribution);
                word.map(|(word, _)| json!(word))
            }),
        ),
    ])
}

fn write_port(port: &ServicePortSpec) -> Value {
    fields([
        ("name", (!port.name.is_empty()).then(|| json!(port.name))),
        ("port", Some(json!(port.port))),
        (
            "targetPort",
            port.target.as_ref().map(|target| match target {
                TargetPort::Number(number) => json!(number),
                TargetPort::Named(name) => json!(name),
            }),
        ),
        ("appProtocol", port.app_protocol.as_ref().map(|text| json!(text))),
    ])
}
