//! Request lines, hosts, and fields.

use super::*;

pub(super) fn targets() -> Vec<Row> {
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

pub(super) fn hosts() -> Vec<Row> {
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

pub(super) fn fields() -> Vec<Row> {
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
