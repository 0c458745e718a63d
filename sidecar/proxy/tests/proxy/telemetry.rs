//! Spans, metrics and log lines of real requests.

use crate::support::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_model::{
    Cluster, Direction, Forward, HttpVersion, Resource, RetryOn, RetryPolicy, RouteAction, RouteSource,
};
use weir_proxy::TelemetryArgs;
use weir_telemetry::access_log::{AccessLog, DEFAULT_QUEUE};
use weir_telemetry::collector::Collector;
use weir_telemetry::export::SpanSink;
use weir_telemetry::metrics::Registry;

/// Lines written by the log's thread.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn listening(proxy: &mut Proxy, direction: Direction, app: Cluster, sampling: Option<u32>) {
    let forward = forward(&app.name);
    listening_with(proxy, direction, app, forward, sampling);
}

fn listening_with(
    proxy: &mut Proxy,
    direction: Direction,
    app: Cluster,
    action: RouteAction,
    sampling: Option<u32>,
) {
    let address = if direction == Direction::Inbound { proxy.inbound } else { proxy.outbound };
    let routes = any_host("routes", vec![route(action)]);
    let listener = http_listener(address, direction, RouteSource::Inline(routes), sampling, true);
    proxy.publish(vec![Resource::Cluster(app), Resource::Listener(listener)], &[]);
}

#[tokio::test]
async fn requests_are_counted_and_logged() {
    let lines = Lines::default();
    let (access_log, log) = AccessLog::start(lines.clone(), std::io::sink(), DEFAULT_QUEUE).unwrap();
    let registry = Registry::new();
    let telemetry = TelemetryArgs { registry: registry.clone(), spans: SpanSink::disabled(), access_log };
    let mut proxy = Proxy::with(true, telemetry);
    let upstream = Upstream::answering("hello").await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    listening(&mut proxy, Direction::Inbound, app, None);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET /path?secret=1 HTTP/1.1\r\nHost: Name\r\n\r\n").await;
    client.message().await;
    client.send("BREW /pot HTTP/1.1\r\nHost: Name\r\n\r\n").await;
    client.message().await;
    // Refused before there was a route.
    client.send("GET /early HTTP/1.1\r\n\r\n").await;
    client.message().await;
    assert!(log.flush(PATIENCE).await);
    let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let line = written.lines().next().unwrap();
    for part in [
        r#""direction":"inbound""#,
        r#""method":"GET""#,
        r#""authority":"Name""#,
        r#""path":"/path""#,
        r#""protocol":"HTTP/1.1""#,
        r#""status":200"#,
        r#""bytes_sent":5"#,
        r#""route":"everything""#,
        r#""cluster":"app""#,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let refused = written.lines().last().unwrap();
    assert!(
        refused.contains(r#""path":"/early""#) && refused.contains(r#""response_flags":"DPE""#),
        "{refused}"
    );
    assert!(!written.contains("secret"));
    let metrics = registry.render_prometheus();
    let count = |wanted: &[&str]| {
        let has = |line: &&str| wanted.iter().all(|part| line.contains(part));
        metrics.lines().find(has).map(|line| line.rsplit(' ').next().unwrap().to_owned())
    };
    let server = "http_server_request_duration_seconds_count";
    assert_eq!(
        count(&[
            server,
            r#"http_request_method="GET""#,
            r#"http_route="everything""#,
            r#"weir_direction="inbound""#
        ])
        .as_deref(),
        Some("1"),
        "{metrics}"
    );
    assert_eq!(count(&[server, r#"http_request_method="_OTHER""#]).as_deref(), Some("1"));
    assert_eq!(
        count(&[
            "http_client_request_duration_seconds_count",
            r#"server_address="app.default""#,
            r#"weir_cluster="app""#
        ])
        .as_deref(),
        Some("1")
    );
    assert_eq!(count(&["weir_upstream_connections_total", r#"outcome="connected""#]).as_deref(), Some("1"));
    assert_eq!(count(&["http_server_active_requests", "inbound"]).as_deref(), Some("0"));
    assert_eq!(count(&["weir_downstream_connections_active", "inbound"]).as_deref(), Some("1"));
}

#[tokio::test]
async fn failures_are_counted_by_their_flag() {
    let registry = Registry::new();
    let telemetry = TelemetryArgs { registry: registry.clone(), ..TelemetryArgs::disabled() };
    let mut proxy = Proxy::with(true, telemetry);
    let app = cluster("app", HttpVersion::Http1, &[nobody().await]);
    listening(&mut proxy, Direction::Inbound, app, None);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.message().await;
    let metrics = registry.render_prometheus();
    assert!(
        metrics.contains(r#"weir_response_flags_total{flag="UF",weir_direction="inbound"} 1"#),
        "{metrics}"
    );
    assert!(metrics.contains(r#"error_type="UF""#), "{metrics}");
}

#[tokio::test]
async fn contexts_pass_untouched_where_nothing_is_traced() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: {parent}\r\n\r\n")).await;
    let head = upstream.accept().await.head().await;
    assert_eq!(field(&head, "traceparent"), Some(parent));
}

/// A collector, and a sink that leads to it.
async fn collecting() -> (Collector, SpanSink, weir_telemetry::export::ExporterHandle) {
    let collector = Collector::new(100);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = weir_telemetry::export::ExporterConfig {
        endpoint: format!("http://{}", socket.local_addr().unwrap()),
        interval: Duration::from_millis(20),
        ..Default::default()
    };
    let receiving = collector.clone();
    tokio::spawn(async move { drop(receiving.serve(socket, std::future::pending()).await) });
    let (spans, exporter) = weir_telemetry::export::Exporter::start(config).unwrap();
    (collector, spans, exporter)
}

/// On the client side each attempt is a span of its own, and the upstream's parent is the one that reached it.
#[tokio::test]
async fn attempts_are_spans() {
    let (collector, spans, exporter) = collecting().await;
    let upstream = Upstream::bind().await;
    let mut proxy = Proxy::with(true, TelemetryArgs { spans, ..TelemetryArgs::disabled() });
    let mut endpoints = vec![nobody().await, upstream.address];
    endpoints.sort();
    let reviews = cluster("reviews", HttpVersion::Http1, &endpoints);
    let on = RetryOn { connect_failure: true, ..RetryOn::default() };
    let retry = RetryPolicy {
        attempts: 1,
        on,
        backoff_base: Duration::ZERO,
        backoff_max: Duration::ZERO,
        ..RetryPolicy::default()
    };
    let action = RouteAction::Forward(Forward { retry: Some(retry), ..forward_to(&[("reviews", 1)]) });
    listening_with(&mut proxy, Direction::Outbound, reviews, action, Some(1_000_000));
    let mut client = Peer::connect(proxy.outbound).await;
    let mut parents = Vec::new();
    // Round robin: at least one of the two requests meets the dead endpoint first.
    let mut server = None;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n").await;
        let mut peer = match server.take() {
            Some(peer) => peer,
            None => upstream.accept().await,
        };
        let head = peer.head().await;
        parents.push(field(&head, "traceparent").unwrap().split('-').nth(2).unwrap().to_owned());
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        client.head().await;
        server = Some(peer);
    }
    assert!(exporter.flush(PATIENCE).await);
    let traces: Vec<_> = collector.trace_ids().into_iter().map(|id| collector.trace(id).unwrap()).collect();
    let mut sizes: Vec<usize> = traces.iter().map(|trace| trace.spans.len()).collect();
    sizes.sort();
    assert!(matches!(sizes[..], [1 | 2, 2]), "{sizes:?}");
    for trace in &traces {
        let last = trace.spans.last().unwrap();
        assert!(parents.contains(&format!("{:016x}", last.span_id)), "{trace:?} {parents:?}");
        assert!(!last.error);
        if let [failed, retried] = &trace.spans[..] {
            assert!(failed.error && failed.span_id != retried.span_id);
            assert_eq!(failed.attribute("error.type"), Some("UF"));
            assert_eq!(retried.attribute("http.request.resend_count"), Some("1"));
        }
    }
}

/// A copy is a span of its own below that of the request it was made of, and says that it is one.
#[tokio::test]
async fn copies_are_spans() {
    let (collector, spans, exporter) = collecting().await;
    let mut proxy = Proxy::with(true, TelemetryArgs { spans, ..TelemetryArgs::disabled() });
    let (app, shadow) = (Upstream::answering("ok").await, Upstream::bind().await);
    let mirror = weir_model::Mirror {
        cluster: "shadow".to_owned(),
        fraction: weir_model::Fraction(1_000_000),
        marks_host: true,
    };
    let action = RouteAction::Forward(Forward { mirrors: vec![mirror], ..forward_to(&[("app", 1)]) });
    let routes = any_host("routes", vec![route(action)]);
    let listener = http_listener(
        proxy.outbound,
        Direction::Outbound,
        RouteSource::Inline(routes),
        Some(1_000_000),
        false,
    );
    let clusters = [("app", app.address), ("shadow", shadow.address)]
        .map(|(name, address)| Resource::Cluster(cluster(name, HttpVersion::Http1, &[address])));
    proxy.publish([clusters.to_vec(), vec![Resource::Listener(listener)]].concat(), &[]);
    let mut client = Peer::connect(proxy.outbound).await;
    client.send("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    client.message().await;
    let mut peer = shadow.accept().await;
    let head = peer.head().await;
    let parent = field(&head, "traceparent").unwrap().split('-').nth(2).unwrap().to_owned();
    peer.send("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    eventually("both spans are there", || collector.find(|trace| trace.spans.len() == 2).is_some()).await;
    drop(exporter);
    let trace = collector.find(|trace| trace.spans.len() == 2).unwrap();
    let (copies, originals): (Vec<_>, Vec<_>) =
        trace.spans.iter().partition(|span| span.attribute("weir.mirror").is_some());
    let ([copy], [original]) = (&copies[..], &originals[..]) else { panic!("{trace:?}") };
    assert_eq!(format!("{:016x}", copy.span_id), parent);
    assert_eq!(copy.parent_span_id, Some(original.span_id));
    assert_eq!(copy.attribute("weir.cluster"), Some("shadow"));
    assert!(copy.error && !original.error);
}

/// Two sidecars and a collector: outbound makes a client span under the caller's, inbound a server span under that.
#[tokio::test]
async fn spans_of_two_sidecars_are_one_trace() {
    let (collector, spans, exporter) = collecting().await;
    let telemetry = TelemetryArgs { spans, ..TelemetryArgs::disabled() };
    let app = Upstream::answering("traced").await;
    let mut inbound = Proxy::with(true, telemetry.clone());
    listening(
        &mut inbound,
        Direction::Inbound,
        cluster("app", HttpVersion::Http1, &[app.address]),
        Some(1_000_000),
    );
    let mut outbound = Proxy::seeded(true, telemetry, 2);
    let reviews = cluster("reviews", HttpVersion::Http1, &[inbound.inbound]);
    listening(&mut outbound, Direction::Outbound, reviews, Some(0));
    let mut client = Peer::connect(outbound.outbound).await;
    let ask = |parent: &str| format!("GET /p HTTP/1.1\r\nHost: reviews:9080\r\n{parent}\r\n");
    client.send(ask("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n")).await;
    assert_eq!(client.message().await.1, "traced");
    // Not sampled by its caller, and not sampled at the root: neither sidecar records it.
    client.send(ask("traceparent: 00-11111111111111111111111111111111-b7ad6b7169203331-00\r\n")).await;
    assert_eq!(client.message().await.1, "traced");
    client.send(ask("")).await;
    assert_eq!(client.message().await.1, "traced");
    assert!(exporter.flush(PATIENCE).await);
    assert_eq!(collector.trace_ids(), [0x0af7651916cd43dd8448eb211c80319c]);
    let trace = collector.trace(0x0af7651916cd43dd8448eb211c80319c).unwrap();
    let [client, server] = &trace.spans[..] else { panic!("{trace:?}") };
    let (client, server) = if client.kind == "client" { (client, server) } else { (server, client) };
    assert_eq!((client.kind, client.parent_span_id), ("client", Some(0xb7ad6b7169203331)));
    assert_eq!((server.kind, server.parent_span_id), ("server", Some(client.span_id)));
    assert!(
        client.start_unix_nanos <= server.start_unix_nanos && server.end_unix_nanos <= client.end_unix_nanos
    );
    assert_eq!(client.attribute("server.address"), Some("reviews"));
    assert_eq!(server.attribute("url.path"), Some("/p"));
    assert!(!client.error && !server.error);
}

#[tokio::test]
async fn a_listener_says_what_its_lines_say() {
    use weir_model::access_log::{AccessLog as Model, LogFormat, LogOutput, Template};
    let (out, err) = (Lines::default(), Lines::default());
    let (access_log, log) = AccessLog::start(out.clone(), err.clone(), DEFAULT_QUEUE).unwrap();
    let telemetry = TelemetryArgs { access_log, ..TelemetryArgs::disabled() };
    let mut proxy = Proxy::with(true, telemetry);
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let routes = any_host("routes", vec![route(forward(&app.name))]);
    let mut listener =
        http_listener(proxy.inbound, Direction::Inbound, RouteSource::Inline(routes), None, true);
    let format = "%REQ(:METHOD)% %REQ(X-A?:PATH)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% \
        %RESP(X-B)% %TRAILER(X-C)% %BYTES_SENT% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% %DOWNSTREAM_LOCAL_ADDRESS% %ROUTE_NAME% %REQ(X-None)%\n";
    let template = Template::parse(format).unwrap();
    let weir_model::ListenerKind::Http(http) = &mut listener.kind else { unreachable!() };
    http.access_log = Some(Arc::new(Model {
        output: LogOutput::Stderr,
        format: LogFormat::Text { template, omit_empty: false },
        ..Model::default()
    }));
    proxy.publish(vec![Resource::Cluster(app), Resource::Listener(listener)], &[]);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET /path?query HTTP/1.1\r\nHost: Name\r\nX-A: one\r\nX-A: two\r\nTE: trailers\r\nConnection: te\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 201 Created\r\nX-B: b\r\nTransfer-Encoding: chunked\r\nTrailer: X-C\r\n\r\n2\r\nok\r\n0\r\nX-C: c\r\n\r\n")
        .await;
    client.head().await;
    client.until("x-c: c\r\n\r\n").await;
    drop(upstream);
    drop(server);
    // And one that nobody answers.
    let mut second = Peer::connect(proxy.inbound).await;
    second.send("GET /gone HTTP/1.1\r\nHost: Name\r\n\r\n").await;
    second.message().await;
    drop((client, second));
    eventually("all connections end", || proxy.drain.open() == 0).await;
    assert!(log.flush(PATIENCE).await);
    let written = String::from_utf8(err.0.lock().unwrap().clone()).unwrap();
    let (app, local) = (proxy.cluster("app").endpoints[0].address, proxy.inbound);
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(
        lines,
        [
            format!(
                "GET one,two /path?query HTTP/1.1 201 via_upstream - b c 2 app {app} {local} everything -"
            ),
            format!(
                "GET /gone /gone HTTP/1.1 503 upstream_reset_before_response_started{{remote_connection_failure}} UF - - \
                 {} app {app} {local} everything -",
                lines[1].split(' ').nth(9).unwrap_or_default()
            ),
        ]
    );
    assert!(out.0.lock().unwrap().is_empty(), "nothing on standard output");
}
