//! What other control planes say of routes: header fields on every level, values made for each request, hosts and paths of many sources,
//! counts of attempts.

use crate::support::*;
use http::{HeaderName, StatusCode};
use weir_model::access_log::Template;
use weir_model::{
    DirectResponse, EditAction, EditValue, EndpointDetails, HeaderChanges, HeaderEdit, HeaderEdits,
    HeaderMutation, HostOptions, HostRewrite, HostSource, HttpVersion, ListenerKind, PathRewrite, Resource,
    RetryOn, RetryPolicy, Rewrite, Route, RouteAction, RouteSource, RoutesOptions, Substitution,
};

fn writes(edits: &[(&'static str, &str, EditAction)]) -> HeaderMutation {
    let write = edits.iter().map(|(name, format, action)| HeaderEdit {
        name: HeaderName::from_static(name),
        value: EditValue::Template { template: Template::parse(format).unwrap(), keep_empty: false },
        action: *action,
    });
    let edits = Some(Box::new(HeaderEdits { remove: vec![], write: write.collect() }));
    HeaderMutation { edits, ..HeaderMutation::default() }
}

/// A proxy whose inbound routes say this for all of them.
fn proxy(
    clusters: Vec<weir_model::Cluster>,
    route: Route,
    wide: Option<RoutesOptions>,
    host: Option<HostOptions>,
) -> Proxy {
    let mut proxy = Proxy::start();
    let mut listener = inbound_listener(proxy.inbound, vec![route]);
    if let ListenerKind::Http(http) = &mut listener.kind
        && let RouteSource::Inline(routes) = &mut http.routes
    {
        routes.options = wide.map(Box::new);
        routes.virtual_hosts[0].options = host.map(Box::new);
    }
    let mut resources: Vec<Resource> = clusters.into_iter().map(Resource::Cluster).collect();
    resources.push(Resource::Listener(listener));
    proxy.publish(resources, &[]);
    proxy
}

#[tokio::test]
async fn every_level_changes_what_it_says_in_envoys_order() {
    let upstream = Upstream::bind().await;
    let mut forward = forward_to(&[("app", 1)]);
    let level = |who: &str| writes(&[("x-last", &format!("{who} %PROTOCOL%"), EditAction::Overwrite)]);
    let both = |who: &str| HeaderChanges { request: level(who), response: level(who) };
    forward.clusters[0].request_headers = level("cluster");
    let one = Route {
        request_headers: writes(&[
            ("x-last", "route", EditAction::Overwrite),
            ("x-saw", "%REQ(x-last)% %REQ(:PATH)%", EditAction::Append),
            ("x-none", "%REQ(x-missing)%", EditAction::Append),
        ]),
        response_headers: writes(&[("x-asked", "%REQ(x-id)% %RESP(:STATUS)%", EditAction::AddIfAbsent)]),
        ..route(RouteAction::Forward(forward))
    };
    let options = HostOptions { headers: both("host"), ..HostOptions::default() };
    let wide = RoutesOptions { headers: both("all"), ..RoutesOptions::default() };
    let proxy =
        proxy(vec![cluster("app", HttpVersion::Http1, &[upstream.address])], one, Some(wide), Some(options));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET /p?q HTTP/1.1\r\nHost: a\r\nX-Id: 7\r\n\r\n").await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert_eq!(field(&head, "x-last"), Some("all HTTP/1.1"), "{head}");
    assert_eq!(field(&head, "x-saw"), Some("cluster HTTP/1.1 /p?q"), "{head}");
    assert_eq!(field(&head, "x-none"), None, "{head}");
    server.send("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(field(&head, "x-last"), Some("all HTTP/1.1"), "{head}");
    assert_eq!(field(&head, "x-asked"), Some("7 201"), "{head}");
}

#[tokio::test]
async fn answers_of_ours_are_changed_too() {
    let body = "said".to_owned();
    let one = Route {
        response_headers: writes(&[("x-asked", "%REQ(x-id?:PATH)%", EditAction::Append)]),
        ..route(RouteAction::Direct(DirectResponse { status: StatusCode::OK, body }))
    };
    let proxy = proxy(vec![], one, None, None);
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET /p HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (head, _) = client.message().await;
    assert_eq!(field(&head, "x-asked"), Some("/p"), "{head}");
}

#[tokio::test]
async fn attempts_are_counted_for_both_sides() {
    let upstream = Upstream::bind().await;
    let mut forward = forward_to(&[("app", 1)]);
    let on = RetryOn { statuses: vec![StatusCode::SERVICE_UNAVAILABLE], ..RetryOn::default() };
    forward.retry = Some(RetryPolicy { attempts: 1, on, ..RetryPolicy::default() });
    let options = HostOptions { tell_attempts: true, answer_attempts: true, ..HostOptions::default() };
    let clusters = vec![cluster("app", HttpVersion::Http1, &[upstream.address])];
    let proxy = proxy(clusters, route(RouteAction::Forward(forward)), None, Some(options));
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Envoy-Attempt-Count: 9\r\n\r\n").await;
    let mut server = upstream.accept().await;
    assert_eq!(field(&server.head().await, "x-envoy-attempt-count"), Some("1"));
    server.send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(field(&server.head().await, "x-envoy-attempt-count"), Some("2"));
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(field(&head, "x-envoy-attempt-count"), Some("2"), "{head}");
}

#[tokio::test]
async fn hosts_and_paths_are_made_of_what_the_request_says() {
    let upstream = Upstream::bind().await;
    let path = Substitution { pattern: "/old/([^/]+)".to_owned(), replacement: "/\\1/new".to_owned() };
    let rewrite = |source| Rewrite {
        host: None,
        path: Some(PathRewrite::Substitute(Box::new(path.clone()))),
        more: Some(Box::new(HostRewrite { source: Some(source), forwarded: true })),
    };
    let mut clusters = vec![cluster("app", HttpVersion::Http1, &[upstream.address])];
    if let weir_model::Discovery::Static(endpoints) = &mut clusters[0].discovery {
        let details = EndpointDetails { hostname: "endpoint.test".to_owned(), ..EndpointDetails::default() };
        endpoints.localities[0].endpoints[0].details = Some(Box::new(details));
    }
    let by_path = Substitution { pattern: "^/old/(.*)$".to_owned(), replacement: "\\1.test".to_owned() };
    let table = [
        (HostSource::Header(HeaderName::from_static("x-to")), "there.test"),
        (HostSource::Path(by_path), "x.test"),
        (HostSource::Endpoint, "endpoint.test"),
    ];
    for (source, expected) in table {
        let mut forward = forward_to(&[("app", 1)]);
        forward.rewrite = rewrite(source);
        let proxy = proxy(clusters.clone(), route(RouteAction::Forward(forward)), None, None);
        let mut client = Peer::connect(proxy.inbound).await;
        client.send("GET /old/x?q HTTP/1.1\r\nHost: outer\r\nX-To: there.test\r\n\r\n").await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert!(head.starts_with("GET /x/new?q HTTP/1.1\r\n"), "{head}");
        assert_eq!((field(&head, "host"), field(&head, "x-forwarded-host")), (Some(expected), Some("outer")));
    }
}

#[tokio::test]
async fn a_request_cannot_name_a_host_that_is_none() {
    let upstream = Upstream::bind().await;
    let mut forward = forward_to(&[("app", 1)]);
    let source = Some(HostSource::Header(HeaderName::from_static("x-to")));
    forward.rewrite.more = Some(Box::new(HostRewrite { source, forwarded: false }));
    let clusters = vec![cluster("app", HttpVersion::Http1, &[upstream.address])];
    let proxy = proxy(clusters, route(RouteAction::Forward(forward)), None, None);
    for bad in ["a b", "a/b", "user@a", "a, b"] {
        let mut client = Peer::connect(proxy.inbound).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-To: {bad}\r\n\r\n")).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{bad}: {head}");
    }
}
