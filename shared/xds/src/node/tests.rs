use super::*;
use crate::strategies;
use proptest::prelude::*;
use prost::Message;

proptest! {
    #[test]
    fn decoding_undoes_encoding(node in strategies::node()) {
        prop_assert_eq!(decode(&encode(&node)), Ok(node));
    }

    #[test]
    fn damage_never_panics(
        node in strategies::node(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&node).encode_to_vec();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(node) = core::Node::decode(bytes.as_slice()) {
            let _ = decode(&node);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(node) = core::Node::decode(bytes.as_slice()) {
            let _ = decode(&node);
        }
    }
}

#[test]
fn a_stream_without_a_lease_says_so_and_gets_the_same() {
    let node = decode(&envoy(vec![("target", text("weir")), ("service", text("shop/frontend"))])).unwrap();
    let mut message = encode(&node);
    assert!(!is_draining(&message));
    set_draining(&mut message);
    assert!(is_draining(&message));
    assert_eq!(decode(&message), Ok(node));
    let mut bare = core::Node::default();
    set_draining(&mut bare);
    assert!(is_draining(&bare));
    assert!(!is_draining(&envoy(vec![("draining", text("true"))])), "only the word itself counts");
}

fn envoy(fields: Vec<(&str, Value)>) -> core::Node {
    let metadata = Struct { fields: [("weir".to_owned(), structure(fields))].into() };
    core::Node { id: "envoy-1".to_owned(), metadata: Some(metadata), ..core::Node::default() }
}

fn refused(fields: Vec<(&str, Value)>) -> String {
    decode(&envoy(fields)).unwrap_err().to_string()
}

#[test]
fn an_envoy_needs_only_an_id() {
    let node = decode(&core::Node { id: "envoy-1".to_owned(), ..core::Node::default() }).unwrap();
    assert_eq!(node.target, Target::Envoy);
    assert_eq!((node.namespace.as_str(), node.service.as_str()), ("default", ""));
    assert!(node.upstreams.is_empty() && node.outbound.is_none());
}

#[test]
fn an_envoy_says_its_service_and_its_listener() {
    let fields = vec![("service", text("shop/frontend")), ("outbound", text("127.0.0.1:15001"))];
    let node = decode(&envoy(fields)).unwrap();
    assert_eq!((node.namespace.as_str(), node.service.as_str()), ("shop", "frontend"));
    assert_eq!(node.outbound, Some(([127, 0, 0, 1], 15001).into()));
}

#[test]
fn grpc_is_known_by_its_user_agent() {
    let node = core::Node {
        id: "grpc-1".to_owned(),
        user_agent_name: "gRPC C-core linux".to_owned(),
        ..core::Node::default()
    };
    assert_eq!(decode(&node).unwrap().target, Target::Grpc);
}

#[test]
fn errors_name_the_field() {
    let cases = [
        (
            refused(vec![("service", text("frontend"))]),
            "metadata.weir.service: \"frontend\" is not NAMESPACE/NAME",
        ),
        (
            refused(vec![("service_account", text(""))]),
            "metadata.weir.service_account: empty; leave it out or name one",
        ),
        (
            refused(vec![("outbound", text("localhost"))]),
            "metadata.weir.outbound: \"localhost\" is not ADDRESS:PORT",
        ),
        (refused(vec![("outbuond", text(""))]), "metadata.weir: \"outbuond\" is not known"),
        (
            refused(vec![("target", text("nginx"))]),
            "metadata.weir.target: \"nginx\" is not weir, envoy or grpc",
        ),
        (refused(vec![("labels", text("a=b"))]), "metadata.weir.labels: must be an object of texts"),
        (
            refused(vec![("inbound", list([structure(vec![("listen", text("127.0.0.1:1"))])].into_iter()))]),
            "metadata.weir.inbound[0].app: missing",
        ),
        (
            refused(vec![("upstreams", list([text("a/b"), text("c")].into_iter()))]),
            "metadata.weir.upstreams[1]: ",
        ),
        (
            refused(vec![("sampling_ppm", value(Kind::NumberValue(f64::NAN)))]),
            "metadata.weir.sampling_ppm: must be",
        ),
        (
            refused(vec![("sampling_ppm", value(Kind::NumberValue(1e6 + 1.0)))]),
            "metadata.weir.sampling_ppm: must be",
        ),
        (refused(vec![("access_log", text("yes"))]), "metadata.weir.access_log: must be true or false"),
        (
            refused(vec![("service", text("a/b")), ("namespace", text("c"))]),
            "metadata.weir.namespace: is not that of",
        ),
        (decode(&core::Node::default()).unwrap_err().to_string(), "id: empty"),
    ];
    for (error, expected) in cases {
        assert!(error.starts_with(expected), "{error} should start with {expected}");
    }
    let not_an_object = Struct { fields: [("weir".to_owned(), text("x"))].into() };
    let node = core::Node { metadata: Some(not_an_object), ..envoy(vec![]) };
    assert_eq!(decode(&node).unwrap_err().field, "metadata.weir");
}

#[test]
fn everything_is_bounded() {
    let many = || (0..=limits::NODE_ENTRIES).map(|index| (index.to_string(), String::new()));
    let labels: Vec<_> = many().collect();
    let labels = texts(labels.iter().map(|(key, value)| (key.clone(), value)));
    assert!(refused(vec![("labels", labels)]).starts_with("metadata.weir.labels: 1025 entries"));
    let long = "x".repeat(limits::NAME_BYTES + 1);
    assert!(refused(vec![("target", text(&long))]).contains("longer than"));
    let node = core::Node { id: long, ..core::Node::default() };
    assert_eq!(decode(&node).unwrap_err().field, "id");
}

#[test]
fn a_newer_sidecar_may_say_more() {
    let fields = vec![("target", text("weir")), ("from_the_future", text("x"))];
    assert_eq!(decode(&envoy(fields)).unwrap().target, Target::Weir);
}
