//! Large configurations: the right one of many, through every index.

use super::*;

const MANY: usize = 10_000;

fn finds(configuration: &RouteConfiguration, request: &Request) -> Option<usize> {
    let matcher = Matcher::compile(configuration).unwrap();
    matcher.find(&request.head(), &mut Random::new(0)).map(|found| found.route)
}

#[test]
fn one_exact_path_of_many() {
    let many = configuration((0..MANY).map(|n| path(PathMatch::Exact(format!("/service/{n}/call")))));
    assert_eq!(finds(&many, &Request::get("/service/7331/call")), Some(7331));
    assert_eq!(finds(&many, &Request::get("/service/10000/call")), None);
}

#[test]
fn one_prefix_of_many() {
    let many = configuration((0..MANY).map(|n| prefix(&format!("/service/{n}"))));
    assert_eq!(finds(&many, &Request::get("/service/7331/x")), Some(7331));
    assert_eq!(finds(&many, &Request::get("/service/73310")), None);
}

#[test]
fn one_header_value_of_many() {
    let condition = |n: usize| RouteMatch {
        method: Some(Method::GET),
        headers: vec![header("x-env", exact("prod")), header("x-tenant", exact(&format!("tenant-{n}")))],
        ..prefix("/")
    };
    let many = configuration((0..MANY).map(condition));
    let request = Request::get("/x").with("x-env", "prod").with("x-tenant", "tenant-7331");
    assert_eq!(finds(&many, &request), Some(7331));
    assert_eq!(finds(&many, &Request::get("/x").with("x-tenant", "tenant-7331")), None);
}

#[test]
fn one_query_value_of_many() {
    let condition =
        |n: usize| RouteMatch { query: vec![query_match("tenant", exact(&format!("t {n}")))], ..prefix("/") };
    let many = configuration((0..MANY).map(condition));
    assert_eq!(finds(&many, &Request::get("/?a=b&tenant=t%207331")), Some(7331));
    assert_eq!(finds(&many, &Request::get("/?a=b&tenant=t")), None);
}

#[test]
fn one_header_name_of_many() {
    let condition = |n: usize| RouteMatch {
        headers: vec![header(&format!("x-{n}"), StringMatch::Present)],
        ..prefix("/")
    };
    let many = configuration((0..1000).map(condition));
    assert_eq!(finds(&many, &Request::get("/").with("x-733", "")), Some(733));
}

#[test]
fn more_parameter_names_than_are_filed_under() {
    let condition =
        |n: usize| RouteMatch { query: vec![query_match(&format!("q{n}"), exact("1"))], ..prefix("/") };
    let many = configuration((0..100).map(condition));
    for n in 0..100 {
        assert_eq!(finds(&many, &Request::get(&format!("/?x=1&q{n}=1"))), Some(n));
    }
}

#[test]
fn one_regex_of_many() {
    // Of different beginnings, of one beginning, and of none.
    let beginnings = (0..300).map(|n| format!("/service/{n}/[a-z]+"));
    let endings = (0..300).map(|n| format!("/shared/[a-z]+/{n}"));
    let anywhere = (0..100).map(|n| format!(".*/any/{n}"));
    let regexes: Vec<String> = beginnings.chain(endings).chain(anywhere).collect();
    let many = configuration(regexes.iter().map(|regex| path(PathMatch::Regex(regex.clone()))));
    let matcher = Matcher::compile(&many).unwrap();
    let find = |target: &str| {
        matcher.find(&Request::get(target).head(), &mut Random::new(0)).map(|found| found.route)
    };
    assert_eq!(find("/service/173/call"), Some(173));
    assert_eq!(find("/shared/call/173"), Some(300 + 173));
    assert_eq!(find("/x/y/any/73"), Some(600 + 73));
    assert_eq!(find("/service/173/call/any/73"), Some(600 + 73));
    assert_eq!(find("/service/173/"), None);
    assert_eq!(find("/shared/call/1730"), None);
}

#[test]
fn as_many_regexes_as_routes_fit() {
    let many = configuration((0..MANY).map(|n| path(PathMatch::Regex(format!(r"/service/{n}/\w+")))));
    assert_eq!(finds(&many, &Request::get("/service/7331/call")), Some(7331));
    assert_eq!(finds(&many, &Request::get("/service/7331/call/x")), None);
}

#[test]
fn what_comes_after_a_route_for_everything_is_not_reached() {
    let tenants =
        (0..MANY).map(|n| RouteMatch { headers: vec![header("x-t", exact(&n.to_string()))], ..prefix("/") });
    let all = configuration(std::iter::once(prefix("/")).chain(tenants));
    assert_eq!(finds(&all, &Request::get("/").with("x-t", "5")), Some(0));
}
