//! HTTP/1.1 requests (RFC 9110, RFC 9112).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_model::limits;

use super::{Bench, Seen};
use crate::support::*;

/// What is sent, and what has to come of it.
struct Row {
    name: String,
    sent: Vec<u8>,
    /// Whether the client ends its side after that.
    ends: bool,
    /// The statuses of the answers, in order.
    statuses: &'static [u16],
    /// Whether the proxy ends the connection after them.
    closes: bool,
    seen: Seen,
}

/// What would be smuggled.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

fn refused(status: &'static [u16], name: impl Into<String>, sent: impl AsRef<[u8]>) -> Row {
    let sent = sent.as_ref().to_vec();
    Row { name: name.into(), sent, ends: false, statuses: status, closes: true, seen: Seen::nothing() }
}

fn bad(name: impl Into<String>, sent: impl AsRef<[u8]>) -> Row {
    refused(&[400], name, sent)
}

fn passed(name: &str, sent: impl AsRef<[u8]>, seen: &str) -> Row {
    let sent = sent.as_ref().to_vec();
    Row {
        name: name.into(),
        sent,
        ends: false,
        statuses: &[200],
        closes: false,
        seen: Seen::Exactly(seen.into()),
    }
}

/// A body that breaks off, whatever the caller is told of it.
fn cut(name: impl Into<String>, sent: impl AsRef<[u8]>) -> Row {
    Row { seen: Seen::Part, ..refused(&[400], name, sent) }
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

fn line(line: &str) -> String {
    format!("{line}\r\nHost: a\r\n\r\n")
}

fn lengths() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "content-LENGTH: 5\r\nX: y\r\ntRANSFER-encoding:chunked\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nX: y\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5, 0\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5a\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: 1e1\r\n",
        "Content-Length: '5'\r\n",
        "Content-Length:\r\n",
        "Content-Length: \u{ff15}\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length : 5\r\n",
        "Content-Length\t: 5\r\n",
        " Content-Length: 5\r\n",
        "X: y\r\n Content-Length: 5\r\n",
        "Content-Length:\r\n 5\r\n",
        "Content-Length: 5\rX: y\r\n",
        "Content-Length: 5\nTransfer-Encoding: chunked\r\n",
        "X: y\nContent-Length: 5\r\n",
        "Content-Length: 5\0\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: chunked\u{b}\r\n",
        "X: y\r\n\tTransfer-Encoding: chunked\r\n",
        "X: \rTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nX: a\rTransfer-Encoding: chunked\r\n",
    ]
    .iter()
    .map(|fields| bad(format!("{fields:?}"), post(fields, &format!("0\r\n\r\n{SMUGGLED}"))))
    .collect();
    rows.extend([
        refused(&[431], "a length beyond counting", post("Content-Length: 18446744073709551615\r\n", "abc")),
        bad("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        passed("a length without a space", post("Content-Length:3\r\n", "abc"), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"),
        passed("a length between tabs", post("Content-Length:\t3\t\r\n", "abc"), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"),
        passed("a length in odd case", post("cONTENT-lENGTH: 3\r\n", "abc"), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"),
        passed("names that only look like lengths", post("Content-Length: 3\r\nTransfer_Encoding: chunked\r\nContent-Length-: 9\r\n", "abc"), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer_encoding: chunked\r\ncontent-length-: 9\r\n\r\nabc"),
        passed("chunks in odd case", post("transfer-encoding:\tCHUNKED \r\n", "3\r\nabc\r\n0\r\n\r\n"), "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        passed("a listed length stays", post("Connection: content-length, host\r\nContent-Length: 3\r\n", "abc"), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"),
        passed("a body that looks like a request", post(&format!("Content-Length: {}\r\n", SMUGGLED.len()), SMUGGLED), &format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len())),
        Row {
            statuses: &[200, 400],
            seen: Seen::Exactly("GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()),
            ..bad("both lengths, pipelined", format!("{}{}", get(""), post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")))
        },
        Row {
            statuses: &[200, 400],
            seen: Seen::Exactly("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc".to_owned()),
            ..bad("nonsense behind a body", post("Content-Length: 3\r\n", "abcdef\r\n\r\n"))
        },
        Row {
            statuses: &[200, 200],
            closes: false,
            seen: Seen::Exactly("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()),
            ..bad("a second request behind chunks is one of its own", chunked(&format!("3\r\nabc\r\n0\r\n\r\n{SMUGGLED}")))
        },
        Row { ends: true, ..cut("a body cut short", post("Content-Length: 10\r\n", "abc")) },
    ]);
    rows
}

fn chunks() -> Vec<Row> {
    let long = "x".repeat(20 * 1024);
    let mut rows: Vec<Row> = [
        ("no size", "zz\r\nabc\r\n0\r\n\r\n"),
        ("an empty size", "\r\nabc\r\n0\r\n\r\n"),
        ("only an extension", ";a=b\r\nabc\r\n0\r\n\r\n"),
        ("a negative size", "-3\r\nabc\r\n0\r\n\r\n"),
        ("a signed size", "+3\r\nabc\r\n0\r\n\r\n"),
        ("a size with a prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("a space before the size", " 3\r\nabc\r\n0\r\n\r\n"),
        ("words behind the size", "3 x\r\nabc\r\n0\r\n\r\n"),
        ("a size beyond counting", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        ("a line feed behind the size", "3\nabc\r\n0\r\n\r\n"),
        ("a line feed in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        ("a carriage return behind the size", "3\rabc\r\n0\r\n\r\n"),
        ("more data than its size", "3\r\nabcd\r\n0\r\n\r\n"),
        ("a line feed behind the data", "3\r\nabc\n0\r\n\r\n"),
        ("no line end behind the data", "3\r\nabc0\r\n\r\n"),
        ("a trailer without a colon", "0\r\nnonsense\r\n\r\n"),
        ("a trailer with a space in its name", "0\r\na b: c\r\n\r\n"),
        ("a trailer with a NUL", "0\r\na: b\0\r\n\r\n"),
        ("a line feed in the trailers", "0\r\na: b\n\r\n"),
        ("only a line feed behind the last chunk", "0\r\n\n"),
    ]
    .into_iter()
    .map(|(name, body)| cut(name, chunked(&format!("{body}{SMUGGLED}"))))
    .collect();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let whole = format!("{head}3\r\nabc\r\n0\r\n\r\n");
    rows.extend([
        cut("a long extension", chunked(&format!("3;{long}\r\nabc\r\n0\r\n\r\n"))),
        cut("long trailers", chunked(&format!("0\r\na: {long}\r\n\r\n"))),
        cut("many trailers", chunked(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(limits::HEAD_FIELDS + 1)))),
        Row { ends: true, ..cut("chunks cut short", chunked("3\r\nab")) },
        Row { ends: true, ..cut("no last chunk", chunked("3\r\nabc\r\n")) },
        passed("an extension", chunked("3;a=\"b\"\r\nabc\r\n0;c\r\n\r\n"), &whole),
        passed("leading zeros", chunked("0003\r\nabc\r\n000\r\n\r\n"), &whole),
        passed("a space behind the size", chunked("3 \r\nabc\r\n0\r\n\r\n"), &whole),
        passed("trailers nobody declared", chunked("3\r\nabc\r\n0\r\nX: y\r\n\r\n"), &whole),
        passed(
            "trailers that frame and route",
            post("Transfer-Encoding: chunked\r\nTrailer: host, content-length, transfer-encoding, x\r\n", "3\r\nabc\r\n0\r\nHost: b\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"),
            "POST / HTTP/1.1\r\nhost: a\r\ntrailer: host, content-length, transfer-encoding, x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
        ),
    ]);
    rows
}

fn targets() -> Vec<Row> {
    let seen = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let mut rows: Vec<Row> = [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /",
        "GET / HTTP/0.9",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/11",
        "GET / http/1.1",
        "GET / HTTP/1.1x",
        "GET / x HTTP/1.1",
        " / HTTP/1.1",
        "G@T / HTTP/1.1",
        "GE\0T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "GET / HTTP/1.1\rX: y",
        "GET /\0 HTTP/1.1",
        "GET /\u{1} HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /a\rb HTTP/1.1",
        "GET a HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET a/b HTTP/1.1",
        "GET * HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET http://u:p@a:80/ HTTP/1.1",
        "GET http://a b/ HTTP/1.1",
        "GET /%00 HTTP/1.1",
        "\u{16}\u{3}\u{1}\u{2}",
        "PRI * HTTP/2.0",
    ]
    .iter()
    .map(|first| bad(format!("{first:?}"), line(first)))
    .collect();
    rows.extend([
        refused(&[404], "CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
        refused(
            &[404],
            "CONNECT, and what would go through its tunnel",
            format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n{SMUGGLED}"),
        ),
        refused(&[404], "CONNECT to a path", line("CONNECT / HTTP/1.1")),
        bad("no Host for an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n"),
        bad("two hosts for an absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        refused(&[431], "a target without end", format!("GET /{}", "a".repeat(limits::HEAD_BYTES + 1024))),
        refused(&[431], "a method without end", "A".repeat(limits::HEAD_BYTES + 1024)),
        passed("an absolute target", "GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n", &seen("/c", "b")),
        passed(
            "an absolute target of https",
            "GET https://b:1/c HTTP/1.1\r\nHost: a\r\n\r\n",
            &seen("/c", "b:1"),
        ),
        passed(
            "an absolute target without a path",
            "GET http://b?c HTTP/1.1\r\nHost: a\r\n\r\n",
            &seen("/?c", "b"),
        ),
        passed("two slashes in front", line("GET //b/c HTTP/1.1"), &seen("//b/c", "a")),
        passed("a fragment", line("GET /b#c HTTP/1.1"), &seen("/b", "a")),
        passed("dots", line("GET /b/../c/./d?x=/../ HTTP/1.1"), &seen("/c/d?x=/../", "a")),
        passed("escaped dots", line("GET /b/%2E%2e/c HTTP/1.1"), &seen("/c", "a")),
        passed("dots above the root", line("GET /../../c HTTP/1.1"), &seen("/c", "a")),
        passed("backslashes", line("GET /b\\..\\c HTTP/1.1"), &seen("/c", "a")),
        passed("escaped slashes", line("GET /b%2F..%5cc HTTP/1.1"), &seen("/b%2F..%5cc", "a")),
        passed("a method of its own", line("get / HTTP/1.1"), "get / HTTP/1.1\r\nhost: a\r\n\r\n"),
        passed(
            "a target for the server",
            line("OPTIONS * HTTP/1.1"),
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        passed("empty lines in front", format!("\r\n\r\n{}", get("")), &seen("/", "a")),
        Row { closes: true, ..passed("HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", &seen("/", "a")) },
    ]);
    rows
}

fn hosts() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nX: y\r\nhost: b\r\n",
        "Host:\r\n",
        "Host: \r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: a/b\r\n",
        "Host: a\\b\r\n",
        "Host: u@a\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: a:80:90\r\n",
        "Host: a:b\r\n",
        "Host: a:-1\r\n",
        "Host: a:999999\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
        "Host: [a]\r\n",
        "Host: [::1]a\r\n",
        "Host: \u{e9}\r\n",
        "Host: a\0\r\n",
        "Host: a\rb\r\n",
        "Host : a\r\n",
        " Host: a\r\n",
        "Host: a\r\n b\r\n",
        "Host: http://a\r\n",
        "Host: <a>\r\n",
        "Host: :80\r\n",
    ]
    .iter()
    .map(|hosts| bad(format!("{hosts:?}"), format!("GET / HTTP/1.1\r\n{hosts}\r\n")))
    .collect();
    rows.push(bad("no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"));
    for host in ["A.B.:80", "a_b", "10.0.0.1", "[::1]:80", "a:"] {
        rows.push(passed(
            host,
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            &format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        ));
    }
    rows
}

fn fields() -> Vec<Row> {
    let seen = |fields: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    let mut rows: Vec<Row> = [
        "Bad Name: x\r\n",
        ": x\r\n",
        "nonsense\r\n",
        "X()[]: y\r\n",
        "X\0: y\r\n",
        "X\u{e9}: y\r\n",
        "X\u{1}: y\r\n",
        "\"X\": y\r\n",
        "X: a\0b\r\n",
        "X: a\u{1}b\r\n",
        "X: a\u{8}b\r\n",
        "X: a\u{1b}b\r\n",
        "X: a\u{7f}b\r\n",
        "X: a\rb\r\n",
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X : a\r\n",
        "X: a\nY: b\r\n",
        "X: a\r\r\n",
        "\rX: a\r\n",
    ]
    .iter()
    .map(|fields| bad(format!("{fields:?}"), get(fields)))
    .collect();
    let many = |count: usize| (0..count).map(|index| format!("x-{index}: y\r\n")).collect::<String>();
    rows.extend([
        bad("a field in front of the first", "GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n"),
        bad("only line feeds", "GET / HTTP/1.1\nHost: a\n\n"),
        bad("a line feed at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        refused(&[431], "too many fields", get(&many(limits::HEAD_FIELDS))),
        refused(&[431], "the same field too often", get(&"x: y\r\n".repeat(limits::HEAD_FIELDS))),
        refused(&[431], "a large field", get(&format!("X: {}\r\n", "y".repeat(limits::HEAD_BYTES)))),
        refused(&[431], "a field without end", format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(limits::HEAD_BYTES + 1024))),
        refused(&[431], "a name without end", format!("GET / HTTP/1.1\r\n{}", "y".repeat(limits::HEAD_BYTES + 1024))),
        passed("as many fields as may be", get(&many(limits::HEAD_FIELDS - 1)), &seen(&many(limits::HEAD_FIELDS - 1))),
        passed("a colon in a value", get("X:a:b: c\r\n"), &seen("x: a:b: c\r\n")),
        passed("spaces around a value", get("X:  \t a b \t\r\n"), &seen("x: a b\r\n")),
        passed("an empty value", get("X:\r\n"), &seen("x: \r\n")),
        passed("fields of this hop", get("Connection: close, x-private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\n"), &seen("")),
        passed("an upgrade to HTTP/2 goes no further", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), &seen("")),
        passed("an upgrade nobody asked for", get("Upgrade: websocket\r\n"), &seen("")),
        passed("an expectation of its own", get("Expect: miracles\r\n"), &seen("expect: miracles\r\n")),
        passed("an expectation without a body", get("Expect: 100-continue\r\n"), &seen("")),
        passed("the same field twice", get("X: a\r\nx: b\r\n"), &seen("x: a\r\nx: b\r\n")),
    ]);
    // A head that breaks off is not a request, and nobody waits for the answer to it.
    rows.push(Row { ends: true, statuses: &[], ..bad("a head cut short", "GET / HTTP/1.1\r\nHost: a\r\n") });
    rows
}

/// The statuses in what a client got, interim ones left out.
fn statuses(mut read: &str) -> (Vec<u16>, bool) {
    let mut found = Vec::new();
    while let Some(end) = read.find("\r\n\r\n") {
        let head = &read[..end + 4];
        let status: u16 = head.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default();
        let length = field(head, "content-length").map_or(0, |length| length.parse().unwrap());
        let Some(rest) = read.get(end + 4 + length..) else { return (found, false) };
        if status >= 200 || status < 100 {
            found.push(status);
        }
        read = rest;
    }
    (found, read.is_empty())
}

async fn run(bench: &mut Bench, row: &Row) {
    let mut client = Peer::connect(bench.proxy.inbound).await;
    // It may be refused before all of it was sent.
    let _ = client.stream.write_all(&row.sent).await;
    if row.ends {
        let _ = client.stream.shutdown().await;
    }
    let mut read = String::new();
    let mut buffer = vec![0; 16 * 1024];
    let ended = loop {
        if !row.closes && statuses(&read).0.len() >= row.statuses.len() {
            break false;
        }
        match tokio::time::timeout(std::time::Duration::from_secs(3), client.stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => break true,
            Ok(Ok(count)) => read.push_str(&String::from_utf8_lossy(&buffer[..count])),
            Err(_) => break false,
        }
    };
    drop(client);
    let (found, whole) = statuses(&read);
    let right = found == row.statuses && whole && ended == row.closes;
    let wrong =
        (!right).then(|| format!("answered {found:?} (ended: {ended}), not {:?}: {read:?}", row.statuses));
    bench.judge(&row.name, wrong, &row.seen).await;
}

#[tokio::test]
async fn every_request_is_refused_or_means_one_thing() {
    let mut bench = Bench::start().await;
    for row in [lengths(), chunks(), targets(), hosts(), fields()].iter().flatten() {
        run(&mut bench, row).await;
    }
    bench.finish(180);
}

/// However the bytes come in, what becomes of them is the same.
#[tokio::test]
async fn it_does_not_matter_how_requests_are_divided() {
    let mut bench = Bench::start().await;
    let rows = lengths().into_iter().filter(|row| row.statuses == [400] || row.statuses == [200]);
    for row in rows.step_by(4) {
        let mut client = Peer::connect(bench.proxy.inbound).await;
        let _ = client.stream.set_nodelay(true);
        for piece in row.sent.chunks(row.sent.len() / 7 + 1) {
            if client.stream.write_all(piece).await.is_err() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let head = client.head().await;
        let wrong = !head.starts_with(&format!("HTTP/1.1 {} ", row.statuses[0]));
        drop(client);
        bench.judge(&row.name, wrong.then_some(head), &row.seen).await;
    }
    bench.finish(12);
}
