//! Policy and workloads become the mesh: one immutable [`World`] after another, published whole.
//!
//! Whatever changes (an accepted batch, a workload that joins or leaves) rebuilds the world from the store's state and the leases. There is no
//! incremental index to keep right: objects that did not change are not parsed again, and that is all that is remembered.

use crate::access::Refusals;
use crate::leases::{JoinError, Leases, StreamId, persist};
use crate::loads::Loads;
use crate::propagation::Propagation;
use crate::registry::Registry;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use weir_compile::Compiler;
use weir_model::mesh::{Mesh, Name, Workload};
use weir_model::node::Node;
use weir_model::{Diagnostic, Time};
use weir_policy::{Object, ObjectId};
use weir_store::{Revision, State, Store};
use weir_xds::{EncodedSet, Encoder};

/// Leases are written at most this often.
const PERSIST_EVERY: Duration = Duration::from_millis(200);
/// How long a sidecar that leaves waits at most for the others to hear of it.
pub const HEARD: Duration = Duration::from_secs(5);
/// Classes of nodes remembered per world.
const CLASSES: usize = 4096;

/// The monotonic clock, as pure crates take it.
pub fn now() -> Time {
    Time(weir_runtime::clock::now().nanos())
}

/// The wall clock, in milliseconds of Unix time.
pub fn unix_millis() -> u64 {
    weir_runtime::clock::unix_nanos() / 1_000_000
}

/// The objects of one revision, by what names them.
pub type Objects = BTreeMap<ObjectId, Arc<Object>>;

/// The mesh at one moment.
pub struct World {
    /// Counts the worlds of this process.
    pub generation: u64,
    /// The policy's revision.
    pub revision: Revision,
    /// When this revision was first seen here; right after it became durable.
    pub written: Time,
    /// Policy and workloads.
    pub mesh: Arc<Mesh>,
    encoder: Arc<Mutex<Encoder>>,
    classes: Mutex<Classes>,
}

/// The nodes of one world have most in common: a class is compiled once, and what classes share is compiled once for all of them.
struct Classes {
    compiler: Compiler<Arc<Mesh>>,
    known: HashMap<Node, Arc<Compilation>>,
}

/// What a node is to enforce, encoded for it.
#[derive(Debug)]
pub struct Compilation {
    /// The resources.
    pub set: EncodedSet,
    /// What its target cannot express.
    pub diagnostics: Vec<Diagnostic>,
}

impl World {
    fn new(
        generation: u64,
        revision: Revision,
        written: Time,
        mesh: Mesh,
        encoder: Arc<Mutex<Encoder>>,
    ) -> Self {
        let mesh = Arc::new(mesh);
        let classes = Classes { compiler: Compiler::new(Arc::clone(&mesh)), known: HashMap::new() };
        Self { generation, revision, written, mesh, encoder, classes: Mutex::new(classes) }
    }

    /// What a node is to enforce. Nodes that differ only in their id share the answer.
    pub fn compile(&self, node: &Node) -> Arc<Compilation> {
        let class = Node { id: String::new(), ..node.clone() };
        let mut classes = self.classes.lock();
        if let Some(compiled) = classes.known.get(&class) {
            return Arc::clone(compiled);
        }
        let compiled = classes.compiler.compile(&class);
        let set = self.encoder.lock().encode(&compiled.resources, class.target);
        let compiled = Arc::new(Compilation { set, diagnostics: compiled.diagnostics });
        if classes.known.len() < CLASSES {
            classes.known.insert(class, Arc::clone(&compiled));
        }
        compiled
    }
}

/// Everything the shells share.
pub struct Plane {
    /// Policy, kept.
    pub store: Arc<dyn Store>,
    /// Who is connected.
    pub registry: Registry,
    /// What sidecars report.
    pub loads: Loads,
    /// How long changes take.
    pub propagation: Mutex<Propagation>,
    /// Who was refused, and why.
    pub refusals: Refusals,
    leases: Mutex<Leases>,
    leases_changed: Notify,
    dir: Option<PathBuf>,
    worlds: watch::Sender<Arc<World>>,
    parsed: Mutex<Parsed>,
    encoder: Arc<Mutex<Encoder>>,
}

/// Objects as they were last parsed, so that a change costs what it changes.
#[derive(Default)]
struct Parsed {
    objects: HashMap<String, (Revision, Arc<Object>)>,
}

impl Parsed {
    fn of(&mut self, state: &State) -> Result<Objects, Vec<Diagnostic>> {
        let mut objects = Objects::new();
        let mut errors = Vec::new();
        for (key, entry) in state.entries.iter() {
            let known = self.objects.get(key).filter(|(modified, _)| *modified == entry.modified);
            let object = match known {
                Some((_, object)) => Arc::clone(object),
                None => match Object::from_stored(&entry.value) {
                    Ok(object) => Arc::new(object),
                    Err(more) => {
                        errors.extend(more);
                        continue;
                    }
                },
            };
            self.objects.insert(key.clone(), (entry.modified, Arc::clone(&object)));
            objects.insert(object.id.clone(), object);
        }
        if self.objects.len() > state.entries.len() {
            self.objects.retain(|key, _| state.entries.contains_key(key));
        }
        if errors.is_empty() { Ok(objects) } else { Err(errors) }
    }
}

impl Plane {
    /// A control plane over a store. With `dir`, workloads that joined are remembered there across restarts.
    ///
    /// # Errors
    /// What in the store this version cannot read. Nothing is served then: half of a policy may be worse than none.
    pub fn new(store: Arc<dyn Store>, dir: Option<PathBuf>) -> Result<Arc<Self>, Vec<Diagnostic>> {
        let mut leases = Leases::default();
        if let Some(dir) = &dir {
            match persist::load(dir) {
                Ok(workloads) => leases.restore(workloads, now()),
                Err(why) => tracing::warn!("the list of joined workloads cannot be used: {why}"),
            }
        }
        let state = store.state();
        let mut parsed = Parsed::default();
        let mesh = mesh_of(&parsed.of(&state)?, leases.workloads());
        let encoder = Arc::<Mutex<Encoder>>::default();
        let first = World::new(1, state.revision, now(), mesh, Arc::clone(&encoder));
        let (worlds, _) = watch::channel(Arc::new(first));
        Ok(Arc::new(Self {
            store,
            registry: Registry::default(),
            loads: Loads::default(),
            propagation: Mutex::default(),
            refusals: Refusals::default(),
            leases: Mutex::new(leases),
            leases_changed: Notify::new(),
            dir,
            worlds,
            parsed: Mutex::new(parsed),
            encoder,
        }))
    }

    /// A world of a mesh that no store holds.
    #[cfg(test)]
    pub(crate) fn world_of(&self, mesh: Mesh) -> World {
        World::new(1, Revision(1), now(), mesh, Arc::clone(&self.encoder))
    }

    /// The worlds, from the current one on.
    pub fn worlds(&self) -> watch::Receiver<Arc<World>> {
        self.worlds.subscribe()
    }

    /// The current world.
    pub fn world(&self) -> Arc<World> {
        self.worlds.borrow().clone()
    }

    /// The objects of a state.
    ///
    /// # Errors
    /// What in it this version cannot read.
    pub fn objects(&self, state: &State) -> Result<Objects, Vec<Diagnostic>> {
        self.parsed.lock().of(state)
    }

    /// The mesh that a set of objects would make with the workloads that run now.
    pub fn mesh_with(&self, objects: &Objects) -> Mesh {
        mesh_of(objects, self.leases.lock().workloads())
    }

    /// A sidecar's stream says that a workload runs.
    ///
    /// # Errors
    /// No more can join.
    pub fn join(&self, name: Name, workload: Workload, stream: StreamId) -> Result<(), JoinError> {
        if self.leases.lock().join(name, workload, stream)? {
            self.leases_changed.notify_one();
        }
        Ok(())
    }

    /// Its stream ended: in order, or it broke. Says whether other nodes will be told something else of it at once.
    pub fn part(&self, name: &Name, stream: StreamId, in_order: bool) -> bool {
        let mut leases = self.leases.lock();
        let changed = if in_order {
            leases.leave(name, stream)
        } else {
            leases.lose(name, stream, now());
            false
        };
        drop(leases);
        self.leases_changed.notify_one();
        changed
    }

    /// Waits, for at most [`HEARD`], until every node that is connected has answered a world without this workload: then none
    /// of them sends it anything new.
    pub async fn heard_without(&self, name: &Name, workload: &Workload) {
        let heard = async {
            let mut worlds = self.worlds();
            let without = |world: &Arc<World>| world.mesh.workloads.get(name) != Some(workload);
            let generation = worlds.wait_for(without).await.map(|world| world.generation);
            if let Ok(generation) = generation {
                self.registry.settled(generation).await;
            }
        };
        if tokio::time::timeout(HEARD, heard).await.is_err() {
            tracing::info!(
                "not every node has acknowledged within {HEARD:?} that the workload {name} is gone"
            );
        }
    }

    /// How many workloads have joined.
    pub fn joined(&self) -> usize {
        self.leases.lock().workloads().len()
    }

    /// Publishes a world for every change, for as long as the future is polled.
    pub async fn run(&self) {
        let mut revisions = self.store.watch();
        revisions.mark_changed();
        let mut saved = BTreeMap::new();
        let mut save_at: Option<Time> = None;
        loop {
            let (expiry, save) = (self.leases.lock().deadline(), save_at);
            let at = |time: Option<Time>| async move {
                match time {
                    Some(time) => tokio::time::sleep(time.since(now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = revisions.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = self.leases_changed.notified() => {}
                () = at(expiry) => {
                    self.leases.lock().expire(now());
                }
                () = at(save) => {
                    self.save(&mut saved).await;
                    save_at = None;
                    continue;
                }
            }
            let seen = now();
            let workloads = self.leases.lock().workloads();
            if workloads != saved && save_at.is_none() {
                save_at = Some(now() + PERSIST_EVERY);
            }
            self.publish(workloads, seen);
        }
    }

    /// Rebuilds the world; nobody is told if it is the same.
    fn publish(&self, workloads: BTreeMap<Name, Workload>, seen: Time) {
        let state = self.store.state();
        let objects = match self.objects(&state) {
            Ok(objects) => objects,
            Err(diagnostics) => {
                let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!("revision {} cannot be read and is not served: {first}", state.revision);
                return;
            }
        };
        let mesh = mesh_of(&objects, workloads);
        self.worlds.send_if_modified(|world| {
            if world.revision == state.revision && *world.mesh == mesh {
                return false;
            }
            let written = if world.revision == state.revision { world.written } else { seen };
            let encoder = Arc::clone(&self.encoder);
            *world = Arc::new(World::new(world.generation + 1, state.revision, written, mesh, encoder));
            true
        });
    }

    async fn save(&self, saved: &mut BTreeMap<Name, Workload>) {
        let Some(dir) = self.dir.clone() else { return };
        let workloads = self.leases.lock().workloads();
        let writing = workloads.clone();
        match tokio::task::spawn_blocking(move || persist::save(&dir, &writing)).await {
            Ok(Ok(())) => *saved = workloads,
            Ok(Err(error)) => tracing::warn!(
                "the list of joined workloads could not be written: {error}; is the disk full?"
            ),
            Err(error) => tracing::warn!("the list of joined workloads could not be written: {error}"),
        }
    }
}

fn mesh_of(objects: &Objects, joined: BTreeMap<Name, Workload>) -> Mesh {
    let mut mesh = weir_policy::to_mesh(objects.values().map(|object| &**object));
    for (name, workload) in joined {
        // A declared workload of the same name was written on purpose.
        mesh.workloads.entry(name).or_insert(workload);
    }
    mesh
}

#[cfg(test)]
mod tests;
