//! Aggregated discovery: a tonic stream on one side, a [`ServerSession`] on the other. The session decides what is sent when; this only
//! moves messages, compiles for the node when the world or its subscriptions change, and tells the registry.

use crate::access::guard::status;
use crate::access::{self, Caller, Entrance, Who};
use crate::leases::{StreamId, workload};
use crate::plane::{Plane, World, now, unix_millis};
use crate::registry::Entry;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use weir_model::mesh::SERVICE_ACCOUNT;
use weir_model::node::Node;
use weir_model::{ResourceType, Time};
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use weir_proto::envoy::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use weir_xds::session::server;
use weir_xds::{ServerEvent, ServerSession};

/// Responses that wait for a slow reader. A session has at most one outstanding per type, so this is never the limit.
const QUEUE: usize = 8;

/// The service.
pub struct Ads {
    plane: Arc<Plane>,
}

impl Ads {
    /// Discovery from a control plane.
    pub fn new(plane: Arc<Plane>) -> Self {
        Self { plane }
    }

    /// Runs one stream. Response headers go out at once: some clients wait for them before they ask.
    fn serve<Q, S>(&self, request: Request<Streaming<Q>>, protocol: Protocol<S>) -> Response<Answers<S>>
    where
        Q: Into<server::Request> + Identity + Send + 'static,
        S: Send + 'static,
    {
        let peer = request.remote_addr().map(|peer| peer.to_string()).unwrap_or_default();
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.unwrap_or(Caller { who: Who::Anonymous, until: None });
        let (tx, rx) = mpsc::channel(QUEUE);
        let mut stream = AdsStream::new(Arc::clone(&self.plane), peer, caller, &protocol);
        tokio::spawn(async move {
            let ended = stream.run(request.into_inner(), &protocol, &tx).await;
            if let Err(status) = &ended {
                tracing::info!(node = stream.node_id(), "the stream of a node ended: {}", status.message());
            }
            stream.part(ended.is_ok()).await;
            if let Err(status) = ended {
                // A peer that is gone does not read it.
                let _gone = tx.try_send(Err(status));
            }
        });
        Response::new(Box::pin(ReceiverStream::new(rx)))
    }
}

type Answers<S> = Pin<Box<dyn Stream<Item = Result<S, Status>> + Send>>;

/// What differs between the two ways of speaking.
struct Protocol<S> {
    name: &'static str,
    session: fn() -> ServerSession,
    answer: fn(server::Response) -> Option<S>,
}

/// The software a request says it comes from; only the first request of a stream says.
trait Identity {
    fn node(&self) -> Option<&core::Node>;
}

impl Identity for DiscoveryRequest {
    fn node(&self) -> Option<&core::Node> {
        self.node.as_ref()
    }
}

impl Identity for DeltaDiscoveryRequest {
    fn node(&self) -> Option<&core::Node> {
        self.node.as_ref()
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let protocol =
            Protocol { name: "sotw", session: ServerSession::sotw, answer: server::Response::into_sotw };
        Ok(self.serve(request, protocol))
    }

    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let protocol =
            Protocol { name: "delta", session: ServerSession::delta, answer: server::Response::into_delta };
        Ok(self.serve(request, protocol))
    }
}

/// One stream and what it has come to.
struct AdsStream {
    plane: Arc<Plane>,
    id: StreamId,
    peer: String,
    /// Who it proved to be.
    caller: Caller,
    protocol: &'static str,
    session: Arc<Mutex<ServerSession>>,
    /// Who it is, once it said.
    node: Option<Node>,
    version: String,
    /// Whether it is a lease of the node's workload.
    leases: bool,
    entry: Option<Entry>,
    /// The world and the subscriptions the session was last updated for.
    seen: u64,
    /// The newest revision this node was compiled for.
    revision: u64,
    /// The oldest change that is on its way to the node.
    under_way: Option<(u64, Time)>,
}

impl AdsStream {
    fn new<S>(plane: Arc<Plane>, peer: String, caller: Caller, protocol: &Protocol<S>) -> Self {
        let id = StreamId(plane.registry.next_stream());
        Self {
            plane,
            id,
            peer,
            caller,
            protocol: protocol.name,
            session: Arc::new(Mutex::new((protocol.session)())),
            node: None,
            version: String::new(),
            leases: true,
            entry: None,
            seen: 0,
            revision: 0,
            under_way: None,
        }
    }

    fn node_id(&self) -> &str {
        self.node.as_ref().map_or("unknown", |node| &node.id)
    }

    /// Until the peer ends the stream in order, or something breaks it.
    async fn run<Q, S>(
        &mut self,
        mut requests: Streaming<Q>,
        protocol: &Protocol<S>,
        tx: &mpsc::Sender<Result<S, Status>>,
    ) -> Result<(), Status>
    where
        Q: Into<server::Request> + Identity,
    {
        let mut worlds = self.plane.worlds();
        worlds.mark_changed();
        let expired = expired(self.caller.until);
        tokio::pin!(expired);
        loop {
            tokio::select! {
                () = &mut expired => {
                    let message = "the certificate of this stream has expired; connect again with the next one";
                    return Err(Status::unauthenticated(message));
                }
                request = requests.next() => match request {
                    None => return Ok(()),
                    Some(request) => self.receive(request?)?,
                },
                changed = worlds.changed() => changed.map_err(|_| Status::unavailable("the control plane is stopping"))?,
            }
            self.refresh(&worlds.borrow_and_update().clone());
            loop {
                let output = self.session.lock().poll_output();
                let Some(response) = output.and_then(protocol.answer) else { break };
                tx.send(Ok(response)).await.map_err(|_| Status::cancelled("the peer reads no more"))?;
            }
            self.settle();
        }
    }

    fn receive<Q: Into<server::Request> + Identity>(&mut self, request: Q) -> Result<(), Status> {
        if let Some(node) = request.node().filter(|_| self.node.is_none()) {
            self.version = version(node);
            self.leases = !weir_xds::node::is_draining(node);
        }
        let events = self
            .session
            .lock()
            .receive(request)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        for event in events {
            match event {
                ServerEvent::Identified(node) => self.identify(node)?,
                ServerEvent::Subscribed { kind: ResourceType::Listener } => self.seen = 0,
                ServerEvent::Nacked { kind, resources, text, .. } => {
                    tracing::warn!(node = self.node_id(), "refused {kind} {}: {text}", resources.join(", "));
                }
                ServerEvent::Ignored { type_url } => {
                    tracing::debug!(node = self.node_id(), "asked for {type_url}, which is not served");
                }
                ServerEvent::Subscribed { .. } | ServerEvent::Acked { .. } => {}
            }
        }
        Ok(())
    }

    /// A workload may only ask for itself, and not under the name of a node that is another's.
    fn check(&self, node: &Node) -> Result<(), access::Refusal> {
        access::is_itself(&self.caller.who, &node.namespace, &node.service_account, SERVICE_ACCOUNT)?;
        let Who::Workload { account, .. } = &self.caller.who else { return Ok(()) };
        let known = self.plane.registry.get(&node.id);
        let other = known.filter(|known| {
            known.node.namespace != account.namespace() || known.node.service_account != account.name()
        });
        match other {
            Some(other) => Err(access::Refusal {
                reason: access::Reason::Node,
                message: format!(
                    "the node id {} is that of a workload of {}/{}, and this certificate is of {account}; choose another id",
                    node.id, other.node.namespace, other.node.service_account
                ),
            }),
            None => Ok(()),
        }
    }

    fn identify(&mut self, mut node: Node) -> Result<(), Status> {
        if let Err(refusal) = self.check(&node) {
            self.plane.refusals.note(Entrance::Xds, refusal.reason, &self.peer, &refusal.message);
            return Err(status(&refusal));
        }
        if let Who::Workload { account, .. } = &self.caller.who {
            // It may not have said; what it proved is what it is.
            node.service_account = account.name().to_owned();
        }
        let session = Arc::clone(&self.session);
        let (version, peer) = (std::mem::take(&mut self.version), std::mem::take(&mut self.peer));
        tracing::info!(node = node.id, target = %node.target, peer, "a node connected");
        self.entry = Some(self.plane.registry.enter(node.clone(), version, peer, self.protocol, session));
        if let Some((name, workload)) = workload(&node).filter(|_| self.leases) {
            let joined = self.plane.join(name, workload, self.id);
            joined.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        }
        self.node = Some(node);
        Ok(())
    }

    /// Hands the session what the node should have, if that may have changed.
    fn refresh(&mut self, world: &Arc<World>) {
        let Some(node) = self.node.as_mut().filter(|_| self.seen != world.generation) else { return };
        let mut session = self.session.lock();
        node.uses.clone_from(session.uses());
        let compiled = world.compile(node);
        session.update(&compiled.set);
        let changes = !session.settled();
        drop(session);
        if world.revision.0 > self.revision && changes && self.revision > 0 && self.under_way.is_none() {
            self.under_way = Some((world.revision.0, world.written));
        }
        (self.seen, self.revision) = (world.generation, world.revision.0);
        let uses = node.uses.clone();
        if let Some(entry) = &self.entry {
            entry.update(|state| {
                state.node.uses = uses;
                state.in_sync = false;
                state.diagnostics.clone_from(&compiled.diagnostics);
            });
        }
    }

    /// Notes whether the node has all there is.
    fn settle(&mut self) {
        let session = self.session.lock();
        let settled = self.node.is_some() && session.settled();
        if !settled {
            return;
        }
        let refused = session.status().iter().any(|status| status.nack.is_some());
        drop(session);
        if let Some((revision, written)) = self.under_way.take()
            && !refused
        {
            self.plane.propagation.lock().record(revision, now().since(written));
        }
        let (revision, seen) = (self.revision, self.seen);
        if let Some(entry) = &self.entry {
            entry.update(|state| {
                state.in_sync = !refused;
                state.settled = seen;
                if !refused {
                    state.serving = revision;
                }
            });
        }
    }

    /// Gives up its lease. A stream that ended in order stays half open until the other nodes know: its end tells the sidecar that
    /// nobody sends it anything new.
    async fn part(&mut self, in_order: bool) {
        self.entry = None;
        if let Some((name, workload)) = self.node.as_ref().filter(|_| self.leases).and_then(workload)
            && self.plane.part(&name, self.id, in_order)
        {
            self.plane.heard_without(&name, &workload).await;
        }
    }
}

/// Waits until a certificate is over; for ever without one.
async fn expired(until: Option<u64>) {
    let Some(until) = until else { return std::future::pending().await };
    loop {
        let left = (until.saturating_add(1) * 1000).saturating_sub(unix_millis());
        if left == 0 {
            return;
        }
        // The wall clock may be set meanwhile.
        tokio::time::sleep(Duration::from_millis(left).min(Duration::from_secs(60))).await;
    }
}

fn version(node: &core::Node) -> String {
    use core::node::UserAgentVersionType;
    let version = match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentVersion(version)) => version.clone(),
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => {
            let number = build.version.as_ref();
            number.map(|v| format!("{}.{}.{}", v.major_number, v.minor_number, v.patch)).unwrap_or_default()
        }
        None => String::new(),
    };
    format!("{} {version}", node.user_agent_name).trim().to_owned()
}
