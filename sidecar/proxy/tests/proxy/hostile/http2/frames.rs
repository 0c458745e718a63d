//! Frames that break the rules of framing, of streams, and of compression (RFC 9113 sections 4 to 6, RFC 7541).
//!
//! The codec says PROTOCOL_ERROR of what it cannot parse, also where the RFC has a code that says more (FRAME_SIZE_ERROR,
//! COMPRESSION_ERROR); that the connection ends is what matters.

use super::*;

fn settings(id: u16, value: u32) -> Vec<u8> {
    let mut payload = id.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.concat()
}

fn ends(name: &str, code: u32, sent: Vec<u8>) -> Row {
    row(name, Outcome::Goaway(code), sent)
}

fn connection() -> Vec<Row> {
    vec![
        ends("data on stream 0", PROTOCOL_ERROR, frame(DATA, END_STREAM, 0, b"abc")),
        ends("data on an idle stream", PROTOCOL_ERROR, frame(DATA, END_STREAM, 1, b"abc")),
        ends(
            "headers on stream 0",
            PROTOCOL_ERROR,
            frame(HEADERS, END_HEADERS | END_STREAM, 0, &block(head("GET", &[]))),
        ),
        ends("headers on an even stream", PROTOCOL_ERROR, get_on(2)),
        ends("a reset of an idle stream", PROTOCOL_ERROR, frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])),
        ends("a reset of stream 0", PROTOCOL_ERROR, frame(RST_STREAM, 0, 0, &[0, 0, 0, 8])),
        ends("a reset of three bytes", PROTOCOL_ERROR, frame(RST_STREAM, 0, 1, &[0, 0, 8])),
        ends("settings on a stream", PROTOCOL_ERROR, frame(SETTINGS, 0, 1, &[])),
        ends("settings of five bytes", PROTOCOL_ERROR, frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 1])),
        ends(
            "settings acknowledged with a payload",
            PROTOCOL_ERROR,
            frame(SETTINGS, ACK, 0, &[0, 3, 0, 0, 0, 1]),
        ),
        ends("push neither on nor off", PROTOCOL_ERROR, settings(2, 2)),
        ends("a window beyond its limit", PROTOCOL_ERROR, settings(4, 1 << 31)),
        ends("frames below their least size", PROTOCOL_ERROR, settings(5, 16_383)),
        ends("frames above their largest size", PROTOCOL_ERROR, settings(5, 1 << 24)),
        ends("a ping of seven bytes", PROTOCOL_ERROR, frame(PING, 0, 0, b"1234567")),
        ends("a ping on a stream", PROTOCOL_ERROR, frame(PING, 0, 1, b"12345678")),
        ends("a goodbye on a stream", PROTOCOL_ERROR, frame(GOAWAY, 0, 1, &[0; 8])),
        ends("a window update of nothing", PROTOCOL_ERROR, frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ends("a window update of three bytes", PROTOCOL_ERROR, frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])),
        ends("a window update of an idle stream", PROTOCOL_ERROR, frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ends(
            "a connection's window beyond its limit",
            FLOW_CONTROL_ERROR,
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        ),
        ends(
            "a promise from a client",
            PROTOCOL_ERROR,
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]),
        ),
        ends("a continuation of nothing", PROTOCOL_ERROR, frame(CONTINUATION, END_HEADERS, 1, &[0x82])),
        ends(
            "a continuation on another stream",
            PROTOCOL_ERROR,
            joined(&[frame(HEADERS, END_STREAM, 1, &[0x82]), frame(CONTINUATION, END_HEADERS, 3, &[0x86])]),
        ),
        ends(
            "a ping amid headers",
            PROTOCOL_ERROR,
            joined(&[frame(HEADERS, END_STREAM, 1, &[0x82]), frame(PING, 0, 0, b"12345678")]),
        ),
        ends(
            "data amid headers",
            PROTOCOL_ERROR,
            joined(&[frame(HEADERS, 0, 1, &[0x82]), frame(DATA, END_STREAM, 1, b"a")]),
        ),
        ends(
            "an unknown frame amid headers",
            PROTOCOL_ERROR,
            joined(&[frame(HEADERS, END_STREAM, 1, &[0x82]), frame(200, 0, 1, b"a")]),
        ),
        ends("a frame too long", FRAME_SIZE_ERROR, frame(DATA, 0, 1, &[0; 16_385])),
        ends("an unknown frame too long", FRAME_SIZE_ERROR, frame(200, 0, 0, &[0; 16_385])),
        ends(
            "headers with more padding than there is",
            PROTOCOL_ERROR,
            frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, &[9, 0x82]),
        ),
        row("an unknown frame", Outcome::Ignored, frame(200, 0xff, 0, b"abc")),
        row("an unknown setting", Outcome::Ignored, settings(0xff, 7)),
        row("a ping nobody waits for", Outcome::Ignored, frame(PING, ACK, 0, b"12345678")),
        row("a priority of an idle stream", Outcome::Ignored, frame(PRIORITY, 0, 5, &[0, 0, 0, 0, 1])),
    ]
}

fn compression() -> Vec<Row> {
    let broken = |block: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
    [
        ("an index of nothing", &[0x80][..]),
        ("an index beyond the table", &[0x82, 0xff, 0x7f]),
        ("a name that is cut off", &[0x82, 0x00, 5, b'a']),
        ("a value that is cut off", &[0x82, 0x00, 1, b'a', 9, b'b']),
        ("an integer without end", &[0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a code that does not exist", &[0x82, 0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'a']),
        ("a table larger than was offered", &[0x3f, 0xe1, 0xff, 0x7f]),
        ("a table resized amid fields", &[0x82, 0x20]),
    ]
    .into_iter()
    .map(|(name, block)| ends(name, PROTOCOL_ERROR, broken(block)))
    .collect()
}

fn streams() -> Vec<Row> {
    let flags = END_HEADERS | END_STREAM;
    let mut flood = post(&[]);
    // More than the window of a stream, at once.
    for _ in 0..17 {
        flood.extend(frame(DATA, 0, 1, &[b'x'; 16_384]));
    }
    vec![
        ends(
            "an older stream",
            PROTOCOL_ERROR,
            joined(&[frame(HEADERS, flags, 5, &block(head("CONNECT", &[]))), get_on(3)]),
        ),
        row(
            "a stream that is closed",
            Outcome::Reset(PROTOCOL_ERROR),
            joined(&[malformed_on(1, END_STREAM), malformed_on(3, END_STREAM), get_on(1)]),
        ),
        row(
            "a stream that depends on itself",
            Outcome::Reset(PROTOCOL_ERROR),
            frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1]),
        ),
        ends(
            "data with more padding than there is",
            PROTOCOL_ERROR,
            joined(&[malformed_on(1, 0), frame(DATA, PADDED, 1, &[9, b'a'])]),
        ),
        row(
            "data of a malformed request",
            Outcome::Reset(PROTOCOL_ERROR),
            joined(&[malformed_on(1, 0), frame(DATA, END_STREAM, 1, b"abc")]),
        ),
        ends("data behind the end", PROTOCOL_ERROR, joined(&[get(&[]), frame(DATA, END_STREAM, 1, b"abc")])),
        Row {
            seen: Seen::Part,
            ..row("a second head", Outcome::Reset(PROTOCOL_ERROR), joined(&[post(&[]), post(&[])]))
        },
        Row { seen: Seen::Part, ..row("more than the window", Outcome::Goaway(FLOW_CONTROL_ERROR), flood) },
    ]
}

#[tokio::test]
async fn every_frame_out_of_order_has_its_error() {
    table([connection(), compression(), streams()].into_iter().flatten().collect(), 45).await;
}
