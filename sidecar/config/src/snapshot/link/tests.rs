use super::*;
use crate::samples::{cluster, endpoints, inbound, listener, routes, tcp};
use crate::snapshot::{Action, NameLookup, Route};
use proptest::prelude::*;
use std::sync::atomic::Ordering::Relaxed;
use weir_model::{LoadBalancing, RouteAction, RouteSource, Time};

fn set(resources: impl IntoIterator<Item = Resource>) -> ResourceSet {
    let mut set = ResourceSet::default();
    for resource in resources {
        set.insert(resource);
    }
    set
}

fn link(linker: &mut Linker, resources: &ResourceSet) -> Snapshot {
    for (_, _, version, resource) in resources.iter() {
        linker.prepare(version, resource).unwrap();
    }
    linker.link(resources, []).unwrap()
}

fn found<'a>(snapshot: &'a Snapshot, name: &str) -> &'a NamedRoutes {
    match snapshot.name(name, Time(0)) {
        NameLookup::Found(routes) => routes,
        other => panic!("{name}: {other:?}"),
    }
}

fn targets(snapshot: &Snapshot, routes: &Routes) -> Vec<String> {
    let forward = |route: &Route| match &route.action {
        Action::Forward(forward) => forward.targets.iter().map(|target| target.cluster).collect(),
        Action::Direct(_) | Action::Redirect(_) => vec![],
    };
    let indices = routes.hosts.iter().flatten().flat_map(forward);
    indices.map(|index: usize| snapshot.clusters[index].model.name.clone()).collect()
}

fn reviews() -> ResourceSet {
    set([
        endpoints("v1", &[1, 2]),
        endpoints("v2", &[3]),
        cluster("v1", "v1"),
        cluster("v2", "v2"),
        routes("reviews", &["v1", "v2"]),
        listener("reviews:80", "reviews"),
        inbound(9000, &["v2"]),
        tcp(9001, "v1"),
    ])
}

#[test]
fn names_become_indices() {
    let snapshot = link(&mut Linker::new(2), &reviews());
    assert_eq!(snapshot.sequence, 1);
    assert_eq!(targets(&snapshot, &found(&snapshot, "reviews:80").routes), ["v1", "v2"]);
    assert_eq!(snapshot.listeners.len(), 2, "a listener without an address is a name");
    let inbound = snapshot.listener("127.0.0.1:9000".parse().unwrap()).unwrap();
    let ListenerKind::Http { routes, .. } = &inbound.kind else { panic!("{inbound:?}") };
    assert_eq!(targets(&snapshot, routes), ["v2"]);
    let tcp = snapshot.listener("127.0.0.1:9001".parse().unwrap()).unwrap();
    let ListenerKind::Tcp(bytes) = &tcp.kind else { panic!("{tcp:?}") };
    let cluster = bytes.targets[0];
    let v1 = &snapshot.clusters[cluster];
    assert_eq!(v1.endpoints.iter().map(|endpoint| endpoint.address.port()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(v1.table.len(), 2);
    assert!(snapshot.listener("127.0.0.1:9002".parse().unwrap()).is_none());
}

#[test]
fn what_did_not_change_is_the_same_object() {
    let mut linker = Linker::new(1);
    let mut resources = reviews();
    let before = link(&mut linker, &resources);
    resources.insert(endpoints("v1", &[1]));
    let after = link(&mut linker, &resources);
    assert!(Arc::ptr_eq(&found(&before, "reviews:80").routes, &found(&after, "reviews:80").routes));
    let (v1, v2) = (index(&before, "v1"), index(&before, "v2"));
    assert!(Arc::ptr_eq(&before.clusters[v2], &after.clusters[v2]));
    assert!(!Arc::ptr_eq(&before.clusters[v1], &after.clusters[v1]));
    assert_ne!(before.revision, after.revision);
    resources.insert(routes("reviews", &["v1"]));
    let last = link(&mut linker, &resources);
    assert!(Arc::ptr_eq(&after.clusters[v1], &last.clusters[v1]));
    assert_eq!(targets(&last, &found(&last, "reviews:80").routes), ["v1"]);
}

fn index(snapshot: &Snapshot, cluster: &str) -> usize {
    snapshot.clusters.iter().position(|linked| linked.model.name == cluster).unwrap()
}

#[test]
fn state_outlives_changes_of_the_cluster_and_of_its_endpoints() {
    let mut linker = Linker::new(1);
    let mut resources = reviews();
    let before = link(&mut linker, &resources);
    let v1 = index(&before, "v1");
    before.clusters[v1].endpoints[1].active.store(7, Relaxed);
    before.clusters[v1].state.requests.store(9, Relaxed);
    resources.insert(endpoints("v1", &[2, 4]));
    let Resource::Cluster(mut changed) = cluster("v1", "v1") else { unreachable!() };
    changed.load_balancing = LoadBalancing::Random;
    resources.insert(Resource::Cluster(changed));
    let after = link(&mut linker, &resources);
    let v1 = &after.clusters[v1];
    assert_eq!(v1.model.load_balancing, LoadBalancing::Random);
    assert_eq!(v1.state.requests.load(Relaxed), 9);
    let active =
        |number: usize| (v1.endpoints[number].address.port(), v1.endpoints[number].active.load(Relaxed));
    assert_eq!([active(0), active(1)], [(2, 7), (4, 0)]);
    let ids: std::collections::BTreeSet<_> = after
        .clusters
        .iter()
        .chain(&before.clusters)
        .flat_map(|linked| &linked.endpoints)
        .map(|e| e.id)
        .collect();
    assert_eq!(ids.len(), 4, "three before and one new");
}

#[test]
fn the_place_of_a_cluster_is_vacant_until_it_is_used_again() {
    let mut linker = Linker::new(1);
    let mut resources = reviews();
    let before = link(&mut linker, &resources);
    let (v1, v2) = (index(&before, "v1"), index(&before, "v2"));
    let old = before.clusters[v2].state.id;
    for (kind, name) in [
        (ResourceType::Cluster, "v2"),
        (ResourceType::Endpoints, "v2"),
        (ResourceType::Listener, "inbound/127.0.0.1:9000"),
    ] {
        assert!(resources.remove(kind, name));
    }
    resources.insert(routes("reviews", &["v1"]));
    let without = link(&mut linker, &resources);
    assert_eq!(index(&without, "v1"), v1);
    assert!(without.clusters[v2].is_vacant());
    assert_eq!(without.live_clusters().count(), 1);
    resources.insert(cluster("v3", "v1"));
    let again = link(&mut linker, &resources);
    assert_eq!(index(&again, "v3"), v2);
    assert_ne!(again.clusters[v2].state.id, old);
}

#[test]
fn route_ids_follow_names() {
    let mut linker = Linker::new(1);
    let mut resources = set([routes("a", &[]), routes("b", &[]), listener("a", "a"), listener("b", "b")]);
    let id = |snapshot: &Snapshot, name: &str| found(snapshot, name).routes.hosts[0][0].id;
    let first = link(&mut linker, &resources);
    assert_ne!(id(&first, "a"), id(&first, "b"));
    let Resource::Route(mut changed) = routes("a", &[]) else { unreachable!() };
    changed.virtual_hosts[0].domains.push("x".into());
    resources.insert(Resource::Route(changed));
    let second = link(&mut linker, &resources);
    assert!(!Arc::ptr_eq(&found(&first, "a").routes, &found(&second, "a").routes));
    assert_eq!(id(&first, "a"), id(&second, "a"));
    for kind in [ResourceType::Route, ResourceType::Listener] {
        resources.remove(kind, "a");
    }
    link(&mut linker, &resources);
    let old = id(&first, "a");
    for resource in [routes("a", &[]), listener("a", "a")] {
        resources.insert(resource);
    }
    assert_ne!(id(&link(&mut linker, &resources), "a"), old, "a number is not used again");
}

#[test]
fn names_that_were_asked_for_are_found_absent_or_unknown() {
    let mut linker = Linker::new(1);
    let resources = reviews();
    for (_, _, version, resource) in resources.iter() {
        linker.prepare(version, resource).unwrap();
    }
    let name = |name: &str, absent| Name { name: name.into(), used: Arc::default(), absent };
    let names = [name("reviews:80", false), name("nobody", true), name("not-yet", false)];
    let used = names[0].used.clone();
    let snapshot = linker.link(&resources, names).unwrap();
    let now = Time(42_000_000_000);
    assert!(matches!(snapshot.name("Reviews.:80", now), NameLookup::Found(_)));
    assert_eq!(used.second(), 42);
    assert!(matches!(snapshot.name("nobody", now), NameLookup::Absent));
    assert!(matches!(snapshot.name("not-yet", now), NameLookup::Unknown));
    assert!(matches!(snapshot.name("never-heard-of", now), NameLookup::Unknown));
    assert_eq!(snapshot.names().count(), 2);
}

#[test]
fn a_socket_bound_elsewhere_finds_its_listener() {
    let (known, bound) = ("127.0.0.1:9000".parse().unwrap(), "0.0.0.0:9000".parse().unwrap());
    let mut linker = Linker::new(1).with_bound(BTreeMap::from([(known, bound)]));
    let snapshot = link(&mut linker, &reviews());
    assert_eq!(&*snapshot.listener(bound).unwrap().name, "inbound/127.0.0.1:9000");
    assert!(snapshot.listener(known).is_none());
}

#[test]
fn errors_name_the_field() {
    let mut linker = Linker::new(1);
    let mut refused =
        |resource: Resource| linker.prepare(resource.version(), &resource).unwrap_err().to_string();
    let Resource::Route(mut unweighted) = routes("r", &["a", "b"]) else { unreachable!() };
    let RouteAction::Forward(forward) = &mut unweighted.virtual_hosts[0].routes[0].action else {
        unreachable!()
    };
    forward.clusters.iter_mut().for_each(|target| target.weight = 0);
    let error = refused(Resource::Route(unweighted.clone()));
    assert!(
        error.starts_with("virtual_hosts[0].routes[0].route.weighted_clusters: the weights sum to 0"),
        "{error}"
    );
    let Resource::Listener(mut inline) = inbound(1, &["a"]) else { unreachable!() };
    let weir_model::ListenerKind::Http(http) = &mut inline.kind else { unreachable!() };
    http.routes = RouteSource::Inline(unweighted);
    let error = refused(Resource::Listener(inline));
    assert!(error.starts_with("route_config.virtual_hosts[0].routes[0]"), "{error}");
    let Resource::Listener(mut nowhere) = tcp(1, "a") else { unreachable!() };
    nowhere.address = None;
    let chains = weir_model::FilterChains { inspect: None, chains: vec![], otherwise: None };
    nowhere.kind = weir_model::ListenerKind::Chains(Box::new(chains));
    assert!(refused(Resource::Listener(nowhere)).starts_with("address: "));
    assert!(refused(cluster("c", "")).starts_with("eds_cluster_config.service_name: "));
    assert!(refused(cluster("", "e")).starts_with("name: "));
}

#[test]
fn a_set_that_is_not_closed_is_refused_and_harms_nothing() {
    let mut linker = Linker::new(1);
    let before = link(&mut linker, &reviews());
    let mut broken = reviews();
    broken.remove(ResourceType::Cluster, "v1");
    let error = linker.link(&broken, []).unwrap_err().to_string();
    assert!(error.contains("v1"), "{error}");
    let after = link(&mut linker, &reviews());
    assert_eq!(before.revision, after.revision);
    assert!(before.clusters.iter().zip(&after.clusters).all(|(before, after)| Arc::ptr_eq(before, after)));
}

#[test]
fn what_was_prepared_and_removed_is_given_up() {
    let mut linker = Linker::new(1);
    let resource = routes("r", &["a"]);
    linker.prepare(resource.version(), &resource).unwrap();
    assert_eq!(linker.prepared.len(), 1);
    linker.forget(ResourceType::Route, "r");
    assert!(linker.prepared.is_empty());
    link(&mut linker, &reviews());
    assert!(linker.prepared.is_empty(), "linked means no longer kept aside");
}

proptest! {
    /// After any sequence of closed sets every index is that of the cluster which the configuration names, and the linker
    /// gives the same as one that never saw the sets before.
    #[test]
    fn indices_are_right_after_any_history(
        sets in prop::collection::vec(prop::collection::vec((0..5u8, prop::collection::vec(0..5u8, 0..4)), 1..5), 1..8),
    ) {
        let mut linker = Linker::new(1);
        for wanted in sets {
            let mut resources = ResourceSet::default();
            for (route, clusters) in &wanted {
                let clusters: Vec<String> = clusters.iter().map(|cluster| format!("c{cluster}")).collect();
                for name in &clusters {
                    resources.insert(endpoints(name, &[1, 2]));
                    resources.insert(cluster(name, name));
                }
                let name = format!("r{route}");
                resources.insert(routes(&name, &clusters.iter().map(String::as_str).collect::<Vec<_>>()));
                resources.insert(listener(&name, &name));
            }
            // Several routes of one name: the last one counts, as its clusters are all there.
            let snapshot = link(&mut linker, &resources);
            let fresh = link(&mut Linker::new(1), &resources);
            prop_assert_eq!(snapshot.revision, fresh.revision);
            prop_assert_eq!(snapshot.live_clusters().count(), fresh.live_clusters().count());
            for (name, _, resource) in resources.of(ResourceType::Route) {
                let expected: Vec<String> = resource.references().into_iter().map(|(_, name)| name.to_owned()).collect();
                prop_assert_eq!(targets(&snapshot, &found(&snapshot, name).routes), expected.clone());
                prop_assert_eq!(targets(&fresh, &found(&fresh, name).routes), expected);
            }
        }
    }
}

#[test]
fn only_newcomers_start_slowly_and_only_where_somebody_says_so() {
    use crate::snapshot::state::NOT_BEGUN;
    for slow in [true, false] {
        let with = |ports: &[u16]| {
            let Resource::Cluster(mut cluster) = cluster("v1", "v1") else { panic!() };
            cluster.health.slow_start =
                slow.then(|| weir_model::SlowStart::new(std::time::Duration::from_secs(10)));
            set([endpoints("v1", ports), Resource::Cluster(cluster), tcp(9001, "v1")])
        };
        let mut linker = Linker::new(1);
        let began = |snapshot: &Snapshot| {
            let endpoints = &snapshot.live_clusters().next().unwrap().endpoints;
            endpoints.iter().map(|endpoint| endpoint.standing.began()).collect::<Vec<_>>()
        };
        let first = link(&mut linker, &with(&[1, 2]));
        assert_eq!(began(&first), [Time(0), Time(0)]);
        let second = link(&mut linker, &with(&[1, 2, 3]));
        let newcomer = if slow { NOT_BEGUN } else { Time(0) };
        assert_eq!(began(&second), [Time(0), Time(0), newcomer]);
        let cluster = second.live_clusters().next().unwrap();
        let loads = cluster.loads(Time(5));
        use weir_decide::balance::Loads;
        assert_eq!((loads.starting(), loads.part(0)), (slow, 1.0));
        assert_eq!(loads.part(2), if slow { 0.1 } else { 1.0 });
    }
}

#[test]
fn who_is_checked_takes_nothing_before_it_has_passed() {
    use weir_decide::balance::Loads;
    let with = |checked: bool| {
        let Resource::Cluster(mut cluster) = cluster("v1", "v1") else { panic!() };
        let second = std::time::Duration::from_secs(1);
        let probe = weir_model::Probe::Tcp { send: vec![], receive: vec![] };
        let check = weir_model::HealthCheck::new(probe, second, second, 1, 1);
        cluster.health.health_check = checked.then(|| Box::new(check));
        set([endpoints("v1", &[1]), Resource::Cluster(cluster), tcp(9001, "v1")])
    };
    let mut linker = Linker::new(1);
    let unavailable =
        |snapshot: &Snapshot| snapshot.live_clusters().next().unwrap().loads(Time(1)).ejected(0);
    assert!(unavailable(&link(&mut linker, &with(true))));
    // Without checks nobody asks; with them again, it is as it was.
    assert!(!unavailable(&link(&mut linker, &with(false))));
    let snapshot = link(&mut linker, &with(true));
    assert!(unavailable(&snapshot));
    snapshot.live_clusters().next().unwrap().endpoints[0].standing.set_failing(false);
    assert!(!unavailable(&snapshot));
}
