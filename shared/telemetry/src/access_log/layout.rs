//! A line of the access log from a record, as a format has it.
//!
//! Made once per format and worker: what a format asks of heads and trailers is known before a request comes, and only that is kept of
//! it. Rendering is the writing thread's.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde_json::{Map, Value};
use weir_model::access_log::{
    AccessLog, AddressPart, GrpcStyle, JsonTemplate, LogField, LogFilter, LogFormat, LogOutput, LogValue,
    Piece, Template,
};

use super::record::{AccessRecord, HttpAccess};
use super::time;
use crate::span::{MAX_TEXT, Text};

/// What a listener's lines say and where they go.
#[derive(Clone, Debug)]
pub struct Layout {
    /// One for each log of the listener.
    lines: Vec<Line>,
    /// What any of them asks for.
    request: Vec<LogField>,
    response: Vec<LogField>,
    trailers: Vec<LogField>,
}

/// One log of a listener.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) output: LogOutput,
    format: LogFormat,
    filter: Option<Box<LogFilter>>,
}

impl Default for Layout {
    /// Weir's own JSON on standard output.
    fn default() -> Self {
        Layout::new(&AccessLog::default(), &LogFormat::Default)
    }
}

/// What a format asks of a request, side by side with [`Layout::request`] and its like. What is not there is `None`; what lies beyond the end
/// was never seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Of the request's head.
    pub request: Vec<Option<Text>>,
    /// Of the response's head.
    pub response: Vec<Option<Text>>,
    /// Of the response's trailers.
    pub trailers: Vec<Option<Text>>,
}

impl Seen {
    /// Cuts every text, so that its size has a bound.
    pub(super) fn bound(&mut self) {
        let all = [&mut self.request, &mut self.response, &mut self.trailers];
        for text in all.into_iter().flatten().flatten().filter(|text| text.len() > MAX_TEXT) {
            *text = Text::new(&text[..text.floor_char_boundary(MAX_TEXT)]);
        }
    }
}

impl Layout {
    /// Of a listener's logs; `default` is what the process was started with, and if that is a default too, weir's own JSON.
    pub fn new(log: &AccessLog, default: &LogFormat) -> Layout {
        let (lines, request, response, trailers) = Default::default();
        let mut layout = Layout { lines, request, response, trailers };
        for log in log.all() {
            let format = match &log.format {
                LogFormat::Default => default.clone(),
                format => format.clone(),
            };
            layout.ask_for(&format);
            for name in log.filter.iter().flat_map(|filter| filter.fields()) {
                add(&mut layout.request, &LogField::Header(name.clone()));
            }
            layout.lines.push(Line { output: log.output, format, filter: log.filter.clone() });
        }
        layout
    }

    fn ask_for(&mut self, format: &LogFormat) {
        format.values().into_iter().for_each(|value| self.ask(value));
    }

    fn ask(&mut self, value: &LogValue) {
        let (fields, first, other) = match value {
            LogValue::Request(first, other) => (&mut self.request, first, other),
            LogValue::Response(first, other) => (&mut self.response, first, other),
            LogValue::Trailer(first, other) => (&mut self.trailers, first, other),
            _ => return,
        };
        std::iter::once(first).chain(other).for_each(|field| add(fields, field));
    }

    /// Its logs.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// One that asks for what a template is made of.
    pub fn asking(template: &Template) -> Layout {
        let mut layout = Layout { lines: vec![], request: vec![], response: vec![], trailers: vec![] };
        template.values().for_each(|value| layout.ask(value));
        layout
    }

    /// What a template that was asked for comes to. What has no value is left out.
    pub fn text(&self, template: &Template, record: &AccessRecord, seen: &Seen) -> String {
        Source { layout: self, record, seen }.text(template, "")
    }

    /// What of a request's head is wanted.
    pub fn request(&self) -> &[LogField] {
        &self.request
    }

    /// What of a response's head is wanted.
    pub fn response(&self) -> &[LogField] {
        &self.response
    }

    /// What of a response's trailers is wanted.
    pub fn trailers(&self) -> &[LogField] {
        &self.trailers
    }

    /// Appends the line of one of its logs.
    pub(super) fn write(&self, log: &Line, record: &AccessRecord, seen: &Seen, line: &mut Vec<u8>) {
        let source = Source { layout: self, record, seen };
        match &log.format {
            LogFormat::Text { template, omit_empty } => {
                line.extend_from_slice(source.text(template, if *omit_empty { "" } else { "-" }).as_bytes());
                return;
            }
            LogFormat::Json { members, omit_empty } => {
                // Values hold only what JSON can hold, and a vector takes every byte.
                let _ =
                    serde_json::to_writer(&mut *line, &Value::Object(source.object(members, *omit_empty)));
            }
            LogFormat::Default => {
                let _ = serde_json::to_writer(&mut *line, record);
            }
        }
        line.push(b'\n');
    }

    /// Whether a log has a line of this. `draw` gives a number below a million.
    pub(super) fn wants(
        &self,
        log: &Line,
        record: &AccessRecord,
        seen: &Seen,
        draw: &mut dyn FnMut() -> u64,
    ) -> bool {
        let Some(filter) = &log.filter else { return true };
        Source { layout: self, record, seen }.passes(filter, draw)
    }
}

fn add(fields: &mut Vec<LogField>, field: &LogField) {
    if !fields.contains(field) {
        fields.push(field.clone());
    }
}

/// What an operator stands for in one line.
enum Shown<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

impl<'a> From<&'a str> for Shown<'a> {
    fn from(text: &'a str) -> Shown<'a> {
        Shown::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Shown<'_> {
    fn from(text: String) -> Self {
        Shown::Text(Cow::Owned(text))
    }
}

/// What a line is made of.
struct Source<'a> {
    layout: &'a Layout,
    record: &'a AccessRecord,
    seen: &'a Seen,
}

impl<'a> Source<'a> {
    fn text(&self, template: &Template, missing: &str) -> String {
        let mut line = String::new();
        for piece in &template.0 {
            let (value, longest) = match piece {
                Piece::Text(text) => {
                    line.push_str(text);
                    continue;
                }
                Piece::Value { value, longest } => (value, longest.unwrap_or(usize::MAX)),
            };
            let shown = match self.value(value) {
                Some(Shown::Number(number)) => Cow::Owned(number.to_string()),
                Some(Shown::Text(text)) => text,
                None => Cow::Borrowed(missing),
            };
            line.push_str(&shown[..shown.floor_char_boundary(longest.min(shown.len()))]);
        }
        line
    }

    fn object(&self, members: &[(String, JsonTemplate)], omit_empty: bool) -> Map<String, Value> {
        let members = members.iter().filter_map(|(name, member)| {
            let value = self.json(member, omit_empty);
            (!omit_empty || !value.is_null()).then(|| (name.clone(), value))
        });
        members.collect()
    }

    fn json(&self, template: &JsonTemplate, omit_empty: bool) -> Value {
        match template {
            JsonTemplate::Text(template) => match template.0.as_slice() {
                [Piece::Value { value, longest: None }] => match self.value(value) {
                    Some(Shown::Number(number)) => Value::from(number),
                    Some(Shown::Text(text)) => Value::from(text),
                    None => Value::Null,
                },
                [Piece::Value { value, .. }] if self.value(value).is_none() => Value::Null,
                _ => Value::from(self.text(template, if omit_empty { "" } else { "-" })),
            },
            JsonTemplate::Object(members) => Value::Object(self.object(members, omit_empty)),
            JsonTemplate::List(items) => items.iter().map(|item| self.json(item, omit_empty)).collect(),
            JsonTemplate::Number(number) => number.parse().map_or(Value::Null, Value::Number),
            JsonTemplate::Bool(value) => Value::Bool(*value),
            JsonTemplate::Null => Value::Null,
        }
    }

    fn passes(&self, filter: &LogFilter, draw: &mut dyn FnMut() -> u64) -> bool {
        let common = self.record.common();
        match filter {
            LogFilter::Always => true,
            LogFilter::Status(comparison, named) => {
                let status = self.http().and_then(|http| http.status).unwrap_or(0);
                comparison.holds(status.into(), *named)
            }
            LogFilter::Duration(comparison, named) => comparison.holds(common.duration_micros / 1000, *named),
            LogFilter::Share(share) => draw() < u64::from(share.0),
            LogFilter::Flags(flags) if flags.is_empty() => !common.response_flags.is_empty(),
            LogFilter::Flags(flags) => {
                common.response_flags.split(',').any(|flag| flags.iter().any(|wanted| wanted == flag))
            }
            LogFilter::Traced => self.http().is_some_and(|http| http.trace_id.is_some()),
            LogFilter::Header { name, exact, inverted } => {
                let field = LogField::Header(name.clone());
                let place = self.layout.request.iter().position(|wanted| *wanted == field);
                let value = place.and_then(|place| self.seen.request.get(place)?.as_deref());
                let holds = match exact {
                    Some(exact) => value == Some(exact.as_str()),
                    None => value.is_some(),
                };
                holds != *inverted
            }
            LogFilter::All(filters) => filters.iter().all(|filter| self.passes(filter, draw)),
            LogFilter::Any(filters) => filters.iter().any(|filter| self.passes(filter, draw)),
        }
    }

    fn http(&self) -> Option<&'a HttpAccess> {
        match self.record {
            AccessRecord::Http(http) => Some(http),
            AccessRecord::Tcp(_) => None,
        }
    }

    /// What an operator stands for; `None` if there is no such thing in this line.
    fn value(&self, value: &LogValue) -> Option<Shown<'a>> {
        let common = self.record.common();
        let number = |number: u64| Some(Shown::Number(number));
        match value {
            LogValue::StartTime(None) => Some(time::milliseconds(common.start_unix_nanos).into()),
            LogValue::StartTime(Some(format)) => {
                Some(time::formatted(common.start_unix_nanos, format).into())
            }
            LogValue::Request(first, other) => {
                field(&self.layout.request, &self.seen.request, first, other.as_ref())
            }
            LogValue::Response(first, other) => {
                field(&self.layout.response, &self.seen.response, first, other.as_ref())
            }
            LogValue::Trailer(first, other) => {
                field(&self.layout.trailers, &self.seen.trailers, first, other.as_ref())
            }
            LogValue::Protocol => Some(self.http()?.protocol.into()),
            LogValue::ResponseCode => number(self.http().and_then(|http| http.status).unwrap_or(0).into()),
            LogValue::ResponseCodeDetails => present(self.http()?.details),
            LogValue::ResponseFlags => present(common.response_flags),
            LogValue::ResponseFlagsLong => {
                let flags = present(common.response_flags).and(Some(common.response_flags))?;
                Some(flags.split(',').map(long_flag).collect::<Vec<_>>().join(",").into())
            }
            LogValue::BytesReceived => number(common.bytes_received),
            LogValue::BytesSent => number(common.bytes_sent),
            LogValue::Duration => number(common.duration_micros / 1000),
            LogValue::ResponseDuration => number(self.http()?.first_byte_micros? / 1000),
            LogValue::ResponseTxDuration => {
                let first = self.http()?.first_byte_micros?;
                number(common.duration_micros.saturating_sub(first) / 1000)
            }
            LogValue::UpstreamHost(part) => address(common.endpoint, *part),
            LogValue::UpstreamCluster => present(common.cluster),
            LogValue::Attempts => {
                let http = self.http()?;
                number(http.endpoint.map_or(0, |_| u64::from(http.retries) + 1))
            }
            LogValue::DownstreamRemote(part) => address(common.peer, *part),
            LogValue::DownstreamLocal(part) => address(common.local, *part),
            LogValue::RequestedServerName => match self.record {
                AccessRecord::Tcp(tcp) => present(&tcp.server_name),
                // No TLS ends here.
                AccessRecord::Http(_) => None,
            },
            LogValue::RouteName => present(&self.http()?.route),
            LogValue::TraceId => Some(format!("{:032x}", self.http()?.trace_id?).into()),
            LogValue::GrpcStatus(style) => {
                let status = self.http()?.grpc_status?;
                Some(match style {
                    GrpcStyle::Number => Shown::Number(status.into()),
                    GrpcStyle::Camel => grpc_name(status, false),
                    GrpcStyle::Snake => grpc_name(status, true),
                })
            }
        }
    }
}

fn present(text: &str) -> Option<Shown<'_>> {
    (!text.is_empty()).then(|| text.into())
}

fn field<'a>(
    wanted: &[LogField],
    seen: &'a [Option<Text>],
    first: &LogField,
    other: Option<&LogField>,
) -> Option<Shown<'a>> {
    let one = |field: &LogField| {
        let place = wanted.iter().position(|wanted| wanted == field)?;
        seen.get(place)?.as_deref()
    };
    one(first).or_else(|| one(other?)).map(Shown::from)
}

fn address(address: Option<SocketAddr>, part: AddressPart) -> Option<Shown<'static>> {
    let address = address?;
    Some(match part {
        AddressPart::Whole => address.to_string().into(),
        AddressPart::Ip => address.ip().to_string().into(),
        AddressPart::Port => Shown::Number(address.port().into()),
    })
}

/// Envoy's words for its flags.
fn long_flag(flag: &str) -> &str {
    const LONG: [(&str, &str); 24] = [
        ("DC", "DownstreamConnectionTermination"),
        ("LH", "FailedLocalHealthCheck"),
        ("UH", "NoHealthyUpstream"),
        ("UT", "UpstreamRequestTimeout"),
        ("LR", "LocalReset"),
        ("UR", "UpstreamRemoteReset"),
        ("UF", "UpstreamConnectionFailure"),
        ("UC", "UpstreamConnectionTermination"),
        ("UO", "UpstreamOverflow"),
        ("NR", "NoRouteFound"),
        ("DI", "DelayInjected"),
        ("FI", "FaultInjected"),
        ("RL", "RateLimited"),
        ("UAEX", "UnauthorizedExternalService"),
        ("RLSE", "RateLimitServiceError"),
        ("IH", "InvalidEnvoyRequestHeaders"),
        ("SI", "StreamIdleTimeout"),
        ("DPE", "DownstreamProtocolError"),
        ("UPE", "UpstreamProtocolError"),
        ("UMSDR", "UpstreamMaxStreamDurationReached"),
        ("OM", "OverloadManagerTerminated"),
        ("NC", "NoClusterFound"),
        ("DT", "DurationTimeout"),
        ("URX", "UpstreamRetryLimitExceeded"),
    ];
    LONG.iter().find(|(short, _)| *short == flag).map_or(flag, |(_, long)| long)
}

/// A gRPC status in words; one that has none as a number.
fn grpc_name(status: u16, snake: bool) -> Shown<'static> {
    const NAMES: [(&str, &str); 17] = [
        ("OK", "OK"),
        ("Canceled", "CANCELLED"),
        ("Unknown", "UNKNOWN"),
        ("InvalidArgument", "INVALID_ARGUMENT"),
        ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
        ("NotFound", "NOT_FOUND"),
        ("AlreadyExists", "ALREADY_EXISTS"),
        ("PermissionDenied", "PERMISSION_DENIED"),
        ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
        ("FailedPrecondition", "FAILED_PRECONDITION"),
        ("Aborted", "ABORTED"),
        ("OutOfRange", "OUT_OF_RANGE"),
        ("Unimplemented", "UNIMPLEMENTED"),
        ("Internal", "INTERNAL"),
        ("Unavailable", "UNAVAILABLE"),
        ("DataLoss", "DATA_LOSS"),
        ("Unauthenticated", "UNAUTHENTICATED"),
    ];
    match NAMES.get(usize::from(status)) {
        Some((_, name)) if snake => (*name).into(),
        Some((name, _)) => (*name).into(),
        None => status.to_string().into(),
    }
}

#[cfg(test)]
mod tests;
