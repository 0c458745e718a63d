use super::*;
use std::collections::BTreeMap;
use weir_model::mesh::{ServicePort, TargetPort};

fn mesh() -> Mesh {
    let service = |ports: &[(u16, AppProtocol)]| Service {
        distribution: None,
        selector: BTreeMap::new(),
        ports: ports
            .iter()
            .map(|(port, protocol)| ServicePort {
                name: String::new(),
                port: *port,
                target: TargetPort::Number(*port),
                protocol: *protocol,
            })
            .collect(),
    };
    let http = AppProtocol::Http;
    let mut mesh = Mesh::default();
    mesh.services.insert(
        Name::new("default", "reviews"),
        service(&[(9080, http), (80, http), (90, AppProtocol::Tcp)]),
    );
    mesh.services.insert(
        Name::new("other", "ratings"),
        service(&[(70, AppProtocol::Tcp), (9080, http), (9090, http)]),
    );
    mesh.services.insert(Name::new("other", "redis"), service(&[(6379, AppProtocol::Tcp)]));
    mesh.services.insert(Name::new("svc", "odd"), service(&[(80, http)]));
    mesh
}

fn found(authority: &str) -> Option<String> {
    resolve(&mesh(), authority, "default").map(|(name, port)| format!("{name}:{port}"))
}

#[test]
fn a_service_is_found_by_each_of_its_names() {
    for name in ["reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local"] {
        assert_eq!(found(name).as_deref(), Some("default/reviews:80"), "{name}");
        assert_eq!(found(&format!("{name}:9080")).as_deref(), Some("default/reviews:9080"), "{name}");
        assert_eq!(
            found(&format!("{}.", name.to_uppercase())).as_deref(),
            Some("default/reviews:80"),
            "{name}"
        );
        assert_eq!(found(&format!("{name}.:90")).as_deref(), Some("default/reviews:90"), "{name}");
    }
    assert_eq!(found("odd.svc").as_deref(), Some("svc/odd:80"));
    assert_eq!(found("odd.svc.svc").as_deref(), Some("svc/odd:80"));
}

#[test]
fn without_a_port_it_is_80_or_the_first_that_is_not_opaque() {
    assert_eq!(found("ratings.other").as_deref(), Some("other/ratings:9080"));
    assert_eq!(found("redis.other"), None);
    assert_eq!(found("redis.other:6379").as_deref(), Some("other/redis:6379"));
}

#[test]
fn anything_else_means_nothing() {
    for name in [
        "",
        ":80",
        ".",
        "reviews:",
        "reviews:x",
        "reviews:+80",
        "reviews:81",
        "reviews:99999",
        "ratings",
        "reviews.other",
        "reviews.svc",
        "reviews.svc.cluster.local",
        "reviews.default.cluster.local",
        "a.reviews.default",
        "[::1]:80",
        "::1",
        "reviews..default",
        "reviews.default..",
        "réviews",
    ] {
        assert_eq!(found(name), None, "{name:?}");
    }
}

#[test]
fn short_names_are_of_ones_own_namespace() {
    let mesh = mesh();
    let service = &mesh.services[&Name::new("other", "ratings")];
    let name = Name::new("other", "ratings");
    assert_eq!(
        authorities(&name, service, 9090, "default"),
        ["ratings.other:9090", "ratings.other.svc:9090", "ratings.other.svc.cluster.local:9090"]
    );
    assert_eq!(authorities(&name, service, 9080, "other")[..3], ["ratings", "ratings:9080", "ratings.other"]);
}
