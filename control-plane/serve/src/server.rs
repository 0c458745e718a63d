//! The two gRPC doors of a control plane: one for operators, one for data planes.

use crate::plane::Plane;
use crate::{ads, csds, loads, policy};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use weir_model::limits::XDS_MESSAGE_BYTES;
use weir_proto::envoy::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use weir_proto::envoy::envoy::service::load_stats::v3::load_reporting_service_server::LoadReportingServiceServer;
use weir_proto::envoy::envoy::service::status::v3::client_status_discovery_service_server::ClientStatusDiscoveryServiceServer;
use weir_proto::policy::v1::policy_service_server::PolicyServiceServer;

/// Largest policy request read, in bytes: a manifest may hold as much as a batch of the store.
pub const POLICY_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Concurrent streams of one connection to the policy API.
const POLICY_STREAMS: u32 = 128;
/// Concurrent streams of one xDS connection.
const XDS_STREAMS: u32 = 1024;

/// A connection that answers no ping within this time is dead; its workload's lease begins to run out.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(10));

/// Serves operators until `stop`: the policy API, server reflection, gRPC health.
///
/// # Errors
/// The listener failed.
pub async fn serve_policy(
    plane: Arc<Plane>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<PolicyServiceServer<policy::Policy>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(weir_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let service = PolicyServiceServer::new(policy::Policy::new(plane))
        .max_decoding_message_size(POLICY_MESSAGE_BYTES)
        .max_encoding_message_size(2 * POLICY_MESSAGE_BYTES);
    server(POLICY_STREAMS)
        .add_service(service)
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(incoming(listener), stop)
        .await?;
    Ok(())
}

/// Serves data planes until `stop`: ADS, load reports, client status.
///
/// # Errors
/// The listener failed.
pub async fn serve_xds(
    plane: Arc<Plane>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let ads = AggregatedDiscoveryServiceServer::new(ads::Ads::new(Arc::clone(&plane)))
        .max_decoding_message_size(XDS_MESSAGE_BYTES)
        .max_encoding_message_size(XDS_MESSAGE_BYTES);
    let loads = LoadReportingServiceServer::new(loads::LoadReports::new(Arc::clone(&plane)));
    let status = ClientStatusDiscoveryServiceServer::new(csds::ClientStatus::new(plane));
    server(XDS_STREAMS)
        .add_service(ads)
        .add_service(loads)
        .add_service(status)
        .serve_with_incoming_shutdown(incoming(listener), stop)
        .await?;
    Ok(())
}

fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

/// Whatever a server may fail with; only `main` reads it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn server(streams: u32) -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .max_concurrent_streams(Some(streams))
}

/// Binds a listener, with an error that says which.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind(what: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address} for {what}: {error}; choose another address (port 0 takes any free one)")
    })
}
