use super::*;
use std::collections::BTreeMap;
use weir_model::LocalityEndpoints;
use weir_model::mesh::Workload;
use weir_model::node::Target;

fn node_at(locality: &str, service: &str) -> Node {
    Node {
        id: Default::default(),
        target: Target::Weir,
        namespace: "default".to_owned(),
        service: service.to_owned(),
        service_account: Default::default(),
        labels: Default::default(),
        locality: locality.parse().unwrap(),
        outbound: Default::default(),
        outbound_tcp: Default::default(),
        inbound: Default::default(),
        upstreams: Default::default(),
        uses: Default::default(),
        sampling: Default::default(),
        access_log: Default::default(),
    }
}

fn prefer(near: &Nearness, mesh: Mesh, node: &Node, endpoints: &mut Endpoints) {
    near.prefer(&mesh, &Index::new(&mesh), &near.of(node), endpoints);
}

fn priorities(nearest: Near, node: &str, localities: &[&str]) -> Vec<(String, u32)> {
    let one = |text: &&str| LocalityEndpoints {
        locality: text.parse().unwrap(),
        priority: 0,
        weight: 1,
        endpoints: vec![],
    };
    let mut endpoints = Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: String::new(),
        localities: localities.iter().map(one).collect(),
        overprovisioning: OVERPROVISIONING,
    };
    let failover = LocalityFailover { prefer: nearest, overprovisioning: Some(150) };
    let name = Name::new("default", "near");
    let near = nearness(Some((&name, &failover)), &service(Some(Distribution::SameNode))).unwrap();
    prefer(&near, Mesh::default(), &node_at(node, ""), &mut endpoints);
    assert_eq!(endpoints.overprovisioning, 150, "a policy says more than the service");
    endpoints
        .localities
        .iter()
        .map(|it| (format!("{}/{}", it.locality.region, it.locality.zone), it.priority))
        .collect()
}

fn service(distribution: Option<Distribution>) -> Service {
    Service { selector: Default::default(), ports: vec![], distribution }
}

#[test]
fn a_service_may_prefer_the_callers_node_or_zone() {
    let all = ["us/us-1/a", "eu/eu-1/a", "eu/eu-1/b", "eu/eu-2/b"];
    let priorities = |distribution| {
        let one = |text: &&str| LocalityEndpoints {
            locality: text.parse().unwrap(),
            priority: 0,
            weight: 1,
            endpoints: vec![],
        };
        let mut endpoints = Endpoints {
            name: String::new(),
            localities: all.iter().map(one).collect(),
            overprovisioning: OVERPROVISIONING,
            weighted_priority_health: false,
            drops: Vec::new(),
        };
        let near = nearness(None, &service(distribution));
        near.inspect(|near| prefer(near, Mesh::default(), &node_at("eu/eu-1/b", ""), &mut endpoints));
        let places = endpoints.localities.iter().map(|it| (it.locality.to_string(), it.priority));
        places.collect::<Vec<_>>()
    };
    let places = |expected: &[(usize, u32)]| -> Vec<(String, u32)> {
        expected.iter().map(|(index, priority)| (all[*index].to_owned(), *priority)).collect()
    };
    assert_eq!(priorities(None), places(&[(0, 0), (1, 0), (2, 0), (3, 0)]));
    assert_eq!(priorities(Some(Distribution::SameZone)), places(&[(1, 0), (2, 0), (3, 1), (0, 2)]));
    assert_eq!(priorities(Some(Distribution::SameNode)), places(&[(2, 0), (1, 1), (3, 2), (0, 3)]));
    // Nodes that prefer the same get the same.
    let of = |distribution, node: &str| {
        let near = nearness(None, &service(Some(distribution))).unwrap();
        near.of(&node_at(node, "")).locality.to_string()
    };
    assert_eq!(of(Distribution::SameZone, "eu/eu-1/b"), "eu/eu-1/");
    assert_eq!(of(Distribution::SameNode, "eu/eu-1/b"), "eu/eu-1/b");
}

fn expected(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
    expected.iter().map(|(locality, priority)| ((*locality).to_owned(), *priority)).collect()
}

#[test]
fn near_localities_come_first_and_priorities_have_no_gap() {
    let all = ["us/us-1", "eu/eu-2", "eu/eu-1"];
    let zone = priorities(Near::Zone, "eu/eu-1", &all);
    assert_eq!(zone, expected(&[("eu/eu-1", 0), ("eu/eu-2", 1), ("us/us-1", 2)]));
    let region = priorities(Near::Region, "eu/eu-1", &all);
    assert_eq!(region, expected(&[("eu/eu-2", 0), ("eu/eu-1", 0), ("us/us-1", 1)]));
    let far = priorities(Near::Zone, "eu/eu-3", &["us/us-1", "asia/asia-1"]);
    assert_eq!(far, expected(&[("us/us-1", 0), ("asia/asia-1", 0)]));
    // A node that says nothing of where it is is near nothing, also not to what says nothing either.
    assert_eq!(priorities(Near::Zone, "", &["", "eu/eu-1"]), expected(&[("/", 0), ("eu/eu-1", 0)]));
    assert_eq!(priorities(Near::Zone, "eu", &["eu", "us"]), expected(&[("eu/", 0), ("us/", 1)]));
}

/// A mesh with so many workloads of a service in each zone.
fn callers(zones: &[(&str, usize)]) -> Mesh {
    let labels: BTreeMap<String, String> = [("app".to_owned(), "shop".to_owned())].into();
    let mut mesh = Mesh::default();
    let service = Service { selector: labels.clone(), ports: vec![], distribution: None };
    mesh.services.insert(Name::new("default", "shop"), service);
    for (zone, count) in zones {
        for number in 0..*count {
            let workload = Workload {
                labels: labels.clone(),
                locality: zone.parse().unwrap(),
                weight: 1,
                ports: vec![],
                ready: true,
            };
            mesh.workloads
                .insert(Name::new("default", format!("{}-{number}", zone.replace('/', "-"))), workload);
        }
    }
    mesh
}

/// Locality, priority and weight where a service prefers the zones of its callers.
fn shares(mesh: Mesh, node: &str, localities: &[(&str, u32)]) -> Vec<(String, u32, u32)> {
    let one = |(text, weight): &(&str, u32)| LocalityEndpoints {
        locality: text.parse().unwrap(),
        priority: 0,
        weight: *weight,
        endpoints: vec![],
    };
    let mut endpoints = Endpoints {
        name: String::new(),
        localities: localities.iter().map(one).collect(),
        overprovisioning: OVERPROVISIONING,
        weighted_priority_health: false,
        drops: Vec::new(),
    };
    let near = nearness(None, &service(Some(Distribution::SameZone))).unwrap();
    prefer(&near, mesh, &node_at(node, "default/shop"), &mut endpoints);
    endpoints.localities.iter().map(|it| (it.locality.to_string(), it.priority, it.weight)).collect()
}

#[test]
fn a_zone_is_used_for_what_it_can_take() {
    let all = [("eu/1/a", 1), ("eu/1/b", 1), ("eu/2/a", 6), ("us/1/a", 2)];
    let found = |mesh: Mesh| shares(mesh, "eu/1", &all);
    let row = |place: &str, priority: u32, weight: u32| (place.to_owned(), priority, weight);
    // A fifth of the callers has a fifth of the endpoints: they stay, and weights are as they were.
    let enough = callers(&[("eu/1", 1), ("eu/2", 3), ("us/1", 1)]);
    assert_eq!(
        found(enough),
        [row("eu/1/a", 0, 1), row("eu/1/b", 0, 1), row("eu/2/a", 1, 6), row("us/1/a", 2, 2)]
    );
    // Two fifths of them: half goes where there is more than is needed, which is not in `us`.
    let many = callers(&[("eu/1", 2), ("eu/2", 2), ("us/1", 1)]);
    assert_eq!(
        found(many),
        [
            row("eu/1/a", 0, 250_000),
            row("eu/1/b", 0, 250_000),
            row("eu/2/a", 0, 500_000),
            row("us/1/a", 1, 2)
        ]
    );
    // Nobody knows where the callers are.
    assert_eq!(
        found(Mesh::default()),
        [row("eu/1/a", 0, 1), row("eu/1/b", 0, 1), row("eu/2/a", 1, 6), row("us/1/a", 2, 2)]
    );
    // Nothing is here.
    let elsewhere = shares(callers(&[("eu/1", 1)]), "eu/1", &[("eu/2/a", 6), ("us/1/a", 2)]);
    assert_eq!(elsewhere, [row("eu/2/a", 0, 6), row("us/1/a", 1, 2)]);
}

#[test]
fn callers_count_only_where_capacity_does() {
    let of = |distribution, service: &str| {
        let near = nearness(None, &self::service(Some(distribution))).unwrap();
        near.of(&node_at("eu/1/a", service)).service
    };
    assert_eq!(of(Distribution::SameZone, "default/shop"), Some(Name::new("default", "shop")));
    assert_eq!(of(Distribution::SameZone, ""), None);
    assert_eq!(of(Distribution::SameNode, "default/shop"), None);
}
