use super::*;
use http::{HeaderName, HeaderValue};
use weir_model::{
    DirectResponse, Fraction, HeaderMatch, HeaderMutation, PathMatch, QueryMatch, Route, RouteAction,
    RouteMatch, StringMatch, VirtualHost,
};

mod linear;
mod scale;

/// A route with these conditions; what it does is of no matter here.
pub(super) fn route(matches: RouteMatch) -> Route {
    Route {
        name: String::new(),
        stat_prefix: String::new(),
        matches,
        action: RouteAction::Direct(DirectResponse { status: http::StatusCode::OK, body: String::new() }),
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
        filters: None,
    }
}

pub(super) fn path(path: PathMatch) -> RouteMatch {
    RouteMatch { path, ..RouteMatch::default() }
}

pub(super) fn prefix(text: &str) -> RouteMatch {
    path(PathMatch::Prefix(text.to_owned()))
}

pub(super) fn header(name: &str, value: StringMatch) -> HeaderMatch {
    HeaderMatch { name: HeaderName::try_from(name).unwrap(), value }
}

pub(super) fn query_match(name: &str, value: StringMatch) -> QueryMatch {
    QueryMatch { name: name.to_owned(), value }
}

pub(super) fn exact(text: &str) -> StringMatch {
    StringMatch::Exact(text.to_owned())
}

/// One virtual host for everything.
pub(super) fn configuration(matches: impl IntoIterator<Item = RouteMatch>) -> RouteConfiguration {
    let routes = matches.into_iter().map(route).collect();
    let host = VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes,
        filters: None,
        options: None,
    };
    RouteConfiguration { name: "test".to_owned(), virtual_hosts: vec![host], options: None }
}

/// A request, owned.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) authority: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
}

impl Request {
    pub(super) fn get(path: &str) -> Self {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        Self {
            authority: "reviews".to_owned(),
            method: Method::GET,
            path: path.to_owned(),
            query: query.map(str::to_owned),
            headers: HeaderMap::new(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn head(&self) -> Head<'_> {
        Head {
            authority: &self.authority,
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }
}

fn takes(matches: RouteMatch, request: &Request) -> bool {
    let matcher = Matcher::compile(&configuration([matches])).unwrap();
    matcher.find(&request.head(), &mut Random::new(0)).is_some()
}

#[test]
fn prefixes_are_whole_segments() {
    let table = [
        ("/v2", "/v2", true),
        ("/v2", "/v2/", true),
        ("/v2", "/v2/example", true),
        ("/v2", "/v2//", true),
        ("/v2", "/v2example", false),
        ("/v2", "/v", false),
        ("/v2", "/V2", false),
        ("/v2", "/a/v2", false),
        ("/v2", "/", false),
        ("/v2/", "/v2", true),
        ("/v2/", "/v2/example", true),
        ("/v2/", "/v2example", false),
        ("/a/b", "/a/b/c", true),
        ("/a/b", "/a", false),
        ("/a/b", "/a/bc", false),
        ("/a/b", "/a//b", false),
        ("/", "/", true),
        ("/", "/anything/at/all", true),
        ("/", "*", true),
        ("/", "", true),
        ("", "/x", true),
        ("/v2", "*", false),
        ("/v2", "v2", false),
        ("/é", "/é/x", true),
        ("/%20", "/%20/x", true),
    ];
    for (text, actual, expected) in table {
        assert_eq!(takes(prefix(text), &Request::get(actual)), expected, "{text} {actual}");
    }
}

#[test]
fn exact_paths_are_the_whole_path() {
    let exact = |text: &str| path(PathMatch::Exact(text.to_owned()));
    for (text, actual, expected) in [
        ("/a", "/a", true),
        ("/a", "/a/", false),
        ("/a/", "/a", false),
        ("/a", "/A", false),
        ("/", "/", true),
        ("/", "/a", false),
    ] {
        assert_eq!(takes(exact(text), &Request::get(actual)), expected, "{text} {actual}");
    }
    assert!(takes(exact("/a"), &Request::get("/a?b=c")));
}

#[test]
fn of_several_header_fields_one_is_enough() {
    let condition =
        |value: StringMatch| RouteMatch { headers: vec![header("x-a", value)], ..RouteMatch::default() };
    let one = Request::get("/").with("x-a", "1");
    let two = one.clone().with("x-a", "2");
    assert!(takes(condition(exact("1")), &one));
    assert!(takes(condition(exact("1")), &two));
    assert!(takes(condition(exact("2")), &two));
    assert!(!takes(condition(exact("1,2")), &two));
    assert!(takes(condition(StringMatch::Regex("[2-9]".into())), &two));
    assert!(!takes(condition(StringMatch::Regex("[0-9](,[0-9])+".into())), &two));
    assert!(takes(condition(StringMatch::Present), &two));
    assert!(!takes(condition(StringMatch::Present), &Request::get("/")));
    assert!(!takes(condition(StringMatch::Regex(".*".into())), &Request::get("/")));
    assert!(takes(condition(exact("")), &Request::get("/").with("x-a", "")));
}

#[test]
fn the_first_parameter_of_a_name_counts_decoded() {
    let condition = |name: &str, value: StringMatch| RouteMatch {
        query: vec![query_match(name, value)],
        ..RouteMatch::default()
    };
    let table = [
        ("a", exact("1"), "/?a=1", true),
        ("a", exact("1"), "/?b=2&a=1", true),
        ("a", exact("1"), "/?a=2&a=1", false),
        ("a", exact("1 2"), "/?a=1%202", true),
        ("a", exact("1+2"), "/?a=1+2", true),
        ("a", exact("100%"), "/?a=100%", true),
        ("a", exact("%zz"), "/?a=%zz", true),
        ("a b", exact("é"), "/?a%20b=%C3%A9", true),
        ("a", exact(""), "/?a", true),
        ("a", exact(""), "/?a=", true),
        ("a", exact("b=c"), "/?a=b=c", true),
        ("a", StringMatch::Present, "/?&&a", true),
        ("a", StringMatch::Present, "/?A=1", false),
        ("", StringMatch::Present, "/?&&a", false),
        ("", exact("1"), "/?=1", true),
        ("a", StringMatch::Present, "/?", false),
        ("a", StringMatch::Present, "/", false),
        ("a", StringMatch::Regex("[0-9]+".into()), "/?a=%31%32", true),
        ("a", StringMatch::Regex("[0-9]+".into()), "/?a=1x", false),
    ];
    for (name, value, actual, expected) in table {
        assert_eq!(
            takes(condition(name, value.clone()), &Request::get(actual)),
            expected,
            "{name} {value:?} {actual}"
        );
    }
}

#[test]
fn fractions_are_decided_by_one_number() {
    let share = |parts| RouteMatch { fraction: Some(Fraction(parts)), ..prefix("/a") };
    let matcher = Matcher::compile(&configuration([share(100_000), share(500_000), prefix("/a")])).unwrap();
    let mut random = Random::new(3);
    let mut counts = [0u32; 3];
    let requests = 50_000;
    let request = Request::get("/a");
    for _ in 0..requests {
        counts[matcher.find(&request.head(), &mut random).unwrap().route] += 1;
    }
    for (count, expected) in counts.into_iter().zip([0.1, 0.4, 0.5]) {
        let deviation = (f64::from(requests) * expected * (1.0 - expected)).sqrt();
        assert!((f64::from(count) - f64::from(requests) * expected).abs() < 4.5 * deviation, "{counts:?}");
    }
    assert_eq!(matcher.find(&Request::get("/b").head(), &mut random), None);
}

#[test]
fn chance_is_drawn_only_where_it_decides() {
    let share = |parts| RouteMatch { fraction: Some(Fraction(parts)), ..prefix("/a") };
    let matcher = Matcher::compile(&configuration([share(0), share(1_000_000), share(500_000)])).unwrap();
    let mut random = Random::new(3);
    for target in ["/a", "/b"] {
        matcher.find(&Request::get(target).head(), &mut random);
    }
    assert_eq!(random.next_u64(), Random::new(3).next_u64());
}

#[test]
fn what_cannot_be_compiled_is_named() {
    let regex = |text: &str| StringMatch::Regex(text.to_owned());
    let table = [
        (prefix("v2"), "path.prefix", "slash"),
        (path(PathMatch::Exact("v2".into())), "path.exact", "slash"),
        (path(PathMatch::Exact(String::new())), "path.exact", "slash"),
        (path(PathMatch::Regex("/(a".into())), "path.regex", "unclosed group"),
        (path(PathMatch::Regex("/a)(b".into())), "path.regex", "unopened group"),
        (path(PathMatch::Regex(r"/(a)\1".into())), "path.regex", "backreferences are not supported"),
        (path(PathMatch::Regex("/(?=a)".into())), "path.regex", "look-around"),
        (path(PathMatch::Regex("a".repeat(1025))), "path.regex", "1025 bytes long; at most 1024"),
        (path(PathMatch::Regex("/(a{1000}){1000}".into())), "path.regex", "1048576 bytes"),
        (
            RouteMatch {
                headers: vec![header("x-a", exact("1")), header("x-b", regex("["))],
                ..RouteMatch::default()
            },
            "headers[1].value.regex",
            "unclosed character class",
        ),
        (
            RouteMatch { query: vec![query_match("q", regex("*"))], ..RouteMatch::default() },
            "query[0].value.regex",
            "repetition operator missing expression",
        ),
    ];
    for (bad, field, message) in table {
        let error = Matcher::compile(&configuration([prefix("/fine"), bad])).unwrap_err();
        assert_eq!(error.field, format!("virtual_hosts[0].routes[1].match.{field}"));
        assert!(error.message.contains(message), "{field}: {:?} does not say {message:?}", error.message);
        assert!(!error.message.contains('\n'));
        assert_eq!(error.to_string(), format!("{}: {}", error.field, error.message));
    }
}

#[test]
fn a_configuration_has_bounds() {
    let many = configuration((0..=limits::ROUTES).map(|_| prefix("/")));
    let error = Matcher::compile(&many).unwrap_err();
    assert_eq!(error.field, "virtual_hosts[0].routes");
}

#[test]
fn nothing_matches_in_an_empty_configuration() {
    let empty = RouteConfiguration { name: String::new(), virtual_hosts: vec![], options: None };
    let matcher = Matcher::compile(&empty).unwrap();
    assert_eq!(matcher.find(&Request::get("/").head(), &mut Random::new(0)), None);
    let matcher = Matcher::compile(&configuration([])).unwrap();
    assert_eq!(matcher.find(&Request::get("/").head(), &mut Random::new(0)), None);
}
