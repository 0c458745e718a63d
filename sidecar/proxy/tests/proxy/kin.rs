//! Requests of one trace on both sides of an application that hands on its trace context and nothing else.

use crate::support::*;
use http::StatusCode;
use std::time::Duration;
use weir_model::{
    Forward, Forwarded, HttpVersion, ListenerKind, Resource, RetryOn, RetryPolicy, RouteAction,
};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const OTHER: &str = "00-00000000000000000000000000000007-00f067aa0ba902b7-00";
const FAILURE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// An application and a backend that it calls, both with a sidecar between.
struct Mesh {
    proxy: Proxy,
    app: Upstream,
    backend: Upstream,
}

async fn mesh(forwarded: Forwarded) -> Mesh {
    let (app, backend) = (Upstream::bind().await, Upstream::bind().await);
    let on = RetryOn { statuses: vec![StatusCode::SERVICE_UNAVAILABLE], ..RetryOn::default() };
    let (backoff_base, backoff_max) = (Duration::ZERO, Duration::ZERO);
    let retry = RetryPolicy { attempts: 1, on, backoff_base, backoff_max, ..RetryPolicy::default() };
    let retrying = Forward { retry: Some(retry), ..forward_to(&[("backend", 1)]) };
    let mut proxy = Proxy::start();
    let mut inbound = inbound_listener(proxy.inbound, vec![route(forward("app"))]);
    let ListenerKind::Http(http) = &mut inbound.kind else { unreachable!() };
    http.forwarded = forwarded;
    let resources = vec![
        Resource::Cluster(cluster("app", HttpVersion::Http1, &[app.address])),
        Resource::Cluster(cluster("backend", HttpVersion::Http1, &[backend.address])),
        Resource::Listener(inbound),
        Resource::Listener(named_listener("backend", vec![route(RouteAction::Forward(retrying))])),
    ];
    proxy.publish(resources, &[]);
    Mesh { proxy, app, backend }
}

impl Mesh {
    /// A request to the application, as far as that has it.
    async fn called(&self, fields: &str) -> (Peer, Peer, String) {
        let mut client = Peer::connect(self.proxy.inbound).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: app\r\n{fields}\r\n")).await;
        let mut app = self.app.accept().await;
        let head = app.head().await;
        (client, app, head)
    }

    /// The application's call to the backend, which fails so often; the answer's head and those of the requests.
    async fn calls(&self, fields: &str, failures: usize) -> (String, Vec<String>) {
        let mut call = Peer::connect(self.proxy.outbound).await;
        call.send(format!("GET / HTTP/1.1\r\nHost: backend\r\n{fields}\r\n")).await;
        let mut heads = Vec::new();
        let mut server = self.backend.accept().await;
        for attempt in 0..failures {
            if attempt > 0 {
                server = Peer { stream: reused_or_new(&self.backend, server).await };
            }
            heads.push(server.head().await);
            server.send(FAILURE).await;
        }
        (call.head().await, heads)
    }
}

#[tokio::test]
async fn what_is_asked_again_is_not_asked_again_below() {
    let mesh = mesh(Forwarded::Pass).await;
    let marked = format!("traceparent: {TRACE}\r\nx-weir-attempt: 2\r\n");
    let (_client, _app, head) = mesh.called(&marked).await;
    assert_eq!(field(&head, "x-weir-attempt"), Some("2"));
    // The application hands on its trace and nothing else.
    let (answer, heads) = mesh.calls(&format!("traceparent: {TRACE}\r\n"), 1).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(field(&heads[0], "x-weir-attempt"), Some("2"), "those below hear of it");
    assert_eq!(field(&answer, "x-weir-no-retry"), None, "the caller above has further attempts");
    // Another trace has its retry.
    let (answer, heads) = mesh.calls(&format!("traceparent: {OTHER}\r\n"), 2).await;
    assert_eq!(field(&heads[0], "x-weir-attempt"), None);
    assert_eq!(field(&heads[1], "x-weir-attempt"), Some("2"));
    assert_eq!(field(&answer, "x-weir-no-retry"), Some("spent"));
}

#[tokio::test]
async fn a_failure_that_was_retried_below_is_not_retried_above() {
    let mesh = mesh(Forwarded::Pass).await;
    let (mut client, mut app, _) = mesh.called(&format!("traceparent: {TRACE}\r\n")).await;
    let (mut stranger, mut other, _) = mesh.called(&format!("traceparent: {OTHER}\r\n")).await;
    let (mut content, mut fine, _) =
        mesh.called(&format!("b3: {}-{}-0\r\n", &TRACE[3..35], &TRACE[36..52])).await;
    let (answer, _) = mesh.calls(&format!("traceparent: {TRACE}\r\n"), 2).await;
    assert_eq!(field(&answer, "x-weir-no-retry"), Some("spent"));
    app.send(FAILURE).await;
    assert_eq!(field(&client.head().await, "x-weir-no-retry"), Some("spent"));
    other.send(FAILURE).await;
    assert_eq!(field(&stranger.head().await, "x-weir-no-retry"), None, "its failure is its own");
    fine.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(field(&content.head().await, "x-weir-no-retry"), None, "what succeeds says nothing");
}

/// At an edge (`use_remote_address`) callers are strangers: what they say is not heard, and they are told nothing.
#[tokio::test]
async fn strangers_neither_mark_nor_are_told() {
    let mesh = mesh(Forwarded::Edge { trusted_hops: 0, append: true }).await;
    let marked = format!("traceparent: {TRACE}\r\nx-weir-attempt: 2\r\n");
    let (mut client, mut app, head) = mesh.called(&marked).await;
    assert_eq!(field(&head, "x-weir-attempt"), None);
    let (answer, heads) = mesh.calls(&format!("traceparent: {TRACE}\r\n"), 2).await;
    assert_eq!(field(&heads[0], "x-weir-attempt"), None);
    assert_eq!(field(&answer, "x-weir-no-retry"), Some("spent"));
    app.send(FAILURE).await;
    assert_eq!(field(&client.head().await, "x-weir-no-retry"), None);
}
