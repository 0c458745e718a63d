//! Rules and the `RouteFilter`s that they refer to.

use super::{found, route, route_at};

fn filter(name: &str, spec: &str) -> String {
    format!("---\napiVersion: weir.dev/v1\nkind: RouteFilter\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

/// A rule that refers to filters.
fn rule(filters: &[&str], more: &str) -> String {
    let one = |name: &&str| {
        format!("{{type: ExtensionRef, extensionRef: {{group: weir.dev, kind: RouteFilter, name: {name}}}}}")
    };
    let filters: Vec<String> = filters.iter().map(one).collect();
    format!("{{filters: [{}]{more}}}", filters.join(", "))
}

const GOES: &str = ", backendRefs: [{name: reviews, port: 80}]";
const SHOP: &str = "{callers: [{namespaces: [shop]}]}";

fn one(documents: &[String], expected: &str) {
    let found = found(&documents.concat());
    assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:#?}");
}

fn on_reviews(rules: &[String]) -> String {
    route("name: reviews", &format!("[{}]", rules.join(", ")))
}

#[test]
fn a_filter_that_is_referred_to_must_exist_and_one_that_is_not_is_noted() {
    let route = on_reviews(&[rule(&["shop"], GOES)]);
    assert_eq!(found(&[filter("shop", SHOP), route.clone()].concat()), [""; 0]);
    let misspelt = found(&[filter("shops", SHOP), route].concat());
    assert_eq!(misspelt.len(), 2, "the other one is unused: {misspelt:#?}");
    let expected = "spec.rules[0].filters[ExtensionRef 0].extensionRef.name: RouteFilter default/shop does not exist (did you mean shops?";
    assert!(misspelt[0].contains(expected), "{misspelt:#?}");
    one(&[filter("shop", SHOP)], "no rule refers to it");
}

#[test]
fn what_filters_of_a_rule_say_must_go_together() {
    let high = "{priority: High}";
    one(
        &[filter("a", high), filter("b", high), on_reviews(&[rule(&["a", "b"], GOES)])],
        "RouteFilter default/b has priority, and so has RouteFilter default/a",
    );
    let words = "{directResponse: {body: x}}";
    assert_eq!(found(&[filter("a", words), on_reviews(&[rule(&["a"], "")])].concat()), [""; 0]);
    one(
        &[filter("a", words), on_reviews(&[rule(&["a"], GOES)])],
        "spec.rules[0]: the rule answers by itself (directResponse of RouteFilter default/a)",
    );
    one(&[filter("a", high), on_reviews(&[rule(&["a"], "")])], "the rule goes nowhere");
    let calls = on_reviews(&[rule(&["a"], "")]).replace("HTTPRoute", "GRPCRoute");
    one(&[filter("a", words), calls], "has a directResponse, which no gRPC call takes");
}

#[test]
fn a_service_keeps_the_limits_of_rules_that_it_recognises() {
    let limited = filter("a", "{rateLimits: [{requests: 5}]}");
    let at_callers = filter("a", "{rateLimits: [{requests: 5, enforcedBy: Caller}]}");
    let rewrites = format!(
        "{{filters: [{{type: ExtensionRef, extensionRef: {{group: weir.dev, kind: RouteFilter, name: a}}}}, \
         {{type: URLRewrite, urlRewrite: {{hostname: x}}}}]{GOES}}}"
    );
    let removes = format!(
        "{{matches: [{{headers: [{{name: x-a, value: b}}]}}], filters: [{{type: ExtensionRef, extensionRef: {{group: weir.dev, kind: \
         RouteFilter, name: a}}}}, {{type: RequestHeaderModifier, requestHeaderModifier: {{remove: [x-a]}}}}]{GOES}}}"
    );
    let some = filter("some", SHOP);
    let both = rule(&["a", "some"], GOES);
    assert_eq!(found(&[limited.clone(), on_reviews(&[rule(&["a"], GOES)])].concat()), [""; 0]);
    for (rule, why) in [
        (&rewrites, "it sees requests as the rule rewrites them"),
        (&removes, "it sees the fields that the rule matches on as the rule changes them"),
    ] {
        one(&[limited.clone(), on_reviews(std::slice::from_ref(rule))], why);
        assert_eq!(found(&[at_callers.clone(), on_reviews(std::slice::from_ref(rule))].concat()), [""; 0]);
    }
    one(
        &[limited, some.clone(), on_reviews(std::slice::from_ref(&both))],
        "it does not know who calls, and the rule is for some callers only (write enforcedBy: Caller",
    );
    assert_eq!(found(&[at_callers, some, on_reviews(&[both])].concat()), [""; 0]);
}

#[test]
fn a_rule_for_some_callers_hides_no_rule_for_everybody() {
    let (shop, books) = (filter("shop", SHOP), filter("books", "{callers: [{namespaces: [books]}]}"));
    let everybody = format!("{{{}}}", GOES.trim_start_matches(", "));
    let rules = [everybody.clone(), rule(&["shop"], GOES), rule(&["books"], GOES)];
    assert_eq!(found(&[shop.clone(), books, on_reviews(&rules)].concat()), [""; 0]);
    one(
        &[shop, on_reviews(&[rule(&["shop"], GOES), rule(&["shop"], GOES), everybody])],
        "spec.rules[1]: it is never reached",
    );
}

#[test]
fn a_consumers_route_for_callers_elsewhere_never_applies() {
    let abroad = |document: String| document.replace("{name: r,", "{name: r, namespace: shop,");
    let shop = filter("books", "{callers: [{namespaces: [books]}]}")
        .replace("{name: books}", "{name: books, namespace: shop}");
    let rules = format!(
        "[{}]",
        rule(&["books"], &GOES.replace("name: reviews", "name: reviews, namespace: default"))
    );
    let route = abroad(route_at("r", "2025-01-01T00:00:00Z", "name: reviews, namespace: default", &rules));
    one(&[shop, route], "it never applies: a route of namespace shop");
}
