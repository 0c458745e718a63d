//! What is kept of a request while it is under way, and the span and the log line that are made of it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use weir_model::Time;
use weir_model::access_log::LogField;
use weir_runtime::clock::unix_nanos;
use weir_telemetry::access_log::{HttpAccess, Layout, Seen, TcpAccess};
use weir_telemetry::context::TraceContext;
use weir_telemetry::span::{GrpcCall, SpanKind, SpanRecord, Text};

use super::{DIRECTIONS, details, labels};
use crate::exchange::Exchange;
use crate::reject::Kind;
use crate::respond::answer;
use crate::timer::now;

/// Where Envoy keeps the path that a request came with.
const ORIGINAL_PATH: http::HeaderName = http::HeaderName::from_static("x-envoy-original-path");

/// What is kept of a request for its span and its line.
#[derive(Default)]
pub(crate) struct Recording {
    /// The wall clock at its beginning.
    started: u64,
    authority: Text,
    path: Text,
    pub(super) span: Option<Span>,
    /// How its line is written, if there will be one.
    layout: Option<Arc<Layout>>,
    /// What that asks for.
    seen: Seen,
}

/// A span that will be written.
pub(super) struct Span {
    pub(super) context: TraceContext,
    pub(super) parent: Option<u64>,
    /// The wall clock at its beginning, where that is not the request's.
    pub(super) started: Option<u64>,
}

impl Recording {
    /// For a request.
    pub(super) fn new<B>(request: &Request<B>, span: Option<Span>, layout: Option<Arc<Layout>>) -> Recording {
        let mut seen = Seen::default();
        if let Some(layout) = &layout {
            seen.request = layout.request().iter().map(|field| of_request(field, request)).collect();
        }
        Recording {
            started: unix_nanos(),
            authority: Text::new(crate::route::authority(request).unwrap_or_default()),
            path: Text::new(request.uri().path()),
            span,
            layout,
            seen,
        }
    }

    /// For an opaque connection, with the server name that it asks for in TLS.
    pub(crate) fn opaque(layout: Arc<Layout>, server_name: &str) -> Recording {
        let authority = Text::new(server_name);
        Recording { started: unix_nanos(), authority, layout: Some(layout), ..Recording::default() }
    }

    /// The request goes up with another path or to another host: a line's fields of the request are those that are sent, as in Envoy,
    /// where the path that came is `x-envoy-original-path`.
    pub(crate) fn see_rewritten(&mut self, sent: &http::request::Parts, path: bool, host: bool) {
        let Some(layout) = &self.layout else { return };
        let fields = layout.request();
        let place = |wanted: &LogField| fields.iter().position(|field| field == wanted);
        if path && let Some(original) = place(&LogField::Header(ORIGINAL_PATH)) {
            let came = place(&LogField::Path).and_then(|at| self.seen.request.get(at).cloned().flatten());
            if let Some(place) = self.seen.request.get_mut(original) {
                *place = came;
            }
        }
        let target = sent.uri.path_and_query().map(|target| target.as_str());
        let authority = sent
            .uri
            .authority()
            .map(|authority| authority.as_str())
            .or_else(|| sent.headers.get(http::header::HOST)?.to_str().ok());
        for (changed, field, value) in
            [(path, LogField::Path, target), (host, LogField::Authority, authority)]
        {
            if let (true, Some(at)) = (changed, place(&field))
                && let Some(place) = self.seen.request.get_mut(at)
            {
                *place = value.map(Text::new);
            }
        }
    }

    /// The response's head goes downstream.
    pub(crate) fn see_response(&mut self, status: StatusCode, headers: &HeaderMap) {
        let Some(layout) = &self.layout else { return };
        let field = |field: &LogField| match field {
            LogField::Status => Some(Text::new(status.as_str())),
            field => header(field, headers),
        };
        self.seen.response = layout.response().iter().map(field).collect();
    }

    /// The response's trailers go downstream.
    pub(crate) fn see_trailers(&mut self, trailers: &HeaderMap) {
        let Some(layout) = &self.layout else { return };
        self.seen.trailers = layout.trailers().iter().map(|field| header(field, trailers)).collect();
    }

    /// What the line is to be made with, if there is to be one.
    pub(super) fn take_line(&mut self) -> Option<(Arc<Layout>, Seen)> {
        Some((self.layout.take()?, std::mem::take(&mut self.seen)))
    }

    /// The span of an exchange, or of its latest attempt, if there is to be one.
    pub(super) fn span(
        &self,
        exchange: &Exchange,
        status: Option<StatusCode>,
        failure: Option<&Kind>,
        now: Time,
    ) -> Option<SpanRecord> {
        let span = self.span.as_ref()?;
        let (host, port) = weir_decide::authority::split(&self.authority);
        let route = exchange.route();
        let endpoint = exchange.active.as_ref().map(|active| &active.pool.endpoint);
        let inbound = exchange.inbound();
        let flag = failure.map(|kind| answer(kind).flag).unwrap_or_default();
        let state = span.context.trace_state.as_ref().and_then(|state| state.to_str().ok());
        let call = || GrpcCall {
            method: Text::new(self.path.trim_start_matches('/')),
            status: exchange.grpc_status.map(u16::from),
        };
        Some(SpanRecord {
            trace_id: span.context.trace_id,
            span_id: span.context.span_id,
            parent_span_id: span.parent,
            remote_parent: span.parent.is_some(),
            flags: span.context.flags,
            trace_state: state.map(Text::new).unwrap_or_default(),
            kind: if inbound { SpanKind::Server } else { SpanKind::Client },
            start_unix_nanos: span.started.unwrap_or(self.started),
            end_unix_nanos: self.started.saturating_add(nanos(now.since(exchange.started))),
            method: Text::new(exchange.method.as_str()),
            scheme: "http",
            path: self.path.clone(),
            route_pattern: text(route.and_then(|route| route.prefix.as_deref())),
            status: status.map(|status| status.as_u16()),
            version: labels::version(exchange.version),
            grpc: exchange.grpc.then(call),
            server_address: Text::new(host),
            server_port: port,
            peer: if inbound {
                Some(exchange.downstream.peer)
            } else {
                endpoint.map(|endpoint| endpoint.address)
            },
            retries: exchange.retries,
            error_type: Text::new_static(flag),
            route: text(route.map(|route| &*route.name)),
            cluster: text(exchange.cluster.as_ref().map(|cluster| &*cluster.state.name)),
            endpoint: text(endpoint.map(|endpoint| &*endpoint.workload)),
            response_flags: Text::new_static(flag),
            mirror: false,
        })
    }

    /// The context of its span, if there is to be one.
    pub(super) fn context(&self) -> Option<&TraceContext> {
        self.span.as_ref().map(|span| &span.context)
    }

    /// The line of an exchange.
    pub(super) fn http(&self, exchange: &Exchange, inbound: bool, duration: Duration) -> HttpAccess {
        HttpAccess {
            start_unix_nanos: self.started,
            direction: DIRECTIONS[usize::from(inbound)],
            method: Text::new(exchange.method.as_str()),
            authority: self.authority.clone(),
            path: self.path.clone(),
            protocol: labels::protocol(exchange.version),
            status: exchange.status.map(|status| status.as_u16()),
            grpc_status: exchange.grpc_status.map(u16::from),
            response_flags: Text::new(labels::flags(exchange)),
            duration_micros: micros(duration),
            upstream_micros: exchange.waited.map(micros),
            bytes_received: exchange.bytes_up,
            bytes_sent: exchange.bytes_down,
            first_byte_micros: exchange
                .waited
                .map(|waited| micros(exchange.attempted.since(exchange.started) + waited)),
            details: details::of(exchange),
            peer: Some(exchange.downstream.peer),
            local: exchange.downstream.local.get(),
            route: text(exchange.route().map(|route| &*route.name)),
            cluster: text(exchange.cluster.as_ref().map(|cluster| &*cluster.state.name)),
            endpoint: exchange.active.as_ref().map(|active| active.pool.endpoint.address),
            retries: exchange.retries,
            trace_id: self.span.as_ref().map(|span| span.context.trace_id),
        }
    }

    /// What can be said of an exchange before it is over.
    pub(crate) fn so_far(exchange: &Exchange, status: Option<StatusCode>) -> HttpAccess {
        let duration = now().since(exchange.started);
        let inbound = exchange.inbound();
        let access = match &exchange.recording {
            Some(recording) => recording.http(exchange, inbound, duration),
            None => {
                let started = unix_nanos().saturating_sub(nanos(duration));
                Recording { started, ..Recording::default() }.http(exchange, inbound, duration)
            }
        };
        let response_flags = match access.response_flags.as_str() {
            "" => Text::new_static("-"),
            _ => access.response_flags,
        };
        HttpAccess { status: status.map(|status| status.as_u16()), response_flags, ..access }
    }

    /// The line of an opaque connection.
    pub(super) fn tcp(&self, exchange: &Exchange, inbound: bool, duration: Duration) -> TcpAccess {
        TcpAccess {
            start_unix_nanos: self.started,
            direction: DIRECTIONS[usize::from(inbound)],
            duration_micros: micros(duration),
            bytes_received: exchange.bytes_up,
            bytes_sent: exchange.bytes_down,
            peer: Some(exchange.downstream.peer),
            local: exchange.downstream.local.get(),
            cluster: text(exchange.cluster.as_ref().map(|cluster| &*cluster.state.name)),
            endpoint: exchange.active.as_ref().map(|active| active.pool.endpoint.address),
            response_flags: Text::new(labels::flags(exchange)),
            server_name: self.authority.clone(),
        }
    }
}

/// A field of a request as it came.
fn of_request<B>(field: &LogField, request: &Request<B>) -> Option<Text> {
    match field {
        LogField::Method => Some(Text::new(request.method().as_str())),
        LogField::Path => {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            Some(Text::new(target))
        }
        LogField::Authority => crate::route::authority(request).ok().map(Text::new),
        LogField::Scheme => Some(Text::new_static("http")),
        field => header(field, request.headers()),
    }
}

/// A header field, several of one name joined; what is not text is shown as well as it can be.
fn header(field: &LogField, headers: &HeaderMap) -> Option<Text> {
    let LogField::Header(name) = field else { return None };
    let value = weir_decide::header::joined(headers, name)?;
    Some(Text::from(String::from_utf8_lossy(&value)))
}

fn text(from: Option<&str>) -> Text {
    from.map(Text::new).unwrap_or_default()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
