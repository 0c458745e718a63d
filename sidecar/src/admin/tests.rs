use super::*;
use std::net::SocketAddr;

use http_body_util::BodyExt;
use weir_config::{Config, ConfigOptions};
use weir_model::node::{Node, Target};

fn node() -> Node {
    Node {
        id: "n".into(),
        target: Target::Weir,
        namespace: "default".into(),
        service: "reviews".into(),
        service_account: "default".into(),
        labels: Default::default(),
        locality: Default::default(),
        outbound: Some("127.0.0.1:15001".parse().unwrap()),
        outbound_tcp: Default::default(),
        inbound: Vec::new(),
        upstreams: Default::default(),
        uses: Default::default(),
        sampling: None,
        access_log: false,
    }
}

/// An endpoint beside a configuration task that reaches no control plane.
fn admin(bound: &str) -> Admin {
    let (snapshots, _, status, _) = Config::start(ConfigOptions {
        identity: None,
        local_cluster: None,
        control_planes: "127.0.0.1:1".parse().unwrap(),
        node: node(),
        state_dir: None,
        workers: 1,
        bound: Default::default(),
        seed: 1,
    });
    let registry = Registry::new();
    metrics::register(&registry, &status, &snapshots);
    Admin {
        node: node(),
        status,
        snapshots,
        lifecycle: Lifecycle::new(),
        listeners: vec!["127.0.0.1:15001".parse::<SocketAddr>().unwrap()],
        registry,
        bound: bound.parse().unwrap(),
    }
}

fn published_once(listeners: Vec<weir_config::Listener>) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::empty();
    snapshot.sequence = 1;
    snapshot.listeners = listeners;
    Arc::new(snapshot)
}

async fn ask(admin: &Admin, method: Method, target: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let answer = admin.answer(&parts).await;
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn not_ready_says_why() {
    let admin = admin("127.0.0.1");
    let (status, text) = ask(&admin, Method::GET, "/ready", &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("no configuration yet from the control plane"), "{text}");
    assert_eq!(ask(&admin, Method::GET, "/live", &[]).await, (StatusCode::OK, "live\n".into()));
}

#[tokio::test]
async fn ready_with_the_listeners_it_needs_and_not_while_leaving() {
    let mut admin = admin("127.0.0.1");
    let (snapshots, published) = watch::channel(published_once(Vec::new()));
    admin.snapshots = published;
    let (status, text) = ask(&admin, Method::GET, "/ready", &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("no listener for 127.0.0.1:15001"), "{text}");
    let listener = weir_config::Listener {
        name: "outbound".into(),
        address: Some(admin.listeners[0]),
        direction: weir_model::Direction::Outbound,
        kind: weir_config::ListenerKind::Tcp(weir_config::Tcp::to(0).into()),
    };
    snapshots.send_replace(published_once(vec![listener]));
    assert_eq!(ask(&admin, Method::GET, "/ready", &[]).await.0, StatusCode::OK);
    admin.lifecycle.leave();
    let answer = ask(&admin, Method::GET, "/ready", &[]).await;
    assert_eq!(answer, (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()));
}

#[tokio::test]
async fn a_page_of_somebody_elses_domain_is_refused_on_loopback_only() {
    let loopback = admin("127.0.0.1");
    for host in ["127.0.0.1:15000", "localhost:15000", "LOCALHOST", "[::1]:15000"] {
        assert_eq!(ask(&loopback, Method::GET, "/live", &[("host", host)]).await.0, StatusCode::OK, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example:15000", "a b", "127.0.0.1.evil.example"] {
        let status = ask(&loopback, Method::GET, "/live", &[("host", host)]).await.0;
        assert_eq!(status, StatusCode::FORBIDDEN, "{host}");
    }
    let anywhere = admin("0.0.0.0");
    assert_eq!(ask(&anywhere, Method::GET, "/live", &[("host", "pod.example")]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn only_what_is_meant_to_change_something_does() {
    let admin = admin("127.0.0.1");
    assert_eq!(ask(&admin, Method::GET, "/drain", &[]).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(&admin, Method::POST, "/ready", &[]).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(&admin, Method::POST, "/nothing", &[]).await.0, StatusCode::NOT_FOUND);
    assert!(!admin.lifecycle.is_leaving());
}

#[tokio::test(start_paused = true)]
async fn draining_answers_when_peers_had_time() {
    for (method, headers) in
        [(Method::POST, &[][..]), (Method::GET, &[("user-agent", "kube-lifecycle/1.32")][..])]
    {
        let admin = admin("127.0.0.1");
        let told = std::cell::Cell::new(false);
        let heard = std::future::ready(());
        let run = admin.lifecycle.clone().run(|| told.set(true), heard, Duration::from_secs(2));
        let begun = tokio::time::Instant::now();
        let ((), (status, _)) = tokio::join!(run, ask(&admin, method, "/drain", headers));
        assert_eq!(status, StatusCode::OK);
        assert!(told.get() && begun.elapsed() >= Duration::from_secs(2));
    }
}

#[tokio::test]
async fn pages_are_of_their_kind() {
    let admin = admin("127.0.0.1");
    let (_, dump) = ask(&admin, Method::GET, "/config_dump", &[]).await;
    let dump: serde_json::Value = serde_json::from_str(&dump).unwrap();
    assert_eq!(dump["node"]["id"], "n");
    assert_eq!(dump["snapshot"]["sequence"], 0);
    let (_, clusters) = ask(&admin, Method::GET, "/clusters?format=json", &[]).await;
    let clusters: serde_json::Value = serde_json::from_str(&clusters).unwrap();
    assert_eq!(clusters["clusters"], serde_json::json!([]));
    assert!(ask(&admin, Method::GET, "/clusters", &[]).await.1.starts_with("snapshot 0"));
    assert_eq!(ask(&admin, Method::GET, "/clusters?format=xml", &[]).await.0, StatusCode::BAD_REQUEST);
    let (_, metrics) = ask(&admin, Method::GET, "/metrics", &[]).await;
    assert!(metrics.contains("weir_config_connected 0"), "{metrics}");
    assert!(ask(&admin, Method::GET, "/", &[]).await.1.contains("/config_dump"));
}
