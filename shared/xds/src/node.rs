//! A node and its xDS form: identity, locality, and under `metadata.weir` what it wants.
//!
//! ```text
//! {"weir": {"target": "weir", "service": "NAMESPACE/NAME", "namespace": "…" /* only without service */, "labels": {"app": "reviews"},
//!           "service_account": "reviews",
//!           "outbound": "ADDRESS:PORT", "outbound_tcp": {"ADDRESS:PORT": "NAME.NAMESPACE:PORT"},
//!           "inbound": [{"name": "http", "listen": "ADDRESS:PORT", "app": "ADDRESS:PORT"}],
//!           "upstreams": ["NAMESPACE/NAME"], "sampling_ppm": 1000000, "access_log": false}}
//! ```
//!
//! A stream whose node says `"draining": true` is no lease of its workload ([`is_draining`]): what it gets is the same as without.
//!
//! Everything is optional but the id. Without `target` a user agent that starts with `gRPC` is gRPC, and anything else an Envoy. People write
//! these two by hand, so a key that is not listed is an error there: a misspelt one would do nothing, silently. A newer sidecar may say
//! more. Hostile input costs no more than its size.

use crate::codec::endpoints::{decode_locality, encode_locality};
use crate::codec::fault::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use weir_model::mesh::SERVICE_ACCOUNT;
use weir_model::node::{Inbound, Node, Target};
use weir_model::{Fraction, limits};
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::google::protobuf::{ListValue, Struct, Value, value::Kind};

/// What is wrong with a node, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeError {
    /// The field below `node`, such as `metadata.weir.inbound[0].listen`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl std::fmt::Display for NodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for NodeError {}

/// The user agent of weir's own sidecar.
pub const USER_AGENT: &str = "weir-sidecar";

const ROOT: &str = "metadata.weir";
const DRAINING: &str = "draining";
const DEFAULT_NAMESPACE: &str = "default";
const KEYS: [&str; 11] = [
    "target",
    "service",
    "service_account",
    "namespace",
    "labels",
    "outbound",
    "outbound_tcp",
    "inbound",
    "upstreams",
    "sampling_ppm",
    "access_log",
];

/// The xDS form of a node. `uses` is not part of it: those are the listener names subscribed to.
pub fn encode(node: &Node) -> core::Node {
    let mut weir = vec![("target", text(&node.target.to_string()))];
    if node.service.is_empty() {
        weir.push(("namespace", text(&node.namespace)));
    } else {
        weir.push(("service", text(&format!("{}/{}", node.namespace, node.service))));
    }
    if node.service_account != SERVICE_ACCOUNT {
        weir.push(("service_account", text(&node.service_account)));
    }
    if !node.labels.is_empty() {
        weir.push(("labels", texts(node.labels.iter().map(|(key, value)| (key.clone(), value)))));
    }
    if let Some(outbound) = node.outbound {
        weir.push(("outbound", text(&outbound.to_string())));
    }
    if !node.outbound_tcp.is_empty() {
        let listeners = node.outbound_tcp.iter().map(|(listen, service)| (listen.to_string(), service));
        weir.push(("outbound_tcp", texts(listeners)));
    }
    if !node.inbound.is_empty() {
        weir.push(("inbound", list(node.inbound.iter().map(encode_inbound))));
    }
    if !node.upstreams.is_empty() {
        weir.push(("upstreams", list(node.upstreams.iter().map(|upstream| text(upstream)))));
    }
    if let Some(sampling) = node.sampling {
        weir.push(("sampling_ppm", value(Kind::NumberValue(f64::from(sampling.0)))));
    }
    if node.access_log {
        weir.push(("access_log", value(Kind::BoolValue(true))));
    }
    let metadata = Struct { fields: [("weir".to_owned(), structure(weir))].into() };
    let (agent, version) = match node.target {
        Target::Weir => (USER_AGENT, env!("CARGO_PKG_VERSION")),
        Target::Envoy => ("envoy", ""),
        Target::Grpc => ("gRPC", ""),
    };
    core::Node {
        id: node.id.clone(),
        cluster: node.service.clone(),
        metadata: Some(metadata),
        locality: Some(encode_locality(&node.locality)),
        user_agent_name: agent.to_owned(),
        user_agent_version_type: (!version.is_empty())
            .then(|| core::node::UserAgentVersionType::UserAgentVersion(version.to_owned())),
        ..core::Node::default()
    }
}

/// Says that a stream is no lease: the workload is on its way out, and still asks for what it needs until its end.
pub fn set_draining(node: &mut core::Node) {
    let metadata = node.metadata.get_or_insert_default();
    let weir = metadata.fields.entry("weir".to_owned()).or_insert_with(|| structure(vec![]));
    if let Some(Kind::StructValue(weir)) = &mut weir.kind {
        weir.fields.insert(DRAINING.to_owned(), value(Kind::BoolValue(true)));
    }
}

/// Whether a stream is no lease: [`set_draining`]. Only weir's own sidecars say so.
pub fn is_draining(node: &core::Node) -> bool {
    let weir = node.metadata.as_ref().and_then(|metadata| metadata.fields.get("weir"));
    let Some(Kind::StructValue(weir)) = weir.and_then(|weir| weir.kind.as_ref()) else { return false };
    let said = weir.fields.get(DRAINING).and_then(|said| said.kind.as_ref());
    matches!(said, Some(Kind::BoolValue(true)))
}

/// The node of an xDS form.
pub fn decode(node: &core::Node) -> Result<Node, NodeError> {
    let id = bounded("id", &node.id)?;
    if id.is_empty() {
        return Err(error("id", "empty; set node.id in the client's bootstrap"));
    }
    let empty = Struct::default();
    let weir = match node.metadata.as_ref().and_then(|metadata| metadata.fields.get("weir")) {
        None => &empty,
        Some(value) => struct_of(ROOT, value)?,
    };
    let fields = Fields(weir);
    let target = decode_target(&fields, &node.user_agent_name)?;
    let unknown = weir.fields.keys().map(String::as_str).filter(|key| !KEYS.contains(key)).min();
    if let Some(key) = unknown.filter(|_| target != Target::Weir) {
        return Err(error(ROOT, format!("{:?} is not known; known are {}", cut(key), KEYS.join(", "))));
    }
    let (namespace, service) = decode_service(&fields)?;
    let service_account = match fields.text("service_account")? {
        None => SERVICE_ACCOUNT.to_owned(),
        Some((path, "")) => return Err(error(&path, "empty; leave it out or name one")),
        Some((_, account)) => account.to_owned(),
    };
    Ok(Node {
        id,
        target,
        namespace,
        service,
        service_account,
        labels: fields.texts("labels", |_, key| Ok(key.to_owned()))?,
        locality: decode_locality(node.locality.as_ref())
            .map_err(|fault| from_fault(fault.within("locality")))?,
        outbound: fields.text("outbound")?.map(|(path, text)| address(&path, text)).transpose()?,
        outbound_tcp: fields.texts("outbound_tcp", address)?,
        inbound: fields.list("inbound", decode_inbound)?,
        upstreams: BTreeSet::from_iter(fields.list("upstreams", decode_upstream)?),
        uses: BTreeSet::new(),
        sampling: decode_sampling(&fields)?,
        access_log: match fields.get("access_log") {
            None => false,
            Some((_, Kind::BoolValue(log))) => *log,
            Some((path, _)) => return Err(error(&path, "must be true or false")),
        },
    })
}

fn decode_target(fields: &Fields<'_>, agent: &str) -> Result<Target, NodeError> {
    match fields.text("target")? {
        Some((_, "weir")) => Ok(Target::Weir),
        Some((_, "envoy")) => Ok(Target::Envoy),
        Some((_, "grpc")) => Ok(Target::Grpc),
        Some((path, other)) => Err(error(&path, format!("{:?} is not weir, envoy or grpc", cut(other)))),
        None if agent.starts_with("gRPC") => Ok(Target::Grpc),
        None => Ok(Target::Envoy),
    }
}

/// Namespace and service.
fn decode_service(fields: &Fields<'_>) -> Result<(String, String), NodeError> {
    let namespace = fields.text("namespace")?;
    match (fields.text("service")?, namespace) {
        (Some((path, service)), namespace) => {
            let (in_namespace, name) = split_name(&path, service)?;
            match namespace {
                Some((path, other)) if other != in_namespace => {
                    Err(error(&path, format!("is not that of service {service:?}; leave it out")))
                }
                _ => Ok((in_namespace.to_owned(), name.to_owned())),
            }
        }
        (None, Some((path, ""))) => Err(error(&path, "empty; leave it out or name one")),
        (None, Some((_, namespace))) => Ok((namespace.to_owned(), String::new())),
        (None, None) => Ok((DEFAULT_NAMESPACE.to_owned(), String::new())),
    }
}

fn decode_sampling(fields: &Fields<'_>) -> Result<Option<Fraction>, NodeError> {
    match fields.get("sampling_ppm") {
        None => Ok(None),
        Some((_, Kind::NumberValue(share)))
            if share.fract() == 0.0 && (0.0..=1_000_000.0).contains(share) =>
        {
            Ok(Some(Fraction(*share as u32)))
        }
        Some((path, _)) => Err(error(&path, "must be a whole number from 0 to 1000000")),
    }
}

fn encode_inbound(inbound: &Inbound) -> Value {
    structure(vec![
        ("name", text(&inbound.name)),
        ("listen", text(&inbound.listen.to_string())),
        ("app", text(&inbound.app.to_string())),
    ])
}

fn decode_inbound(path: &str, value: &Value) -> Result<Inbound, NodeError> {
    let fields = struct_of(path, value)?;
    let field = |key: &str| {
        let path = format!("{path}.{key}");
        match fields.fields.get(key) {
            None => Ok((path, "")),
            Some(value) => text_of(&path, value).map(|text| (path, text)),
        }
    };
    let required = |key: &str| match field(key)? {
        (path, "") => Err(error(&path, "missing; write ADDRESS:PORT")),
        (path, text) => address(&path, text),
    };
    Ok(Inbound { name: field("name")?.1.to_owned(), listen: required("listen")?, app: required("app")? })
}

fn decode_upstream(path: &str, value: &Value) -> Result<String, NodeError> {
    let upstream = text_of(path, value)?;
    split_name(path, upstream)?;
    Ok(upstream.to_owned())
}

fn split_name<'a>(path: &str, name: &'a str) -> Result<(&'a str, &'a str), NodeError> {
    match name.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace, name))
        }
        _ => Err(error(path, format!("{:?} is not NAMESPACE/NAME", cut(name)))),
    }
}

fn address(path: &str, text: &str) -> Result<SocketAddr, NodeError> {
    text.parse().map_err(|_| error(path, format!("{:?} is not ADDRESS:PORT", cut(text))))
}

/// The entries of `metadata.weir`, each with its path.
struct Fields<'a>(&'a Struct);

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<(String, &'a Kind)> {
        match self.0.fields.get(key)?.kind.as_ref()? {
            // Written out and empty is the same as left out.
            Kind::NullValue(_) => None,
            kind => Some((format!("{ROOT}.{key}"), kind)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<(String, &'a str)>, NodeError> {
        match self.get(key) {
            None => Ok(None),
            Some((path, Kind::StringValue(text))) => {
                bounded(&path, text).map(|_| Some((path, text.as_str())))
            }
            Some((path, _)) => Err(error(&path, "must be a text")),
        }
    }

    fn texts<K: Ord>(
        &self,
        key: &str,
        parse: impl Fn(&str, &str) -> Result<K, NodeError>,
    ) -> Result<BTreeMap<K, String>, NodeError> {
        let entries = match self.get(key) {
            None => return Ok(BTreeMap::new()),
            Some((path, Kind::StructValue(entries))) => {
                count(&path, entries.fields.len()).map(|()| (path, entries))?
            }
            Some((path, _)) => return Err(error(&path, "must be an object of texts")),
        };
        let (path, entries) = entries;
        let mut sorted: Vec<_> = entries.fields.iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| *key);
        let parse = |(key, value): (&String, &Value)| {
            let path = format!("{path}[{:?}]", cut(key));
            Ok((parse(&path, &bounded(&path, key)?)?, text_of(&path, value)?.to_owned()))
        };
        sorted.into_iter().map(parse).collect()
    }

    fn list<T>(
        &self,
        key: &str,
        parse: impl Fn(&str, &Value) -> Result<T, NodeError>,
    ) -> Result<Vec<T>, NodeError> {
        match self.get(key) {
            None => Ok(vec![]),
            Some((path, Kind::ListValue(list))) => {
                count(&path, list.values.len())?;
                let entries = list.values.iter().enumerate();
                entries.map(|(index, value)| parse(&format!("{path}[{index}]"), value)).collect()
            }
            Some((path, _)) => Err(error(&path, "must be a list")),
        }
    }
}

fn struct_of<'a>(path: &str, value: &'a Value) -> Result<&'a Struct, NodeError> {
    match &value.kind {
        Some(Kind::StructValue(fields)) => Ok(fields),
        _ => Err(error(path, "must be an object")),
    }
}

fn text_of<'a>(path: &str, value: &'a Value) -> Result<&'a str, NodeError> {
    match &value.kind {
        Some(Kind::StringValue(text)) => bounded(path, text).map(|_| text.as_str()),
        _ => Err(error(path, "must be a text")),
    }
}

fn bounded(path: &str, text: &str) -> Result<String, NodeError> {
    if text.len() > limits::NAME_BYTES {
        return Err(error(path, format!("longer than {} bytes", limits::NAME_BYTES)));
    }
    Ok(text.to_owned())
}

fn count(path: &str, entries: usize) -> Result<(), NodeError> {
    if entries > limits::NODE_ENTRIES {
        return Err(error(path, format!("{entries} entries, at most {} are taken", limits::NODE_ENTRIES)));
    }
    Ok(())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(128)]
}

fn error(field: &str, message: impl Into<String>) -> NodeError {
    NodeError { field: field.to_owned(), message: message.into() }
}

fn from_fault(fault: Fault) -> NodeError {
    NodeError { field: fault.path, message: fault.message }
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(text: &str) -> Value {
    value(Kind::StringValue(text.to_owned()))
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    value(Kind::ListValue(ListValue { values: values.collect() }))
}

fn structure(fields: Vec<(&str, Value)>) -> Value {
    let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    value(Kind::StructValue(Struct { fields }))
}

fn texts<'a>(entries: impl Iterator<Item = (String, &'a String)>) -> Value {
    let fields = entries.map(|(key, entry)| (key, text(entry))).collect();
    value(Kind::StructValue(Struct { fields }))
}

#[cfg(test)]
mod tests;
