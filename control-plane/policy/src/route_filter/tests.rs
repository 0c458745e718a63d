#![allow(clippy::unwrap_used)]

use super::*;
use crate::traffic_policy::actions::tests::{admission, words};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

/// What a filter may say.
pub(crate) fn filter() -> impl Strategy<Value = RouteFilter> {
    let labels = btree_map("[a-z]{1,4}", "[A-Za-z0-9]{0,4}", 0..3);
    let caller = (btree_set("[a-z]{1,4}", 0..3), btree_set("[a-z]{1,3}(\\.[a-z]{1,2})?", 0..3), labels)
        .prop_map(|(namespaces, accounts, labels)| {
            let namespace = namespaces.first().cloned().unwrap_or_else(|| "elsewhere".to_owned());
            let accounts = accounts.into_iter().map(|name| Name::new(&namespace, name));
            Caller { service_accounts: accounts.collect(), namespaces, labels }
        });
    let caller = caller.prop_filter("it describes some", |caller| *caller != Caller::default());
    let priority = of(prop_oneof![Just(Priority::Default), Just(Priority::High)]);
    (vec(caller, 0..3), of(words()), admission(), priority).prop_map(
        |(callers, answer, mut limits, priority)| {
            if answer.is_some() {
                limits.service = None;
            }
            RouteFilter { callers, answer, limits, priority }
        },
    )
}

/// The errors of a filter with this spec.
fn found(spec: Value) -> Vec<String> {
    let document = json!({
        "apiVersion": "weir.dev/v1", "kind": "RouteFilter", "metadata": {"name": "f", "namespace": "books"}, "spec": spec
    });
    let found = crate::parse_value(document, "f").err().unwrap_or_default();
    let errors = found.iter().filter(|found| found.severity == weir_model::Severity::Error);
    errors
        .map(|found| {
            assert!(!found.mend.is_empty(), "{found}");
            format!("{}: {}", found.field, found.message)
        })
        .collect()
}

fn one(spec: Value, expected: &str) {
    let found = found(spec);
    assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:#?}");
}

#[test]
fn callers_that_are_nobody_or_everybody() {
    let caller = |caller: Value| json!({"callers": [caller]});
    one(json!({"callers": []}), "spec.callers: the list is empty");
    one(caller(json!({})), "spec.callers[0]: it describes every caller");
    one(caller(json!({"namespaces": []})), "spec.callers[0].namespaces: the list is empty");
    one(caller(json!({"namespaces": ["A"]})), "spec.callers[0].namespaces[0]: \"A\" is not a DNS label");
    one(
        caller(json!({"namespace": "a", "labels": {"a": "b"}})),
        "spec.callers[0].namespace: there is no field \"namespace\"",
    );
    one(
        caller(json!({"serviceAccounts": ["a/b/c"]})),
        "spec.callers[0].serviceAccounts[0]: \"a/b/c\" is not a service account",
    );
    one(
        caller(json!({"serviceAccounts": ["a/B"]})),
        "spec.callers[0].serviceAccounts[0]: \"B\" is not a name",
    );
    one(
        caller(json!({"namespaces": ["shop"], "serviceAccounts": ["cart"]})),
        "spec.callers[0]: service account books/cart is in none of the namespaces",
    );
    one(caller(json!({"labels": {"a": "b c"}})), "spec.callers[0].labels.a: \"b c\" is not a label's value");
    let many: Vec<_> = (0..17).map(|index| json!({"namespaces": [format!("n{index}")]})).collect();
    one(json!({"callers": many}), "spec.callers: 17 elements, at most 16 are allowed");
}

#[test]
fn answers_and_priorities_that_are_none() {
    let answer = |answer: Value| json!({"directResponse": answer});
    one(
        answer(json!({"statusCode": 100})),
        "spec.directResponse.statusCode: 100 is not an integer from 200 to 599",
    );
    one(answer(json!({"body": "x".repeat(4097)})), "spec.directResponse.body: it is longer than 4096 bytes");
    one(
        answer(json!({"body": "{}", "contentType": "application"})),
        "spec.directResponse.contentType: \"application\" is not a media type",
    );
    one(answer(json!({"status": 200})), "spec.directResponse.status: there is no field \"status\"");
    one(json!({"priority": "high"}), "spec.priority: \"high\" is not allowed here");
    one(
        json!({"directResponse": {}, "rateLimits": [{"requests": 1}]}),
        "spec.rateLimits: the service does not see requests that are answered by directResponse",
    );
}

#[test]
fn accounts_are_of_the_filters_own_namespace_unless_they_say_another() {
    let document = json!({"apiVersion": "weir.dev/v1", "kind": "RouteFilter", "metadata": {"name": "f", "namespace": "books"},
        "spec": {"callers": [{"serviceAccounts": ["cart", "shop/cart"]}]}});
    let object = crate::parse_value(document.clone(), "f").unwrap();
    let crate::Spec::RouteFilter(filter) = &object.spec else { panic!("a filter") };
    let accounts: Vec<String> = filter.callers[0].service_accounts.iter().map(Name::to_string).collect();
    assert_eq!(accounts, ["books/cart", "shop/cart"]);
    assert_eq!(object.to_json()["spec"], document["spec"], "and are written as they were");
}
