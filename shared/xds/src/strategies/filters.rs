//! What is done with requests besides: limits, faults, CORS; each of them there, or taken away.

use super::*;
use weir_model::{
    Abort, AbortAnswer, BodyLimit, Cors, Delay, Fault, Filters, KeyedLimit, LimitKey, RateLimits, TokenBucket,
};

/// Those of a virtual host or a route.
pub(super) fn filters() -> BoxedStrategy<Box<Filters>> {
    let limits = of(prop_oneof![3 => limits(), 1 => Just(RateLimits::default())]);
    let fault = of(prop_oneof![3 => fault(), 1 => Just(Fault::default())]);
    let cors = of(prop_oneof![3 => cors(), 1 => Just(Cors::default())]);
    let body = of(prop_oneof![3 => (1..=u32::MAX).prop_map(BodyLimit::Bytes), 1 => Just(BodyLimit::Off)]);
    (limits, fault, cors, body)
        .prop_map(|(limits, fault, cors, body)| Box::new(Filters { limits, fault, cors, body }))
        .prop_filter("something is said", |filters| !filters.is_empty())
        .boxed()
}

/// Those of a listener, where nothing can be taken away, and CORS is for routes.
pub(super) fn of_listener() -> BoxedStrategy<Box<Filters>> {
    let body = of((1..=u32::MAX).prop_map(BodyLimit::Bytes));
    (of(limits()), of(fault()), body)
        .prop_map(|(limits, fault, body)| Box::new(Filters { limits, fault, cors: None, body }))
        .prop_filter("something is said", |filters| !filters.is_empty())
        .boxed()
}

fn bucket() -> BoxedStrategy<TokenBucket> {
    // Envoy fills a bucket twenty times a second at most.
    let interval = (50..1_000_000u64).prop_map(Duration::from_millis);
    (1..1_000_000u32, 1..1_000_000u32, interval)
        .prop_map(|(burst, requests, interval)| TokenBucket { burst, requests, interval })
        .boxed()
}

fn limits() -> BoxedStrategy<RateLimits> {
    let key = prop_oneof![header_name().prop_map(LimitKey::Header), Just(LimitKey::SourceAddress)];
    let keyed = vec((key, bucket()), 0..3).prop_map(|limits| {
        let mut keyed: Vec<KeyedLimit> = Vec::new();
        for (key, bucket) in limits {
            // Envoy's name for an address may be a header's too.
            let named = matches!(&key, LimitKey::Header(name) if name == "remote_address");
            if !named && keyed.iter().all(|limit| limit.key != key) {
                keyed.push(KeyedLimit { key, bucket });
            }
        }
        keyed
    });
    let status = prop_oneof![Just(429), Just(403), Just(503u16)]
        .prop_map(|code| StatusCode::from_u16(code).expect("a status"));
    (name(), of(bucket()), keyed, status, any::<bool>())
        .prop_map(|(name, all, keyed, status, exhausted)| {
            let shared = false;
            RateLimits { name, all, keyed, status, exhausted, shared }
        })
        .prop_filter("there is a limit", |limits| !limits.is_empty())
        .boxed()
}

fn fault() -> BoxedStrategy<Fault> {
    let delay = (duration(), fraction())
        .prop_map(|(duration, fraction)| Delay { duration: duration.min(limits::FAULT_DELAY), fraction });
    let answer = prop_oneof![
        (200..600u16).prop_map(|code| AbortAnswer::Http(StatusCode::from_u16(code).expect("a status"))),
        // Envoy has no abort that is none.
        (1..=16u8).prop_map(AbortAnswer::Grpc),
    ];
    let abort = (answer, fraction()).prop_map(|(answer, fraction)| Abort { answer, fraction });
    (vec(routes::header_match(), 0..3), of(delay), of(abort))
        .prop_map(|(headers, delay, abort)| Fault { headers, delay, abort })
        .prop_filter("it does something", |fault| fault.delay.is_some() || fault.abort.is_some())
        .boxed()
}

fn cors() -> BoxedStrategy<Cors> {
    let origin = prop_oneof![
        "https?://[a-z.]{1,12}".prop_map(StringMatch::Exact),
        regex().prop_map(StringMatch::Regex),
        Just(StringMatch::Exact("*".to_owned())),
    ];
    let names = || vec(header_name(), 0..3);
    let age = of((0..1_000_000u64).prop_map(Duration::from_secs));
    (vec(origin, 1..3), vec(method(), 0..3), names(), names(), age, any::<bool>())
        .prop_map(|(origins, methods, headers, expose, max_age, credentials)| Cors {
            origins,
            methods,
            headers,
            expose,
            max_age,
            credentials,
        })
        .boxed()
}
