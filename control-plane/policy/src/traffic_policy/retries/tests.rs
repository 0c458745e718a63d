use crate::{Object, Spec, parse_value};
use serde_json::{Value, json};
use std::time::Duration;
use weir_model::{RetryOn, RetryPolicy};

fn route(retry: Value) -> Result<Object, Vec<weir_model::Diagnostic>> {
    let rule = json!({"retry": retry, "backendRefs": [{"name": "reviews", "port": 80}]});
    let spec = json!({"parentRefs": [{"group": "", "kind": "Service", "name": "reviews"}], "rules": [rule]});
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "r"},
        "spec": spec,
    });
    parse_value(object, "test")
}

fn policy(retries: Value) -> Result<Object, Vec<weir_model::Diagnostic>> {
    let spec = json!({"targetRefs": [{"kind": "Service", "name": "reviews"}], "retries": retries});
    let object = json!({
        "apiVersion": "weir.dev/v1",
        "kind": "TrafficPolicy",
        "metadata": {"name": "p"},
        "spec": spec,
    });
    parse_value(object, "test")
}

fn of_rule(object: &Object) -> RetryPolicy {
    let Spec::HttpRoute(spec) = &object.spec else { panic!("{object:?}") };
    spec.rules[0].retry.clone().unwrap()
}

#[test]
fn the_retries_of_a_rule_are_read_and_written() {
    let object = route(json!({"codes": [503, 500], "attempts": 4, "backoff": "100ms"})).unwrap();
    let retry = of_rule(&object);
    let on = RetryOn {
        connect_failure: true,
        refused_stream: true,
        reset: true,
        statuses: vec![http::StatusCode::INTERNAL_SERVER_ERROR, http::StatusCode::SERVICE_UNAVAILABLE],
        ..RetryOn::default()
    };
    assert_eq!((retry.attempts, &retry.on), (4, &on));
    assert_eq!((retry.backoff_base, retry.backoff_max), (Duration::from_millis(100), Duration::from_secs(1)));
    let again = parse_value(object.to_json(), "again").unwrap();
    assert_eq!(of_rule(&again), retry);
}

#[test]
fn what_a_rule_leaves_out_is_the_default() {
    let retry = of_rule(&route(json!({})).unwrap());
    let default = RetryPolicy::default();
    assert_eq!((retry.attempts, &retry.on), (default.attempts, &default.on));
    assert_eq!(retry.backoff_base, default.backoff_base);
    assert_eq!(of_rule(&route(json!({"attempts": 0})).unwrap()).attempts, 0);
}

#[test]
fn mistakes_are_named_with_their_mend() {
    for (retry, field) in [
        (json!({"codes": [399]}), "spec.rules[0].retry.codes[0]"),
        (json!({"codes": ["503"]}), "spec.rules[0].retry.codes[0]"),
        (json!({"codes": 503}), "spec.rules[0].retry.codes"),
        (json!({"attempts": 11}), "spec.rules[0].retry.attempts"),
        (json!({"attempts": -1}), "spec.rules[0].retry.attempts"),
        (json!({"backoff": "soon"}), "spec.rules[0].retry.backoff"),
        (json!({"backoff": "0s"}), "spec.rules[0].retry.backoff"),
        (json!({"code": []}), "spec.rules[0].retry.code"),
    ] {
        let found = route(retry.clone()).unwrap_err();
        let named = found.iter().any(|found| found.field == field && !found.mend.is_empty());
        assert!(named, "{retry}: {found:#?}");
    }
    for (retries, field) in [
        (json!({"hedge": "yes"}), "spec.retries.hedge"),
        (json!({"retryAfter": "x"}), "spec.retries.retryAfter"),
        (json!({"on": ["sometimes"]}), "spec.retries.on[0]"),
    ] {
        let found = policy(retries.clone()).unwrap_err();
        let named = found.iter().any(|found| found.field == field && !found.mend.is_empty());
        assert!(named, "{retries}: {found:#?}");
    }
}

#[test]
fn a_policy_may_hedge_and_wait_as_it_is_asked() {
    let object = policy(json!({"hedge": true, "retryAfter": "2s", "on": ["rate-limited", 409]})).unwrap();
    let Spec::TrafficPolicy(spec) = &object.spec else { panic!("{object:?}") };
    let retries = spec.retries.as_ref().unwrap();
    assert_eq!((retries.hedge, retries.retry_after), (Some(true), Some(Duration::from_secs(2))));
    let again = parse_value(object.to_json(), "again").unwrap();
    assert_eq!(again.spec, object.spec);
}
