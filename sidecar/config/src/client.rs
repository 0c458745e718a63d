//! The task that keeps the stream to the control plane (stage 10 of the configuration path): a thin shell around [`core`].
//!
//! It connects to the control planes in turn, with back-off and full jitter; notices a dead one through HTTP/2 keepalive;
//! publishes every change to the workers before it acknowledges it; and goes on serving what it has for as long as no control
//! plane answers. What to subscribe to, what is in force and what is refused is decided in [`core`] and below.

mod backoff;
mod connect;
pub mod core;
mod target;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status as GrpcStatus, Streaming};
use weir_model::node::Node;
use weir_model::{Random, Time, limits};
use weir_proto::envoy::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use weir_proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use weir_runtime::clock;

use crate::demand::Demand;
use crate::identity::Secrets;
use crate::persist::{self, Keeper};
use crate::resolve::{self, Resolved};
use crate::snapshot::Snapshot;
use crate::snapshot::link::Linker;
use crate::status::{ConfigStatus, Way};
use backoff::Backoff;
pub(crate) use connect::{connect, describe};
pub use core::Core;
pub use target::ControlPlanes;

/// A stream that lasted this long was a good one: the next failure begins the back-off anew.
const HEALTHY: Duration = Duration::from_secs(5);
/// Requests that wait to be sent beside the one that is being made.
const REQUESTS: usize = 8;
/// Questions of workers that are taken together.
const WANTS: usize = 64;
/// How long the control plane may take to end the stream after this sidecar has: until then it tells others.
const FAREWELL: Duration = Duration::from_secs(6);
/// How often idle names are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// What the configuration needs to know.
#[derive(Clone, Debug)]
pub struct ConfigOptions {
    /// Where control planes are.
    pub control_planes: ControlPlanes,
    /// Who asks.
    pub node: Node,
    /// Who this sidecar is to control planes that are spoken to with TLS; needed for those.
    pub identity: Option<Secrets>,
    /// Where the last good configuration is kept; nowhere if absent.
    pub state_dir: Option<PathBuf>,
    /// How many workers will serve.
    pub workers: usize,
    /// The cluster that this sidecar belongs to itself, by whose endpoints others are shared among zones (Envoy's `local_cluster_name`).
    pub local_cluster: Option<String>,
    /// Sockets whose own address differs from the one in [`ConfigOptions::node`]: from that to the socket's own.
    pub bound: BTreeMap<SocketAddr, SocketAddr>,
    /// Seed of the back-off's jitter.
    pub seed: u64,
}

/// The configuration task.
#[derive(Debug)]
pub struct Config;

impl Config {
    /// Reads the last good configuration and starts the task on the current runtime. The first snapshot is there at once: it
    /// is the last good one, or empty (sequence 0).
    ///
    /// The task ends after [`ConfigStatus::close`], when what is in force is on disk.
    pub fn start(
        options: ConfigOptions,
    ) -> (watch::Receiver<Arc<Snapshot>>, Demand, ConfigStatus, tokio::task::JoinHandle<()>) {
        let saved =
            options.state_dir.as_ref().and_then(|directory| persist::load(directory, &options.node.id));
        let restored = saved.is_some();
        let linker = Linker::new(options.workers)
            .with_bound(options.bound)
            .with_local(options.node.locality.clone(), options.local_cluster);
        let core = Core::new(&options.node, linker, saved, now());
        let (snapshots, published) = watch::channel(Arc::new(Snapshot::empty()));
        let connected = Arc::new(AtomicBool::new(false));
        let (demand, wanted) = Demand::new(connected.clone());
        let status = ConfigStatus::new();
        let keeper = options.state_dir.map(|directory| Keeper::start(directory, status.clone()));
        let mut task = Task {
            node: options.node,
            core,
            snapshots,
            wanted,
            resolved: resolve::start(published.clone()),
            connected,
            status: status.clone(),
            keeper,
            random: Random::new(options.seed),
            identity: options.identity,
            over_tls: false,
            last: None,
            leaving: false,
        };
        if restored {
            status.update(|status| status.restored = true);
            task.show(true);
        }
        let handle = tokio::spawn(task.run(options.control_planes));
        (published, demand, status, handle)
    }
}

struct Task {
    node: Node,
    core: Core,
    snapshots: watch::Sender<Arc<Snapshot>>,
    wanted: mpsc::Receiver<Arc<str>>,
    resolved: mpsc::Receiver<Resolved>,
    connected: Arc<AtomicBool>,
    status: ConfigStatus,
    keeper: Option<Keeper>,
    random: Random,
    identity: Option<Secrets>,
    /// Whether the control plane of the moment is spoken to with TLS.
    over_tls: bool,
    /// The stream before this one, with an older certificate, until the control plane knows this one: the lease never lapses.
    last: Option<Last>,
    /// Whether the workload's lease was given up.
    leaving: bool,
}

/// A stream that nobody reads any more, kept open: both of its ends.
type Last = (mpsc::Sender<DeltaDiscoveryRequest>, Streaming<DeltaDiscoveryResponse>);

/// Why a stream is over.
enum End {
    /// There is a new certificate: the next stream is to be opened with that.
    Renewed,
    /// [`ConfigStatus::leave`] was called: this side has ended. What the other one says until it ends too, if it was open already.
    Left(Box<Option<Streaming<DeltaDiscoveryResponse>>>),
    /// [`ConfigStatus::close`] was called.
    Closed,
    /// The control plane is gone or cannot be used.
    Lost(String),
}

impl Task {
    async fn run(mut self, control_planes: ControlPlanes) {
        let mut backoff = Backoff::default();
        let mut way = self.status.way();
        for uri in control_planes.uris().iter().cycle() {
            let begun = Instant::now();
            self.status.update(|status| status.control_plane.clone_from(uri));
            let end = loop {
                match self.follow(uri, &mut way).await {
                    End::Renewed => {
                        tracing::debug!("control plane {uri}: connecting with the new certificate")
                    }
                    end => break end,
                }
            };
            self.last = None;
            let was_connected = self.connected.swap(false, Relaxed);
            self.status.update(|status| status.connected_since = None);
            let reason = match end {
                End::Left(_) | End::Closed | End::Renewed => break,
                End::Lost(reason) => reason,
            };
            let repeated = self.failed(&reason);
            if was_connected && begun.elapsed() >= HEALTHY {
                backoff.reset();
            }
            let wait = backoff.next(&mut self.random);
            match repeated {
                true => tracing::debug!("control plane {uri}: {reason}; next attempt in {wait:?}"),
                false => tracing::warn!(
                    "control plane {uri}: {reason}; serving what is there, next attempt in {wait:?}"
                ),
            }
            if self.pause(wait, &mut way).await {
                break;
            }
        }
        self.status.went();
        if let Some(keeper) = self.keeper {
            keeper.finish().await;
        }
    }

    /// Notes a failure; whether the last one was the same.
    fn failed(&self, reason: &str) -> bool {
        let mut repeated = false;
        self.status.update(|status| {
            repeated = status.failures > 0 && status.last_error.as_deref() == Some(reason);
            status.failures += 1;
            status.last_error = Some(reason.to_owned());
        });
        repeated
    }

    /// Waits, taking questions meanwhile; whether the task is to end.
    async fn pause(&mut self, wait: Duration, way: &mut watch::Receiver<Way>) -> bool {
        let wait = tokio::time::sleep(wait);
        tokio::pin!(wait);
        let mut leaving = way.clone();
        loop {
            tokio::select! {
                () = reached(way, Way::Close) => return true,
                () = reached(&mut leaving, Way::Leave), if !self.leaving => self.left(),
                () = &mut wait => return false,
                Some(name) = self.wanted.recv() => self.want(name),
                Some(found) = self.resolved.recv() => self.resolve(found),
            }
        }
    }

    /// Waits until there is a certificate, taking questions meanwhile; whether the task is to end.
    async fn identified(&mut self, way: &mut watch::Receiver<Way>) -> bool {
        let Some(mut identity) = self.identity.clone() else { return false };
        let mut leaving = way.clone();
        loop {
            tokio::select! {
                () = reached(way, Way::Close) => return true,
                () = reached(&mut leaving, Way::Leave), if !self.leaving => self.left(),
                () = identity.there() => return false,
                Some(name) = self.wanted.recv() => self.want(name),
            }
        }
    }

    /// One connection with its streams, from beginning to end.
    async fn follow(&mut self, uri: &str, way: &mut watch::Receiver<Way>) -> End {
        let tls = uri.starts_with("https://");
        self.over_tls = tls;
        if tls && self.identified(way).await {
            return End::Closed;
        }
        let config = match self.identity.as_mut().filter(|_| tls).map(Secrets::client) {
            Some(Ok(config)) => Some(config),
            Some(Err(error)) => return End::Lost(error),
            None => None,
        };
        let channel = tokio::select! {
            () = reached(way, Way::Close) => return End::Closed,
            connected = connect(uri, config) => match connected {
                Ok(channel) => channel,
                Err(reason) => return End::Lost(reason),
            },
        };
        if *way.borrow() >= Way::Leave && !self.leaving {
            self.left();
        }
        let reports = tokio::spawn(crate::load::report(
            channel.clone(),
            self.node.clone(),
            self.snapshots.subscribe(),
            self.status.clone(),
        ));
        let mut end = self.stream(channel.clone(), way).await;
        if let End::Left(responses) = end {
            // The lease ends when the control plane says so; names are asked for on a stream that is none meanwhile.
            self.core.disconnect();
            self.leave();
            tokio::spawn(farewell(*responses, self.status.clone()));
            end = self.stream(channel, way).await;
        }
        self.core.disconnect();
        reports.abort();
        end
    }

    /// From here on streams are no lease.
    fn leave(&mut self) {
        self.leaving = true;
        self.core.leave();
    }

    /// There was no stream to give up.
    fn left(&mut self) {
        self.leave();
        self.status.went();
    }

    async fn stream(&mut self, channel: Channel, way: &mut watch::Receiver<Way>) -> End {
        let mut client = AggregatedDiscoveryServiceClient::new(channel)
            .max_decoding_message_size(limits::XDS_MESSAGE_BYTES);
        let (requests, queue) = mpsc::channel::<DeltaDiscoveryRequest>(REQUESTS);
        self.core.connect();
        // Servers may send response headers only after the first request, so that is on its way before they are waited for.
        let opening = async move { client.delta_aggregated_resources(ReceiverStream::new(queue)).await };
        tokio::pin!(opening);
        let mut leaving = way.clone();
        let mut identity = self.identity.clone().filter(|_| self.over_tls);
        let mut responses: Option<Streaming<DeltaDiscoveryResponse>> = None;
        let mut outgoing: Option<DeltaDiscoveryRequest> = None;
        // A control plane that refuses this node may do so only after it has opened the stream.
        let mut told = false;
        let proven = tokio::time::sleep(HEALTHY);
        tokio::pin!(proven);
        let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if outgoing.is_none() {
                outgoing = self.core.poll_output();
            }
            tokio::select! {
                () = reached(way, Way::Close) => break,
                () = reached(&mut leaving, Way::Leave), if !self.leaving => return End::Left(Box::new(responses)),
                // Not before the control plane knows this stream.
                () = renewed(&mut identity), if told => {
                    if let Some(responses) = responses {
                        self.last = Some((requests.clone(), responses));
                    }
                    return End::Renewed;
                }
                opened = &mut opening, if responses.is_none() => match opened {
                    Ok(opened) => {
                        responses = Some(opened.into_inner());
                        self.opened();
                    }
                    Err(status) => return End::Lost(format!("it refused the stream: {}", describe(&status))),
                },
                message = next(&mut responses), if responses.is_some() => match message {
                    Ok(Some(response)) => {
                        self.tell(&mut told);
                        if let Err(reason) = self.receive(response) {
                            return End::Lost(reason);
                        }
                    }
                    Ok(None) => return End::Lost("it ended the stream".to_owned()),
                    Err(status) => return End::Lost(format!("the stream broke: {}", describe(&status))),
                },
                permit = requests.reserve(), if outgoing.is_some() => match (permit, outgoing.take()) {
                    (Ok(permit), Some(request)) => permit.send(request),
                    // The stream is over; what came of it says `opening` or `message`.
                    _ => outgoing = None,
                },
                Some(name) = self.wanted.recv() => self.want(name),
                Some(found) = self.resolved.recv() => self.resolve(found),
                () = &mut proven, if !told && responses.is_some() => self.tell(&mut told),
                _ = expiry.tick() => {
                    let changed = self.core.expire(now());
                    self.show(changed);
                },
            }
        }
        // Ends our side of the stream; the answer is the end of the other one.
        drop(requests);
        let _ = tokio::time::timeout(FAREWELL, ended(&mut responses)).await;
        End::Closed
    }

    fn opened(&self) {
        self.connected.store(true, Relaxed);
        self.status.update(|status| {
            status.connects += 1;
            status.answered = false;
            status.connected_since = Some(clock::unix_nanos());
        });
    }

    fn tell(&mut self, told: &mut bool) {
        if !std::mem::replace(told, true) {
            self.last = None;
            let control_plane = self.status.read(|status| status.control_plane.clone());
            tracing::info!("connected to the control plane {control_plane}");
        }
    }

    fn receive(&mut self, response: DeltaDiscoveryResponse) -> Result<(), String> {
        let changed =
            self.core.receive(response).map_err(|error| format!("it broke the protocol: {error}"))?;
        self.show(changed);
        self.status.update(|status| {
            status.responses += 1;
            status.answered = true;
        });
        Ok(())
    }

    fn want(&mut self, first: Arc<str>) {
        let mut changed = self.core.want(first, now());
        for _ in 1..WANTS {
            match self.wanted.try_recv() {
                Ok(name) => changed |= self.core.want(name, now()),
                Err(_) => break,
            }
        }
        self.show(changed);
    }

    fn resolve(&mut self, found: Resolved) {
        let changed = self.core.resolved(&found.cluster, found.endpoints);
        self.show(changed);
    }

    /// Publishes what is in force, if it changed, and shows how it stands.
    fn show(&mut self, changed: bool) {
        if changed {
            self.publish();
        }
        let (graph, refused) = (self.core.graph(), self.core.refused());
        let (pending, names) = (graph.pending(), self.core.names().all());
        self.status.update(|status| {
            status.effective = graph.effective().clone();
            status.pending = pending;
            status.names = names;
            status.refused = refused;
            status.refusals = self.core.refusals();
            status.control_plane_version.clear();
            status.control_plane_version.push_str(self.core.control_plane_version());
        });
    }

    /// Links what is in force and hands it to the workers and to the disk.
    fn publish(&mut self) {
        match self.core.snapshot() {
            Ok(snapshot) => {
                self.snapshots.send_replace(Arc::new(snapshot));
                if let Some(keeper) = &self.keeper {
                    keeper.keep(self.core.saved());
                }
            }
            // Cannot happen: the graph is closed, and what does not compile never enters it.
            Err(error) => tracing::error!("the configuration cannot be linked, the last one stays: {error}"),
        }
    }
}

/// Waits for a certificate other than the one the stream was opened with; for ever without one.
async fn renewed(identity: &mut Option<Secrets>) {
    match identity {
        Some(identity) => identity.changed().await,
        None => std::future::pending().await,
    }
}

async fn reached(way: &mut watch::Receiver<Way>, far: Way) {
    // A status that is gone closes nothing.
    if way.wait_for(|way| *way >= far).await.is_err() {
        std::future::pending().await
    }
}

/// Waits until the control plane has ended a stream that this sidecar has ended.
async fn farewell(mut responses: Option<Streaming<DeltaDiscoveryResponse>>, status: ConfigStatus) {
    let _late = tokio::time::timeout(FAREWELL, ended(&mut responses)).await;
    status.went();
}

/// Waits until the control plane has ended the stream. What it still sends is not wanted.
async fn ended<T>(responses: &mut Option<Streaming<T>>) {
    if let Some(responses) = responses {
        while let Ok(Some(_)) = responses.message().await {}
    }
}

async fn next<T>(responses: &mut Option<Streaming<T>>) -> Result<Option<T>, GrpcStatus> {
    match responses {
        Some(responses) => responses.message().await,
        None => std::future::pending().await,
    }
}

pub(crate) fn now() -> Time {
    Time(clock::now().nanos())
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
