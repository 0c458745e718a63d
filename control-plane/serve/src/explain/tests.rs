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
    ask_of(POLICY, 4, wire::ExplainRequest { url: url.into(), ..Default::default() }, headers)
}

fn ask_of(
    policy: &str,
    count: usize,
    request: wire::ExplainRequest,
    headers: &[(&str, &str)],
) -> wire::ExplainResponse {
    let (objects, mistakes) = weir_policy::parse_yaml(policy);
    assert_eq!(objects.len(), count, "{mistakes:?}");
    let mesh = weir_policy::to_mesh(&objects);
    let dir = tempfile::tempdir().unwrap();
    let store = weir_store::Embedded::open(dir.path(), weir_store::Options::default()).unwrap();
    let plane = Plane::new(Arc::new(store), None).unwrap();
    let world = plane.world_of(mesh);
    let header =
        |(name, value): &(&str, &str)| wire::HttpHeader { name: (*name).into(), value: (*value).into() };
    let request = wire::ExplainRequest { headers: headers.iter().map(header).collect(), ..request };
    let Ok(asked) = Asked::read(&request) else { panic!("the request is readable") };
    explain_in(&world, client_of(&request), &asked, &plane.loads)
}

const STREAMS: &str = "
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {selector: {app: db}, ports: [{port: 5432, appProtocol: tls, name: pg}, {port: 6432, appProtocol: tcp, name: pool}, {port: 80, name: web}]}
---
apiVersion: weir.dev/v1
kind: Workload
metadata: {name: db-1, labels: {app: db}}
spec: {address: 10.0.0.1, ports: {pg: 5432, pool: 6432}}
---
apiVersion: gateway.networking.k8s.io/v1alpha3
kind: TLSRoute
metadata: {name: db}
spec:
  parentRefs: [{group: '', kind: Service, name: db, port: 5432}]
  hostnames: [db.example.com]
  rules: [{backendRefs: [{name: db, port: 5432}]}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: pool}
spec:
  parentRefs: [{group: '', kind: Service, name: db, port: 6432}]
  rules: [{backendRefs: [{name: db, port: 6432, weight: 3}, {name: gone, port: 1, weight: 1}]}]
";

#[test]
fn connections_are_explained_by_service_and_by_server_name() {
    let ask = |url: &str| {
        let told = ask_of(STREAMS, 4, wire::ExplainRequest { url: url.into(), ..Default::default() }, &[]);
        told.outcomes.into_iter().map(|it| (it.target, it.share, it.endpoints.len())).collect::<Vec<_>>()
    };
    let db = "outbound/default/db:6432".to_owned();
    let closed = "close (outbound/closed has no endpoint)".to_owned();
    assert_eq!(ask("tcp://db:6432"), [(db, 0.75, 1), (closed, 0.25, 0)]);
    assert_eq!(ask("tls://db.example.com:5432"), [("outbound/default/db:5432".to_owned(), 1.0, 1)]);
    assert_eq!(ask("tcp://db:5432"), [("close, without one of these server names".to_owned(), 1.0, 0)]);
    for nothing in ["tls://other.example.com:5432", "tcp://nobody:1", "tls://db:80"] {
        assert_eq!(ask(nothing), [("close".to_owned(), 1.0, 0)], "{nothing}");
    }
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

const EVERYTHING: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: copies, namespace: default}
spec: {selector: {app: copies}, ports: [{name: http, port: 80}]}
---
apiVersion: weir.dev/v1
kind: Workload
metadata: {name: reviews-a, namespace: default, labels: {app: reviews}}
spec: {address: 10.0.0.1, ports: {http: 80}}
---
apiVersion: weir.dev/v1
kind: Workload
metadata: {name: reviews-b, namespace: default, labels: {app: reviews}}
spec: {address: 10.0.0.2, ports: {http: 80}}
---
apiVersion: weir.dev/v1
kind: RouteFilter
metadata: {name: beta, namespace: default}
spec: {callers: [{namespaces: [shop], serviceAccounts: [shop/cart], labels: {tier: beta}}], priority: High}
---
apiVersion: weir.dev/v1
kind: RouteFilter
metadata: {name: few, namespace: default}
spec: {rateLimits: [{requests: 3}, {requests: 7, enforcedBy: Caller}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: default}
spec:
  parentRefs: [{group: '', kind: Service, name: reviews}]
  rules:
  - filters:
    - {type: ExtensionRef, extensionRef: {group: weir.dev, kind: RouteFilter, name: beta}}
    backendRefs: [{name: reviews, port: 9080}]
  - filters:
    - {type: ExtensionRef, extensionRef: {group: weir.dev, kind: RouteFilter, name: few}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: copies, port: 80}, percent: 10}}
    - {type: URLRewrite, urlRewrite: {hostname: reviews.example.com}}
    backendRefs: [{name: reviews, port: 9080, weight: 1}, {name: copies, port: 80, weight: 1}]
---
apiVersion: weir.dev/v1
kind: TrafficPolicy
metadata: {name: reviews, namespace: default}
spec:
  targetRefs: [{kind: Service, name: reviews}]
  sessionPersistence: {sessionName: pin}
  splitting: {stickyBy: {header: x-user}}
  faults: {delay: {duration: 2s, percent: 5}}
  rateLimits: [{requests: 1000}]
  fallback: {response: {status: 200, body: '[]'}}
";

fn steps(told: &wire::ExplainResponse, stage: &str) -> String {
    let of_stage = told.steps.iter().filter(|step| step.stage == stage);
    of_stage.map(|step| format!("{} | {}\n", step.decision, step.reasons.join(" | "))).collect()
}

#[test]
fn everything_that_changes_where_a_request_goes_is_told() {
    let request = || wire::ExplainRequest { url: "reviews/x".into(), ..Default::default() };
    let told = ask_of(EVERYTHING, 8, request(), &[("x-user", "anna")]);
    assert_eq!(told.route, "HTTPRoute default/reviews rule 1 match 0");
    let stages = [
        (
            "caller",
            "HTTPRoute default/reviews rule 0: is for callers of namespace shop; this one runs in default (RouteFilter default/beta, namespaces)",
        ),
        (
            "limit",
            "the caller's sidecar sends at most 7 requests in 1s, 7 at once; more is answered 429 | limits of HTTPRoute default/reviews rule 1",
        ),
        ("limit", "each sidecar of service default/reviews lets in at most 3 requests in 1s"),
        ("fault", "on purpose, 5 % of requests wait 2s"),
        ("rewrite", "host \"reviews.example.com\""),
        ("session", "it has no session cookie \"pin\": it gets one"),
        ("hash", "of header x-user: the request has it"),
        ("sticky", "its caller's side is outbound/default/"),
        ("mirror", "10 % are copied to outbound/default/copies:80"),
        ("fallback", "the caller's sidecar answers 200 | the reason is in x-weir-degraded"),
        ("balance", "outbound/default/"),
    ];
    for (stage, expected) in stages {
        let found = steps(&told, stage);
        // Which side a hash means is not for this test to know.
        let either = expected.contains("lets in") && steps(&told, "sticky").contains("copies");
        assert!(found.contains(expected) || either, "{stage}: {expected}\n{found}");
    }
    let outcomes: Vec<f64> = told.outcomes.iter().map(|outcome| outcome.share).collect();
    assert_eq!(outcomes, [1.0], "a caller keeps its side: {told:#?}");

    let without = ask_of(EVERYTHING, 8, request(), &[]);
    assert!(steps(&without, "hash").contains("the request has nothing of it"), "{without:#?}");
    let outcomes: Vec<f64> = without.outcomes.iter().map(|outcome| outcome.share).collect();
    assert_eq!(outcomes, [0.5, 0.5]);
    assert!(without.outcomes[0].endpoints[0].contains("10.0.0.1:80 (reviews-a, //) healthy"), "{without:#?}");
}

#[test]
fn a_session_is_told_with_the_endpoint_that_it_names() {
    let request = || wire::ExplainRequest { url: "reviews/x".into(), ..Default::default() };
    let pin = weir_decide::affinity::Pin {
        cluster: weir_decide::affinity::cluster_key("outbound/default/reviews:9080"),
        endpoint: weir_decide::affinity::endpoint_key(([10, 0, 0, 2], 80).into()),
    };
    let cookie = format!("pin={}", pin.value());
    let told = ask_of(EVERYTHING, 8, request(), &[("cookie", &cookie)]);
    assert!(steps(&told, "session").contains("names 10.0.0.2:80, while that takes traffic"), "{told:#?}");
    assert_eq!(told.outcomes.len(), 1, "{told:#?}");
    assert!(
        told.outcomes[0].endpoints.len() == 1 && told.outcomes[0].endpoints[0].starts_with("10.0.0.2:80")
    );
    let gone = weir_decide::affinity::Pin { endpoint: 7, ..pin };
    let cookie = format!("pin={}", gone.value());
    let told = ask_of(EVERYTHING, 8, request(), &[("cookie", &cookie)]);
    assert!(steps(&told, "session").contains("is gone: it gets another one"), "{told:#?}");
}

#[test]
fn a_caller_is_known_by_its_namespace_account_and_labels() {
    let from = |account: &str, tier: &str| wire::ExplainRequest {
        url: "reviews.default/x".into(),
        from_namespace: "shop".into(),
        from_service_account: account.into(),
        from_labels: [("tier".to_owned(), tier.to_owned())].into(),
        ..Default::default()
    };
    let told = ask_of(EVERYTHING, 8, from("cart", "beta"), &[]);
    assert_eq!(told.route, "HTTPRoute default/reviews rule 0 match 0");
    assert!(steps(&told, "priority").contains("breakers of its own"), "{told:#?}");
    assert!(steps(&told, "limit").contains("lets in at most 1000 requests"), "the service's own: {told:#?}");
    for (account, tier, why) in [
        (
            "",
            "beta",
            "service account shop/cart; this one runs as shop/default (RouteFilter default/beta, serviceAccounts)",
        ),
        ("cart", "x", "label tier=beta; this one has tier=x (RouteFilter default/beta, labels)"),
    ] {
        let told = ask_of(EVERYTHING, 8, from(account, tier), &[]);
        assert_eq!(told.route, "HTTPRoute default/reviews rule 1 match 0");
        assert!(steps(&told, "caller").contains(why), "{why}: {told:#?}");
    }
}
