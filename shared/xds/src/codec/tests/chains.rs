//! Filter chains and opaque bytes from other control planes: what is taken, with Envoy's defaults, and what is refused by name.

use super::pb::{core, google, kind, listener as lds, tcp_proxy, tls_inspector};
use super::*;
use std::time::Duration;
use tcp_proxy::tcp_proxy::weighted_cluster::ClusterWeight;
use tcp_proxy::tcp_proxy::{ClusterSpecifier, TunnelingConfig, WeightedCluster};
use weir_model::{ChainKind, Listener, ListenerKind, TcpTarget, limits};

fn proxy() -> tcp_proxy::TcpProxy {
    tcp_proxy::TcpProxy {
        stat_prefix: "x".to_owned(),
        cluster_specifier: Some(ClusterSpecifier::Cluster("db".to_owned())),
        ..Default::default()
    }
}

fn chain(proxy: &tcp_proxy::TcpProxy, matches: lds::FilterChainMatch) -> lds::FilterChain {
    lds::FilterChain {
        filter_chain_match: Some(matches),
        ..listener::chain("envoy.filters.network.tcp_proxy", wire::pack(proxy))
    }
}

fn message(chains: Vec<lds::FilterChain>) -> lds::Listener {
    lds::Listener {
        name: "x".to_owned(),
        address: Some(wire::address(([127, 0, 0, 1], 1).into())),
        filter_chains: chains,
        ..Default::default()
    }
}

fn decoded(message: &lds::Listener) -> Result<Listener, DecodeError> {
    match super::super::decode(&wire::pack(message))? {
        Resource::Listener(listener) => Ok(listener),
        other => panic!("{other:?}"),
    }
}

fn of_proxy(change: impl FnOnce(&mut tcp_proxy::TcpProxy)) -> Result<weir_model::TcpListener, String> {
    let mut proxy = proxy();
    change(&mut proxy);
    match decoded(&message(vec![chain(&proxy, Default::default())])) {
        Ok(Listener { kind: ListenerKind::Tcp(tcp), .. }) => Ok(tcp),
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            let field = error.field.strip_prefix("filter_chains[0].filters[0].typed_config.");
            Err(field.unwrap_or_else(|| panic!("{error:?}")).to_owned())
        }
    }
}

fn names(names: &[&str]) -> lds::FilterChainMatch {
    lds::FilterChainMatch {
        server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

fn of_match(change: impl FnOnce(&mut lds::FilterChainMatch)) -> Result<weir_model::ChainMatch, String> {
    let mut matches = names(&["a.example.com"]);
    change(&mut matches);
    match decoded(&message(vec![chain(&proxy(), matches)])) {
        Ok(Listener { kind: ListenerKind::Chains(chains), .. }) => Ok(chains.chains[0].matches.clone()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            let field = error.field.strip_prefix("filter_chains[0].filter_chain_match.");
            Err(field.unwrap_or_else(|| panic!("{error:?}")).to_owned())
        }
    }
}

fn with_inspector(config: google::Any) -> lds::Listener {
    let filter = lds::ListenerFilter {
        name: "i".to_owned(),
        config_type: Some(lds::listener_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    };
    lds::Listener { listener_filters: vec![filter], ..message(vec![chain(&proxy(), names(&["a"]))]) }
}

#[test]
fn bytes_have_envoys_defaults() {
    let tcp = of_proxy(|_| {}).unwrap();
    assert_eq!(tcp.targets, [TcpTarget { cluster: "db".to_owned(), weight: 1 }]);
    assert_eq!((tcp.attempts, tcp.idle_timeout), (1, Some(Duration::from_secs(3600))));
    assert_eq!((tcp.max_duration, tcp.hash_source, tcp.access_log), (None, false, None));
    let no_limit = of_proxy(|it| it.idle_timeout = Some(google::Duration::default())).unwrap();
    assert_eq!(no_limit.idle_timeout, None, "0s switches it off");
    let source = kind::hash_policy::PolicySpecifier::SourceIp(kind::hash_policy::SourceIp {});
    let hashed = of_proxy(|it| it.hash_policy.push(kind::HashPolicy { policy_specifier: Some(source) }));
    assert!(hashed.unwrap().hash_source);
}

#[test]
fn what_of_bytes_is_refused() {
    let split = |weights: &[u32]| {
        let clusters = weights.iter().map(|weight| ClusterWeight {
            name: "c".to_owned(),
            weight: *weight,
            ..ClusterWeight::default()
        });
        Some(ClusterSpecifier::WeightedClusters(WeightedCluster { clusters: clusters.collect() }))
    };
    let refused = |change: &dyn Fn(&mut tcp_proxy::TcpProxy)| of_proxy(change).unwrap_err();
    assert_eq!(refused(&|it| it.cluster_specifier = None), "cluster");
    assert_eq!(refused(&|it| it.cluster_specifier = split(&[1, 0])), "weighted_clusters.clusters[1].weight");
    assert_eq!(refused(&|it| it.cluster_specifier = split(&[])), "weighted_clusters.clusters");
    assert_eq!(refused(&|it| it.cluster_specifier = split(&[u32::MAX, 1])), "weighted_clusters.clusters");
    assert_eq!(refused(&|it| it.max_connect_attempts = wire::wrap(0)), "max_connect_attempts");
    assert_eq!(refused(&|it| it.max_connect_attempts = wire::wrap(65)), "max_connect_attempts");
    assert_eq!(refused(&|it| it.tunneling_config = Some(TunnelingConfig::default())), "tunneling_config");
    assert_eq!(refused(&|it| it.metadata_match = Some(Default::default())), "metadata_match");
    assert_eq!(refused(&|it| it.on_demand = Some(Default::default())), "on_demand");
    assert_eq!(refused(&|it| it.access_log_options = Some(Default::default())), "access_log_options");
    assert_eq!(refused(&|it| it.upstream_connect_mode = 1), "upstream_connect_mode");
    assert_eq!(refused(&|it| it.hash_policy.push(Default::default())), "hash_policy[0].policy_specifier");
}

#[test]
fn what_of_matches_is_taken_and_refused() {
    let range = |prefix: &str, length| core::CidrRange {
        address_prefix: prefix.to_owned(),
        prefix_len: wire::wrap(length),
    };
    let taken = of_match(|it| {
        it.prefix_ranges = vec![range("10.1.2.3", 8)];
        it.source_type = 1;
        it.server_names.push("*.example.com".to_owned());
    });
    let taken = taken.unwrap();
    assert_eq!(taken.destinations, ["10.0.0.0/8".parse().unwrap()], "bits beyond the prefix say nothing");
    assert_eq!(taken.source_type, weir_model::SourceType::Local);
    let refused = |change: &dyn Fn(&mut lds::FilterChainMatch)| of_match(change).unwrap_err();
    for wrong in ["*", "*w.example.com", "a.*.com", "*.", "A.example.com", ""] {
        assert_eq!(refused(&|it| it.server_names[0] = wrong.to_owned()), "server_names[0]", "{wrong}");
    }
    assert_eq!(refused(&|it| it.prefix_ranges = vec![range("10.0.0.0", 33)]), "prefix_ranges[0].prefix_len");
    assert_eq!(refused(&|it| it.prefix_ranges = vec![range("x", 1)]), "prefix_ranges[0].address_prefix");
    assert_eq!(refused(&|it| it.address_suffix = "x".to_owned()), "address_suffix");
    assert_eq!(refused(&|it| it.destination_port = wire::wrap(70_000)), "destination_port");
    assert_eq!(refused(&|it| it.source_ports = vec![0]), "source_ports[0]");
    assert_eq!(refused(&|it| it.source_type = 9), "source_type");
}

#[test]
fn a_match_on_what_tls_says_has_it_looked_at() {
    let listener = decoded(&message(vec![chain(&proxy(), names(&["a"]))])).unwrap();
    let ListenerKind::Chains(chains) = listener.kind else { panic!("{listener:?}") };
    let inspect = chains.inspect.unwrap();
    assert!(inspect.tls && !inspect.http && !inspect.go_on);
    assert_eq!(inspect.wait, Duration::from_secs(15));
    let ports = lds::FilterChainMatch { destination_port: wire::wrap(1), ..Default::default() };
    let listener = decoded(&message(vec![chain(&proxy(), ports)])).unwrap();
    let ListenerKind::Chains(chains) = listener.kind else { panic!("{listener:?}") };
    assert_eq!(chains.inspect, None, "a server may speak first");
    let tls = with_inspector(wire::pack(&tls_inspector::TlsInspector::default()));
    let all = lds::Listener { filter_chains: vec![chain(&proxy(), Default::default())], ..tls };
    let listener = decoded(&all).unwrap();
    let ListenerKind::Chains(chains) = listener.kind else { panic!("{listener:?}") };
    assert!(chains.inspect.unwrap().tls && matches!(chains.chains[0].kind, ChainKind::Tcp(_)));
}

#[test]
fn what_of_listener_filters_is_refused() {
    let refused = |message: &lds::Listener| decoded(message).unwrap_err().field;
    let inspector = tls_inspector::TlsInspector::default();
    let large = tls_inspector::TlsInspector { max_client_hello_size: wire::wrap(1024), ..inspector };
    assert_eq!(
        refused(&with_inspector(wire::pack(&large))),
        "listener_filters[0].typed_config.max_client_hello_size"
    );
    let strict = tls_inspector::TlsInspector {
        close_connection_on_client_hello_parsing_errors: true,
        ..Default::default()
    };
    assert_eq!(
        refused(&with_inspector(wire::pack(&strict))),
        "listener_filters[0].typed_config.close_connection_on_client_hello_parsing_errors"
    );
    let other = google::Any { type_url: "type.googleapis.com/other".to_owned(), value: Vec::new() };
    assert_eq!(refused(&with_inspector(other)), "listener_filters[0].typed_config.type_url");
    let mut twice = with_inspector(wire::pack(&tls_inspector::TlsInspector::default()));
    twice.listener_filters.push(twice.listener_filters[0].clone());
    assert_eq!(refused(&twice), "listener_filters[1]");
    let mut forever = with_inspector(wire::pack(&tls_inspector::TlsInspector::default()));
    forever.listener_filters_timeout = Some(google::Duration::default());
    assert_eq!(refused(&forever), "listener_filters_timeout");
    assert_eq!(refused(&message(Vec::new())), "filter_chains");
    let mut default = message(vec![chain(&proxy(), names(&["a"]))]);
    default.default_filter_chain = Some(chain(&proxy(), names(&["b"])));
    assert_eq!(refused(&default), "default_filter_chain.filter_chain_match");
    let many = vec![chain(&proxy(), names(&["a"])); limits::FILTER_CHAINS + 1];
    assert_eq!(refused(&message(many)), "filter_chains");
}
