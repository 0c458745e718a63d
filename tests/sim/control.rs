//! The control plane: its memory, which a crash takes, over a disk, which it does not.
//!
//! The same parts as the real one, put together in the same way and without its sockets: leases, objects parsed once, the compiler, one real
//! [`ServerSession`] for each stream. What is a task there is an event here.

use crate::link::{ConnId, End};
use crate::mutation::Mutation;
use crate::nodes::Style;
use crate::policy::{Documents, Edit};
use crate::store::Disk;
use crate::truth::{History, Key, Mark};
use crate::wire;
use prost::Message;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use weir_compile::Compiler;
use weir_model::mesh::{Mesh, Name, Workload};
use weir_model::node::{Node, Target};
use weir_model::{Random, ResourceSet, ResourceType, Severity, Time};
use weir_policy::Object;
use weir_proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use weir_serve::leases::{Leases, StreamId, workload};
use weir_store::{Change, Revision, State};
use weir_xds::session::server;
use weir_xds::{EncodedSet, Encoder, ServerEvent, ServerSession};

/// The mesh at one moment, and what each class of nodes gets of it.
pub(crate) struct World {
    /// Counted over all restarts.
    pub(crate) generation: u64,
    pub(crate) revision: Revision,
    pub(crate) mesh: Arc<Mesh>,
    compiler: RefCell<Compiler<Arc<Mesh>>>,
}

/// One stream.
pub(crate) struct Stream {
    session: ServerSession,
    sotw: bool,
    node: Option<Node>,
    /// Whether it is no lease.
    draining: bool,
    peer: usize,
    seen: u64,
    woken: bool,
    /// By type: the response that was not answered yet.
    unanswered: BTreeMap<String, String>,
}

/// A process of the control plane.
pub(crate) struct Plane {
    /// Which process.
    pub(crate) epoch: u64,
    pub(crate) leases: Leases,
    pub(crate) world: Rc<World>,
    older: Option<Rc<World>>,
    pub(crate) streams: BTreeMap<ConnId, Stream>,
    parsed: BTreeMap<String, (Revision, Arc<Object>)>,
    encoder: Encoder,
    /// Whether a world is to be made, and whether leases are to be written.
    pub(crate) due: Due,
}

/// What was planned and has not happened yet.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) publish: bool,
    pub(crate) save: bool,
    pub(crate) expire: Option<Time>,
}

/// What a message did to the control plane.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Refusals in the message.
    pub(crate) nacks: Vec<String>,
    /// Whether a workload joined or changed.
    pub(crate) joined: bool,
}

impl Plane {
    /// A process that starts with what is on disk.
    pub(crate) fn start(
        epoch: u64,
        generation: u64,
        disk: &Disk,
        remember: bool,
        now: Time,
    ) -> Result<Self, String> {
        let mut leases = Leases::default();
        if remember {
            leases.restore(disk.leases.clone(), now);
        }
        let mut parsed = BTreeMap::new();
        let mesh = mesh(&mut parsed, disk.state(), leases.workloads())?;
        let world = Rc::new(World::new(generation, disk.state().revision, mesh));
        let streams = BTreeMap::new();
        let due = Due::default();
        Ok(Self { epoch, leases, world, older: None, streams, parsed, encoder: Encoder::default(), due })
    }

    /// Makes a world of the store and the leases; whether it is another one than before.
    pub(crate) fn publish(&mut self, disk: &Disk) -> Result<bool, String> {
        let state = disk.state();
        let mesh = mesh(&mut self.parsed, state, self.leases.workloads())?;
        if self.world.revision > state.revision {
            return Err(format!("revision {} follows {}", state.revision, self.world.revision));
        }
        if self.world.revision == state.revision && *self.world.mesh == mesh {
            return Ok(false);
        }
        let world = Rc::new(World::new(self.world.generation + 1, state.revision, mesh));
        self.older = Some(std::mem::replace(&mut self.world, world));
        Ok(true)
    }

    /// A connection is there.
    pub(crate) fn accept(&mut self, conn: ConnId, peer: usize, style: Style, mutation: Option<Mutation>) {
        let sotw = matches!(style, Style::EnvoySotw | Style::Grpc);
        let mut session = if sotw { ServerSession::sotw() } else { ServerSession::delta() };
        if mutation == Some(Mutation::RoutesBeforeClusters) {
            use ResourceType::{Cluster, Endpoints, Listener, Route};
            session = session.with_order([Listener, Route, Cluster, Endpoints]);
        }
        let (node, unanswered) = (None, BTreeMap::new());
        let stream = Stream { session, sotw, node, draining: false, peer, seen: 0, woken: false, unanswered };
        self.streams.insert(conn, stream);
    }

    /// A message arrived.
    pub(crate) fn receive(&mut self, conn: ConnId, bytes: &[u8]) -> Result<Taken, String> {
        let mut taken = Taken::default();
        let Some(stream) = self.streams.get_mut(&conn) else { return Ok(taken) };
        for event in stream.take(bytes)? {
            match event {
                ServerEvent::Identified(node) => {
                    if let Some((name, workload)) = workload(&node).filter(|_| !stream.draining) {
                        let joined = self.leases.join(name, workload, StreamId(conn.0));
                        taken.joined = joined.map_err(|error| error.to_string())?;
                    }
                    stream.node = Some(node);
                }
                ServerEvent::Subscribed { kind: ResourceType::Listener } => stream.seen = 0,
                ServerEvent::Nacked { kind, resources, text, .. } => {
                    taken.nacks.push(format!("refused {kind} {resources:?}: {text}"));
                }
                ServerEvent::Ignored { type_url } => {
                    return Err(format!("{type_url} is asked for and not served"));
                }
                ServerEvent::Subscribed { .. } | ServerEvent::Acked { .. } => {}
            }
        }
        Ok(taken)
    }

    /// A connection is over. Says whether the workloads changed or soon will.
    pub(crate) fn ended(&mut self, conn: ConnId, end: End, now: Time) -> bool {
        let Some(stream) = self.streams.remove(&conn) else { return false };
        let Some((name, _)) = stream.node.as_ref().and_then(workload) else { return false };
        match end {
            End::InOrder => self.leases.leave(&name, StreamId(conn.0)),
            End::Broken => {
                self.leases.lose(&name, StreamId(conn.0), now);
                true
            }
        }
    }

    /// A stream gets what the newest world means for its node, if that may have changed, and says what is to be sent.
    pub(crate) fn refresh(
        &mut self,
        conn: ConnId,
        histories: &mut [History],
        stale: Option<&mut Random>,
    ) -> Result<Vec<Vec<u8>>, String> {
        let Some(stream) = self.streams.get_mut(&conn) else { return Ok(vec![]) };
        stream.woken = false;
        if let Some(node) = stream.node.as_mut().filter(|_| stream.seen != self.world.generation) {
            node.uses.clone_from(stream.session.uses());
            let set = self.world.compile(node);
            if let Some((from, kind, name)) = set.dangling().first() {
                return Err(format!(
                    "compiled for {}: {from} refers to the {kind} {name}, which is not there",
                    node.id
                ));
            }
            let encoded = self.encoder.encode(&set, node.target);
            histories[stream.peer].record(self.world.generation, &marks(&encoded, node.target));
            match stale.and_then(|random| self.older.as_ref().filter(|_| random.below(4) == 0)) {
                None => stream.session.update(&encoded),
                Some(older) => stream.session.update(&self.encoder.encode(&older.compile(node), node.target)),
            }
            stream.seen = self.world.generation;
        }
        let mut outputs = Vec::new();
        while let Some(response) = stream.session.poll_output() {
            outputs.push(stream.give(response)?);
        }
        Ok(outputs)
    }

    /// The streams that have not heard of the newest world, each once.
    pub(crate) fn wake(&mut self) -> Vec<ConnId> {
        let asleep = |(conn, stream): (&ConnId, &mut Stream)| {
            (!std::mem::replace(&mut stream.woken, true)).then_some(*conn)
        };
        self.streams.iter_mut().filter_map(asleep).collect()
    }

    /// Whether a stream has said whose it is.
    pub(crate) fn knows(&self, conn: ConnId) -> bool {
        self.streams.get(&conn).is_some_and(|stream| stream.node.is_some())
    }

    /// What an operator's batch means for the store; why not, if it is refused.
    pub(crate) fn judge(&self, disk: &Disk, edits: &[Edit], unix_millis: u64) -> Result<Vec<Change>, String> {
        let mut objects: BTreeMap<String, Object> = objects(disk.state())?;
        let mut changes = Vec::new();
        for edit in edits {
            match edit {
                Edit::Delete(key) => {
                    objects.remove(key);
                    changes.push(Change::Delete { key: key.clone() });
                }
                Edit::Put(document) => {
                    let parsed = weir_policy::parse_value(document.clone(), "document");
                    let mut object = parsed
                        .map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
                    let key = object.id.key();
                    let created = objects.get(&key).and_then(|known| known.metadata.created_millis);
                    object.metadata.created_millis = Some(created.unwrap_or(unix_millis));
                    changes.push(Change::Put { key: key.clone(), value: object.to_stored().into() });
                    objects.insert(key, object);
                }
            }
        }
        let wrong = weir_policy::validate(objects.values());
        match wrong.iter().find(|one| one.severity == Severity::Error) {
            Some(error) => Err(error.to_string()),
            None => Ok(changes),
        }
    }

    /// Why a stream is not in sync with the newest world, if it is not.
    pub(crate) fn behind(&self, conn: ConnId) -> Option<String> {
        let Some(stream) = self.streams.get(&conn) else { return Some("it has no stream".to_owned()) };
        if stream.node.is_some() && stream.seen != self.world.generation {
            return Some(format!("it has seen generation {} of {}", stream.seen, self.world.generation));
        }
        let open = stream.session.status().into_iter().find(|one| {
            one.nack.is_some() || one.wanted.is_none() || one.wanted != one.acked || one.sent != one.acked
        });
        match (open, stream.session.settled() || stream.node.is_none()) {
            (Some(open), _) => Some(format!("its status says {open:?}")),
            (None, false) => Some("its session is not settled".to_owned()),
            (None, true) => None,
        }
    }
}

impl Stream {
    fn take(&mut self, bytes: &[u8]) -> Result<Vec<ServerEvent>, String> {
        let (request, type_url, nonce): (server::Request, _, _) = if self.sotw {
            let it = DiscoveryRequest::decode(bytes).map_err(|error| error.to_string())?;
            let (type_url, nonce) = (it.type_url.clone(), it.response_nonce.clone());
            (it.into(), type_url, nonce)
        } else {
            let it = DeltaDiscoveryRequest::decode(bytes).map_err(|error| error.to_string())?;
            let (type_url, nonce) = (it.type_url.clone(), it.response_nonce.clone());
            self.draining |= it.node.as_ref().is_some_and(weir_xds::node::is_draining);
            (it.into(), type_url, nonce)
        };
        if self.unanswered.get(&type_url) == Some(&nonce) {
            self.unanswered.remove(&type_url);
        }
        self.session.receive(request).map_err(|error| format!("an honest client is told off: {error}"))
    }

    /// A response goes out; there may be one of a type at a time.
    fn give(&mut self, response: server::Response) -> Result<Vec<u8>, String> {
        let (type_url, nonce, bytes) = match response {
            server::Response::Sotw(it) => (it.type_url.clone(), it.nonce.clone(), it.encode_to_vec()),
            server::Response::Delta(it) => (it.type_url.clone(), it.nonce.clone(), it.encode_to_vec()),
        };
        match self.unanswered.insert(type_url, nonce) {
            Some(earlier) => Err(format!("a response goes out while #{earlier} of its type is not answered")),
            None => Ok(bytes),
        }
    }
}

impl World {
    fn new(generation: u64, revision: Revision, mesh: Mesh) -> Self {
        let mesh = Arc::new(mesh);
        Self { generation, revision, compiler: RefCell::new(Compiler::new(mesh.clone())), mesh }
    }

    /// What a node is to have.
    pub(crate) fn compile(&self, node: &Node) -> ResourceSet {
        self.compiler.borrow_mut().compile(node).resources
    }
}

/// What a node that gets a set will see on the wire.
pub(crate) fn marks(set: &EncodedSet, target: Target) -> BTreeMap<Key, Mark> {
    let mut marks = BTreeMap::new();
    for kind in ResourceType::ALL {
        for (name, encoded) in set.of(kind) {
            let mark = match target {
                Target::Weir => encoded.version.0,
                Target::Envoy | Target::Grpc => wire::mark(&encoded.any),
            };
            marks.insert((kind, name.to_owned()), mark);
        }
    }
    marks
}

/// The documents of a state.
pub(crate) fn documents(state: &State) -> Documents {
    let read = |(key, entry): (&String, &weir_store::Entry)| {
        Some((key.clone(), serde_json::from_slice(&entry.value).ok()?))
    };
    state.entries.iter().filter_map(read).collect()
}

fn objects(state: &State) -> Result<BTreeMap<String, Object>, String> {
    let read = |(key, entry): (&String, &weir_store::Entry)| match Object::from_stored(&entry.value) {
        Ok(object) => Ok((key.clone(), object)),
        Err(all) => Err(format!("{key} in the store cannot be read: {all:?}")),
    };
    state.entries.iter().map(read).collect()
}

fn mesh(
    parsed: &mut BTreeMap<String, (Revision, Arc<Object>)>,
    state: &State,
    joined: BTreeMap<Name, Workload>,
) -> Result<Mesh, String> {
    parsed
        .retain(|key, (modified, _)| state.entries.get(key).is_some_and(|entry| entry.modified == *modified));
    for (key, entry) in state.entries.iter() {
        if !parsed.contains_key(key) {
            let object =
                Object::from_stored(&entry.value).map_err(|all| format!("{key} cannot be read: {all:?}"))?;
            parsed.insert(key.clone(), (entry.modified, Arc::new(object)));
        }
    }
    let mut mesh = weir_policy::to_mesh(parsed.values().map(|(_, object)| &**object));
    for (name, workload) in joined {
        mesh.workloads.entry(name).or_insert(workload);
    }
    Ok(mesh)
}
