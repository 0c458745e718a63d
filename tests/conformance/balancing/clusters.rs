//! What other control planes say of clusters, beside an Envoy: subsets, zones, names, hashes by name, dropped shares, weighted health.

use super::*;
use cluster::cluster::lb_subset_config::LbSubsetSelector;
use cluster::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, LbSubsetConfig, common_lb_config,
};
use endpoint::cluster_load_assignment::{Policy, policy::DropOverload};
use google::value::Kind;
use std::fmt::Write as _;
use weir_proto::envoy::envoy::r#type::v3 as kind;

/// The zone both data planes are in.
const HERE: &str = "here";
/// The cluster both belong to: half of it is here.
const OWN: &str = "own";

fn fields(pairs: &[(&str, &str)]) -> core::Metadata {
    let text = |value: &str| google::Value { kind: Some(Kind::StringValue(value.to_owned())) };
    let fields = pairs.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect();
    core::Metadata {
        filter_metadata: [("envoy.lb".to_owned(), google::Struct { fields })].into(),
        ..Default::default()
    }
}

fn named(name: &str) -> cluster::Cluster {
    resources::cluster(name, false)
}

fn selector(keys: &[&str], fallback: i32, fewer: &[&str]) -> LbSubsetSelector {
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    LbSubsetSelector {
        keys: owned(keys),
        fallback_policy: fallback,
        fallback_keys_subset: owned(fewer),
        ..Default::default()
    }
}

/// The clusters of this file, but the one both belong to.
pub(super) fn all() -> Vec<cluster::Cluster> {
    let subsets = LbSubsetConfig {
        fallback_policy: 2,
        default_subset: fields(&[("stage", "prod")]).filter_metadata.remove("envoy.lb"),
        subset_selectors: vec![
            selector(&["version"], 0, &[]),
            selector(&["stage", "version"], 4, &["version"]),
            selector(&["team"], 1, &[]),
        ],
        ..Default::default()
    };
    let zones = common_lb_config::ZoneAwareLbConfig {
        min_cluster_size: Some(google::UInt64Value { value: 2 }),
        ..Default::default()
    };
    let zones = CommonLbConfig {
        locality_config_specifier: Some(common_lb_config::LocalityConfigSpecifier::ZoneAwareLbConfig(zones)),
        ..Default::default()
    };
    vec![
        cluster::Cluster { lb_subset_config: Some(subsets), ..named("labelled") },
        cluster::Cluster { common_lb_config: Some(zones), ..named("zoned") },
        cluster::Cluster { lb_policy: cluster::cluster::LbPolicy::Maglev as i32, ..named("hosts") },
        named("dropping"),
        named("heavy"),
    ]
}

/// A path for each of them, and for what is asked of the labelled one.
pub(super) fn paths() -> Vec<(&'static str, &'static str, Option<core::Metadata>)> {
    let ask = |pairs: &[(&str, &str)]| Some(fields(pairs));
    vec![
        ("v1", "labelled", ask(&[("version", "1")])),
        ("v2", "labelled", ask(&[("version", "2")])),
        ("v2-dev", "labelled", ask(&[("version", "2"), ("stage", "dev")])),
        ("v9", "labelled", ask(&[("version", "9")])),
        ("plain", "labelled", None),
        ("fewer", "labelled", ask(&[("version", "2"), ("stage", "test")])),
        ("closed", "labelled", ask(&[("team", "x")])),
        ("zoned", "zoned", None),
        ("hosts", "hosts", None),
        ("dropping", "dropping", None),
        ("heavy", "heavy", None),
        ("looked-up", "looked-up", None),
    ]
}

fn place(zone: &str, mut endpoints: endpoint::LocalityLbEndpoints) -> endpoint::LocalityLbEndpoints {
    endpoints.locality = Some(core::Locality { zone: zone.to_owned(), ..Default::default() });
    endpoints
}

/// Gives both what they need.
pub(super) fn prepare(both: &Both) {
    let addresses = both.addresses(0..ENDPOINTS);
    let mut labelled = resources::endpoints("labelled", &addresses[..6]);
    let stages: [&[(&str, &str)]; 6] = [
        &[("version", "1"), ("stage", "prod")],
        &[("version", "2"), ("stage", "prod")],
        &[("version", "2"), ("stage", "dev")],
        &[("version", "1"), ("stage", "prod")],
        &[("version", "2"), ("stage", "prod")],
        &[("stage", "test")],
    ];
    for (one, labels) in labelled.endpoints[0].lb_endpoints.iter_mut().zip(stages) {
        one.metadata = Some(fields(labels));
    }
    both.put(&labelled);

    let mut zoned = resources::endpoints("zoned", &addresses[..2]);
    let far = resources::endpoints("zoned", &addresses[2..8]);
    zoned.endpoints = vec![place(HERE, zoned.endpoints.remove(0)), place("far", far.endpoints[0].clone())];
    both.put(&zoned);

    let mut hosts = resources::endpoints("hosts", &addresses[..5]);
    for (index, one) in hosts.endpoints[0].lb_endpoints.iter_mut().enumerate() {
        // An Envoy goes by host names in clusters that it looks up only, and by this in all.
        one.metadata = Some(fields(&[("hash_key", &format!("host-{index}"))]));
    }
    both.put(&hosts);

    let share = kind::FractionalPercent { numerator: 30, denominator: 0 };
    let drop = DropOverload { category: "throttle".to_owned(), drop_percentage: Some(share) };
    both.put(&endpoint::ClusterLoadAssignment {
        policy: Some(Policy { drop_overloads: vec![drop], ..Default::default() }),
        ..resources::endpoints("dropping", &addresses[..1])
    });

    let mut heavy = resources::endpoints("heavy", &addresses[..3]);
    for (index, one) in heavy.endpoints[0].lb_endpoints.iter_mut().enumerate() {
        let weight = if index == 2 { 98 } else { 1 };
        one.load_balancing_weight = Some(google::UInt32Value { value: weight });
        if index < 2 {
            one.health_status = core::HealthStatus::Unhealthy as i32;
        }
    }
    let mut second = resources::endpoints("heavy", &addresses[3..4]).endpoints.remove(0);
    second.priority = 1;
    heavy.endpoints.push(second);
    heavy.policy = Some(Policy { weighted_priority_health: true, ..Default::default() });
    both.put(&heavy);

    let mut looked_up = resources::endpoints("looked-up", &addresses[3..4]);
    if let Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(host)) =
        &mut looked_up.endpoints[0].lb_endpoints[0].host_identifier
        && let Some(core::Address { address: Some(core::address::Address::SocketAddress(socket)) }) =
            &mut host.address
    {
        socket.address = "localhost".to_owned();
    }
    let looked_up = cluster::Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns as i32)),
        eds_cluster_config: None,
        load_assignment: Some(looked_up),
        dns_lookup_family: cluster::cluster::DnsLookupFamily::V4Only as i32,
        ..named("looked-up")
    };
    let [envoy, weir] = &both.planes;
    for plane in [envoy, weir] {
        both.ads.put(plane.name, vec![("looked-up".to_owned(), pack(&looked_up))]);
    }
    // An Envoy has its own cluster from its bootstrap.
    let own = own();
    let own = cluster::Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32)),
        eds_cluster_config: None,
        load_assignment: Some(own),
        ..named(OWN)
    };
    both.ads.put(weir.name, vec![(OWN.to_owned(), pack(&own))]);
}

/// The data planes themselves: nobody connects there.
fn own() -> endpoint::ClusterLoadAssignment {
    let at = |index: u8| SocketAddr::from(([127, 0, 0, 10 + index], 1));
    let mut own = resources::endpoints(OWN, &[at(0), at(1)]);
    let far = resources::endpoints(OWN, &[at(2), at(3)]);
    own.endpoints = vec![place(HERE, own.endpoints.remove(0)), place("far", far.endpoints[0].clone())];
    own
}

/// What an Envoy's bootstrap says in front, and at its end among the clusters.
pub(super) fn bootstrap() -> (String, String) {
    let mut text =
        format!("  - name: {OWN}\n    type: STATIC\n    load_assignment:\n      cluster_name: {OWN}\n");
    text.push_str("      endpoints:\n");
    for (zone, first) in [(HERE, 10), ("far", 12)] {
        let _ = writeln!(text, "      - locality: {{zone: {zone}}}\n        lb_endpoints:");
        for last in [first, first + 1] {
            let address = format!("{{address: 127.0.0.{last}, port_value: 1}}");
            let _ = writeln!(text, "        - endpoint: {{address: {{socket_address: {address}}}}}");
        }
    }
    (format!("cluster_manager: {{local_cluster_name: {OWN}}}\n"), text)
}

/// What a sidecar is told besides.
pub(super) fn arguments() -> [String; 4] {
    let locality = format!("/{HERE}");
    ["--local-cluster".to_owned(), OWN.to_owned(), "--locality".to_owned(), locality]
}

/// The zone of an Envoy's node.
pub(super) fn node() -> String {
    format!("{{id: envoy, cluster: balancing, locality: {{zone: {HERE}}}}}")
}

/// Each path is served by the same endpoints.
pub(super) fn subsets(both: &Both) {
    let expected: [(&str, &[&str]); 6] = [
        ("/v1", &["0", "3"]),
        ("/v2", &["1", "2", "4"]),
        ("/v2-dev", &["2"]),
        ("/v9", &["0", "1", "3", "4"]),
        ("/plain", &["0", "1", "3", "4"]),
        ("/fewer", &["1", "2", "4"]),
    ];
    for (path, names) in expected {
        for (plane, shares) in ["envoy", "weir"].into_iter().zip(both.each(|plane| plane.shares(path, 300))) {
            let found: Vec<&str> = shares.keys().map(String::as_str).collect();
            assert_eq!(found, names, "{plane} {path}");
            let fair = 1.0 / names.len() as f64;
            assert!(shares.values().all(|share| (share - fair).abs() < 0.03), "{plane} {path}: {shares:?}");
        }
    }
    let closed = both.each(|plane| http::get(plane.entrance, "a", "/closed").unwrap().status);
    assert_eq!(closed, [503, 503]);
}

/// A quarter of the endpoints is in the zone of half of the callers: half of the requests stay.
pub(super) fn zones(both: &Both) {
    let near = |plane: &Plane| {
        let shares = plane.shares("/zoned", 2000);
        assert_eq!(shares.len(), 8, "{}: {shares:?}", plane.name);
        shares.iter().filter(|(name, _)| *name == "0" || *name == "1").map(|(_, share)| share).sum::<f64>()
    };
    let [envoy, weir] = both.each(near);
    println!("requests that stay in their zone: envoy {envoy:.3}, weir {weir:.3}");
    assert!((envoy - 0.5).abs() < 0.05 && (weir - 0.5).abs() < 0.05, "{envoy} {weir}");
}

/// The same keys go to the same names, the same share is dropped, and light endpoints do not make a priority ill.
pub(super) fn others(both: &Both) {
    let [envoy, weir] = both.each(|plane| plane.places("/hosts", KEYS));
    assert_eq!(moved(&envoy, &weir), 0.0, "by name: both choose the same endpoint for every key");
    let dropped = both.each(|plane| {
        let statuses = (0..300).map(|_| http::get(plane.entrance, "a", "/dropping").unwrap().status);
        let counts = statuses.fold([0usize; 2], |[good, bad], status| match status {
            200 => [good + 1, bad],
            503 => [good, bad + 1],
            other => panic!("{}: {other}", plane.name),
        });
        counts[1] as f64 / 300.0
    });
    println!("dropped: envoy {:.3}, weir {:.3}", dropped[0], dropped[1]);
    assert!(dropped.iter().all(|share| (share - 0.3).abs() < 0.12), "{dropped:?}");
    let heavy = both.each(|plane| plane.shares("/heavy", 200));
    for shares in &heavy {
        assert_eq!(shares.keys().collect::<Vec<_>>(), ["2"], "{heavy:?}");
    }
    for plane in &both.planes {
        eventually(&format!("{} looks up a name", plane.name), CHANGE, || {
            http::get(plane.entrance, "a", "/looked-up").is_ok_and(|answer| answer.status == 200)
        });
    }
    let looked_up = both.each(|plane| plane.shares("/looked-up", 20));
    for shares in &looked_up {
        assert_eq!(shares.keys().collect::<Vec<_>>(), ["3"]);
    }
}
