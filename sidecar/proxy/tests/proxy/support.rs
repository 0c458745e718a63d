//! A worker, what it serves from, and the raw peers of its sockets.

mod http2;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use weir_config::snapshot::link::{Linker, Name};
use weir_config::{Demand, Snapshot};
use weir_model::{
    CircuitBreakers, Cluster, ClusterKind, Direction, Discovery, Endpoint, Endpoints, Forward, Fraction,
    HeaderMutation, Health, HttpListener, HttpVersion, Listener, ListenerKind, LoadBalancing, Locality,
    LocalityEndpoints, Resource, ResourceSet, Rewrite, Route, RouteAction, RouteConfiguration, RouteMatch,
    RouteSource, TcpListener as TcpModel, Timeouts, Tracing, VirtualHost, WeightedCluster,
};
use weir_proxy::{Entrance, Kin, TelemetryArgs, WorkerArgs};
use weir_runtime::drain::Drain;
use weir_runtime::net::bind_workers;
use weir_runtime::workers::{WorkerId, Workers};

pub use http2::*;

/// Long enough for a slow machine, short enough for a hanging test.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A worker with an outbound, an inbound, a TCP and a TLS entrance.
pub struct Proxy {
    pub outbound: SocketAddr,
    pub inbound: SocketAddr,
    pub tcp: SocketAddr,
    /// Where the server name, with port 443, says where to.
    pub tls: SocketAddr,
    pub drain: Drain,
    pub wanted: mpsc::Receiver<Arc<str>>,
    linker: Linker,
    snapshots: watch::Sender<Arc<Snapshot>>,
    workers: Option<Workers>,
}

impl Proxy {
    /// Starts one; it serves nothing until it is given something.
    pub fn start() -> Proxy {
        Proxy::with(true, TelemetryArgs::disabled())
    }

    pub fn with(connected: bool, telemetry: TelemetryArgs) -> Proxy {
        Proxy::seeded(connected, telemetry, 1)
    }

    pub fn seeded(connected: bool, telemetry: TelemetryArgs, seed: u64) -> Proxy {
        let bind = || bind_workers("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let ((outbound, mut outbounds), (inbound, mut inbounds), (tcp, mut tcps)) = (bind(), bind(), bind());
        let (tls, mut tlses) = bind();
        let (snapshots, receiver) = watch::channel(Arc::new(Snapshot::empty()));
        let (demand, wanted) = Demand::detached(connected);
        let drain = Drain::new();
        let entrance = |socket, inbound, on_demand| Entrance { socket, inbound, on_demand, tls: None };
        let args = WorkerArgs {
            id: WorkerId(0),
            entrances: vec![
                entrance(outbounds.remove(0), false, true),
                entrance(inbounds.remove(0), true, false),
                entrance(tcps.remove(0), false, false),
                Entrance { tls: Some(443), ..entrance(tlses.remove(0), false, false) },
            ],
            snapshots: receiver,
            demand,
            drain: drain.signal(),
            telemetry,
            seed,
            kin: Arc::new(Kin::new(seed)),
        };
        let args = std::sync::Mutex::new(Some(args));
        let workers = Workers::start(1, "proxy", move |_| {
            let args = args.lock().unwrap().take().unwrap();
            async move { weir_proxy::run(args).await.unwrap() }
        });
        Proxy {
            outbound,
            inbound,
            tcp,
            tls,
            drain,
            wanted,
            linker: Linker::new(1),
            snapshots,
            workers: Some(workers.unwrap()),
        }
    }

    /// Publishes resources, and names that do not exist.
    pub fn publish(&mut self, resources: Vec<Resource>, absent: &[&str]) {
        let mut set = ResourceSet::default();
        for resource in resources {
            self.linker.prepare(resource.version(), &resource).unwrap();
            set.insert(resource);
        }
        let name = |name: &&str| Name { name: Arc::from(*name), used: Arc::default(), absent: true };
        let snapshot = self.linker.link(&set, absent.iter().map(name)).unwrap();
        self.snapshots.send_replace(Arc::new(snapshot));
    }

    /// A worker in front of one inbound application cluster.
    pub fn inbound(cluster: Cluster) -> Proxy {
        let mut proxy = Proxy::start();
        let routes = vec![route(forward(&cluster.name))];
        proxy.publish_inbound(vec![cluster], routes);
        proxy
    }

    /// A worker with these routes on its inbound listener.
    pub fn routes(clusters: Vec<Cluster>, routes: Vec<Route>) -> Proxy {
        let mut proxy = Proxy::start();
        proxy.publish_inbound(clusters, routes);
        proxy
    }

    pub fn publish_inbound(&mut self, clusters: Vec<Cluster>, routes: Vec<Route>) {
        let mut resources: Vec<Resource> = clusters.into_iter().map(Resource::Cluster).collect();
        resources.push(Resource::Listener(inbound_listener(self.inbound, routes)));
        self.publish(resources, &[]);
    }

    /// Looks after its endpoints on a thread of its own, until the proxy is gone; where that is counted.
    pub fn look_after(&self) -> weir_telemetry::metrics::Registry {
        let registry = weir_telemetry::metrics::Registry::new();
        let args = (self.snapshots.subscribe(), registry.clone());
        std::thread::spawn(move || {
            let (snapshots, registry) = args;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let health = weir_proxy::HealthArgs { snapshots, registry, seed: 1 };
            tokio::task::LocalSet::new().block_on(&runtime, weir_proxy::watch_health(health));
        });
        registry
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// The state of a cluster in the snapshot in force.
    pub fn cluster(&self, name: &str) -> Arc<weir_config::Cluster> {
        let snapshot = self.snapshots.borrow();
        snapshot.live_clusters().find(|cluster| cluster.model.name == name).unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.drain.stop();
        if let Some(workers) = self.workers.take() {
            workers.join();
        }
    }
}

pub fn inbound_listener(address: SocketAddr, routes: Vec<Route>) -> Listener {
    http_listener(address, Direction::Inbound, RouteSource::Inline(any_host("inbound", routes)), None, false)
}

pub fn http_listener(
    address: SocketAddr,
    direction: Direction,
    routes: RouteSource,
    sampling: Option<u32>,
    access_log: bool,
) -> Listener {
    let tracing = sampling.map(|ppm| Tracing { sampling: Fraction(ppm) });
    let access_log = access_log.then(std::sync::Arc::default);
    let kind = ListenerKind::Http(HttpListener {
        manner: None,
        limits: Default::default(),
        routes,
        tracing,
        access_log,
        detection: None,
        filters: None,
        paths: weir_model::Paths::BASE,
        forwarded: weir_model::Forwarded::Pass,
    });
    Listener {
        name: format!("{direction:?}/{address}").to_lowercase(),
        address: Some(address),
        direction,
        kind,
    }
}

/// A listener that is asked for by name.
pub fn named_listener(name: &str, routes: Vec<Route>) -> Listener {
    let routes = RouteSource::Inline(any_host(name, routes));
    let kind = ListenerKind::Http(HttpListener {
        manner: None,
        limits: Default::default(),
        routes,
        tracing: None,
        access_log: None,
        detection: None,
        filters: None,
        paths: weir_model::Paths::BASE,
        forwarded: weir_model::Forwarded::Pass,
    });
    Listener { name: name.to_owned(), address: None, direction: Direction::Outbound, kind }
}

pub fn tcp_listener(address: SocketAddr, cluster: &str) -> Listener {
    let kind =
        ListenerKind::Tcp(TcpModel { access_log: Some(std::sync::Arc::default()), ..TcpModel::to(cluster) });
    Listener {
        name: format!("outbound-tcp/{address}"),
        address: Some(address),
        direction: Direction::Outbound,
        kind,
    }
}

pub fn any_host(name: &str, routes: Vec<Route>) -> RouteConfiguration {
    let host = VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes,
        filters: None,
        options: None,
    };
    RouteConfiguration { name: name.to_owned(), virtual_hosts: vec![host], options: None }
}

pub fn route(action: RouteAction) -> Route {
    Route {
        name: "everything".to_owned(),
        stat_prefix: String::new(),
        matches: RouteMatch::default(),
        action,
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
        filters: None,
    }
}

pub fn forward_to(clusters: &[(&str, u32)]) -> Forward {
    let weighted = |(cluster, weight): &(&str, u32)| WeightedCluster {
        subset: None,
        cluster: (*cluster).to_owned(),
        weight: *weight,
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
    };
    Forward {
        clusters: clusters.iter().map(weighted).collect(),
        rewrite: Rewrite::default(),
        timeouts: Timeouts::default(),
        retry: None,
        priority: Default::default(),
        affinity: None,
        mirrors: Vec::new(),
        fallback: None,
    }
}

pub fn forward(cluster: &str) -> RouteAction {
    RouteAction::Forward(forward_to(&[(cluster, 1)]))
}

/// A static cluster in round robin.
pub fn cluster(name: &str, http: HttpVersion, addresses: &[SocketAddr]) -> Cluster {
    let endpoint = |(index, address): (usize, &SocketAddr)| Endpoint {
        details: None,
        address: *address,
        workload: format!("{name}-{index}"),
        health: Health::Healthy,
        weight: 1,
    };
    let mut endpoints: Vec<Endpoint> = addresses.iter().enumerate().map(endpoint).collect();
    endpoints.sort();
    let locality = LocalityEndpoints { locality: Locality::default(), priority: 0, weight: 1, endpoints };
    Cluster {
        subsets: None,
        name: name.to_owned(),
        kind: ClusterKind::Service { namespace: "default".to_owned(), name: name.to_owned(), port: 80 },
        discovery: Discovery::Static(Endpoints {
            drops: Vec::new(),
            weighted_priority_health: false,
            name: name.to_owned(),
            localities: vec![locality],
            overprovisioning: weir_model::OVERPROVISIONING,
        }),
        load_balancing: LoadBalancing::RoundRobin,
        http,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(60),
        circuit_breakers: CircuitBreakers::default(),
        spread: weir_model::Spread::default(),
        health: Default::default(),
    }
}

/// An address where nobody listens.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A raw peer, with a limit on how long it is waited for.
pub struct Peer {
    pub stream: TcpStream,
}

impl Peer {
    pub async fn connect(address: SocketAddr) -> Peer {
        Peer { stream: patient(TcpStream::connect(address)).await.unwrap() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        patient(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Reads until what was read ends in `end`, and returns it.
    pub async fn until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            match patient(self.stream.read_u8()).await {
                Ok(byte) => read.push(byte),
                Err(error) => panic!("{error} after {:?}, before {end:?}", String::from_utf8_lossy(&read)),
            }
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// A head, up to the empty line.
    pub async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// A head and as many bytes as its `content-length` says.
    pub async fn message(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        patient(self.stream.read_exact(&mut body)).await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// Everything up to the end.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset after the last byte is an end too.
        let _ = patient(self.stream.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Whether the other side has closed.
    pub async fn closed(&mut self) -> bool {
        self.rest().await.is_empty()
    }
}

/// The value of a field in a raw head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Waits, but not for ever.
pub async fn patient<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Waits until something holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// A listening socket whose connections a test answers by hand.
pub struct Upstream {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Upstream {
    pub async fn bind() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Upstream { listener, address }
    }

    pub async fn accept(&self) -> Peer {
        Peer { stream: patient(self.listener.accept()).await.unwrap().0 }
    }

    /// Whether nobody connects for a while.
    pub async fn is_quiet(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(100), self.listener.accept()).await.is_err()
    }

    /// Answers every HTTP/1 request with `200` and `body`, for as long as the result lives.
    pub async fn answering(body: &'static str) -> Answering {
        let upstream = Upstream::bind().await;
        let address = upstream.address;
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = upstream.listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut peer = Vec::new();
                    let mut buffer = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                        peer.extend_from_slice(&buffer[..read]);
                        while let Some(end) = peer.windows(4).position(|window| window == b"\r\n\r\n") {
                            peer.drain(..end + 4);
                            let answer =
                                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                            if stream.write_all(answer.as_bytes()).await.is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Answering { address, task }
    }
}

/// An upstream that answers by itself.
pub struct Answering {
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connection the next request comes on: the same one, or a new one.
pub async fn reused_or_new(upstream: &Upstream, server: Peer) -> TcpStream {
    let mut byte = [0];
    tokio::select! {
        peer = upstream.accept() => peer.stream,
        read = server.stream.peek(&mut byte) => {
            if matches!(read, Ok(1)) { server.stream } else { upstream.accept().await.stream }
        }
    }
}
