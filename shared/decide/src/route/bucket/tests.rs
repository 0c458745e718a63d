use super::super::pattern::Library;
use super::super::tests::{Request, exact, header, query_match};
use super::*;
use weir_model::{RouteMatch, StringMatch};

/// How many routes a request has to be compared with at most.
fn candidates(matches: Vec<RouteMatch>, request: &Request) -> usize {
    let mut library = Library::default();
    let conditions: Vec<Conditions> =
        matches.iter().map(|matches| Conditions::compile(matches, &mut library).unwrap()).collect();
    let bucket = Bucket::build((0..matches.len() as u32).collect(), &conditions);
    let mut count = bucket.linear.len();
    if let Some(index) = &bucket.index {
        index.candidates(&request.head(), &mut |list: &List| count += list.len());
    }
    count
}

#[test]
fn the_rarest_condition_narrows_most() {
    let request = Request::get("/?page=77&lang=en").with("x-env", "prod").with("x-tenant", "77");
    for of in [100, 10_000] {
        let tenant = |n: usize| RouteMatch {
            method: Some(Method::GET),
            headers: vec![header("x-env", exact("prod")), header("x-tenant", exact(&n.to_string()))],
            query: vec![query_match("lang", exact("en"))],
            ..RouteMatch::default()
        };
        assert_eq!(candidates((0..of).map(tenant).collect(), &request), 1);
        let page = |n: usize| RouteMatch {
            headers: vec![header("x-env", exact("prod"))],
            query: vec![
                query_match("page", exact(&n.to_string())),
                query_match("lang", StringMatch::Present),
            ],
            ..RouteMatch::default()
        };
        assert_eq!(candidates((0..of).map(page).collect(), &request), 1);
        let name = |n: usize| RouteMatch {
            headers: vec![header(&format!("x-{n}"), StringMatch::Regex("a+".into()))],
            ..RouteMatch::default()
        };
        assert_eq!(candidates((0..of).map(name).collect(), &request), 0);
        let method = |n: usize| RouteMatch {
            method: Some(Method::from_bytes(format!("M{n}").as_bytes()).unwrap()),
            ..RouteMatch::default()
        };
        assert_eq!(candidates((0..of).map(method).collect(), &request), 0);
    }
}

#[test]
fn the_unreachable_is_not_kept() {
    let tenant =
        |n: usize| RouteMatch { headers: vec![header("x", exact(&n.to_string()))], ..RouteMatch::default() };
    let never = RouteMatch { fraction: Some(weir_model::Fraction(0)), ..RouteMatch::default() };
    let all = [never, RouteMatch::default()].into_iter().chain((0..50).map(tenant)).collect();
    assert_eq!(candidates(all, &Request::get("/")), 1);
}
