//! Load reports (LRS): what sidecars say their upstreams did, summed per service port and endpoint.

use crate::access::guard::status;
use crate::access::{self, Caller, Entrance, Refusal, Who};
use crate::plane::Plane;
use dashmap::DashMap;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};
use weir_model::mesh::SERVICE_ACCOUNT;
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::envoy::config::endpoint::v3 as endpoint;
use weir_proto::envoy::envoy::service::load_stats::v3::load_reporting_service_server::LoadReportingService;
use weir_proto::envoy::envoy::service::load_stats::v3::{LoadStatsRequest, LoadStatsResponse};
use weir_proto::policy::v1 as wire;

#[cfg(test)]
mod tests;

/// How often sidecars report.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// Most (cluster, endpoint) pairs summed; reports of further ones are counted as dropped.
pub const PAIRS: usize = 100_000;

/// Totals since the control plane started; in progress is the latest report's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sum {
    requests: u64,
    errors: u64,
    in_progress: u64,
}

/// The sums. The endpoint is empty for what was reported of a whole locality.
#[derive(Debug, Default)]
pub struct Loads {
    sums: DashMap<(String, String), BTreeMap<String, Sum>>,
}

impl Loads {
    /// Adds a node's report.
    pub fn add(&self, node: &str, report: &[endpoint::ClusterStats]) {
        for cluster in report {
            for locality in &cluster.upstream_locality_stats {
                if locality.upstream_endpoint_stats.is_empty() {
                    let sum = Sum {
                        requests: locality
                            .total_successful_requests
                            .saturating_add(locality.total_error_requests),
                        errors: locality.total_error_requests,
                        in_progress: locality.total_requests_in_progress,
                    };
                    self.add_one(node, &cluster.cluster_name, String::new(), sum);
                }
                for stats in &locality.upstream_endpoint_stats {
                    let sum = Sum {
                        requests: stats.total_successful_requests.saturating_add(stats.total_error_requests),
                        errors: stats.total_error_requests,
                        in_progress: stats.total_requests_in_progress,
                    };
                    self.add_one(node, &cluster.cluster_name, address(stats.address.as_ref()), sum);
                }
            }
        }
    }

    fn add_one(&self, node: &str, cluster: &str, endpoint: String, sum: Sum) {
        let key = (cluster.to_owned(), endpoint);
        if self.sums.len() >= PAIRS && !self.sums.contains_key(&key) {
            return;
        }
        let mut nodes = self.sums.entry(key).or_default();
        let total = nodes.entry(node.to_owned()).or_default();
        total.requests = total.requests.saturating_add(sum.requests);
        total.errors = total.errors.saturating_add(sum.errors);
        total.in_progress = sum.in_progress;
    }

    /// A node's stream ended: what it had in progress is not known to be in progress any more.
    pub fn leave(&self, node: &str) {
        for mut pair in self.sums.iter_mut() {
            let mut gone = Sum::default();
            if let Some(sum) = pair.value_mut().remove(node) {
                gone = sum;
            }
            // What it did stays in the sum, under no node's name.
            let rest = pair.value_mut().entry(String::new()).or_default();
            rest.requests = rest.requests.saturating_add(gone.requests);
            rest.errors = rest.errors.saturating_add(gone.errors);
        }
    }

    /// The sums of one cluster, by endpoint.
    pub fn of(&self, cluster: &str) -> BTreeMap<String, wire::ServiceLoad> {
        let own = self.sums.iter().filter(|pair| pair.key().0 == cluster);
        own.map(|pair| (pair.key().1.clone(), summed(pair.key(), pair.value()))).collect()
    }

    /// All sums, in order of cluster and endpoint.
    pub fn sums(&self) -> Vec<wire::ServiceLoad> {
        let mut sums: Vec<wire::ServiceLoad> =
            self.sums.iter().map(|pair| summed(pair.key(), pair.value())).collect();
        sums.sort_by(|a, b| (&a.cluster, &a.endpoint).cmp(&(&b.cluster, &b.endpoint)));
        sums
    }
}

/// What all nodes say together.
fn summed((cluster, endpoint): &(String, String), nodes: &BTreeMap<String, Sum>) -> wire::ServiceLoad {
    let total = |of: fn(&Sum) -> u64| nodes.values().map(of).fold(0, u64::saturating_add);
    wire::ServiceLoad {
        cluster: cluster.clone(),
        endpoint: endpoint.clone(),
        requests: total(|sum| sum.requests),
        errors: total(|sum| sum.errors),
        in_progress: total(|sum| sum.in_progress),
    }
}

fn address(address: Option<&core::Address>) -> String {
    match address.and_then(|address| address.address.as_ref()) {
        Some(core::address::Address::SocketAddress(socket)) => {
            let port = match socket.port_specifier {
                Some(core::socket_address::PortSpecifier::PortValue(port)) => port.to_string(),
                _ => String::new(),
            };
            format!("{}:{port}", socket.address)
        }
        _ => String::new(),
    }
}

/// The service.
pub struct LoadReports {
    plane: Arc<Plane>,
}

impl LoadReports {
    /// Load reports into a control plane.
    pub fn new(plane: Arc<Plane>) -> Self {
        Self { plane }
    }
}

#[tonic::async_trait]
impl LoadReportingService for LoadReports {
    type StreamLoadStatsStream = Pin<Box<dyn Stream<Item = Result<LoadStatsResponse, Status>> + Send>>;

    async fn stream_load_stats(
        &self,
        request: Request<Streaming<LoadStatsRequest>>,
    ) -> Result<Response<Self::StreamLoadStatsStream>, Status> {
        let who = request.extensions().get::<Caller>().map(|caller| caller.who.clone());
        let peer = request.remote_addr().map(|peer| peer.to_string()).unwrap_or_default();
        let mut reports = request.into_inner();
        let plane = Arc::clone(&self.plane);
        // Every report is answered: an Envoy tracks the clusters it has when it reads the answer, and gets more as it goes.
        let (tx, rx) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let mut node = String::new();
            while let Ok(Some(report)) = reports.message().await {
                if let Some(said) = report.node.filter(|_| node.is_empty()) {
                    if let Err(refusal) = is_itself(&plane, who.as_ref(), &said.id) {
                        plane.refusals.note(Entrance::Xds, refusal.reason, &peer, &refusal.message);
                        // A peer that is gone does not read it.
                        let _gone = tx.send(Err(status(&refusal))).await;
                        return;
                    }
                    node = said.id;
                }
                plane.loads.add(&node, &report.cluster_stats);
                let answer = LoadStatsResponse {
                    send_all_clusters: true,
                    load_reporting_interval: Some(wire_duration(INTERVAL)),
                    report_endpoint_granularity: true,
                    ..Default::default()
                };
                if tx.send(Ok(answer)).await.is_err() {
                    break;
                }
            }
            plane.loads.leave(&node);
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(rx))))
    }
}

/// Who reports as a node that another identity holds is not believed.
fn is_itself(plane: &Plane, who: Option<&Who>, id: &str) -> Result<(), Refusal> {
    match (who, plane.registry.get(id)) {
        (Some(who), Some(known)) => {
            access::is_itself(who, &known.node.namespace, &known.node.service_account, SERVICE_ACCOUNT)
        }
        _ => Ok(()),
    }
}

fn wire_duration(duration: Duration) -> weir_proto::envoy::google::protobuf::Duration {
    weir_proto::envoy::google::protobuf::Duration {
        seconds: duration.as_secs() as i64,
        nanos: duration.subsec_nanos() as i32,
    }
}
