use super::*;
use proptest::prelude::*;

/// What is found in these bytes, read at once.
fn found(bytes: &[u8]) -> Option<(u64, &'static str)> {
    Framing::new().advance(bytes).map(|ambiguity| (ambiguity.head, ambiguity.what))
}

/// The same, read byte by byte.
fn found_slowly(bytes: &[u8]) -> Option<(u64, &'static str)> {
    let mut framing = Framing::new();
    bytes
        .iter()
        .find_map(|byte| framing.advance(std::slice::from_ref(byte)))
        .map(|ambiguity| (ambiguity.head, ambiguity.what))
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn plain_messages_are_followed_to_their_ends() {
    for message in [
        GET.to_owned(),
        format!("\r\n\r\n{GET}"),
        post("Content-Length: 0\r\n", ""),
        post("content-length:\t3 \r\n", "abc"),
        post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        post("transfer-encoding:Chunked\r\n", "3;x=y\r\na\nc\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n"),
        // Names that only begin or end like those that matter.
        post(
            "Content-Length-Hint: 9\r\nX-Content-Length: 9\r\nTransfer-Encodings: x\r\nContent-Type: a\r\n",
            "",
        ),
        post(&format!("X: {}\r\nContent-Length: 2\r\n", "x".repeat(300)), "ab"),
        // What looks like a head in a body is none.
        post("Content-Length: 46\r\n", &post("Content-Length: 1\r\nContent-Length: 2\r\n", "")[..46]),
    ] {
        let twice = format!("{message}{message}");
        assert_eq!(found(twice.as_bytes()), None, "{message:?}");
        assert_eq!(found_slowly(twice.as_bytes()), None, "{message:?}");
        let mut framing = Framing::new();
        framing.advance(message.as_bytes());
        assert_eq!((framing.place(), framing.heads), (Place::Between, 1), "{message:?}");
    }
}

#[test]
fn ambiguous_heads_are_named() {
    let both = "Content-Length and Transfer-Encoding";
    let chunked = "a Transfer-Encoding other than chunked";
    for (fields, what) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", both),
        ("tRANSFER-eNCODING: chunked\r\nX: y\r\ncONTENT-lENGTH: 3\r\n", both),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", "several Content-Length fields"),
        ("Content-Length: 3\r\nX: y\r\nContent-Length: 4\r\n", "several Content-Length fields"),
        ("Content-Length: 3, 3\r\n", "Content-Length is not a number"),
        ("Content-Length: +3\r\n", "Content-Length is not a number"),
        ("Content-Length:\r\n", "Content-Length is not a number"),
        ("Content-Length: 99999999999999999999\r\n", "Content-Length is not a number"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "several Transfer-Encoding fields"),
        ("Transfer-Encoding: gzip, chunked\r\n", chunked),
        ("Transfer-Encoding: \x0bchunked\r\n", chunked),
        ("X: y\nContent-Length: 3\r\n", "a line ends without a carriage return"),
        ("\n", "a line ends without a carriage return"),
    ] {
        for before in ["", GET, "\r\n"] {
            let bytes = format!("{before}{}", post(fields, "0\r\n\r\n"));
            let expected = Some((u64::from(before == GET), what));
            assert_eq!(found(bytes.as_bytes()), expected, "{bytes:?}");
            assert_eq!(found_slowly(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}

#[test]
fn a_length_too_long_to_keep_is_refused_when_it_comes_in_parts() {
    let padded = post(&format!("Content-Length:{}3\r\n", " ".repeat(KEPT)), "abc");
    assert_eq!(found_slowly(padded.as_bytes()), Some((0, "Content-Length is not a number")));
}

/// What follows a body whose end is unclear counts as the next head.
#[test]
fn a_broken_body_gives_the_connection_up() {
    for body in ["zz\r\n", "\r\n", "3\nabc\r\n", "11111111111111111\r\n", "ffffffffffffffff\r\n", "3x\r\n"] {
        let bytes = post("Transfer-Encoding: chunked\r\n", body);
        assert_eq!(found(bytes.as_bytes()).map(|(head, _)| head), Some(1), "{body:?}");
        assert_eq!(found_slowly(bytes.as_bytes()).map(|(head, _)| head), Some(1), "{body:?}");
    }
}

#[test]
fn a_broken_body_is_told_from_a_broken_head_behind_it() {
    let good = post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n");
    let broken = Framing::new().advance(format!("{good}0\r\na: b\n\r\n").as_bytes()).unwrap();
    assert_eq!((broken.in_body, broken.before), (true, good.len() + 3));
    let ended = format!("{good}0\r\n\r\nGET / HTTP/1.1\r\n");
    let broken = Framing::new().advance(format!("{ended}Host: a\n\r\n").as_bytes()).unwrap();
    assert_eq!((broken.in_body, broken.before, broken.head), (false, ended.len(), 1));
}

#[test]
fn the_place_of_the_next_byte_is_known() {
    let mut framing = Framing::new();
    for (bytes, place) in [
        ("", Place::Between),
        ("\r\nPOST / HTTP/1.1\r\nContent-", Place::Head),
        ("Length: 4\r\n", Place::Head),
        ("\r\n", Place::Body),
        ("abc", Place::Body),
        ("d", Place::Between),
        ("G", Place::Head),
        ("ET / HTTP/1.1\r\n\r\n", Place::Between),
    ] {
        assert_eq!(framing.advance(bytes.as_bytes()), None);
        assert_eq!(framing.place(), place, "{bytes:?}");
    }
}

proptest! {
    /// However the bytes are cut into reads, the same is found, and nothing panics.
    #[test]
    fn reads_do_not_matter(
        pieces in prop::collection::vec(prop_oneof![
            Just("POST / HTTP/1.1\r\n".to_owned()),
            Just("Content-Length: 3\r\n".to_owned()),
            Just("Transfer-Encoding: chunked\r\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("\n".to_owned()),
            Just("abc".to_owned()),
            Just("3\r\nabc\r\n".to_owned()),
            Just("0\r\n\r\n".to_owned()),
            "[a-zA-Z0-9:;, \\r\\n]{0,60}",
            // Longer than what is kept of a line.
            "(Content-Length|Transfer-Encoding): {0,40}0{0,40}(3|chunked)\r\n",
            "0{0,20}3;x{0,60}\r\n",
        ], 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let bytes = pieces.concat().into_bytes();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.extend([0, bytes.len()]);
        ends.sort_unstable();
        let mut framing = Framing::new();
        let in_parts = ends.windows(2).find_map(|ends| framing.advance(&bytes[ends[0]..ends[1]]));
        let mut whole = Framing::new();
        let at_once = whole.advance(&bytes);
        let found = |ambiguity: Ambiguity| (ambiguity.head, ambiguity.what, ambiguity.in_body);
        prop_assert_eq!(in_parts.map(found), at_once.map(found));
        prop_assert_eq!(framing.state, whole.state);
    }

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        found(&bytes);
        found_slowly(&bytes);
    }
}
