use super::*;
use bytes::Bytes;
use http_body_util::{Empty, Full, StreamBody};

fn of_target(version: Version, method: &str, uri: &str, hosts: &[&str]) -> Result<(), Kind> {
    let mut request = Request::builder().version(version).method(method).uri(uri);
    for host in hosts {
        request = request.header(HOST, *host);
    }
    target(&request.body(()).unwrap())
}

#[test]
fn a_target_has_the_form_of_its_method() {
    use Version as V;
    for (version, method, uri, hosts, sound) in [
        (V::HTTP_11, "GET", "/", &["a"][..], true),
        (V::HTTP_11, "OPTIONS", "*", &["a"], true),
        (V::HTTP_11, "GET", "*", &["a"], false),
        (V::HTTP_11, "GET", "http://a/", &["b"], true),
        (V::HTTP_11, "GET", "http://a", &["b"], true),
        (V::HTTP_11, "GET", "https://a/", &["a"], true),
        (V::HTTP_11, "GET", "http://a/", &[], false),
        (V::HTTP_10, "GET", "http://a/", &[], true),
        (V::HTTP_11, "GET", "ftp://a/", &["a"], false),
        (V::HTTP_11, "GET", "a:80", &["a"], false),
        (V::HTTP_11, "GET", "a", &["a"], false),
        (V::HTTP_2, "GET", "http://a/", &[], true),
        (V::HTTP_2, "GET", "http://a/", &["A"], true),
        (V::HTTP_2, "GET", "http://a/", &["b"], false),
        (V::HTTP_2, "GET", "gopher://a/", &[], false),
    ] {
        let found = of_target(version, method, uri, hosts);
        assert_eq!(found.is_ok(), sound, "{version:?} {method} {uri} {hosts:?}: {found:?}");
    }
}

/// A response with these fields, and a body that knows its length or does not.
fn answered(fields: &[(&str, &str)], open: bool) -> Result<(), Kind> {
    let mut builder = Response::builder();
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    if open {
        let stream =
            futures_util::stream::empty::<Result<http_body::Frame<Bytes>, std::convert::Infallible>>();
        response(&builder.body(StreamBody::new(stream)).unwrap())
    } else {
        response(&builder.body(Full::new(Bytes::from_static(b"abc"))).unwrap())
    }
}

#[test]
fn a_response_has_one_end() {
    let (length, chunked) = ("content-length", ("transfer-encoding", "chunked"));
    for (fields, open, sound) in [
        (&[][..], true, true),
        (&[], false, true),
        (&[(length, "3")], false, true),
        (&[chunked], true, true),
        (&[("transfer-encoding", "CHUNKED")], true, true),
        (&[(length, "3"), chunked], true, false),
        (&[(length, "3"), (length, "3")], false, false),
        (&[(length, "3, 3")], false, false),
        (&[("transfer-encoding", "gzip, chunked")], true, false),
        (&[("transfer-encoding", "gzip")], true, false),
        (&[chunked, chunked], true, false),
        (&[("set-cookie", "a"), ("set-cookie", "b"), (length, "3")], false, true),
    ] {
        assert_eq!(answered(fields, open).is_ok(), sound, "{fields:?}");
    }
    // Of a response without content by definition, both are only words.
    let head = Response::builder().header("content-length", "3").header("transfer-encoding", "chunked");
    assert!(response(&head.body(Empty::<Bytes>::new()).unwrap()).is_ok());
}
