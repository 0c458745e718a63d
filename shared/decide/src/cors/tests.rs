use super::*;
use std::time::Duration;

fn policy() -> weir_model::Cors {
    weir_model::Cors {
        origins: vec![
            StringMatch::Exact("https://shop.example".to_owned()),
            StringMatch::Regex("https://[a-z]+\\.shop\\.example".to_owned()),
        ],
        methods: vec![Method::GET, Method::PUT],
        headers: vec!["x-cart".parse().unwrap(), "content-type".parse().unwrap()],
        expose: vec!["x-total".parse().unwrap()],
        max_age: Some(Duration::from_secs(600)),
        credentials: false,
    }
}

fn decide(
    policy: &weir_model::Cors,
    method: Method,
    fields: &[(&'static str, &'static str)],
) -> Option<Verdict> {
    let headers =
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let cors = Cors::compile(policy, &mut FieldCompiler::default()).unwrap().unwrap();
    cors.decide(&method, &headers.collect())
}

fn preflight(policy: &weir_model::Cors, origin: &'static str) -> Option<HeaderMap> {
    let fields = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-other"),
    ];
    match decide(policy, Method::OPTIONS, &fields)? {
        Verdict::Preflight(answer) => Some(answer),
        Verdict::Actual(_) => panic!("it only asks"),
    }
}

#[test]
fn a_preflight_is_told_what_is_allowed() {
    let answer = preflight(&policy(), "https://a.shop.example").unwrap();
    assert_eq!(answer["access-control-allow-origin"], "https://a.shop.example");
    assert_eq!(answer["access-control-allow-methods"], "GET, PUT");
    assert_eq!(answer["access-control-allow-headers"], "x-cart, content-type");
    assert_eq!(answer["access-control-max-age"], "600");
    assert_eq!(answer.get("access-control-allow-credentials"), None);
}

#[test]
fn other_origins_are_told_nothing() {
    assert_eq!(preflight(&policy(), "https://shop.example.evil"), None);
    assert_eq!(preflight(&policy(), "null"), None);
    assert_eq!(decide(&policy(), Method::GET, &[]), None);
    assert_eq!(decide(&policy(), Method::GET, &[("origin", "")]), None);
}

#[test]
fn an_actual_request_goes_on() {
    let Some(Verdict::Actual(fields)) = decide(&policy(), Method::GET, &[("origin", "https://shop.example")])
    else {
        panic!("it is allowed")
    };
    assert_eq!(fields["access-control-expose-headers"], "x-total");
    assert_eq!(fields["access-control-allow-origin"], "https://shop.example");
    // Without its question, OPTIONS is a method like others.
    let plain = decide(&policy(), Method::OPTIONS, &[("origin", "https://shop.example")]);
    assert!(matches!(plain, Some(Verdict::Actual(_))));
}

#[test]
fn a_star_is_said_as_it_is_but_with_credentials() {
    let star = weir_model::Cors {
        origins: vec![StringMatch::Exact("*".to_owned())],
        methods: vec![Method::from_bytes(b"*").unwrap()],
        headers: vec!["*".parse().unwrap()],
        ..policy()
    };
    let answer = preflight(&star, "https://anybody").unwrap();
    assert_eq!(answer["access-control-allow-methods"], "*");
    assert_eq!(answer["access-control-allow-headers"], "*");
    let answer = preflight(&weir_model::Cors { credentials: true, ..star }, "https://anybody").unwrap();
    assert_eq!(answer["access-control-allow-origin"], "https://anybody");
    assert_eq!(answer["access-control-allow-methods"], "PUT");
    assert_eq!(answer["access-control-allow-headers"], "x-other");
    assert_eq!(answer["access-control-allow-credentials"], "true");
}

#[test]
fn a_policy_without_origins_is_none() {
    let none = Cors::compile(&weir_model::Cors::default(), &mut FieldCompiler::default()).unwrap();
    assert!(none.is_none());
}
