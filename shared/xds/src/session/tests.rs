//! A server and a client joined by two queues, under one seeded scheduler: updates, delays, lost streams, restarts of either side, refusals.
//!
//! The client here keeps what it is sent, as it comes: nothing warms up and nothing is put in order. So what it holds shows whether the server
//! kept the order: **no route or listener without its clusters, and no cluster in use without its endpoints**.

mod sotw;

use super::client::{DeltaClient, Rejection};
use super::server::{Response, ServerEvent, ServerSession};
use super::testing;
use crate::encoded::EncodedSet;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use weir_model::ResourceType::{Cluster, Endpoints, Listener, Route};
use weir_model::node::Target;
use weir_model::{Random, Resource, ResourceSet, ResourceType};
use weir_proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

const SEEDS: u64 = 100;
const STEPS: usize = 300;

/// What exists: everything refers only to what exists too.
#[derive(Clone, Default)]
struct World(ResourceSet);

impl World {
    fn random(random: &mut Random) -> Self {
        let mut set = ResourceSet::default();
        let services: Vec<String> =
            (0..6).filter(|_| random.below(3) > 0).map(|index| format!("s{index}")).collect();
        for service in &services {
            set.insert(testing::cluster(service, random.below(2)));
            set.insert(testing::endpoints(service, 80 + random.below(4) as u16));
        }
        if services.is_empty() {
            return Self(set);
        }
        let mut pick = || services[random.below(services.len() as u64) as usize].as_str();
        let routes = [vec![pick()], vec![pick(), pick()], vec![pick(), pick(), pick()]];
        let cluster = pick();
        for (index, clusters) in routes.iter().enumerate() {
            if random.below(3) > 0 {
                set.insert(testing::route(&format!("r{index}"), clusters));
                set.insert(testing::listener(&format!("l{index}"), &format!("r{index}")));
                set.insert(testing::listener(&format!("name{index}"), &format!("r{index}")));
            }
        }
        set.insert(testing::tcp("t", 1000 + random.below(2) as u16, cluster));
        Self(set)
    }

    /// What a node that uses these names gets of it.
    fn compiled(&self, uses: &BTreeSet<String>) -> EncodedSet {
        let mut set = ResourceSet::default();
        for (kind, name, version, resource) in self.0.iter() {
            if kind != Listener || !name.starts_with("name") || uses.contains(name) {
                set.insert_versioned(version, resource.clone());
            }
        }
        EncodedSet::new(&set, Target::Weir)
    }
}

struct Mesh {
    random: Random,
    world: World,
    order: [ResourceType; 4],
    server: Option<ServerSession>,
    client: DeltaClient,
    to_server: VecDeque<DeltaDiscoveryRequest>,
    to_client: VecDeque<DeltaDiscoveryResponse>,
    /// What the client has, with the version it came with.
    held: BTreeMap<(ResourceType, String), (String, Arc<Resource>)>,
    absent: BTreeSet<String>,
    names: BTreeSet<String>,
    refusals: bool,
}

impl Mesh {
    fn new(seed: u64, order: [ResourceType; 4]) -> Self {
        let mut mesh = Self {
            random: Random::new(seed),
            world: World::default(),
            order,
            server: None,
            client: DeltaClient::new(&testing::node(Target::Weir)),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            held: BTreeMap::new(),
            absent: BTreeSet::new(),
            names: BTreeSet::new(),
            refusals: true,
        };
        mesh.start_client();
        mesh.connect();
        mesh
    }

    /// A client process with nothing but what was persisted.
    fn start_client(&mut self) {
        self.client = DeltaClient::new(&testing::node(Target::Weir));
        for ((kind, name), (version, _)) in &self.held {
            self.client.restore(*kind, name, version);
        }
        self.client.subscribe(Cluster, ["*"]);
        self.client.subscribe(Listener, ["*"].into_iter().chain(self.names.iter().map(String::as_str)));
        self.subscribe();
    }

    fn connect(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
        self.client.connect();
        let mut server = ServerSession::delta().with_order(self.order);
        server.update(&self.world.compiled(&BTreeSet::new()));
        self.server = Some(server);
        self.flush();
    }

    fn flush(&mut self) {
        self.to_server.extend(std::iter::from_fn(|| self.client.poll_output()));
        let server = self.server.as_mut().unwrap();
        let responses = std::iter::from_fn(|| server.poll_output());
        self.to_client.extend(responses.filter_map(Response::into_delta));
    }

    /// Names follow what refers to them.
    fn subscribe(&mut self) {
        for kind in [Endpoints, Route] {
            let references = self.held.values().flat_map(|(_, resource)| resource.references());
            let wanted = references.filter(|(to, _)| *to == kind).map(|(_, name)| name.to_owned());
            let wanted: BTreeSet<String> = wanted.collect();
            let asked: Vec<String> = self.client.subscriptions(kind).map(str::to_owned).collect();
            self.client
                .unsubscribe(kind, asked.iter().map(String::as_str).filter(|name| !wanted.contains(*name)));
            self.client.subscribe(kind, wanted.iter().map(String::as_str));
            self.held.retain(|(other, name), _| *other != kind || wanted.contains(name));
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..30 => self.deliver_request(),
            30..65 => self.deliver_response(),
            65..80 => {
                self.world = World::random(&mut self.random);
                self.update();
            }
            80..90 => {
                let name = format!("name{}", self.random.below(4));
                if self.names.remove(&name) {
                    self.client.unsubscribe(Listener, [name.as_str()]);
                    self.absent.remove(&name);
                    self.held.remove(&(Listener, name));
                    self.subscribe();
                } else {
                    self.client.subscribe(Listener, [name.as_str()]);
                    self.names.insert(name);
                }
            }
            90..95 => self.connect(),
            95..97 => {
                self.start_client();
                self.connect();
            }
            _ => self.refusals = !self.refusals,
        }
        self.flush();
    }

    fn update(&mut self) {
        let server = self.server.as_mut().unwrap();
        let set = self.world.compiled(server.uses());
        server.update(&set);
    }

    fn deliver_request(&mut self) {
        let Some(request) = self.to_server.pop_front() else { return };
        let events = self.server.as_mut().unwrap().receive(request).unwrap();
        if events.contains(&ServerEvent::Subscribed { kind: Listener }) {
            self.update();
        }
    }

    fn deliver_response(&mut self) {
        let Some(response) = self.to_client.pop_front() else { return };
        let received = self.client.receive(response).unwrap();
        assert_eq!(received.rejected, vec![]);
        let mut rejections = vec![];
        for (version, resource) in received.upserts {
            let name = resource.name().to_owned();
            // A refused route or listener leaves the old one in force, with all it needs.
            let refuses =
                self.refusals && matches!(received.kind, Route | Listener) && self.random.below(8) == 0;
            if refuses {
                rejections.push(Rejection { name, field: "x".to_owned(), message: "not today".to_owned() });
            } else {
                self.absent.remove(&name);
                self.held.insert((received.kind, name), (version, resource));
            }
        }
        for name in received.removed {
            self.held.remove(&(received.kind, name.clone()));
            if received.kind == Listener && self.names.contains(&name) {
                self.absent.insert(name);
            }
        }
        self.subscribe();
        self.client.accept(&rejections);
    }

    /// The references of what is held that lead nowhere.
    fn dangling(&self) -> Vec<String> {
        let mut dangling = vec![];
        for ((kind, name), (_, resource)) in &self.held {
            for (to, target) in resource.references().into_iter().filter(|_| matches!(kind, Route | Listener))
            {
                if to == Cluster {
                    for needed in [Cluster, Endpoints] {
                        if !self.held.contains_key(&(needed, target.to_owned())) {
                            dangling.push(format!("{kind} {name} -> {needed} {target}"));
                        }
                    }
                }
            }
        }
        dangling
    }

    /// Everything on its way arrives, and nothing new happens but one last change of everything.
    fn settle(&mut self) {
        self.refusals = false;
        for last in [false, true] {
            if last {
                // What was refused before is asked for anew.
                self.connect();
            }
            for _ in 0..10_000 {
                self.flush();
                if self.to_server.is_empty() && self.to_client.is_empty() {
                    break;
                }
                self.deliver_request();
                self.deliver_response();
                assert_eq!(self.dangling(), Vec::<String>::new());
            }
        }
    }
}

fn run(seed: u64, order: [ResourceType; 4]) -> Result<Mesh, String> {
    let mut mesh = Mesh::new(seed, order);
    for step in 0..STEPS {
        mesh.step();
        let dangling = mesh.dangling();
        if !dangling.is_empty() {
            return Err(format!("seed {seed} step {step}: {dangling:?}"));
        }
    }
    Ok(mesh)
}

#[test]
fn a_client_converges_and_never_holds_a_dangling_reference() {
    for seed in 0..SEEDS {
        let mut mesh = run(seed, ResourceType::ALL).unwrap_or_else(|error| panic!("{error}"));
        mesh.settle();
        let server = mesh.server.as_ref().unwrap();
        assert!(server.settled(), "seed {seed}: {:?}", server.status());
        let wanted = mesh.world.compiled(&mesh.names);
        let mut expected = BTreeMap::new();
        for kind in [Cluster, Listener] {
            expected.extend(
                wanted.of(kind).map(|(name, encoded)| ((kind, name.to_owned()), encoded.version.to_string())),
            );
        }
        for kind in [Endpoints, Route] {
            for name in mesh.client.subscriptions(kind) {
                if let Some(encoded) = wanted.get(kind, name) {
                    expected.insert((kind, name.to_owned()), encoded.version.to_string());
                }
            }
        }
        let held: BTreeMap<_, _> =
            mesh.held.iter().map(|(key, (version, _))| (key.clone(), version.clone())).collect();
        assert_eq!(held, expected, "seed {seed}");
        let nowhere: BTreeSet<String> =
            mesh.names.iter().filter(|name| wanted.get(Listener, name).is_none()).cloned().collect();
        assert_eq!(mesh.absent, nowhere, "seed {seed}: every name that was asked for is answered");
    }
}

#[test]
fn routes_before_clusters_is_noticed() {
    let broken = [Route, Listener, Cluster, Endpoints];
    let noticed = (0..SEEDS).find_map(|seed| run(seed, broken).err());
    assert!(noticed.is_some(), "the order makes no difference, so the invariant checks nothing");
}
