//! HTTP/2 connections written by hand (RFC 9113, RFC 7541), in front of an HTTP/1.1 upstream.

mod floods;
mod frames;
mod messages;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Bench, Seen};
use crate::support::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What has to come of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Stream 1 is answered with this status.
    Status(u16),
    /// Stream 1 is reset with this code, and the connection goes on.
    Reset(u32),
    /// The connection ends with this code.
    Goaway(u32),
    /// Nothing comes of it: the connection goes on.
    Ignored,
}

struct Row {
    name: String,
    /// What follows the preface and the settings.
    sent: Vec<u8>,
    outcome: Outcome,
    seen: Seen,
}

fn row(name: impl Into<String>, outcome: Outcome, sent: Vec<u8>) -> Row {
    Row { name: name.into(), sent, outcome, seen: Seen::nothing() }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// An integer of HPACK with a prefix of seven bits.
fn length(mut length: usize) -> Vec<u8> {
    if length < 127 {
        return vec![length as u8];
    }
    let mut coded = vec![127];
    length -= 127;
    while length >= 128 {
        coded.push((length % 128 + 128) as u8);
        length /= 128;
    }
    coded.push(length as u8);
    coded
}

/// Fields as literals, exactly as given.
fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            block.extend(length(text.len()));
            block.extend_from_slice(text);
        }
    }
    block
}

/// A request of stream 1 without a body.
fn request(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields.iter().copied()))
}

fn head<'a>(method: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![(":method", method), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    fields.extend_from_slice(more);
    fields
}

fn get(more: &[(&str, &str)]) -> Vec<u8> {
    request(&head("GET", more))
}

/// The beginning of a request of stream 1 with a body.
fn post(more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &block(head("POST", more)))
}

/// A request that is malformed, so that nothing of it goes further.
fn malformed_on(stream: u32, flags: u8) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | flags,
        stream,
        &block([(":method", "GET"), (":scheme", "http"), (":authority", "a")]),
    )
}

/// Another good request, to be seen as alive by.
fn get_on(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(head("GET", &[])))
}

/// One connection.
struct Client {
    peer: Peer,
    read: Vec<u8>,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

impl Client {
    async fn connect(bench: &Bench) -> Client {
        let mut client = Client { peer: Peer::connect(bench.proxy.inbound).await, read: Vec::new() };
        client.send(PREFACE).await;
        client.send(&frame(SETTINGS, 0, 0, &[])).await;
        client
    }

    /// It may be over before all of it was sent.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = tokio::time::timeout(PATIENCE, self.peer.stream.write_all(bytes)).await;
    }

    /// The next frame; `None` at the end.
    async fn frame(&mut self) -> Option<Frame> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(head) = self.read.first_chunk::<9>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if self.read.len() >= 9 + length {
                    let (kind, flags) = (head[3], head[4]);
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    let payload = self.read[9..9 + length].to_vec();
                    self.read.drain(..9 + length);
                    return Some(Frame { kind, flags, stream, payload });
                }
            }
            match patient(self.peer.stream.read(&mut buffer)).await {
                Ok(read @ 1..) => self.read.extend_from_slice(&buffer[..read]),
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// What comes of it. A mark at the end tells that nothing did.
    async fn outcome(&mut self) -> Result<Outcome, String> {
        self.send(&frame(PING, 0, 0, b"the mark")).await;
        let mut found = None;
        let mut marked = false;
        loop {
            let Some(frame) = self.frame().await else {
                return Err(format!("it ends without a word, after {found:?}"));
            };
            match frame.kind {
                RST_STREAM if frame.stream == 1 && !matches!(found, Some(Outcome::Status(_))) => {
                    found = Some(Outcome::Reset(frame.code()));
                }
                HEADERS if frame.stream == 1 => found = Some(Outcome::Status(status(&frame.payload))),
                PING if frame.flags == ACK && frame.payload == b"the mark" => marked = true,
                GOAWAY => {
                    let code = frame.code();
                    while self.frame().await.is_some() {}
                    return Ok(Outcome::Goaway(code));
                }
                SETTINGS if frame.flags & ACK == 0 => {
                    self.send(&self::frame(SETTINGS, ACK, 0, &[])).await;
                }
                _ => {}
            }
            if let (Some(found), true) = (found, marked) {
                return Ok(found);
            }
            if marked {
                // What was to come of it has come, unless an upstream had to be asked.
                let more = tokio::time::timeout(Duration::from_millis(30), self.peek()).await;
                if more.is_err() {
                    return Ok(Outcome::Ignored);
                }
            }
        }
    }

    async fn peek(&mut self) {
        if self.read.len() < 9 {
            let _ = self.peer.stream.readable().await;
        }
    }
}

/// The status in a block that begins with it, as the proxy's encoder writes it.
fn status(block: &[u8]) -> u16 {
    match block {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed & 7)],
        // The name by its index, the value in the code of Huffman: digits of five or six bits.
        [0x48 | 0x08 | 0x58 | 0x18, length, coded @ ..] if length & 0x80 != 0 => {
            let bits = coded[..usize::from(length & 0x7f)]
                .iter()
                .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            let (mut left, mut value) = (8 * usize::from(length & 0x7f), 0);
            for _ in 0..3 {
                let five = (bits >> (left - 5)) & 31;
                let digit = if five < 3 {
                    left -= 5;
                    five
                } else {
                    left -= 6;
                    ((bits >> left) & 63) - 25 + 3
                };
                value = value * 10 + digit;
            }
            value as u16
        }
        [0x48 | 0x08, 3, digits @ ..] => std::str::from_utf8(&digits[..3]).unwrap().parse().unwrap(),
        other => panic!("no status: {other:?}"),
    }
}

async fn run(bench: &mut Bench, row: &Row) {
    let mut client = Client::connect(bench).await;
    client.send(&row.sent).await;
    let wrong = match client.outcome().await {
        Ok(outcome) if outcome == row.outcome => None,
        Ok(outcome) => Some(format!("{outcome:?}, not {:?}", row.outcome)),
        Err(wrong) => Some(wrong),
    };
    drop(client);
    bench.judge(&row.name, wrong, &row.seen).await;
}

async fn table(rows: Vec<Row>, at_least: usize) {
    let mut bench = Bench::start().await;
    for row in &rows {
        run(&mut bench, row).await;
    }
    bench.finish(at_least);
}

#[test]
fn the_status_is_read() {
    assert_eq!(status(&[0x88]), 200);
    assert_eq!(status(&[0x8d, 1, 2]), 404);
    // 431 and 502 as RFC 7541 has them.
    assert_eq!(status(&[0x48, 0x83, 0x69, 0x90, 0xff]), 431);
    assert_eq!(status(&[0x48, 0x82, 0x6c, 0x02]), 502);
}
