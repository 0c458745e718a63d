//! Upstreams that answer malformed, ambiguously, too much or without end (RFC 9112 sections 6 and 7).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_model::{HttpVersion, limits};

use crate::support::*;

/// What the upstream sends, and what its caller gets.
struct Row {
    name: String,
    method: &'static str,
    sent: Vec<u8>,
    /// Whether the upstream ends the connection after that.
    ends: bool,
    status: u16,
    /// The body; `None` if it breaks off.
    body: Option<&'static str>,
}

fn bad(name: impl Into<String>, sent: impl AsRef<[u8]>) -> Row {
    let sent = sent.as_ref().to_vec();
    Row {
        name: name.into(),
        method: "GET",
        sent,
        ends: false,
        status: 502,
        body: Some("the upstream broke the protocol (UPE)\n"),
    }
}

fn good(name: &str, sent: impl AsRef<[u8]>, body: &'static str) -> Row {
    Row { status: 200, body: Some(body), ..bad(name, sent) }
}

fn broken(name: &str, sent: impl AsRef<[u8]>) -> Row {
    Row { status: 200, body: None, ..bad(name, sent) }
}

fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
}

const SMUGGLED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5a\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
        "Bad Name: x\r\n",
        "nonsense\r\n",
        ": x\r\n",
        "X: a\0b\r\n",
        "X: a\u{1}b\r\n",
        "X: a\rb\r\n",
        "X: a\r\n folded\r\n",
        " X: a\r\n",
        "X\u{e9}: a\r\n",
        "Content-Length : 5\r\n",
    ]
    .iter()
    .map(|fields| bad(format!("{fields:?}"), ok(fields, "0\r\n\r\n")))
    .collect();
    for first in [
        "HTTP/2.0 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 abc OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "http/1.1 200 OK",
        "200 OK",
        "<html>",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "\0",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x",
    ] {
        rows.push(bad(format!("{first:?}"), format!("{first}\r\ncontent-length: 0\r\n\r\n")));
    }
    let chunked = |body: &str| ok("transfer-encoding: chunked\r\n", body);
    let lost = |name: &str, sent: String| Row {
        ends: true,
        status: 503,
        body: Some("the upstream closed the connection before its response (UC)\n"),
        ..bad(name, sent)
    };
    rows.extend([
        bad("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        bad("too many fields", ok(&"x: y\r\n".repeat(limits::HEAD_FIELDS + 1), "")),
        bad(
            "a large head",
            ok(&format!("content-length: 0\r\nx: {}\r\n", "y".repeat(2 * limits::HEAD_BYTES)), ""),
        ),
        bad("a head without end", format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(limits::HEAD_BYTES + 1024))),
        lost("nothing", String::new()),
        lost("a part of a head", "HTTP/1.1 200 OK\r\nx: y".to_owned()),
        lost("only a promise", "HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
        good(
            "interim answers",
            format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{}",
                ok("content-length: 2\r\n", "me")
            ),
            "me",
        ),
        good(
            "many interim answers",
            format!(
                "{}{}",
                "HTTP/1.1 102 Processing\r\n\r\n".repeat(2000),
                ok("content-length: 2\r\n", "me")
            ),
            "me",
        ),
        good("another answer behind it", format!("{}{SMUGGLED}", ok("content-length: 2\r\n", "me")), "me"),
        good("another answer behind chunks", format!("{}{SMUGGLED}", chunked("2\r\nme\r\n0\r\n\r\n")), "me"),
        good("a line behind it", format!("{}\r\n", ok("content-length: 2\r\n", "me")), "me"),
        good(
            "fields of its hop",
            ok(
                "connection: close, x-private\r\nx-private: 1\r\nkeep-alive: 5\r\ncontent-length: 2\r\n",
                "me",
            ),
            "me",
        ),
        good("trailers that frame", chunked("2\r\nme\r\n0\r\ncontent-length: 9\r\nhost: b\r\n\r\n"), "me"),
        Row { ends: true, ..good("an end that is the connection's", ok("", "me"), "me") },
        Row {
            status: 204,
            ..good(
                "content where there is none",
                format!("HTTP/1.1 204 No Content\r\ncontent-length: 8\r\n\r\n{SMUGGLED}"),
                "",
            )
        },
        Row {
            status: 304,
            ..good(
                "content of what did not change",
                format!("HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\nme{SMUGGLED}"),
                "",
            )
        },
        Row {
            method: "HEAD",
            ..good("content of a head", format!("{}{SMUGGLED}", ok("content-length: 2\r\n", "me")), "")
        },
        Row {
            status: 999,
            ..good("a status of its own", "HTTP/1.1 999 \r\ncontent-length: 2\r\n\r\nme", "me")
        },
        Row { ends: true, ..broken("less than its length", ok("content-length: 5\r\n", "abc")) },
        Row { ends: true, ..broken("chunks cut short", chunked("3\r\nab")) },
        Row { ends: true, ..broken("no last chunk", chunked("3\r\nabc\r\n")) },
        broken("a chunk without a size", chunked("3\r\nabc\r\nzz\r\n")),
        broken("a chunk longer than its size", chunked("3\r\nabcdef\r\n0\r\n\r\n")),
        broken("a chunk beyond counting", chunked("3\r\nabc\r\n10000000000000003\r\nabc\r\n")),
        broken("long trailers", chunked(&format!("3\r\nabc\r\n0\r\nx: {}\r\n\r\n", "y".repeat(20 * 1024)))),
        broken(
            "a long extension",
            chunked(&format!("3\r\nabc\r\n3;{}\r\nabc\r\n0\r\n\r\n", "y".repeat(20 * 1024))),
        ),
    ]);
    rows
}

/// What a caller gets: the status if there is one, and the body if it is whole.
async fn answer(client: &mut Peer, method: &str) -> (u16, Option<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match patient(client.stream.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(_) => return (0, None),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let status = head[9..12].parse().unwrap();
    let lengths = head.matches("content-length:").count();
    let chunks = head.matches("transfer-encoding:").count();
    assert!(lengths + chunks <= 1, "{head}");
    if method == "HEAD" || status == 204 || status == 304 {
        return (status, Some(String::new()));
    }
    if let Some(length) = field(&head, "content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        let whole = patient(client.stream.read_exact(&mut body)).await.is_ok();
        return (status, whole.then(|| String::from_utf8(body).unwrap()));
    }
    let mut body = String::new();
    loop {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            let Ok(byte) = patient(client.stream.read_u8()).await else { return (status, None) };
            line.push(char::from(byte));
        }
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        if patient(client.stream.read_exact(&mut chunk)).await.is_err() {
            return (status, None);
        }
        if size == 0 {
            assert_eq!(chunk, b"\r\n", "no trailers");
            return (status, Some(body));
        }
        body.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
    }
}

#[tokio::test]
async fn every_response_is_refused_or_means_one_thing() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut failures = Vec::new();
    let rows = rows();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    for Row { name, method, sent, ends, status, body } in rows {
        let mut client = Peer::connect(proxy.inbound).await;
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let Ok(mut server) = tokio::time::timeout(Duration::from_secs(3), upstream.accept()).await else {
            panic!("{name}: no connection, after {failures:?}");
        };
        server.head().await;
        // It may be given up before all of it was sent.
        let _ = server.stream.write_all(&sent).await;
        if ends {
            let _ = server.stream.shutdown().await;
        }
        let found = answer(&mut client, method).await;
        let right = match body {
            Some(body) => found == (status, Some(body.to_owned())),
            // It may break off before its head was sent.
            None => found.1.is_none(),
        };
        if !right {
            failures.push(format!("{name}: {found:?}, not {status} {body:?}"));
        }
        drop(client);
        // What is left on the connection is nobody's: the next request gets its own answer.
        let mut client = Peer::connect(proxy.inbound).await;
        client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let Ok(stream) = tokio::time::timeout(Duration::from_secs(3), reused_or_new(&upstream, server)).await
        else {
            panic!("{name}: no next request, after {failures:?}");
        };
        let mut next = Peer { stream };
        let head = next.head().await;
        if !head.starts_with("GET /next ") {
            failures.push(format!("{name}: the next request is {head:?}"));
        }
        next.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nnext").await;
        let found = answer(&mut client, "GET").await;
        if found != (200, Some("next".to_owned())) {
            failures.push(format!("{name}: the next request got {found:?}"));
        }
    }
    assert!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
}

/// An answer that nobody asked for, on a connection that waits for its next request.
#[tokio::test]
async fn an_answer_without_a_request_is_nobodys() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::inbound(cluster("app", HttpVersion::Http1, &[upstream.address]));
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..3 {
        client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(client.message().await.1, "ok");
        server.send(SMUGGLED).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The same of an upstream that speaks HTTP/2: a length that does not hold never becomes a whole body.
#[tokio::test]
async fn an_http2_response_keeps_its_length() {
    for (length, data) in [("5", "abc"), ("2", "abc")] {
        let upstream = Upstream::bind().await;
        let proxy = Proxy::inbound(cluster("app", HttpVersion::Http2, &[upstream.address]));
        let mut client = Peer::connect(proxy.inbound).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let mut server = Server2::accept(&upstream).await;
        let (_, mut respond) = server.request().await;
        let response = http::Response::builder().header("content-length", length).body(()).unwrap();
        let mut stream = respond.send_response(response, false).unwrap();
        stream.send_data(data.into(), true).unwrap();
        let read = client.rest().await;
        let whole =
            read.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.parse().unwrap());
        assert!(!whole || read.starts_with("HTTP/1.1 502 "), "{length}: {read}");
    }
}
