//! What a line of the access log says.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use crate::span::{MAX_TEXT, Text};

/// A line of the access log; `type` says which.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
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
    /// The client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
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
    /// The cluster's name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cluster: Text,
    /// The endpoint it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// Envoy's short flags.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub response_flags: Text,
}

impl AccessRecord {
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
            AccessRecord::Tcp(tcp) => &mut [&mut tcp.cluster, &mut tcp.response_flags],
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

/// A wall-clock time as RFC 3339 in UTC, to the microsecond.
pub fn rfc3339(unix_nanos: u64) -> impl std::fmt::Display {
    struct Moment(u64);

    impl std::fmt::Display for Moment {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let (seconds, micros) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1000);
            let (days, second) = (seconds / 86_400, seconds % 86_400);
            let (year, month, day) = date(days);
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
        }
    }

    Moment(unix_nanos)
}

/// The Gregorian date `days` after 1970-01-01. Years are counted from March, so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01; a cycle of 400 years has 146 097.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next, month, day_of_month)
}
