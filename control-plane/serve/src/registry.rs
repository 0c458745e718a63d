//! Who is connected, and what each of them serves. Written by the streams, read by `Status`, CSDS, `Validate` and metrics.

use dashmap::DashMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use weir_model::node::Node;
use weir_model::{Diagnostic, Time};
use weir_xds::{ResourceStatus, ServerSession};

/// How long a node is remembered after its stream ended.
pub const FORGET: Duration = Duration::from_secs(600);
/// Most nodes remembered, the connected ones included.
pub const NODES: usize = 100_000;

/// What is known of one node.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// Who it says it is.
    pub node: Node,
    /// Its software and version, as it says.
    pub version: String,
    /// Where its stream comes from.
    pub peer: String,
    /// `delta` or `sotw`.
    pub protocol: &'static str,
    /// When its stream began, in milliseconds of Unix time.
    pub since_millis: u64,
    /// When its stream ended, if it did.
    pub ended: Option<Time>,
    /// The newest revision of which it acknowledged all that concerns it.
    pub serving: u64,
    /// Whether it acknowledged all that the newest revision means for it.
    pub in_sync: bool,
    /// Its session while the stream is open: what was sent and accepted, resource by resource.
    pub session: Option<Arc<Mutex<ServerSession>>>,
    /// What its target cannot express.
    pub diagnostics: Vec<Diagnostic>,
}

impl NodeState {
    /// Every resource it was sent or should have; nothing once its stream ended.
    pub fn resources(&self) -> Vec<ResourceStatus> {
        self.session.as_ref().map(|session| session.lock().status()).unwrap_or_default()
    }
}

/// How far a resource has come, in a word: `nacked`, `waiting` (not sent), `sent` (not answered), `acked`.
pub fn progress(status: &ResourceStatus) -> &'static str {
    match (&status.nack, status.sent, status.acked) {
        (Some(_), _, _) => "nacked",
        (None, None, None) => "waiting",
        (None, sent, acked) if sent == acked => "acked",
        (None, ..) => "sent",
    }
}

/// The nodes of one control plane, by their id.
#[derive(Debug, Default)]
pub struct Registry {
    nodes: DashMap<String, Arc<Mutex<NodeState>>>,
    streams: AtomicU64,
}

/// A stream's own entry; dropping it marks the node as gone.
#[derive(Debug)]
pub struct Entry {
    state: Arc<Mutex<NodeState>>,
}

impl Entry {
    /// Changes what is known of the node.
    pub fn update(&self, change: impl FnOnce(&mut NodeState)) {
        change(&mut self.state.lock());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.ended = Some(crate::plane::now());
        state.in_sync = false;
        state.session = None;
    }
}

impl Registry {
    /// A number no other stream of this process has.
    pub fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A node's stream began. A later stream of the same node takes its place.
    pub fn enter(
        &self,
        node: Node,
        version: String,
        peer: String,
        protocol: &'static str,
        session: Arc<Mutex<ServerSession>>,
    ) -> Entry {
        self.forget(crate::plane::now());
        let state = Arc::new(Mutex::new(NodeState {
            version,
            peer,
            protocol,
            since_millis: crate::plane::unix_millis(),
            ended: None,
            serving: 0,
            in_sync: false,
            session: Some(session),
            diagnostics: Vec::new(),
            node,
        }));
        let id = state.lock().node.id.clone();
        let known = self.nodes.len() < NODES || self.nodes.contains_key(&id);
        if known {
            self.nodes.insert(id, Arc::clone(&state));
        }
        Entry { state }
    }

    /// Everything known, in order of node id.
    pub fn all(&self) -> Vec<NodeState> {
        let mut all: Vec<NodeState> = self.nodes.iter().map(|entry| entry.value().lock().clone()).collect();
        all.sort_by(|a, b| a.node.id.cmp(&b.node.id));
        all
    }

    /// What is known of one node.
    pub fn get(&self, id: &str) -> Option<NodeState> {
        self.nodes.get(id).map(|entry| entry.value().lock().clone())
    }

    /// How many streams are open.
    pub fn connected(&self) -> usize {
        self.nodes.iter().filter(|entry| entry.value().lock().ended.is_none()).count()
    }

    /// How many are connected and do not serve what the newest revision means for them.
    pub fn behind(&self) -> usize {
        let behind = |state: &NodeState| state.ended.is_none() && !state.in_sync;
        self.nodes.iter().filter(|entry| behind(&entry.value().lock())).count()
    }

    fn forget(&self, now: Time) {
        if self.nodes.len() > NODES / 2 || (now.0 >> 10).is_multiple_of(64) {
            self.nodes.retain(|_, state| state.lock().ended.is_none_or(|ended| now.since(ended) < FORGET));
        }
    }
}
