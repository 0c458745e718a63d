//! JSON → objects and back: the envelope that all kinds share. Each kind's spec is read and written in the module of its name.

use crate::decode::{At, Fields, Report, Schema, excerpt, list, suggestion};
use crate::scalar::{format_time, is_label, is_label_key, is_label_value, is_subdomain, parse_time};
use crate::{
    Kind, Metadata, Object, ObjectId, Spec, grpc_route, http_route, route_filter, service, stream_route,
    traffic_policy, workload,
};
use serde_json::{Map, Value, json};
use weir_model::Diagnostic;
use weir_model::mesh::Name;

/// All annotations of an object together, in bytes (Kubernetes' bound).
const ANNOTATION_BYTES: usize = 256 * 1024;

const ENVELOPE: Schema =
    Schema { known: &["apiVersion", "kind", "metadata", "spec"], later: &[], ignored: &["status"] };

const METADATA: Schema = Schema {
    known: &["name", "namespace", "labels", "annotations", "creationTimestamp"],
    later: &[("generateName", "write a name")],
    ignored: &[
        "uid",
        "resourceVersion",
        "generation",
        "managedFields",
        "selfLink",
        "finalizers",
        "ownerReferences",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ],
};

/// Kinds of the Gateway API that a mesh will read one day.
const LATER: [&str; 4] = ["ReferenceGrant", "Gateway", "GatewayClass", "BackendTLSPolicy"];

/// Reads one object. `label` names it in diagnostics as long as it has not said its own kind and name. Fails with everything there is to
/// say of it if any of that is an error; what is worth knowing of a good object is told by [`crate::parse_yaml`] and [`crate::validate`].
pub fn parse_value(value: Value, label: &str) -> Result<Object, Vec<Diagnostic>> {
    let (object, found) = read(&value, label);
    object.ok_or(found)
}

/// Reads one object, and everything there is to say of it.
pub(crate) fn read(value: &Value, label: &str) -> (Option<Object>, Vec<Diagnostic>) {
    let report = Report::new(label);
    let object = read_object(&At::root(value, &report), &report);
    let object = object.filter(|_| !report.failed());
    (object, report.finish())
}

fn read_object(at: &At<'_>, report: &Report) -> Option<Object> {
    let fields = at.object(&ENVELOPE)?;
    let kind = read_kind(&fields);
    let metadata =
        fields.required("metadata", "add metadata with a name").and_then(|at| read_metadata(&at, kind));
    if let (Some(kind), Some((name, _))) = (kind, &metadata) {
        report.rename(ObjectId::new(kind, name.clone()).to_string());
    }
    if let Some(status) = fields.get("status") {
        status.note("it is written by controllers, and is ignored here", "");
    }
    let spec = fields.required("spec", "add a spec");
    let (kind, spec) = (kind?, spec?);
    // A wrong name does not keep the spec's mistakes from being told.
    let namespace = metadata.as_ref().map_or("default", |(name, _)| name.namespace.as_str());
    let spec = match kind {
        Kind::Service => service::read(&spec).map(Spec::Service),
        Kind::Workload => workload::read(&spec).map(Spec::Workload),
        Kind::HttpRoute => http_route::read(&spec, namespace).map(Spec::HttpRoute),
        Kind::GrpcRoute => grpc_route::read(&spec, namespace).map(Spec::GrpcRoute),
        Kind::TlsRoute => stream_route::read(&spec, kind, namespace).map(Spec::TlsRoute),
        Kind::TcpRoute => stream_route::read(&spec, kind, namespace).map(Spec::TcpRoute),
        Kind::TrafficPolicy => {
            traffic_policy::read(&spec, namespace).map(|spec| Spec::TrafficPolicy(Box::new(spec)))
        }
        Kind::RouteFilter => {
            route_filter::read(&spec, namespace).map(|spec| Spec::RouteFilter(Box::new(spec)))
        }
    };
    let (name, metadata) = metadata?;
    Some(Object { id: ObjectId::new(kind, name), metadata, spec: spec? })
}

fn read_kind(fields: &Fields<'_>) -> Option<Kind> {
    let names = Kind::ALL.map(Kind::as_str);
    let kind = fields.required_text("kind", &format!("write one of {}", list(&names)));
    let version =
        fields.required_text("apiVersion", "write the apiVersion of the kind, such as v1 for a Service");
    let (at, text) = kind?;
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == text) else {
        let found = excerpt(&Value::from(text));
        match suggestion(text, &names) {
            _ if LATER.contains(&text) => at.error(format!("{text} is not supported yet"), "leave it out"),
            Some(similar) => {
                at.error(format!("there is no kind {found}"), format!("did you mean {similar}?"))
            }
            None => {
                at.error(
                    format!("there is no kind {found} here"),
                    format!("leave it out; the kinds here are {}", list(&names)),
                );
            }
        }
        return None;
    };
    let (at, version) = version?;
    if !kind.has_api_version(version) {
        let found = excerpt(&Value::from(version));
        at.error(format!("{kind} has no apiVersion {found}"), format!("write {}", kind.api_version()));
    }
    Some(kind)
}

fn read_metadata(at: &At<'_>, kind: Option<Kind>) -> Option<(Name, Metadata)> {
    let fields = at.object(&METADATA)?;
    let name = fields.required_text("name", "add a name").and_then(|(at, text)| {
        // A service's name becomes one label of a host name.
        let label_only = kind == Some(Kind::Service);
        if label_only && !is_label(text) {
            at.error(format!("{} is not a service's name", excerpt(&Value::from(text))), LABEL_MEND);
            return None;
        }
        read_subdomain(&at, text)
    });
    let namespace = match fields.get("namespace").map(|at| (at.text(), at)) {
        None | Some((Some(""), _)) => Some("default".to_owned()),
        Some((text, at)) => text.and_then(|text| read_label(&at, text)),
    };
    let labels = fields.get("labels").and_then(|at| read_labels(&at)).unwrap_or_default();
    let annotations = fields.get("annotations").and_then(|at| {
        let texts = at.texts(|at, key, _| check_label_key(at, key))?;
        let bytes: usize = texts.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > ANNOTATION_BYTES {
            at.error(
                format!("{bytes} bytes, at most {ANNOTATION_BYTES} are allowed"),
                "keep large things elsewhere",
            );
        }
        Some(texts)
    });
    let created_millis = fields.get_text("creationTimestamp").and_then(|(at, text)| {
        let millis = parse_time(text);
        if millis.is_none() {
            let found = excerpt(&Value::from(text));
            at.error(
                format!("{found} is not a point in time"),
                "write one as 2006-01-02T15:04:05Z, or leave it out",
            );
        }
        millis
    });
    let metadata = Metadata { labels, annotations: annotations.unwrap_or_default(), created_millis };
    Some((Name { namespace: namespace?, name: name? }, metadata))
}

const LABEL_MEND: &str = "use up to 63 lower-case letters, digits and '-', which is neither first nor last";
const SUBDOMAIN_MEND: &str =
    "use up to 253 lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit";

/// A DNS label.
pub(crate) fn read_label(at: &At<'_>, text: &str) -> Option<String> {
    let good = is_label(text);
    if !good {
        at.error(format!("{} is not a DNS label", excerpt(&Value::from(text))), LABEL_MEND);
    }
    good.then(|| text.to_owned())
}

/// A DNS subdomain.
pub(crate) fn read_subdomain(at: &At<'_>, text: &str) -> Option<String> {
    let good = is_subdomain(text);
    if !good {
        at.error(format!("{} is not a name", excerpt(&Value::from(text))), SUBDOMAIN_MEND);
    }
    good.then(|| text.to_owned())
}

/// Labels or a selector.
pub(crate) fn read_labels(at: &At<'_>) -> Option<std::collections::BTreeMap<String, String>> {
    at.texts(|at, key, value| {
        check_label_key(at, key);
        if !is_label_value(value) {
            let mend =
                "use up to 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit";
            at.error(format!("{} is not a label's value", excerpt(&Value::from(value))), mend);
        }
    })
}

fn check_label_key(at: &At<'_>, key: &str) {
    if !is_label_key(key) {
        let mend =
            "use up to 63 letters, digits, '-', '_' and '.', with an optional prefix such as example.com/";
        at.error(format!("{} is not a label's key", excerpt(&Value::from(key))), mend);
    }
}

/// The canonical form.
pub(crate) fn to_json(object: &Object) -> Value {
    let Object { id, metadata, spec } = object;
    let texts =
        |texts: &std::collections::BTreeMap<String, String>| (!texts.is_empty()).then(|| json!(texts));
    let metadata = fields([
        ("name", Some(json!(id.name.name))),
        ("namespace", Some(json!(id.name.namespace))),
        ("labels", texts(&metadata.labels)),
        ("annotations", texts(&metadata.annotations)),
        ("creationTimestamp", metadata.created_millis.map(|millis| json!(format_time(millis)))),
    ]);
    let spec = match spec {
        Spec::Service(spec) => service::write(spec),
        Spec::Workload(spec) => workload::write(spec),
        Spec::HttpRoute(spec) => http_route::write(spec, &id.name.namespace),
        Spec::GrpcRoute(spec) => grpc_route::write(spec, &id.name.namespace),
        Spec::TlsRoute(spec) | Spec::TcpRoute(spec) => stream_route::write(spec, &id.name.namespace),
        Spec::TrafficPolicy(spec) => traffic_policy::write(spec),
        Spec::RouteFilter(spec) => route_filter::write(spec, &id.name.namespace),
    };
    json!({"apiVersion": id.kind.api_version(), "kind": id.kind.as_str(), "metadata": metadata, "spec": spec})
}

/// An object of those fields that are there.
pub(crate) fn fields<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

/// A list, if it is not empty.
pub(crate) fn non_empty(values: Vec<Value>) -> Option<Value> {
    (!values.is_empty()).then_some(Value::Array(values))
}

/// Reads what [`Object::to_stored`] wrote.
pub(crate) fn from_stored(bytes: &[u8]) -> Result<Object, Vec<Diagnostic>> {
    match serde_json::from_slice(bytes) {
        Ok(value) => parse_value(value, "stored object"),
        Err(error) => {
            let report = Report::new("stored object");
            report.error("", format!("it is not JSON: {error}"), "restore the store from a backup");
            Err(report.finish())
        }
    }
}

#[cfg(test)]
mod tests;
