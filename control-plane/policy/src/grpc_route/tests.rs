use super::*;
use crate::Spec;
use crate::decode::Report;
use weir_model::{HeaderMatch, StringMatch};

fn read_one(matches: Value) -> Result<GrpcRouteSpec, Vec<String>> {
    let value = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute", "metadata": {"name": "calls"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "greeter"}],
            "rules": [{"matches": matches, "backendRefs": [{"name": "greeter", "port": 50051}]}],
        },
    });
    match crate::parse_value(value, "x") {
        Ok(object) => match object.spec {
            Spec::GrpcRoute(spec) => Ok(spec),
            other => panic!("{other:?}"),
        },
        Err(found) => Err(found.iter().map(|found| format!("{}: {}", found.field, found.message)).collect()),
    }
}

fn path(method: Value) -> PathMatch {
    let spec = read_one(json!([{ "method": method }])).unwrap();
    spec.rules[0].lowered.matches[0].path.clone()
}

#[test]
fn a_method_is_a_path() {
    assert_eq!(path(json!({"service": "a.B", "method": "C"})), PathMatch::Exact("/a.B/C".to_owned()));
    assert_eq!(path(json!({"service": "a.B"})), PathMatch::Prefix("/a.B".to_owned()));
    assert_eq!(path(json!({"method": "C"})), PathMatch::Regex("/[^/]+/C".to_owned()));
    let regex = |service: &str, method: &str| json!({"type": "RegularExpression", "service": service, "method": method});
    assert_eq!(path(regex("a|b", "Get.*")), PathMatch::Regex("/(?:a|b)/(?:Get.*)".to_owned()));
    assert_eq!(path(regex("a|b", "")), PathMatch::Regex("/(?:a|b)/[^/]+".to_owned()));
}

#[test]
fn metadata_is_a_header() {
    let spec = read_one(json!([{"headers": [{"name": "X-Tenant", "value": "a"}]}])).unwrap();
    let expected = RouteMatch {
        headers: vec![HeaderMatch {
            name: "x-tenant".parse().unwrap(),
            value: StringMatch::Exact("a".to_owned()),
        }],
        ..RouteMatch::default()
    };
    assert_eq!(spec.rules[0].lowered.matches, [expected]);
}

#[test]
fn what_is_written_is_written_again() {
    let spec = read_one(json!([
        {"method": {"service": "a.B", "method": "C"}, "headers": [{"name": "x", "value": "y"}]},
        {"method": {"type": "RegularExpression", "method": "Get.*"}},
        {"headers": [{"type": "RegularExpression", "name": "x", "value": ".+"}]},
    ]))
    .unwrap();
    let written = write(&spec, "default");
    let report = Report::new("again");
    let again = read(&At::root(&written, &report), "default");
    assert_eq!(again, Some(spec), "{written}");
    assert_eq!(report.finish(), []);
}

#[test]
fn wrong_methods_are_refused_at_their_field() {
    let wrong = |method: Value, expected: &str| {
        let found = read_one(json!([{ "method": method }])).expect_err("refused");
        assert_eq!(found, [format!("spec.rules[0].matches[0].method{expected}")]);
    };
    wrong(json!({}), ": it names neither a service nor a method");
    wrong(json!({"service": "/a.B"}), ".service: \"/a.B\" is not the name of a gRPC service");
    wrong(json!({"service": "a..B"}), ".service: \"a..B\" is not the name of a gRPC service");
    wrong(json!({"service": "a.B", "method": "C/D"}), ".method: \"C/D\" is not the name of a gRPC method");
    wrong(json!({"service": "a.B", "method": "9"}), ".method: \"9\" is not the name of a gRPC method");
    let regex =
        read_one(json!([{"method": {"type": "RegularExpression", "service": "("}}])).expect_err("refused");
    assert!(
        regex[0].starts_with("spec.rules[0].matches[0].method.service: \"(\" is not a regular"),
        "{regex:?}"
    );
}

#[test]
fn a_filter_of_http_alone_is_refused() {
    let value = json!({
        "parentRefs": [{"group": "", "kind": "Service", "name": "greeter"}],
        "rules": [{"filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "x.example"}}],
            "backendRefs": [{"name": "greeter", "port": 50051}]}],
    });
    let report = Report::new("x");
    assert_eq!(read(&At::root(&value, &report), "default"), None);
    let found: Vec<_> =
        report.finish().into_iter().map(|found| format!("{}: {}", found.field, found.message)).collect();
    assert_eq!(found, ["rules[0].filters: a GRPCRoute has no filter of type URLRewrite"]);
}
