use super::*;
use proptest::prelude::*;
use weir_model::{HeaderMutation, LocalityEndpoints};

fn clusters(weights: &[u32]) -> Vec<WeightedCluster> {
    let one = |weight: &u32| WeightedCluster {
        subset: None,
        cluster: String::new(),
        weight: *weight,
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
    };
    weights.iter().map(one).collect()
}

fn levelled(weights: &[u32]) -> Vec<u32> {
    let mut clusters = clusters(weights);
    level(&mut clusters);
    clusters.iter().map(|cluster| cluster.weight).collect()
}

#[test]
fn shares_stay_as_they_are() {
    assert_eq!(levelled(&[90, 10]), [900_000_000, 100_000_000]);
    assert_eq!(levelled(&[1, 1, 2]), [250_000_000, 250_000_000, 500_000_000]);
    assert_eq!(levelled(&[1, 1, 1]).iter().sum::<u32>(), SUM);
}

fn priorities(prefer: Near, node: &str, localities: &[&str]) -> Vec<(String, u32)> {
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
    let failover = LocalityFailover { prefer, overprovisioning: Some(150) };
    let name = Name::new("default", "near");
    let near = nearness(Some((&name, &failover)), &service(Some(Distribution::SameNode))).unwrap();
    near.prefer(&node.parse().unwrap(), &mut endpoints);
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
        let node: Locality = "eu/eu-1/b".parse().unwrap();
        let near = nearness(None, &service(distribution));
        near.inspect(|near| near.prefer(&node, &mut endpoints));
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
        nearness(None, &service(Some(distribution))).unwrap().of(&node.parse().unwrap()).to_string()
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

proptest! {
    /// Whichever the numbers, the last side begins earlier the larger its share is, and the first ends later.
    #[test]
    fn boundaries_follow_shares(one in 1u32..1_000_000, two in 1u32..1_000_000, other in (1u32..1_000_000, 1u32..1_000_000)) {
        let (before, after) = (levelled(&[one, two]), levelled(&[other.0, other.1]));
        prop_assert_eq!(before.iter().sum::<u32>(), SUM);
        let share = |weights: (u32, u32)| f64::from(weights.1) / (f64::from(weights.0) + f64::from(weights.1));
        if share((one, two)) <= share(other) {
            prop_assert!(before[1] <= after[1]);
        }
    }
}
