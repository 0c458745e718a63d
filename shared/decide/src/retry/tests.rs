use super::*;
use proptest::prelude::*;
use weir_model::RetryOn;

const BUDGET: RetryBudget = RetryBudget { parts_per_million: 200_000, min_concurrency: 3 };

fn policy(on: RetryOn) -> RetryPolicy {
    RetryPolicy {
        attempts: 2,
        on,
        backoff_base: Duration::from_millis(25),
        backoff_max: Duration::from_millis(250),
    }
}

fn everything() -> RetryOn {
    RetryOn {
        connect_failure: true,
        refused_stream: true,
        reset: true,
        statuses: vec![StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT],
        grpc: vec![14],
    }
}

fn decide(on: RetryOn, outcome: Outcome, method: Method) -> Verdict {
    should_retry(&policy(on), &outcome, &method, 0, 10, 0, &BUDGET)
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
        (Status(StatusCode::SERVICE_UNAVAILABLE, None), &post, Retry),
        (Status(ok, Some(14)), &post, Retry),
        // And did not list these.
        (Status(StatusCode::INTERNAL_SERVER_ERROR, None), &Method::GET, NotListed),
        (Status(ok, None), &Method::GET, NotListed),
        (Status(ok, Some(0)), &post, NotListed),
        (Status(ok, Some(13)), &post, NotListed),
    ];
    for (outcome, method, expected) in table {
        assert_eq!(decide(everything(), outcome, method.clone()), expected, "{outcome:?} {method}");
    }
}

#[test]
fn only_what_is_listed_is_repeated() {
    let none = RetryOn::default;
    let outcomes = [
        Outcome::ConnectFailure,
        Outcome::Refused,
        Outcome::Reset { reused: true },
        Outcome::Status(StatusCode::BAD_GATEWAY, Some(14)),
        Outcome::Timeout,
    ];
    for outcome in outcomes {
        assert_eq!(decide(none(), outcome, Method::GET), Verdict::NotListed, "{outcome:?}");
    }
    let connect = || RetryOn { connect_failure: true, ..none() };
    assert_eq!(decide(connect(), Outcome::ConnectFailure, Method::POST), Verdict::Retry);
    assert_eq!(decide(connect(), Outcome::Reset { reused: true }, Method::GET), Verdict::Retry);
    assert_eq!(decide(connect(), Outcome::Reset { reused: false }, Method::GET), Verdict::NotListed);
}

#[test]
fn attempts_and_budget_run_out() {
    let policy = policy(everything());
    let ask = |retries, requests, active| {
        should_retry(&policy, &Outcome::ConnectFailure, &Method::GET, retries, requests, active, &BUDGET)
    };
    assert_eq!(ask(1, 10, 0), Verdict::Retry);
    assert_eq!(ask(2, 10, 0), Verdict::Exhausted);
    assert_eq!(ask(0, 10, 2), Verdict::Retry);
    assert_eq!(ask(0, 10, 3), Verdict::OverBudget);
    assert_eq!(ask(0, 100, 19), Verdict::Retry);
    assert_eq!(ask(0, 100, 20), Verdict::OverBudget);
}

#[test]
fn back_off_doubles_up_to_its_maximum() {
    let policy = policy(everything());
    let mut random = Random::new(7);
    for (retries, bound) in
        [(0, 25), (1, 50), (2, 100), (3, 200), (4, 250), (31, 250), (32, 250), (u32::MAX, 250)]
    {
        let bound = Duration::from_millis(bound);
        let draws: Vec<Duration> = (0..1000).map(|_| backoff(&policy, retries, &mut random)).collect();
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
        prop_assert!(backoff(&policy, retries, &mut Random::new(seed)) <= policy.backoff_max);
    }
}
