//! Our records in OpenTelemetry's words.

use std::fmt::Display;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as WireKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::Resource;
use crate::span::{SpanKind, SpanRecord, known_method};

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
/// Bits of `Span.flags` above the W3C byte: whether it is known that the parent is remote, and whether it is.
const REMOTE_IS_KNOWN: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

pub(super) fn request(resource: &Resource, batch: &[SpanRecord]) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "weir".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = ScopeSpans {
        scope: Some(scope),
        spans: batch.iter().map(span).collect(),
        schema_url: SCHEMA.to_owned(),
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(attributes_of(resource)),
            scope_spans: vec![spans],
            schema_url: SCHEMA.to_owned(),
        }],
    }
}

fn attributes_of(from: &Resource) -> resource::v1::Resource {
    let mut attributes = Attributes::default();
    attributes.text(
        "service.name",
        if from.service_name.is_empty() { "unknown_service:weir" } else { &from.service_name },
    );
    attributes.text("service.namespace", &from.service_namespace);
    attributes.text("service.instance.id", &from.service_instance_id);
    attributes.text("service.version", &from.service_version);
    attributes.text("weir.node.id", &from.node_id);
    attributes.text("telemetry.sdk.name", "weir");
    attributes.text("telemetry.sdk.language", "rust");
    attributes.text("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
    resource::v1::Resource { attributes: attributes.0, ..resource::v1::Resource::default() }
}

pub(super) fn span(record: &SpanRecord) -> Span {
    let remote = if record.remote_parent { PARENT_IS_REMOTE } else { 0 };
    let code = if record.is_error() { StatusCode::Error } else { StatusCode::Unset };
    Span {
        trace_id: record.trace_id.to_be_bytes().to_vec(),
        span_id: record.span_id.to_be_bytes().to_vec(),
        parent_span_id: record.parent_span_id.map_or_else(Vec::new, |id| id.to_be_bytes().to_vec()),
        trace_state: record.trace_state.to_string(),
        flags: u32::from(record.flags) | REMOTE_IS_KNOWN | remote,
        name: record.name(),
        kind: match record.kind {
            SpanKind::Server => WireKind::Server,
            SpanKind::Client => WireKind::Client,
        }
        .into(),
        start_time_unix_nano: record.start_unix_nanos,
        end_time_unix_nano: record.end_unix_nanos.max(record.start_unix_nanos),
        attributes: attributes(record),
        status: Some(Status { code: code.into(), message: String::new() }),
        ..Span::default()
    }
}

fn attributes(record: &SpanRecord) -> Vec<KeyValue> {
    let mut to = Attributes(Vec::with_capacity(20));
    match known_method(&record.method) {
        Some(method) => to.text("http.request.method", method),
        None if record.method.is_empty() => {}
        None => {
            to.text("http.request.method", "_OTHER");
            to.text("http.request.method_original", &record.method);
        }
    }
    to.text("url.scheme", record.scheme);
    to.text("url.path", &record.path);
    if record.kind == SpanKind::Client && !record.server_address.is_empty() && !record.scheme.is_empty() {
        to.text("url.full", &full_url(record));
    }
    to.text("http.route", &record.route_pattern);
    to.number("http.response.status_code", record.status);
    to.text("network.protocol.name", "http");
    to.text("network.protocol.version", record.version.as_str());
    to.text("server.address", &record.server_address);
    to.number("server.port", record.server_port);
    if let Some(peer) = record.peer {
        to.shown("network.peer.address", peer.ip());
        to.number("network.peer.port", Some(peer.port()));
        if record.kind == SpanKind::Server {
            to.shown("client.address", peer.ip());
        }
    }
    if record.retries > 0 {
        to.number("http.request.resend_count", Some(record.retries));
    }
    if let Some(grpc) = &record.grpc {
        to.text("rpc.system", "grpc");
        match grpc.method.rsplit_once('/') {
            Some((service, method)) => {
                to.text("rpc.service", service);
                to.text("rpc.method", method);
            }
            None => to.text("rpc.method", &grpc.method),
        }
        to.number("rpc.grpc.status_code", grpc.status);
    }
    if record.is_error() {
        match (record.error_type.as_str(), &record.grpc, record.status) {
            ("", Some(grpc), _) if grpc.status.is_some_and(|status| status != 0) => {
                to.shown("error.type", grpc.status.unwrap_or_default());
            }
            ("", _, Some(status)) => to.shown("error.type", status),
            ("", _, None) => to.text("error.type", "_OTHER"),
            (error, _, _) => to.text("error.type", error),
        }
    }
    to.text("weir.route", &record.route);
    to.text("weir.cluster", &record.cluster);
    to.text("weir.endpoint", &record.endpoint);
    to.text("weir.response_flags", &record.response_flags);
    if record.mirror {
        to.push("weir.mirror", Value::BoolValue(true));
    }
    to.0
}

fn full_url(record: &SpanRecord) -> String {
    let (scheme, host, path) = (record.scheme, &record.server_address, &record.path);
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    match record.server_port {
        Some(port) => format!("{scheme}://{open}{host}{close}:{port}{path}"),
        None => format!("{scheme}://{open}{host}{close}{path}"),
    }
}

/// A list of attributes without empty ones.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn push(&mut self, key: &'static str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
    }

    fn text(&mut self, key: &'static str, value: &str) {
        if !value.is_empty() {
            self.push(key, Value::StringValue(value.to_owned()));
        }
    }

    fn shown(&mut self, key: &'static str, value: impl Display) {
        self.push(key, Value::StringValue(value.to_string()));
    }

    fn number(&mut self, key: &'static str, value: Option<u16>) {
        if let Some(value) = value {
            self.push(key, Value::IntValue(value.into()));
        }
    }
}
