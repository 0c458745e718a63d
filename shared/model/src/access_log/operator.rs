//! The operators of access log formats that are known, by Envoy's names.

use http::HeaderName;
use std::fmt;

/// What an operator stands for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum LogValue {
    /// When it began: RFC 3339 in UTC to the millisecond, or as written.
    StartTime(Option<TimeFormat>),
    /// A field of the request as it came, or another one if that is not there.
    Request(LogField, Option<LogField>),
    /// A field of the response as it went.
    Response(LogField, Option<LogField>),
    /// A field of the response's trailers.
    Trailer(LogField, Option<LogField>),
    /// `HTTP/1.1` or `HTTP/2`.
    Protocol,
    /// The status sent; 0 for none.
    ResponseCode,
    /// Who gave the status, and why.
    ResponseCodeDetails,
    /// Short flags of what went wrong.
    ResponseFlags,
    /// The same in words.
    ResponseFlagsLong,
    /// Body bytes from the client.
    BytesReceived,
    /// Body bytes to the client.
    BytesSent,
    /// Milliseconds from the beginning to the end.
    Duration,
    /// Milliseconds from the beginning to the upstream's first byte.
    ResponseDuration,
    /// Milliseconds from the upstream's first byte to the end.
    ResponseTxDuration,
    /// The endpoint that answered, or was tried last.
    UpstreamHost(AddressPart),
    /// The cluster.
    UpstreamCluster,
    /// How often it was sent.
    Attempts,
    /// The client.
    DownstreamRemote(AddressPart),
    /// Where the client connected to.
    DownstreamLocal(AddressPart),
    /// The server name that the client asked for in TLS.
    RequestedServerName,
    /// The route.
    RouteName,
    /// The trace, if it is recorded.
    TraceId,
    /// The gRPC status.
    GrpcStatus(GrpcStyle),
}

/// A header field, or one of the parts of a head that HTTP/2 has as fields.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum LogField {
    /// `:method`
    Method,
    /// `:path`, with the query.
    Path,
    /// `:authority`
    Authority,
    /// `:scheme`
    Scheme,
    /// `:status`
    Status,
    /// A header field.
    Header(HeaderName),
}

/// Which part of an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressPart {
    /// `IP:PORT`
    Whole,
    /// The IP.
    Ip,
    /// The port.
    Port,
}

/// How a gRPC status is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GrpcStyle {
    /// `InvalidArgument`
    Camel,
    /// `INVALID_ARGUMENT`
    Snake,
    /// `3`
    Number,
}

/// A time in the words of `strftime`; only what is known.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TimeFormat(String);

impl TimeFormat {
    /// What may follow a percent sign. A digit may stand before the `f`.
    const KNOWN: &str = "YmdeHMSyFTsfzZ%";

    /// The format.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<TimeFormat, String> {
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                continue;
            }
            let known = match chars.next() {
                Some('1'..='9') => chars.next() == Some('f'),
                Some(specifier) => Self::KNOWN.contains(specifier),
                None => false,
            };
            if !known {
                return Err(format!(
                    "a time of unknown parts: {text:?}; %Y %m %d %e %y %F %H %M %S %T %s %f %1f to %9f %z %Z are known"
                ));
            }
        }
        Ok(TimeFormat(text.to_owned()))
    }
}

/// The operators without an argument, by their names. Where two names mean the same, the first one is written.
const PLAIN: &[(&str, LogValue)] = {
    use AddressPart::{Ip, Port, Whole};
    &[
        ("PROTOCOL", LogValue::Protocol),
        ("RESPONSE_CODE", LogValue::ResponseCode),
        ("RESPONSE_CODE_DETAILS", LogValue::ResponseCodeDetails),
        ("RESPONSE_FLAGS", LogValue::ResponseFlags),
        ("RESPONSE_FLAGS_LONG", LogValue::ResponseFlagsLong),
        ("BYTES_RECEIVED", LogValue::BytesReceived),
        ("BYTES_SENT", LogValue::BytesSent),
        ("DURATION", LogValue::Duration),
        ("RESPONSE_DURATION", LogValue::ResponseDuration),
        ("RESPONSE_TX_DURATION", LogValue::ResponseTxDuration),
        ("UPSTREAM_HOST", LogValue::UpstreamHost(Whole)),
        ("UPSTREAM_REMOTE_ADDRESS", LogValue::UpstreamHost(Whole)),
        ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", LogValue::UpstreamHost(Ip)),
        ("UPSTREAM_REMOTE_PORT", LogValue::UpstreamHost(Port)),
        ("UPSTREAM_CLUSTER", LogValue::UpstreamCluster),
        ("UPSTREAM_CLUSTER_RAW", LogValue::UpstreamCluster),
        ("UPSTREAM_REQUEST_ATTEMPT_COUNT", LogValue::Attempts),
        ("DOWNSTREAM_REMOTE_ADDRESS", LogValue::DownstreamRemote(Whole)),
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", LogValue::DownstreamRemote(Ip)),
        ("DOWNSTREAM_REMOTE_PORT", LogValue::DownstreamRemote(Port)),
        ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", LogValue::DownstreamRemote(Whole)),
        ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", LogValue::DownstreamRemote(Ip)),
        ("DOWNSTREAM_DIRECT_REMOTE_PORT", LogValue::DownstreamRemote(Port)),
        ("DOWNSTREAM_LOCAL_ADDRESS", LogValue::DownstreamLocal(Whole)),
        ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", LogValue::DownstreamLocal(Ip)),
        ("DOWNSTREAM_LOCAL_PORT", LogValue::DownstreamLocal(Port)),
        ("REQUESTED_SERVER_NAME", LogValue::RequestedServerName),
        ("ROUTE_NAME", LogValue::RouteName),
        ("TRACE_ID", LogValue::TraceId),
        ("GRPC_STATUS_NUMBER", LogValue::GrpcStatus(GrpcStyle::Number)),
    ]
};

/// The operators that have one.
const WITH_ARGUMENT: &[&str] = &["START_TIME", "REQ", "RESP", "TRAILER", "GRPC_STATUS"];

const GRPC_STYLES: &[(&str, GrpcStyle)] =
    &[("CAMEL_STRING", GrpcStyle::Camel), ("SNAKE_STRING", GrpcStyle::Snake), ("NUMBER", GrpcStyle::Number)];

impl LogValue {
    /// The operator of a name, with what stood in its parentheses.
    pub(super) fn parse(name: &str, argument: Option<&str>) -> Result<LogValue, String> {
        if let Some((_, value)) = PLAIN.iter().find(|(known, _)| *known == name) {
            return match argument {
                None | Some("") => Ok(value.clone()),
                Some(_) => Err(format!("{name} takes no argument; write %{name}%")),
            };
        }
        let argument = argument.unwrap_or_default();
        match name {
            "START_TIME" if argument.is_empty() => Ok(LogValue::StartTime(None)),
            "START_TIME" => TimeFormat::parse(argument).map(Some).map(LogValue::StartTime),
            "REQ" => {
                let allowed = |field: &LogField| *field != LogField::Status;
                fields(name, argument, allowed).map(|(field, other)| LogValue::Request(field, other))
            }
            "RESP" => {
                let allowed = |field: &LogField| matches!(field, LogField::Header(_) | LogField::Status);
                fields(name, argument, allowed).map(|(field, other)| LogValue::Response(field, other))
            }
            "TRAILER" => {
                let allowed = |field: &LogField| matches!(field, LogField::Header(_));
                fields(name, argument, allowed).map(|(field, other)| LogValue::Trailer(field, other))
            }
            "GRPC_STATUS" if argument.is_empty() => Ok(LogValue::GrpcStatus(GrpcStyle::Camel)),
            "GRPC_STATUS" => match GRPC_STYLES.iter().find(|(known, _)| *known == argument) {
                Some((_, style)) => Ok(LogValue::GrpcStatus(*style)),
                None => Err(format!(
                    "{argument:?} is no way to write a status; write CAMEL_STRING, SNAKE_STRING or NUMBER"
                )),
            },
            _ => Err(unknown(name)),
        }
    }
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = WITH_ARGUMENT.iter().copied().chain(PLAIN.iter().map(|(name, _)| *name)).collect();
    format!("the operator {name} is not supported; known are {}", known.join(" "))
}

/// `NAME` or `NAME?OTHER`.
fn fields(
    operator: &str,
    argument: &str,
    allowed: impl Fn(&LogField) -> bool,
) -> Result<(LogField, Option<LogField>), String> {
    let one = |text: &str| {
        let field = LogField::parse(text).filter(&allowed);
        field
            .ok_or_else(|| format!("{text:?} is not a field that {operator} knows; write %{operator}(NAME)%"))
    };
    match argument.split_once('?') {
        None => Ok((one(argument)?, None)),
        Some((first, other)) => Ok((one(first)?, Some(one(other)?))),
    }
}

const PSEUDO: &[(&str, LogField)] = &[
    (":METHOD", LogField::Method),
    (":PATH", LogField::Path),
    (":AUTHORITY", LogField::Authority),
    (":SCHEME", LogField::Scheme),
    (":STATUS", LogField::Status),
];

impl LogField {
    fn parse(text: &str) -> Option<LogField> {
        match PSEUDO.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            Some((_, field)) => Some(field.clone()),
            None => HeaderName::from_bytes(text.as_bytes()).ok().map(LogField::Header),
        }
    }
}

impl fmt::Display for LogField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, PSEUDO.iter().find(|(_, field)| field == self)) {
            (LogField::Header(name), _) => f.write_str(name.as_str()),
            (_, Some((name, _))) => f.write_str(name),
            (_, None) => Ok(()),
        }
    }
}

/// As it is written between percent signs.
impl fmt::Display for LogValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, field, other) = match self {
            LogValue::StartTime(None) => return f.write_str("START_TIME"),
            LogValue::StartTime(Some(format)) => return write!(f, "START_TIME({})", format.0),
            LogValue::GrpcStatus(GrpcStyle::Camel) => return f.write_str("GRPC_STATUS"),
            LogValue::GrpcStatus(GrpcStyle::Snake) => return f.write_str("GRPC_STATUS(SNAKE_STRING)"),
            LogValue::Request(field, other) => ("REQ", field, other),
            LogValue::Response(field, other) => ("RESP", field, other),
            LogValue::Trailer(field, other) => ("TRAILER", field, other),
            plain => {
                let known = PLAIN.iter().find(|(_, value)| value == plain);
                return f.write_str(known.map_or("", |(name, _)| name));
            }
        };
        match other {
            Some(other) => write!(f, "{name}({field}?{other})"),
            None => write!(f, "{name}({field})"),
        }
    }
}
