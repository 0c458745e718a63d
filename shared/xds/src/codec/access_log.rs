//! Access logs: lines on standard output or standard error, in Envoy's format strings.
//!
//! A log without a format is the data plane's own for a weir; an Envoy is told one then, with the names weir's own log uses where Envoy knows the
//! value. Formats are written in order, where the generated map is written in another order each time. A listener may have several logs, each
//! with a filter of its own.

mod filter;

use super::fault::{At, Check, Fault, each, refuse};
use super::pb::{accesslog, core, file_log, google, stream_log};
use super::wire;
use core::substitution_format_string::Format as Substitution;
use prost::{Message, Name};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_model::access_log::{AccessLog, JsonTemplate, LogFormat, LogOutput, Template};
use weir_model::limits;
use weir_model::node::Target;

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
const TCP: &[(&str, &str)] = &[("server_name", "%REQUESTED_SERVER_NAME%")];

/// The logs of a listener.
pub(super) fn encode(
    log: Option<&Arc<AccessLog>>,
    protocol: Protocol,
    target: Target,
) -> Vec<accesslog::AccessLog> {
    let logs = log.into_iter().flat_map(|log| log.all());
    logs.map(|log| encode_one(log, protocol, target)).collect()
}

fn encode_one(log: &AccessLog, protocol: Protocol, target: Target) -> accesslog::AccessLog {
    let format = match (&log.format, target) {
        (LogFormat::Default, Target::Weir) => None,
        (LogFormat::Default, Target::Envoy | Target::Grpc) => Some(for_envoy(protocol)),
        (LogFormat::Text { template, omit_empty }, _) => Some(Format {
            text_format_source: Some(Source { inline_string: Some(template.to_string()) }),
            omit_empty_values: *omit_empty,
            ..Format::default()
        }),
        (LogFormat::Json { members, omit_empty }, _) => Some(Format {
            json_format: Some(object(members)),
            omit_empty_values: *omit_empty,
            ..Format::default()
        }),
    };
    let (name, type_url) = match log.output {
        LogOutput::Stdout => ("envoy.access_loggers.stdout", stream_log::StdoutAccessLog::type_url()),
        LogOutput::Stderr => ("envoy.access_loggers.stderr", stream_log::StderrAccessLog::type_url()),
    };
    let config = google::Any { type_url, value: StreamLog { log_format: format }.encode_to_vec() };
    accesslog::AccessLog {
        name: name.to_owned(),
        filter: log.filter.as_deref().map(filter::encode),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(config)),
    }
}

fn for_envoy(protocol: Protocol) -> Format {
    let http = match protocol {
        Protocol::Http => HTTP,
        Protocol::Tcp => TCP,
    };
    let text = |text: &str| Json { kind: Some(json::Kind::Text(text.to_owned())) };
    let fields = COMMON.iter().chain(http).map(|(name, command)| ((*name).to_owned(), text(command)));
    Format { json_format: Some(Object { fields: fields.collect() }), ..Format::default() }
}

fn object(members: &[(String, JsonTemplate)]) -> Object {
    Object { fields: members.iter().map(|(name, member)| (name.clone(), value(member))).collect() }
}

fn value(template: &JsonTemplate) -> Json {
    use json::Kind;
    let kind = match template {
        JsonTemplate::Text(template) => Kind::Text(template.to_string()),
        JsonTemplate::Object(members) => Kind::Object(object(members)),
        JsonTemplate::List(items) => Kind::List(List { values: items.iter().map(value).collect() }),
        // It was a number when it was read.
        JsonTemplate::Number(number) => number.parse().map_or(Kind::Null(0), Kind::Number),
        JsonTemplate::Bool(value) => Kind::Bool(*value),
        JsonTemplate::Null => Kind::Null(0),
    };
    Json { kind: Some(kind) }
}

/// `StdoutAccessLog` and `StderrAccessLog` as far as they are written, with maps in order.
#[derive(Clone, PartialEq, Message)]
struct StreamLog {
    #[prost(message, optional, tag = "1")]
    log_format: Option<Format>,
}

/// `SubstitutionFormatString`.
#[derive(Clone, PartialEq, Message)]
struct Format {
    #[prost(message, optional, tag = "2")]
    json_format: Option<Object>,
    #[prost(bool, tag = "3")]
    omit_empty_values: bool,
    #[prost(message, optional, tag = "5")]
    text_format_source: Option<Source>,
}

/// `DataSource`.
#[derive(Clone, PartialEq, Message)]
struct Source {
    #[prost(string, optional, tag = "3")]
    inline_string: Option<String>,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
struct Object {
    #[prost(btree_map = "string, message", tag = "1")]
    fields: BTreeMap<String, Json>,
}

/// `google.protobuf.ListValue`.
#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Json>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
struct Json {
    #[prost(oneof = "json::Kind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<json::Kind>,
}

mod json {
    use prost::Oneof;

    #[derive(Clone, PartialEq, Oneof)]
    pub(super) enum Kind {
        #[prost(int32, tag = "1")]
        Null(i32),
        #[prost(double, tag = "2")]
        Number(f64),
        #[prost(string, tag = "3")]
        Text(String),
        #[prost(bool, tag = "4")]
        Bool(bool),
        #[prost(message, tag = "5")]
        Object(super::Object),
        #[prost(message, tag = "6")]
        List(super::List),
    }
}

/// How a listener logs. Logs in other places, and filters that are not known, are refused.
pub(super) fn decode(logs: &[accesslog::AccessLog]) -> Check<Option<Arc<AccessLog>>> {
    let logs = each("access_log", logs, limits::ACCESS_LOGS, one)?;
    let chained = |also: Option<Arc<AccessLog>>, log| Some(Arc::new(AccessLog { also, ..log }));
    Ok(logs.into_iter().rev().fold(None, chained))
}

fn one(log: &accesslog::AccessLog) -> Check<AccessLog> {
    let filter = match &log.filter {
        Some(filter) => Some(Box::new(filter::decode(filter).at("filter")?)),
        None => None,
    };
    let Some(accesslog::access_log::ConfigType::TypedConfig(config)) = &log.config_type else {
        return Err(Fault::of("typed_config", "missing"));
    };
    Ok(AccessLog { filter, ..logger(config).at("typed_config")? })
}

#[allow(deprecated, reason = "deprecated forms of a format are still in use")]
fn logger(config: &google::Any) -> Check<AccessLog> {
    use file_log::file_access_log::AccessLogFormat as InFile;
    use stream_log::{stderr_access_log, stdout_access_log};
    let (output, format) = if config.type_url == stream_log::StdoutAccessLog::type_url() {
        let log: stream_log::StdoutAccessLog = wire::unpack(config)?;
        let format =
            log.access_log_format.map(|stdout_access_log::AccessLogFormat::LogFormat(format)| format);
        (LogOutput::Stdout, substitution(format.as_ref())?)
    } else if config.type_url == stream_log::StderrAccessLog::type_url() {
        let log: stream_log::StderrAccessLog = wire::unpack(config)?;
        let format =
            log.access_log_format.map(|stderr_access_log::AccessLogFormat::LogFormat(format)| format);
        (LogOutput::Stderr, substitution(format.as_ref())?)
    } else if config.type_url == file_log::FileAccessLog::type_url() {
        let log: file_log::FileAccessLog = wire::unpack(config)?;
        let output = match log.path.as_str() {
            "/dev/stdout" => LogOutput::Stdout,
            "/dev/stderr" => LogOutput::Stderr,
            path => {
                let message =
                    format!("{:?}; only /dev/stdout and /dev/stderr are supported", wire::cut(path));
                return Err(Fault::of("path", message));
            }
        };
        let format = match &log.access_log_format {
            None => LogFormat::Default,
            // Without text there is none.
            Some(InFile::Format(text)) if text.is_empty() => LogFormat::Default,
            Some(InFile::Format(text)) => {
                LogFormat::Text { template: template(text).at("format")?, omit_empty: false }
            }
            Some(InFile::JsonFormat(json)) => json_format(json, false).at("json_format")?,
            Some(InFile::TypedJsonFormat(json)) => json_format(json, false).at("typed_json_format")?,
            Some(InFile::LogFormat(format)) => substitution(Some(format))?,
        };
        (output, format)
    } else {
        let message = format!(
            "the logger {:?} is not supported; StdoutAccessLog, StderrAccessLog and FileAccessLog are",
            wire::cut(&config.type_url)
        );
        return Err(Fault::of("type_url", message));
    };
    Ok(AccessLog { output, format, ..AccessLog::default() })
}

fn substitution(format: Option<&core::SubstitutionFormatString>) -> Check<LogFormat> {
    match format {
        None => Ok(LogFormat::Default),
        Some(format) => from_substitution(format).at("log_format"),
    }
}

#[allow(deprecated, reason = "deprecated forms of a format are still in use")]
fn from_substitution(message: &core::SubstitutionFormatString) -> Check<LogFormat> {
    // The type of the content means something only for responses, and members are always in order.
    refuse!(message; formatters);
    let omit_empty = message.omit_empty_values;
    match &message.format {
        Some(Substitution::TextFormat(text)) => {
            Ok(LogFormat::Text { template: template(text).at("text_format")?, omit_empty })
        }
        Some(Substitution::TextFormatSource(source)) => match &source.specifier {
            Some(core::data_source::Specifier::InlineString(text)) => {
                let template = template(text).at("text_format_source.inline_string")?;
                Ok(LogFormat::Text { template, omit_empty })
            }
            _ => Err(Fault::of("text_format_source", "only inline_string is supported")),
        },
        Some(Substitution::JsonFormat(json)) => json_format(json, omit_empty).at("json_format"),
        None => Err(Fault::of("format", "missing")),
    }
}

fn template(text: &str) -> Check<Template> {
    if text.len() > limits::LOG_FORMAT_BYTES {
        return Err(Fault::new(format!("longer than {} bytes", limits::LOG_FORMAT_BYTES)));
    }
    Template::parse(text).map_err(|error| Fault::new(error.to_string()))
}

fn json_format(json: &google::Struct, omit_empty: bool) -> Check<LogFormat> {
    let mut left = limits::LOG_FORMAT_BYTES;
    Ok(LogFormat::Json { members: members(json, &mut left)?, omit_empty })
}

/// The members in order; `left` is what the whole format may still have of text. The parser of messages bounds how deep they nest.
fn members(json: &google::Struct, left: &mut usize) -> Check<Vec<(String, JsonTemplate)>> {
    let ordered: BTreeMap<&String, &google::Value> = json.fields.iter().collect();
    let member = |(name, value): (&String, &google::Value)| {
        spend(left, name.len())?;
        Ok((name.clone(), from_value(value, left).at(wire::cut(name))?))
    };
    ordered.into_iter().map(member).collect()
}

fn from_value(value: &google::Value, left: &mut usize) -> Check<JsonTemplate> {
    use google::value::Kind;
    spend(left, 1)?;
    Ok(match &value.kind {
        Some(Kind::StringValue(text)) => {
            spend(left, text.len())?;
            JsonTemplate::Text(template(text)?)
        }
        Some(Kind::StructValue(json)) => JsonTemplate::Object(members(json, left)?),
        Some(Kind::ListValue(list)) => {
            let items = list.values.iter().enumerate();
            let items = items.map(|(index, item)| from_value(item, left).at_index("", index));
            JsonTemplate::List(items.collect::<Check<_>>()?)
        }
        Some(Kind::NumberValue(number)) if number.is_finite() => JsonTemplate::Number(number.to_string()),
        Some(Kind::NumberValue(number)) => return Err(Fault::new(format!("{number} is no number of JSON"))),
        Some(Kind::BoolValue(value)) => JsonTemplate::Bool(*value),
        Some(Kind::NullValue(_)) | None => JsonTemplate::Null,
    })
}

fn spend(left: &mut usize, bytes: usize) -> Check<()> {
    *left = left
        .checked_sub(bytes)
        .ok_or_else(|| Fault::new(format!("longer than {} bytes", limits::LOG_FORMAT_BYTES)))?;
    Ok(())
}
