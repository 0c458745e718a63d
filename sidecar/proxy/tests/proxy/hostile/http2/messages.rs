//! Requests that are malformed, or would mean something else in HTTP/1.1 (RFC 9113 section 8, and its sections 10.3 and 10.5).

use super::*;
use weir_model::limits;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

fn passed(name: &str, sent: Vec<u8>, seen: &str) -> Row {
    Row { seen: Seen::Exactly(seen.to_owned()), ..row(name, Outcome::Status(200), sent) }
}

fn with_body(mut head: Vec<u8>, body: &str) -> Vec<u8> {
    head.extend(frame(DATA, END_STREAM, 1, body.as_bytes()));
    head
}

fn fields() -> Vec<Row> {
    let reset = Outcome::Reset(PROTOCOL_ERROR);
    // What no field may be already breaks the decoder, whose state all streams share.
    let ended = Outcome::Goaway(PROTOCOL_ERROR);
    let refused = Outcome::Status(400);
    let mut rows: Vec<Row> = [
        (reset, "connection", "close"),
        (reset, "connection", "content-length"),
        (reset, "keep-alive", "5"),
        (reset, "proxy-connection", "close"),
        (reset, "transfer-encoding", "chunked"),
        (reset, "transfer-encoding", "identity"),
        (reset, "upgrade", "websocket"),
        (reset, "te", "gzip"),
        (reset, "te", "trailers, gzip"),
        (reset, ":path", "/again"),
        (reset, ":method", "PUT"),
        (reset, ":authority", "b"),
        (reset, ":scheme", "https"),
        (ended, ":unknown", "x"),
        (reset, ":status", "200"),
        (reset, ":protocol", "websocket"),
        (reset, "content-length", "5"),
        (reset, "content-length", "+0"),
        (reset, "content-length", "0, 0"),
        (reset, "content-length", "x"),
        (reset, "content-length", "-1"),
        (reset, "content-length", "18446744073709551616"),
        (ended, "Upper-Case", "x"),
        (ended, "Transfer-Encoding", "chunked"),
        (ended, "a b", "x"),
        (ended, "a:b", "x"),
        (ended, "a\r\nb", "x"),
        (ended, "a\0", "x"),
        (ended, "", "x"),
        (ended, "x", "a\r\nTransfer-Encoding: chunked"),
        (ended, "x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\n"),
        (ended, "x", "a\nb"),
        (ended, "x", "a\rb"),
        (ended, "x", "a\0b"),
        (ended, "x", "a\u{1}b"),
        (ended, "x", "a\u{7f}"),
        (refused, "host", "b"),
        (refused, "host", "a\u{9}"),
    ]
    .into_iter()
    .map(|(outcome, name, value)| row(format!("{name:?}: {value:?}"), outcome, get(&[(name, value)])))
    .collect();
    let many: Vec<(String, &str)> =
        (0..=limits::HEAD_FIELDS).map(|index| (format!("x-{index}"), "y")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let seen = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}host: a\r\n\r\n");
    rows.extend([
        row("two hosts", refused, get(&[("host", "a"), ("host", "a")])),
        row("the same length twice", refused, get(&[("content-length", "0"), ("content-length", "0")])),
        row("two lengths", reset, get(&[("content-length", "0"), ("content-length", "5")])),
        row("too many fields", Outcome::Status(431), get(&many)),
        passed("the same host", get(&[("host", "A")]), "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        passed(
            "te: trailers",
            get(&[("te", "trailers")]),
            "GET / HTTP/1.1\r\nte: trailers\r\nconnection: te\r\nhost: a\r\n\r\n",
        ),
        passed(
            "a cookie in crumbs",
            get(&[("cookie", "a=b"), ("cookie", "c=d")]),
            &seen("cookie: a=b; c=d\r\n"),
        ),
        passed(
            "fields that are of a hop only in name",
            get(&[("connection-x", "close"), ("x-te", "y")]),
            &seen("connection-x: close\r\nx-te: y\r\n"),
        ),
    ]);
    rows
}

fn pseudo_fields() -> Vec<Row> {
    let reset = Outcome::Reset(PROTOCOL_ERROR);
    let refused = Outcome::Status(400);
    let with = |method, scheme, authority, path| {
        request(&[(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)])
    };
    let mut rows = vec![
        row("no method", reset, request(&[(":scheme", "http"), (":authority", "a"), (":path", "/")])),
        row("no scheme", reset, request(&[(":method", "GET"), (":authority", "a"), (":path", "/")])),
        row("no path", reset, request(&[(":method", "GET"), (":scheme", "http"), (":authority", "a")])),
        row("no authority", refused, request(&[(":method", "GET"), (":scheme", "http"), (":path", "/")])),
        row("nothing at all", reset, request(&[])),
        row(
            "a method behind a field",
            reset,
            request(&[
                ("x", "y"),
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
            ]),
        ),
        row("CONNECT", Outcome::Status(404), request(&[(":method", "CONNECT"), (":authority", "a:80")])),
        row("CONNECT with a path", reset, with("CONNECT", "http", "a", "/")),
        row(
            "an extended CONNECT",
            reset,
            request(&[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
            ]),
        ),
        passed(
            "a host in place of the authority",
            request(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "b")]),
            "GET / HTTP/1.1\r\nhost: b\r\n\r\n",
        ),
        passed(
            "the target of a server",
            with("OPTIONS", "http", "a", "*"),
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        passed("dots", with("GET", "https", "a", "/b/../c?d"), "GET /c?d HTTP/1.1\r\nhost: a\r\n\r\n"),
        passed("a fragment", with("GET", "http", "a", "/b#c"), "GET /b HTTP/1.1\r\nhost: a\r\n\r\n"),
    ];
    for method in ["", "GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "G ET", "GET\r\n", "G\0T"] {
        rows.push(row(
            format!(":method {method:?}"),
            Outcome::Goaway(PROTOCOL_ERROR),
            with(method, "http", "a", "/"),
        ));
    }
    for path in [
        "",
        "a",
        "a/b",
        "http://b/",
        "/ HTTP/1.1\r\nX: y\r\n\r\n",
        "/a b",
        "/a\r\nb",
        "/a\nb",
        "/a\0b",
        "/\u{7f}",
    ] {
        rows.push(row(format!(":path {path:?}"), reset, with("GET", "http", "a", path)));
    }
    for path in ["*", "/%00"] {
        rows.push(row(format!(":path {path:?}"), refused, with("GET", "http", "a", path)));
    }
    for authority in ["", "a\r\nX: y", "a b", "a\0", "a/b", "a?b", "a\\b", "[a", "a:80:90", "::1"] {
        rows.push(row(format!(":authority {authority:?}"), reset, with("GET", "http", authority, "/")));
    }
    for authority in ["u@a", "u:p@a", "a,b", "a:b"] {
        rows.push(row(format!(":authority {authority:?}"), refused, with("GET", "http", authority, "/")));
    }
    for scheme in ["ht tp", "http\r\n", "http://"] {
        rows.push(row(format!(":scheme {scheme:?}"), reset, with("GET", scheme, "a", "/")));
    }
    rows.push(row("an empty scheme", refused, with("GET", "", "a", "/")));
    rows.push(row("another scheme", refused, with("GET", "ftp", "a", "/")));
    rows
}

fn bodies() -> Vec<Row> {
    let reset = Outcome::Reset(PROTOCOL_ERROR);
    let seen = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut early = post(&[("content-length", "5")]);
    early.extend(frame(DATA, 0, 1, b"abc"));
    early.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block([("x", "y")])));
    let trailers = |fields: &[(&str, &str)], flags| {
        let mut sent = post(&[]);
        sent.extend(frame(DATA, 0, 1, b"abc"));
        sent.extend(frame(HEADERS, END_HEADERS | flags, 1, &block(fields.iter().copied())));
        sent
    };
    let part = |name: &str, sent| Row { seen: Seen::Part, ..row(name, reset, sent) };
    vec![
        part("less than its length", with_body(post(&[("content-length", "5")]), "abc")),
        part("more than its length", with_body(post(&[("content-length", "2")]), "abc")),
        part("trailers before its length", early),
        passed(
            "trailers with a path, which is left out",
            trailers(&[(":path", "/x")], END_STREAM),
            &format!("{seen}3\r\nabc\r\n0\r\n\r\n"),
        ),
        part("trailers with a connection", trailers(&[("connection", "close")], END_STREAM)),
        part("trailers with chunks", trailers(&[("transfer-encoding", "chunked")], END_STREAM)),
        Row {
            outcome: Outcome::Goaway(PROTOCOL_ERROR),
            ..part("trailers with upper case", trailers(&[("X", "y")], END_STREAM))
        },
        part("trailers that do not end", trailers(&[("x", "y")], 0)),
        passed(
            "as long as it says",
            with_body(post(&[("content-length", "3")]), "abc"),
            "POST / HTTP/1.1\r\ncontent-length: 3\r\nhost: a\r\n\r\nabc",
        ),
        passed("as long as it is", with_body(post(&[]), "abc"), &format!("{seen}3\r\nabc\r\n0\r\n\r\n")),
        passed(
            "a last chunk in the data",
            with_body(post(&[]), &format!("0\r\n\r\n{SMUGGLED}")),
            &format!("{seen}28\r\n0\r\n\r\n{SMUGGLED}\r\n0\r\n\r\n"),
        ),
        passed(
            "a request in the data",
            with_body(post(&[("content-length", "35")]), SMUGGLED),
            &format!("POST / HTTP/1.1\r\ncontent-length: 35\r\nhost: a\r\n\r\n{SMUGGLED}"),
        ),
        passed(
            "trailers nobody declared",
            trailers(&[("x", "y")], END_STREAM),
            &format!("{seen}3\r\nabc\r\n0\r\n\r\n"),
        ),
    ]
}

#[tokio::test]
async fn every_message_is_refused_or_means_one_thing() {
    table([fields(), pseudo_fields(), bodies()].into_iter().flatten().collect(), 100).await;
}
