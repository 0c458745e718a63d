//! A finished span as a plain value.
//!
//! Third on a request's way through telemetry: where a request is recorded, the proxy fills one [`SpanRecord`] when it is over
//! and hands it to the exporter's queue. Nothing is encoded here; what a field becomes in OpenTelemetry's words is decided in
//! `export`. [`Text`] keeps up to 23 bytes without an allocation; longer names are copied, not shared, so that no reference
//! count moves between workers.
//!
//! Attribute meanings follow OpenTelemetry's semantic conventions for HTTP and RPC spans.

use std::net::SocketAddr;

/// A short string: up to 23 bytes inline.
pub type Text = smol_str::SmolStr;

/// The longest text kept in a span, in bytes.
pub const MAX_TEXT: usize = 1024;

/// Which side of a call a span describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanKind {
    /// We took the request.
    #[default]
    Server,
    /// We sent the request; one span for each attempt.
    Client,
}

/// The protocol version of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtocolVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

impl ProtocolVersion {
    /// As `network.protocol.version` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProtocolVersion::Http10 => "1.0",
            ProtocolVersion::Http11 => "1.1",
            ProtocolVersion::Http2 => "2",
        }
    }
}

/// The gRPC side of an HTTP/2 request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    /// `package.Service/Method`: the path without its first slash.
    pub method: Text,
    /// The `grpc-status`; `None` if none came.
    pub status: Option<u16>,
}

/// A finished HTTP or gRPC span. Empty texts and `None` are left out of the export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanRecord {
    /// The trace; not zero.
    pub trace_id: u128,
    /// This span; not zero.
    pub span_id: u64,
    /// The span above; `None` where the trace begins.
    pub parent_span_id: Option<u64>,
    /// Whether the parent was made in another process (it came in headers).
    pub remote_parent: bool,
    /// W3C trace flags.
    pub flags: u8,
    /// The `tracestate` that came along.
    pub trace_state: Text,
    /// Which side of the call.
    pub kind: SpanKind,
    /// Wall clock at the start, in nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// Wall clock at the end: the start plus a duration on the monotonic clock.
    pub end_unix_nanos: u64,

    /// `http.request.method`; unknown methods as they are.
    pub method: Text,
    /// `url.scheme`: `http` or `https`.
    pub scheme: &'static str,
    /// `url.path`, without the query, which may hold secrets.
    pub path: Text,
    /// `http.route`: the path template or prefix that matched, of low cardinality.
    pub route_pattern: Text,
    /// `http.response.status_code`; `None` if no response came.
    pub status: Option<u16>,
    /// `network.protocol.version`.
    pub version: ProtocolVersion,
    /// gRPC's view, if it is gRPC.
    pub grpc: Option<GrpcCall>,
    /// `server.address`: the host that was asked for, without its port.
    pub server_address: Text,
    /// `server.port`.
    pub server_port: Option<u16>,
    /// `network.peer.address` and `network.peer.port`: the other end of the connection.
    pub peer: Option<SocketAddr>,
    /// `http.request.resend_count`: which retry this attempt is (client), or how many there were (server).
    pub retries: u16,
    /// `error.type`: why there is no good response, of low cardinality; if empty, the status says it.
    pub error_type: Text,

    /// `weir.route`: the name of the route.
    pub route: Text,
    /// `weir.cluster`: the name of the cluster.
    pub cluster: Text,
    /// `weir.endpoint`: the endpoint's address or name.
    pub endpoint: Text,
    /// `weir.response_flags`: Envoy's short flags, such as `UF` or `UT`.
    pub response_flags: Text,
    /// `weir.mirror`: whether it is a copy of a request, which nobody waits for.
    pub mirror: bool,
}

impl SpanRecord {
    /// Whether the conventions count the outcome as an error: on the client side every status from 400 and every gRPC status
    /// but OK, on the server side only what is the server's fault.
    pub fn is_error(&self) -> bool {
        if !self.error_type.is_empty() {
            return true;
        }
        let client = self.kind == SpanKind::Client;
        if let Some(GrpcCall { status: Some(status), .. }) = &self.grpc {
            // Unknown, deadline exceeded, unimplemented, internal, unavailable, data loss.
            return *status != 0 && (client || matches!(status, 2 | 4 | 12 | 13 | 14 | 15));
        }
        match self.status {
            Some(status) => status >= if client { 400 } else { 500 },
            None => false,
        }
    }

    /// Cuts every text to [`MAX_TEXT`] bytes, so that a span's size has a bound.
    pub(crate) fn bound(&mut self) {
        let texts = [
            &mut self.trace_state,
            &mut self.method,
            &mut self.path,
            &mut self.route_pattern,
            &mut self.server_address,
            &mut self.error_type,
            &mut self.route,
            &mut self.cluster,
            &mut self.endpoint,
            &mut self.response_flags,
        ];
        for text in texts.into_iter().chain(self.grpc.as_mut().map(|grpc| &mut grpc.method)) {
            if text.len() > MAX_TEXT {
                *text = Text::new(&text[..text.floor_char_boundary(MAX_TEXT)]);
            }
        }
    }

    /// The span's name: method and route, or gRPC's method; of low cardinality.
    pub fn name(&self) -> String {
        if let Some(grpc) = &self.grpc {
            return grpc.method.to_string();
        }
        let method = match self.method.as_str() {
            "" => "HTTP",
            method => known_method(method).unwrap_or("HTTP"),
        };
        if self.route_pattern.is_empty() {
            method.to_owned()
        } else {
            format!("{method} {}", self.route_pattern)
        }
    }
}

/// The method as a static string if it is one of those the HTTP conventions know (RFC 9110 and PATCH); bounded for use in
/// metric labels, where the others are `_OTHER`.
pub fn known_method(method: &str) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method)
}

#[cfg(test)]
mod tests;
