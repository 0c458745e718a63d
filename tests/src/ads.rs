//! An incremental ADS server of the test's own: it hands each node its resources, in the order make-before-break asks for, and notes what
//! the node says to each. It shares no code with weir's control plane, so that the sidecar is shown to take standard xDS from any server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use weir_proto::envoy::envoy::service::discovery::v3 as pb;
use weir_proto::envoy::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use weir_proto::envoy::google::protobuf::Any;

/// What is sent first is there when what refers to it comes.
const ORDER: [&str; 4] = [
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
];

/// A resource: its type and its name.
type Key = (String, String);
type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A resource that a node refused, in its words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Its name.
    pub name: String,
    /// Why.
    pub message: String,
}

/// The server.
pub struct Ads {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    // Dropped last: everything ends with it.
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    state: Mutex<State>,
    answered: Condvar,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    versions: u64,
    nodes: BTreeMap<String, Node>,
}

#[derive(Default)]
struct Node {
    resources: BTreeMap<Key, (u64, Any)>,
    /// The version that was answered, and the refusal if it was one.
    answers: BTreeMap<Key, (u64, Option<String>)>,
}

impl Ads {
    /// Starts it on a port nobody else has.
    pub fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            answered: Condvar::new(),
            changed: watch::channel(0).0,
        });
        let service = AggregatedDiscoveryServiceServer::new(Service(shared.clone()))
            .max_decoding_message_size(64 << 20)
            .max_encoding_message_size(64 << 20);
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(server);
        Self { address, shared, _runtime: runtime }
    }

    /// Adds or replaces resources of a node; by name.
    pub fn put(&self, node: &str, resources: Vec<(String, Any)>) {
        self.change(node, |node, version| {
            for (name, any) in resources {
                node.resources.insert((any.type_url.clone(), name), (version, any));
            }
        });
    }

    /// Takes a resource away.
    pub fn remove(&self, node: &str, type_url: &str, name: &str) {
        let key = (type_url.to_owned(), name.to_owned());
        self.change(node, |node, _| {
            node.resources.remove(&key);
            node.answers.remove(&key);
        });
    }

    fn change(&self, node: &str, change: impl FnOnce(&mut Node, u64)) {
        let mut state = self.shared.state.lock().unwrap();
        state.versions += 1;
        let version = state.versions;
        change(state.nodes.entry(node.to_owned()).or_default(), version);
        drop(state);
        self.shared.changed.send_replace(version);
    }

    /// Waits until a node has taken or refused each of its resources, and says which it refused.
    #[allow(clippy::disallowed_methods, reason = "tests of real processes wait in real time")]
    pub fn settled(&self, node: &str, limit: Duration) -> Result<Vec<Refusal>, String> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.state.lock().unwrap();
        loop {
            let Some(known) = state.nodes.get(node) else { return Ok(vec![]) };
            let open = known.resources.iter().find(|(key, (version, _))| {
                known.answers.get(*key).is_none_or(|(answered, _)| answered != version)
            });
            let Some(((_, name), _)) = open else {
                let refused = known.answers.iter().filter_map(|((_, name), (_, refusal))| {
                    Some(Refusal { name: name.clone(), message: refusal.clone()? })
                });
                return Ok(refused.collect());
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("{node} has not answered to {name} within {limit:?}"));
            }
            state = self.shared.answered.wait_timeout(state, left).unwrap().0;
        }
    }
}

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Outgoing<pb::DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Outgoing<pb::DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<pb::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("incremental only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<pb::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (out, responses) = mpsc::channel(16);
        tokio::spawn(serve(self.0.clone(), request.into_inner(), out));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }
}

async fn serve(
    shared: Arc<Shared>,
    mut requests: Streaming<pb::DeltaDiscoveryRequest>,
    out: mpsc::Sender<Result<pb::DeltaDiscoveryResponse, Status>>,
) {
    let mut changed = shared.changed.subscribe();
    let mut session = Session::default();
    loop {
        tokio::select! {
            request = requests.message() => match request {
                Ok(Some(request)) => session.take(&shared, request),
                Ok(None) | Err(_) => return,
            },
            changed = changed.changed() => if changed.is_err() { return },
        }
        for response in session.due(&shared) {
            if out.send(Ok(response)).await.is_err() {
                return;
            }
        }
    }
}

/// One stream.
#[derive(Default)]
struct Session {
    node: String,
    subscriptions: BTreeMap<String, Subscription>,
    /// The version that was sent; none where it was said that there is none.
    sent: BTreeMap<Key, Option<u64>>,
    nonces: u64,
    /// Responses without an answer, by nonce.
    open: BTreeMap<String, Vec<(Key, u64)>>,
}

#[derive(Default)]
struct Subscription {
    wildcard: bool,
    names: BTreeSet<String>,
}

impl Session {
    fn take(&mut self, shared: &Shared, request: pb::DeltaDiscoveryRequest) {
        if let Some(node) = request.node.filter(|node| !node.id.is_empty()) {
            self.node = node.id;
        }
        let kind = request.type_url;
        let first = !self.subscriptions.contains_key(&kind);
        let subscription = self.subscriptions.entry(kind.clone()).or_default();
        // A first request without names asks for everything.
        subscription.wildcard |= first && request.resource_names_subscribe.is_empty();
        for name in request.resource_names_subscribe {
            match name.as_str() {
                "*" => subscription.wildcard = true,
                _ => {
                    self.sent.remove(&(kind.clone(), name.clone()));
                    subscription.names.insert(name);
                }
            }
        }
        for name in request.resource_names_unsubscribe {
            match name.as_str() {
                "*" => subscription.wildcard = false,
                _ => {
                    subscription.names.remove(&name);
                    self.sent.remove(&(kind.clone(), name));
                }
            }
        }
        let Some(answered) = self.open.remove(&request.response_nonce) else { return };
        let refusal = request.error_detail.map(|detail| detail.message);
        let mut state = shared.state.lock().unwrap();
        let node = state.nodes.entry(self.node.clone()).or_default();
        for (key, version) in answered {
            node.answers.insert(key, (version, refusal.clone()));
        }
        drop(state);
        shared.answered.notify_all();
    }

    /// What the node does not have yet.
    fn due(&mut self, shared: &Shared) -> Vec<pb::DeltaDiscoveryResponse> {
        let state = shared.state.lock().unwrap();
        let none = Node::default();
        let node = state.nodes.get(&self.node).unwrap_or(&none);
        let mut due = Vec::new();
        for kind in ORDER {
            let Some(subscription) = self.subscriptions.get(kind) else { continue };
            let mut response = pb::DeltaDiscoveryResponse { type_url: kind.to_owned(), ..Default::default() };
            let mut open = Vec::new();
            let of_kind = node.resources.iter().filter(|((other, _), _)| other == kind);
            for (key, (version, any)) in of_kind {
                let wanted = subscription.wildcard || subscription.names.contains(&key.1);
                if !wanted || self.sent.get(key) == Some(&Some(*version)) {
                    continue;
                }
                response.resources.push(pb::Resource {
                    name: key.1.clone(),
                    version: version.to_string(),
                    resource: Some(any.clone()),
                    ..Default::default()
                });
                self.sent.insert(key.clone(), Some(*version));
                open.push((key.clone(), *version));
            }
            let known = self.sent.iter().filter(|((other, _), sent)| other == kind && sent.is_some());
            let mut gone: BTreeSet<String> = known.map(|((_, name), _)| name.clone()).collect();
            let never = |name: &&String| !self.sent.contains_key(&(kind.to_owned(), (*name).clone()));
            gone.extend(subscription.names.iter().filter(never).cloned());
            gone.retain(|name| !node.resources.contains_key(&(kind.to_owned(), name.clone())));
            for name in &gone {
                self.sent.insert((kind.to_owned(), name.clone()), None);
            }
            response.removed_resources = gone.into_iter().collect();
            if response.resources.is_empty() && response.removed_resources.is_empty() {
                continue;
            }
            self.nonces += 1;
            response.nonce = self.nonces.to_string();
            response.system_version_info = state.versions.to_string();
            self.open.insert(response.nonce.clone(), open);
            due.push(response);
        }
        due
    }
}
