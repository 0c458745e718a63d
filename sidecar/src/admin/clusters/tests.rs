use super::*;
use std::time::Duration;
use weir_config::snapshot::link::Linker;
use weir_model::{
    CircuitBreakers, ClusterKind, Discovery, EndpointHealth, Endpoints, HealthCheck, HttpVersion,
    LoadBalancing, Locality, OVERPROVISIONING, Probe, Resource, ResourceSet, SlowStart, Spread,
};

/// A cluster of two endpoints that are checked and start slowly.
fn snapshot() -> Snapshot {
    let endpoint = |port: u16| Endpoint {
        details: None,
        address: ([127, 0, 0, 1], port).into(),
        workload: format!("w{port}"),
        health: Health::Healthy,
        weight: 1,
    };
    let locality = LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: 1,
        endpoints: vec![endpoint(1), endpoint(2)],
    };
    let endpoints = Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: "a".to_owned(),
        localities: vec![locality],
        overprovisioning: OVERPROVISIONING,
    };
    let second = Duration::from_secs(1);
    let check = HealthCheck::new(Probe::Tcp { send: vec![], receive: vec![] }, second, second, 1, 1);
    let cluster = weir_model::Cluster {
        subsets: None,
        name: "a".to_owned(),
        kind: ClusterKind::Unknown,
        discovery: Discovery::Static(endpoints),
        load_balancing: LoadBalancing::RoundRobin,
        http: HttpVersion::Http1,
        connect_timeout: second,
        idle_timeout: second,
        circuit_breakers: CircuitBreakers::default(),
        spread: Spread::default(),
        health: EndpointHealth {
            health_check: Some(Box::new(check)),
            slow_start: Some(SlowStart::new(Duration::from_secs(10))),
            ..EndpointHealth::default()
        },
    };
    let mut set = ResourceSet::default();
    set.insert(Resource::Cluster(cluster));
    Linker::new(1).link(&set, []).unwrap()
}

#[test]
fn what_the_sidecar_has_against_an_endpoint_is_shown() {
    let snapshot = snapshot();
    let now = Time(1_000_000_000_000);
    let endpoints = &snapshot.live_clusters().next().unwrap().endpoints;
    endpoints[0].standing.set_failing(false);
    endpoints[0].eject(now + Duration::from_millis(2500));
    let shown = text(&snapshot, now);
    assert!(
        shown.contains(
            "127.0.0.1:1 w1 priority 0 locality // weight 1 healthy ejected for 2.5 s starting at 10 %"
        ),
        "{shown}"
    );
    assert!(
        shown.contains("127.0.0.1:2 w2 priority 0 locality // weight 1 healthy failing its checks active"),
        "{shown}"
    );
    let shown = json(&snapshot, now);
    let endpoints = &shown["clusters"][0]["endpoints"];
    assert_eq!(endpoints[0]["ejected"], json!(true));
    assert_eq!(endpoints[0]["ejections"], json!(1));
    assert_eq!(endpoints[0]["failing_checks"], json!(false));
    assert_eq!(endpoints[1]["failing_checks"], json!(true));
    assert_eq!(endpoints[1]["part"], json!(1.0));
    // Half of its window later.
    let later = now + Duration::from_millis(7500);
    assert!(
        text(&snapshot, later)
            .contains("127.0.0.1:1 w1 priority 0 locality // weight 1 healthy starting at 50 %")
    );
}
