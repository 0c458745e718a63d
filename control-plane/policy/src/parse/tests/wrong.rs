//! Wrong inputs: each is refused at its field, with a reason and a mend. What else is wrong with the same document is told too.

use serde_json::{Value, json};
use weir_model::Severity;

/// The errors of an object of a kind with this spec, as text without the resource.
fn errors(kind: &str, spec: Value) -> Vec<String> {
    let kind: crate::Kind = kind.parse().unwrap();
    errors_of(
        json!({"apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": {"name": "x"}, "spec": spec}),
    )
}

fn errors_of(value: Value) -> Vec<String> {
    let found = crate::parse_value(value, "document 1").expect_err("refused");
    let errors = found.into_iter().filter(|found| found.severity == Severity::Error);
    errors
        .map(|found| {
            assert!(!found.mend.is_empty(), "no mend: {found}");
            format!("{}: {}", found.field, found.message)
        })
        .collect()
}

/// A route with one rule, which `rule` completes.
fn rule(rule: Value) -> Vec<String> {
    errors(
        "HTTPRoute",
        json!({"parentRefs": [{"group": "", "kind": "Service", "name": "a"}], "rules": [rule]}),
    )
}

fn one(errors: Vec<String>, expected: &str) {
    assert_eq!(errors, [expected]);
}

#[test]
fn envelopes() {
    one(errors_of(json!([])), ": expected an object, found an empty list");
    one(errors_of(json!("x")), ": expected an object, found \"x\"");
    assert_eq!(
        errors_of(json!({})),
        [
            "kind: it is missing",
            "apiVersion: it is missing",
            "metadata: it is missing",
            "spec: it is missing"
        ]
    );
    let with = |name: &str, value: Value| {
        let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}});
        object[name] = value;
        errors_of(object)
    };
    one(with("kind", json!("Servce")), "kind: there is no kind \"Servce\"");
    one(with("kind", json!("Deployment")), "kind: there is no kind \"Deployment\" here");
    one(with("kind", json!("Gateway")), "kind: Gateway is not supported yet");
    one(with("kind", json!(7)), "kind: expected text, found 7");
    one(with("apiVersion", json!("v2")), "apiVersion: Service has no apiVersion \"v2\"");
    one(with("specs", json!({})), "specs: there is no field \"specs\"");
    one(with("metadata", json!({"name": "A"})), "metadata.name: \"A\" is not a service's name");
    one(with("metadata", json!({"name": "a.b"})), "metadata.name: \"a.b\" is not a service's name");
    one(
        with("metadata", json!({"name": "a", "namespace": "a.b"})),
        "metadata.namespace: \"a.b\" is not a DNS label",
    );
    one(
        with("metadata", json!({"name": "a", "labels": {"a": true}})),
        "metadata.labels.a: expected text, found true",
    );
    one(
        with("metadata", json!({"name": "a", "labels": {"a b": "c"}})),
        "metadata.labels[\"a b\"]: \"a b\" is not a label's key",
    );
    one(
        with("metadata", json!({"name": "a", "creationTimestamp": "today"})),
        "metadata.creationTimestamp: \"today\" is not a point in time",
    );
    one(
        with("metadata", json!({"name": "a", "annotations": {"a": "x".repeat(300_000)}})),
        "metadata.annotations: 300001 bytes, at most 262144 are allowed",
    );
    one(
        with("metadata", json!({"generateName": "a-", "name": "a"})),
        "metadata.generateName: generateName is not supported yet",
    );
}

#[test]
fn services() {
    let ports = |ports: Value| errors("Service", json!({"ports": ports}));
    one(ports(json!([])), "spec.ports: the list is empty");
    one(ports(json!([{"port": 0}])), "spec.ports[0].port: 0 is not an integer from 1 to 65535");
    one(ports(json!([{"port": 65536}])), "spec.ports[0].port: 65536 is not an integer from 1 to 65535");
    one(
        ports(json!([{"port": "80"}])),
        "spec.ports[0].port: expected an integer from 1 to 65535, found \"80\"",
    );
    one(ports(json!([{"name": "a"}])), "spec.ports[0].port: it is missing");
    one(ports(json!([{"port": 80, "protocol": "UDP"}])), "spec.ports[0].protocol: UDP is not supported yet");
    one(
        ports(json!([{"port": 80, "targetPort": "70000"}])),
        "spec.ports[0].targetPort: \"70000\" is not a port",
    );
    one(
        ports(json!([{"port": 80, "appProtcol": "http"}])),
        "spec.ports[0].appProtcol: there is no field \"appProtcol\"",
    );
    one(ports(json!([{"port": 80}, {"port": 81, "name": "b"}])), "spec.ports[0]: it has no name");
    one(
        ports(json!([{"port": 80, "name": "a"}, {"port": 80, "name": "b"}])),
        "spec.ports[1]: port 0 has the number 80 already",
    );
    one(
        ports(json!([{"port": 80, "name": "a"}, {"port": 81, "name": "a"}])),
        "spec.ports[1]: port 0 has the name \"a\" already",
    );
    one(
        errors("Service", json!({"type": "ExternalName", "ports": [{"port": 80}]})),
        "spec.type: a service of type ExternalName is not supported yet",
    );
    one(
        errors("Service", json!({"externalName": "example.com", "ports": [{"port": 80}]})),
        "spec.externalName: externalName is not supported yet",
    );
    one(
        errors("Service", json!({"selector": "app=x", "ports": [{"port": 80}]})),
        "spec.selector: expected an object, found \"app=x\"",
    );
}

#[test]
fn workloads() {
    let with = |name: &str, value: Value| {
        let mut spec = json!({"address": "10.0.0.1", "ports": {"http": 80}});
        spec[name] = value;
        errors("Workload", spec)
    };
    one(
        with("address", json!("reviews.example.com")),
        "spec.address: \"reviews.example.com\" is not the IP address of a workload",
    );
    one(with("address", json!("0.0.0.0")), "spec.address: \"0.0.0.0\" is not the IP address of a workload");
    one(with("ports", json!({})), "spec.ports: 0 ports, from 1 to 256 are allowed");
    one(with("ports", json!([80])), "spec.ports: expected an object, found a list");
    one(with("ports", json!({"HTTP": 80})), "spec.ports.HTTP: \"HTTP\" is not a DNS label");
    one(with("locality", json!("a/b/c/d")), "spec.locality: \"a/b/c/d\" is not a locality");
    one(with("weight", json!(0)), "spec.weight: 0 is not an integer from 1 to 65535");
    one(with("weigth", json!(1)), "spec.weigth: there is no field \"weigth\"");
}

#[test]
fn routes() {
    let with = |name: &str, value: Value| {
        let mut spec = json!({"parentRefs": [{"group": "", "kind": "Service", "name": "a"}], "rules": [
            {"backendRefs": [{"name": "a", "port": 80}]}]});
        spec[name] = value;
        errors("HTTPRoute", spec)
    };
    one(with("rules", json!([])), "spec.rules: the list is empty");
    one(with("rules", json!(vec![json!({}); 17])), "spec.rules: 17 elements, at most 16 are allowed");
    one(with("rules", Value::Null), "spec.rules: it is missing");
    one(with("parentRefs", json!([])), "spec.parentRefs: the list is empty");
    one(with("hostnames", json!(["a_b"])), "spec.hostnames[0]: \"a_b\" is not a host name");
    assert_eq!(
        with("parentRefs", json!([{"name": "a"}])),
        [
            "spec.parentRefs[0]: group is missing, which means a Gateway",
            "spec.parentRefs[0]: kind is missing, which means a Gateway"
        ]
    );
    one(
        with("parentRefs", json!([{"group": "", "kind": "Gateway", "name": "a"}])),
        "spec.parentRefs[0].kind: a reference to a \"Gateway\" is not supported yet",
    );
    let parent = json!({"group": "", "kind": "Service", "name": "a"});
    one(with("parentRefs", json!([parent, parent])), "spec.parentRefs[1]: the same parent is there twice");
    let many = json!({"matches": vec![json!({}); 64], "backendRefs": [{"name": "a", "port": 80}]});
    one(
        with("rules", json!([many, many, many])),
        "spec.rules: 192 matches in all rules, at most 128 are allowed",
    );
    let named = json!({"name": "a", "backendRefs": [{"name": "a", "port": 80}]});
    one(with("rules", json!([named, named])), "spec.rules[1]: rule 0 has the name \"a\" already");
}

#[test]
fn matches() {
    let with = |one: Value| rule(json!({"matches": [one], "backendRefs": [{"name": "a", "port": 80}]}));
    let path = |kind: &str, value: &str| with(json!({"path": {"type": kind, "value": value}}));
    let at = |message: &str| format!("spec.rules[0].matches[0].path.value: {message}");
    one(path("Exact", "v1"), &at("\"v1\" does not start with /"));
    one(path("PathPrefix", "/a//b"), &at("it contains //, which no normalised path has"));
    one(path("PathPrefix", "/a/../b"), &at("it contains /../, which no normalised path has"));
    one(path("PathPrefix", "/a/."), &at("it ends with a dot segment"));
    one(path("Exact", "/a%2Fb"), &at("it contains %2f"));
    one(path("Exact", "/a#b"), &at("it contains #"));
    one(path("Exact", "/a?b=c"), &at("it contains a query"));
    one(path("Exact", "/a b"), &at("\"/a b\" has characters that a path does not have"));
    one(path("Exact", "/a%zz"), &at("\"/a%zz\" has characters that a path does not have"));
    one(path("Exact", &"/a".repeat(600)), &at("it is longer than 1024 characters"));
    one(path("RegularExpression", "/a("), &at("\"/a(\" is not a regular expression: unclosed group"));
    one(path("RegularExpression", "/a)(b"), &at("\"/a)(b\" is not a regular expression: unopened group"));
    one(path("RegularExpression", "/(a{1000}){1000}"), &at("the expression needs too much memory"));
    // What would become a table of too many states, or means another thing to RE2, never reaches a sidecar.
    one(path("RegularExpression", "[ab]*a[ab]{16}"), &at("the expression needs too much memory"));
    let twice = r#""[a&&b]" is not a regular expression: classes have no set operations; escape the second &, - or ~"#;
    one(path("RegularExpression", "[a&&b]"), &at(twice));
    one(path("RegularExpression", &"a".repeat(1025)), &at("the expression is longer than 1024 bytes"));
    one(path("Prefix", "/a"), "spec.rules[0].matches[0].path.type: \"Prefix\" is not allowed here");
    one(with(json!({"method": "get"})), "spec.rules[0].matches[0].method: \"get\" is not allowed here");
    one(with(json!({"methods": ["GET"]})), "spec.rules[0].matches[0].methods: there is no field \"methods\"");
    let headers = |headers: Value| with(json!({"headers": headers}));
    one(
        headers(json!([{"name": "a b", "value": "c"}])),
        "spec.rules[0].matches[0].headers[0].name: \"a b\" is not a name here",
    );
    one(headers(json!([{"name": "a"}])), "spec.rules[0].matches[0].headers[0].value: it is missing");
    one(
        headers(json!([{"name": "a", "value": 1}])),
        "spec.rules[0].matches[0].headers[0].value: expected text, found 1",
    );
    let twice = json!([{"name": "a", "value": "1"}, {"name": "A", "value": "2"}]);
    one(headers(twice), "spec.rules[0].matches[0].headers[1]: a is there twice");
    let many: Vec<_> = (0..17).map(|index| json!({"name": format!("a{index}"), "value": "b"})).collect();
    one(headers(json!(many)), "spec.rules[0].matches[0].headers: 17 elements, at most 16 are allowed");
    one(
        with(json!({"queryParams": [{"name": "a", "type": "RegularExpression", "value": "["}]})),
        "spec.rules[0].matches[0].queryParams[0].value: \"[\" is not a regular expression: unclosed character class",
    );
}

#[test]
fn backends() {
    let with = |backends: Value| rule(json!({"backendRefs": backends}));
    one(with(json!([{"name": "a"}])), "spec.rules[0].backendRefs[0].port: it is missing");
    one(
        with(json!([{"name": "a", "port": 80, "weight": -1}])),
        "spec.rules[0].backendRefs[0].weight: -1 is not an integer from 0 to 1000000",
    );
    one(
        with(json!([{"name": "a", "port": 80, "weight": "90"}])),
        "spec.rules[0].backendRefs[0].weight: expected an integer from 0 to 1000000, found \"90\"",
    );
    one(with(json!([{"name": "a", "port": 80, "weight": 0}])), "spec.rules[0]: all weights are zero");
    one(
        with(json!([{"name": "a", "port": 80, "namespace": "other"}])),
        "spec.rules[0].backendRefs[0]: a backend in another namespace (other/a) needs a ReferenceGrant, which weir does not read yet",
    );
    one(
        with(json!([{"group": "example.com", "kind": "Bucket", "name": "a", "port": 80}]))[..1].to_vec(),
        "spec.rules[0].backendRefs[0].group: a reference to group \"example.com\" is not supported yet",
    );
    let redirect = json!({"type": "RequestRedirect", "requestRedirect": {"hostname": "b"}});
    let rewrite = json!({"type": "URLRewrite", "urlRewrite": {"hostname": "c"}});
    one(
        with(json!([{"name": "a", "port": 80, "filters": [redirect, rewrite]}])),
        "spec.rules[0]: backend default/a has a RequestRedirect and a URLRewrite filter",
    );
    let path = json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"});
    let prefix = json!({"type": "URLRewrite", "urlRewrite": {"path": path}});
    let exact = json!([{"path": {"type": "Exact", "value": "/a"}}]);
    one(
        rule(json!({"matches": exact, "backendRefs": [{"name": "a", "port": 80, "filters": [prefix]}]})),
        "spec.rules[0]: ReplacePrefixMatch needs exactly one match, of type PathPrefix",
    );
    let many: Vec<_> = (1..=17).map(|port| json!({"name": "a", "port": port})).collect();
    one(with(json!(many)), "spec.rules[0].backendRefs: 17 elements, at most 16 are allowed");
    // A parent's own service is allowed from a consumer's namespace.
    let consumer = json!({"parentRefs": [{"group": "", "kind": "Service", "name": "a", "namespace": "other"}],
        "rules": [{"backendRefs": [{"name": "a", "port": 80, "namespace": "other"}]}]});
    let value = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "x"}, "spec": consumer});
    assert!(crate::parse_value(value, "x").is_ok());
}

#[test]
fn filters() {
    let with = |filters: Value| rule(json!({"filters": filters, "backendRefs": [{"name": "a", "port": 80}]}));
    let at = |message: &str| format!("spec.rules[0].filters[0]{message}");
    one(
        with(json!([{"type": "ExternalAuth"}])),
        &at(".type: a filter of type ExternalAuth is not supported yet"),
    );
    one(with(json!([{"type": "ExtensionRef"}])), &at(".extensionRef: it is missing"));
    let extension = |group: &str, kind: &str| {
        let reference = json!({"group": group, "kind": kind, "name": "a"});
        with(json!([{"type": "ExtensionRef", "extensionRef": reference}]))
    };
    one(
        extension("gateway.envoyproxy.io", "RouteFilter"),
        &at(".extensionRef.group: an extension of group \"gateway.envoyproxy.io\" is not known"),
    );
    one(
        extension("weir.dev", "TrafficPolicy"),
        &at(".extensionRef.kind: an extension of kind \"TrafficPolicy\" is not known"),
    );
    let named = |name: &str| json!({"type": "ExtensionRef", "extensionRef": {"group": "weir.dev", "kind": "RouteFilter", "name": name}});
    one(with(json!([named("A")])), &at(".extensionRef.name: \"A\" is not a name"));
    one(
        with(json!([named("a"), named("a")])),
        "spec.rules[0].filters[1].extensionRef.name: RouteFilter a is there already",
    );
    one(
        rule(json!({"backendRefs": [{"name": "a", "port": 80, "filters": [named("a")]}]})),
        "spec.rules[0]: backend default/a has an ExtensionRef filter, which is for whole rules",
    );
    one(with(json!([{"type": "requestRedirect"}])), &at(".type: \"requestRedirect\" is not allowed here"));
    one(with(json!([{"type": "URLRewrite"}])), &at(".urlRewrite: it is missing"));
    one(
        with(json!([{"type": "URLRewrite", "urlRewrite": {"hostname": "b"}, "requestRedirect": {}}])),
        &at(".requestRedirect: a filter of type URLRewrite has no requestRedirect"),
    );
    let mirror = |fields: Value| {
        let mut mirror = json!({"backendRef": {"name": "b", "port": 80}});
        mirror.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        with(json!([{"type": "RequestMirror", "requestMirror": mirror}]))
    };
    one(mirror(json!({"backendRef": null})), &at(".requestMirror.backendRef: it is missing"));
    one(mirror(json!({"backendRef": {"name": "b"}})), &at(".requestMirror.backendRef.port: it is missing"));
    one(
        mirror(json!({"backendRef": {"name": "b", "port": 80, "namespace": "other"}})),
        &at(
            ".requestMirror.backendRef: a backend in another namespace (other/b) needs a ReferenceGrant, which weir does not read yet",
        ),
    );
    one(mirror(json!({"percent": 101})), &at(".requestMirror.percent: 101 is not an integer from 0 to 100"));
    one(
        mirror(json!({"percent": 1, "fraction": {"numerator": 1}})),
        &at(".requestMirror.fraction: there is a percent already"),
    );
    one(
        mirror(json!({"fraction": {"numerator": 2, "denominator": 1}})),
        &at(".requestMirror.fraction: 2 of 1 is more than everything"),
    );
    let cors = |cors: Value| with(json!([{"type": "CORS", "cors": cors}]));
    one(cors(json!({})), &at(".cors.allowOrigins: it is missing"));
    one(
        cors(json!({"allowOrigins": ["shop.example"]})),
        &at(".cors.allowOrigins[0]: \"shop.example\" is not an origin"),
    );
    one(
        cors(json!({"allowOrigins": ["*"], "allowMethods": ["get"]})),
        &at(".cors.allowMethods[0]: \"get\" is not allowed here"),
    );
    one(
        cors(json!({"allowOrigins": ["*"], "allowCredentials": "yes"})),
        &at(".cors.allowCredentials: \"yes\" is not true or false"),
    );
    let inner = json!([{"type": "CORS", "cors": {"allowOrigins": ["*"]}}]);
    one(
        rule(json!({"backendRefs": [{"name": "a", "port": 80, "filters": inner}]})),
        "spec.rules[0]: backend default/a has a CORS filter, which is for whole rules",
    );
    let rewrite = json!({"type": "URLRewrite", "urlRewrite": {"hostname": "b"}});
    one(with(json!([rewrite, rewrite])), "spec.rules[0].filters[1]: there is a filter URLRewrite already");
    let redirect = json!({"type": "RequestRedirect", "requestRedirect": {"hostname": "b"}});
    one(with(json!([redirect])), "spec.rules[0]: a rule that redirects has no backendRefs");
    one(
        rule(json!({"filters": [redirect, rewrite]})),
        "spec.rules[0]: a rule has a RequestRedirect or a URLRewrite filter, not both",
    );
    one(
        rule(json!({"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 304, "scheme": "ftp"}}]}))[..1].to_vec(),
        &at(".requestRedirect.scheme: \"ftp\" is not allowed here"),
    );
    let set = |name: &str, value: &str| {
        with(
            json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": name, "value": value}]}}]),
        )
    };
    let field = |message: &str| at(&format!(".requestHeaderModifier.set[0]{message}"));
    one(set("content-length", "1"), &field(".name: content-length cannot be changed by a filter"));
    one(set("Host", "b"), &field(".name: host cannot be changed by a filter"));
    one(set("a\r\nb", "1"), &field(".name: \"a\\r\\nb\" is not a header's name"));
    one(set("a", "1\r\nb: 2"), &field(".value: \"1\\r\\nb: 2\" is not the value of a header"));
    one(set("a", ""), &field(".value: it is empty"));
    let prefix = json!({"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}}});
    one(
        rule(
            json!({"matches": [{"path": {"type": "Exact", "value": "/a"}}], "filters": [prefix], "backendRefs": [{"name": "a", "port": 80}]}),
        ),
        "spec.rules[0]: ReplacePrefixMatch needs exactly one match, of type PathPrefix",
    );
    one(
        with(json!([{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replacePrefixMatch": "/b"}}}]))[..1].to_vec(),
        &at(".urlRewrite.path.replacePrefixMatch: replacePrefixMatch does not go with this type"),
    );
}

#[test]
fn rules() {
    let with = |name: &str, value: Value| {
        let mut one = json!({"backendRefs": [{"name": "a", "port": 80}]});
        one[name] = value;
        rule(one)
    };
    one(
        with("sessionPersistence", json!({"type": "Header"})),
        "spec.rules[0].sessionPersistence.type: session persistence by \"Header\" is not supported yet",
    );
    one(
        with("retry", json!({"codes": [200]})),
        "spec.rules[0].retry.codes[0]: 200 is not an integer from 400 to 599",
    );
    one(with("timeout", json!("1s")), "spec.rules[0].timeout: there is no field \"timeout\"");
    one(
        with("timeouts", json!({"request": "1.5s"})),
        "spec.rules[0].timeouts.request: \"1.5s\" is not a duration",
    );
    one(with("timeouts", json!({"request": 5})), "spec.rules[0].timeouts.request: expected text, found 5");
    one(
        with("timeouts", json!({"request": "1s", "backendRequest": "2s"})),
        "spec.rules[0].timeouts.backendRequest: one attempt may take 2s, longer than the whole request, 1s",
    );
    one(with("name", json!("A")), "spec.rules[0].name: \"A\" is not a name");
}

#[test]
fn policies() {
    let with = |name: &str, value: Value| {
        let mut spec =
            json!({"targetRefs": [{"group": "", "kind": "Service", "name": "a"}], "connectTimeout": "1s"});
        spec[name] = value;
        errors("TrafficPolicy", spec)
    };
    one(with("targetRefs", Value::Null), "spec.targetRefs: it is missing");
    one(
        with("targetRefs", json!([{"kind": "Service", "name": "a", "namespace": "b"}])),
        "spec.targetRefs[0].namespace: namespace is not supported yet",
    );
    one(
        with("targetRefs", json!([{"kind": "Pod", "name": "a"}])),
        "spec.targetRefs[0].kind: a reference to a \"Pod\" is not supported yet",
    );
    one(with("connectTimeout", json!("0s")), "spec.connectTimeout: 0s is too short");
    let balancing = |value: Value| with("loadBalancing", value);
    one(
        balancing(json!({"policy": "LeastRequests"})),
        "spec.loadBalancing.policy: \"LeastRequests\" is not allowed here",
    );
    one(balancing(json!({})), "spec.loadBalancing.policy: it is missing");
    one(
        balancing(json!({"policy": "LeastRequest", "choices": 1})),
        "spec.loadBalancing.choices: 1 is not an integer from 2 to 100",
    );
    one(
        balancing(json!({"policy": "Random", "choices": 2})),
        "spec.loadBalancing.choices: Random has no choices",
    );
    one(balancing(json!({"policy": "RingHash"})), "spec.loadBalancing.consistentHash: it is missing");
    one(
        balancing(json!({"policy": "Maglev", "consistentHash": {"header": "a b"}})),
        "spec.loadBalancing.consistentHash.header: \"a b\" is not a header's name",
    );
    let hashing = |value: Value| balancing(json!({"policy": "RingHash", "consistentHash": value}));
    let both = "spec.loadBalancing.consistentHash: 2 of header, cookie, sourceAddress, query are there";
    one(hashing(json!({"header": "a", "query": "b"})), both);
    one(
        hashing(json!({"sourceAddress": false})),
        "spec.loadBalancing.consistentHash.sourceAddress: false is not allowed here",
    );
    one(
        hashing(json!({"cookie": {"name": "a;b"}})),
        "spec.loadBalancing.consistentHash.cookie.name: \"a;b\" is not a cookie's name",
    );
    one(
        hashing(json!({"cookie": {"name": "a", "ttl": "1500ms"}})),
        "spec.loadBalancing.consistentHash.cookie.ttl: a cookie lives for whole seconds",
    );
    one(
        hashing(json!({"cookie": {"name": "a", "path": "x"}})),
        "spec.loadBalancing.consistentHash.cookie.path: \"x\" is not a cookie's path",
    );
    one(
        balancing(json!({"policy": "Maglev", "consistentHash": {"query": "q"}, "tableSize": 65536})),
        "spec.loadBalancing.tableSize: 65536 is not a prime number",
    );
    one(
        balancing(json!({"policy": "Random", "consistentHash": {"query": "q"}})),
        "spec.loadBalancing.consistentHash: Random has no consistentHash",
    );
    let sizes = json!({"policy": "RingHash", "consistentHash": {"query": "q"}, "minimumRingSize": 9, "maximumRingSize": 8});
    one(balancing(sizes), "spec.loadBalancing: minimumRingSize is above maximumRingSize");
    one(
        with("splitting", json!({"stickyBy": {"header": "a", "query": "q"}})),
        "spec.splitting.stickyBy.query: there is no field \"query\"",
    );
    one(with("splitting", json!({})), "spec.splitting.stickyBy: it is missing");
    one(with("localityFailover", json!({})), "spec.localityFailover.prefer: it is missing");
    one(
        with("localityFailover", json!({"prefer": "Rack"})),
        "spec.localityFailover.prefer: \"Rack\" is not allowed here",
    );
    let session = |value: Value| with("sessionPersistence", value);
    one(
        session(json!({"type": "Header"})),
        "spec.sessionPersistence.type: session persistence by \"Header\" is not supported yet",
    );
    one(
        session(json!({"idleTimeout": "1m"})),
        "spec.sessionPersistence.idleTimeout: idleTimeout is not supported yet",
    );
    one(
        session(json!({"cookieConfig": {"lifetimeType": "Permanent"}})),
        "spec.sessionPersistence: a permanent cookie needs an absoluteTimeout",
    );
    one(
        session(json!({"absoluteTimeout": "1h"})),
        "spec.sessionPersistence: absoluteTimeout has an effect on permanent cookies only",
    );
    let retries = |value: Value| with("retries", value);
    one(retries(json!({"attempts": 11})), "spec.retries.attempts: 11 is not an integer from 0 to 10");
    one(retries(json!({"on": ["unavailble"]})), "spec.retries.on[0]: \"unavailble\" is not allowed here");
    one(retries(json!({"on": [200]})), "spec.retries.on[0]: 200 is not an integer from 400 to 599");
    one(retries(json!({"on": ["200"]})), "spec.retries.on[0]: 200 is not a status that tells of a failure");
    one(retries(json!({"budget": {"percent": 101}})), "spec.retries.budget.percent: 101 is not a percentage");
    one(
        retries(json!({"backoff": {"base": "1s", "max": "1ms"}})),
        "spec.retries.backoff: max is shorter than base",
    );
    one(
        with("circuitBreakers", json!({"maxRequests": 0})),
        "spec.circuitBreakers.maxRequests: 0 is not an integer from 1 to 1000000",
    );
    one(with("timeouts", json!({"idle": "soon"})), "spec.timeouts.idle: \"soon\" is not a duration");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let found = errors(
        "HTTPRoute",
        json!({"parentRefs": [{"group": "", "kind": "Service"}], "rules": [
            {"matches": [{"path": {"value": "a"}}, {"method": "FETCH"}], "backendRefs": [{"port": 0, "weight": -3}], "timeouts": {"request": "x"}},
            {"filters": [{"type": "ExternalAuth"}], "bakendRefs": []}]}),
    );
    let mut fields: Vec<&str> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "spec.parentRefs[0].name",
            "spec.rules[0].backendRefs[0].name",
            "spec.rules[0].backendRefs[0].port",
            "spec.rules[0].backendRefs[0].weight",
            "spec.rules[0].matches[0].path.value",
            "spec.rules[0].matches[1].method",
            "spec.rules[0].timeouts.request",
            "spec.rules[1].bakendRefs",
            "spec.rules[1].filters[0].type",
        ]
    );
}
