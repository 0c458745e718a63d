//! Round trips here; wrong inputs in `wrong`.

mod objects;
mod wrong;

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn yaml(text: &str) -> Object {
    let (mut objects, found) = crate::parse_yaml(text);
    assert_eq!(found, [], "{text}");
    assert_eq!(objects.len(), 1);
    objects.remove(0)
}

#[test]
fn a_service_is_read() {
    let object = yaml(
        "apiVersion: v1\nkind: Service\nmetadata: {name: reviews-v1, namespace: default, labels: {team: books}}\n\
         spec: {selector: {app: reviews, version: v1}, type: ClusterIP, clusterIP: 10.0.0.1, sessionAffinity: None,\n\
         ports: [{name: http, port: 9080, appProtocol: http, protocol: TCP, nodePort: 30000}, {name: grpc, port: 90, targetPort: rpc}]}",
    );
    assert_eq!(object.id.to_string(), "Service default/reviews-v1");
    assert_eq!(object.id.key(), "Service/default/reviews-v1");
    assert_eq!(
        object.to_json(),
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "reviews-v1", "namespace": "default", "labels": {"team": "books"}},
            "spec": {"selector": {"app": "reviews", "version": "v1"}, "ports": [
                {"name": "http", "port": 9080, "appProtocol": "http"}, {"name": "grpc", "port": 90, "targetPort": "rpc"}]}})
    );
}

#[test]
fn a_target_port_may_be_a_number_in_quotes() {
    let port = |target: Value| {
        let value = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [
            {"port": 80, "targetPort": target}]}});
        let Spec::Service(spec) = parse_value(value, "x").unwrap().spec else { panic!("a service") };
        spec.ports[0].target.clone()
    };
    use weir_model::mesh::TargetPort::{Named, Number};
    assert_eq!(port(json!(8080)), Some(Number(8080)));
    assert_eq!(port(json!("8080")), Some(Number(8080)));
    assert_eq!(port(json!("web")), Some(Named("web".to_owned())));
    assert_eq!(port(json!("")), None);
    assert_eq!(port(json!(80)), None, "the same number says nothing");
}

#[test]
fn a_workload_is_read_with_the_defaults_filled_in() {
    let object = yaml(
        "{apiVersion: weir.dev/v1, kind: Workload, metadata: {name: a}, spec: {address: '::1', ports: {http: 8080}}}",
    );
    assert_eq!(object.id.name, Name::new("default", "a"));
    let Spec::Workload(spec) = &object.spec else { panic!("a workload") };
    assert_eq!((spec.weight, spec.locality.to_string().as_str()), (1, "//"));
    assert_eq!(object.to_json()["spec"], json!({"address": "::1", "ports": {"http": 8080}, "weight": 1}));
}

#[test]
fn a_route_is_read_with_the_defaults_of_the_gateway_api() {
    let object = yaml(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: reviews, namespace: books}\nspec:\n  parentRefs: [{group: '', kind: Service, \
         name: reviews, port: 9080}]\n  rules:\n  - matches: [{path: {value: /v2/}, headers: [{name: X-User, value: a}]}, {}]\n    backendRefs: [{name: v1, port: 80}]",
    );
    assert_eq!(
        object.to_json()["spec"],
        json!({"parentRefs": [{"group": "", "kind": "Service", "name": "reviews", "port": 9080}],
            "rules": [{"matches": [
                {"path": {"type": "PathPrefix", "value": "/v2"}, "headers": [{"type": "Exact", "name": "x-user", "value": "a"}]},
                {"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "v1", "port": 80, "weight": 1}]}]})
    );
}

#[test]
fn a_policy_is_read() {
    let object = yaml(
        "apiVersion: weir.dev/v1\nkind: TrafficPolicy\nmetadata: {name: p}\nspec:\n  targetRefs: [{group: '', kind: Service, name: reviews, sectionName: http}]\n  \
         loadBalancing: {policy: PeakEwma, decay: 5s}\n  connectTimeout: 500ms\n  timeouts: {request: 10s, backendRequest: 2s, idle: 0s}\n  \
         retries: {attempts: 3, on: [unavailable, 503, '429', connect-failure, 5xx], backoff: {base: 10ms}, budget: {percent: 12.5}}\n  circuitBreakers: {maxRequests: 7}",
    );
    let Spec::TrafficPolicy(spec) = &object.spec else { panic!("a policy") };
    assert_eq!(spec.timeouts.idle, Some(Duration::ZERO));
    assert_eq!(
        object.to_json()["spec"],
        json!({"targetRefs": [{"group": "", "kind": "Service", "name": "reviews", "sectionName": "http"}],
            "loadBalancing": {"policy": "PeakEwma", "decay": "5s", "defaultRtt": "30ms"}, "connectTimeout": "500ms",
            "timeouts": {"request": "10s", "backendRequest": "2s", "idle": "0s"},
            "retries": {"attempts": 3, "on": ["connect-failure", "5xx", "429", "503", "unavailable"], "backoff": {"base": "10ms"},
                "budget": {"percent": 12.5}},
            "circuitBreakers": {"maxRequests": 7}})
    );
}

#[test]
fn bookkeeping_is_tolerated_and_status_is_noted() {
    let value = json!({"apiVersion": "v1", "kind": "Service", "status": {"loadBalancer": {}},
        "metadata": {"name": "a", "namespace": "", "uid": "1", "resourceVersion": "2", "generation": 3, "managedFields": [{}],
            "creationTimestamp": "2024-05-06T07:08:09Z", "annotations": {"example.com/a": "b"}, "ownerReferences": []},
        "spec": {"ports": [{"port": 80}], "ipFamilies": ["IPv4"], "sessionAffinity": "ClientIP"}});
    let (object, found) = read(&value, "x");
    let object = object.unwrap();
    assert_eq!(object.metadata.created_millis, Some(1_714_979_289_000));
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "note: Service default/a: status: it is written by controllers, and is ignored here",
            "note: Service default/a: spec.sessionAffinity: sessionAffinity has no effect in the mesh"
        ]
    );
}

#[test]
fn keys_are_read_as_they_were_written() {
    for kind in Kind::ALL {
        let id = ObjectId::new(kind, Name::new("a", "b.c"));
        assert_eq!(ObjectId::from_key(&id.key()), Some(id));
        assert_eq!(kind.as_str().parse(), Ok(kind));
        assert_eq!(kind.as_str().to_lowercase().parse(), Ok(kind));
    }
    for bad in ["", "Service", "Service/a", "Service//a", "Service/a/", "Service/a/b/c", "service/a/b"] {
        assert_eq!(ObjectId::from_key(bad), None, "{bad}");
    }
    assert!("Gateway".parse::<Kind>().unwrap_err().to_string().contains("HTTPRoute"));
}

#[test]
fn stored_bytes_that_are_damaged_are_refused() {
    let object = yaml(
        "{apiVersion: weir.dev/v1, kind: Workload, metadata: {name: a}, spec: {address: 10.0.0.1, ports: {http: 8080}}}",
    );
    let mut bytes = object.to_stored();
    assert_eq!(Object::from_stored(&bytes).as_ref(), Ok(&object));
    bytes.pop();
    let error = Object::from_stored(&bytes).unwrap_err();
    assert!(error[0].to_string().starts_with("error: stored object: it is not JSON: "), "{error:?}");
}

#[test]
fn the_time_of_creation_is_no_content() {
    let one = yaml(
        "{apiVersion: weir.dev/v1, kind: Workload, metadata: {name: a}, spec: {address: 10.0.0.1, ports: {http: 8080}}}",
    );
    let mut other = one.clone();
    other.metadata.created_millis = Some(5);
    assert!(one != other && one.same_content(&other));
    other.metadata.labels.insert("a".to_owned(), "b".to_owned());
    assert!(!one.same_content(&other));
}

/// Any JSON, with the names that mean something here often enough to get deep.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        Just("kind"),
        Just("HTTPRoute"),
        Just("spec"),
        Just("rules"),
        Just("name"),
        Just("matches"),
        Just("path"),
        Just("type"),
        Just("value"),
        Just("backendRefs"),
        Just("port"),
        Just("weight"),
        Just("filters"),
        Just("ports"),
        Just("selector"),
        Just("targetRefs"),
        Just("retries"),
        Just("on"),
        Just("5xx"),
        Just("RequestRedirect"),
        Just("requestRedirect"),
        Just("a")
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((words.clone(), inner), 0..8).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn an_object_is_read_as_it_was_written(object in objects::any_object()) {
        let json = object.to_json();
        let read = parse_value(json.clone(), "x");
        prop_assert_eq!(read.as_ref(), Ok(&object), "{}", json);
        prop_assert_eq!(Object::from_stored(&object.to_stored()), Ok(object));
    }

    #[test]
    fn yaml_is_read_as_it_was_written(object in objects::any_object()) {
        let text = crate::to_yaml([&object]);
        let (objects, found) = crate::parse_yaml(&text);
        prop_assert!(!found.iter().any(|found| found.severity == weir_model::Severity::Error), "{found:?}\n{text}");
        prop_assert_eq!(objects, [object], "{}", text);
    }

    #[test]
    fn no_input_makes_it_panic(value in any_json(), kind in 0..4usize) {
        let _ = parse_value(value.clone(), "x");
        let kind = Kind::ALL[kind];
        let object = json!({"apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": {"name": "a"}, "spec": value});
        if let Err(found) = parse_value(object, "x") {
            prop_assert!(found.iter().any(|found| found.severity == weir_model::Severity::Error));
            prop_assert!(found.iter().all(|found| !found.message.is_empty()));
        }
    }
}
