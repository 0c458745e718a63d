//! What operators write: random policy, valid most of the time, in the JSON form of the documents a person would apply.

use crate::wire::POISON;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_model::Random;

/// One step of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Create or replace.
    Put(Value),
    /// Delete, by the store's key.
    Delete(String),
}

/// What there is, by the store's key.
pub(crate) type Documents = BTreeMap<String, Value>;

/// The services there may be, with the namespaces they live in. Sidecars join those of `app` and `version`.
pub(crate) const SERVICES: [(&str, &str, &str, &str); 7] = [
    ("default", "reviews", "reviews", ""),
    ("default", "reviews-v1", "reviews", "v1"),
    ("default", "reviews-v2", "reviews", "v2"),
    ("default", "ratings", "ratings", ""),
    ("default", "db", "db", ""),
    ("shop", "cart", "cart", ""),
    ("shop", "pay", "pay", ""),
];

/// An element.
pub(crate) fn pick<'a, T>(random: &mut Random, of: &'a [T]) -> &'a T {
    &of[random.below(of.len() as u64) as usize]
}

/// One of so many times.
pub(crate) fn one_in(random: &mut Random, times: u64) -> bool {
    random.below(times) == 0
}

/// The mesh to begin with: every service, and a workload for some.
pub(crate) fn first(random: &mut Random) -> Vec<Edit> {
    let mut edits: Vec<Edit> = (0..SERVICES.len()).map(|index| Edit::Put(service(random, index))).collect();
    edits.extend((0..2).map(|_| Edit::Put(workload(random))));
    edits
}

/// A change.
pub(crate) fn next(random: &mut Random, now: &Documents) -> Vec<Edit> {
    let count = 1 + random.below(3);
    let mut edits: BTreeMap<String, Edit> = BTreeMap::new();
    for _ in 0..count {
        for edit in change(random, now) {
            edits.insert(key(&edit), edit);
        }
    }
    edits.into_values().collect()
}

/// What takes the poison out of the mesh.
pub(crate) fn repair(now: &Documents) -> Vec<Edit> {
    let poisoned = now.iter().filter(|(_, document)| document.to_string().contains(POISON));
    poisoned.map(|(key, _)| Edit::Delete(key.clone())).collect()
}

/// The key that an edit is about.
pub(crate) fn key(edit: &Edit) -> String {
    match edit {
        Edit::Delete(key) => key.clone(),
        Edit::Put(document) => {
            let field = |path: &str| document.pointer(path).and_then(Value::as_str).unwrap_or_default();
            format!("{}/{}/{}", field("/kind"), field("/metadata/namespace"), field("/metadata/name"))
        }
    }
}

fn change(random: &mut Random, now: &Documents) -> Vec<Edit> {
    match random.below(20) {
        0..=8 => vec![Edit::Put(route(random, now))],
        9..=11 => vec![Edit::Put(policy(random, now))],
        12..=13 => {
            let index = random.below(SERVICES.len() as u64) as usize;
            vec![Edit::Put(service(random, index))]
        }
        14 => delete_service(random, now),
        15..=16 => vec![Edit::Put(workload(random))],
        _ => {
            let mine = |key: &&String| !key.starts_with("Service/");
            let keys: Vec<&String> = now.keys().filter(mine).collect();
            if keys.is_empty() { vec![] } else { vec![Edit::Delete((*pick(random, &keys)).clone())] }
        }
    }
}

fn document(version: &str, kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": version, "kind": kind, "metadata": { "namespace": namespace, "name": name }, "spec": spec,
    })
}

fn service(random: &mut Random, index: usize) -> Value {
    let (namespace, name, app, version) = SERVICES[index];
    let mut selector = json!({ "app": app });
    if !version.is_empty() {
        selector["version"] = json!(version);
    }
    let http =
        json!({ "name": "http", "port": 9080, "appProtocol": pick(random, &["http", "kubernetes.io/h2c"]) });
    let tcp = json!({ "name": "tcp", "port": 5432, "appProtocol": "tcp" });
    let ports = match random.below(4) {
        _ if name == "db" => json!([tcp]),
        0 => json!([http, { "name": "grpc", "port": 9090, "appProtocol": "grpc" }]),
        1 => json!([http, tcp]),
        _ => json!([http]),
    };
    document("v1", "Service", namespace, name, json!({ "selector": selector, "ports": ports }))
}

fn workload(random: &mut Random) -> Value {
    let (namespace, _, app, _) = *pick(random, &SERVICES);
    let number = random.below(4);
    let version = pick(random, &["v1", "v2"]);
    let mut document = document(
        "weir.dev/v1",
        "Workload",
        namespace,
        &format!("{app}-{number}"),
        json!({
            "address": format!("10.1.{}.{}", random.below(2), number + 1),
            "ports": { "http": 9080, "grpc": 9090, "tcp": 5432 },
            "locality": pick(random, &["eu/eu-1/a", "eu/eu-2/b", "us/us-1"]),
            "weight": 1 + random.below(3),
        }),
    );
    document["metadata"]["labels"] = json!({ "app": app, "version": version });
    document
}

/// Ports that speak HTTP: namespace, service, port.
fn http_ports(now: &Documents) -> Vec<(String, String, u64)> {
    let mut found = Vec::new();
    for document in now.values().filter(|document| document["kind"] == "Service") {
        let text = |path: &str| document.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        for port in document["spec"]["ports"].as_array().into_iter().flatten() {
            if port["appProtocol"] != "tcp" {
                let number = port["port"].as_u64().unwrap_or_default();
                found.push((text("/metadata/namespace"), text("/metadata/name"), number));
            }
        }
    }
    found
}

fn backends(random: &mut Random, ports: &[(String, String, u64)], namespace: &str) -> Vec<Value> {
    let near: Vec<_> = ports.iter().filter(|(of, ..)| of == namespace).collect();
    if near.is_empty() {
        return vec![];
    }
    let mut chosen = BTreeMap::new();
    for _ in 0..=random.below(3) {
        let (_, name, port) = *pick(random, &near);
        // Now and then a share of nothing.
        let weight = if one_in(random, 8) { 0 } else { 1 + random.below(100) };
        chosen.insert((name, port), weight);
    }
    let backend = |((name, port), weight)| json!({ "name": name, "port": port, "weight": weight });
    chosen.into_iter().map(backend).collect()
}

fn route(random: &mut Random, now: &Documents) -> Value {
    let ports = http_ports(now);
    let namespace = if one_in(random, 4) { "shop" } else { "default" };
    let name = format!("route-{}", random.below(4));
    let far = one_in(random, 5);
    let parents: Vec<_> = ports.iter().filter(|(of, ..)| far || of == namespace).collect();
    let mut parent_refs = Vec::new();
    if !parents.is_empty() {
        let (of, name, port) = *pick(random, &parents);
        let mut parent = json!({ "group": "", "kind": "Service", "namespace": of, "name": name });
        if !one_in(random, 3) {
            parent["port"] = json!(port);
        }
        parent_refs.push(parent);
    }
    let rules: Vec<Value> =
        (0..=random.below(3)).map(|index| rule(random, &ports, namespace, index)).collect();
    let spec = json!({ "parentRefs": parent_refs, "rules": rules });
    document("gateway.networking.k8s.io/v1", "HTTPRoute", namespace, &name, spec)
}

fn rule(random: &mut Random, ports: &[(String, String, u64)], namespace: &str, index: u64) -> Value {
    let mut rule = json!({});
    let matches = match random.below(5) {
        _ if index == 0 => json!([]),
        0 => json!([{ "path": { "type": "Exact", "value": format!("/exact/{index}") } }]),
        1 => json!([{ "headers": [{ "name": "x-user", "value": format!("u{index}") }] }]),
        2 => json!([{ "path": { "type": "RegularExpression", "value": "/r/[0-9]+" }, "method": "GET" }]),
        3 => {
            json!([{ "path": { "type": "PathPrefix", "value": "/a" } }, { "path": { "type": "PathPrefix", "value": "/b" } }])
        }
        _ => json!([{ "path": { "type": "PathPrefix", "value": format!("/v{index}") } }]),
    };
    if matches != json!([]) {
        rule["matches"] = matches;
    }
    let mut filters = Vec::new();
    if one_in(random, 6) {
        let set = json!([{ "name": POISON, "value": format!("dose-{}", random.below(1000)) }]);
        filters.push(json!({ "type": "RequestHeaderModifier", "requestHeaderModifier": { "set": set } }));
    } else if one_in(random, 6) {
        let set = json!([{ "name": "x-route", "value": format!("n{}", random.below(10)) }]);
        filters.push(json!({ "type": "RequestHeaderModifier", "requestHeaderModifier": { "set": set } }));
    }
    if one_in(random, 10) {
        let redirect = json!({ "hostname": "elsewhere.example", "statusCode": 302 });
        filters.push(json!({ "type": "RequestRedirect", "requestRedirect": redirect }));
    } else {
        rule["backendRefs"] = json!(backends(random, ports, namespace));
    }
    if !filters.is_empty() {
        rule["filters"] = json!(filters);
    }
    if one_in(random, 5) {
        rule["timeouts"] = json!({ "request": pick(random, &["500ms", "2s", "0s"]) });
    }
    rule
}

fn policy(random: &mut Random, now: &Documents) -> Value {
    let services: Vec<&Value> = now.values().filter(|document| document["kind"] == "Service").collect();
    let (namespace, name) = match services.as_slice() {
        [] => (json!("default"), json!("reviews")),
        some => {
            let metadata = &pick(random, some)["metadata"];
            (metadata["namespace"].clone(), metadata["name"].clone())
        }
    };
    // One policy a service: two for the same would be refused.
    let own = format!("policy-{}", name.as_str().unwrap_or_default());
    let choice = random.below(7);
    let balancing = match choice {
        0 => json!({ "policy": "RingHash", "consistentHash": { "query": "user" } }),
        1 => json!({ "policy": "Maglev", "consistentHash": { "header": "x-user" } }),
        2 => json!({ "policy": "PeakEwma", "decay": "5s" }),
        3 => json!({ "policy": "RoundRobin" }),
        4 => json!({ "policy": "LeastRequest", "choices": 2 + random.below(3) }),
        _ => json!({ "policy": "Random" }),
    };
    let mut spec = json!({
        "targetRefs": [{ "group": "", "kind": "Service", "name": name }],
        "loadBalancing": balancing,
        "connectTimeout": pick(random, &["250ms", "1s", "2s"]),
        "circuitBreakers": { "maxRequests": 100 + random.below(5) },
    });
    if choice == 0 {
        // It stands in the cluster.
        spec["healthCheck"] = json!({ "http": { "path": format!("/{POISON}") } });
    }
    document("weir.dev/v1", "TrafficPolicy", namespace.as_str().unwrap_or_default(), &own, spec)
}

/// A service goes together with everything that refers to it.
fn delete_service(random: &mut Random, now: &Documents) -> Vec<Edit> {
    let keys: Vec<&String> = now.keys().filter(|key| key.starts_with("Service/")).collect();
    if keys.len() < 3 {
        return vec![];
    }
    let key = *pick(random, &keys);
    let name = key.rsplit('/').next().unwrap_or_default();
    let quoted = format!("\"name\":\"{name}\"");
    let refers = |(other, document): &(&String, &Value)| {
        !other.starts_with("Service/")
            && !other.starts_with("Workload/")
            && document["spec"].to_string().contains(&quoted)
    };
    let mut edits: Vec<Edit> = now.iter().filter(refers).map(|(key, _)| Edit::Delete(key.clone())).collect();
    edits.push(Edit::Delete(key.clone()));
    edits
}
