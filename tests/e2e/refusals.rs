//! Wrong input, over the API and the command line: every answer names the field and the mend, and what is served stays as it was.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use tonic::Code;
use weir_proto::policy::v1 as wire;
use weir_proto::policy::v1::diagnostic::Severity;
use weir_proto::policy::v1::policy_service_client::PolicyServiceClient;
use weir_tests::ControlPlane;

type Client = PolicyServiceClient<tonic::transport::Channel>;

const GOOD: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080, appProtocol: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v1, namespace: default}
spec: {selector: {app: reviews, version: v1}, ports: [{name: http, port: 9080, appProtocol: http}]}
---
apiVersion: weir.dev/v1
kind: Workload
metadata: {name: reviews-a, namespace: default, labels: {app: reviews, version: v1}}
spec: {address: 127.0.0.1, ports: {http: 18081}, locality: eu/eu-1/a, weight: 1}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: default}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews, port: 9080}]
  rules:
  - backendRefs: [{name: reviews-v1, port: 9080, weight: 90}, {name: reviews, port: 9080, weight: 10}]
";

fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: default}}\nspec: {spec}\n")
}

fn workload(spec: &str) -> String {
    format!(
        "apiVersion: weir.dev/v1\nkind: Workload\nmetadata: {{name: w, namespace: default}}\nspec: {spec}\n"
    )
}

fn route(rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: default}}\nspec:\n  \
         parentRefs: [{{group: \"\", kind: Service, name: reviews, port: 9080}}]\n  rules: {rules}\n"
    )
}

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: weir.dev/v1\nkind: TrafficPolicy\nmetadata: {{name: p, namespace: default}}\nspec: {{targetRefs: [{{group: \"\", kind: \
         Service, name: reviews}}], {spec}}}\n"
    )
}

const TO: &str = "backendRefs: [{name: reviews-v1, port: 9080}]";

/// A manifest that must be refused, and the field that the refusal must name.
fn cases() -> Vec<(&'static str, String, &'static str)> {
    let matched = |matches: &str| route(&format!("[{{matches: [{matches}], {TO}}}]"));
    let filtered = |filters: &str| route(&format!("[{{filters: [{filters}], {TO}}}]"));
    vec![
        ("unknown backend", route("[{backendRefs: [{name: nobody, port: 9080}]}]"), "backendRefs[0].name"),
        (
            "unknown backend port",
            route("[{backendRefs: [{name: reviews-v1, port: 1}]}]"),
            "backendRefs[0].port",
        ),
        ("backend without port", route("[{backendRefs: [{name: reviews-v1}]}]"), "backendRefs[0].port"),
        (
            "weights of zero",
            route("[{backendRefs: [{name: reviews-v1, port: 9080, weight: 0}]}]"),
            "spec.rules[0]",
        ),
        (
            "negative weight",
            route("[{backendRefs: [{name: reviews-v1, port: 9080, weight: -1}]}]"),
            "backendRefs[0].weight",
        ),
        (
            "weight too large",
            route("[{backendRefs: [{name: reviews-v1, port: 9080, weight: 1000001}]}]"),
            "backendRefs[0].weight",
        ),
        (
            "weight is text",
            route("[{backendRefs: [{name: reviews-v1, port: 9080, weight: most}]}]"),
            "backendRefs[0].weight",
        ),
        ("port is text", route("[{backendRefs: [{name: reviews-v1, port: http}]}]"), "backendRefs[0].port"),
        (
            "port out of range",
            route("[{backendRefs: [{name: reviews-v1, port: 70000}]}]"),
            "backendRefs[0].port",
        ),
        (
            "bad path regex",
            matched("{path: {type: RegularExpression, value: '/a('}}"),
            "matches[0].path.value",
        ),
        (
            "bad header regex",
            matched("{headers: [{type: RegularExpression, name: x, value: '['}]}"),
            "matches[0].headers[0].value",
        ),
        (
            "huge regex",
            matched(&format!(
                "{{path: {{type: RegularExpression, value: '/{}'}}}}",
                "a{1000}{1000}".repeat(9)
            )),
            "matches[0].path.value",
        ),
        ("path without slash", matched("{path: {type: PathPrefix, value: a}}"), "matches[0].path.value"),
        ("path with double slash", matched("{path: {type: Exact, value: '/a//b'}}"), "matches[0].path.value"),
        ("unknown path type", matched("{path: {type: Glob, value: '/a*'}}"), "matches[0].path.type"),
        ("unknown method", matched("{method: FETCH}"), "matches[0].method"),
        (
            "header name with space",
            matched("{headers: [{name: 'a b', value: x}]}"),
            "matches[0].headers[0].name",
        ),
        (
            "the same header twice",
            matched("{headers: [{name: a, value: v}, {name: A, value: w}]}"),
            "matches[0].headers[1]",
        ),
        ("unknown filter", filtered("{type: Teleport}"), "filters[0].type"),
        ("filter without its body", filtered("{type: URLRewrite}"), "filters[0].urlRewrite"),
        (
            "filter twice",
            filtered(
                "{type: URLRewrite, urlRewrite: {hostname: a.b}}, {type: URLRewrite, urlRewrite: {hostname: a.b}}",
            ),
            "filters[1]",
        ),
        (
            "redirect and backends",
            filtered("{type: RequestRedirect, requestRedirect: {statusCode: 301}}"),
            "rules[0]",
        ),
        (
            "redirect status",
            route("[{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]}]"),
            "statusCode",
        ),
        (
            "prefix rewrite of an exact path",
            route(&format!(
                "[{{matches: [{{path: {{type: Exact, value: /a}}}}], filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /b}}}}}}], {TO}}}]"
            )),
            "spec.rules[0]",
        ),
        (
            "header value with a line break",
            filtered(
                "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: \"x\\r\\ny: z\"}]}}",
            ),
            "set[0].value",
        ),
        ("not a duration", route(&format!("[{{timeouts: {{request: soon}}, {TO}}}]")), "timeouts.request"),
        (
            "backend longer than request",
            route(&format!("[{{timeouts: {{request: 1s, backendRequest: 2s}}, {TO}}}]")),
            "timeouts.backendRequest",
        ),
        ("unknown field", route(&format!("[{{timeout: 1s, {TO}}}]")), "rules[0].timeout"),
        ("rules are no list", route("{a: b}"), "spec.rules"),
        ("too many rules", route(&format!("[{}]", vec![format!("{{{TO}}}"); 17].join(", "))), "spec.rules"),
        (
            "unknown parent",
            route(&format!("[{{{TO}}}]")).replace("name: reviews, port", "name: nobody, port"),
            "parentRefs[0]",
        ),
        (
            "unknown parent port",
            route(&format!("[{{{TO}}}]")).replace("port: 9080}]\n  rules", "port: 9}]\n  rules"),
            "parentRefs[0].port",
        ),
        (
            "backend of another namespace",
            route("[{backendRefs: [{name: reviews-v1, namespace: shop, port: 9080}]}]"),
            "backendRefs[0]",
        ),
        ("service without ports", service("{selector: {app: s}, ports: []}"), "spec.ports"),
        (
            "duplicate port",
            service("{selector: {app: s}, ports: [{name: a, port: 80}, {name: b, port: 80}]}"),
            "spec.ports[1]",
        ),
        (
            "duplicate port name",
            service("{selector: {app: s}, ports: [{name: a, port: 80}, {name: a, port: 81}]}"),
            "spec.ports[1]",
        ),
        (
            "unnamed of several ports",
            service("{selector: {app: s}, ports: [{port: 80}, {port: 81}]}"),
            "spec.ports[0]",
        ),
        ("port zero", service("{selector: {app: s}, ports: [{name: a, port: 0}]}"), "spec.ports[0].port"),
        ("external name", service("{type: ExternalName, externalName: example.com}"), "spec.type"),
        ("workload without address", workload("{ports: {http: 80}}"), "spec.address"),
        ("address is a name", workload("{address: localhost, ports: {http: 80}}"), "spec.address"),
        ("workload port zero", workload("{address: 127.0.0.1, ports: {http: 0}}"), "spec.ports.http"),
        (
            "workload weight zero",
            workload("{address: 127.0.0.1, ports: {http: 80}, weight: 0}"),
            "spec.weight",
        ),
        (
            "locality of four parts",
            workload("{address: 127.0.0.1, ports: {http: 80}, locality: a/b/c/d}"),
            "spec.locality",
        ),
        ("unknown balancer", policy("loadBalancing: {policy: Fastest}"), "loadBalancing.policy"),
        ("hash without header", policy("loadBalancing: {policy: RingHash}"), "loadBalancing.consistentHash"),
        ("too many retries", policy("retries: {attempts: 100}"), "retries.attempts"),
        ("unknown retry condition", policy("retries: {attempts: 1, 'on': [bad-luck]}"), "retries.on[0]"),
        ("budget over 100 %", policy("retries: {attempts: 1, budget: {percent: 120}}"), "budget.percent"),
        ("breaker of zero", policy("circuitBreakers: {maxRequests: 0}"), "circuitBreakers.maxRequests"),
        ("unknown kind", "apiVersion: v1\nkind: Servise\nmetadata: {name: s}\nspec: {}\n".to_owned(), "kind"),
        (
            "wrong apiVersion",
            service("{ports: [{port: 80}]}").replace("apiVersion: v1", "apiVersion: v2"),
            "apiVersion",
        ),
        (
            "no name",
            "apiVersion: v1\nkind: Service\nmetadata: {}\nspec: {ports: [{port: 80}]}\n".to_owned(),
            "metadata.name",
        ),
        ("bad name", service("{ports: [{port: 80}]}").replace("name: s,", "name: S_1,"), "metadata.name"),
        ("no spec", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n".to_owned(), "spec"),
        ("the same object twice", format!("{0}---\n{0}", service("{ports: [{port: 80}]}")), "metadata.name"),
        ("a list, not an object", "- a\n- b\n".to_owned(), ""),
        ("no YAML", "a: b: c: [\n".to_owned(), ""),
        ("an alias bomb", alias_bomb(), ""),
        ("nested too deep", format!("{}{}", "[".repeat(5000), "]".repeat(5000)), ""),
    ]
}

fn alias_bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 9].join(", ")));
    }
    text
}

async fn served(client: &mut Client) -> (u64, Vec<String>) {
    let list = client.list(wire::ListRequest::default()).await.unwrap().into_inner();
    (list.revision, list.items.into_iter().map(|item| item.manifest).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_names_field_and_mend_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    plane.apply(GOOD);
    let mut client = PolicyServiceClient::connect(format!("http://{}", plane.policy)).await.unwrap();
    client = client.max_encoding_message_size(64 << 20);
    let before = served(&mut client).await;
    let mut wrong = Vec::new();
    let mut told = 0;
    for (name, manifest, field) in cases() {
        let apply = wire::ApplyRequest { manifest: manifest.clone(), ..Default::default() };
        match client.apply(apply).await {
            Ok(_) => wrong.push(format!("{name}: was accepted")),
            Err(status) if status.code() != Code::InvalidArgument => {
                wrong.push(format!("{name}: {status:?}"))
            }
            Err(status) if !status.message().contains(field) => {
                wrong.push(format!("{name}: does not say {field}: {}", status.message()))
            }
            Err(_) => {}
        }
        let validate = wire::ValidateRequest { manifest: manifest.clone(), ..Default::default() };
        let answer = client.validate(validate).await.unwrap().into_inner();
        let errors: Vec<_> =
            answer.diagnostics.iter().filter(|one| one.severity() == Severity::Error).collect();
        if answer.valid || errors.is_empty() {
            wrong.push(format!("{name}: the dry run finds nothing"));
        }
        if !errors.iter().any(|one| one.field.contains(field)) {
            wrong.push(format!("{name}: no error names {field}: {errors:?}"));
        }
        for error in errors
            .iter()
            .filter(|one| one.mend.is_empty() || one.message.is_empty() || one.resource.is_empty())
        {
            wrong.push(format!("{name}: no mend: {error:?}"));
        }
        let file = dir.path().join("wrong.yaml");
        std::fs::write(&file, &manifest).unwrap();
        let output = plane.weir(&["apply", "-f", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(1) || !said.contains(field) || !said.contains("nothing was changed") {
            wrong.push(format!("{name}: weir apply says {said:?}"));
        }
        told += 1;
    }
    assert!(wrong.is_empty(), "{} of {told}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(served(&mut client).await, before);
    println!("{told} wrong manifests refused by Apply, Validate and `weir apply`");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_calls_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    plane.apply(GOOD);
    let mut client = PolicyServiceClient::connect(format!("http://{}", plane.policy)).await.unwrap();
    client = client.max_encoding_message_size(64 << 20);
    let before = served(&mut client).await;

    let stale =
        wire::ApplyRequest { manifest: GOOD.into(), expected_revision: Some(77), ..Default::default() };
    let refused = client.apply(stale).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused.message().contains("77") && refused.message().contains(&before.0.to_string()),
        "{refused:?}"
    );

    let empty = client.apply(wire::ApplyRequest::default()).await.unwrap_err();
    assert!(empty.code() == Code::InvalidArgument && empty.message().contains("objects"), "{empty:?}");

    let big = format!("{GOOD}---\n# {}\n", "x".repeat(10 << 20));
    let big = client.apply(wire::ApplyRequest { manifest: big, ..Default::default() }).await.unwrap_err();
    assert!(big.message().contains("manifest") && big.message().contains("split"), "{big:?}");

    let huge = wire::ApplyRequest { manifest: "x".repeat(40 << 20), ..Default::default() };
    let huge = client.apply(huge).await.unwrap_err();
    assert!(matches!(huge.code(), Code::OutOfRange | Code::ResourceExhausted), "{huge:?}");
    let mut client = PolicyServiceClient::connect(format!("http://{}", plane.policy)).await.unwrap();

    let object = |kind: &str, name: &str| wire::ObjectRef {
        kind: kind.into(),
        namespace: String::new(),
        name: name.into(),
    };
    let get = |object| wire::GetRequest { object: Some(object), revision: None };
    assert_eq!(client.get(get(object("Service", "nobody"))).await.unwrap_err().code(), Code::NotFound);
    let kind = client.get(get(object("Servise", "reviews"))).await.unwrap_err();
    assert!(kind.message().contains("object.kind"), "{kind:?}");
    let nothing = client.get(wire::GetRequest::default()).await.unwrap_err();
    assert!(nothing.message().contains("object"), "{nothing:?}");

    let needed = wire::DeleteRequest { objects: vec![object("Service", "reviews-v1")], ..Default::default() };
    let needed = client.delete(needed).await.unwrap_err();
    assert!(
        needed.code() == Code::InvalidArgument && needed.message().contains("HTTPRoute default/reviews"),
        "{needed:?}"
    );
    let missing = wire::DeleteRequest { objects: vec![object("Service", "nobody")], ..Default::default() };
    assert_eq!(client.delete(missing).await.unwrap_err().code(), Code::NotFound);

    let future = wire::RollbackRequest { to_revision: 99, ..Default::default() };
    assert_eq!(client.rollback(future).await.unwrap_err().code(), Code::OutOfRange);
    let diff = wire::DiffRequest { from_revision: 99, to_revision: None };
    assert_eq!(client.diff(diff).await.unwrap_err().code(), Code::OutOfRange);
    let watch = wire::WatchRequest { after_revision: Some(99), ..Default::default() };
    assert_eq!(client.watch(watch).await.unwrap_err().code(), Code::OutOfRange);
    let explain = wire::ExplainRequest { url: "http://".into(), ..Default::default() };
    assert!(client.explain(explain).await.unwrap_err().message().contains("url"));
    let node = client.status(wire::StatusRequest { node: "nobody".into() }).await.unwrap_err();
    assert_eq!(node.code(), Code::NotFound);

    // A typed object whose spec is another kind's.
    let spec = wire::object::Spec::Workload(wire::WorkloadSpec::default());
    let metadata = wire::ObjectMeta { name: "x".into(), ..Default::default() };
    let typed = wire::Object {
        api_version: "v1".into(),
        kind: "Service".into(),
        metadata: Some(metadata),
        spec: Some(spec),
    };
    let typed =
        client.apply(wire::ApplyRequest { objects: vec![typed], ..Default::default() }).await.unwrap_err();
    assert!(typed.code() == Code::InvalidArgument && typed.message().contains("spec"), "{typed:?}");

    // The command line: files that are not there, not text, empty, too large; a server that is not there; flags that make no sense.
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("binary.yaml"), [0xff, 0xfe, 0]).unwrap();
    std::fs::write(path("empty.yaml"), "\n---\n").unwrap();
    std::fs::write(path("large.yaml"), "x".repeat(10 << 20)).unwrap();
    std::fs::create_dir(path("directory")).unwrap();
    for (args, word) in [
        (vec!["apply", "-f", &path("nothing.yaml")], "nothing.yaml"),
        (vec!["apply", "-f", &path("binary.yaml")], "UTF-8"),
        (vec!["apply", "-f", &path("large.yaml")], "MiB"),
        (vec!["apply", "-f", &path("directory")], ".yaml"),
        (vec!["apply", "-f", &path("empty.yaml")], "object"),
        (vec!["get", "servise", "x"], "kind"),
        (vec!["rollback", "99"], "99"),
        (vec!["apply", "-f", &path("empty.yaml"), "--server", "127.0.0.1:1"], "--server"),
        (vec!["explain", "http://reviews/", "-H", "no-colon"], "--header"),
        (vec!["history", "-n", "0"], "1..=1000"),
        (vec!["get", "service", "x", "-o", "xml"], "json"),
    ] {
        let output = plane.weir(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(word), "weir {}: {said}", args.join(" "));
        assert!(!said.contains("panicked"), "{said}");
    }
    assert_eq!(served(&mut client).await, before);
}
