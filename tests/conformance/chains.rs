//! Envoy as the oracle for filter chains: the same listeners with matches made from a seed go to a stock Envoy and to the sidecar, the same
//! connections come to both (TLS with and without server names and protocols, bytes, from several addresses), and each must end at the same
//! cluster, or be closed by both.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use weir_decide::chain::{Chains, Facts};
use weir_model::node::Target;
use weir_model::{
    ChainKind, ChainMatch, Direction, FilterChain, FilterChains, Inspect, IpNet, Listener, ListenerKind,
    Random, Resource, SourceType, TcpListener as Bytes,
};
use weir_tests::ads::Ads;
use weir_tests::envoy::Bootstrap;
use weir_tests::resources::{self, pack};
use weir_tests::{Process, binary};

const SEED: u64 = 20_260_101;
/// Listeners, and connections to each.
const CONFIGURATIONS: usize = 30;
const CONNECTIONS: usize = 14;
const CLUSTERS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(15);

const NAMES: [&str; 6] =
    ["a.example.com", "*.example.com", "*.com", "b.a.example.com", "*.a.example.com", "example.com"];
const ASKED: [&str; 7] = [
    "a.example.com",
    "A.example.com",
    "b.a.example.com",
    "c.b.a.example.com",
    "example.com",
    "other.com",
    "db.local",
];
const PROTOCOLS: [&str; 3] = ["h2", "http/1.1", "db/1"];
const NETS: [&str; 5] = ["127.0.0.0/8", "127.0.0.0/30", "127.0.0.2/32", "10.0.0.0/8", "0.0.0.0/1"];
const SOURCES: [&str; 3] = ["127.0.0.1", "127.0.0.2", "127.0.1.1"];

/// One connection.
#[derive(Clone, Debug)]
struct Ask {
    source: IpAddr,
    /// TLS with perhaps a name; bytes if absent.
    tls: Option<Option<&'static str>>,
    protocols: Vec<&'static str>,
}

/// Some of these; often none.
fn some<T: Clone>(random: &mut Random, of: &[T], most: u64) -> Vec<T> {
    let count = if random.below(3) > 0 { 0 } else { 1 + random.below(most) };
    let mut chosen: Vec<usize> = (0..count).map(|_| random.below(of.len() as u64) as usize).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen.into_iter().map(|index| of[index].clone()).collect()
}

fn one_of<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len() as u64) as usize]
}

fn chain_match(random: &mut Random, port: u16) -> ChainMatch {
    let nets = NETS.map(|net| net.parse::<IpNet>().unwrap());
    ChainMatch {
        destination_port: (random.below(4) == 0).then_some(port),
        destinations: if random.below(3) == 0 { some(random, &nets, 1) } else { Vec::new() },
        server_names: some(random, &NAMES.map(str::to_owned), 3),
        transport: one_of(random, &["", "", "", "tls", "raw_buffer"]).to_owned(),
        application_protocols: some(random, &PROTOCOLS.map(str::to_owned), 2),
        direct_sources: some(random, &nets, 1),
        source_type: one_of(
            random,
            &[SourceType::Any, SourceType::Any, SourceType::Local, SourceType::External],
        ),
        sources: some(random, &nets, 2),
        source_ports: if random.below(8) == 0 { vec![1] } else { Vec::new() },
    }
}

/// Chains that can stand side by side, the last of which everything reaches that asks for `sentinel`.
fn matches(random: &mut Random, port: u16, sentinel: &str) -> Vec<ChainMatch> {
    let mut all = Vec::new();
    for _ in 0..2 + random.below(5) {
        all.push(chain_match(random, port));
        if Chains::new(&all).is_err() {
            all.pop();
        }
    }
    // On the way on which names are looked at.
    let destination_port = all.iter().any(|it| it.destination_port.is_some()).then_some(port);
    let local: IpAddr = "127.0.0.1".parse().unwrap();
    let beside = all.iter().filter(|it| it.destination_port == destination_port);
    let net = beside.flat_map(|it| &it.destinations).filter(|net| net.contains(&local));
    let destinations = net.max_by_key(|net| net.prefix_len()).copied().into_iter().collect();
    let server_names = vec![sentinel.to_owned()];
    all.push(ChainMatch { destination_port, destinations, server_names, ..ChainMatch::default() });
    all
}

fn listener(address: SocketAddr, matches: &[ChainMatch], otherwise: bool) -> Resource {
    let kind = |index: usize| ChainKind::Tcp(Bytes::to(format!("c{}", index % CLUSTERS)));
    let last = matches.len() - 1;
    let chain = |(index, matches): (usize, &ChainMatch)| FilterChain {
        name: format!("chain {index}"),
        matches: matches.clone(),
        // The sentinel says its own name.
        kind: if index == last { ChainKind::Tcp(Bytes::to("sentinel")) } else { kind(index) },
    };
    let inspect = Inspect { tls: true, http: false, wait: Duration::from_secs(5), go_on: false };
    let chains = FilterChains {
        inspect: Some(inspect),
        chains: matches.iter().enumerate().map(chain).collect(),
        otherwise: otherwise.then(|| ChainKind::Tcp(Bytes::to("otherwise"))),
    };
    Resource::Listener(Listener {
        name: "chains".to_owned(),
        address: Some(address),
        direction: Direction::Outbound,
        kind: ListenerKind::Chains(Box::new(chains)),
    })
}

/// Says its name to whoever connects, and hears everything out.
fn greeter(name: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let name = name.clone();
            std::thread::spawn(move || {
                let _gone = std::io::Write::write_all(&mut stream, name.as_bytes());
                let _gone = stream.shutdown(std::net::Shutdown::Write);
                let _gone = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
    address
}

/// What a client says first.
fn first_bytes(ask: &Ask) -> Vec<u8> {
    let Some(name) = ask.tls else { return b"\x00opaque\r\n".to_vec() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.enable_sni = name.is_some();
    config.alpn_protocols = ask.protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.unwrap_or("x")).unwrap();
    let mut bytes = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

/// The cluster that a connection ends at; nothing if it is closed.
fn end_of(entrance: SocketAddr, ask: &Ask) -> String {
    let asked = async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(ask.source, 0)).unwrap();
        let Ok(mut stream) = socket.connect(entrance).await else { return String::new() };
        let mut heard = Vec::new();
        let _closed = stream.write_all(&first_bytes(ask)).await;
        let _reset = stream.read_to_end(&mut heard).await;
        String::from_utf8(heard).unwrap()
    };
    // The control plane has a runtime of its own and blocks for it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(PATIENCE, asked).await };
    runtime.block_on(limited).unwrap_or_else(|_| "nothing in time".to_owned())
}

struct Plane {
    name: &'static str,
    entrance: SocketAddr,
    process: Process,
}

impl Plane {
    fn apply(&self, ads: &Ads, matches: &[ChainMatch], otherwise: bool, sentinel: &'static str) {
        let resource = listener(self.entrance, matches, otherwise);
        let any = weir_xds::codec::encode(&resource, Target::Envoy);
        ads.put(self.name, vec![("chains".to_owned(), any)]);
        let refused = ads
            .settled(self.name, PATIENCE)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.process.said()));
        assert_eq!(refused, vec![], "{} refuses {matches:#?}", self.name);
        let ask = Ask { source: SOURCES[0].parse().unwrap(), tls: Some(Some(sentinel)), protocols: vec![] };
        for _ in 0..200 {
            if end_of(self.entrance, &ask) == "sentinel" {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("{} never serves {sentinel}: {matches:#?}\n{}", self.name, self.process.said());
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start(dir: &std::path::Path, ads: &Ads) -> [Plane; 2] {
    let mut shared = Vec::new();
    let names = (0..CLUSTERS).map(|index| format!("c{index}"));
    for name in names.chain(["sentinel", "otherwise"].map(str::to_owned)) {
        let address = greeter(name.clone());
        shared.push((name.clone(), pack(&resources::cluster(&name, false))));
        shared.push((name.clone(), pack(&resources::endpoints(&name, &[address]))));
    }
    for node in ["envoy", "weir"] {
        ads.put(node, shared.clone());
    }
    let (envoy, weir) = (free(), free());
    let bootstrap =
        Bootstrap { xds: ads.address, api: "DELTA_GRPC", node: "{id: envoy, cluster: chains}", more: "" };
    let mut command = bootstrap.command(dir, "envoy");
    let envoy_process = Process::start("envoy", dir, command.stdout(Stdio::null()));
    let mut command = Command::new(binary("weir-sidecar"));
    command.args(["--xds", &ads.address.to_string(), "--node-id", "weir", "--workers", "1"]);
    command.args(["--admin-listen", "127.0.0.1:0", "--outbound-tcp", &format!("{weir}=db:1")]);
    command.arg("--state-dir").arg(dir.join("state"));
    let weir_process = Process::start("weir", dir, command.stdout(Stdio::null()));
    [
        Plane { name: "envoy", entrance: envoy, process: envoy_process },
        Plane { name: "weir", entrance: weir, process: weir_process },
    ]
}

#[test]
fn both_take_the_same_chain() {
    println!("seed {SEED}");
    let dir = tempfile::tempdir().unwrap();
    let ads = Ads::start();
    let [envoy, weir] = start(dir.path(), &ads);
    let mut random = Random::new(SEED);
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..CONFIGURATIONS {
        let sentinel: &'static str = Box::leak(format!("s{round}.sentinel.test").into_boxed_str());
        // The ports differ, so that what names one is made for each.
        let state = random.clone();
        let of_envoy = matches(&mut random, envoy.entrance.port(), sentinel);
        let of_weir = matches(&mut state.clone(), weir.entrance.port(), sentinel);
        let otherwise = random.below(2) == 0;
        envoy.apply(&ads, &of_envoy, otherwise, sentinel);
        weir.apply(&ads, &of_weir, otherwise, sentinel);
        for _ in 0..CONNECTIONS {
            let name = (random.below(5) > 0).then(|| one_of(&mut random, &ASKED));
            let ask = Ask {
                source: one_of(&mut random, &SOURCES).parse().unwrap(),
                tls: (random.below(4) > 0).then_some(name),
                protocols: some(&mut random, &PROTOCOLS, 3),
            };
            let (one, other) = (end_of(envoy.entrance, &ask), end_of(weir.entrance, &ask));
            assert_eq!(one, other, "Envoy and weir differ in round {round} on {ask:?} of {of_weir:#?}");
            // And both do what the decision alone says.
            let protocols: Vec<Vec<u8>> = ask.protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
            let name = ask.tls.flatten().unwrap_or_default().to_ascii_lowercase();
            let facts = Facts {
                destination: weir.entrance,
                source: SocketAddr::new(ask.source, 2),
                server_name: &name,
                transport: if ask.tls.is_some() { "tls" } else { "raw_buffer" },
                protocols: if ask.tls.is_some() { &protocols } else { &[] },
            };
            let expected = match Chains::new(&of_weir).unwrap().find(&facts) {
                Some(chain) => format!("c{}", chain % CLUSTERS),
                None if otherwise => "otherwise".to_owned(),
                None => String::new(),
            };
            assert_eq!(other, expected, "{ask:?} of {of_weir:#?}");
            *ends.entry(one).or_default() += 1;
        }
    }
    println!("{} connections ended at {ends:?}", CONFIGURATIONS * CONNECTIONS);
    // A test that only meets one end shows nothing.
    assert!(
        ends.len() >= 6 && ends.values().all(|count| *count < CONFIGURATIONS * CONNECTIONS / 2),
        "{ends:?}"
    );
}
