//! Outbound: authorities become routes, and unknown ones are asked for.

use crate::support::*;
use std::time::Duration;
use tokio::time::Instant;
use weir_model::{Direction, HttpVersion, Resource, RouteConfiguration, RouteSource};

fn outbound(proxy: &Proxy) -> Resource {
    let none = RouteConfiguration { name: "outbound".to_owned(), virtual_hosts: vec![], options: None };
    Resource::Listener(http_listener(
        proxy.outbound,
        Direction::Outbound,
        RouteSource::Inline(none),
        None,
        false,
    ))
}

async fn ask(client: &mut Peer, host: &str) -> (String, String) {
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    client.message().await
}

#[tokio::test]
async fn authorities_lead_to_their_routes() {
    let (one, two) = (Upstream::answering("one").await, Upstream::answering("two").await);
    let mut proxy = Proxy::start();
    let resources = vec![
        outbound(&proxy),
        Resource::Cluster(cluster("one", HttpVersion::Http1, &[one.address])),
        Resource::Cluster(cluster("two", HttpVersion::Http1, &[two.address])),
        Resource::Listener(named_listener("one", vec![route(forward("one"))])),
        Resource::Listener(named_listener("two.default:80", vec![route(forward("two"))])),
    ];
    proxy.publish(resources, &["nobody"]);
    let mut client = Peer::connect(proxy.outbound).await;
    // The first one may come before the worker has the snapshot, and be waited for.
    assert_eq!(ask(&mut client, "one").await.1, "one");
    while proxy.wanted.try_recv().is_ok() {}
    for (host, body) in [
        ("one", "one"),
        ("two.default:80", "two"),
        ("ONE", "one"),
        ("one.", "one"),
        ("Two.Default.:80", "two"),
    ] {
        assert_eq!(ask(&mut client, host).await.1, body, "{host}");
    }
    let (head, body) = ask(&mut client, "nobody").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!(body, "no service has this name (NR)\n");
    // The same connection goes on, and so does another protocol.
    assert_eq!(ask(&mut client, "one").await.1, "one");
    let mut client = Client2::connect(proxy.outbound).await;
    for (authority, body) in [("one", "one"), ("two.default:80", "two")] {
        let response = client.get(&format!("http://{authority}/")).await;
        assert_eq!(collect(response.into_body()).await.0, body);
    }
    assert!(proxy.wanted.try_recv().is_err());
}

#[tokio::test]
async fn a_name_that_was_never_asked_for_is_waited_for() {
    let upstream = Upstream::answering("late").await;
    let mut proxy = Proxy::start();
    let mut client = Peer::connect(proxy.outbound).await;
    client.send("GET / HTTP/1.1\r\nHost: Late.Default\r\n\r\n").await;
    assert_eq!(&*patient(proxy.wanted.recv()).await.unwrap(), "late.default");
    let mut other = Peer::connect(proxy.outbound).await;
    other.send("GET / HTTP/1.1\r\nHost: absent\r\n\r\n").await;
    assert_eq!(&*patient(proxy.wanted.recv()).await.unwrap(), "absent");
    let resources = vec![
        Resource::Cluster(cluster("late", HttpVersion::Http1, &[upstream.address])),
        Resource::Listener(named_listener("late.default", vec![route(forward("late"))])),
    ];
    proxy.publish(resources.clone(), &[]);
    assert_eq!(client.message().await.1, "late");
    // The other one goes on waiting, until it has its answer too.
    proxy.publish(resources, &["absent"]);
    assert!(other.message().await.0.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn without_a_control_plane_the_answer_comes_at_once() {
    let mut proxy = Proxy::with(false, weir_proxy::TelemetryArgs::disabled());
    let begun = Instant::now();
    let (head, body) = ask(&mut Peer::connect(proxy.outbound).await, "reviews").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(
        body,
        "cannot tell whether a service has this name: the control plane is not connected (NC)\n"
    );
    assert!(begun.elapsed() < Duration::from_secs(1));
    // It is asked for all the same: the next one may know.
    assert_eq!(&*patient(proxy.wanted.recv()).await.unwrap(), "reviews");
}

#[tokio::test]
async fn what_cannot_be_a_name_is_not_asked_for() {
    let mut proxy = Proxy::start();
    for host in ["*", "inbound/1.2.3.4:80"] {
        let (head, _) = ask(&mut Peer::connect(proxy.outbound).await, host).await;
        assert!(head.starts_with("HTTP/1.1 404 ") || head.starts_with("HTTP/1.1 400 "), "{host}: {head}");
    }
    assert!(proxy.wanted.try_recv().is_err());
}

#[tokio::test]
async fn no_answer_is_waited_for_only_so_long() {
    let proxy = Proxy::start();
    let begun = Instant::now();
    let (head, body) = ask(&mut Peer::connect(proxy.outbound).await, "reviews").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(body.contains("did not answer in time"), "{body}");
    assert!(begun.elapsed() >= weir_model::limits::ON_DEMAND_WAIT);
}

#[tokio::test]
async fn a_name_that_changes_is_followed_on_open_connections() {
    let (one, two) = (Upstream::answering("one").await, Upstream::answering("two").await);
    let mut proxy = Proxy::start();
    let mut client = Peer::connect(proxy.outbound).await;
    for upstream in [&one, &two, &one] {
        let resources = vec![
            Resource::Cluster(cluster("app", HttpVersion::Http1, &[upstream.address])),
            Resource::Listener(named_listener("app", vec![route(forward("app"))])),
        ];
        proxy.publish(resources, &[]);
        let wanted = if upstream.address == one.address { "one" } else { "two" };
        let mut body = String::new();
        for _ in 0..500 {
            body = ask(&mut client, "app").await.1;
            if body == wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(body, wanted);
    }
}

#[tokio::test]
async fn an_inbound_listener_waits_for_its_configuration() {
    let upstream = Upstream::answering("ready").await;
    let mut proxy = Proxy::start();
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    proxy.publish_inbound(
        vec![cluster("app", HttpVersion::Http1, &[upstream.address])],
        vec![route(forward("app"))],
    );
    assert_eq!(client.message().await.1, "ready");
}
