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

/// How often streams that are waited for are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

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
    /// The newest world of which it has answered all that concerns it.
    pub settled: u64,
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

/// What streams of one node are known, the latest last: while a process takes over from another one, and after a restart until
/// the end of the old stream was heard of, there are several. The last one is shown; one that ended only if it is the only one.
type Streams = Vec<Arc<Mutex<NodeState>>>;

/// Streams of one node that are remembered.
const STREAMS: usize = 8;

/// The nodes of one control plane, by their id.
#[derive(Debug, Default)]
pub struct Registry {
    nodes: Arc<DashMap<String, Streams>>,
    streams: AtomicU64,
}

/// A stream's own entry; dropping it marks the node as gone, unless another stream of it is open.
#[derive(Debug)]
pub struct Entry {
    state: Arc<Mutex<NodeState>>,
    nodes: Arc<DashMap<String, Streams>>,
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
        let id = state.node.id.clone();
        drop(state);
        if let Some(mut streams) = self.nodes.get_mut(&id)
            && streams.len() > 1
        {
            streams.retain(|stream| !Arc::ptr_eq(stream, &self.state));
        }
    }
}

impl Registry {
    /// A number no other stream of this process has.
    pub fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A node's stream began. It is shown in place of earlier streams of the same node, and those again if it ends first.
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
            settled: 0,
            session: Some(session),
            diagnostics: Vec::new(),
            node,
        }));
        let id = state.lock().node.id.clone();
        let known = self.nodes.len() < NODES || self.nodes.contains_key(&id);
        if known {
            let mut streams = self.nodes.entry(id).or_default();
            streams.retain(|stream| stream.lock().ended.is_none());
            if streams.len() == STREAMS {
                streams.remove(0);
            }
            streams.push(Arc::clone(&state));
        }
        Entry { state, nodes: Arc::clone(&self.nodes) }
    }

    /// Waits until every stream that is open now has answered all that a world means for it, or has ended.
    pub async fn settled(&self, generation: u64) {
        let open = |stream: &Arc<Mutex<NodeState>>| {
            let stream = stream.lock();
            stream.ended.is_none() && stream.settled < generation
        };
        let mut waited_for: Streams = self.nodes.iter().flat_map(|streams| streams.value().clone()).collect();
        loop {
            waited_for.retain(open);
            if waited_for.is_empty() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Everything known, in order of node id.
    pub fn all(&self) -> Vec<NodeState> {
        let mut all: Vec<NodeState> = self.nodes.iter().filter_map(|entry| shown(entry.value())).collect();
        all.sort_by(|a, b| a.node.id.cmp(&b.node.id));
        all
    }

    /// What is known of one node.
    pub fn get(&self, id: &str) -> Option<NodeState> {
        self.nodes.get(id).and_then(|entry| shown(entry.value()))
    }

    /// How many nodes are connected.
    pub fn connected(&self) -> usize {
        self.count(|state| state.ended.is_none())
    }

    /// How many are connected and do not serve what the newest revision means for them.
    pub fn behind(&self) -> usize {
        self.count(|state| state.ended.is_none() && !state.in_sync)
    }

    fn count(&self, counts: impl Fn(&NodeState) -> bool) -> usize {
        let last = |streams: &Streams| streams.last().is_some_and(|state| counts(&state.lock()));
        self.nodes.iter().filter(|entry| last(entry.value())).count()
    }

    fn forget(&self, now: Time) {
        if self.nodes.len() > NODES / 2 || (now.0 >> 10).is_multiple_of(64) {
            let remembered = |state: &NodeState| state.ended.is_none_or(|ended| now.since(ended) < FORGET);
            self.nodes.retain(|_, streams| streams.last().is_some_and(|state| remembered(&state.lock())));
        }
    }
}

fn shown(streams: &Streams) -> Option<NodeState> {
    streams.last().map(|state| state.lock().clone())
}

#[cfg(test)]
pub(crate) mod tests;
