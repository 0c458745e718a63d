use super::*;
use crate::samples::{cluster, endpoints, inbound, listener, node, routes};
use crate::snapshot::NameLookup;
use weir_model::node::Target;
use weir_proto::envoy::envoy::service::discovery::v3::Resource as Wrapped;
use weir_xds::codec::{self, type_url};

const NOW: Time = Time(1_000_000_000_000);

fn core(saved: Option<Saved>) -> Core {
    let mut core = Core::new(&node("n1"), Linker::new(1), saved, NOW);
    core.connect();
    core
}

/// All requests there are to send, by type.
fn requests(core: &mut Core) -> Vec<DeltaDiscoveryRequest> {
    std::iter::from_fn(|| core.poll_output()).collect()
}

fn of(requests: &[DeltaDiscoveryRequest], kind: ResourceType) -> Vec<&DeltaDiscoveryRequest> {
    requests.iter().filter(|request| request.type_url == type_url(kind)).collect()
}

fn wrap(resource: &Resource) -> Wrapped {
    Wrapped {
        name: resource.name().to_owned(),
        version: resource.version().to_string(),
        resource: Some(codec::encode(resource, Target::Weir)),
        ..Wrapped::default()
    }
}

fn response(kind: ResourceType, resources: Vec<Wrapped>, removed: &[&str]) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        type_url: type_url(kind).to_owned(),
        nonce: "nonce".to_owned(),
        system_version_info: "7".to_owned(),
        resources,
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}

/// Delivers resources, one response for each, and gives the requests that came of it.
fn deliver(core: &mut Core, resources: &[Resource]) -> Vec<DeltaDiscoveryRequest> {
    let mut sent = requests(core);
    for resource in resources {
        core.receive(response(resource.kind(), vec![wrap(resource)], &[])).unwrap();
        sent.extend(requests(core));
    }
    sent
}

fn subscribed(requests: &[DeltaDiscoveryRequest], kind: ResourceType) -> Vec<&str> {
    of(requests, kind)
        .into_iter()
        .flat_map(|request| &request.resource_names_subscribe)
        .map(String::as_str)
        .collect()
}

fn unsubscribed(requests: &[DeltaDiscoveryRequest], kind: ResourceType) -> Vec<&str> {
    of(requests, kind)
        .into_iter()
        .flat_map(|request| &request.resource_names_unsubscribe)
        .map(String::as_str)
        .collect()
}

fn reviews() -> [Resource; 4] {
    [cluster("c", "e"), endpoints("e", &[1]), listener("reviews:80", "r"), routes("r", &["c"])]
}

#[test]
fn the_first_requests_ask_for_what_is_this_nodes_own() {
    let sent = requests(&mut core(None));
    assert_eq!(subscribed(&sent, ResourceType::Listener), ["*"]);
    assert_eq!(subscribed(&sent, ResourceType::Cluster), ["*"]);
    assert_eq!(sent.first().and_then(|first| first.node.as_ref()).map(|node| node.id.as_str()), Some("n1"));
}

#[test]
fn references_are_followed_and_served_when_complete() {
    let mut core = core(None);
    core.want("reviews:80".into(), NOW);
    let [cluster, endpoints, listener, routes] = reviews();
    let sent = deliver(&mut core, &[cluster]);
    assert!(subscribed(&sent, ResourceType::Listener).contains(&"reviews:80"));
    assert_eq!(subscribed(&sent, ResourceType::Endpoints), ["e"]);
    let sent = deliver(&mut core, &[endpoints, listener]);
    assert_eq!(subscribed(&sent, ResourceType::Route), ["r"]);
    assert!(matches!(core.snapshot().unwrap().name("reviews:80", NOW), NameLookup::Unknown));
    assert_eq!(core.graph().pending().len(), 1);
    deliver(&mut core, &[routes]);
    assert!(matches!(core.snapshot().unwrap().name("reviews:80", NOW), NameLookup::Found(_)));
    assert_eq!(core.control_plane_version(), "7");
}

#[test]
fn a_name_that_does_not_exist_is_absent_until_it_does() {
    let mut core = core(None);
    core.want("nobody".into(), NOW);
    requests(&mut core);
    assert!(core.receive(response(ResourceType::Listener, vec![], &["nobody"])).unwrap());
    assert!(matches!(core.snapshot().unwrap().name("nobody", NOW), NameLookup::Absent));
    deliver(&mut core, &[listener("nobody", "r"), routes("r", &[])]);
    assert!(matches!(core.snapshot().unwrap().name("nobody", NOW), NameLookup::Found(_)));
    core.receive(response(ResourceType::Listener, vec![], &["nobody"])).unwrap();
    assert!(matches!(core.snapshot().unwrap().name("nobody", NOW), NameLookup::Absent));
}

#[test]
fn what_does_not_compile_is_refused_with_its_field_and_the_last_good_one_stays() {
    let mut core = core(None);
    core.want("reviews:80".into(), NOW);
    deliver(&mut core, &reviews());
    let good = core.snapshot().unwrap().revision;
    let Resource::Route(mut broken) = routes("r", &["c"]) else { unreachable!() };
    broken.virtual_hosts[0].routes[0].matches.path = weir_model::PathMatch::Regex("(".to_owned());
    let sent = deliver(&mut core, &[Resource::Route(broken)]);
    let refused = sent.iter().find_map(|request| request.error_detail.as_ref()).unwrap();
    assert!(
        refused.message.contains('r') && refused.message.contains("virtual_hosts[0].routes[0]"),
        "{refused:?}"
    );
    assert_eq!(core.refused().len(), 1);
    assert_eq!(core.snapshot().unwrap().revision, good);
    let sent = deliver(&mut core, &[routes("r", &[])]);
    assert!(sent.iter().all(|request| request.error_detail.is_none()));
    assert_eq!(core.refused(), []);
    assert_ne!(core.snapshot().unwrap().revision, good);
}

#[test]
fn what_is_not_a_resource_is_refused_and_the_rest_is_taken() {
    let mut core = core(None);
    requests(&mut core);
    let mut garbage = wrap(&cluster("bad", "e"));
    garbage.resource.as_mut().unwrap().value = vec![0xff; 9];
    core.receive(response(ResourceType::Cluster, vec![garbage, wrap(&cluster("good", "e"))], &[])).unwrap();
    let sent = requests(&mut core);
    assert!(sent.iter().any(|request| request.error_detail.is_some()));
    assert_eq!(subscribed(&sent, ResourceType::Endpoints), ["e"]);
    assert_eq!(core.refused().len(), 1);
    deliver(&mut core, &[endpoints("e", &[])]);
    assert_eq!(core.snapshot().unwrap().live_clusters().count(), 1);
}

#[test]
fn what_nobody_uses_any_more_is_given_back_all_the_way_down() {
    let mut core = core(None);
    core.want("reviews:80".into(), NOW);
    deliver(&mut core, &reviews());
    let later = NOW + limits::ON_DEMAND_IDLE + std::time::Duration::from_secs(2);
    assert!(core.expire(later));
    let sent = requests(&mut core);
    assert_eq!(unsubscribed(&sent, ResourceType::Listener), ["reviews:80"]);
    assert_eq!(unsubscribed(&sent, ResourceType::Route), ["r"]);
    let left: Vec<_> = core.graph().effective().iter().map(|(_, name, _, _)| name.to_owned()).collect();
    assert_eq!(left, ["c", "e"], "clusters come by wildcard and go when the control plane says so");
    core.receive(response(ResourceType::Cluster, vec![], &["c"])).unwrap();
    assert_eq!(unsubscribed(&requests(&mut core), ResourceType::Endpoints), ["e"]);
    assert!(core.graph().effective().is_empty());
    assert_eq!(core.saved().resources.len() + core.versions.len(), 0);
}

#[test]
fn a_start_from_disk_serves_the_same_and_asks_only_for_what_changed() {
    let mut before = core(None);
    for name in ["reviews:80", "nobody"] {
        before.want(name.into(), NOW);
    }
    deliver(&mut before, &reviews());
    deliver(&mut before, &[inbound(9000, &["c"])]);
    before.receive(response(ResourceType::Listener, vec![], &["nobody"])).unwrap();
    let mut after = core(Some(before.saved()));
    let snapshot = after.snapshot().unwrap();
    assert_eq!(snapshot.revision, before.snapshot().unwrap().revision);
    assert!(matches!(snapshot.name("reviews:80", NOW), NameLookup::Found(_)));
    assert!(matches!(snapshot.name("nobody", NOW), NameLookup::Absent));
    let sent = requests(&mut after);
    let held: BTreeMap<String, String> =
        sent.iter().flat_map(|request| request.initial_resource_versions.clone()).collect();
    let expected: Vec<_> = ["c", "e", "inbound/127.0.0.1:9000", "r", "reviews:80"].into_iter().collect();
    assert_eq!(held.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    let mut names = subscribed(&sent, ResourceType::Listener);
    names.sort_unstable();
    assert_eq!(names, ["*", "nobody", "reviews:80"]);
    assert_eq!(subscribed(&sent, ResourceType::Route), ["r"]);
    assert_eq!(subscribed(&sent, ResourceType::Endpoints), ["e"]);
    assert_eq!(after.saved(), before.saved());
}

#[test]
fn an_older_version_in_force_is_not_passed_off_as_the_newest() {
    let mut core = core(None);
    core.want("reviews:80".into(), NOW);
    deliver(&mut core, &reviews());
    deliver(&mut core, &[routes("r", &["c", "not there yet"])]);
    let saved = core.saved();
    let route = saved.resources.iter().find(|(_, resource)| resource.kind() == ResourceType::Route).unwrap();
    assert_eq!((route.0.as_str(), &*route.1), ("", &routes("r", &["c"])));
}

#[test]
fn refusals_that_are_remembered_are_bounded() {
    let mut core = core(None);
    for number in 0..2 * REFUSALS {
        core.refuse(ResourceType::Cluster, &number.to_string(), "x".repeat(2 * limits::NACK_TEXT_BYTES));
    }
    assert_eq!(core.refused().len(), REFUSALS);
    assert_eq!(core.refusals(), 2 * REFUSALS as u64);
    assert!(core.refused().iter().all(|refused| refused.error.len() <= limits::NACK_TEXT_BYTES));
}
