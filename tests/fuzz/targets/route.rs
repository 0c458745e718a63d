//! The matcher finds what explaining one route after another finds, whatever the configuration and the request.
#![no_main]

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use weir_decide::route::{Head, Matcher, explain};
use weir_fuzz::{any, text};
use weir_model::{Random, Resource};
use weir_proto::envoy::envoy::config::route::v3 as pb;
use weir_proto::envoy::envoy::r#type::matcher::v3 as matcher;
use weir_xds::codec::decode;

const PATH: &[&str] = &["/", "a", "b", "/a", "ab", ".", "%2F", "é", "v1", "//"];
const REGEX: &[&str] = &[
    "/", "a", "b", ".*", "[^/]+", "(a|b)", r"\w", r"\b", "?", "+", "{2}", "^", "$", "(?i)", r"\d", "é",
    r"\.", "|", r"[\w.]", r"\B",
];
const HOST: &[&str] = &["a", "b", ".", "A", ":80", "*", "-", "com", ":"];
const VALUE: &[&str] = &["a", "b", "1", " ", ",", "é", ""];
const QUERY: &[&str] = &["p", "q", "=", "&", "a", "%61", "%", "+", ""];
const NAMES: [&str; 4] = ["x-a", "x-b", "accept", ":method"];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    hosts: Vec<Host<'a>>,
    requests: Vec<Request<'a>>,
}

#[derive(Arbitrary, Debug)]
struct Host<'a> {
    domains: Vec<&'a [u8]>,
    routes: Vec<Route<'a>>,
}

#[derive(Arbitrary, Debug)]
struct Route<'a> {
    path: (u8, &'a [u8]),
    headers: Vec<(u8, Condition<'a>)>,
    query: Vec<(u8, Condition<'a>)>,
}

#[derive(Arbitrary, Debug)]
enum Condition<'a> {
    Exact(&'a [u8]),
    Regex(&'a [u8]),
    Prefix(&'a [u8]),
    Present,
}

#[derive(Arbitrary, Debug)]
struct Request<'a> {
    authority: &'a [u8],
    post: bool,
    path: &'a [u8],
    query: Option<&'a [u8]>,
    headers: Vec<(u8, &'a [u8])>,
}

fn regex(bytes: &[u8]) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: text(bytes, REGEX), ..Default::default() }
}

fn condition(condition: &Condition<'_>) -> Option<matcher::StringMatcher> {
    use matcher::string_matcher::MatchPattern;
    let pattern = match condition {
        Condition::Exact(bytes) => MatchPattern::Exact(text(bytes, VALUE)),
        Condition::Regex(bytes) => MatchPattern::SafeRegex(regex(bytes)),
        Condition::Prefix(bytes) => MatchPattern::Prefix(text(bytes, VALUE)),
        Condition::Present => return None,
    };
    Some(matcher::StringMatcher { match_pattern: Some(pattern), ..Default::default() })
}

fn route(route: &Route<'_>) -> pb::Route {
    use pb::header_matcher::HeaderMatchSpecifier;
    use pb::query_parameter_matcher::QueryParameterMatchSpecifier;
    use pb::route_match::PathSpecifier;
    let (kind, bytes) = route.path;
    let path = match kind % 4 {
        0 => PathSpecifier::Path(text(bytes, PATH)),
        1 => PathSpecifier::PathSeparatedPrefix(format!("/{}", text(bytes, PATH).trim_matches('/'))),
        2 => PathSpecifier::Prefix(text(bytes, PATH)),
        _ => PathSpecifier::SafeRegex(regex(bytes)),
    };
    let headers = route.headers.iter().take(3).map(|(name, value)| pb::HeaderMatcher {
        name: NAMES[usize::from(*name) % NAMES.len()].to_owned(),
        header_match_specifier: Some(match condition(value) {
            Some(value) => HeaderMatchSpecifier::StringMatch(value),
            None => HeaderMatchSpecifier::PresentMatch(true),
        }),
        ..Default::default()
    });
    let query = route.query.iter().take(2).map(|(name, value)| pb::QueryParameterMatcher {
        name: ["p", "q"][usize::from(*name) % 2].to_owned(),
        query_parameter_match_specifier: Some(match condition(value) {
            Some(value) => QueryParameterMatchSpecifier::StringMatch(value),
            None => QueryParameterMatchSpecifier::PresentMatch(true),
        }),
    });
    let matches = pb::RouteMatch {
        path_specifier: Some(path),
        headers: headers.collect(),
        query_parameters: query.collect(),
        ..Default::default()
    };
    let direct = pb::DirectResponseAction { status: 200, ..Default::default() };
    pb::Route {
        r#match: Some(matches),
        action: Some(pb::route::Action::DirectResponse(direct)),
        ..Default::default()
    }
}

fuzz_target!(|input: Input<'_>| {
    let hosts = input.hosts.iter().take(4).enumerate().map(|(index, host)| pb::VirtualHost {
        name: index.to_string(),
        domains: host.domains.iter().take(3).map(|domain| text(domain, HOST)).collect(),
        routes: host.routes.iter().take(16).map(route).collect(),
        ..Default::default()
    });
    let configuration =
        pb::RouteConfiguration { name: "r".to_owned(), virtual_hosts: hosts.collect(), ..Default::default() };
    let Ok(Resource::Route(configuration)) = decode(&any(&configuration)) else { return };
    let Ok(matcher) = Matcher::compile(&configuration) else { return };
    let mut random = Random::new(1);
    for request in input.requests.iter().take(16) {
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers.iter().take(4) {
            if let Ok(value) = HeaderValue::from_str(&text(value, VALUE)) {
                headers.append(NAMES[usize::from(*name) % 3], value);
            }
        }
        let query = request.query.map(|query| text(query, QUERY));
        let head = Head {
            authority: &text(request.authority, HOST),
            method: if request.post { &Method::POST } else { &Method::GET },
            path: &text(request.path, PATH),
            query: query.as_deref(),
            headers: &headers,
        };
        let explanation = explain(&configuration, &head);
        assert_eq!(matcher.find(&head, &mut random), explanation.chosen, "{head:?}\n{explanation}");
    }
});
