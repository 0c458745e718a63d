use super::*;
use crate::parse_yaml;
use weir_model::Severity;

/// A service with two HTTP ports and an opaque one, and the workload behind it.
const BASE: &str = "apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80}, {name: alt, port: 8080}, {name: raw, port: 81, appProtocol: tcp}]}
---
apiVersion: weir.dev/v1
kind: Workload
metadata: {name: reviews-a, labels: {app: reviews}}
spec: {address: 10.0.0.1, ports: {http: 80, alt: 8080, raw: 81}}
---
";

fn objects(text: &str) -> Vec<Object> {
    let (objects, found) = parse_yaml(text);
    assert!(!found.iter().any(|found| found.severity == Severity::Error), "{found:#?}");
    objects
}

/// The findings about the base and some more documents.
fn found(more: &str) -> Vec<String> {
    validate(&objects(&format!("{BASE}{more}"))).iter().map(ToString::to_string).collect()
}

fn route_at(name: &str, created: &str, parent: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, creationTimestamp: \"{created}\"}}\n\
         spec: {{parentRefs: [{{group: '', kind: Service, {parent}}}], rules: {rules}}}\n"
    )
}

fn route(parent: &str, rules: &str) -> String {
    route_at("r", "2025-01-01T00:00:00Z", parent, rules)
}

const TO_REVIEWS: &str = "[{backendRefs: [{name: reviews, port: 80}]}]";

fn policy(name: &str, target: &str) -> String {
    format!(
        "---\napiVersion: weir.dev/v1\nkind: TrafficPolicy\nmetadata: {{name: {name}}}\nspec: {{targetRefs: [{{kind: Service, {target}}}], connectTimeout: 1s}}\n"
    )
}

mod extensions;

#[test]
fn a_good_mesh_has_no_findings() {
    let more = format!(
        "{}{}{}{}",
        route("name: reviews", TO_REVIEWS),
        policy("a", "name: reviews"),
        policy("b", "name: reviews, sectionName: http"),
        policy("c", "name: reviews, sectionName: alt"),
    );
    assert_eq!(found(&more), [""; 0]);
}

#[test]
fn references_to_what_does_not_exist_are_refused() {
    let cases = [
        (
            route("name: review", TO_REVIEWS),
            "spec.parentRefs[0].name: service default/review does not exist (did you mean reviews? Otherwise apply the service first)",
        ),
        (
            route("name: reviews, namespace: other", TO_REVIEWS),
            "spec.parentRefs[0].name: service other/reviews does not exist (apply the service first, or remove the reference)",
        ),
        (
            route("name: reviews, port: 82", TO_REVIEWS),
            "spec.parentRefs[0].port: service default/reviews has no port 82 (its ports are 80 (http), 8080 (alt) and 81 (raw))",
        ),
        (
            route("name: reviews, sectionName: web", TO_REVIEWS),
            "spec.parentRefs[0].sectionName: service default/reviews has no port web (its ports are 80 (http), 8080 (alt) and 81 (raw))",
        ),
        (
            route("name: reviews, sectionName: http, port: 8080", TO_REVIEWS),
            "spec.parentRefs[0].sectionName: port http of service default/reviews has another number than port says (its ports are 80 (http), 8080 (alt) and 81 (raw))",
        ),
        (
            route(
                "name: reviews",
                "[{backendRefs: [{name: reviews, port: 80}, {name: gone, port: 80, weight: 0}, {name: gone, port: 80}]}]",
            ),
            "spec.rules[0].backendRefs[2].name: service default/gone does not exist (apply the service first, or remove the reference)",
        ),
        (
            route("name: reviews", "[{backendRefs: [{name: reviews, port: 1}]}]"),
            "spec.rules[0].backendRefs[0].port: service default/reviews has no port 1 (its ports are 80 (http), 8080 (alt) and 81 (raw))",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(found(&text), [format!("error: HTTPRoute default/r: {expected}")]);
    }
    assert_eq!(
        found(&policy("p", "name: nothing")),
        [
            "error: TrafficPolicy default/p: spec.targetRefs[0].name: service default/nothing does not exist (apply the service first, or remove the reference)"
        ]
    );
    assert_eq!(
        found(&policy("p", "name: reviews, sectionName: nothing")),
        [
            "error: TrafficPolicy default/p: spec.targetRefs[0].sectionName: service default/reviews has no port nothing (its ports are 80 (http), 8080 (alt) and 81 (raw))"
        ]
    );
}

#[test]
fn a_service_that_is_referred_to_cannot_be_deleted() {
    let mut all =
        objects(&format!("{BASE}{}{}", route("name: reviews", TO_REVIEWS), policy("p", "name: reviews")));
    all.retain(|object| object.id.to_string() != "Service default/reviews");
    let found: Vec<_> =
        validate(&all).into_iter().filter(|found| found.severity == Severity::Error).collect();
    let places: Vec<_> = found.iter().map(|found| format!("{} {}", found.resource, found.field)).collect();
    assert_eq!(
        places,
        [
            "HTTPRoute default/r spec.parentRefs[0].name",
            "HTTPRoute default/r spec.rules[0].backendRefs[0].name",
            "TrafficPolicy default/p spec.targetRefs[0].name"
        ]
    );
}

#[test]
fn routes_on_opaque_ports_have_no_effect() {
    let expected = "service default/reviews carries opaque bytes there, so the route has no effect on it (give the port an appProtocol such as http, or remove the reference)";
    assert_eq!(
        found(&route("name: reviews, port: 81", TO_REVIEWS)),
        [format!("warning: HTTPRoute default/r: spec.parentRefs[0].port: {expected}")]
    );
}

#[test]
fn policies_that_conflict_are_refused() {
    assert_eq!(
        found(&format!("{}{}", policy("a", "name: reviews"), policy("b", "name: reviews"))),
        [
            "error: TrafficPolicy default/b: spec.targetRefs[0]: TrafficPolicy default/a applies to service default/reviews already (merge the two, or let them apply to different ports)"
        ]
    );
    assert_eq!(
        found(&format!(
            "{}{}",
            policy("a", "name: reviews, sectionName: alt"),
            policy("b", "name: reviews, sectionName: alt")
        )),
        [
            "error: TrafficPolicy default/b: spec.targetRefs[0]: TrafficPolicy default/a applies to port 8080 of service default/reviews already (merge the two, or let them apply to different ports)"
        ]
    );
}

#[test]
fn rules_that_are_never_reached_are_told_with_who_wins_and_why() {
    let two = "[{matches: [{path: {value: /a}}], backendRefs: [{name: reviews, port: 80}]}, \
               {matches: [{path: {value: /a/}}, {path: {value: /b}}], backendRefs: [{name: reviews, port: 80}]}]";
    let start = "it is never reached on port 80 of service default/reviews";
    let end = "(remove it, or give it conditions of its own)";
    assert_eq!(
        found(&route("name: reviews, port: 80", two)),
        [format!(
            "warning: HTTPRoute default/r: spec.rules[1].matches[0]: {start}: match 0 of rule 0 has the same conditions, and it comes first {end}"
        )]
    );
    // The older route wins although its name comes later.
    let both = format!(
        "{}{}",
        route_at("a", "2025-01-02T00:00:00Z", "name: reviews, port: 80", TO_REVIEWS),
        route_at("b", "2025-01-01T00:00:00Z", "name: reviews", TO_REVIEWS)
    );
    assert_eq!(
        found(&both),
        [format!(
            "warning: HTTPRoute default/a: spec.rules[0]: {start}: match 0 of rule 0 of HTTPRoute default/b has the same conditions, and that route is older {end}"
        )]
    );
    let same_age = both.replace("2025-01-02", "2025-01-01");
    assert_eq!(
        found(&same_age),
        [format!(
            "warning: HTTPRoute default/b: spec.rules[0]: {start}: match 0 of rule 0 of HTTPRoute default/a has the same conditions, and that route's name comes first {end}"
        )]
    );
    let catch_all = "[{matches: [{path: {type: RegularExpression, value: '/.*'}, method: GET}], backendRefs: [{name: reviews, port: 80}]}, \
         {matches: [{path: {value: /a}, method: GET}, {path: {value: /a}}], backendRefs: [{name: reviews, port: 80}]}]";
    assert_eq!(
        found(&route("name: reviews, port: 80", catch_all)),
        [format!(
            "warning: HTTPRoute default/r: spec.rules[1].matches[0]: {start}: match 0 of rule 0 is a regular expression for every path, and those come before prefixes {end}"
        )]
    );
}

#[test]
fn the_order_of_conditions_makes_no_difference_and_their_values_do() {
    let rules = |second: &str| {
        format!(
            "[{{matches: [{{headers: [{{name: a, value: '1'}}, {{name: b, value: '2'}}]}}], backendRefs: [{{name: reviews, port: 80}}]}}, \
             {{matches: [{{headers: {second}}}], backendRefs: [{{name: reviews, port: 80}}]}}]"
        )
    };
    assert_eq!(
        found(&route("name: reviews, port: 80", &rules("[{name: B, value: '2'}, {name: A, value: '1'}]")))
            .len(),
        1
    );
    assert_eq!(
        found(&route("name: reviews, port: 80", &rules("[{name: a, value: '1'}, {name: b, value: '3'}]"))),
        [""; 0]
    );
}

#[test]
fn consumer_routes_do_not_compete_with_producer_routes() {
    let consumer = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: c, namespace: shop}\nspec: {parentRefs: [{group: '', \
         kind: Service, name: reviews, namespace: default}], rules: [{backendRefs: [{name: reviews, namespace: default, port: 80}]}]}\n";
    assert_eq!(found(&format!("{}{consumer}", route("name: reviews", TO_REVIEWS))), [""; 0]);
}

#[test]
fn workloads_behind_a_service_are_looked_at() {
    let workload = |name: &str, address: &str, ports: &str| {
        format!(
            "---\napiVersion: weir.dev/v1\nkind: Workload\nmetadata: {{name: {name}, labels: {{app: reviews}}}}\nspec: {{address: {address}, ports: {ports}}}\n"
        )
    };
    assert_eq!(
        found(&workload("reviews-b", "10.0.0.1", "{http: 80, alt: 9090, raw: 9091}")),
        [
            "warning: Workload default/reviews-b: spec.address: workload default/reviews-a has the address 10.0.0.1:80 too, in service default/reviews (remove one of them)"
        ]
    );
    let found = found(&workload("reviews-b", "10.0.0.2", "{http: 80, alt: 8080}"));
    assert_eq!(
        found,
        [
            "warning: Workload default/reviews-b: spec.ports: it has no port for port 81 of service default/reviews, which selects it (add one of the target's name or number)"
        ]
    );
}

#[test]
fn services_without_workloads_are_noted() {
    let service = |name: &str, selector: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {selector}, ports: [{{port: 80}}]}}\n"
        )
    };
    assert_eq!(
        found(&format!("{}{}", service("a", "{app: nobody}"), service("b", "{}"))),
        [
            "note: Service default/a: spec.selector: it selects no declared workload: only sidecars that join with these labels serve it",
            "note: Service default/b: spec.selector: without a selector it has no workloads (add the labels of the workloads behind it)"
        ]
    );
}

#[test]
fn an_object_that_is_there_twice_is_refused() {
    let mut all = objects(BASE);
    all.push(all[0].clone());
    let found = validate(&all);
    assert!(
        found.iter().any(|found| found.severity == Severity::Error && found.message == "it is there twice"),
        "{found:?}"
    );
}

#[test]
fn findings_are_bounded() {
    let routes: String = (0..1500)
        .map(|index| {
            route_at(&format!("r{index}"), "2025-01-01T00:00:00Z", "name: gone, port: 80", TO_REVIEWS)
        })
        .collect();
    let found = validate(&objects(&format!("{BASE}{routes}")));
    assert_eq!(found.len(), weir_model::limits::DIAGNOSTICS + 1);
    assert_eq!(found.last().map(|found| found.message.as_str()), Some("there are 500 more errors"));
}

#[test]
fn ten_thousand_matches_on_one_service_are_compared_at_once() {
    let rules = |route: usize| {
        let matches: Vec<String> = (0..64)
            .map(|index| format!("{{headers: [{{name: user, value: 'u{route}-{index}'}}]}}"))
            .collect();
        format!("[{{matches: [{}], backendRefs: [{{name: reviews, port: 80}}]}}]", matches.join(", "))
    };
    let routes: String = (0..157)
        .map(|index| route_at(&format!("r{index}"), "2025-01-01T00:00:00Z", "name: reviews", &rules(index)))
        .collect();
    let doubled = format!("{routes}{}", route_at("z", "2025-01-01T00:00:00Z", "name: reviews", &rules(0)));
    assert_eq!(found(&routes), [""; 0]);
    assert_eq!(found(&doubled).len(), 1, "one rule, of which no match is left");
}

#[test]
fn mirrors_must_exist() {
    let mirror = |name: &str, port: u16| {
        format!("[{{type: RequestMirror, requestMirror: {{backendRef: {{name: {name}, port: {port}}}}}}}]")
    };
    let rules = format!(
        "[{{filters: {}, backendRefs: [{{name: reviews, port: 80, filters: {}}}]}}]",
        mirror("review", 80),
        mirror("reviews", 82),
    );
    let found = found(&route("name: reviews", &rules));
    assert_eq!(found.len(), 2, "{found:#?}");
    let named = |part: &str| found.iter().any(|found| found.contains(part));
    assert!(
        named(
            "spec.rules[0].filters[RequestMirror 0].backendRef.name: service default/review does not exist"
        ),
        "{found:#?}"
    );
    assert!(
        named(
            "spec.rules[0].backendRefs[0].filters[RequestMirror 0].backendRef.port: service default/reviews has no port 82"
        ),
        "{found:#?}"
    );
}
