//! A control plane for tests: a real gRPC server on a real socket, with a simple incremental ADS written independently of the
//! sessions in `weir_xds`, so that the client is not tested against its own misunderstandings.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use weir_model::node::Target;
use weir_model::{Resource, ResourceType};
use weir_proto::envoy::envoy::service::discovery::v3 as pb;
use weir_proto::envoy::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use weir_proto::envoy::google::protobuf::Any;
use weir_xds::codec;

/// By type URL and name: version and message.
type World = BTreeMap<(String, String), (String, Any)>;
type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The server, with everything it was sent.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    world: watch::Sender<World>,
    log: Arc<Mutex<Vec<pb::DeltaDiscoveryRequest>>>,
    open: watch::Receiver<usize>,
    held: watch::Sender<bool>,
    runtime: Option<tokio::runtime::Runtime>,
}

struct Service {
    world: watch::Receiver<World>,
    log: Arc<Mutex<Vec<pb::DeltaDiscoveryRequest>>>,
    open: watch::Sender<usize>,
    held: watch::Receiver<bool>,
}

impl Fake {
    /// On this address; port 0 for any.
    pub(super) fn start(address: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std({
                let listener = weir_runtime::net::bind(address, Default::default()).unwrap();
                listener.set_nonblocking(true).unwrap();
                listener
            })
            .unwrap()
        };
        let address = listener.local_addr().unwrap();
        let (world, watched) = watch::channel(World::new());
        let (open, opened) = watch::channel(0);
        let log = Arc::default();
        let (held, hold) = watch::channel(false);
        let service = Service { world: watched, log: Arc::clone(&log), open, held: hold };
        let server = tonic::transport::Server::builder()
            .add_service(AggregatedDiscoveryServiceServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(server);
        Self { address, world, log, open: opened, held, runtime: Some(runtime) }
    }

    /// Dies without a word, connections and all.
    pub(super) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub(super) fn put(&self, resources: &[Resource]) {
        self.world.send_modify(|world| {
            for resource in resources {
                let any = codec::encode(resource, Target::Weir);
                world.insert(
                    (any.type_url.clone(), resource.name().to_owned()),
                    (resource.version().to_string(), any),
                );
            }
        });
    }

    /// A message that only looks like a resource.
    pub(super) fn put_garbage(&self, kind: ResourceType, name: &str) {
        let any = Any { type_url: codec::type_url(kind).to_owned(), value: vec![0xff; 16] };
        let garbage = ("garbage".to_owned(), any.clone());
        self.world.send_modify(|world| {
            world.insert((any.type_url, name.to_owned()), garbage);
        });
    }

    pub(super) fn take(&self, kind: ResourceType, name: &str) {
        self.world.send_modify(|world| {
            world.remove(&(codec::type_url(kind).to_owned(), name.to_owned()));
        });
    }

    /// Everything that was received so far.
    pub(super) fn received(&self) -> Vec<pb::DeltaDiscoveryRequest> {
        self.log.lock().unwrap().clone()
    }

    /// Whether streams that the sidecar has ended stay open from this side.
    pub(super) fn hold_farewells(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// Waits until this many streams are open.
    pub(super) async fn streams(&self, count: usize) {
        self.open.clone().wait_for(|open| *open == count).await.unwrap();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Outgoing<pb::DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Outgoing<pb::DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<pb::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only incremental"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<pb::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (send, receive) = mpsc::channel(64);
        let mut requests = request.into_inner();
        // As some servers do: no headers before the first request.
        let Some(first) = requests.message().await? else { return Err(Status::cancelled("nothing asked")) };
        let stream =
            StreamState { world: self.world.clone(), log: self.log.clone(), ..StreamState::new(send) };
        let (open, mut held, send) = (self.open.clone(), self.held.clone(), stream.send.clone());
        tokio::spawn(async move {
            open.send_modify(|open| *open += 1);
            stream.run(first, requests).await;
            open.send_modify(|open| *open -= 1);
            let _ = held.wait_for(|held| !held).await;
            drop(send);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }
}

struct StreamState {
    world: watch::Receiver<World>,
    log: Arc<Mutex<Vec<pb::DeltaDiscoveryRequest>>>,
    send: mpsc::Sender<Result<pb::DeltaDiscoveryResponse, Status>>,
    /// By type URL.
    names: BTreeMap<String, BTreeSet<String>>,
    /// What the client has; no version for what it was told is not there.
    known: BTreeMap<(String, String), Option<String>>,
    nonce: u64,
}

impl StreamState {
    fn new(send: mpsc::Sender<Result<pb::DeltaDiscoveryResponse, Status>>) -> Self {
        let world = watch::channel(World::new()).1;
        Self { world, log: Arc::default(), send, names: BTreeMap::new(), known: BTreeMap::new(), nonce: 0 }
    }

    async fn run(
        mut self,
        first: pb::DeltaDiscoveryRequest,
        mut requests: Streaming<pb::DeltaDiscoveryRequest>,
    ) {
        self.request(first);
        loop {
            if self.respond().await.is_err() {
                return;
            }
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.request(request),
                    Ok(None) | Err(_) => return,
                },
                changed = self.world.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    fn request(&mut self, request: pb::DeltaDiscoveryRequest) {
        let names = self.names.entry(request.type_url.clone()).or_default();
        for name in &request.resource_names_unsubscribe {
            names.remove(name);
            self.known.remove(&(request.type_url.clone(), name.clone()));
        }
        for name in &request.resource_names_subscribe {
            names.insert(name.clone());
        }
        for (name, version) in &request.initial_resource_versions {
            self.known.insert((request.type_url.clone(), name.clone()), Some(version.clone()));
        }
        self.log.lock().unwrap().push(request);
    }

    /// Sends whatever the client should have and does not.
    async fn respond(&mut self) -> Result<(), ()> {
        let world = self.world.borrow_and_update().clone();
        for kind in
            [ResourceType::Cluster, ResourceType::Endpoints, ResourceType::Listener, ResourceType::Route]
        {
            let url = codec::type_url(kind).to_owned();
            let Some(names) = self.names.get(&url) else { continue };
            // A name that is asked for is no part of what a wildcard means.
            let own =
                |name: &str| names.contains("*") && (kind == ResourceType::Cluster || name.contains('/'));
            let mut response = pb::DeltaDiscoveryResponse { type_url: url.clone(), ..Default::default() };
            for ((_, name), (version, any)) in world.iter().filter(|((of, _), _)| *of == url) {
                let key = (url.clone(), name.clone());
                let news = self.known.get(&key) != Some(&Some(version.clone()));
                if news && (names.contains(name) || own(name)) {
                    self.known.insert(key, Some(version.clone()));
                    response.resources.push(pb::Resource {
                        name: name.clone(),
                        version: version.clone(),
                        resource: Some(any.clone()),
                        ..Default::default()
                    });
                }
            }
            let held = self.known.iter().filter(|((of, _), version)| *of == url && version.is_some());
            let held = held.map(|((_, name), _)| name.clone());
            let asked = names
                .iter()
                .filter(|name| *name != "*" && !self.known.contains_key(&(url.clone(), (*name).clone())));
            let gone: BTreeSet<String> = held
                .chain(asked.cloned())
                .filter(|name| !world.contains_key(&(url.clone(), name.clone())))
                .collect();
            for name in &gone {
                self.known.insert((url.clone(), name.clone()), None);
            }
            response.removed_resources = gone.into_iter().collect();
            if response.resources.is_empty() && response.removed_resources.is_empty() {
                continue;
            }
            self.nonce += 1;
            response.nonce = self.nonce.to_string();
            response.system_version_info = format!("world {}", world.len());
            self.send.send(Ok(response)).await.map_err(|_| ())?;
        }
        Ok(())
    }
}
