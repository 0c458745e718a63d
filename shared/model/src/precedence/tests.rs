use super::*;
use crate::mesh::{Name, RouteKind};
use crate::{HeaderMatch, QueryMatch, StringMatch};
use http::Method;

fn header(name: &'static str) -> HeaderMatch {
    HeaderMatch { name: http::HeaderName::from_static(name), value: StringMatch::Present }
}

fn query(name: &str) -> QueryMatch {
    QueryMatch { name: name.to_owned(), value: StringMatch::Present }
}

fn named(namespace: &str, name: &str) -> RouteName {
    RouteName::new(RouteKind::Http, Name::new(namespace, name))
}

fn path(path: PathMatch) -> RouteMatch {
    RouteMatch { path, ..RouteMatch::default() }
}

#[test]
fn the_rules_apply_in_the_order_of_the_gateway_api() {
    let short = PathMatch::Prefix("/a".to_owned());
    let many_headers = vec![header("a"), header("b")];
    let ordered = [
        path(PathMatch::Exact("/".to_owned())),
        path(PathMatch::Regex("/[0-9]+".to_owned())),
        path(PathMatch::Regex("/.*".to_owned())),
        path(PathMatch::Prefix("/a/long/prefix".to_owned())),
        RouteMatch { method: Some(Method::GET), ..path(short.clone()) },
        RouteMatch { headers: many_headers, ..path(short.clone()) },
        RouteMatch { headers: vec![header("a")], query: vec![query("a")], ..path(short.clone()) },
        RouteMatch { headers: vec![header("a")], ..path(short.clone()) },
        RouteMatch { query: vec![query("a"), query("b")], ..path(short.clone()) },
        RouteMatch { query: vec![query("a")], ..path(short.clone()) },
        path(short),
        RouteMatch { method: Some(Method::GET), headers: vec![header("a")], ..RouteMatch::default() },
        RouteMatch::default(),
    ];
    let name = named("default", "route");
    // Every later one is older, so that only the match itself can have put it there.
    let ranks: Vec<_> = ordered
        .iter()
        .enumerate()
        .map(|(index, one)| Precedence::of(one, &name, 100 - index as u64, 0, 0))
        .collect();
    assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "{ranks:#?}");
}

#[test]
fn ties_go_to_the_oldest_then_to_the_first_name_then_to_the_first_rule_and_match() {
    let any = RouteMatch::default();
    let (a, b) = (named("default", "a"), named("default", "b"));
    let grpc = RouteName { kind: RouteKind::Grpc, ..b.clone() };
    let elsewhere = named("aaa", "z");
    let ordered = [
        Precedence::of(&any, &b, 1, 9, 9),
        Precedence::of(&any, &elsewhere, 2, 9, 9),
        Precedence::of(&any, &a, 2, 0, 0),
        Precedence::of(&any, &a, 2, 0, 1),
        Precedence::of(&any, &a, 2, 1, 0),
        Precedence::of(&any, &grpc, 2, 9, 9),
        Precedence::of(&any, &b, 2, 0, 0),
    ];
    assert!(ordered.windows(2).all(|pair| pair[0] < pair[1]), "{ordered:#?}");
}
