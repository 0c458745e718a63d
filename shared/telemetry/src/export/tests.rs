use std::net::SocketAddr;

use http::HeaderMap;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::collector::{Collector, Trace};
use crate::context::{extract, inject};
use crate::sampling::{Sampler, Sampling};
use crate::span::{GrpcCall, ProtocolVersion, SpanKind};

const LONG: Duration = Duration::from_secs(20);

/// A collector on a socket, which can be taken away.
struct Running {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn run(collector: &Collector, addr: SocketAddr) -> (SocketAddr, Running) {
    let listener = TcpListener::bind(addr).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let collector = collector.clone();
    let task = tokio::spawn(async move {
        collector.serve(listener, async { drop(ended.await) }).await.unwrap();
    });
    (addr, Running { end, task })
}

impl Running {
    async fn stop(self) {
        drop(self.end);
        self.task.await.unwrap();
    }
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn config(addr: SocketAddr, service: &str) -> ExporterConfig {
    let resource =
        Resource { service_name: service.to_owned(), node_id: "n1".to_owned(), ..Resource::default() };
    ExporterConfig {
        endpoint: format!("http://{addr}"),
        resource,
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(5),
        ..ExporterConfig::default()
    }
}

fn span(trace_id: u128, span_id: u64) -> SpanRecord {
    SpanRecord {
        trace_id,
        span_id,
        start_unix_nanos: 1,
        end_unix_nanos: 2,
        method: "GET".into(),
        ..SpanRecord::default()
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// The whole way: a request passes two sidecars, headers carry the context, and the collector sees one trace.
#[tokio::test]
async fn a_request_through_two_sidecars_is_one_connected_trace() {
    let collector = Collector::new(1000);
    let (addr, running) = run(&collector, any()).await;
    let (front, front_handle) = Exporter::start(config(addr, "frontend")).unwrap();
    let (back, back_handle) = Exporter::start(config(addr, "reviews")).unwrap();
    let mut ids = 0u64;
    let mut headers = HeaderMap::new();
    let mut time = 1_700_000_000_000_000_000;
    let hops = [
        (&front, SpanKind::Server, "GET"),
        (&front, SpanKind::Client, "GET"),
        (&back, SpanKind::Server, "GET"),
        (&back, SpanKind::Client, "BREW"),
    ];
    for (sink, kind, method) in hops {
        let incoming = extract(&headers);
        let decision = Sampler::always().decide(incoming, || {
            ids += 1;
            ids
        });
        let Sampling::Record { context, parent } = decision else { panic!() };
        inject(&context, &mut headers);
        time += 1_000_000;
        let sent = sink.try_send(SpanRecord {
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent_span_id: parent,
            remote_parent: parent.is_some(),
            flags: context.flags,
            kind,
            start_unix_nanos: time,
            end_unix_nanos: time + 500_000,
            method: method.into(),
            scheme: "http",
            path: "/reviews/1".into(),
            route_pattern: "/reviews/*".into(),
            status: Some(503),
            version: ProtocolVersion::Http2,
            server_address: "reviews.default".into(),
            server_port: Some(9080),
            peer: "[::1]:4711".parse().ok(),
            cluster: "reviews-v1".into(),
            response_flags: "UF".into(),
            retries: 2,
            ..SpanRecord::default()
        });
        assert!(sent);
    }
    let counts = front_handle.shutdown(LONG).await;
    assert_eq!(counts, ExportCounts { exported: 2, ..ExportCounts::default() });
    assert!(back_handle.flush(LONG).await);
    let trace: Trace = collector.find(|trace| trace.spans.len() == 4).expect("all four in one trace");
    let summary = trace.summary();
    assert!(summary.connected, "{}", trace.render());
    assert_eq!(summary.services, ["frontend", "reviews"]);
    let last = trace.spans.last().unwrap();
    assert!(
        last.error && last.kind == "client" && last.service == "reviews" && last.name == "HTTP /reviews/*"
    );
    for (key, value) in [
        ("http.request.method", "_OTHER"),
        ("http.request.method_original", "BREW"),
        ("url.full", "http://reviews.default:9080/reviews/1"),
        ("http.response.status_code", "503"),
        ("network.protocol.version", "2"),
        ("network.peer.address", "::1"),
        ("network.peer.port", "4711"),
        ("http.request.resend_count", "2"),
        ("error.type", "503"),
        ("weir.cluster", "reviews-v1"),
        ("weir.response_flags", "UF"),
    ] {
        assert_eq!(last.attribute(key), Some(value), "{key}");
    }
    assert_eq!(last.attribute("weir.route"), None, "empty texts are left out");
    running.stop().await;
}

#[test]
fn a_grpc_span_says_service_method_and_status() {
    let grpc = Some(GrpcCall { method: "pkg.Greeter/Hello".into(), status: Some(14) });
    let wire = encode::span(&SpanRecord { grpc, status: Some(200), ..span(1, 2) });
    let (_, collected) = crate::collector::CollectedSpan::from_wire(wire, "s").unwrap();
    assert_eq!(collected.name, "pkg.Greeter/Hello");
    for (key, value) in [
        ("rpc.system", "grpc"),
        ("rpc.service", "pkg.Greeter"),
        ("rpc.method", "Hello"),
        ("rpc.grpc.status_code", "14"),
        ("error.type", "14"),
    ] {
        assert_eq!(collected.attribute(key), Some(value));
    }
    assert!(collected.error);
}

#[tokio::test]
async fn a_collector_that_comes_late_goes_away_and_comes_back() {
    // Take a port, and give it up again: nobody listens there now.
    let addr = TcpListener::bind(any()).await.unwrap().local_addr().unwrap();
    let (sink, handle) = Exporter::start(config(addr, "s")).unwrap();
    assert!(sink.try_send(span(1, 1)));
    until("a failed request", || handle.counts().failed_requests > 0).await;
    assert_eq!(handle.counts().exported, 0);

    let collector = Collector::new(1000);
    let (_, running) = run(&collector, addr).await;
    until("the early span", || collector.trace(1).is_some()).await;
    running.stop().await;

    let before = handle.counts().failed_requests;
    assert!(sink.try_send(span(2, 1)));
    until("a failed request again", || handle.counts().failed_requests > before).await;
    let (_, running) = run(&collector, addr).await;
    until("the span sent while it was away", || collector.trace(2).is_some()).await;
    until("the count", || handle.counts().exported == 2).await;
    let counts = handle.shutdown(LONG).await;
    assert_eq!((counts.dropped_queue_full, counts.dropped_export_failed), (0, 0));
    running.stop().await;
}

#[tokio::test]
async fn while_the_collector_is_down_memory_is_bounded_and_every_loss_counted() {
    let addr = TcpListener::bind(any()).await.unwrap().local_addr().unwrap();
    let small = ExporterConfig { queue: 64, batch: 16, ..config(addr, "s") };
    let (sink, handle) = Exporter::start(small).unwrap();
    let sent = (1..=1000).filter(|id| sink.clone().try_send(span(1, *id))).count() as u64;
    let refused = 1000 - sent;
    // The queue, and one batch in the exporter's hands, at most a few if it was quick.
    assert!((64..=200).contains(&sent), "{sent}");
    assert_eq!(handle.counts().dropped_queue_full, refused);
    let start = tokio::time::Instant::now();
    let counts = handle.shutdown(Duration::from_millis(200)).await;
    assert!(start.elapsed() < Duration::from_secs(5), "shutting down is bounded: {:?}", start.elapsed());
    assert_eq!(counts.exported, 0);
    assert_eq!(counts.dropped_queue_full + counts.dropped_export_failed, 1000, "{counts:?}");
    assert!(!sink.try_send(span(1, 1)), "the exporter is gone");
}

/// A server that accepts and never answers must not hold the exporter longer than its timeout.
#[tokio::test]
async fn a_silent_collector_is_given_up_in_time() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let silent =
        ExporterConfig { timeout: Duration::from_millis(100), ..config(listener.local_addr().unwrap(), "s") };
    let (sink, handle) = Exporter::start(silent).unwrap();
    sink.try_send(span(1, 1));
    until("a failed request", || handle.counts().failed_requests >= 2).await;
    let start = tokio::time::Instant::now();
    let counts = handle.shutdown(Duration::from_millis(100)).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(counts.dropped_export_failed, 1);
}

#[tokio::test]
async fn spans_the_collector_refuses_are_counted_and_not_sent_again() {
    let collector = Collector::new(10);
    let (addr, running) = run(&collector, any()).await;
    let (sink, handle) = Exporter::start(config(addr, "s")).unwrap();
    sink.try_send(span(0, 1));
    sink.try_send(span(7, 1));
    assert!(handle.flush(LONG).await);
    let expected = ExportCounts { exported: 1, dropped_export_failed: 1, ..ExportCounts::default() };
    assert_eq!(handle.counts_reader()(), expected);
    drop(handle);
    running.stop().await;
}

#[tokio::test]
async fn more_than_a_batch_arrives_complete_and_without_waiting_for_the_interval() {
    let collector = Collector::new(100_000);
    let (addr, running) = run(&collector, any()).await;
    let slow = ExporterConfig { interval: Duration::from_secs(3600), ..config(addr, "s") };
    let (sink, handle) = Exporter::start(slow).unwrap();
    for id in 1..=2000 {
        assert!(sink.try_send(span(1, id)));
    }
    until("three full batches", || collector.received() >= 1536).await;
    let counts = handle.shutdown(LONG).await;
    assert_eq!(counts, ExportCounts { exported: 2000, ..ExportCounts::default() });
    assert_eq!(collector.trace(1).unwrap().spans.len(), 2000);
    running.stop().await;
}

#[test]
fn endpoints_are_checked_and_mistakes_explained() {
    let uri = |text: &str| endpoint(text).map(|endpoint| endpoint.uri().to_string());
    assert_eq!(uri("http://collector:4317").unwrap(), "http://collector:4317/");
    assert_eq!(uri(" http://collector/ ").unwrap(), "http://collector:4317/");
    assert_eq!(uri("http://[::1]").unwrap(), "http://[::1]:4317/");
    for (wrong, says) in [
        ("https://collector:4317", "TLS to the collector is not supported yet"),
        ("collector:4317", "write it as http://HOST:4317"),
        ("collector", "no scheme"),
        ("grpc://collector:4317", "unknown scheme"),
        ("http://collector:4318/v1/traces", "takes no path"),
        ("http://collector?x=1", "takes no path"),
        ("http://collector:99999", "port"),
        ("http://collector:0", "port 0"),
        ("http://user@collector", "no user"),
        ("", "http://HOST:4317"),
        ("http://", "http://HOST:4317"),
        ("http://a b", "http://HOST:4317"),
    ] {
        let error = uri(wrong).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(&format!("{wrong:?}")), "{error}");
    }
}

#[test]
fn pauses_grow_to_a_bound_and_vary() {
    let mut last = Duration::ZERO;
    for failures in 1..100 {
        let (shortest, longest) = (backoff::pause(failures, 0), backoff::pause(failures, u64::MAX));
        assert!(shortest >= last / 2 && longest <= Duration::from_secs(5) && shortest < longest);
        assert!(shortest >= Duration::from_millis(50));
        last = shortest;
    }
    assert!(backoff::pause(1, u64::MAX) <= Duration::from_millis(100));
    assert!(backoff::pause(99, 0) >= Duration::from_millis(2500));
}

#[test]
fn a_sink_to_nowhere_takes_nothing() {
    assert!(!SpanSink::disabled().is_enabled() && !SpanSink::disabled().try_send(span(1, 1)));
}
