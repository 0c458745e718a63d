//! What a worker tells about its requests: metrics always, a span where the trace is recorded, a line where the log is on.
//!
//! Metrics are handles in small maps, keyed by numbers that stay the same while a route or cluster lives, so that a request
//! costs a few look-ups and stores. Everything is written at the end of an exchange; at its start there is only the trace
//! context to read, and the texts to keep if something will be written.

mod details;
mod labels;
mod mirrors;
mod records;

use std::cell::RefCell;
use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode};
use weir_config::ListenerKind;
use weir_model::access_log as model;
use weir_model::{ClusterKind, Time, Tracing};
use weir_telemetry::access_log::{AccessLog, AccessRecord, Entry, Layout};
use weir_telemetry::context;
use weir_telemetry::export::SpanSink;
use weir_telemetry::metrics::{Counter, Counters, Gauge, Histograms, Registry, WorkerMetrics, names};
use weir_telemetry::sampling::{self, Sampler, Sampling};
use weir_telemetry::span::Text;

use crate::downstream::Downstream;
use crate::exchange::Exchange;
use crate::mirror::Outcome;
use crate::reject::Kind;
use crate::respond::answer;
use labels::{ClientKey, ServerKey};
pub(crate) use mirrors::MirrorSpan;
pub(crate) use records::Recording;
use records::Span;

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
    /// How the logs of listeners are written, the latest last.
    layouts: RefCell<Vec<(Arc<model::AccessLog>, Arc<Layout>)>>,
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
    mirrored: RefCell<Counters<(u64, Outcome)>>,
}

/// A cluster's counters of connections to its endpoints.
pub(crate) struct ConnectionMetrics {
    pub(crate) made: Counter,
    pub(crate) failed: Counter,
    pub(crate) open: Gauge,
}

/// How many layouts a worker keeps: more listeners than that rarely log in ways of their own.
const LAYOUTS: usize = 32;

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
            mirrored: RefCell::new(metrics.counters(&names::MIRRORED)),
            spans: args.spans,
            access_log: args.access_log,
            layouts: RefCell::default(),
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
        self.mirrored.borrow_mut().expire();
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

    /// The request's policy is known: decides what will be written, and puts our span into the request where there is one.
    pub(crate) fn begin<B>(&self, exchange: &mut Exchange, request: &mut Request<B>) {
        let Some(policy) = &exchange.policy else { return };
        let span = match &policy.tracing {
            Some(tracing) if self.spans.is_enabled() => {
                self.sample(exchange, tracing.sampling.0, request.headers_mut())
            }
            _ => None,
        };
        let layout = policy.access_log.clone();
        if span.is_some() || layout.is_some() {
            self.record(exchange, request, span, layout);
        }
    }

    /// The request was refused before its policy was known: its line is written if the listener wants one.
    pub(crate) fn refused<B>(&self, exchange: &mut Exchange, request: &mut Request<B>) {
        let (tracing, wanted) = self.said(&exchange.downstream);
        let span = match tracing {
            Some(tracing) if self.spans.is_enabled() => {
                self.sample(exchange, tracing.sampling.0, request.headers_mut())
            }
            _ => None,
        };
        if span.is_some() || wanted.is_some() {
            self.record(exchange, request, span, wanted);
        }
    }

    /// What is written of what came instead of a request, if the listener wants lines.
    pub(crate) fn unreadable(&self, downstream: &Downstream) -> Option<Box<Recording>> {
        let (_, layout) = self.said(downstream);
        Some(Box::new(Recording::opaque(layout?, "")))
    }

    /// What the listener of a connection says of traces and lines.
    fn said(&self, downstream: &Downstream) -> (Option<Tracing>, Option<Arc<Layout>>) {
        let pinned = downstream.worker.pinned();
        match downstream.kind(&pinned) {
            Some(ListenerKind::Http { tracing, access_log, .. }) => {
                (tracing.clone(), self.layout(access_log.as_ref()))
            }
            _ => (None, None),
        }
    }

    /// How the lines of a log are written; `None` if none are. A worker has its own, so that no reference count moves between workers.
    pub(crate) fn layout(&self, log: Option<&Arc<model::AccessLog>>) -> Option<Arc<Layout>> {
        let log = log.filter(|_| self.access_log.is_enabled())?;
        let mut layouts = self.layouts.borrow_mut();
        if let Some((_, layout)) = layouts.iter().find(|(known, _)| Arc::ptr_eq(known, log) || known == log) {
            return Some(layout.clone());
        }
        if layouts.len() >= LAYOUTS {
            layouts.remove(0);
        }
        let layout = Arc::new(self.access_log.layout(log));
        layouts.push((log.clone(), layout.clone()));
        Some(layout)
    }

    fn record<B>(
        &self,
        exchange: &mut Exchange,
        request: &Request<B>,
        span: Option<Span>,
        layout: Option<Arc<Layout>>,
    ) {
        exchange.recording = Some(Box::new(Recording::new(request, span, layout)));
    }

    fn sample(&self, exchange: &Exchange, ratio_ppm: u32, headers: &mut HeaderMap) -> Option<Span> {
        let sampler = Sampler { ratio_ppm, propagate_unsampled: true, ..Sampler::default() };
        let random = &exchange.downstream.worker.random;
        match sampler.decide(context::extract(headers), || random.borrow_mut().next_u64()) {
            Sampling::Record { context, parent } => {
                context::inject(&context, headers);
                Some(Span { context, parent, started: None })
            }
            Sampling::Propagate(context) => {
                context::inject(&context, headers);
                None
            }
            Sampling::Pass => None,
        }
    }

    /// An attempt of an exchange follows another.
    pub(crate) fn retried(&self, exchange: &Exchange) {
        if let Some(cluster) = &exchange.cluster {
            let name = &cluster.state.name;
            self.retries.borrow_mut().get(cluster.state.id, |labels| labels.push(name)).inc();
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
        if exchange.inbound() {
            return;
        }
        let recorded = exchange.recording.as_ref();
        let Some(record) = recorded.and_then(|recording| recording.span(exchange, status, failure, now))
        else {
            return;
        };
        let ended = record.end_unix_nanos;
        self.spans.try_send(record);
        let random = &exchange.downstream.worker.random;
        if let Some(span) = exchange.recording.as_mut().and_then(|recording| recording.span.as_mut()) {
            span.context.span_id = sampling::nonzero(|| random.borrow_mut().next_u64());
            span.started = Some(ended);
            if let Some(headers) = headers {
                context::inject(&span.context, headers);
            }
        }
    }

    /// An exchange is over.
    pub(crate) fn end(&self, exchange: &mut Exchange, now: Time) {
        let inbound = exchange.inbound();
        if let Some(flag) = exchange.flag() {
            let direction = DIRECTIONS[usize::from(inbound)];
            self.flags.borrow_mut().get((flag, inbound), |labels| labels.push(flag).push(direction)).inc();
        }
        for flag in labels::purposes(exchange) {
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
                let name = route.map_or("", |route| &*route.stat_prefix);
                labels.push(labels::grpc_name(status)).push(name).push(DIRECTIONS[usize::from(inbound)])
            });
            handle.record(duration);
        }
        let Some(recording) = &mut exchange.recording else { return };
        let line = recording.take_line();
        let Some(recording) = &exchange.recording else { return };
        if let Some(mut record) = recording.span(exchange, exchange.status, exchange.failure.as_ref(), now) {
            if exchange.extra.is_some() {
                record.response_flags = Text::new(labels::flags(exchange));
            }
            self.spans.try_send(record);
        }
        if let Some((layout, seen)) = line {
            let record = AccessRecord::Http(recording.http(exchange, inbound, duration));
            self.access_log.try_send(Entry { layout, record, seen });
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
        let key = ClientKey::of(exchange, cluster.state.id, status, flag);
        self.client.borrow_mut().get(key, |labels| key.push(exchange, cluster, labels)).record(duration);
        if let (true, Some(status)) = (exchange.grpc, exchange.grpc_status) {
            let mut series = self.rpc_client.borrow_mut();
            let name = &cluster.state.name;
            let key = (cluster.state.id, status);
            series.get(key, |labels| labels.push(labels::grpc_name(status)).push(name)).record(duration);
        }
    }

    fn end_opaque(&self, exchange: &mut Exchange, inbound: bool, now: Time) {
        let Some(cluster) = &exchange.cluster else { return };
        for (bytes, received) in [(exchange.bytes_up, true), (exchange.bytes_down, false)] {
            let mut series = self.tcp_bytes.borrow_mut();
            let handle = series.get((cluster.state.id, inbound, received), |labels| {
                let io = if received { "receive" } else { "transmit" };
                labels.push(&cluster.state.name).push(DIRECTIONS[usize::from(inbound)]).push(io)
            });
            handle.add(bytes);
        }
        let line = exchange.recording.as_mut().and_then(|recording| recording.take_line());
        let (Some(recording), Some((layout, seen))) = (&exchange.recording, line) else { return };
        let duration = now.since(exchange.started);
        let record = AccessRecord::Tcp(recording.tcp(exchange, inbound, duration));
        self.access_log.try_send(Entry { layout, record, seen });
    }
}

/// How a cluster is called to people who ask for its address.
pub(crate) fn server_address(kind: &ClusterKind) -> String {
    match kind {
        ClusterKind::Service { namespace, name, .. } => format!("{name}.{namespace}"),
        ClusterKind::Application => "application".to_owned(),
        ClusterKind::Unknown => String::new(),
    }
}
