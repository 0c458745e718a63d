use super::*;
use http::HeaderValue;
use proptest::prelude::*;
use weir_model::{HeaderMatch, RetryOn, StringMatch};

const BUDGET: RetryBudget = RetryBudget { parts_per_million: 200_000, min_concurrency: 3 };

fn policy(on: RetryOn) -> RetryPolicy {
    RetryPolicy { attempts: 2, on, ..RetryPolicy::default() }
}

fn retry(on: RetryOn) -> Retry {
    Retry::compile(&policy(on), &mut FieldCompiler::default()).unwrap()
}

fn everything() -> RetryOn {
    RetryOn {
        connect_failure: true,
        refused_stream: true,
        reset: true,
        statuses: vec![StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT],
        grpc: vec![14],
        ..RetryOn::default()
    }
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    fields.iter().map(pair).collect()
}

fn grpc(code: &'static str) -> HeaderMap {
    headers(&[("grpc-status", code)])
}

fn ask(on: RetryOn, outcome: Outcome<'_>, request: Request<'_>, load: Load) -> Verdict {
    should_retry(&retry(on), &outcome, &request, load, &BUDGET)
}

fn decide(on: RetryOn, outcome: Outcome<'_>, method: &Method) -> Verdict {
    ask(on, outcome, Request { method, retries: 0, headers: None }, Load { requests: 10, retries: 0 })
}

/// The safety table: everything is listed, so only safety decides.
#[test]
fn what_may_have_had_an_effect_is_repeated_only_if_idempotent() {
    use Outcome::*;
    use Verdict::*;
    let post = Method::POST;
    let patch = Method::PATCH;
    let own = Method::from_bytes(b"PURGE").unwrap();
    let ok = StatusCode::OK;
    let (plain, good, unavailable, internal) = (HeaderMap::new(), grpc("0"), grpc("14"), grpc("13"));
    let table = [
        // Nothing was sent, or the peer says that nothing was done.
        (ConnectFailure, &post, Retry),
        (Refused, &post, Retry),
        (Refused, &own, Retry),
        // Something may have been done.
        (Reset { reused: false }, &Method::GET, Retry),
        (Reset { reused: false }, &Method::HEAD, Retry),
        (Reset { reused: false }, &Method::OPTIONS, Retry),
        (Reset { reused: false }, &Method::PUT, Retry),
        (Reset { reused: false }, &Method::DELETE, Retry),
        (Reset { reused: false }, &Method::TRACE, Retry),
        (Reset { reused: false }, &post, Unsafe),
        (Reset { reused: false }, &patch, Unsafe),
        (Reset { reused: false }, &Method::CONNECT, Unsafe),
        (Reset { reused: false }, &own, Unsafe),
        (Reset { reused: true }, &Method::GET, Retry),
        (Reset { reused: true }, &post, Unsafe),
        (Timeout, &Method::GET, Retry),
        (Timeout, &post, Unsafe),
        // The operator listed it.
        (Response(StatusCode::SERVICE_UNAVAILABLE, &plain), &post, Retry),
        (Response(ok, &unavailable), &post, Retry),
        // And did not list these.
        (Response(StatusCode::INTERNAL_SERVER_ERROR, &plain), &Method::GET, NotListed),
        (Response(ok, &plain), &Method::GET, NotListed),
        (Response(ok, &good), &post, NotListed),
        (Response(ok, &internal), &post, NotListed),
    ];
    for (outcome, method, expected) in table {
        assert_eq!(decide(everything(), outcome, method), expected, "{outcome:?} {method}");
    }
}

#[test]
fn only_what_is_listed_is_repeated() {
    let none = RetryOn::default;
    let unavailable = grpc("14");
    let outcomes = [
        Outcome::ConnectFailure,
        Outcome::Refused,
        Outcome::Reset { reused: true },
        Outcome::Response(StatusCode::BAD_GATEWAY, &unavailable),
        Outcome::Timeout,
    ];
    for outcome in outcomes {
        assert_eq!(decide(none(), outcome, &Method::GET), Verdict::NotListed, "{outcome:?}");
    }
    let connect = || RetryOn { connect_failure: true, ..none() };
    assert_eq!(decide(connect(), Outcome::ConnectFailure, &Method::POST), Verdict::Retry);
    assert_eq!(decide(connect(), Outcome::Reset { reused: true }, &Method::GET), Verdict::Retry);
    assert_eq!(decide(connect(), Outcome::Reset { reused: false }, &Method::GET), Verdict::NotListed);
    let reset = || RetryOn { reset: true, ..none() };
    for outcome in
        [Outcome::ConnectFailure, Outcome::Refused, Outcome::Reset { reused: false }, Outcome::Timeout]
    {
        assert_eq!(decide(reset(), outcome, &Method::GET), Verdict::Retry, "{outcome:?}");
    }
    let statuses = || RetryOn { statuses: vec![StatusCode::GATEWAY_TIMEOUT], ..none() };
    assert_eq!(decide(statuses(), Outcome::Timeout, &Method::GET), Verdict::NotListed, "nobody answered 504");
}

#[test]
fn a_response_is_listed_by_its_fields_too() {
    let field = HeaderMatch { name: "x-try".parse().unwrap(), value: StringMatch::Exact("again".to_owned()) };
    let on = || RetryOn { headers: vec![field.clone()], ..RetryOn::default() };
    for (value, expected) in [("again", Verdict::Retry), ("no", Verdict::NotListed)] {
        let response = headers(&[("x-try", value)]);
        assert_eq!(decide(on(), Outcome::Response(StatusCode::OK, &response), &Method::POST), expected);
    }
}

#[test]
fn a_slow_attempt_is_overtaken_only_where_that_is_wanted_and_harmless() {
    let ask = |hedge, method| {
        let policy = RetryPolicy { hedge, ..policy(RetryOn::default()) };
        let retry = Retry::compile(&policy, &mut FieldCompiler::default()).unwrap();
        let request = Request { method, retries: 0, headers: None };
        should_retry(&retry, &Outcome::Overtaken, &request, Load { requests: 10, retries: 0 }, &BUDGET)
    };
    assert_eq!(ask(true, &Method::GET), Verdict::Retry);
    assert_eq!(ask(true, &Method::POST), Verdict::Unsafe);
    assert_eq!(ask(false, &Method::GET), Verdict::NotListed);
}

#[test]
fn a_rate_limit_is_retried_only_where_it_is_listed() {
    let limited = headers(&[("x-envoy-ratelimited", "true")]);
    let outcome = || Outcome::Response(StatusCode::SERVICE_UNAVAILABLE, &limited);
    assert_eq!(decide(everything(), outcome(), &Method::GET), Verdict::NotListed);
    let on = RetryOn { rate_limited: true, ..RetryOn::default() };
    assert_eq!(decide(on.clone(), outcome(), &Method::GET), Verdict::Retry);
    let plain = HeaderMap::new();
    let other = Outcome::Response(StatusCode::SERVICE_UNAVAILABLE, &plain);
    assert_eq!(decide(on, other, &Method::GET), Verdict::NotListed);
}

#[test]
fn only_requests_with_a_listed_field_are_retried() {
    let field = HeaderMatch { name: "x-retry".parse().unwrap(), value: StringMatch::Present };
    let policy = RetryPolicy { requests: vec![field], ..policy(everything()) };
    let retry = Retry::compile(&policy, &mut FieldCompiler::default()).unwrap();
    assert!(retry.takes(&headers(&[("x-retry", "")])));
    assert!(!retry.takes(&HeaderMap::new()));
    assert!(super::tests::retry(everything()).takes(&HeaderMap::new()));
}

#[test]
fn attempts_and_budget_run_out() {
    let ask = |retries, requests, active| {
        let request = Request { method: &Method::GET, retries, headers: None };
        ask(everything(), Outcome::ConnectFailure, request, Load { requests, retries: active })
    };
    assert_eq!(ask(1, 10, 0), Verdict::Retry);
    assert_eq!(ask(2, 10, 0), Verdict::Exhausted);
    assert_eq!(ask(0, 10, 2), Verdict::Retry);
    assert_eq!(ask(0, 10, 3), Verdict::OverBudget);
    assert_eq!(ask(0, 100, 19), Verdict::Retry);
    assert_eq!(ask(0, 100, 20), Verdict::OverBudget);
}

#[test]
fn a_further_attempt_of_somebody_else_is_not_repeated_where_work_was_done() {
    let plain = HeaderMap::new();
    let mut marked = HeaderMap::new();
    storm::mark(&mut marked, 2);
    let further = |outcome| {
        let request = Request { method: &Method::GET, retries: 0, headers: Some(&marked) };
        ask(everything(), outcome, request, Load { requests: 10, retries: 0 })
    };
    assert_eq!(further(Outcome::Response(StatusCode::BAD_GATEWAY, &plain)), Verdict::Further);
    assert_eq!(further(Outcome::Timeout), Verdict::Further);
    assert_eq!(further(Outcome::Refused), Verdict::Further);
    assert_eq!(further(Outcome::Reset { reused: false }), Verdict::Further);
    assert_eq!(further(Outcome::ConnectFailure), Verdict::Retry);
    assert_eq!(further(Outcome::Reset { reused: true }), Verdict::Retry);
    assert!(!Verdict::Further.is_spent(), "who is above still has its attempts");
}

#[test]
fn a_response_that_says_so_is_not_repeated() {
    let mut response = HeaderMap::new();
    storm::tell(&mut response, storm::Reason::Spent);
    let outcome = Outcome::Response(StatusCode::BAD_GATEWAY, &response);
    assert_eq!(decide(everything(), outcome, &Method::GET), Verdict::Told);
    assert!(Verdict::Told.is_spent() && Verdict::OverBudget.is_spent() && Verdict::Exhausted.is_spent());
}

#[test]
fn a_head_is_kept_only_where_it_can_be_needed() {
    let safe = RetryOn { connect_failure: true, refused_stream: true, reset: true, ..RetryOn::default() };
    let status = RetryOn { statuses: vec![StatusCode::SERVICE_UNAVAILABLE], ..RetryOn::default() };
    for (on, method, http2, wanted) in [
        (safe.clone(), Method::GET, false, true),
        (safe.clone(), Method::POST, false, false),
        (safe, Method::POST, true, true),
        (status, Method::POST, false, true),
        (RetryOn::default(), Method::GET, true, false),
        (RetryOn { rate_limited: true, ..RetryOn::default() }, Method::POST, false, true),
    ] {
        assert_eq!(retry(on).may_repeat(&method, http2), wanted, "{method} {http2}");
    }
    let none = RetryPolicy { attempts: 0, ..policy(everything()) };
    assert!(!Retry::compile(&none, &mut FieldCompiler::default()).unwrap().takes(&HeaderMap::new()));
}

#[test]
fn what_the_upstream_asks_for_counts_as_far_as_it_is_granted() {
    let asked = AskedWait {
        fields: vec![
            ("retry-after".parse().unwrap(), ResetFormat::Seconds),
            ("x-ratelimit-reset".parse().unwrap(), ResetFormat::UnixTimestamp),
        ],
        max: Duration::from_secs(30),
    };
    let policy = RetryPolicy { asked: Some(asked), ..policy(everything()) };
    let mut random = Random::new(3);
    let now = 1_700_000_000;
    // (fields, seconds asked for, if it counts)
    for (fields, expected) in [
        (vec![("retry-after", "2")], Some(2)),
        (vec![("retry-after", "30")], Some(30)),
        (vec![("retry-after", "31")], None),
        (vec![("retry-after", "0")], Some(0)),
        (vec![("retry-after", "soon")], None),
        (vec![("retry-after", "-1")], None),
        (vec![("retry-after", "99999999999999999999")], None),
        (vec![("x-ratelimit-reset", "1700000005")], Some(5)),
        (vec![("x-ratelimit-reset", "1699999999")], None),
        (vec![("retry-after", "31"), ("x-ratelimit-reset", "1700000005")], Some(5)),
        (vec![("retry-after", "Tue, 14 Nov 2023 22:13:27 GMT")], Some(7)),
        (vec![("retry-after", "Tuesday, 14-Nov-23 22:13:27 GMT")], Some(7)),
        (vec![("retry-after", "Tue Nov 14 22:13:27 2023")], Some(7)),
        (vec![("retry-after", "Tue, 14 Nov 2023 22:13:20 GMT")], Some(0)),
        (vec![("retry-after", "Tue, 14 Nov 2023 22:13:19 GMT")], None),
        (vec![("retry-after", "Tue, 14 Nov 2023 22:13:51 GMT")], None),
        (vec![("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], None),
        (vec![("retry-after", "Thu, 31 Feb 2024 22:13:27 GMT")], None),
        (vec![("retry-after", "Tue, 14 Nov 2023 22:13:27 CET")], None),
        (vec![("x-ratelimit-reset", "Tue, 14 Nov 2023 22:13:27 GMT")], Some(7)),
        (vec![], None),
    ] {
        for _ in 0..50 {
            let paused = pause(&policy, 0, Some(&headers(&fields)), now, &mut random);
            let (least, most) = match expected {
                Some(seconds) => (Duration::from_secs(seconds), Duration::from_secs(seconds).mul_f64(1.5)),
                None => (Duration::ZERO, policy.backoff_base),
            };
            assert!((least..=most).contains(&paused), "{fields:?}: {paused:?}");
        }
    }
}

#[test]
fn back_off_doubles_up_to_its_maximum() {
    let policy = policy(everything());
    let mut random = Random::new(7);
    for (retries, bound) in
        [(0, 25), (1, 50), (2, 100), (3, 200), (4, 250), (31, 250), (32, 250), (u32::MAX, 250)]
    {
        let bound = Duration::from_millis(bound);
        let draws: Vec<Duration> = (0..1000).map(|_| pause(&policy, retries, None, 0, &mut random)).collect();
        let longest = draws.iter().max().unwrap();
        let shortest = draws.iter().min().unwrap();
        // Full jitter: all of the range is used.
        assert!(*longest <= bound && *longest > bound.mul_f64(0.95), "{retries}: {longest:?}");
        assert!(*shortest < bound.mul_f64(0.05), "{retries}: {shortest:?}");
    }
}

proptest! {
    #[test]
    fn back_off_stays_within_bounds(base in 0u64..10_000, max in 0u64..10_000, retries: u32, seed: u64) {
        let policy = RetryPolicy {
            backoff_base: Duration::from_millis(base),
            backoff_max: Duration::from_millis(max),
            ..policy(RetryOn::default())
        };
        prop_assert!(pause(&policy, retries, None, 0, &mut Random::new(seed)) <= policy.backoff_max);
    }
}
