//! Typed messages ⇄ the JSON form of a resource, so that one parser serves the gRPC API, the command line and files.
//!
//! The proto3 JSON form of a message *is* the resource's YAML, but for three things that protobuf cannot say: the field of `oneof spec` is
//! called `spec`, a target port may be a number, and so may a retried status.

use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, SerializeOptions};
use serde_json::Value;
use std::sync::LazyLock;
use weir_model::diagnostic::{Diagnostic, Severity};
use weir_proto::policy::v1 as wire;

#[cfg(test)]
mod tests;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(weir_proto::DESCRIPTORS)
        .expect("the descriptors were made by the build from our own files")
});

/// The fields of `oneof spec`, in proto3 JSON, by kind.
const SPECS: [(&str, &str); 8] = [
    ("Service", "service"),
    ("Workload", "workload"),
    ("HTTPRoute", "httpRoute"),
    ("GRPCRoute", "grpcRoute"),
    ("TLSRoute", "tlsRoute"),
    ("TCPRoute", "tcpRoute"),
    ("TrafficPolicy", "trafficPolicy"),
    ("RouteFilter", "routeFilter"),
];

/// The resource as `weir_policy::parse_value` takes it. What does not fit, such as a spec of another kind, is left for the parser to refuse.
pub fn to_json(object: &wire::Object) -> Value {
    let value = dynamic(object).and_then(|message| {
        let options = SerializeOptions::new().stringify_64_bit_integers(false);
        message.serialize_with_options(serde_json::value::Serializer, &options).ok()
    });
    let mut value = value.unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        for (kind, field) in SPECS {
            if let Some(spec) = fields.remove(field) {
                // A spec under the wrong field keeps its name and is refused as an unknown field.
                let name = if object.kind == kind { "spec" } else { field };
                fields.insert(name.to_owned(), spec);
            }
        }
    }
    each_scalar(&mut value, &mut |path, value| {
        let number = value.as_str().and_then(|text| text.parse::<u16>().ok());
        if let (Some(number), true) = (number, is_number_or_name(path)) {
            *value = number.into();
        }
    });
    value
}

/// The resource as a typed message.
///
/// # Errors
/// Why not, for a person: the value is no resource of ours.
pub fn from_json(mut value: Value) -> Result<wire::Object, String> {
    each_scalar(&mut value, &mut |path, value| {
        if value.is_number() && is_number_or_name(path) {
            *value = value.to_string().into();
        }
    });
    if let Some(fields) = value.as_object_mut() {
        let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
        let field = SPECS.iter().find(|(known, _)| *known == kind).map(|(_, field)| (*field).to_owned());
        if let (Some(field), Some(spec)) = (field, fields.remove("spec")) {
            fields.insert(field, spec);
        }
    }
    let descriptor =
        POOL.get_message_by_name("weir.policy.v1.Object").ok_or("no descriptor of weir.policy.v1.Object")?;
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(descriptor, value, &options)
        .map_err(|error| error.to_string())?;
    message.transcode_to().map_err(|error| error.to_string())
}

/// A diagnostic on the wire.
pub fn diagnostic(from: &Diagnostic) -> wire::Diagnostic {
    let severity = match from.severity {
        Severity::Error => wire::diagnostic::Severity::Error,
        Severity::Warning => wire::diagnostic::Severity::Warning,
        Severity::Note => wire::diagnostic::Severity::Note,
    };
    wire::Diagnostic {
        severity: severity.into(),
        resource: from.resource.clone(),
        field: from.field.clone(),
        message: from.message.clone(),
        mend: from.mend.clone(),
    }
}

fn dynamic(object: &wire::Object) -> Option<DynamicMessage> {
    let descriptor = POOL.get_message_by_name("weir.policy.v1.Object")?;
    DynamicMessage::decode(descriptor, object.encode_to_vec().as_slice()).ok()
}

fn is_number_or_name(path: &[&str]) -> bool {
    matches!(path, [.., "ports", "targetPort"] | [.., "retries", "on"])
}

/// Visits every scalar with the names of the fields that lead to it; positions in lists are left out.
fn each_scalar(value: &mut Value, visit: &mut impl FnMut(&[&str], &mut Value)) {
    fn walk<'a>(path: &mut Vec<&'a str>, value: &'a mut Value, visit: &mut impl FnMut(&[&str], &mut Value)) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    path.push(name);
                    walk(path, value, visit);
                    path.pop();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| walk(path, item, visit)),
            scalar => visit(path, scalar),
        }
    }
    walk(&mut Vec::new(), value, visit);
}
