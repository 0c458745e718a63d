//! Access logs: one JSON object per request or connection on standard output, or none.
//!
//! The model knows only whether; the format is each data plane's own. For Envoy it is written here, with the names weir's own log uses
//! where Envoy knows the value.

use super::fault::{At, Check, Fault};
use super::pb::{accesslog, google, stream_log};
use prost::{Message, Name};
use std::collections::BTreeMap;

/// What is logged.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    /// Requests.
    Http,
    /// Connections.
    Tcp,
}

const COMMON: &[(&str, &str)] = &[
    ("start_time", "%START_TIME%"),
    ("duration_ms", "%DURATION%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("downstream", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("upstream", "%UPSTREAM_HOST%"),
    ("cluster", "%UPSTREAM_CLUSTER_RAW%"),
];
const HTTP: &[(&str, &str)] = &[
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(:PATH)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("protocol", "%PROTOCOL%"),
    ("status", "%RESPONSE_CODE%"),
    ("route", "%ROUTE_NAME%"),
    ("traceparent", "%REQ(TRACEPARENT)%"),
];

/// The logs of a listener.
pub(super) fn encode(enabled: bool, protocol: Protocol) -> Vec<accesslog::AccessLog> {
    if !enabled {
        return vec![];
    }
    let http = match protocol {
        Protocol::Http => HTTP,
        Protocol::Tcp => &[],
    };
    let fields = COMMON.iter().chain(http).map(|(name, command)| {
        let kind = google::value::Kind::StringValue((*command).to_owned());
        ((*name).to_owned(), google::Value { kind: Some(kind) })
    });
    let json_format = Some(Fields { fields: fields.collect() });
    let log = StdoutLog { log_format: Some(Format { json_format }) };
    let config =
        google::Any { type_url: stream_log::StdoutAccessLog::type_url(), value: log.encode_to_vec() };
    vec![accesslog::AccessLog {
        name: "envoy.access_loggers.stdout".to_owned(),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(config)),
        ..accesslog::AccessLog::default()
    }]
}

/// `StdoutAccessLog` as far as it is used, with its map in order: the generated one is written in another order each time.
#[derive(Clone, PartialEq, Message)]
struct StdoutLog {
    #[prost(message, optional, tag = "1")]
    log_format: Option<Format>,
}

/// `SubstitutionFormatString`.
#[derive(Clone, PartialEq, Message)]
struct Format {
    #[prost(message, optional, tag = "2")]
    json_format: Option<Fields>,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
struct Fields {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, google::Value>,
}

/// Whether a listener logs. Other places than standard output, and logs that leave something out, are refused.
pub(super) fn decode(logs: &[accesslog::AccessLog]) -> Check<bool> {
    match logs {
        [] => Ok(false),
        [log] => one(log).at("access_log[0]").map(|()| true),
        _ => Err(Fault::of("access_log", format!("{} logs; at most one is supported", logs.len()))),
    }
}

fn one(log: &accesslog::AccessLog) -> Check<()> {
    super::fault::refuse!(log; filter);
    match &log.config_type {
        Some(accesslog::access_log::ConfigType::TypedConfig(config))
            if config.type_url == stream_log::StdoutAccessLog::type_url() =>
        {
            Ok(())
        }
        _ => Err(Fault::of(
            "typed_config",
            "only envoy.extensions.access_loggers.stream.v3.StdoutAccessLog is supported",
        )),
    }
}
