use super::*;
use proptest::prelude::*;

#[test]
fn beginnings() {
    use Protocol::*;
    let table: [(&[u8], Option<Protocol>, Protocol); 25] = [
        (b"", None, Opaque),
        (b"GET / HTTP/1.1\r\n", Some(Http1), Http1),
        (b"GET / HTTP/1.0\nHost: a", Some(Http1), Http1),
        (b"\r\nPURGE * HTTP/1.1\r\n", Some(Http1), Http1),
        (b"OPTIONS http://a/ HTTP/1.1\r\n", Some(Http1), Http1),
        (b"GE", None, Opaque),
        (b"GET ", None, Http1),
        (b"GET /a?b=\xc3\xa9 HTT", None, Http1),
        (b"GET / HTTP/1.1\r", None, Http1),
        (b"P", None, Opaque),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None, Opaque),
        (PREFACE, Some(Http2), Http2),
        // The beginning of the preface, and then something else.
        (b"PRI * HTTP/2.0\r\n\r\nxx", Some(Opaque), Opaque),
        (b"PRI / HTTP/1.1\r\n", Some(Http1), Http1),
        (&[22, 3, 1, 2, 0, 1], Some(Tls), Tls),
        (&[22, 3, 1], None, Opaque),
        (&[22, 3, 1, 2, 0, 2], Some(Opaque), Opaque),
        (&[22, 2], Some(Opaque), Opaque),
        // Redis, memcached, SMTP, PostgreSQL, MQTT.
        (b"*1\r\n$4\r\nPING\r\n", Some(Opaque), Opaque),
        (b"get key\r\n", Some(Opaque), Opaque),
        (b"EHLO a.example\r\n", Some(Opaque), Opaque),
        (&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], Some(Opaque), Opaque),
        (&[0x10, 12, 0, 4, b'M', b'Q'], Some(Opaque), Opaque),
        (b"GET / a HTTP/1.1\r\n", Some(Opaque), Opaque),
        (b"GET  HTTP/1.1\r\n", Some(Opaque), Opaque),
    ];
    for (bytes, expected, guessed) in table {
        assert_eq!(
            (sniff(bytes), guess(bytes)),
            (expected, guessed),
            "{:?}",
            bytes.escape_ascii().to_string()
        );
    }
}

#[test]
fn it_is_decided_within_the_bound() {
    let long = [b"GET /".to_vec(), vec![b'a'; SNIFFED]].concat();
    assert_eq!(sniff(&long[..SNIFFED - 1]), None);
    assert_eq!(sniff(&long[..SNIFFED]), Some(Protocol::Http1));
    assert_eq!(sniff(&[b'\n'; SNIFFED]), Some(Protocol::Opaque));
    assert_eq!(sniff(&[b'a'; METHOD]), None);
    assert_eq!(sniff(&[b'a'; METHOD + 1]), Some(Protocol::Opaque));
}

fn beginning() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![
        Just(PREFACE.to_vec()),
        Just(b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
        Just(vec![22, 3, 1, 0, 5, 1, 0, 0, 1, 0]),
        prop::collection::vec(any::<u8>(), 0..64),
    ];
    (whole, any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(mut whole, cut, rest)| {
            whole.truncate(cut.index(whole.len() + 1));
            whole.extend(rest);
            whole
        },
    )
}

proptest! {
    /// What is known stays, however much more comes.
    #[test]
    fn more_bytes_change_nothing_that_was_said(bytes in beginning(), more in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some(known) = sniff(&bytes) {
            prop_assert_eq!(guess(&bytes), known);
            prop_assert_eq!(sniff(&[bytes, more].concat()), Some(known));
        }
    }

    #[test]
    fn a_listener_of_http_sees_http2_and_nothing_else(bytes in beginning()) {
        let wanted = if bytes.len() < PREFACE.len() && PREFACE.starts_with(&bytes) { None } else { Some(bytes.starts_with(PREFACE)) };
        prop_assert_eq!(is_http2(&bytes), wanted);
        prop_assert_eq!(sniff(&bytes) == Some(Protocol::Http2), wanted == Some(true));
    }

    #[test]
    fn every_request_line_is_http1(method in "[A-Z]{1,17}", target in "[!-~]{1,40}", minor in 0..=9u8, rest in "[ -~]{0,20}") {
        let line = format!("{method} {target} HTTP/1.{minor}\r\n{rest}");
        prop_assert_eq!(sniff(line.as_bytes()), Some(Protocol::Http1));
        for end in method.len() + 1..line.len() - rest.len() {
            prop_assert_eq!(guess(&line.as_bytes()[..end]), Protocol::Http1, "{}", &line[..end]);
        }
    }
}
