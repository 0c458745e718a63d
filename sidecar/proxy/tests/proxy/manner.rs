//! What a listener takes and says of HTTP where there is a choice: sizes, names, forms, and how what breaks off ends.

use crate::support::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_model::access_log::{Comparison, LogFilter, LogFormat, LogOutput, Template};
use weir_model::{
    BodyLimit, EscapedSlashes, Filters, Fraction, HeaderValue, HostPorts, HttpLimits, HttpListener,
    HttpVersion, ListenerKind, Manner, Paths, RequestIds, Resource, Route, ServerName, Tracing, Underscores,
};
use weir_proxy::TelemetryArgs;
use weir_telemetry::access_log::{AccessLog, DEFAULT_QUEUE};
use weir_telemetry::export::SpanSink;
use weir_telemetry::metrics::Registry;

/// A worker whose inbound listener is changed before it is published.
fn changed(upstream: std::net::SocketAddr, change: impl FnOnce(&mut HttpListener)) -> Proxy {
    changed_with(TelemetryArgs::disabled(), upstream, change)
}

fn changed_with(
    telemetry: TelemetryArgs,
    upstream: std::net::SocketAddr,
    change: impl FnOnce(&mut HttpListener),
) -> Proxy {
    let mut proxy = Proxy::with(true, telemetry);
    let mut listener = inbound_listener(proxy.inbound, vec![route(forward("app"))]);
    let ListenerKind::Http(http) = &mut listener.kind else { unreachable!() };
    change(http);
    let app = cluster("app", HttpVersion::Http1, &[upstream]);
    proxy.publish(vec![Resource::Cluster(app), Resource::Listener(listener)], &[]);
    proxy
}

fn behaving(upstream: std::net::SocketAddr, manner: Manner) -> Proxy {
    changed(upstream, |http| http.manner = Some(Arc::new(manner)))
}

fn within(bytes: u32) -> Route {
    let filters = Filters { body: Some(BodyLimit::Bytes(bytes)), ..Filters::default() };
    Route { filters: Some(Box::new(filters)), ..route(forward("app")) }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_at_once() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let proxy = Proxy::routes(vec![app], vec![within(10)]);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n").await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 413 ") && body.contains("too large"), "{head}{body}");
    assert_eq!(field(&head, "connection"), Some("close"));
    assert!(client.closed().await);
    assert!(upstream.is_quiet().await, "nobody upstream hears of it");
    // What is exactly as large as it may be goes through.
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789").await;
    let mut server = upstream.accept().await;
    assert_eq!(server.message().await.1, "0123456789");
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(client.message().await.1, "ok");
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused_then() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let proxy = Proxy::routes(vec![app], vec![within(10)]);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n").await;
    let mut server = upstream.accept().await;
    server.until("8\r\n01234567\r\n").await;
    client.send("3\r\n89a\r\n").await;
    let (head, _) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    // The upstream must not take what it has for a whole body.
    assert!(!server.rest().await.contains("0\r\n\r\n"));
    // Exactly as much as there may be goes through.
    let mut client = Peer::connect(proxy.inbound).await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    server.until("0\r\n\r\n").await;
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(client.message().await.1, "ok");
}

#[tokio::test]
async fn bodies_over_http2_have_the_same_limit() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http2, &[upstream.address]);
    let proxy = Proxy::routes(vec![app], vec![within(10)]);
    let mut client = Client2::connect(proxy.inbound).await;
    let request = http::Request::post("http://a/").header("content-length", "11").body(()).unwrap();
    let (response, _stream) = client.sender.send_request(request, false).unwrap();
    assert_eq!(patient(response).await.unwrap().status(), 413);
    let request = http::Request::post("http://a/").body(()).unwrap();
    let (response, mut stream) = client.sender.send_request(request, false).unwrap();
    stream.send_data("01234567".into(), false).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let (asked, _respond) = server.request().await;
    let mut body = asked.into_body();
    assert_eq!(patient(body.data()).await.unwrap().unwrap(), "01234567");
    stream.send_data("89a".into(), false).unwrap();
    assert_eq!(patient(response).await.unwrap().status(), 413);
    assert!(patient(body.data()).await.unwrap().is_err(), "the upstream's stream is reset");
    // The connection serves others.
    let request = http::Request::post("http://a/").body(()).unwrap();
    let (response, mut stream) = client.sender.send_request(request, false).unwrap();
    stream.send_data("0123456789".into(), true).unwrap();
    let (_asked, mut respond) = server.request().await;
    respond.send_response(http::Response::new(()), true).unwrap();
    assert_eq!(patient(response).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_listener_s_limit_holds_where_its_routes_say_nothing() {
    let upstream = Upstream::answering("ok").await;
    let proxy = changed(upstream.address, |http| {
        http.filters = Some(Box::new(Filters { body: Some(BodyLimit::Bytes(3)), ..Filters::default() }));
    });
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfour").await;
    assert!(client.head().await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn heads_have_the_size_and_the_fields_their_listener_takes() {
    let upstream = Upstream::answering("ok").await;
    let limits = HttpLimits { head_bytes: Some(1024), head_fields: Some(3), ..HttpLimits::default() };
    let proxy = changed(upstream.address, |http| http.limits = limits);
    for (fields, expected) in [
        (format!("x-a: {}\r\n", "v".repeat(800)), "HTTP/1.1 200 "),
        (format!("x-a: {}\r\n", "v".repeat(1100)), "HTTP/1.1 431 "),
        ("x-a: 1\r\nx-b: 1\r\n".to_owned(), "HTTP/1.1 200 "),
        ("x-a: 1\r\nx-b: 1\r\nx-c: 1\r\n".to_owned(), "HTTP/1.1 431 "),
    ] {
        let mut client = Peer::connect(proxy.inbound).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        let head = client.head().await;
        assert!(head.starts_with(expected), "{head}");
    }
    // And more than others take.
    let limits = HttpLimits { head_bytes: Some(256 * 1024), head_fields: Some(200), ..HttpLimits::default() };
    let proxy = changed(upstream.address, |http| http.limits = limits);
    let mut client = Peer::connect(proxy.inbound).await;
    let fields: String = (0..150).map(|number| format!("x-{number}: {}\r\n", "v".repeat(800))).collect();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 431 ") || head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test]
async fn a_connection_ends_in_order_with_its_last_request() {
    let upstream = Upstream::answering("ok").await;
    let limits = HttpLimits { requests: Some(2), ..HttpLimits::default() };
    let proxy = changed(upstream.address, |http| http.limits = limits);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(field(&client.message().await.0, "connection"), None);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(field(&client.message().await.0, "connection"), Some("close"));
    assert!(client.closed().await);
    let mut client = Client2::connect(proxy.inbound).await;
    for _ in 0..2 {
        assert_eq!(client.get("http://a/").await.status(), 200);
    }
    client.ended().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_in_its_listener_s_time_is_refused() {
    let upstream = Upstream::answering("ok").await;
    let head = Some(Duration::from_millis(300));
    let proxy = changed(upstream.address, |http| http.limits = HttpLimits { head, ..HttpLimits::default() });
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn names_ports_and_ids_are_as_the_listener_has_them() {
    let upstream = Upstream::bind().await;
    let manner = Manner {
        server: Some(ServerName { name: HeaderValue::from_static("edge"), overwrite: true }),
        via: Some(HeaderValue::from_static("1.1 edge")),
        ports: HostPorts::StripAny,
        strip_dot: true,
        underscores: Underscores::Drop,
        request_id: RequestIds { generate: true, keep: false, tell: true },
        default_host: Some(HeaderValue::from_static("old.test")),
        proper_case: true,
        ..Manner::default()
    };
    let proxy = behaving(upstream.address, manner);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a.test.:99\r\nx_y: 1\r\nVia: 1.0 one\r\n\r\n").await;
    let mut server = upstream.accept().await;
    let asked = server.head().await;
    assert_eq!(field(&asked, "host"), Some("a.test"));
    assert_eq!(field(&asked, "x_y"), None);
    assert_eq!(field(&asked, "via"), Some("1.0 one, 1.1 edge"));
    let id = field(&asked, "x-request-id").unwrap().to_owned();
    assert_eq!(id.len(), 36);
    server.send("HTTP/1.1 200 OK\r\nserver: theirs\r\ncontent-length: 2\r\n\r\nok").await;
    let head = client.message().await.0;
    assert!(head.contains("\r\nServer: edge\r\n") && !head.contains("theirs"), "{head}");
    assert!(head.contains("\r\nVia: 1.1 edge\r\n"), "{head}");
    assert_eq!(field(&head, "x-request-id"), Some(id.as_str()));
    // What is answered here says so too.
    client.send("GET /é HTTP/1.1\r\nHost: [\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 400 "));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let mut server = Peer { stream: reused_or_new(&upstream, server).await };
    assert_eq!(field(&server.head().await, "host"), Some("old.test"));
}

#[tokio::test]
async fn underscores_are_refused_where_they_are_to_be() {
    let upstream = Upstream::answering("ok").await;
    let proxy = behaving(upstream.address, Manner { underscores: Underscores::Reject, ..Manner::default() });
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nx_y: 1\r\n\r\n").await;
    assert!(client.message().await.0.starts_with("HTTP/1.1 400 "));
}

/// What the upstream said before it broke off reaches the caller, and never as a whole.
#[tokio::test]
async fn a_response_that_breaks_right_after_its_head_is_passed_on_as_far_as_it_came() {
    let upstream = Upstream::bind().await;
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    let proxy = Proxy::inbound(app);
    for (framing, body, expected) in [
        ("content-length: 10", "", ""),
        ("content-length: 10", "half", "half"),
        ("transfer-encoding: chunked", "", ""),
        ("transfer-encoding: chunked", "4\r\nhalf\r\n", "4\r\nhalf\r\n"),
    ] {
        let mut client = Peer::connect(proxy.inbound).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}")).await;
        drop(server);
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(client.rest().await, expected, "{framing}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_right_after_its_head_is_reset_after_it() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Client2::connect(proxy.inbound).await;
    for body in ["", "half"] {
        let request = http::Request::get("http://a/").body(()).unwrap();
        let (response, _) = client.sender.send_request(request, true).unwrap();
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{body}")).await;
        drop(server);
        let response = patient(response).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut came = Vec::new();
        let mut rest = response.into_body();
        let ended = loop {
            match patient(rest.data()).await {
                Some(Ok(data)) => came.extend_from_slice(&data),
                Some(Err(error)) => break error.is_reset(),
                None => break false,
            }
        };
        assert!(ended, "it must not look whole");
        assert_eq!(String::from_utf8(came).unwrap(), body);
    }
}

/// Towards HTTP/1.0 the end of the connection is the end of the body.
#[tokio::test]
async fn a_broken_response_to_http_1_0_ends_in_a_reset() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    client.until("half").await;
    drop(server);
    let mut byte = [0];
    let read = patient(tokio::io::AsyncReadExt::read(&mut client.stream, &mut byte)).await;
    assert_eq!(read.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
}

/// Lines written by the log's thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
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

fn says(template: &str) -> LogFormat {
    LogFormat::Text { template: Template::parse(template).unwrap(), omit_empty: false }
}

#[tokio::test]
async fn what_is_refused_early_is_logged_counted_and_traced() {
    let (out, err) = (Lines::default(), Lines::default());
    let (access_log, log) = AccessLog::start(out.clone(), err.clone(), DEFAULT_QUEUE).unwrap();
    let registry = Registry::new();
    let telemetry = TelemetryArgs { registry: registry.clone(), spans: SpanSink::disabled(), access_log };
    let upstream = Upstream::answering("ok").await;
    let proxy = changed_with(telemetry, upstream.address, |http| {
        http.paths = Paths { escaped_slashes: EscapedSlashes::Reject, ..Paths::BASE };
        http.tracing = Some(Tracing { sampling: Fraction(1_000_000) });
        let second = weir_model::access_log::AccessLog {
            output: LogOutput::Stderr,
            format: says("failed %RESPONSE_CODE%\n"),
            filter: Some(Box::new(LogFilter::Status(Comparison::AtLeast, 400))),
            also: None,
        };
        http.access_log = Some(Arc::new(weir_model::access_log::AccessLog {
            format: says("%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS%\n"),
            also: Some(Arc::new(second)),
            ..weir_model::access_log::AccessLog::default()
        }));
    });
    for (text, status) in [
        ("GET /good HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
        ("GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /two HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1", "400"),
        ("no HTTP at all\r\n\r\n", "400"),
    ] {
        let mut client = Peer::connect(proxy.inbound).await;
        client.send(text).await;
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{text}: {head}");
        drop(client);
    }
    let complete = || out.text().lines().count() >= 4;
    for _ in 0..200 {
        assert!(log.flush(PATIENCE).await);
        if complete() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lines = out.text();
    for line in ["GET /good 200 -", "GET /a%2Fb 400 DPE", "GET /two 400 DPE", "- - 400 DPE"] {
        assert!(lines.lines().any(|written| written == line), "{line} in\n{lines}");
    }
    assert_eq!(err.text(), "failed 400\n".repeat(3), "a log has lines of what passes its filter only");
    let metrics = registry.render_prometheus();
    let flagged = metrics.lines().find(|line| line.contains("weir_response_flags") && line.contains("DPE"));
    assert!(flagged.is_some_and(|line| line.ends_with(" 3")), "{flagged:?}");
}

#[tokio::test]
async fn a_rewritten_path_is_logged_as_it_was_sent_on() {
    let out = Lines::default();
    let (access_log, log) = AccessLog::start(out.clone(), std::io::sink(), DEFAULT_QUEUE).unwrap();
    let telemetry = TelemetryArgs { access_log, ..TelemetryArgs::disabled() };
    let mut proxy = Proxy::with(true, telemetry);
    let upstream = Upstream::answering("ok").await;
    let mut to = forward_to(&[("app", 1)]);
    to.rewrite.path = Some(weir_model::PathRewrite::Full("/new".to_owned()));
    to.rewrite.host = Some("new.test".to_owned());
    let mut listener = inbound_listener(proxy.inbound, vec![route(weir_model::RouteAction::Forward(to))]);
    let ListenerKind::Http(http) = &mut listener.kind else { unreachable!() };
    let format = "%REQ(:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:AUTHORITY)%\n";
    http.access_log = Some(Arc::new(weir_model::access_log::AccessLog {
        format: says(format),
        ..weir_model::access_log::AccessLog::default()
    }));
    let app = cluster("app", HttpVersion::Http1, &[upstream.address]);
    proxy.publish(vec![Resource::Cluster(app), Resource::Listener(listener)], &[]);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET /old?q HTTP/1.1\r\nHost: old.test\r\n\r\n").await;
    client.message().await;
    for _ in 0..200 {
        assert!(log.flush(PATIENCE).await);
        if !out.text().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(out.text(), "/new?q /old?q new.test\n");
}
