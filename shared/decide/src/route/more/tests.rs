use super::*;
use crate::route::tests::{Request, configuration, prefix};
use crate::route::{Matcher, explain};
use weir_model::{PathMatch, Random, RouteMatch, StringMatch};

fn field(name: &str) -> LogField {
    match name {
        ":authority" => LogField::Authority,
        ":method" => LogField::Method,
        ":path" => LogField::Path,
        ":scheme" => LogField::Scheme,
        name => LogField::Header(name.parse().unwrap()),
    }
}

fn exact(text: &str) -> ValueCondition {
    ValueCondition::Text(StringMatch::Exact(text.to_owned()))
}

fn takes(matches: &RouteMatch, request: &Request) -> bool {
    let routes = configuration([matches.clone()]);
    let found = Matcher::compile(&routes).unwrap().find(&request.head(), &mut Random::new(0));
    let explained = explain(&routes, &request.head());
    assert_eq!(found, explained.chosen, "{explained}");
    found.is_some()
}

fn more(more: MoreConditions) -> RouteMatch {
    RouteMatch { more: Some(Box::new(more)), ..prefix("/") }
}

fn on(name: &str, value: ValueCondition) -> FieldCondition {
    FieldCondition { field: field(name), value, invert: false, missing_is_empty: false }
}

#[test]
fn fields_of_the_head() {
    let request = Request::get("/a?b=1").with("x-n", " -7 ").with("x-two", "one").with("x-two", "two");
    let present = || ValueCondition::Text(StringMatch::Present);
    let range = ValueCondition::Range;
    let table = [
        (":authority", exact("reviews"), true, false),
        (":method", exact("GET"), true, false),
        (":method", exact("POST"), false, true),
        (":path", exact("/a?b=1"), true, false),
        (":path", ValueCondition::Text(StringMatch::Regex("/a.*".to_owned())), true, false),
        (":scheme", exact("http"), true, false),
        ("x-two", exact("two"), true, false),
        ("x-two", exact("three"), false, true),
        ("x-none", exact("three"), false, false),
        ("x-none", present(), false, true),
        ("x-two", present(), true, false),
        ("x-none", ValueCondition::Absent, true, false),
        ("x-two", ValueCondition::Absent, false, true),
        ("x-n", range(-7, -6), true, false),
        ("x-n", range(-8, -7), false, true),
        ("x-two", range(i64::MIN, i64::MAX), false, true),
        ("x-none", range(i64::MIN, i64::MAX), false, false),
    ];
    for (name, value, plain, inverted) in table {
        let of = |invert| FieldCondition { invert, ..on(name, value.clone()) };
        let takes =
            |field| takes(&more(MoreConditions { fields: vec![field], ..Default::default() }), &request);
        assert_eq!(takes(of(false)), plain, "{name} {value:?}");
        assert_eq!(takes(of(true)), inverted, "{name} {value:?} inverted");
    }
}

#[test]
fn what_is_missing_may_count_as_empty() {
    let takes = |value, invert| {
        let field = FieldCondition { missing_is_empty: true, invert, ..on("x-none", value) };
        takes(&more(MoreConditions { fields: vec![field], ..Default::default() }), &Request::get("/"))
    };
    assert!(takes(ValueCondition::Text(StringMatch::Present), false));
    assert!(!takes(ValueCondition::Absent, false));
    assert!(takes(exact(""), false));
    assert!(!takes(exact(""), true));
    assert!(takes(exact("a"), true));
    assert!(!takes(ValueCondition::Range(0, 1), false));
    assert!(takes(ValueCondition::Range(0, 1), true));
}

#[test]
fn grpc_absent_parameters_and_cookies() {
    let grpc = more(MoreConditions { grpc: true, ..Default::default() });
    assert!(takes(&grpc, &Request::get("/").with("content-type", "application/grpc+proto")));
    assert!(!takes(&grpc, &Request::get("/").with("content-type", "application/grpc-web")));
    let absent = more(MoreConditions { absent_query: vec!["debug".to_owned()], ..Default::default() });
    assert!(takes(&absent, &Request::get("/")));
    assert!(takes(&absent, &Request::get("/?debugger")));
    assert!(!takes(&absent, &Request::get("/?a&debug")));
    let cookie = |invert| {
        let value = StringMatch::Exact("me".to_owned());
        let cookies = vec![CookieCondition { name: "user".to_owned(), value, invert }];
        more(MoreConditions { cookies, ..Default::default() })
    };
    for (line, expected) in
        [("user=me", true), ("a=b; user=\"me\"", true), ("user=you", false), ("auser=me", false)]
    {
        assert_eq!(takes(&cookie(false), &Request::get("/").with("cookie", line)), expected, "{line}");
        assert_eq!(takes(&cookie(true), &Request::get("/").with("cookie", line)), !expected, "{line}");
    }
    assert!(takes(&cookie(true), &Request::get("/")));
}

#[test]
fn case_may_not_matter_in_paths() {
    let any_case = |path| RouteMatch {
        path,
        more: Some(Box::new(MoreConditions { ignore_case: true, ..Default::default() })),
        ..RouteMatch::default()
    };
    let table = [
        (PathMatch::Exact("/Ab".to_owned()), "/aB", true),
        (PathMatch::Exact("/Ab".to_owned()), "/aB/", false),
        (PathMatch::Prefix("/Ab/".to_owned()), "/aB/c", true),
        (PathMatch::Prefix("/Ab".to_owned()), "/aBc", false),
        (PathMatch::Characters("/A.b".to_owned()), "/a.Bc", true),
        (PathMatch::Characters("/A.b".to_owned()), "/axBc", false),
        (PathMatch::Exact("/é".to_owned()), "/É", false),
    ];
    for (path, actual, expected) in table {
        assert_eq!(takes(&any_case(path.clone()), &Request::get(actual)), expected, "{path:?} {actual}");
    }
}

#[test]
fn the_first_route_wins_whatever_its_case() {
    let any = || Some(Box::new(MoreConditions { ignore_case: true, ..Default::default() }));
    let path = |path: PathMatch, more| RouteMatch { path, more, ..RouteMatch::default() };
    let routes = configuration([
        path(PathMatch::Exact("/A".to_owned()), None),
        path(PathMatch::Exact("/a".to_owned()), any()),
        path(PathMatch::Prefix("/A".to_owned()), any()),
        path(PathMatch::Exact("/a".to_owned()), None),
    ]);
    let matcher = Matcher::compile(&routes).unwrap();
    for (target, expected) in [("/A", Some(0)), ("/a", Some(1)), ("/a/b", Some(2)), ("/b", None)] {
        let found = matcher.find(&Request::get(target).head(), &mut Random::new(0));
        assert_eq!(found.map(|found| found.route), expected, "{target}");
    }
}
