use crate::{Kind, Object, RouteParent, Spec, StreamRouteSpec, parse_yaml, validate};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use weir_model::mesh::{BackendTarget, Name, StreamBackend};

/// A route of its namespace; with host names, of TLS.
pub(crate) fn route(namespace: String, tls: bool) -> impl Strategy<Value = StreamRouteSpec> {
    let label = || "[a-z]{1,4}";
    let service = move |name: String| Name::new(&namespace, name);
    let parent = {
        let service = service.clone();
        (label(), of(label()), of(1..=u16::MAX)).prop_map(move |(name, section, port)| RouteParent {
            service: service(name),
            section,
            port,
        })
    };
    let backend = (label(), 1..=u16::MAX, 1..=1_000_000u32).prop_map(move |(name, port, weight)| {
        StreamBackend { target: BackendTarget { service: service(name), port }, weight }
    });
    let hostnames = proptest::collection::btree_set("(\\*\\.)?[a-z]{1,4}\\.[a-z]{2}", 0..3);
    let name = of(label());
    (proptest::collection::btree_set(parent, 1..3), hostnames, name, vec(backend, 1..4)).prop_map(
        move |(parents, hostnames, name, backends)| StreamRouteSpec {
            parents: parents.into_iter().collect(),
            hostnames: hostnames.into_iter().filter(|_| tls).collect(),
            name: name.unwrap_or_default(),
            backends,
        },
    )
}

fn document(kind: &str, name: &str, spec: &str) -> String {
    let version = if kind == "TLSRoute" { "v1alpha3" } else { "v1alpha2" };
    format!(
        "apiVersion: gateway.networking.k8s.io/{version}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

const SERVICES: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {ports: [{port: 5432, appProtocol: tls, name: pg}, {port: 80, name: web}]}\n---\n";

/// The findings about documents, as text; the first word is the severity.
fn findings(documents: &str) -> Vec<String> {
    let (objects, found) = parse_yaml(documents);
    let found = if found.is_empty() { validate(&objects) } else { found };
    // That the service has no workloads does not matter here.
    let found = found.iter().filter(|found| !found.resource.starts_with("Service "));
    found.map(|found| format!("{} {}: {}", found.resource, found.field, found.message)).collect()
}

fn one(kind: &str, spec: &str, expected: &str) {
    let found = findings(&format!("{SERVICES}{}", document(kind, "r", spec)));
    let [found] = found.as_slice() else { panic!("{found:#?} instead of {expected}") };
    assert!(found.contains(expected), "{found:?} does not say {expected:?}");
}

const PARENT: &str = "parentRefs: [{group: '', kind: Service, name: db, port: 5432}]";
const RULES: &str = "rules: [{backendRefs: [{name: db, port: 5432}]}]";

#[test]
fn good_routes() {
    for (kind, version, hostnames) in [
        ("TCPRoute", "v1alpha2", ""),
        ("TLSRoute", "v1alpha2", "hostnames: [a.example.com, '*.example.com'],"),
        ("TLSRoute", "v1alpha3", ""),
    ] {
        let document = format!(
            "apiVersion: gateway.networking.k8s.io/{version}\nkind: {kind}\nmetadata: {{name: r}}\nspec: {{{PARENT}, {hostnames} {RULES}}}\n"
        );
        let text = format!("{SERVICES}{document}");
        assert_eq!(findings(&text), Vec::<String>::new());
        let (objects, _) = parse_yaml(&text);
        let route = objects.iter().find(|object| object.id.kind != Kind::Service).unwrap();
        assert_eq!(route.id.kind.as_str(), kind);
        assert_eq!(kind.parse::<Kind>(), Ok(route.id.kind));
        assert_eq!(Object::from_stored(&route.to_stored()).unwrap(), *route);
        let mesh = crate::to_mesh(&objects);
        let routes = if kind == "TCPRoute" { &mesh.tcp_routes } else { &mesh.tls_routes };
        assert_eq!(routes.len(), 1);
        assert_eq!(mesh.tcp_routes.len() + mesh.tls_routes.len(), 1);
    }
}

#[test]
fn wrong_routes() {
    one("TCPRoute", &format!("{{{PARENT}, {RULES}, hostnames: [a.b]}}"), "hostnames");
    one(
        "TLSRoute",
        &format!("{{{PARENT}, {RULES}, hostnames: ['*']}}"),
        "spec.hostnames[0]: \"*\" is not a server name",
    );
    one("TLSRoute", &format!("{{{PARENT}, {RULES}, hostnames: [10.0.0.1]}}"), "is not a server name");
    one(
        "TLSRoute",
        &format!("{{{PARENT}, {RULES}, hostnames: [a.b, a.b]}}"),
        "spec.hostnames[1]: the same name is there twice",
    );
    let rule = "{backendRefs: [{name: db, port: 5432}]}";
    one(
        "TCPRoute",
        &format!("{{{PARENT}, rules: [{rule}, {rule}]}}"),
        "spec.rules[1]: a TCPRoute has one rule",
    );
    one("TCPRoute", &format!("{{{PARENT}, rules: [{{}}]}}"), "spec.rules[0].backendRefs");
    one(
        "TCPRoute",
        &format!("{{{PARENT}, rules: [{{backendRefs: [{{name: db, port: 5432, weight: 0}}]}}]}}"),
        "spec.rules[0]: all weights are zero",
    );
    one(
        "TCPRoute",
        &format!("{{{PARENT}, rules: [{{backendRefs: [{{name: db, port: 5432, filters: []}}]}}]}}"),
        "filters",
    );
    one("TCPRoute", &format!("{{{RULES}}}"), "spec.parentRefs");
    one(
        "TCPRoute",
        &format!("{{{PARENT}, rules: [{{backendRefs: [{{name: nobody, port: 1}}]}}]}}"),
        "spec.rules[0].backendRefs[0].name: service default/nobody does not exist",
    );
    one(
        "TLSRoute",
        &format!("{{parentRefs: [{{group: '', kind: Service, name: db, port: 1}}], {RULES}}}"),
        "spec.parentRefs[0].port: service default/db has no port 1",
    );
    one(
        "TLSRoute",
        &format!("{{parentRefs: [{{group: '', kind: Service, name: db, sectionName: x}}], {RULES}}}"),
        "spec.parentRefs[0].sectionName: service default/db has no port x",
    );
    one(
        "TCPRoute",
        &format!("{{parentRefs: [{{group: '', kind: Service, name: db, sectionName: web}}], {RULES}}}"),
        "speaks HTTP",
    );
}

/// A share of nothing goes nowhere, whatever it names.
#[test]
fn a_weight_of_zero_names_what_it_likes() {
    let backends = "[{name: db, port: 5432}, {name: nobody, port: 1, weight: 0}]";
    let route = document("TCPRoute", "r", &format!("{{{PARENT}, rules: [{{backendRefs: {backends}}}]}}"));
    assert_eq!(findings(&format!("{SERVICES}{route}")), Vec::<String>::new());
}

#[test]
fn routes_that_hide_each_other() {
    let spec = format!("{{{PARENT}, {RULES}}}");
    let tcp = |name| document("TCPRoute", name, &spec);
    let found = findings(&format!("{SERVICES}{}---\n{}", tcp("a"), tcp("b")));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("TCPRoute default/b spec.parentRefs[0]: TCPRoute default/a has port 5432"),
        "{found:?}"
    );
    let tls = |name, names| document("TLSRoute", name, &format!("{{{PARENT}, hostnames: {names}, {RULES}}}"));
    let found = findings(&format!("{SERVICES}{}---\n{}", tcp("a"), tls("b", "[a.b]")));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("TLS routes come first"), "{found:?}");
    let found = findings(&format!("{SERVICES}{}---\n{}", tls("a", "[a.b, '*.b']"), tls("b", "[c.b, a.b]")));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("TLSRoute default/b spec.hostnames[1]: TLSRoute default/a has a.b"),
        "{found:?}"
    );
    assert!(matches!(parse_yaml(&tls("a", "[]")).0[0].spec, Spec::TlsRoute(_)));
}
