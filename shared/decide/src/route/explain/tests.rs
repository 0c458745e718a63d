use super::super::tests::{Request, configuration, exact, header, path, prefix, query_match};
use super::*;
use http::Method;

fn lines(matches: Vec<RouteMatch>, request: &Request) -> Vec<String> {
    let mut configuration = configuration(matches);
    for (index, route) in configuration.virtual_hosts[0].routes.iter_mut().enumerate() {
        route.name = format!("rule {index}");
    }
    explain(&configuration, &request.head()).to_string().lines().map(str::to_owned).collect()
}

#[test]
fn each_route_says_what_fails_first() {
    let regex = |text: &str| StringMatch::Regex(text.to_owned());
    let with = |headers| RouteMatch { headers, ..prefix("/v2") };
    let matches = vec![
        path(PathMatch::Exact("/v2".into())),
        prefix("/v2/exam"),
        prefix("/v3"),
        path(PathMatch::Regex("/v[0-9]".into())),
        RouteMatch { method: Some(Method::POST), ..prefix("/v2") },
        with(vec![header("x-env", exact("prod"))]),
        with(vec![header("x-env", StringMatch::Present), header("x-user", StringMatch::Present)]),
        with(vec![header("x-env", regex("prod|test"))]),
        RouteMatch { query: vec![query_match("page", exact("1"))], ..prefix("/v2") },
        RouteMatch { query: vec![query_match("size", StringMatch::Present)], ..prefix("/v2") },
        path(PathMatch::Regex("(".into())),
        RouteMatch { fraction: Some(Fraction(12_500)), ..prefix("/v2") },
        prefix("/v2"),
        prefix("/"),
    ];
    let request = Request::get("/v2/example?page=%32").with("x-env", "staging");
    assert_eq!(
        lines(matches, &request),
        [
            r#""reviews" is virtual host "all""#,
            r#"route 0 (rule 0) does not match: match.path.exact is "/v2", the request's path "/v2/example""#,
            r#"route 1 (rule 1) does not match: match.path.prefix is "/v2/exam", which ends in the middle of a segment of the request's path "/v2/example""#,
            r#"route 2 (rule 2) does not match: match.path.prefix is "/v3", the request's path "/v2/example" begins otherwise"#,
            r#"route 3 (rule 3) does not match: match.path.regex "/v[0-9]" does not match the whole of the request's path "/v2/example""#,
            "route 4 (rule 4) does not match: match.method is POST, the request's GET",
            r#"route 5 (rule 5) does not match: match.headers[0].value.exact is "prod", the request's x-env "staging""#,
            "route 6 (rule 6) does not match: match.headers[1] x-user is not in the request",
            r#"route 7 (rule 7) does not match: match.headers[0].value.regex "prod|test" does not match the whole of x-env, which is "staging""#,
            r#"route 8 (rule 8) does not match: match.query[0].value.exact is "1", the request's page "2""#,
            "route 9 (rule 9) does not match: match.query[0] size is not in the request",
            "route 10 (rule 10) does not match: match.path.regex is not a regular expression in RE2 syntax: unclosed group (at byte 0)",
            "route 11 (rule 11) matches, and takes 1.25 % of such requests",
            "route 12 (rule 12) matches",
            "route 12 takes the request",
        ]
    );
}

#[test]
fn the_end_says_why_nothing_is_chosen() {
    assert_eq!(lines(vec![prefix("/a")], &Request::get("/b")).last().unwrap(), "no route matches");
    let half = RouteMatch { fraction: Some(Fraction(500_000)), ..prefix("/") };
    assert_eq!(
        lines(vec![half], &Request::get("/")).last().unwrap(),
        "no route takes what the shares leave over"
    );
    let mut narrow = configuration([prefix("/")]);
    narrow.virtual_hosts[0].domains = vec!["ratings".to_owned()];
    let request = Request { authority: "Reviews:80".to_owned(), ..Request::get("/") };
    let explanation = explain(&narrow, &request.head());
    assert_eq!(explanation.to_string(), r#"no virtual host has a domain for "reviews:80""#);
    assert_eq!((explanation.host, explanation.chosen), (None, None));
}
