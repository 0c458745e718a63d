use super::*;
use http::StatusCode;
use weir_model::PathRewrite;

const ORIGINAL: Original<'_> = Original {
    scheme: "http",
    authority: "shop.example:8080",
    path: "/cart/items",
    query: Some("page=2"),
    prefix: Some("/cart"),
    substitute: None,
};

fn redirect(scheme: Option<&str>, host: Option<&str>, port: Option<u16>) -> Redirect {
    Redirect {
        scheme: scheme.map(str::to_owned),
        host: host.map(str::to_owned),
        port,
        path: None,
        status: StatusCode::FOUND,
        strip_query: false,
    }
}

fn to(redirect: &Redirect, original: &Original<'_>) -> String {
    location(redirect, original).unwrap().to_str().unwrap().to_owned()
}

/// As Envoy has it: given, else none with a host, else the request's unless the scheme left it behind; never a well-known one in the text.
#[test]
fn the_port_follows_from_port_scheme_and_request() {
    let table = [
        ((None, None), "http", "a:8080", "http://a:8080/p"),
        ((None, None), "http", "a:80", "http://a/p"),
        ((None, None), "http", "a", "http://a/p"),
        ((None, None), "https", "a:443", "https://a/p"),
        ((None, None), "https", "a:80", "https://a:80/p"),
        ((Some("https"), None), "http", "a:8080", "https://a:8080/p"),
        ((Some("https"), None), "http", "a:80", "https://a/p"),
        ((Some("https"), None), "http", "a", "https://a/p"),
        ((Some("http"), None), "http", "a:8080", "http://a:8080/p"),
        ((Some("http"), None), "https", "a:443", "http://a/p"),
        ((Some("https"), Some(8443)), "http", "a:8080", "https://a:8443/p"),
        ((Some("https"), Some(443)), "http", "a:8080", "https://a/p"),
        ((Some("http"), Some(443)), "https", "a", "http://a:443/p"),
        ((None, Some(80)), "http", "a:8080", "http://a/p"),
        ((None, Some(80)), "https", "a", "https://a:80/p"),
        ((None, Some(8443)), "http", "a:8080", "http://a:8443/p"),
        ((Some("ftp"), None), "http", "a:8080", "ftp://a:8080/p"),
        ((None, None), "http", "[::1]:8080", "http://[::1]:8080/p"),
    ];
    for ((scheme, port), of, authority, expected) in table {
        let original =
            Original { scheme: of, authority, path: "/p", query: None, prefix: None, substitute: None };
        assert_eq!(to(&redirect(scheme, None, port), &original), expected);
    }
}

#[test]
fn what_is_not_given_is_the_requests() {
    assert_eq!(to(&redirect(None, None, None), &ORIGINAL), "http://shop.example:8080/cart/items?page=2");
    assert_eq!(
        to(&redirect(None, Some("new.example"), None), &ORIGINAL),
        "http://new.example/cart/items?page=2"
    );
    let other =
        Redirect { path: Some(PathRewrite::Prefix("/bag".into())), ..redirect(Some("https"), None, None) };
    assert_eq!(to(&other, &ORIGINAL), "https://shop.example:8080/bag/items?page=2");
    let full = Redirect { path: Some(PathRewrite::Full("/gone".into())), ..redirect(None, None, Some(80)) };
    assert_eq!(to(&full, &ORIGINAL), "http://shop.example/gone?page=2");
    let own = Redirect { path: Some(PathRewrite::Full("/gone?from=cart".into())), ..full };
    assert_eq!(to(&own, &ORIGINAL), "http://shop.example/gone?from=cart");
}

#[test]
fn what_cannot_stand_in_a_header_is_an_error() {
    let split = Original { path: "/a\r\nSet-Cookie: b", ..ORIGINAL };
    assert!(location(&redirect(None, None, None), &split).is_err());
}
