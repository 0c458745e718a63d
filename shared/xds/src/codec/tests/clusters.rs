//! What other control planes say of clusters and endpoints: subsets, zones, names, hashes, dropped shares.

use super::pb::{self, core, google, lb};
use super::*;
use crate::codec::cluster as cluster_codec;
use google::value::Kind;
use pb::cluster::cluster::lb_subset_config::LbSubsetSelector;
use pb::cluster::cluster::{ClusterDiscoveryType, CommonLbConfig, LbSubsetConfig, common_lb_config};
use weir_model::{
    Discovery, DnsFamily, Label, LoadBalancing, RingSize, SelectorFallback, Spread, SubsetFallback,
};

fn message() -> pb::cluster::Cluster {
    cluster_codec::encode(&Cluster { load_balancing: LoadBalancing::RoundRobin, ..cluster() })
}

fn decoded(change: impl FnOnce(&mut pb::cluster::Cluster)) -> Cluster {
    let mut message = message();
    change(&mut message);
    match decode(&wire::pack(&message)).unwrap() {
        Resource::Cluster(cluster) => cluster,
        other => panic!("{other:?}"),
    }
}

fn refused(change: impl FnOnce(&mut pb::cluster::Cluster)) -> String {
    let mut message = message();
    change(&mut message);
    decode(&wire::pack(&message)).unwrap_err().field
}

fn text(value: &str) -> google::Value {
    google::Value { kind: Some(Kind::StringValue(value.to_owned())) }
}

fn fields(fields: &[(&str, google::Value)]) -> google::Struct {
    google::Struct { fields: fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect() }
}

fn selector(keys: &[&str]) -> LbSubsetSelector {
    LbSubsetSelector { keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..Default::default() }
}

#[test]
fn subsets_are_those_of_the_message() {
    let cluster = decoded(|it| {
        it.lb_subset_config = Some(LbSubsetConfig {
            fallback_policy: 2,
            default_subset: Some(fields(&[("stage", text("prod"))])),
            subset_selectors: vec![
                LbSubsetSelector {
                    fallback_policy: 4,
                    fallback_keys_subset: vec!["version".to_owned()],
                    ..selector(&["version", "stage", "version"])
                },
                selector(&["version"]),
            ],
            panic_mode_any: true,
            ..Default::default()
        });
    });
    let subsets = cluster.subsets.unwrap();
    assert_eq!(subsets.fallback, SubsetFallback::Default);
    assert_eq!(subsets.default_subset["stage"], Label::Text("prod".to_owned()));
    assert_eq!(subsets.selectors[0].keys, ["stage", "version"]);
    assert_eq!(subsets.selectors[0].fallback, Some(SelectorFallback::Keys(vec!["version".to_owned()])));
    assert_eq!(subsets.selectors[1].fallback, None);
    assert!(subsets.panic_mode_any && !subsets.list_as_any);
    // Without a selector there are none, as in Envoy.
    assert_eq!(decoded(|it| it.lb_subset_config = Some(LbSubsetConfig::default())).subsets, None);
}

#[test]
fn subsets_that_cannot_be_done_are_refused_by_name() {
    let one = |selector: LbSubsetSelector| {
        refused(|it| {
            it.lb_subset_config =
                Some(LbSubsetConfig { subset_selectors: vec![selector], ..Default::default() });
        })
    };
    let first = "lb_subset_config.subset_selectors[0]";
    assert_eq!(one(selector(&[])), format!("{first}.keys"));
    let single = LbSubsetSelector { single_host_per_subset: true, ..selector(&["a"]) };
    assert_eq!(one(single), format!("{first}.single_host_per_subset"));
    for fewer in [vec![], vec!["a".to_owned()], vec!["b".to_owned()]] {
        let keys = LbSubsetSelector { fallback_policy: 4, fallback_keys_subset: fewer, ..selector(&["a"]) };
        assert_eq!(one(keys), format!("{first}.fallback_keys_subset"));
    }
    let list = refused(|it| {
        it.lb_subset_config = Some(LbSubsetConfig { metadata_fallback_policy: 1, ..Default::default() });
    });
    assert_eq!(list, "lb_subset_config.metadata_fallback_policy");
    let policy = |allow_redundant_keys: bool| {
        let subset = lb::subset::v3::Subset {
            allow_redundant_keys,
            subset_lb_policy: Some(pb::cluster::LoadBalancingPolicy::default()),
            ..Default::default()
        };
        let around = super::cluster_policy("subset", wire::pack(&subset));
        refused(|it| it.load_balancing_policy = Some(around))
    };
    let within = "load_balancing_policy.policies[0].typed_extension_config.typed_config";
    assert_eq!(policy(true), format!("{within}.allow_redundant_keys"));
    assert_eq!(policy(false), format!("{within}.subset_lb_policy.policies"));
}

#[test]
fn labels_are_what_can_be_selected_by() {
    let list = |values| google::Value { kind: Some(Kind::ListValue(google::ListValue { values })) };
    let deep = google::Value { kind: Some(Kind::StructValue(fields(&[]))) };
    let number = google::Value { kind: Some(Kind::NumberValue(-0.0)) };
    let lb = fields(&[
        ("version", text("1")),
        ("list", list(vec![text("a"), text("b")])),
        ("zero", number),
        ("deep", deep.clone()),
        ("deeper", list(vec![list(vec![])])),
    ]);
    let endpoint = pb::endpoint::LbEndpoint {
        metadata: Some(core::Metadata {
            filter_metadata: [("envoy.lb".to_owned(), lb)].into(),
            ..Default::default()
        }),
        host_identifier: Some(pb::endpoint::lb_endpoint::HostIdentifier::Endpoint(pb::endpoint::Endpoint {
            address: Some(wire::address(([10, 0, 0, 1], 80).into())),
            hostname: "one".to_owned(),
            health_check_config: Some(pb::endpoint::endpoint::HealthCheckConfig {
                port_value: 81,
                hostname: "check".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..Default::default()
    };
    let message = pb::endpoint::ClusterLoadAssignment {
        cluster_name: "a".to_owned(),
        endpoints: vec![pb::endpoint::LocalityLbEndpoints {
            lb_endpoints: vec![endpoint],
            ..Default::default()
        }],
        ..Default::default()
    };
    let Resource::Endpoints(endpoints) = decode(&wire::pack(&message)).unwrap() else { panic!("endpoints") };
    let details = endpoints.localities[0].endpoints[0].details.as_ref().unwrap();
    let labels: Vec<(&str, &Label)> =
        details.labels.iter().map(|(key, label)| (key.as_str(), label)).collect();
    let (a, b) = (Label::Text("a".to_owned()), Label::Text("b".to_owned()));
    assert_eq!(
        labels,
        [
            ("list", &Label::List(vec![a, b])),
            ("version", &Label::Text("1".to_owned())),
            ("zero", &Label::Number(0)),
        ]
    );
    assert_eq!((details.hostname.as_str(), details.check_host.as_str()), ("one", "check"));
    assert_eq!(details.check_address, Some(([10, 0, 0, 1], 81).into()));
    // What a route asks for has to be understood.
    let mut routes = super::route::encode(&routes(forward()), Target::Weir);
    if let Some(pb::route::route::Action::Route(action)) = &mut routes.virtual_hosts[0].routes[0].action {
        let wanted = fields(&[("deep", deep)]);
        action.metadata_match = Some(core::Metadata {
            filter_metadata: [("envoy.lb".to_owned(), wanted)].into(),
            ..Default::default()
        });
    }
    let error = decode(&wire::pack(&routes)).unwrap_err();
    assert_eq!(error.field, "virtual_hosts[0].routes[0].route.metadata_match.filter_metadata.envoy.lb.deep");
}

#[test]
fn zones_and_hashes_are_the_common_ones_of_the_old_policy() {
    let zones = CommonLbConfig {
        locality_config_specifier: Some(common_lb_config::LocalityConfigSpecifier::ZoneAwareLbConfig(
            common_lb_config::ZoneAwareLbConfig::default(),
        )),
        consistent_hashing_lb_config: Some(common_lb_config::ConsistentHashingLbConfig {
            use_hostname_for_hashing: true,
            hash_balance_factor: wire::wrap(150),
        }),
        ..Default::default()
    };
    let plain = decoded(|it| it.common_lb_config = Some(zones.clone())).spread;
    assert_eq!(plain.zone_aware, Some(weir_model::ZoneAware::default()));
    assert_eq!((plain.hash_by_hostname, plain.hash_balance_factor), (false, None));
    let hashing = decoded(|it| {
        (it.common_lb_config, it.lb_policy) = (Some(zones.clone()), 2);
    });
    assert_eq!(hashing.load_balancing, LoadBalancing::RingHash(RingSize::default()));
    let expected = Spread {
        by_locality: false,
        draining_sessions: false,
        zone_aware: None,
        hash_by_hostname: true,
        hash_balance_factor: Some(150),
    };
    assert_eq!(hashing.spread, expected);
    let low = refused(|it| {
        let mut zones = zones.clone();
        zones.consistent_hashing_lb_config.get_or_insert_default().hash_balance_factor = wire::wrap(99);
        (it.common_lb_config, it.lb_policy) = (Some(zones), 2);
    });
    assert_eq!(low, "common_lb_config.consistent_hashing_lb_config.hash_balance_factor");
}

#[test]
#[allow(deprecated, reason = "the fields that everybody writes")]
fn names_are_looked_up() {
    let host = |name: &str| {
        let mut one = endpoints::encode(&weir_model::Endpoints {
            name: "a".to_owned(),
            localities: vec![weir_model::LocalityEndpoints {
                locality: Default::default(),
                priority: 0,
                weight: 1,
                endpoints: vec![weir_model::Endpoint {
                    address: ([0, 0, 0, 0], 443).into(),
                    workload: String::new(),
                    health: weir_model::Health::Healthy,
                    weight: 1,
                    details: None,
                }],
            }],
            overprovisioning: weir_model::OVERPROVISIONING,
            weighted_priority_health: false,
            drops: Vec::new(),
        });
        if let Some(pb::endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint)) =
            &mut one.endpoints[0].lb_endpoints[0].host_identifier
            && let Some(core::Address { address: Some(core::address::Address::SocketAddress(socket)) }) =
                &mut endpoint.address
        {
            socket.address = name.to_owned();
        }
        one
    };
    let with = |kind: i32, assignment: pb::endpoint::ClusterLoadAssignment| {
        move |it: &mut pb::cluster::Cluster| {
            it.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind));
            it.eds_cluster_config = None;
            it.load_assignment = Some(assignment);
            it.dns_lookup_family = 1;
        }
    };
    let Discovery::Dns(dns) = decoded(with(1, host("shop.example"))).discovery else { panic!("names") };
    assert!(!dns.logical && dns.family == DnsFamily::V4Only);
    assert_eq!((dns.refresh.as_secs(), dns.failure_refresh.as_secs()), (5, 5));
    assert_eq!((dns.hosts[0].hosts[0].name.as_str(), dns.hosts[0].hosts[0].port), ("shop.example", 443));
    let mut two = host("a");
    two.endpoints.push(two.endpoints[0].clone());
    assert_eq!(refused(with(2, two)), "load_assignment.endpoints");
    let place = "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address";
    assert_eq!(refused(with(1, host(""))), place);
    assert_eq!(refused(with(1, host(&"a".repeat(254)))), place);
}

#[test]
fn keepalive_is_what_the_kernel_takes() {
    let with = |probes: u32| {
        move |it: &mut pb::cluster::Cluster| {
            it.upstream_connection_options = Some(pb::cluster::UpstreamConnectionOptions {
                tcp_keepalive: Some(core::TcpKeepalive {
                    keepalive_probes: wire::wrap(probes),
                    ..Default::default()
                }),
                ..Default::default()
            });
        }
    };
    let keepalive = decoded(with(3)).circuit_breakers.connection.keepalive.unwrap();
    assert_eq!((keepalive.probes, keepalive.time), (Some(3), None));
    assert_eq!(refused(with(0)), "upstream_connection_options.tcp_keepalive.keepalive_probes");
}
