use super::*;
use std::sync::Arc;

const POLICY: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v1, namespace: default}
spec: {selector: {app: reviews, version: v1}, ports: [{name: http, port: 9080}]}
---
apiVersion: weir.dev/v1
kind: Workload
metadata: {name: reviews-a, namespace: default, labels: {app: reviews, version: v1}}
spec: {address: 10.0.0.1, ports: {http: 80}, locality: eu/eu-1/a}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: default}
spec:
  parentRefs: [{group: '', kind: Service, name: reviews}]
  rules:
  - matches: [{path: {value: /v2}, headers: [{name: x-canary, value: always}]}]
    backendRefs: [{name: reviews-v1, port: 9080, weight: 3}, {name: reviews, port: 9080, weight: 1}]
  - matches: [{path: {value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: example.com, statusCode: 301}}]
  - matches: [{path: {value: /gone}}]
    backendRefs: [{name: removed, port: 9080, weight: 1}, {name: reviews-v1, port: 9080, weight: 3}]
";

fn ask(url: &str, headers: &[(&str, &str)]) -> wire::ExplainResponse {
    let (objects, _) = weir_policy::parse_yaml(POLICY);
    assert_eq!(objects.len(), 4);
    let mesh = weir_policy::to_mesh(&objects);
    let dir = tempfile::tempdir().unwrap();
    let store = weir_store::Embedded::open(dir.path(), weir_store::Options::default()).unwrap();
    let plane = Plane::new(Arc::new(store), None).unwrap();
    let world = plane.world_of(mesh);
    let header =
        |(name, value): &(&str, &str)| wire::HttpHeader { name: (*name).into(), value: (*value).into() };
    let request = wire::ExplainRequest {
        url: url.into(),
        headers: headers.iter().map(header).collect(),
        ..Default::default()
    };
    let Ok(asked) = Asked::read(&request) else { panic!("the request is readable") };
    explain_in(&world, client_of("default"), &asked)
}

#[test]
fn a_split_is_told_with_its_shares_and_endpoints_and_why_not_the_others() {
    let told = ask("http://reviews:9080/v2/x", &[("x-canary", "always")]);
    assert_eq!(told.route, "HTTPRoute default/reviews rule 0 match 0");
    let outcomes: Vec<_> =
        told.outcomes.iter().map(|outcome| (outcome.target.as_str(), outcome.share)).collect();
    assert_eq!(
        outcomes,
        [("outbound/default/reviews-v1:9080", 0.75), ("outbound/default/reviews:9080", 0.25)]
    );
    assert!(told.outcomes[0].endpoints[0].starts_with("10.0.0.1:80"), "{told:?}");
    let stages: Vec<_> = told.steps.iter().map(|step| step.stage.as_str()).collect();
    assert_eq!(&stages[..3], ["service", "host", "route"], "{told:?}");
}

#[test]
fn a_request_that_nothing_takes_is_told_condition_by_condition() {
    let told = ask("http://reviews.default/v2/x", &[("x-canary", "never")]);
    assert_eq!((told.route.as_str(), told.outcomes[0].target.as_str()), ("", "answer 404"));
    let reasons = told.steps.iter().find(|step| step.stage == "route").unwrap().reasons.join("\n");
    assert!(reasons.contains("x-canary") && reasons.contains("never"), "{reasons}");
}

#[test]
fn redirects_unresolved_backends_and_unknown_services_are_told_as_what_they_answer() {
    assert_eq!(ask("reviews/old", &[]).outcomes[0].target, "redirect 301");
    let gone = ask("reviews/gone", &[]);
    let shares: Vec<_> = gone
        .outcomes
        .iter()
        .map(|outcome| (outcome.target.starts_with("answer 500"), outcome.share))
        .collect();
    assert_eq!(shares, [(true, 0.25), (false, 0.75)]);
    let nobody = ask("nobody.default", &[]);
    assert_eq!(nobody.outcomes[0].target, "answer 404");
    assert!(nobody.steps[0].decision.contains("nobody.default"));
}
