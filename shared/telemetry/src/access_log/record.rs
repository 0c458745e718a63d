//! What a line of the access log can say, and what weir's own JSON says of it.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::time::rfc3339;
use crate::span::{MAX_TEXT, Text};

/// A line of the access log; `type` says which.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[allow(clippy::large_enum_variant, reason = "nearly all are requests, and none is allocated for")]
pub enum AccessRecord {
    /// A request.
    Http(HttpAccess),
    /// An opaque connection.
    Tcp(TcpAccess),
}

/// A request that is over. Empty texts and `None` are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HttpAccess {
    /// When it began, in nanoseconds since 1970; written as RFC 3339.
    #[serde(rename = "time", serialize_with = "as_rfc3339")]
    pub start_unix_nanos: u64,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// The method.
    pub method: Text,
    /// The Host or `:authority`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub authority: Text,
    /// The path without its query.
    pub path: Text,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// The status sent to the client; `None` if the client left before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The gRPC status, if it is gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u16>,
    /// Envoy's short flags.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub response_flags: Text,
    /// From the first byte of the request to the last of the response, in microseconds.
    pub duration_micros: u64,
    /// The part of it spent waiting for the upstream's response head, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_micros: Option<u64>,
    /// Body bytes from the client.
    pub bytes_received: u64,
    /// Body bytes to the client.
    pub bytes_sent: u64,
    /// From the beginning to the first byte of the upstream's response, in microseconds.
    #[serde(skip)]
    pub first_byte_micros: Option<u64>,
    /// Who gave the status, and why, in Envoy's words.
    #[serde(skip)]
    pub details: &'static str,
    /// The client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// Where the client connected to.
    #[serde(skip)]
    pub local: Option<SocketAddr>,
    /// The route's name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub route: Text,
    /// The cluster's name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cluster: Text,
    /// The endpoint that answered, or was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// How often the request was sent after the first time.
    pub retries: u16,
    /// The trace, if it is recorded; in hexadecimal.
    #[serde(rename = "trace_id", skip_serializing_if = "Option::is_none", serialize_with = "as_hex")]
    pub trace_id: Option<u128>,
}

/// An opaque connection that is over. Empty texts and `None` are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TcpAccess {
    /// When it began, in nanoseconds since 1970; written as RFC 3339.
    #[serde(rename = "time", serialize_with = "as_rfc3339")]
    pub start_unix_nanos: u64,
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// How long it lasted, in microseconds.
    pub duration_micros: u64,
    /// Bytes from the client.
    pub bytes_received: u64,
    /// Bytes to the client.
    pub bytes_sent: u64,
    /// The client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// Where the client connected to.
    #[serde(skip)]
    pub local: Option<SocketAddr>,
    /// The cluster's name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cluster: Text,
    /// The endpoint it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// Envoy's short flags.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub response_flags: Text,
    /// The server name that its client asks for in TLS, if it was looked at.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub server_name: Text,
}

/// What both kinds of records have.
pub(super) struct Common<'a> {
    pub(super) start_unix_nanos: u64,
    pub(super) duration_micros: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) peer: Option<SocketAddr>,
    pub(super) local: Option<SocketAddr>,
    pub(super) cluster: &'a str,
    pub(super) endpoint: Option<SocketAddr>,
    pub(super) response_flags: &'a str,
}

impl AccessRecord {
    pub(super) fn common(&self) -> Common<'_> {
        macro_rules! common {
            ($record:expr) => {
                Common {
                    start_unix_nanos: $record.start_unix_nanos,
                    duration_micros: $record.duration_micros,
                    bytes_received: $record.bytes_received,
                    bytes_sent: $record.bytes_sent,
                    peer: $record.peer,
                    local: $record.local,
                    cluster: &$record.cluster,
                    endpoint: $record.endpoint,
                    response_flags: &$record.response_flags,
                }
            };
        }
        match self {
            AccessRecord::Http(http) => common!(http),
            AccessRecord::Tcp(tcp) => common!(tcp),
        }
    }

    /// Cuts every text, so that a record's size has a bound.
    pub(super) fn bound(&mut self) {
        let texts: &mut [&mut Text] = match self {
            AccessRecord::Http(http) => &mut [
                &mut http.method,
                &mut http.authority,
                &mut http.path,
                &mut http.response_flags,
                &mut http.route,
                &mut http.cluster,
            ],
            AccessRecord::Tcp(tcp) => &mut [&mut tcp.cluster, &mut tcp.response_flags, &mut tcp.server_name],
        };
        for text in texts {
            if text.len() > MAX_TEXT {
                **text = Text::new(&text[..text.floor_char_boundary(MAX_TEXT)]);
            }
        }
    }
}

fn as_rfc3339<S: Serializer>(nanos: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&rfc3339(*nanos))
}

fn as_hex<S: Serializer>(id: &Option<u128>, to: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => to.collect_str(&format_args!("{id:032x}")),
        None => to.serialize_none(),
    }
}
