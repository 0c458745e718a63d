//! Rules for some callers, rules that answer by themselves and rules with limits, through real processes: a control plane, the service's sidecar
//! and two callers' sidecars that differ in their service accounts only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::time::Duration;
use weir_tests::backend::Backend;
use weir_tests::{ControlPlane, Sidecar, eventually, http};

const POLICY: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80, appProtocol: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: next, namespace: default}
spec: {selector: {app: next}, ports: [{name: http, port: 80, appProtocol: http}]}
---
apiVersion: weir.dev/v1
kind: RouteFilter
metadata: {name: testers, namespace: default}
spec: {callers: [{serviceAccounts: [shop/tester]}]}
---
apiVersion: weir.dev/v1
kind: RouteFilter
metadata: {name: closed, namespace: default}
spec: {directResponse: {statusCode: 503, contentType: application/json, body: '{\"open\": false}'}}
---
apiVersion: weir.dev/v1
kind: RouteFilter
metadata: {name: few, namespace: default}
spec: {rateLimits: [{requests: 1, interval: 1h, burst: 2}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: default}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews}]
  rules:
  - backendRefs: [{name: reviews, port: 80}]
  - filters: [{type: ExtensionRef, extensionRef: {group: weir.dev, kind: RouteFilter, name: testers}}]
    backendRefs: [{name: next, port: 80}]
  - matches: [{path: {value: /closed}}]
    filters: [{type: ExtensionRef, extensionRef: {group: weir.dev, kind: RouteFilter, name: closed}}]
  - matches: [{path: {value: /search}}, {path: {value: /find}}]
    filters: [{type: ExtensionRef, extensionRef: {group: weir.dev, kind: RouteFilter, name: few}}]
    backendRefs: [{name: reviews, port: 80}]
";

#[test]
fn rules_are_for_their_callers_answer_by_themselves_and_are_limited_by_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    plane.apply(POLICY);
    let (now, next) = (Backend::start("now"), Backend::start("next"));
    let served = |id: &str, service: &str, backend: &Backend| {
        let inbound = format!("127.0.0.1:0={}", backend.address);
        Sidecar::start(dir.path(), id, plane.xds, &["--service", service, "--inbound", &inbound])
    };
    let _services = (served("reviews", "default/reviews", &now), served("next", "default/next", &next));
    let caller = |id: &str, account: &str| {
        let args = ["--service", "shop/cart", "--service-account", account, "--outbound", "127.0.0.1:0"];
        Sidecar::start(dir.path(), id, plane.xds, &args)
    };
    let (anybody, tester) = (caller("anybody", "cart"), caller("tester", "tester"));
    let ask = |from: &Sidecar, path: &str| http::get(from.outbound.unwrap(), "reviews.default", path);
    for (from, name) in [(&anybody, "now"), (&tester, "next")] {
        eventually("each caller gets what is for it", Duration::from_secs(20), || {
            ask(from, "/").is_ok_and(|answer| answer.status == 200 && answer.text() == name)
        });
    }

    let closed = ask(&anybody, "/closed").unwrap();
    assert_eq!((closed.status, closed.text().as_str()), (503, "{\"open\": false}"));
    assert_eq!(closed.header("content-type"), Some("application/json"));

    // Both matches of the rule, from both callers, out of one bucket; a request without a limit is none of them.
    let statuses: Vec<u16> =
        [(&anybody, "/search"), (&tester, "/find"), (&anybody, "/find"), (&tester, "/search")]
            .into_iter()
            .map(|(from, path)| ask(from, path).unwrap().status)
            .collect();
    assert_eq!(statuses, [200, 200, 429, 429]);
    let limited = ask(&anybody, "/search").unwrap();
    assert!(limited.header("retry-after").is_some(), "{limited:?}");
    assert!(
        limited.header("ratelimit-policy").unwrap().contains("HTTPRoute default/reviews rule 3"),
        "{limited:?}"
    );
    assert_eq!(ask(&anybody, "/").unwrap().status, 200);

    let told =
        plane.weir_ok(&["explain", "http://reviews.default/", "--from", "shop", "--service-account", "cart"]);
    assert!(
        told.contains("rule 1: is for callers of service account shop/tester; this one runs as shop/cart"),
        "{told}"
    );
    let told = plane.weir_ok(&["explain", "http://reviews.default/", "--node", "tester"]);
    assert!(told.contains("outbound/default/next:80"), "{told}");

    // What a rule needs cannot be deleted.
    let refused = plane.weir(&["delete", "routefilter", "testers"]);
    assert!(!refused.status.success(), "{refused:?}");
}
