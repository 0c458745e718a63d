use super::*;
use proptest::option::of;
use proptest::prelude::*;
use weir_model::mesh::{AdmissionPolicy, BackendTarget};
use weir_model::{
    DirectResponse, HeaderMatch, KeyedLimit, LimitKey, RateLimits, StaticAnswer, StringMatch, TokenBucket,
};

/// Limits without a name, as they are read.
pub(crate) fn admission() -> impl Strategy<Value = AdmissionPolicy> {
    let bucket = || {
        (1..=limits::REQUESTS, 1..=limits::REQUESTS, 50..100_000u64).prop_map(|(burst, requests, millis)| {
            TokenBucket { burst, requests, interval: Duration::from_millis(millis) }
        })
    };
    let key = prop_oneof![
        "[a-z][a-z-]{0,8}".prop_map(|name| LimitKey::Header(name.parse().unwrap())),
        Just(LimitKey::SourceAddress)
    ];
    let limits = (of(bucket()), of((key, bucket())))
        .prop_map(|(all, keyed)| RateLimits {
            all,
            keyed: keyed.map(|(key, bucket)| KeyedLimit { key, bucket }).into_iter().collect(),
            exhausted: true,
            ..RateLimits::default()
        })
        .prop_filter("there is a limit", |limits| !limits.is_empty())
        .boxed();
    (of(limits.clone()), of(limits)).prop_map(|(service, caller)| AdmissionPolicy { service, caller })
}

/// Words without a media type where there is no body.
pub(crate) fn words() -> impl Strategy<Value = StaticAnswer> {
    let kind = of(prop_oneof![Just("application/json"), Just("text/html; charset=utf-8")]);
    (200..600u16, "\\PC{0,20}", kind).prop_map(|(status, body, kind)| {
        let bare = status == 204 || status == 304;
        let body = if bare { String::new() } else { body };
        let content_type = kind.filter(|_| !body.is_empty()).map(http::HeaderValue::from_static);
        let status = StatusCode::from_u16(status).unwrap();
        StaticAnswer { response: DirectResponse { status, body }, content_type }
    })
}

/// What a policy in `namespace` may say.
pub(crate) fn policy(namespace: String) -> impl Strategy<Value = ActionPolicy> {
    let fraction = || (0..=1_000_000u32).prop_map(Fraction);
    let delay = (1..300_000u64, fraction())
        .prop_map(|(millis, fraction)| Delay { duration: Duration::from_millis(millis), fraction });
    let answer = prop_oneof![
        (200..600u16).prop_map(|status| AbortAnswer::Http(StatusCode::from_u16(status).unwrap())),
        (1..=16u8).prop_map(AbortAnswer::Grpc)
    ];
    let abort = (answer, fraction()).prop_map(|(answer, fraction)| Abort { answer, fraction });
    let headers = of("[a-z]{1,5}").prop_map(|value| {
        let name = "x-fail".parse().unwrap();
        value.map(|value| HeaderMatch { name, value: StringMatch::Exact(value) }).into_iter().collect()
    });
    let fault = (headers, of(delay), of(abort))
        .prop_map(|(headers, delay, abort)| Fault { headers, delay, abort })
        .prop_filter("it does something", |fault| fault.delay.is_some() || fault.abort.is_some());
    let fallback = prop_oneof![
        ("[a-z]{1,5}", 1..=65_535u16).prop_map(move |(name, port)| {
            FallbackPolicy::Backend(BackendTarget { service: Name::new(&namespace, name), port })
        }),
        words().prop_map(FallbackPolicy::Response),
    ];
    let bytes = of(1..=i32::MAX.cast_unsigned());
    (admission(), of(fault), of(fallback), bytes).prop_map(|(limits, fault, fallback, max_request_bytes)| {
        ActionPolicy { limits, fault, fallback, max_request_bytes }
    })
}

/// The findings about a policy with these fields.
fn found(spec: Value) -> Vec<String> {
    let mut spec = spec;
    spec["targetRefs"] = json!([{"kind": "Service", "name": "a"}]);
    let document = json!({
        "apiVersion": "weir.dev/v1", "kind": "TrafficPolicy", "metadata": {"name": "p"}, "spec": spec
    });
    match crate::parse_value(document, "p") {
        Ok(_) => Vec::new(),
        // That nothing is left to change is not worth a test each time.
        Err(found) => found
            .iter()
            .filter(|found| found.severity == weir_model::Severity::Error)
            .map(ToString::to_string)
            .collect(),
    }
}

fn one(spec: Value, expected: &str) {
    let found = found(spec);
    assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:#?}");
}

#[test]
fn limits_that_cannot_be_kept() {
    let limit = |limit: Value| json!({"rateLimits": [limit]});
    one(limit(json!({})), "spec.rateLimits[0].requests: it is missing");
    one(json!({"maxRequestBytes": 0}), "spec.maxRequestBytes: 0 is not an integer");
    one(json!({"maxRequestBytes": "1Mi"}), "spec.maxRequestBytes: ");
    one(limit(json!({"requests": 0})), "spec.rateLimits[0].requests: 0 is not an integer");
    one(limit(json!({"requests": 1, "interval": "10ms"})), "spec.rateLimits[0].interval: 10ms is too short");
    one(limit(json!({"requests": 1, "by": "Header"})), "spec.rateLimits[0].header: it is missing");
    one(
        limit(json!({"requests": 1, "by": "Cookie"})),
        "spec.rateLimits[0].by: \"Cookie\" is not allowed here",
    );
    one(
        limit(json!({"requests": 1, "header": "x-user"})),
        "spec.rateLimits[0].header: only a limit by Header has one",
    );
    let twice = json!({"rateLimits": [{"requests": 1}, {"requests": 2}]});
    one(twice, "spec.rateLimits[1]: there is a limit on all requests already");
    let twice = json!({"rateLimits": [{"requests": 1, "by": "SourceAddress"}, {"requests": 2, "by": "SourceAddress"}]});
    one(twice, "spec.rateLimits[1]: there is a limit by the same thing already");
    let by = limit(json!({"requests": 1, "enforcedBy": "Everybody"}));
    one(by, "spec.rateLimits[0].enforcedBy: \"Everybody\" is not allowed here");
    let sides = json!({"rateLimits": [{"requests": 1}, {"requests": 2, "enforcedBy": "Caller"}]});
    assert_eq!(found(sides), [""; 0], "each side has limits of its own");
}

#[test]
fn faults_that_cannot_happen() {
    one(json!({"faults": {}}), "spec.faults: it neither delays nor aborts");
    one(json!({"faults": {"delay": {}}}), "spec.faults.delay: duration is missing");
    one(json!({"faults": {"delay": {"duration": "1h"}}}), "spec.faults.delay: 3600s is too long");
    one(
        json!({"faults": {"abort": {"percent": 5}}}),
        "spec.faults.abort: it has one of httpStatus and grpcStatus",
    );
    one(
        json!({"faults": {"abort": {"httpStatus": 503, "percent": 101}}}),
        "spec.faults.abort.percent: 101 is not a percentage",
    );
}

#[test]
fn fallbacks_that_answer_nothing() {
    one(json!({"fallback": {}}), "spec.fallback: it has one of backendRef and response");
    one(json!({"fallback": {"backendRef": {"name": "b"}}}), "spec.fallback.backendRef.port: it is missing");
    one(
        json!({"fallback": {"response": {"body": "x".repeat(5000)}}}),
        "spec.fallback.response.body: it is longer than 4096 bytes",
    );
    let response = |response: Value| json!({"fallback": {"response": response}});
    one(
        response(json!({"body": "x", "contentType": "json"})),
        "spec.fallback.response.contentType: \"json\" is not a media type",
    );
    one(
        response(json!({"body": "x", "contentType": "text/plain\r\nx: y"})),
        "spec.fallback.response.contentType: ",
    );
    one(response(json!({"body": "x", "status": 204})), "spec.fallback.response: a response 204 has no body");
    one(response(json!({"statusCode": 200})), "there is no field \"statusCode\"");
}
