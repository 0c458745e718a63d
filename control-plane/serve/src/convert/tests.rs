use super::*;
use serde_json::json;

fn round(value: Value) {
    let message = from_json(value.clone()).unwrap();
    assert_eq!(to_json(&message), value);
}

#[test]
fn yaml_shapes_survive_the_way_through_typed_messages() {
    round(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "reviews-v1", "namespace": "default"},
        "spec": {"selector": {"app": "reviews"}, "ports": [
            {"name": "http", "port": 9080, "targetPort": 8080, "appProtocol": "http"}, {"name": "web", "port": 80, "targetPort": "http"}]},
    }));
    round(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "reviews"},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "reviews", "port": 9080}], "rules": [{
            "matches": [{"path": {"type": "Exact", "value": "/x"}, "method": "GET"}],
            "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": ""}}}],
            "backendRefs": [{"name": "reviews-v1", "port": 9080, "weight": 0}], "timeouts": {"request": "10s"}}]},
    }));
    round(json!({
        "apiVersion": "weir.dev/v1", "kind": "TrafficPolicy", "metadata": {"name": "p"},
        "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "reviews"}],
            "retries": {"attempts": 0, "on": ["5xx", 503, "unavailable"], "budget": {"percent": 12.5}}},
    }));
}

#[test]
fn a_spec_of_another_kind_is_left_for_the_parser_to_refuse() {
    let spec = wire::object::Spec::Service(wire::ServiceSpec::default());
    let object = wire::Object { kind: "Workload".into(), spec: Some(spec), ..Default::default() };
    let value = to_json(&object);
    assert!(value.get("spec").is_none() && value.get("service").is_some(), "{value}");
}
