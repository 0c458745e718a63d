//! HTTP/2 with prior knowledge, and the crossings between the versions.

use crate::support::*;
use bytes::Bytes;
use http::Response;
use weir_model::HttpVersion;

async fn front(http: HttpVersion) -> (Upstream, Proxy, Client2) {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", http, &[upstream.address]));
    let client = Client2::connect(proxy.inbound).await;
    (upstream, proxy, client)
}

#[tokio::test]
async fn unary_grpc_keeps_its_fields_and_trailers() {
    let (upstream, _proxy, mut client) = front(HttpVersion::Http2).await;
    let (response, mut body) = client.post("http://app:80/pkg.Service/Method").await;
    body.send_data(Bytes::from_static(b"question"), true).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let (request, mut respond) = server.request().await;
    assert_eq!(request.uri().to_string(), "http://app:80/pkg.Service/Method");
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(collect(request.into_body()).await.0, "question");
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut answer = respond.send_response(head, false).unwrap();
    answer.send_data(Bytes::from_static(b"answer"), false).unwrap();
    answer.send_trailers(grpc_trailers("0")).unwrap();
    let response = patient(response).await.unwrap();
    assert_eq!(response.status(), 200);
    let (body, trailers) = collect(response.into_body()).await;
    assert_eq!(body, "answer");
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn requests_share_one_upstream_connection() {
    let (upstream, _proxy, mut client) = front(HttpVersion::Http2).await;
    let request = |path| http::Request::get(format!("http://a{path}")).body(()).unwrap();
    let (first, _) = client.sender.send_request(request("/1"), true).unwrap();
    let (second, _) = client.sender.send_request(request("/2"), true).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let mut responds = vec![server.request().await, server.request().await];
    assert!(upstream.is_quiet().await);
    // Answered in the other order.
    for (request, mut respond) in responds.drain(..).rev() {
        let head = Response::builder().header("x-path", request.uri().path()).body(()).unwrap();
        respond.send_response(head, true).unwrap();
    }
    assert_eq!(patient(second).await.unwrap().headers()["x-path"], "/2");
    assert_eq!(patient(first).await.unwrap().headers()["x-path"], "/1");
}

#[tokio::test]
async fn a_saturated_connection_gets_a_sibling() {
    let (upstream, _proxy, mut client) = front(HttpVersion::Http2).await;
    let request = || http::Request::get("http://a/").body(()).unwrap();
    let (first, _) = client.sender.send_request(request(), true).unwrap();
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1);
    let mut one = Server2::with(&upstream, &builder).await;
    let (_, mut respond) = one.request().await;
    let (second, _) = client.sender.send_request(request(), true).unwrap();
    let mut two = Server2::with(&upstream, &builder).await;
    let (_, mut respond2) = two.request().await;
    respond2.send_response(Response::builder().status(202).body(()).unwrap(), true).unwrap();
    assert_eq!(patient(second).await.unwrap().status(), 202);
    respond.send_response(Response::builder().status(201).body(()).unwrap(), true).unwrap();
    assert_eq!(patient(first).await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_reset_by_the_caller_reaches_the_upstream_and_spares_the_connection() {
    let (upstream, proxy, mut client) = front(HttpVersion::Http2).await;
    let (response, mut body) = client.post("http://a/stream").await;
    body.send_data(Bytes::from_static(b"x"), false).unwrap();
    let mut server = Server2::accept(&upstream).await;
    let (request, mut respond) = server.request().await;
    let mut upload = request.into_body();
    assert_eq!(patient(upload.data()).await.unwrap().unwrap(), "x");
    body.send_reset(h2::Reason::CANCEL);
    drop(response);
    let reason = patient(std::future::poll_fn(|cx| respond.poll_reset(cx))).await.unwrap();
    assert_eq!(reason, h2::Reason::CANCEL);
    let state = proxy.cluster("app").state.clone();
    eventually("its place is free", || state.requests.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
    let next = http::Request::get("http://a/next").body(()).unwrap();
    let (_next, _) = client.sender.send_request(next, true).unwrap();
    assert_eq!(server.request().await.0.uri().path(), "/next");
}

#[tokio::test]
async fn a_reset_after_the_response_began_reaches_the_upstream() {
    let (upstream, _proxy, mut client) = front(HttpVersion::Http2).await;
    let (response, body) = client.post("http://a/stream").await;
    let mut server = Server2::accept(&upstream).await;
    let (_request, mut respond) = server.request().await;
    let mut answer = respond.send_response(Response::new(()), false).unwrap();
    let response = patient(response).await.unwrap();
    drop((response, body));
    let reason = patient(std::future::poll_fn(|cx| answer.poll_reset(cx))).await.unwrap();
    assert_eq!(reason, h2::Reason::CANCEL);
}

#[tokio::test]
async fn a_reset_by_the_upstream_reaches_the_caller() {
    let (upstream, _proxy, mut client) = front(HttpVersion::Http2).await;
    let (response, _body) = client.post("http://a/stream").await;
    let mut server = Server2::accept(&upstream).await;
    let (_request, mut respond) = server.request().await;
    let mut answer = respond.send_response(Response::new(()), false).unwrap();
    answer.send_data(Bytes::from_static(b"x"), false).unwrap();
    let mut body = patient(response).await.unwrap().into_body();
    assert_eq!(patient(body.data()).await.unwrap().unwrap(), "x");
    answer.send_reset(h2::Reason::ENHANCE_YOUR_CALM);
    let error = patient(body.data()).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn http1_to_http2() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http2, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    client
        .send("POST /x?y HTTP/1.1\r\nHost: name:80\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        .await;
    let mut server = Server2::accept(&upstream).await;
    let (request, mut respond) = server.request().await;
    assert_eq!(request.uri().to_string(), "http://name:80/x?y");
    for gone in ["host", "connection", "transfer-encoding"] {
        assert!(!request.headers().contains_key(gone), "{gone}");
    }
    assert_eq!(collect(request.into_body()).await.0, "hi");
    let mut answer = respond.send_response(Response::builder().status(203).body(()).unwrap(), false).unwrap();
    answer.send_data(Bytes::from_static(b"there"), true).unwrap();
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 203 "), "{head}");
    assert_eq!(client.until("0\r\n\r\n").await, "5\r\nthere\r\n0\r\n\r\n");
}

#[tokio::test]
async fn http2_to_http1() {
    let (upstream, _proxy, mut client) = front(HttpVersion::Http1).await;
    let (response, mut body) = client.post("http://name:80/x?y").await;
    body.send_data(Bytes::from_static(b"hi"), true).unwrap();
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert!(head.starts_with("POST /x?y HTTP/1.1\r\n"), "{head}");
    assert_eq!((field(&head, "host"), field(&head, "transfer-encoding")), (Some("name:80"), Some("chunked")));
    assert_eq!(server.until("0\r\n\r\n").await, "2\r\nhi\r\n0\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthere\r\n0\r\n\r\n").await;
    let response = patient(response).await.unwrap();
    assert!(!response.headers().contains_key("connection"));
    assert!(!response.headers().contains_key("transfer-encoding"));
    assert_eq!(collect(response.into_body()).await.0, "there");
}

#[tokio::test]
async fn each_downstream_gets_its_own_version_where_the_cluster_says_so() {
    let (upstream, proxy, mut client) = front(HttpVersion::Downstream).await;
    let request = http::Request::get("http://a/").body(()).unwrap();
    let (_response, _) = client.sender.send_request(request, true).unwrap();
    Server2::accept(&upstream).await.request().await;
    let mut client = Peer::connect(proxy.inbound).await;
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(upstream.accept().await.head().await.starts_with("GET /1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn an_upstream_that_only_hangs_up_is_not_asked_for_ever() {
    let (upstream, _proxy, mut client) = front(HttpVersion::Http2).await;
    let hanging_up = tokio::spawn(async move {
        loop {
            drop(upstream.accept().await);
        }
    });
    assert_eq!(client.get("http://a/").await.status(), 503);
    hanging_up.abort();
}

#[tokio::test]
async fn many_streams_at_once() {
    let upstream = Upstream::answering("hello").await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let client = Client2::connect(proxy.inbound).await;
    let requests = (0..200).map(|_| {
        let mut sender = client.sender.clone();
        async move {
            sender = sender.ready().await.unwrap();
            let request = http::Request::get("http://a/").body(()).unwrap();
            let (response, _) = sender.send_request(request, true).unwrap();
            collect(patient(response).await.unwrap().into_body()).await.0
        }
    });
    for body in futures_util::future::join_all(requests).await {
        assert_eq!(body, "hello");
    }
}
