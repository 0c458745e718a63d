use super::*;
use std::net::SocketAddr;
use std::time::Duration;
use weir_config::snapshot::link::Linker;
use weir_model::{
    CircuitBreakers, ClusterKind, Discovery, Endpoint, Endpoints, Health, HttpVersion, LoadBalancing,
    Locality, LocalityEndpoints, Resource, ResourceSet,
};

use crate::telemetry::TelemetryArgs;

pub(crate) fn telemetry() -> Telemetry {
    Telemetry::new(TelemetryArgs::disabled())
}

pub(crate) fn cluster(name: &str, ports: &[u16]) -> weir_model::Cluster {
    let endpoint = |port: &u16| Endpoint {
        details: None,
        address: SocketAddr::from(([127, 0, 0, 1], *port)),
        workload: String::new(),
        health: Health::Healthy,
        weight: 1,
    };
    let endpoints = ports.iter().map(endpoint).collect();
    let locality = LocalityEndpoints { locality: Locality::default(), priority: 0, weight: 1, endpoints };
    weir_model::Cluster {
        subsets: None,
        name: name.to_owned(),
        kind: ClusterKind::Unknown,
        discovery: Discovery::Static(Endpoints {
            drops: Vec::new(),
            weighted_priority_health: false,
            name: name.to_owned(),
            localities: vec![locality],
            overprovisioning: weir_model::OVERPROVISIONING,
        }),
        load_balancing: LoadBalancing::RoundRobin,
        http: HttpVersion::Http1,
        connect_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        circuit_breakers: CircuitBreakers::default(),
        spread: weir_model::Spread::default(),
        health: Default::default(),
    }
}

pub(crate) fn link(linker: &mut Linker, clusters: Vec<weir_model::Cluster>) -> Arc<Snapshot> {
    let mut set = ResourceSet::default();
    for resource in clusters.into_iter().map(Resource::Cluster) {
        linker.prepare(resource.version(), &resource).unwrap();
        set.insert(resource);
    }
    Arc::new(linker.link(&set, []).unwrap())
}

fn pools(pinned: &Pinned, name: &str) -> Vec<Rc<EndpointPool>> {
    let cluster = pinned.clusters.iter().find(|cluster| cluster.config.model.name == name).unwrap();
    cluster.pools.clone()
}

#[test]
fn what_did_not_change_is_the_same() {
    let (mut linker, telemetry) = (Linker::new(1), telemetry());
    let one = link(&mut linker, vec![cluster("a", &[1, 2]), cluster("b", &[1])]);
    let first = Pinned::first(one, &[], &telemetry);
    let two = link(&mut linker, vec![cluster("a", &[2, 3]), cluster("b", &[1])]);
    let second = first.next(two, &[], &telemetry);
    assert!(Rc::ptr_eq(&first.clusters[1], &second.clusters[1]));
    let (before, after) = (pools(&first, "a"), pools(&second, "a"));
    assert!(Rc::ptr_eq(&before[1], &after[0]), "the endpoint in both keeps its pool");
    assert_eq!(after[1].endpoint.address.port(), 3);
    assert!(Rc::ptr_eq(&before[0].shared, &after[0].shared));
    assert_eq!([before[0].is_retired(), after[0].is_retired(), after[1].is_retired()], [true, false, false]);
}

#[test]
fn pools_of_a_cluster_that_is_gone_retire() {
    let (mut linker, telemetry) = (Linker::new(1), telemetry());
    let one = link(&mut linker, vec![cluster("a", &[1]), cluster("b", &[1])]);
    let first = Pinned::first(one, &[], &telemetry);
    let second = first.next(link(&mut linker, vec![cluster("b", &[1])]), &[], &telemetry);
    assert!(pools(&first, "a")[0].is_retired());
    assert!(!pools(&second, "b")[0].is_retired());
    // A cluster of the same name later is another one, even in the same place.
    let third = second.next(link(&mut linker, vec![cluster("a", &[1]), cluster("b", &[1])]), &[], &telemetry);
    let (before, after) = (pools(&first, "a"), pools(&third, "a"));
    assert!(!Rc::ptr_eq(&before[0], &after[0]) && !after[0].is_retired());
}

#[test]
fn an_entrance_finds_its_listener() {
    let mut linker = Linker::new(1);
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    let tcp = weir_model::TcpListener::to("a");
    let listener = weir_model::Listener {
        name: "l".to_owned(),
        address: Some(address),
        direction: weir_model::Direction::Outbound,
        kind: weir_model::ListenerKind::Tcp(tcp),
    };
    let mut set = ResourceSet::default();
    for resource in [Resource::Cluster(cluster("a", &[1])), Resource::Listener(listener)] {
        linker.prepare(resource.version(), &resource).unwrap();
        set.insert(resource);
    }
    let snapshot = Arc::new(linker.link(&set, []).unwrap());
    let entrance = |port| Entrance {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        inbound: false,
        on_demand: false,
        tls: None,
    };
    let pinned = Pinned::first(snapshot, &[entrance(81), entrance(80)], &telemetry());
    assert!(pinned.listener(0).is_none() && pinned.listener(2).is_none());
    assert_eq!(&*pinned.listener(1).unwrap().name, "l");
}
