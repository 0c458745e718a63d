//! What a worker tells about its requests: metrics always, a span where the trace is recorded, a line where the log is on.
//!
//! Metrics are handles in small maps, keyed by numbers that stay the same while a route or cluster lives, so that a request
//! costs a few look-ups and stores. Everything is written at the end of an exchange; at its start there is only the trace
//! context to read, and the texts to keep if something will be written.

mod labels;

use std::cell::RefCell;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use weir_model::{ClusterKind, Time};
use weir_runtime::clock::unix_nanos;
use weir_telemetry::access_log::{AccessLog, AccessRecord, HttpAccess, TcpAccess};
use weir_telemetry::context::{self, TraceContext};
use weir_telemetry::export::SpanSink;
use weir_telemetry::metrics::{Counter, Counters, Gauge, Histograms, Registry, WorkerMetrics, names};
use weir_telemetry::sampling::{self, Sampler, Sampling};
use weir_telemetry::span::{GrpcCall, SpanKind, SpanRecord, Text};

use crate::exchange::Exchange;
use crate::reject::Kind;
use crate::respond::answer;
use labels::{ClientKey, ServerKey};

/// Where a worker's telemetry goes.
#[derive(Clone, Debug)]
pub struct TelemetryArgs {
    /// The process's metrics.
    pub registry: Registry,
    /// The way to the collector; this worker's own clone.
    pub spans: SpanSink,
    /// The access log; this worker's own clone.
    pub access_log: AccessLog,
}

impl TelemetryArgs {
    /// Metrics that nobody reads, no spans, no log.
    pub fn disabled() -> TelemetryArgs {
        TelemetryArgs {
            registry: Registry::new(),
            spans: SpanSink::disabled(),
            access_log: AccessLog::disabled(),
        }
    }
}

/// A worker's telemetry.
pub(crate) struct Telemetry {
    metrics: WorkerMetrics,
    spans: SpanSink,
    access_log: AccessLog,
    /// By direction, outbound first.
    active_requests: [Gauge; 2],
    connections: [Counter; 2],
    active_connections: [Gauge; 2],
    server: RefCell<Histograms<ServerKey>>,
    client: RefCell<Histograms<ClientKey>>,
    rpc_server: RefCell<Histograms<(u32, u8, bool)>>,
    rpc_client: RefCell<Histograms<(u64, u8)>>,
    flags: RefCell<Counters<(&'static str, bool)>>,
    retries: RefCell<Counters<u64>>,
    tcp_bytes: RefCell<Counters<(u64, bool, bool)>>,
}

/// What is kept of a request for its span and its line.
#[derive(Default)]
pub(crate) struct Recording {
    started: u64,
    authority: Text,
    path: Text,
    span: Option<Span>,
}

/// A span that will be written.
struct Span {
    context: TraceContext,
    parent: Option<u64>,
    /// When it began, if that was not the exchange's beginning.
    started: u64,
}

/// A cluster's counters of connections to its endpoints.
pub(crate) struct ConnectionMetrics {
    pub(crate) made: Counter,
    pub(crate) failed: Counter,
    pub(crate) open: Gauge,
}

const DIRECTIONS: [&str; 2] = ["outbound", "inbound"];

impl Telemetry {
    /// Call it on the worker's thread.
    pub(crate) fn new(args: TelemetryArgs) -> Telemetry {
        let metrics = args.registry.worker();
        let gauge = |family| DIRECTIONS.map(|direction| metrics.gauge(family, &[direction]));
        let counter = |family| DIRECTIONS.map(|direction| metrics.counter(family, &[direction]));
        Telemetry {
            active_requests: gauge(&names::HTTP_SERVER_ACTIVE_REQUESTS),
            connections: counter(&names::DOWNSTREAM_CONNECTIONS),
            active_connections: gauge(&names::DOWNSTREAM_CONNECTIONS_ACTIVE),
            server: RefCell::new(metrics.histograms(&names::HTTP_SERVER_REQUEST_DURATION)),
            client: RefCell::new(metrics.histograms(&names::HTTP_CLIENT_REQUEST_DURATION)),
            rpc_server: RefCell::new(metrics.histograms(&names::RPC_SERVER_CALL_DURATION)),
            rpc_client: RefCell::new(metrics.histograms(&names::RPC_CLIENT_CALL_DURATION)),
            flags: RefCell::new(metrics.counters(&names::RESPONSE_FLAGS)),
            retries: RefCell::new(metrics.counters(&names::UPSTREAM_RETRIES)),
            tcp_bytes: RefCell::new(metrics.counters(&names::TCP_BYTES)),
            spans: args.spans,
            access_log: args.access_log,
            metrics,
        }
    }

    /// Ends a generation of metric series; once a minute.
    pub(crate) fn expire(&self) {
        self.server.borrow_mut().expire();
        self.client.borrow_mut().expire();
        self.rpc_server.borrow_mut().expire();
        self.rpc_client.borrow_mut().expire();
        self.flags.borrow_mut().expire();
        self.retries.borrow_mut().expire();
        self.tcp_bytes.borrow_mut().expire();
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&self, inbound: bool) {
        self.connections[usize::from(inbound)].inc();
        self.active_connections[usize::from(inbound)].inc();
    }

    /// It has ended.
    pub(crate) fn closed(&self, inbound: bool) {
        self.active_connections[usize::from(inbound)].dec();
    }

    /// The counters of a cluster's connections.
    pub(crate) fn connections_to(&self, cluster: &str) -> ConnectionMetrics {
        ConnectionMetrics {
            made: self.metrics.counter(&names::UPSTREAM_CONNECTIONS, &[cluster, "connected"]),
            failed: self.metrics.counter(&names::UPSTREAM_CONNECTIONS, &[cluster, "failed"]),
            open: self.metrics.gauge(&names::UPSTREAM_CONNECTIONS_ACTIVE, &[cluster]),
        }
    }

    /// A request begins, and is under way until its exchange ends.
    pub(crate) fn enter(&self, inbound: bool) {
        self.active_requests[usize::from(inbound)].inc();
    }

    /// The request's scope is known: decides what will be written, and puts our span into the request where there is one.
    pub(crate) fn begin<B>(&self, exchange: &mut Exchange, request: &mut Request<B>) {
        let Some(scope) = &exchange.scope else { return };
        let span = match &scope.tracing {
            Some(tracing) if self.spans.is_enabled() => {
                self.sample(exchange, tracing.sampling.0, request.headers_mut())
            }
            _ => None,
        };
        if span.is_none() && !(scope.access_log && self.access_log.is_enabled()) {
            return;
        }
        let authority = crate::route::authority(request).map(Text::new).unwrap_or_default();
        let path = Text::new(request.uri().path());
        exchange.recording = Some(Box::new(Recording { started: unix_nanos(), authority, path, span }));
    }

    fn sample(&self, exchange: &Exchange, ratio_ppm: u32, headers: &mut HeaderMap) -> Option<Span> {
        let sampler = Sampler { ratio_ppm, propagate_unsampled: true, ..Sampler::default() };
        let random = &exchange.downstream.worker.random;
        match sampler.decide(context::extract(headers), || random.borrow_mut().next_u64()) {
            Sampling::Record { context, parent } => {
                context::inject(&context, headers);
                Some(Span { context, parent, started: 0 })
            }
            Sampling::Propagate(context) => {
                context::inject(&context, headers);
                None
            }
            Sampling::Pass => None,
        }
    }

    /// An attempt is over and another one follows: on the client side each is a span of its own.
    pub(crate) fn attempt(
        &self,
        exchange: &mut Exchange,
        status: Option<StatusCode>,
        failure: Option<&Kind>,
        headers: Option<&mut HeaderMap>,
        now: Time,
    ) {
        self.count_attempt(exchange, status, failure.map(|kind| answer(kind).flag), now);
        if let Some(cluster) = &exchange.cluster {
            let name = &cluster.config.state.name;
            self.retries.borrow_mut().get(cluster.config.state.id, |labels| labels.push(name)).inc();
        }
        if exchange.inbound() {
            return;
        }
        let record = self.span(exchange, status, failure, now);
        let Some(record) = record else { return };
        let ended = record.end_unix_nanos;
        self.spans.try_send(record);
        let random = &exchange.downstream.worker.random;
        if let Some(span) = exchange.recording.as_mut().and_then(|recording| recording.span.as_mut()) {
            span.context.span_id = sampling::nonzero(|| random.borrow_mut().next_u64());
            span.started = ended;
            if let Some(headers) = headers {
                context::inject(&span.context, headers);
            }
        }
    }

    /// An exchange is over.
    pub(crate) fn end(&self, exchange: &Exchange, now: Time) {
        let inbound = exchange.inbound();
        if let Some(flag) = exchange.flag() {
            let direction = DIRECTIONS[usize::from(inbound)];
            self.flags.borrow_mut().get((flag, inbound), |labels| labels.push(flag).push(direction)).inc();
        }
        if exchange.opaque {
            self.end_opaque(exchange, inbound, now);
            return;
        }
        self.active_requests[usize::from(inbound)].dec();
        let duration = now.since(exchange.started);
        let key = ServerKey::of(exchange, inbound);
        self.server.borrow_mut().get(key, |labels| key.push(exchange, labels)).record(duration);
        if exchange.active.is_some() {
            self.count_attempt(exchange, exchange.status, exchange.flag(), now);
        }
        if let (true, Some(status)) = (exchange.grpc, exchange.grpc_status) {
            let route = exchange.route();
            let id = route.map_or(u32::MAX, |route| route.id);
            let mut series = self.rpc_server.borrow_mut();
            let handle = series.get((id, status, inbound), |labels| {
                let name = route.map_or("", |route| &*route.name);
                labels.push(labels::grpc_name(status)).push(name).push(DIRECTIONS[usize::from(inbound)])
            });
            handle.record(duration);
        }
        let Some(recording) = &exchange.recording else { return };
        if let Some(record) = self.span(exchange, exchange.status, exchange.failure.as_ref(), now) {
            self.spans.try_send(record);
        }
        if exchange.scope.as_ref().is_some_and(|scope| scope.access_log) {
            self.access_log.try_send(AccessRecord::Http(line(exchange, recording, inbound, duration)));
        }
    }

    fn count_attempt(
        &self,
        exchange: &Exchange,
        status: Option<StatusCode>,
        flag: Option<&'static str>,
        now: Time,
    ) {
        let Some(cluster) = &exchange.cluster else { return };
        let duration = now.since(exchange.attempted);
        let key = ClientKey::of(exchange, cluster.config.state.id, status, flag);
        self.client
            .borrow_mut()
            .get(key, |labels| key.push(exchange, &cluster.config.model, labels))
            .record(duration);
        if let (true, Some(status)) = (exchange.grpc, exchange.grpc_status) {
            let mut series = self.rpc_client.borrow_mut();
            let name = &cluster.config.state.name;
            let key = (cluster.config.state.id, status);
            series.get(key, |labels| labels.push(labels::grpc_name(status)).push(name)).record(duration);
        }
    }

    fn end_opaque(&self, exchange: &Exchange, inbound: bool, now: Time) {
        let Some(cluster) = &exchange.cluster else { return };
        for (bytes, received) in [(exchange.bytes_up, true), (exchange.bytes_down, false)] {
            let mut series = self.tcp_bytes.borrow_mut();
            let handle = series.get((cluster.config.state.id, inbound, received), |labels| {
                let io = if received { "receive" } else { "transmit" };
                labels.push(&cluster.config.state.name).push(DIRECTIONS[usize::from(inbound)]).push(io)
            });
            handle.add(bytes);
        }
        let Some(recording) = &exchange.recording else { return };
        let duration = now.since(exchange.started);
        self.access_log.try_send(AccessRecord::Tcp(TcpAccess {
            start_unix_nanos: recording.started,
            direction: DIRECTIONS[usize::from(inbound)],
            duration_micros: micros(duration),
            bytes_received: exchange.bytes_up,
            bytes_sent: exchange.bytes_down,
            peer: Some(exchange.downstream.peer),
            cluster: Text::new(&cluster.config.state.name),
            endpoint: exchange.active.as_ref().map(|active| active.pool.endpoint.address),
            response_flags: Text::new_static(exchange.flag().unwrap_or_default()),
        }));
    }

    /// The span of an exchange, or of its last attempt.
    fn span(
        &self,
        exchange: &Exchange,
        status: Option<StatusCode>,
        failure: Option<&Kind>,
        now: Time,
    ) -> Option<SpanRecord> {
        let recording = exchange.recording.as_ref()?;
        let span = recording.span.as_ref()?;
        let started = if span.started == 0 { recording.started } else { span.started };
        let (host, port) = weir_decide::authority::split(&recording.authority);
        let route = exchange.route();
        let endpoint = exchange.active.as_ref().map(|active| &active.pool.endpoint);
        let inbound = exchange.inbound();
        let flag = failure.map(|kind| answer(kind).flag).unwrap_or_default();
        let call = || GrpcCall {
            method: Text::new(recording.path.trim_start_matches('/')),
            status: exchange.grpc_status.map(u16::from),
        };
        Some(SpanRecord {
            trace_id: span.context.trace_id,
            span_id: span.context.span_id,
            parent_span_id: span.parent,
            remote_parent: span.parent.is_some(),
            flags: span.context.flags,
            trace_state: span
                .context
                .trace_state
                .as_ref()
                .and_then(|state| state.to_str().ok())
                .map(Text::new)
                .unwrap_or_default(),
            kind: if inbound { SpanKind::Server } else { SpanKind::Client },
            start_unix_nanos: started,
            end_unix_nanos: recording.started.saturating_add(nanos(now.since(exchange.started))),
            method: Text::new(exchange.method.as_str()),
            scheme: "http",
            path: recording.path.clone(),
            route_pattern: route.and_then(|route| route.prefix.as_deref()).map(Text::new).unwrap_or_default(),
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
            route: route.map(|route| Text::new(&route.name)).unwrap_or_default(),
            cluster: exchange
                .cluster
                .as_ref()
                .map(|cluster| Text::new(&cluster.config.state.name))
                .unwrap_or_default(),
            endpoint: endpoint.map(|endpoint| Text::new(&endpoint.workload)).unwrap_or_default(),
            response_flags: Text::new_static(flag),
        })
    }
}

impl Recording {
    /// For an opaque connection.
    pub(crate) fn opaque() -> Recording {
        Recording { started: unix_nanos(), ..Recording::default() }
    }
}

fn line(exchange: &Exchange, recording: &Recording, inbound: bool, duration: Duration) -> HttpAccess {
    HttpAccess {
        start_unix_nanos: recording.started,
        direction: DIRECTIONS[usize::from(inbound)],
        method: Text::new(exchange.method.as_str()),
        authority: recording.authority.clone(),
        path: recording.path.clone(),
        protocol: labels::protocol(exchange.version),
        status: exchange.status.map(|status| status.as_u16()),
        grpc_status: exchange.grpc_status.map(u16::from),
        response_flags: Text::new(labels::flags(exchange)),
        duration_micros: micros(duration),
        upstream_micros: exchange.waited.map(micros),
        bytes_received: exchange.bytes_up,
        bytes_sent: exchange.bytes_down,
        peer: Some(exchange.downstream.peer),
        route: exchange.route().map(|route| Text::new(&route.name)).unwrap_or_default(),
        cluster: exchange
            .cluster
            .as_ref()
            .map(|cluster| Text::new(&cluster.config.state.name))
            .unwrap_or_default(),
        endpoint: exchange.active.as_ref().map(|active| active.pool.endpoint.address),
        retries: exchange.retries,
        trace_id: recording.span.as_ref().map(|span| span.context.trace_id),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How a cluster is called to people who ask for its address.
pub(crate) fn server_address(kind: &ClusterKind) -> String {
    match kind {
        ClusterKind::Service { namespace, name, .. } => format!("{name}.{namespace}"),
        ClusterKind::Application => "application".to_owned(),
        ClusterKind::Unknown => String::new(),
    }
}
