//! Load reports (LRS): what this sidecar sent where, per cluster, locality and endpoint, at the interval the control plane
//! asks for.
//!
//! [`Report`] is pure: counters in, message out. A control plane that does not take reports is asked again only with the
//! next stream.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use weir_model::Discovery;
use weir_model::node::Node;
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::envoy::config::endpoint::v3::{
    ClusterStats, UpstreamEndpointStats, UpstreamLocalityStats, cluster_stats::DroppedRequests,
};
use weir_proto::envoy::envoy::service::load_stats::v3::load_reporting_service_client::LoadReportingServiceClient;
use weir_proto::envoy::envoy::service::load_stats::v3::{LoadStatsRequest, LoadStatsResponse};
use weir_proto::envoy::google::protobuf::Duration as ProtoDuration;

use crate::client::describe;
use crate::snapshot::state::{EndpointState, Totals};
use crate::snapshot::{Cluster, Snapshot};
use crate::status::ConfigStatus;

/// The shortest interval between reports, whatever the control plane asks for.
const SHORTEST: Duration = Duration::from_millis(500);
/// The interval if it does not say.
const USUAL: Duration = Duration::from_secs(10);

/// Reports over one connection until it breaks.
pub(crate) async fn report(
    channel: Channel,
    node: Node,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    status: ConfigStatus,
) {
    let error = match follow(channel, &node, &mut snapshots).await {
        Ok(()) => "the control plane ended it".to_owned(),
        Err(error) => describe(&error),
    };
    tracing::debug!("no more load reports over this connection: {error}");
    status.update(|status| status.load_report_error = Some(error));
}

async fn follow(
    channel: Channel,
    node: &Node,
    snapshots: &mut watch::Receiver<Arc<Snapshot>>,
) -> Result<(), tonic::Status> {
    let mut client = LoadReportingServiceClient::new(channel);
    let (requests, queue) = mpsc::channel(1);
    let mut node = Some(weir_xds::node::encode(node));
    // The first message only says who we are; what to report is in the answer.
    let first = LoadStatsRequest { node: node.clone(), cluster_stats: Vec::new() };
    if requests.try_send(first).is_err() {
        return Ok(());
    }
    let mut wanted = client.stream_load_stats(ReceiverStream::new(queue)).await?.into_inner();
    let Some(mut selection) = wanted.message().await? else { return Ok(()) };
    let mut report = Report::default();
    report.take(&snapshots.borrow_and_update().clone(), &selection, Duration::ZERO);
    let mut last = Instant::now();
    let mut ticks = ticks(&selection, last);
    loop {
        tokio::select! {
            message = wanted.message() => match message? {
                Some(next) => {
                    selection = next;
                    ticks = self::ticks(&selection, Instant::now());
                }
                None => return Ok(()),
            },
            _ = ticks.tick() => {
                let elapsed = last.elapsed();
                last = Instant::now();
                let cluster_stats = report.take(&snapshots.borrow_and_update().clone(), &selection, elapsed);
                let request = LoadStatsRequest { node: node.take(), cluster_stats };
                if requests.send(request).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

fn ticks(selection: &LoadStatsResponse, from: Instant) -> tokio::time::Interval {
    let asked = selection.load_reporting_interval.as_ref();
    let asked = asked.and_then(|asked| {
        let (seconds, nanos) = (u64::try_from(asked.seconds).ok()?, u32::try_from(asked.nanos).ok()?);
        (nanos < 1_000_000_000).then(|| Duration::new(seconds.min(24 * 3600), nanos))
    });
    let interval = asked.unwrap_or(USUAL).max(SHORTEST);
    let mut ticks = tokio::time::interval_at(from + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What was reported so far, so that each report says what came since.
#[derive(Debug, Default)]
pub struct Report {
    reported: HashMap<u64, Totals>,
    refused: HashMap<u64, u64>,
    /// By cluster and category.
    dropped: HashMap<(u64, Arc<str>), u64>,
    /// Whose endpoints may still have something to report though they are gone.
    previous: Option<Arc<Snapshot>>,
}

impl Report {
    /// What came since the last call, which was `elapsed` ago, for the clusters selected.
    pub fn take(
        &mut self,
        snapshot: &Arc<Snapshot>,
        selection: &LoadStatsResponse,
        elapsed: Duration,
    ) -> Vec<ClusterStats> {
        let previous = self.previous.replace(snapshot.clone());
        let gone = previous.filter(|previous| !Arc::ptr_eq(previous, snapshot));
        let (mut reported, mut refused, mut dropped) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut stats: BTreeMap<&str, ClusterStats> = BTreeMap::new();
        let mut seen = HashSet::new();
        let clusters = snapshot.live_clusters().chain(gone.iter().flat_map(|gone| gone.live_clusters()));
        for cluster in clusters {
            let into = stats.entry(&cluster.model.name).or_insert_with(|| cluster_stats(cluster, elapsed));
            if seen.insert(cluster.state.id) {
                let now = cluster.state.traffic.totals().refused;
                let before = self.refused.get(&cluster.state.id).copied().unwrap_or_default();
                into.total_dropped_requests += now.saturating_sub(before);
                refused.insert(cluster.state.id, now);
                for drop in &cluster.drops {
                    let key = (cluster.state.id, drop.category.clone());
                    let now = drop.dropped();
                    let since = now.saturating_sub(self.dropped.get(&key).copied().unwrap_or_default());
                    dropped.insert(key, now);
                    if since > 0 {
                        let category = drop.category.to_string();
                        into.dropped_requests.push(DroppedRequests { category, dropped_count: since });
                    }
                }
            }
            let localities = cluster.assignment().into_iter().flat_map(|assignment| assignment.iter());
            for ((locality, _), endpoint) in localities.zip(&cluster.endpoints) {
                if !seen.insert(endpoint.id) {
                    continue;
                }
                let now = endpoint.traffic.totals();
                let since = now.since(self.reported.get(&endpoint.id).copied().unwrap_or_default());
                reported.insert(endpoint.id, now);
                let active = u64::from(endpoint.active.load(Relaxed));
                if since == Totals::default() && active == 0 {
                    continue;
                }
                let stats = locality_stats(into, locality);
                stats.total_issued_requests += since.started;
                stats.total_successful_requests += since.succeeded;
                stats.total_error_requests += since.failed;
                stats.total_requests_in_progress += active;
                if selection.report_endpoint_granularity {
                    stats.upstream_endpoint_stats.push(endpoint_stats(endpoint, since, active));
                }
            }
        }
        (self.reported, self.refused, self.dropped) = (reported, refused, dropped);
        let selected = |stats: &ClusterStats| {
            selection.send_all_clusters || selection.clusters.contains(&stats.cluster_name)
        };
        let busy = |stats: &ClusterStats| {
            !stats.upstream_locality_stats.is_empty() || stats.total_dropped_requests > 0
        };
        stats.into_values().filter(|stats| selected(stats) && busy(stats)).collect()
    }
}

fn cluster_stats(cluster: &Cluster, elapsed: Duration) -> ClusterStats {
    ClusterStats {
        cluster_name: cluster.model.name.clone(),
        cluster_service_name: match &cluster.model.discovery {
            Discovery::Eds(name) => name.clone(),
            Discovery::Static(_) | Discovery::Dns(_) => String::new(),
        },
        load_report_interval: Some(ProtoDuration {
            seconds: i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(elapsed.subsec_nanos()).unwrap_or_default(),
        }),
        ..ClusterStats::default()
    }
}

fn locality_stats<'a>(
    cluster: &'a mut ClusterStats,
    of: &weir_model::LocalityEndpoints,
) -> &'a mut UpstreamLocalityStats {
    let locality = core::Locality {
        region: of.locality.region.clone(),
        zone: of.locality.zone.clone(),
        sub_zone: of.locality.sub_zone.clone(),
    };
    let all = &mut cluster.upstream_locality_stats;
    let known = all
        .iter()
        .position(|stats| stats.priority == of.priority && stats.locality.as_ref() == Some(&locality));
    let index = known.unwrap_or_else(|| {
        all.push(UpstreamLocalityStats {
            locality: Some(locality),
            priority: of.priority,
            ..UpstreamLocalityStats::default()
        });
        all.len() - 1
    });
    &mut all[index]
}

fn endpoint_stats(endpoint: &EndpointState, since: Totals, active: u64) -> UpstreamEndpointStats {
    let socket = core::SocketAddress {
        address: endpoint.address.ip().to_string(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(endpoint.address.port().into())),
        ..core::SocketAddress::default()
    };
    UpstreamEndpointStats {
        address: Some(core::Address { address: Some(core::address::Address::SocketAddress(socket)) }),
        total_issued_requests: since.started,
        total_successful_requests: since.succeeded,
        total_error_requests: since.failed,
        total_requests_in_progress: active,
        ..UpstreamEndpointStats::default()
    }
}

#[cfg(test)]
mod tests;
