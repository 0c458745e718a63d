//! A stock Envoy as the judge: what is encoded for it must start it.
//!
//! Needs the binary in `target/peers/envoy` (`tests/peers/install envoy`) or in `WEIR_ENVOY`, and fails without.

use super::pb::{cluster, core};
use super::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::path::{Path, PathBuf};
use std::time::Duration;
use weir_model::{IpNet, Listener, ListenerKind, RouteMatch, VirtualHost};
use weir_proto::envoy::envoy::config::bootstrap::v3 as bootstrap;

/// How many times it is started, each time with some of every kind of resource.
const STARTS: usize = 12;
const OF_EACH: usize = 12;

#[test]
fn a_stock_envoy_accepts_what_is_encoded_for_it() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..STARTS {
        let mut resources = bootstrap::bootstrap::StaticResources::default();
        resources.clusters.push(control_plane());
        for index in 0..OF_EACH {
            let mut cluster = strategies::cluster().new_tree(&mut runner).unwrap().current();
            cluster.name = format!("{}-{index}", cluster.name);
            resources.clusters.push(repack(Resource::Cluster(acceptable_cluster(cluster))));
            let mut listener = strategies::listener().new_tree(&mut runner).unwrap().current();
            listener.name = format!("{}-{index}", listener.name);
            listener.address = Some(([127, 0, 0, 1], 20_000 + index as u16).into());
            let listener = acceptable_listener(
                listener,
                resources.clusters.last().map(|it: &cluster::Cluster| it.name.clone()),
            );
            resources.listeners.push(repack(Resource::Listener(listener)));
        }
        assert_eq!(judge(resources), Ok(()));
    }
}

#[test]
fn a_stock_envoy_finds_out_what_is_spoken_and_logs_as_it_is_told() {
    let mut runner = TestRunner::deterministic();
    let mut resources = bootstrap::bootstrap::StaticResources::default();
    resources.clusters.extend([control_plane(), repack(Resource::Cluster(cluster()))]);
    let mut detections = 0;
    for port in 20_000..20_100 {
        let mut listener = strategies::listener().new_tree(&mut runner).unwrap().current();
        listener.name = format!("{}-{port}", listener.name);
        listener.address = Some(([127, 0, 0, 1], port).into());
        if let ListenerKind::Http(http) = &mut listener.kind {
            (http.routes, http.filters) = (RouteSource::Rds("r".to_owned()), None);
            detections += usize::from(http.detection.is_some());
        }
        resources
            .listeners
            .push(repack(Resource::Listener(acceptable_listener(listener, Some(cluster().name)))));
    }
    assert!(detections > 5, "{detections}");
    assert_eq!(judge(resources), Ok(()));
}

#[test]
fn a_stock_envoy_accepts_every_balancing_policy() {
    let policies = [
        LoadBalancing::RoundRobin,
        LoadBalancing::Random,
        LoadBalancing::LeastRequest { choices: 5 },
        LoadBalancing::RingHash(weir_model::RingSize::default()),
        LoadBalancing::RingHash(weir_model::RingSize { minimum: Some(2048), maximum: Some(4096) }),
        LoadBalancing::Maglev { table_size: None },
        LoadBalancing::Maglev { table_size: Some(251) },
        // Not its own; it takes the next in the list.
        LoadBalancing::PeakEwma { decay: Duration::from_secs(10), default_rtt: Duration::from_millis(30) },
    ];
    let mut resources =
        bootstrap::bootstrap::StaticResources { clusters: vec![control_plane()], ..Default::default() };
    for (index, load_balancing) in policies.into_iter().enumerate() {
        let name = format!("{}-{index}", cluster().name);
        resources.clusters.push(repack(Resource::Cluster(Cluster { name, load_balancing, ..cluster() })));
    }
    assert_eq!(judge(resources), Ok(()));
}

#[test]
fn a_stock_envoy_accepts_every_affinity() {
    let mut runner = TestRunner::deterministic();
    let mut resources =
        bootstrap::bootstrap::StaticResources { clusters: vec![control_plane()], ..Default::default() };
    resources.clusters.push(repack(Resource::Cluster(cluster())));
    for index in 0..40u16 {
        let mut route = forward();
        let RouteAction::Forward(forward) = &mut route.action else { unreachable!("it forwards") };
        forward.clusters.push(forward.clusters[0].clone());
        forward.affinity = strategies::affinity(2).new_tree(&mut runner).unwrap().current();
        let http = weir_model::HttpListener {
            manner: None,
            routes: RouteSource::Inline(routes(route)),
            tracing: None,
            access_log: None,
            detection: None,
            filters: None,
            paths: weir_model::Paths::BASE,
            forwarded: weir_model::Forwarded::Pass,
            limits: Default::default(),
        };
        let listener = Listener {
            name: format!("outbound-{index}"),
            address: Some(([127, 0, 0, 1], 20_000 + index).into()),
            direction: weir_model::Direction::Outbound,
            kind: ListenerKind::Http(http),
        };
        resources.listeners.push(repack(Resource::Listener(listener)));
    }
    assert_eq!(judge(resources), Ok(()));
}

#[test]
fn a_stock_envoy_does_look_at_it() {
    let mut route = forward();
    route.matches.path = PathMatch::Regex("(".to_owned());
    let http = weir_model::HttpListener {
        manner: None,
        limits: Default::default(),
        routes: RouteSource::Inline(routes(route)),
        tracing: None,
        access_log: Some(std::sync::Arc::default()),
        detection: None,
        filters: None,
        paths: weir_model::Paths::BASE,
        forwarded: weir_model::Forwarded::Pass,
    };
    let listener = Listener {
        name: "outbound".to_owned(),
        address: Some(([127, 0, 0, 1], 20_000).into()),
        direction: weir_model::Direction::Outbound,
        kind: ListenerKind::Http(http),
    };
    let resources = bootstrap::bootstrap::StaticResources {
        clusters: vec![control_plane()],
        listeners: vec![repack(Resource::Listener(listener))],
        ..Default::default()
    };
    let complaint = judge(resources).unwrap_err();
    assert!(complaint.contains("missing )"), "{complaint}");
}

/// The message itself, for a place that is typed.
fn repack<M: Message + Name + Default>(resource: Resource) -> M {
    wire::unpack(&encode(&resource, Target::Envoy)).unwrap()
}

/// What a compiler would not write for an Envoy.
fn acceptable_cluster(mut cluster: Cluster) -> Cluster {
    if let Discovery::Dns(dns) = &cluster.discovery {
        // It warns of the fields that everybody writes.
        cluster.discovery = Discovery::Eds(dns.endpoints.name.clone());
    }
    if let Discovery::Static(endpoints) = &mut cluster.discovery {
        // It knows one category.
        endpoints.drops.truncate(1);
        for locality in &mut endpoints.localities {
            locality.weight = locality.weight % 100 + 1;
            locality.endpoints.iter_mut().for_each(|endpoint| endpoint.weight = endpoint.weight % 100 + 1);
        }
    }
    if let Some(detection) = &mut cluster.health.outlier_detection {
        detection.latency = None;
    }
    if let Some(check) = &mut cluster.health.health_check {
        check.interval_jitter_percent %= 100;
        if let weir_model::Probe::Grpc { .. } = check.probe {
            cluster.http = weir_model::HttpVersion::Http2;
        }
    }
    if let Some(slow_start) = &mut cluster.health.slow_start {
        slow_start.window = slow_start.window.max(Duration::from_millis(1));
    }
    cluster
}

fn acceptable_listener(mut listener: Listener, cluster: Option<String>) -> Listener {
    match &mut listener.kind {
        ListenerKind::Tcp(tcp) => acceptable_bytes(tcp, cluster),
        ListenerKind::Chains(chains) => {
            // Each match another one, since two of the same are refused.
            for (index, chain) in chains.chains.iter_mut().enumerate() {
                let matches = &mut chain.matches;
                matches.destination_port = u16::try_from(index + 1).ok();
                // It refuses the same value twice, too.
                let once = |nets: &mut Vec<IpNet>| {
                    nets.sort_unstable();
                    nets.dedup();
                };
                [&mut matches.destinations, &mut matches.direct_sources, &mut matches.sources]
                    .into_iter()
                    .for_each(once);
                for texts in [&mut matches.server_names, &mut matches.application_protocols] {
                    texts.sort_unstable();
                    texts.dedup();
                }
                matches.source_ports.sort_unstable();
                matches.source_ports.dedup();
            }
            for kind in chains.chains.iter_mut().map(|chain| &mut chain.kind).chain(&mut chains.otherwise) {
                // Routes have a test of their own.
                if let weir_model::ChainKind::Http(_) = kind {
                    *kind = weir_model::ChainKind::Tcp(weir_model::TcpListener::to("x"));
                }
                if let weir_model::ChainKind::Tcp(tcp) = kind {
                    acceptable_bytes(tcp, cluster.clone());
                }
            }
        }
        ListenerKind::Http(http) => {
            // Its cluster has to be there.
            match (&cluster, &mut http.detection) {
                (Some(_), Some(detection)) => acceptable_bytes(&mut detection.otherwise, cluster.clone()),
                _ => http.detection = None,
            }
            if let RouteSource::Inline(routes) = &mut http.routes {
                routes
                    .virtual_hosts
                    .iter_mut()
                    .enumerate()
                    .for_each(|(index, host)| acceptable_host(index, host));
            }
        }
    }
    listener
}

fn acceptable_bytes(tcp: &mut weir_model::TcpListener, cluster: Option<String>) {
    for target in &mut tcp.targets {
        target.cluster = cluster.clone().unwrap_or_default();
    }
    // Its shortest.
    tcp.max_duration = tcp.max_duration.map(|limit| limit.max(Duration::from_millis(1)));
}

fn acceptable_host(index: usize, host: &mut VirtualHost) {
    host.name = format!("host-{index}");
    let domains = 0..host.domains.len();
    host.domains = domains.map(|domain| format!("{domain}.{index}.example:80")).collect();
    for route in &mut host.routes {
        match &mut route.action {
            RouteAction::Direct(direct) => {
                direct.status = StatusCode::from_u16(200 + direct.status.as_u16() % 400).unwrap();
            }
            RouteAction::Forward(forward) => {
                if let Some(retry) = &mut forward.retry {
                    retry.backoff_max =
                        retry.backoff_max.max(retry.backoff_base).max(Duration::from_millis(1));
                }
            }
            RouteAction::Redirect(_) => {}
        }
        let RouteMatch { fraction, .. } = &mut route.matches;
        assert!(fraction.is_none_or(|fraction| fraction.0 <= 1_000_000));
    }
}

/// Where ADS would come from; never asked while validating.
fn control_plane() -> cluster::Cluster {
    let mut cluster = Cluster { http: weir_model::HttpVersion::Http2, ..cluster() };
    cluster.name = "xds".to_owned();
    cluster.load_balancing = LoadBalancing::RoundRobin;
    cluster.discovery = Discovery::Static(weir_model::Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: "xds".to_owned(),
        localities: vec![],
        overprovisioning: weir_model::OVERPROVISIONING,
    });
    repack(Resource::Cluster(cluster))
}

/// What an Envoy says to these resources; nothing if it takes them without a word.
fn judge(resources: bootstrap::bootstrap::StaticResources) -> Result<(), String> {
    use core::grpc_service::{EnvoyGrpc, TargetSpecifier};
    let service = core::GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: "xds".to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..core::GrpcService::default()
    };
    let ads = core::ApiConfigSource {
        api_type: core::api_config_source::ApiType::Grpc as i32,
        transport_api_version: core::ApiVersion::V3 as i32,
        grpc_services: vec![service],
        ..core::ApiConfigSource::default()
    };
    let bootstrap = bootstrap::Bootstrap {
        node: Some(core::Node {
            id: "judge".to_owned(),
            cluster: "judge".to_owned(),
            ..core::Node::default()
        }),
        static_resources: Some(resources),
        dynamic_resources: Some(bootstrap::bootstrap::DynamicResources {
            ads_config: Some(ads),
            ..Default::default()
        }),
        ..bootstrap::Bootstrap::default()
    };
    let file =
        File(std::env::temp_dir().join(format!("weir-xds-{}-{:p}.pb", std::process::id(), &bootstrap)));
    std::fs::write(&file.0, bootstrap.encode_to_vec()).unwrap();
    let mut command = std::process::Command::new(envoy());
    command.args(["--mode", "validate", "-l", "warning", "--use-dynamic-base-id", "-c"]).arg(&file.0);
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && !complaint.contains("[warning]") { Ok(()) } else { Err(complaint) }
}

struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn envoy() -> PathBuf {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/envoy");
    let envoy = std::env::var_os("WEIR_ENVOY").map_or(peers, PathBuf::from);
    assert!(envoy.exists(), "no Envoy at {}; install the peers or set WEIR_ENVOY", envoy.display());
    envoy
}
