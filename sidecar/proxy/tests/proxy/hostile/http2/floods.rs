//! Much of what is harmless by itself: the connection that sends it ends or waits, and no other one notices.

use super::*;
use weir_model::limits;

/// A flood is sent as far as it is taken.
const FLOOD: usize = 20_000;

fn repeated(frame: &[u8]) -> Vec<u8> {
    frame.repeat(FLOOD)
}

/// Frames for each of many streams.
fn each(streams: u32, frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..streams).flat_map(|index| frames(2 * index + 1)).collect()
}

fn bomb() -> Vec<u8> {
    // One field of 4 000 bytes goes into the table, and is named by one byte from then on.
    let mut payload = vec![0x82, 0x86, 0x84, 0x40, 1, b'x'];
    payload.extend(length(4000));
    payload.extend([b'y'; 4000]);
    payload.extend([0xbe; 8000]);
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &payload)
}

fn large(bytes: usize) -> Vec<u8> {
    let value = "y".repeat(8000);
    let names: Vec<String> = (0..bytes / 8000).map(|index| format!("x{index}")).collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    let block = block(head("GET", &fields));
    let pieces: Vec<&[u8]> = block.chunks(16_384).collect();
    let mut sent = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let last = if index + 1 == pieces.len() { END_HEADERS } else { 0 };
        let (kind, flags) = if index == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
        sent.extend(frame(kind, flags | last, 1, piece));
    }
    sent
}

#[tokio::test]
async fn floods_end_the_connection_that_sends_them() {
    let calm = Outcome::Goaway(ENHANCE_YOUR_CALM);
    let mut empty_data = post(&[]);
    empty_data.extend(repeated(&frame(DATA, 0, 1, &[])));
    let mut continuations = frame(HEADERS, END_STREAM, 1, &[0x82]);
    continuations.extend(repeated(&frame(CONTINUATION, 0, 1, &[])));
    let rows = vec![
        row("continuations without end", calm, continuations),
        row("fields that grow", calm, bomb()),
        row("a head a little too large", Outcome::Status(431), large(limits::HEAD_BYTES + 8000)),
        row("a head far too large", calm, large(limits::HEAD_BYTES * 8)),
        row(
            "malformed requests without end",
            calm,
            each(FLOOD as u32, |stream| malformed_on(stream, END_STREAM)),
        ),
        Row {
            seen: Seen::Repeatedly("GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()),
            ..row(
                "streams reset at once",
                calm,
                each(FLOOD as u32, |stream| {
                    [get_on(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
                }),
            )
        },
        Row { seen: Seen::Part, ..row("data of nothing", calm, empty_data) },
    ];
    let count = rows.len();
    table(rows, count).await;
}

/// What cannot be told from use is answered as fast as it is read, and no faster.
#[tokio::test]
async fn floods_of_what_may_be_sent_are_borne() {
    let rows = vec![
        row("pings", Outcome::Ignored, repeated(&frame(PING, 0, 0, b"12345678"))),
        row("settings", Outcome::Ignored, repeated(&frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]))),
        row("window updates", Outcome::Ignored, repeated(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        row("priorities", Outcome::Ignored, repeated(&frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1]))),
        row("unknown frames", Outcome::Ignored, repeated(&frame(200, 0, 0, &[]))),
    ];
    let count = rows.len();
    table(rows, count).await;
}

/// Nor does it help not to read the answers: what waits to be written is bounded.
#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read_either() {
    let mut bench = Bench::start().await;
    for (name, one) in
        [("pings", frame(PING, 0, 0, b"12345678")), ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]))]
    {
        let mut client = Client::connect(&bench).await;
        let flood = one.repeat(4096);
        let mut sent = 0;
        // Until nothing more is taken, or far more than the buffers of two sockets hold.
        while sent < 64 * 1024 * 1024 {
            let write = client.peer.stream.write_all(&flood);
            match tokio::time::timeout(Duration::from_millis(200), write).await {
                Ok(Ok(())) => sent += flood.len(),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        let wrong = (sent >= 64 * 1024 * 1024).then(|| format!("{sent} bytes were taken"));
        bench.judge(name, wrong, &Seen::nothing()).await;
    }
    bench.finish(2);
}

/// More streams at once than there may be are refused, each by itself, and those that may be go on.
#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let mut bench = Bench::start().await;
    let mut client = Client::connect(&bench).await;
    let streams = limits::DOWNSTREAM_STREAMS;
    let open = |stream| frame(HEADERS, END_HEADERS, stream, &block(head("POST", &[])));
    client.send(&each(streams + 10, open)).await;
    let mut refused = Vec::new();
    while refused.len() < 10 {
        let frame = client.frame().await.unwrap();
        if frame.kind == RST_STREAM {
            assert_eq!(frame.code(), REFUSED_STREAM);
            refused.push(frame.stream);
        }
        assert_ne!(frame.kind, GOAWAY);
    }
    let expected: Vec<u32> = (streams..streams + 10).map(|index| 2 * index + 1).collect();
    assert_eq!(refused, expected);
    client.send(&frame(DATA, END_STREAM, 1, b"abc")).await;
    while !matches!(client.frame().await, Some(Frame { kind: HEADERS, stream: 1, .. })) {}
    drop(client);
    bench.settle().await;
    bench.finish(0);
}
