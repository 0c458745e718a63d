//! One worker in front of one address, without a control plane: for profilers.
//!
//! `front LISTEN UPSTREAM [http1|http2|downstream] [SAMPLING_PPM]`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for developers: it may stop with a backtrace"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use weir_config::snapshot::link::Linker;
use weir_config::{Demand, Snapshot};
use weir_model::{
    CircuitBreakers, Cluster, ClusterKind, Direction, Discovery, Endpoint, Endpoints, Forward, Fraction,
    HeaderMutation, Health, HttpListener, HttpVersion, Listener, ListenerKind, LoadBalancing, Locality,
    LocalityEndpoints, Resource, ResourceSet, RetryOn, RetryPolicy, Rewrite, Route, RouteAction,
    RouteConfiguration, RouteMatch, RouteSource, Timeouts, Tracing, VirtualHost, WeightedCluster,
};
use weir_proxy::{Entrance, Kin, TelemetryArgs, WorkerArgs};
use weir_runtime::drain::Drain;
use weir_runtime::workers::{WorkerId, Workers};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (listen, upstream): (SocketAddr, SocketAddr) = (args[1].parse().unwrap(), args[2].parse().unwrap());
    let http = match args.get(3).map(String::as_str) {
        Some("http2") => HttpVersion::Http2,
        Some("downstream") => HttpVersion::Downstream,
        _ => HttpVersion::Http1,
    };
    let tracing = args.get(4).map(|ppm| Tracing { sampling: Fraction(ppm.parse().unwrap()) });
    let (address, mut sockets) = weir_runtime::net::bind_workers(listen, 1).unwrap();
    println!("{address}");
    let (_snapshots, receiver) = watch::channel(Arc::new(snapshot(address, upstream, http, tracing)));
    let drain = Drain::new();
    let args = WorkerArgs {
        id: WorkerId(0),
        entrances: vec![Entrance { socket: sockets.remove(0), inbound: true, on_demand: false, tls: None }],
        snapshots: receiver,
        demand: Demand::detached(false).0,
        drain: drain.signal(),
        telemetry: TelemetryArgs::disabled(),
        seed: 1,
        kin: Arc::new(Kin::new(1)),
    };
    let args = Mutex::new(Some(args));
    let workers = Workers::start(1, "front", move |_| {
        let args = args.lock().unwrap().take().unwrap();
        async move { weir_proxy::run(args).await.unwrap() }
    });
    workers.unwrap().join();
}

fn snapshot(
    address: SocketAddr,
    upstream: SocketAddr,
    http: HttpVersion,
    tracing: Option<Tracing>,
) -> Snapshot {
    let endpoint = Endpoint {
        details: None,
        address: upstream,
        workload: String::new(),
        health: Health::Healthy,
        weight: 1,
    };
    let locality = LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: 1,
        endpoints: vec![endpoint],
    };
    let cluster = Cluster {
        subsets: None,
        name: "app".to_owned(),
        kind: ClusterKind::Application,
        discovery: Discovery::Static(Endpoints {
            drops: Vec::new(),
            weighted_priority_health: false,
            name: "app".to_owned(),
            localities: vec![locality],
            overprovisioning: weir_model::OVERPROVISIONING,
        }),
        load_balancing: LoadBalancing::LeastRequest { choices: 2 },
        http,
        connect_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(60),
        circuit_breakers: CircuitBreakers::default(),
        spread: weir_model::Spread::default(),
        health: Default::default(),
    };
    let on = RetryOn { connect_failure: true, refused_stream: true, reset: true, ..RetryOn::default() };
    let retry = RetryPolicy {
        attempts: 2,
        on,
        backoff_base: Duration::from_millis(25),
        backoff_max: Duration::from_millis(250),
        ..RetryPolicy::default()
    };
    let weighted = WeightedCluster {
        subset: None,
        cluster: "app".to_owned(),
        weight: 1,
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
    };
    let route = Route {
        name: "everything".to_owned(),
        stat_prefix: String::new(),
        matches: RouteMatch::default(),
        action: RouteAction::Forward(Forward {
            clusters: vec![weighted],
            rewrite: Rewrite::default(),
            timeouts: Timeouts::default(),
            retry: Some(retry),
            priority: Default::default(),
            affinity: None,
            mirrors: Vec::new(),
            fallback: None,
        }),
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
        filters: None,
    };
    let host = VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        filters: None,
        options: None,
    };
    let routes = RouteSource::Inline(RouteConfiguration {
        name: "inbound".to_owned(),
        virtual_hosts: vec![host],
        options: None,
    });
    let listener = Listener {
        name: "inbound".to_owned(),
        address: Some(address),
        direction: Direction::Inbound,
        kind: ListenerKind::Http(HttpListener {
            manner: None,
            limits: Default::default(),
            routes,
            tracing,
            access_log: None,
            detection: None,
            filters: None,
            paths: weir_model::Paths::BASE,
            forwarded: weir_model::Forwarded::Pass,
        }),
    };
    let mut linker = Linker::new(1);
    let mut set = ResourceSet::default();
    for resource in [Resource::Cluster(cluster), Resource::Listener(listener)] {
        linker.prepare(resource.version(), &resource).unwrap();
        set.insert(resource);
    }
    linker.link(&set, []).unwrap()
}
