use super::*;
use proptest::prelude::*;

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn fields_of_this_hop_end_here() {
    let mut headers = fields(&[
        ("host", "a"),
        ("connection", "close, X-Private"),
        ("connection", "x-other;p=1, , =bad="),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("x-private", "1"),
        ("x-private", "2"),
        ("x-other", "1"),
        ("x-end-to-end", "1"),
        ("trailer", "x-checksum"),
        ("proxy-authorization", "Basic abc"),
    ]);
    request(&mut headers, Version::HTTP_11);
    assert_eq!(names(&headers), ["host", "proxy-authorization", "trailer", "x-end-to-end"]);
}

#[test]
fn framing_and_host_cannot_be_listed_away() {
    let mut headers =
        fields(&[("connection", "host, content-length"), ("host", "a"), ("content-length", "3")]);
    request(&mut headers, Version::HTTP_11);
    assert_eq!(names(&headers), ["content-length", "host"]);
}

#[test]
fn upgrades_go_through_between_http1_hops() {
    let websocket = || {
        fields(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
            ("keep-alive", "timeout=5"),
        ])
    };
    let mut headers = websocket();
    assert_eq!(upgrade(&headers).unwrap(), "websocket");
    request(&mut headers, Version::HTTP_11);
    assert_eq!(names(&headers), ["connection", "sec-websocket-key", "upgrade"]);
    assert_eq!(headers["connection"], "upgrade");
    assert_eq!(headers["upgrade"], "websocket");

    let mut headers = websocket();
    request(&mut headers, Version::HTTP_2);
    assert_eq!(names(&headers), ["sec-websocket-key"]);

    // Not listed, so not asked for.
    let mut headers = fields(&[("upgrade", "websocket")]);
    assert_eq!(upgrade(&headers), None);
    request(&mut headers, Version::HTTP_11);
    assert!(headers.is_empty());
}

#[test]
fn an_upgrade_to_http2_ends_here() {
    for protocol in ["h2c", "H2C", "websocket, h2c"] {
        let mut headers =
            fields(&[("connection", "Upgrade, HTTP2-Settings"), ("http2-settings", "AAMAAABkAAQAAP__")]);
        headers.insert("upgrade", protocol.parse().unwrap());
        request(&mut headers, Version::HTTP_11);
        assert!(headers.is_empty(), "{headers:?}");
    }
}

#[test]
fn a_granted_upgrade_goes_back() {
    let answer =
        || fields(&[("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", "a")]);
    let mut headers = answer();
    response(&mut headers, StatusCode::SWITCHING_PROTOCOLS, Version::HTTP_11);
    assert_eq!(names(&headers), ["connection", "sec-websocket-accept", "upgrade"]);
    for (status, version) in
        [(StatusCode::OK, Version::HTTP_11), (StatusCode::SWITCHING_PROTOCOLS, Version::HTTP_2)]
    {
        let mut headers = answer();
        response(&mut headers, status, version);
        assert_eq!(names(&headers), ["sec-websocket-accept"]);
    }
}

#[test]
fn the_word_that_trailers_are_welcome_is_kept() {
    let grpc = || fields(&[("te", "trailers"), ("content-type", "application/grpc+proto")]);
    let plain = || fields(&[("te", "gzip;q=0.5, Trailers")]);
    let mut headers = grpc();
    request(&mut headers, Version::HTTP_2);
    assert_eq!(headers["te"], "trailers");
    assert!(!headers.contains_key("connection"));
    let mut headers = grpc();
    request(&mut headers, Version::HTTP_11);
    assert_eq!(
        (&headers["te"], &headers["connection"]),
        (&"trailers".parse().unwrap(), &"te".parse().unwrap())
    );
    let mut headers = plain();
    request(&mut headers, Version::HTTP_2);
    assert_eq!(headers["te"], "trailers");
    let mut headers = plain();
    request(&mut headers, Version::HTTP_11);
    assert_eq!(
        (&headers["te"], &headers["connection"]),
        (&"trailers".parse().unwrap(), &"te".parse().unwrap())
    );
    let mut headers = fields(&[("te", "gzip")]);
    request(&mut headers, Version::HTTP_11);
    assert!(headers.is_empty());
}

#[test]
fn trailers_neither_frame_nor_route() {
    let mut trailers_ = fields(&[
        ("transfer-encoding", "chunked"),
        ("content-length", "3"),
        ("host", "b"),
        ("connection", "x-checksum"),
        ("te", "trailers"),
        ("trailer", "x-checksum"),
        ("x-checksum", "1"),
        ("grpc-status", "0"),
    ]);
    trailers(&mut trailers_);
    assert_eq!(names(&trailers_), ["grpc-status", "x-checksum"]);
}

#[test]
fn divided_cookies_come_together() {
    let mut headers = fields(&[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e=f")]);
    join_cookies(&mut headers);
    assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=b; c=d; e=f"]);
    let mut headers = fields(&[("cookie", "a=b"), ("x", "y"), ("x", "z")]);
    join_cookies(&mut headers);
    assert_eq!(headers["cookie"], "a=b");
    assert_eq!(headers.get_all("x").iter().count(), 2);
}

#[test]
fn grpc_is_told_by_its_content_type() {
    for (kind, expected) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc;charset=utf-8", true),
        ("Application/GRPC", true),
        ("application/grpc-web", false),
        ("application/grpcx", false),
        ("application/json", false),
        ("", false),
    ] {
        let headers = fields(&[("content-type", kind)]);
        assert_eq!(is_grpc(&headers), expected, "{kind:?}");
    }
    assert!(!is_grpc(&HeaderMap::new()));
}

proptest! {
    #[test]
    fn nothing_of_the_hop_is_left(
        connection in prop::collection::vec("[ -~]{0,20}", 0..4),
        others in prop::collection::vec(prop::sample::select(vec!["keep-alive", "te", "upgrade", "x-a", "x-b", "host"]), 0..6),
        http2: bool,
    ) {
        let mut headers = HeaderMap::new();
        for value in &connection {
            headers.append(CONNECTION, HeaderValue::from_str(value).unwrap());
        }
        for name in others {
            headers.append(name, HeaderValue::from_static("websocket"));
        }
        let before = headers.clone();
        request(&mut headers, if http2 { Version::HTTP_2 } else { Version::HTTP_11 });
        prop_assert!(!headers.contains_key("keep-alive"));
        prop_assert_eq!(headers.contains_key("host"), before.contains_key("host"));
        prop_assert_eq!(headers.contains_key(CONNECTION), headers.contains_key(UPGRADE));
        for name in ["x-a", "x-b"] {
            let listed = connection.iter().flat_map(|value| value.split(',')).any(|token| {
                token.split(';').next().unwrap().trim().eq_ignore_ascii_case(name)
            });
            prop_assert_eq!(headers.contains_key(name), before.contains_key(name) && !listed);
        }
    }
}

/// The length of a name decides where it is looked for.
#[test]
fn every_ending_field_is_found_by_itself() {
    for (index, name) in ENDING.iter().enumerate() {
        let mut headers = fields(&[("host", "a"), ("user-agent", "b"), ("x-other-2", "c")]);
        headers.insert(name, HeaderValue::from_static("close"));
        let found = Ending::of(&headers);
        assert!((0..ENDING.len()).all(|other| found.contains(other) == (other == index)), "{name}");
        response(&mut headers, StatusCode::OK, Version::HTTP_11);
        assert_eq!(names(&headers), ["host", "user-agent", "x-other-2"], "{name}");
    }
    assert!(Ending::of(&fields(&[("host", "a"), ("user-agent", "b")])).is_none());
}
