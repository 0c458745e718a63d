//! One sidecar, as far as the control plane can see it.

use crate::policy;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use weir_model::node::{Inbound, Node, Target};
use weir_model::{Locality, Resource, ResourceType, RouteAction, limits};
use weir_proto::envoy::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use weir_proto::envoy::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use weir_xds::{DeltaClient, SessionError};

/// Requests that wait to be sent.
const REQUESTS: usize = 16;
/// How often connecting is tried: a thousand at once may overrun the listener's queue.
const ATTEMPTS: u32 = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a sidecar tells.
pub(crate) enum Report {
    /// It has the route with this weight, and its acknowledgement is out.
    Has {
        /// Which sidecar.
        index: u32,
        /// The weight of [`policy::MARKED`].
        weight: u32,
        /// When.
        at: Instant,
    },
    /// It got something else.
    Busy,
    /// Its stream is gone, and why.
    Lost(u32, String),
}

/// Runs a sidecar until its stream ends.
pub(crate) async fn run(index: u32, xds: String, permits: Arc<Semaphore>, reports: mpsc::Sender<Report>) {
    let why = match follow(index, &xds, &permits, &reports).await {
        Ok(()) => "the control plane ended the stream".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    // Nobody listens any more once the measurement is over.
    let _over = reports.send(Report::Lost(index, why)).await;
}

async fn follow(
    index: u32,
    xds: &str,
    permits: &Semaphore,
    reports: &mpsc::Sender<Report>,
) -> anyhow::Result<()> {
    let permit = permits.acquire().await?;
    let endpoint =
        Endpoint::from_shared(format!("http://{xds}"))?.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
    let mut attempt = 0;
    let channel = loop {
        match endpoint.connect().await {
            Ok(channel) => break channel,
            Err(error) if attempt == ATTEMPTS => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50 << attempt)).await,
        }
        attempt += 1;
    };
    let mut stub =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(limits::XDS_MESSAGE_BYTES);
    let (requests, queue) = mpsc::channel(REQUESTS);
    let mut sidecar = Sidecar::new(index);
    sidecar.client.connect();
    while let Some(request) = sidecar.client.poll_output() {
        requests.send(request).await?;
    }
    let mut responses = stub.delta_aggregated_resources(ReceiverStream::new(queue)).await?.into_inner();
    let mut permit = Some(permit);
    while let Some(response) = responses.message().await? {
        let weight = sidecar.receive(response)?;
        while let Some(request) = sidecar.client.poll_output() {
            requests.send(request).await?;
        }
        let report = match weight {
            Some(weight) => {
                // It is configured: the next one may connect.
                permit.take();
                Report::Has { index, weight, at: Instant::now() }
            }
            None => Report::Busy,
        };
        reports.send(report).await?;
    }
    Ok(())
}

/// What a sidecar has, and what it asks for because of that.
struct Sidecar {
    client: DeltaClient,
    held: BTreeMap<(ResourceType, String), Arc<Resource>>,
}

impl Sidecar {
    fn new(index: u32) -> Self {
        let mut client = DeltaClient::new(&node(index));
        client.subscribe(ResourceType::Cluster, ["*"]);
        client.subscribe(ResourceType::Listener, ["*", policy::AUTHORITY]);
        Self { client, held: BTreeMap::new() }
    }

    /// Takes a response and answers it; the weight it brings, if it brings the route.
    fn receive(&mut self, response: DeltaDiscoveryResponse) -> Result<Option<u32>, SessionError> {
        let received = self.client.receive(response)?;
        let mut weight = None;
        for (_, resource) in received.upserts {
            weight = weight.or_else(|| marked(&resource));
            self.held.insert((resource.kind(), resource.name().to_owned()), resource);
        }
        for name in received.removed {
            self.held.remove(&(received.kind, name));
        }
        if received.kind != ResourceType::Endpoints {
            self.follow();
        }
        self.client.accept(&[]);
        Ok(weight)
    }

    /// Asks for what something refers to, and gives back what nothing refers to any more.
    fn follow(&mut self) {
        for kind in [ResourceType::Route, ResourceType::Endpoints] {
            let references = self.held.values().flat_map(|resource| resource.references());
            let names = references.filter(|(to, _)| *to == kind).map(|(_, name)| name.to_owned());
            let wanted: BTreeSet<String> = names.collect();
            let left: Vec<String> = self
                .client
                .subscriptions(kind)
                .filter(|name| !wanted.contains(*name))
                .map(str::to_owned)
                .collect();
            self.client.unsubscribe(kind, left.iter().map(String::as_str));
            self.client.subscribe(kind, wanted.iter().map(String::as_str));
            self.held.retain(|(of, name), _| *of != kind || wanted.contains(name));
        }
    }
}

/// The weight that tells the changes apart, if this is the route that has it.
fn marked(resource: &Resource) -> Option<u32> {
    let Resource::Route(routes) = resource else { return None };
    let forwards =
        routes.virtual_hosts.iter().flat_map(|host| &host.routes).filter_map(|route| match &route.action {
            RouteAction::Forward(forward) => Some(forward),
            RouteAction::Redirect(_) | RouteAction::Direct(_) => None,
        });
    let mut sides = forwards.filter(|_| routes.name == policy::ROUTES).flat_map(|forward| &forward.clusters);
    sides.find(|side| side.cluster == policy::MARKED).map(|side| side.weight)
}

/// A sidecar with an address of its own, which nobody listens on: it is only told to others.
fn node(index: u32) -> Node {
    let [_, high, middle, low] = index.to_be_bytes();
    let listen = SocketAddr::from((Ipv4Addr::new(10, high, middle, low), 15006));
    Node {
        id: format!("fleet-{index:05}"),
        target: Target::Weir,
        namespace: "default".to_owned(),
        service: policy::service_of(index),
        service_account: weir_model::mesh::SERVICE_ACCOUNT.to_owned(),
        labels: policy::labels(index).into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        locality: Locality {
            region: "eu".to_owned(),
            zone: format!("eu-{}", index % 3),
            sub_zone: String::new(),
        },
        outbound: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 15001))),
        outbound_tcp: BTreeMap::new(),
        inbound: vec![Inbound {
            name: "http".to_owned(),
            listen,
            app: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        }],
        upstreams: BTreeSet::new(),
        uses: BTreeSet::new(),
        sampling: None,
        access_log: false,
    }
}
