//! The matcher against a reference that looks at every route in order and shares no code with it.

use super::*;
use proptest::prelude::*;
use regex::bytes::Regex;
use weir_model::access_log::LogField;
use weir_model::{FieldCondition, MoreConditions, ValueCondition};

const PATH_REGEXES: [&str; 9] =
    [".*", "/a.*", "/a/[ab]+", "/a/b(/.*)?", "/(a|ab)/.*", "(?i)/A/B", r"/a\b.*", r"/\w+", "/v2$|/v2/.*"];
const VALUE_REGEXES: [&str; 4] = ["[ab]", "a.*", r"\w+\b", ""];

fn whole(regex: &str, text: &[u8]) -> bool {
    // The reference is Unicode unless it is told otherwise.
    let regex = regex.replace(r"\b", r"(?-u:\b)").replace(r"\w", "[0-9A-Za-z_]");
    Regex::new(&format!("^(?:{regex})$")).unwrap().is_match(text)
}

fn string_matches(expected: &StringMatch, actual: &[u8]) -> bool {
    match expected {
        StringMatch::Exact(exact) => exact.as_bytes() == actual,
        StringMatch::Regex(regex) => whole(regex, actual),
        StringMatch::Present => true,
    }
}

/// Both in lower case, where case does not matter; expressions say it themselves.
fn path_matches(expected: &PathMatch, actual: &str, ignore_case: bool) -> bool {
    let ignore_case = ignore_case && !matches!(expected, PathMatch::Regex(_));
    let lower = |text: &String| if ignore_case { text.to_ascii_lowercase() } else { text.clone() };
    let actual = &*lower(&actual.to_owned());
    let expected = match expected {
        PathMatch::Exact(path) => PathMatch::Exact(lower(path)),
        PathMatch::Prefix(path) => PathMatch::Prefix(lower(path)),
        PathMatch::Characters(path) => PathMatch::Characters(lower(path)),
        PathMatch::Regex(path) => PathMatch::Regex(path.clone()),
    };
    match &expected {
        PathMatch::Exact(exact) => exact == actual,
        PathMatch::Prefix(prefix) => {
            let bare = prefix.strip_suffix('/').unwrap_or(prefix);
            bare.is_empty() || actual == bare || actual.starts_with(&format!("{bare}/"))
        }
        PathMatch::Characters(prefix) => actual.starts_with(prefix.as_str()),
        PathMatch::Regex(regex) => whole(regex, actual.as_bytes()),
    }
}

fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match hex {
            Some(hex) if bytes[at] == b'%' => {
                decoded.push(u8::from_str_radix(hex, 16).unwrap());
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn parameter(query: Option<&str>, name: &str) -> Option<Vec<u8>> {
    let mut pairs = query?.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut parts = pair.splitn(2, '=');
        (decode(parts.next().unwrap_or_default()), decode(parts.next().unwrap_or_default()))
    });
    pairs.find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value)
}

fn route_matches(matches: &RouteMatch, head: &Head<'_>) -> bool {
    let default = weir_model::MoreConditions::default();
    let more = matches.more.as_deref().unwrap_or(&default);
    path_matches(&matches.path, head.path, more.ignore_case)
        && more.absent_query.iter().all(|name| parameter(head.query, name).is_none())
        && more.fields.iter().all(|condition| {
            let LogField::Header(name) = &condition.field else { panic!("only header fields are made here") };
            let mut values: Vec<&[u8]> =
                head.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            if values.is_empty() && condition.missing_is_empty {
                values.push(b"");
            }
            match &condition.value {
                ValueCondition::Absent => values.is_empty() != condition.invert,
                ValueCondition::Text(StringMatch::Present) => values.is_empty() == condition.invert,
                ValueCondition::Text(_) | ValueCondition::Range(..) if values.is_empty() => false,
                ValueCondition::Text(text) => {
                    values.iter().any(|value| string_matches(text, value)) != condition.invert
                }
                ValueCondition::Range(..) => panic!("none is made here"),
            }
        })
        && matches.method.as_ref().is_none_or(|method| method == head.method)
        && matches.headers.iter().all(|condition| {
            let mut fields = head.headers.get_all(&condition.name).iter();
            fields.any(|actual| string_matches(&condition.value, actual.as_bytes()))
        })
        && matches.query.iter().all(|condition| {
            parameter(head.query, &condition.name)
                .is_some_and(|actual| string_matches(&condition.value, &actual))
        })
        && matches.fraction.is_none_or(|fraction| fraction.0 > 0)
}

fn host_of(configuration: &RouteConfiguration, authority: &str) -> Option<usize> {
    let full = authority.to_ascii_lowercase();
    let domains = || {
        let hosts = configuration.virtual_hosts.iter().enumerate();
        hosts.flat_map(|(index, host)| host.domains.iter().map(move |domain| (index, domain.as_str())))
    };
    let exact = |name: &str| domains().find(|(_, domain)| *domain == name).map(|(index, _)| index);
    let wild = |name: &str| {
        let fits = domains().filter(|(_, domain)| {
            domain.len() > 1
                && domain.starts_with('*')
                && name.len() >= domain.len()
                && name.ends_with(&domain[1..])
        });
        fits.max_by_key(|(_, domain)| domain.len()).map(|(index, _)| index)
    };
    exact(&full).or_else(|| wild(&full)).or_else(|| exact("*"))
}

fn reference(configuration: &RouteConfiguration, head: &Head<'_>) -> Option<RouteIndex> {
    let host = host_of(configuration, head.authority)?;
    let routes = &configuration.virtual_hosts[host].routes;
    let route = routes.iter().position(|route| route_matches(&route.matches, head))?;
    Some(RouteIndex { host, route })
}

fn a_path() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => "(/(a|b|ab|v2|V2|v2x|é|A)?){0,4}",
        1 => Just("*".to_owned()),
    ]
}

fn a_path_match() -> impl Strategy<Value = PathMatch> {
    prop_oneof![
        4 => "(/(a|b|ab|v2|v2x|é)?){1,3}".prop_map(PathMatch::Exact),
        6 => "(/(a|b|ab|v2|v2x|é)?){0,3}".prop_map(PathMatch::Prefix),
        2 => "(/(a|b|ab|v2|v2x|é)?){1,3}".prop_map(PathMatch::Characters),
        2 => prop::sample::select(&PATH_REGEXES[..]).prop_map(|regex| PathMatch::Regex(regex.to_owned())),
    ]
}

fn a_value() -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        4 => "[abc]{0,1}|a,b|a b".prop_map(StringMatch::Exact),
        1 => prop::sample::select(&VALUE_REGEXES[..]).prop_map(|regex| StringMatch::Regex(regex.to_owned())),
        1 => Just(StringMatch::Present),
    ]
}

fn a_method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![Method::GET, Method::POST, Method::from_bytes(b"PURGE").unwrap()])
}

fn a_match() -> impl Strategy<Value = RouteMatch> {
    let name = || prop::sample::select(vec!["x-a", "x-b", "x-c", "accept"]);
    let headers =
        prop::collection::vec((name(), a_value()).prop_map(|(name, value)| header(name, value)), 0..3);
    let parameter = ("[pq ]", a_value()).prop_map(|(name, value)| query_match(&name, value));
    let query = prop::collection::vec(parameter, 0..2);
    let fraction = prop::option::weighted(0.1, prop::sample::select(vec![Fraction(0), Fraction(1_000_000)]));
    let method = prop::option::weighted(0.3, a_method());
    let more = prop::option::weighted(0.3, more());
    (a_path_match(), method, headers, query, fraction, more).prop_map(
        |(path, method, headers, query, fraction, more)| RouteMatch {
            path,
            method,
            headers,
            query,
            fraction,
            more,
        },
    )
}

/// What few routes ask.
fn more() -> impl Strategy<Value = Box<MoreConditions>> {
    let value = prop_oneof![a_value().prop_map(ValueCondition::Text), Just(ValueCondition::Absent)];
    let name = prop::sample::select(vec!["x-a", "x-b", "x-c"]);
    let field = (name, value, any::<(bool, bool)>()).prop_map(|(name, value, (invert, missing_is_empty))| {
        let field = LogField::Header(HeaderName::from_static(name));
        FieldCondition { field, value, invert, missing_is_empty }
    });
    (any::<bool>(), prop::collection::vec(field, 0..2), prop::collection::vec("[pq]", 0..2)).prop_map(
        |(ignore_case, fields, absent_query)| {
            Box::new(MoreConditions { ignore_case, fields, absent_query, ..MoreConditions::default() })
        },
    )
}

/// Routes of few different paths, so that many share one.
fn routes() -> impl Strategy<Value = Vec<RouteMatch>> {
    let crowded =
        (a_path_match(), prop::collection::vec(a_match(), 0..60)).prop_map(|(path, mut matches)| {
            matches.iter_mut().for_each(|route| route.path = path.clone());
            matches
        });
    prop_oneof![
        prop::collection::vec(a_match(), 0..40),
        (prop::collection::vec(a_match(), 0..10), crowded, prop::collection::vec(a_match(), 0..10))
            .prop_map(|(before, crowd, after)| [before, crowd, after].concat()),
    ]
}

fn an_authority() -> impl Strategy<Value = String> {
    "(a|b|A\\.com|a\\.com|b\\.a\\.com|c\\.b\\.a\\.com|\\.com|x)(:80|:81)?"
}

fn a_configuration() -> impl Strategy<Value = RouteConfiguration> {
    let domain = "(\\*|(\\*\\.)?(a|a\\.com|b\\.a\\.com|com)(:80)?)";
    prop::collection::vec((domain, routes()), 1..4).prop_map(|hosts| {
        let mut taken = std::collections::BTreeSet::new();
        let hosts = hosts.into_iter().enumerate().map(|(index, (domain, matches))| VirtualHost {
            name: index.to_string(),
            domains: if taken.insert(domain.clone()) { vec![domain] } else { vec![] },
            routes: matches.into_iter().map(route).collect(),
            filters: None,
            options: None,
        });
        RouteConfiguration { name: String::new(), virtual_hosts: hosts.collect(), options: None }
    })
}

fn a_request() -> impl Strategy<Value = Request> {
    let name = || prop::sample::select(vec!["x-a", "x-b", "x-c", "accept", "x-d"]);
    let headers = prop::collection::vec((name(), "[abc]{0,2}|a b"), 0..4);
    let query = prop::option::of("([pq ]|%70)(=([abc]|%61|%|a%20b)?)?(&[pq]=[ab]){0,2}&?");
    (an_authority(), a_method(), a_path(), query, headers).prop_map(
        |(authority, method, path, query, fields)| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, HeaderValue::from_str(&value).unwrap());
            }
            Request { authority, method, path, query, headers }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_matcher_finds_what_a_linear_scan_finds(
        configuration in a_configuration(),
        requests in prop::collection::vec(a_request(), 1..30),
        seed: u64,
    ) {
        let matcher = Matcher::compile(&configuration).unwrap();
        let mut random = Random::new(seed);
        for request in &requests {
            let head = request.head();
            let expected = reference(&configuration, &head);
            prop_assert_eq!(matcher.find(&head, &mut random), expected, "{:?}", request);
            let explanation = explain(&configuration, &head);
            prop_assert_eq!(explanation.chosen.filter(|chosen| {
                configuration.virtual_hosts[chosen.host].routes[chosen.route].matches.fraction != Some(Fraction(0))
            }), expected, "{}", explanation);
        }
    }

    #[test]
    fn no_request_breaks_it(
        configuration in a_configuration(),
        authority in any::<String>(),
        path in any::<String>(),
        query in any::<Option<String>>(),
    ) {
        let matcher = Matcher::compile(&configuration).unwrap();
        let request = Request { authority, method: Method::GET, path, query, headers: HeaderMap::new() };
        matcher.find(&request.head(), &mut Random::new(0));
    }
}
