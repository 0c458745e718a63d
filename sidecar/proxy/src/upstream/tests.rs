use super::*;

fn head(uri: &str, host: Option<&str>) -> Parts {
    let mut request = Request::get(uri);
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    request.body(()).unwrap().into_parts().0
}

fn host(head: &Parts) -> Option<&str> {
    head.headers.get(HOST).map(|host| host.to_str().unwrap())
}

#[test]
fn http1_has_origin_form_and_host() {
    for (uri, given, rewritten, target, wanted) in [
        ("/a?b", Some("h"), None, "/a?b", "h"),
        ("http://x:1/a?b", None, None, "/a?b", "x:1"),
        ("http://x:1/a?b", Some("ignored"), None, "/a?b", "x:1"),
        ("http://x:1", None, None, "/", "x:1"),
        ("/a", Some("h"), Some("new"), "/a", "new"),
        ("http://x/a", None, Some("new"), "/a", "new"),
        ("*", Some("h"), None, "*", "h"),
    ] {
        let mut head = head(uri, given);
        for_http1(&mut head, rewritten).unwrap();
        assert_eq!((head.uri.to_string().as_str(), host(&head)), (target, Some(wanted)), "{uri}");
    }
}

#[test]
fn http2_has_scheme_and_authority_and_no_host() {
    for (uri, given, rewritten, wanted) in [
        ("/a?b", Some("h:1"), None, "http://h:1/a?b"),
        ("http://x:1/a?b", Some("h"), None, "http://x:1/a?b"),
        ("http://x:1/a", None, Some("new"), "http://new/a"),
        ("/a", Some("h"), Some("new"), "http://new/a"),
    ] {
        let mut head = head(uri, given);
        for_http2(&mut head, rewritten).unwrap();
        assert_eq!((head.uri.to_string().as_str(), host(&head)), (wanted, None), "{uri}");
    }
    for bad in ["a b", "a/b", "", "user@", "a:b:c"] {
        let mut head = head("/", None);
        head.headers.insert(HOST, HeaderValue::from_str(bad).unwrap());
        assert!(for_http2(&mut head, None).is_err(), "{bad:?}");
    }
}

#[test]
fn a_rewritten_path_keeps_the_authority() {
    let mut uri: Uri = "http://x:1/a?b".parse().unwrap();
    rewrite_path(&mut uri, "/new?b").unwrap();
    assert_eq!(uri.to_string(), "http://x:1/new?b");
    assert!(rewrite_path(&mut uri, "/ with space").is_err());
}
