use super::*;
use crate::session::testing;
use weir_model::ResourceType::{Cluster, Endpoints, Listener, Route};
use weir_model::node::Target;
use weir_proto::envoy::google::protobuf::Any;

fn connected() -> DeltaClient {
    let mut client = DeltaClient::new(&testing::node(Target::Weir));
    client.subscribe(Cluster, ["*"]);
    client.subscribe(Listener, ["*", "reviews"]);
    client.connect();
    client
}

fn resource(value: &Resource) -> DeltaResource {
    DeltaResource {
        name: value.name().to_owned(),
        version: value.version().to_string(),
        resource: Some(codec::encode(value, Target::Weir)),
        ..DeltaResource::default()
    }
}

fn response(
    kind: ResourceType,
    nonce: &str,
    values: &[Resource],
    removed: &[&str],
) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        type_url: codec::type_url(kind).to_owned(),
        nonce: nonce.to_owned(),
        resources: values.iter().map(resource).collect(),
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}

fn drain(client: &mut DeltaClient) -> Vec<DeltaDiscoveryRequest> {
    std::iter::from_fn(|| client.poll_output()).collect()
}

#[test]
fn it_says_who_it_is_once_and_asks_in_order() {
    let mut client = DeltaClient::new(&testing::node(Target::Weir));
    client.subscribe(Listener, ["*", "reviews"]);
    client.subscribe(Cluster, ["*"]);
    assert_eq!(client.poll_output(), None, "no stream, no request");
    client.connect();
    let requests = drain(&mut client);
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].type_url, codec::type_url(Cluster));
    assert!(requests[0].node.is_some() && requests[1].node.is_none());
    assert_eq!(requests[1].resource_names_subscribe, ["*", "reviews"]);
}

#[test]
fn a_good_response_is_acknowledged_after_what_it_leads_to_was_asked_for() {
    let mut client = connected();
    drain(&mut client);
    let received = client.receive(response(Cluster, "7", &[testing::cluster("a", 0)], &["gone"])).unwrap();
    assert_eq!(received.upserts.len(), 1);
    assert_eq!(received.removed, ["gone"]);
    assert_eq!(client.poll_output(), None, "not before it was linked");
    client.subscribe(Endpoints, ["a"]);
    client.accept(&[]);
    let requests = drain(&mut client);
    assert_eq!(requests[0].resource_names_subscribe, ["a"]);
    assert_eq!(requests[1].response_nonce, "7");
    assert_eq!(requests[1].error_detail, None);
    assert_eq!(requests.len(), 2);
}

#[test]
fn one_bad_resource_does_not_spoil_its_siblings() {
    let mut client = connected();
    drain(&mut client);
    let mut message = response(
        Cluster,
        "1",
        &[testing::cluster("a", 0), testing::cluster("b", 0), testing::cluster("c", 0)],
        &[],
    );
    message.resources[1].resource.as_mut().unwrap().value = vec![0xff];
    let received = client.receive(message).unwrap();
    assert_eq!(received.upserts.iter().map(|(_, value)| value.name()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(received.rejected[0].resource, "b");
    let linked =
        Rejection { name: "c".to_owned(), field: "x.y".to_owned(), message: "does not link".to_owned() };
    client.accept(&[linked]);
    let answer = client.poll_output().unwrap();
    let error = answer.error_detail.unwrap();
    assert_eq!(error.code, INVALID_ARGUMENT);
    assert!(error.message.starts_with("b: no valid envoy.config.cluster.v3.Cluster"), "{}", error.message);
    assert!(error.message.ends_with("; c: x.y: does not link"), "{}", error.message);
    // Only what was taken is held.
    client.connect();
    let versions = client.poll_output().unwrap().initial_resource_versions;
    assert_eq!(versions.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn refusals_are_bounded() {
    let mut client = connected();
    drain(&mut client);
    client.receive(response(Cluster, "1", &[testing::cluster("a", 0)], &[])).unwrap();
    let message = "x".repeat(2 * limits::NACK_TEXT_BYTES);
    client.accept(&[Rejection { name: "a".to_owned(), field: String::new(), message }]);
    assert_eq!(client.poll_output().unwrap().error_detail.unwrap().message.len(), limits::NACK_TEXT_BYTES);
}

#[test]
fn after_a_reconnect_it_says_what_it_has() {
    let mut client = DeltaClient::new(&testing::node(Target::Weir));
    client.restore(Cluster, "a", "1");
    client.restore(Endpoints, "nobody-asks", "1");
    client.subscribe(Cluster, ["*"]);
    client.subscribe(Endpoints, ["a"]);
    client.connect();
    let requests = drain(&mut client);
    assert_eq!(requests[0].initial_resource_versions, [("a".to_owned(), "1".to_owned())].into());
    assert!(requests[1].initial_resource_versions.is_empty());
    client.receive(response(Cluster, "1", &[testing::cluster("b", 0)], &["a"])).unwrap();
    client.accept(&[]);
    client.disconnect();
    assert_eq!(client.poll_output(), None);
    client.connect();
    let requests = drain(&mut client);
    assert!(requests[0].node.is_some());
    assert_eq!(requests[0].initial_resource_versions.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(requests[0].response_nonce, "", "answers belong to their stream");
}

#[test]
fn what_was_given_back_is_neither_taken_nor_named() {
    let mut client = connected();
    client.subscribe(Route, ["r", "s"]);
    drain(&mut client);
    client.unsubscribe(Route, ["r"]);
    let received = client.receive(response(
        Route,
        "1",
        &[testing::route("r", &["a"]), testing::route("s", &["a"])],
        &[],
    ));
    let received = received.unwrap();
    assert_eq!(received.upserts.len(), 1);
    client.accept(&[]);
    let request = client.poll_output().unwrap();
    assert_eq!(
        (request.resource_names_unsubscribe, request.response_nonce),
        (vec!["r".to_owned()], "1".to_owned())
    );
    assert_eq!(client.subscriptions(Route).collect::<Vec<_>>(), ["s"]);
}

#[test]
fn a_first_request_never_asks_for_everything_by_saying_nothing() {
    let mut client = DeltaClient::new(&testing::node(Target::Weir));
    client.connect();
    client.subscribe(Listener, ["a"]);
    client.unsubscribe(Listener, ["a"]);
    assert_eq!(client.poll_output(), None);
}

#[test]
fn names_and_types_must_be_what_they_say() {
    let mut client = connected();
    drain(&mut client);
    let mut message = response(Cluster, "1", &[testing::cluster("a", 0), testing::cluster("b", 0)], &[]);
    message.resources[0].name = "x".to_owned();
    message.resources[1].resource = Some(codec::encode(&testing::endpoints("b", 1), Target::Weir));
    message.resources.push(DeltaResource { name: "c".to_owned(), ..DeltaResource::default() });
    message.resources.extend([resource(&testing::cluster("d", 0)), resource(&testing::cluster("d", 1))]);
    let received = client.receive(message).unwrap();
    assert_eq!(received.upserts, vec![]);
    let fields: Vec<_> =
        received.rejected.iter().map(|error| (error.resource.as_str(), error.field.as_str())).collect();
    assert_eq!(fields, [("x", "name"), ("b", "resource.type_url"), ("c", "resource"), ("d", "name")]);
    assert_eq!(
        client.receive(response(Route, "2", &[], &[])),
        Err(SessionError::UnknownType(codec::type_url(Route).to_owned()))
    );
}

#[test]
fn an_unanswered_response_is_settled_by_the_next() {
    let mut client = connected();
    drain(&mut client);
    client.receive(response(Cluster, "1", &[testing::cluster("a", 0)], &[])).unwrap();
    client.receive(response(Cluster, "2", &[testing::cluster("b", 0)], &[])).unwrap();
    client.accept(&[]);
    let nonces: Vec<_> = drain(&mut client).into_iter().map(|request| request.response_nonce).collect();
    assert_eq!(nonces, ["1", "2"]);
    for nonce in 0..10 * ANSWERS {
        client.receive(response(Cluster, &nonce.to_string(), &[], &[])).unwrap();
    }
    assert!(drain(&mut client).len() <= ANSWERS, "a server that never reads does not fill the memory");
}

#[test]
fn hostile_responses_do_not_panic() {
    let mut client = connected();
    drain(&mut client);
    let mut message = response(Cluster, "", &[], &["", "*"]);
    let any = Any { type_url: codec::type_url(Cluster).to_owned(), value: vec![0x0a, 0xff, 0xff] };
    message.resources = vec![
        DeltaResource::default(),
        DeltaResource { name: "ä".repeat(10_000), resource: Some(any), ..DeltaResource::default() },
    ];
    let received = client.receive(message).unwrap();
    assert_eq!(received.rejected.len(), 2);
    client.accept(&[]);
    assert!(client.poll_output().unwrap().error_detail.unwrap().message.len() <= limits::NACK_TEXT_BYTES);
}
