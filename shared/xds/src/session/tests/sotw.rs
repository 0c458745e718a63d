//! State-of-the-world clients under the same scheduler: one that asks as Envoy does (everything, endpoints before it acknowledges clusters) and
//! one that asks as gRPC does (by name, along the references). They too keep what they are sent, as it comes.

use super::*;
use crate::codec;
use weir_proto::envoy::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Style {
    Envoy,
    Grpc,
}

struct Stream {
    style: Style,
    random: Random,
    world: World,
    server: ServerSession,
    to_server: VecDeque<DiscoveryRequest>,
    to_client: VecDeque<DiscoveryResponse>,
    held: BTreeMap<(ResourceType, String), Arc<Resource>>,
    /// By type: names asked for and the last nonce, once anything was asked.
    asked: BTreeMap<ResourceType, (BTreeSet<String>, String)>,
}

impl Stream {
    fn new(style: Style, seed: u64) -> Self {
        let mut stream = Self {
            style,
            random: Random::new(seed),
            world: World::default(),
            server: ServerSession::sotw(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            held: BTreeMap::new(),
            asked: BTreeMap::new(),
        };
        match style {
            Style::Envoy => {
                stream.ask(Cluster, BTreeSet::new());
                stream.ask(Listener, BTreeSet::new());
            }
            Style::Grpc => stream.ask(Listener, BTreeSet::from(["name0".to_owned(), "name1".to_owned()])),
        }
        stream.update();
        stream
    }

    fn update(&mut self) {
        let set = self.world.compiled(self.server.uses());
        self.server.update(&set);
    }

    fn send(&mut self, kind: ResourceType) {
        let (names, nonce) = self.asked.entry(kind).or_default();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.to_server.push_back(testing::ask(kind, &names, nonce, ""));
    }

    fn ask(&mut self, kind: ResourceType, names: BTreeSet<String>) {
        let first = !self.asked.contains_key(&kind);
        let known = self.asked.entry(kind).or_default();
        if first || known.0 != names {
            known.0 = names;
            self.send(kind);
        }
    }

    /// Asks along the references, and drops what nothing refers to.
    fn follow(&mut self) {
        let by_name: &[ResourceType] = match self.style {
            Style::Envoy => &[Endpoints, Route],
            Style::Grpc => &[Route, Cluster, Endpoints],
        };
        for kind in by_name {
            let references = self.held.values().flat_map(|resource| resource.references());
            let wanted = references.filter(|(to, _)| to == kind).map(|(_, name)| name.to_owned());
            let wanted: BTreeSet<String> = wanted.collect();
            self.held.retain(|(other, name), _| other != kind || wanted.contains(name));
            if !wanted.is_empty() || self.asked.contains_key(kind) {
                self.ask(*kind, wanted);
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..40 => self.deliver_request(),
            40..80 => self.deliver_response(),
            _ => {
                self.world = World::random(&mut self.random);
                self.update();
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        let responses = std::iter::from_fn(|| self.server.poll_output());
        self.to_client.extend(responses.filter_map(Response::into_sotw));
    }

    fn deliver_request(&mut self) {
        let Some(request) = self.to_server.pop_front() else { return };
        let events = self.server.receive(request).unwrap();
        if events.contains(&ServerEvent::Subscribed { kind: Listener }) {
            self.update();
        }
    }

    fn deliver_response(&mut self) {
        let Some(response) = self.to_client.pop_front() else { return };
        let kind = codec::kind_of(&response.type_url).unwrap();
        let resources = response.resources.iter().map(|any| codec::decode(any).unwrap());
        let arrived: BTreeMap<_, _> =
            resources.map(|it| ((kind, it.name().to_owned()), Arc::new(it))).collect();
        if matches!(kind, Cluster | Listener) {
            self.held.retain(|key, _| key.0 != kind || arrived.contains_key(key));
        }
        let names = &self.asked[&kind].0;
        let wildcard = self.style == Style::Envoy && matches!(kind, Cluster | Listener);
        self.held.extend(arrived.into_iter().filter(|((_, name), _)| wildcard || names.contains(name)));
        self.asked.entry(kind).or_default().1 = response.nonce;
        self.follow();
        self.send(kind);
    }

    /// Routes to clusters that are not there. What was only led to by the route is still to come, for gRPC.
    fn dangling(&self) -> Vec<String> {
        if self.style == Style::Grpc {
            return vec![];
        }
        let mut dangling = vec![];
        for ((kind, name), resource) in
            self.held.iter().filter(|((kind, _), _)| matches!(kind, Route | Listener))
        {
            for (_, target) in resource.references().into_iter().filter(|(to, _)| *to == Cluster) {
                for needed in [Cluster, Endpoints] {
                    if !self.held.contains_key(&(needed, target.to_owned())) {
                        dangling.push(format!("{kind} {name} -> {needed} {target}"));
                    }
                }
            }
        }
        dangling
    }
}

fn converges(style: Style, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut stream = Stream::new(style, seed);
        for step in 0..STEPS {
            stream.step();
            assert_eq!(stream.dangling(), Vec::<String>::new(), "{style:?} seed {seed} step {step}");
        }
        for _ in 0..10_000 {
            stream.deliver_request();
            stream.deliver_response();
            stream.flush();
            assert_eq!(stream.dangling(), Vec::<String>::new(), "{style:?} seed {seed} settling");
        }
        assert!(stream.server.settled(), "{style:?} seed {seed}");
        let wanted = stream.world.compiled(stream.server.uses());
        for ((kind, name), resource) in &stream.held {
            let wanted = wanted.get(*kind, name).map(|encoded| encoded.version);
            assert_eq!(wanted, Some(resource.version()), "{style:?} seed {seed}: {kind} {name}");
        }
        let mut reached = 0;
        for kind in ResourceType::ALL {
            let Some((names, _)) = stream.asked.get(&kind) else { continue };
            let everything = style == Style::Envoy && matches!(kind, Cluster | Listener);
            for (name, _) in wanted.of(kind).filter(|(name, _)| everything || names.contains(*name)) {
                assert!(
                    stream.held.contains_key(&(kind, name.to_owned())),
                    "{style:?} seed {seed}: {kind} {name}"
                );
                reached += 1;
            }
        }
        assert_eq!(reached, stream.held.len(), "{style:?} seed {seed}");
    }
}

#[test]
fn an_envoy_converges_and_never_holds_a_dangling_reference() {
    converges(Style::Envoy, 0..SEEDS);
}

#[test]
fn a_grpc_client_converges() {
    converges(Style::Grpc, 0..SEEDS);
}
