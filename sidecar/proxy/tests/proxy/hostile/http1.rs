//! HTTP/1.1 requests (RFC 9110, RFC 9112): where bodies end here, the rest of their heads in `heads`.

mod heads;

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

/// The statuses in what a client got, interim ones left out.
fn statuses(mut read: &str) -> (Vec<u16>, bool) {
    let mut found = Vec::new();
    while let Some(end) = read.find("\r\n\r\n") {
        let head = &read[..end + 4];
        let status: u16 = head.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default();
        let length = field(head, "content-length").map_or(0, |length| length.parse().unwrap());
        let Some(rest) = read.get(end + 4 + length..) else { return (found, false) };
        if !(100..200).contains(&status) {
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
    for row in [lengths(), chunks(), heads::targets(), heads::hosts(), heads::fields()].iter().flatten() {
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
