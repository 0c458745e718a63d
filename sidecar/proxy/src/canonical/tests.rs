use super::*;
use weir_model::EscapedSlashes;

#[test]
fn a_path_changes_and_its_query_stays() {
    let request = Request::get("http://a:1/x/../y?q=/../z").body(()).unwrap();
    let Ok(Target::Changed(uri)) = target(&request, &Paths::BASE) else { panic!("it stays") };
    assert_eq!(uri, "http://a:1/y?q=/../z");
    let request = Request::get("/y?q=/../z").body(()).unwrap();
    assert!(matches!(target(&request, &Paths::BASE), Ok(Target::Same)));
    let request = Request::options("*").body(()).unwrap();
    assert!(matches!(target(&request, &Paths::BASE), Ok(Target::Same)));
}

#[test]
fn an_escaped_slash_is_refused_or_redirected() {
    let request = Request::get("/a%2Fb?c").body(()).unwrap();
    let rules = |escaped_slashes| Paths { escaped_slashes, ..Paths::BASE };
    assert!(matches!(target(&request, &rules(EscapedSlashes::Reject)), Err(Kind::Malformed(_))));
    let Ok(Target::Redirect(response)) = target(&request, &rules(EscapedSlashes::Redirect)) else {
        panic!("it is not redirected")
    };
    assert_eq!(
        (response.status().as_u16(), &response.headers()[LOCATION]),
        (307, &"/a/b?c".parse().unwrap())
    );
}

#[test]
fn the_edge_tells_who_asks() {
    let peer: IpAddr = "192.0.2.7".parse().unwrap();
    let told = |known: &[(&'static str, &'static str)], rules| {
        let mut headers = HeaderMap::new();
        for (name, value) in known {
            headers.append(*name, HeaderValue::from_static(value));
        }
        forwarded(&mut headers, peer, rules);
        let value = |name| {
            let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
            values.join("|")
        };
        (value("x-forwarded-for"), value("x-forwarded-proto"))
    };
    let known =
        &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2"), ("x-forwarded-proto", "https")];
    let edge = |trusted_hops, append| Forwarded::Edge { trusted_hops, append };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(told(known, Forwarded::Pass), pair("1.1.1.1|2.2.2.2", "https"));
    assert_eq!(told(known, edge(0, true)), pair("1.1.1.1,2.2.2.2,192.0.2.7", "http"));
    assert_eq!(told(known, edge(1, false)), pair("1.1.1.1|2.2.2.2", "https"));
    assert_eq!(told(&[], edge(1, true)), pair("192.0.2.7", "http"));
    assert_eq!(told(&[], Forwarded::Pass), pair("", ""));
}
