//! The two gRPC doors of a control plane: one for operators, one for data planes. Before every service stands the guard.

use crate::access::guard::GuardLayer;
use crate::door::Door;
use crate::plane::Plane;
use crate::{ads, csds, identity, loads, policy};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::transport::Server;
use weir_model::limits::XDS_MESSAGE_BYTES;
use weir_proto::envoy::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use weir_proto::envoy::envoy::service::load_stats::v3::load_reporting_service_server::LoadReportingServiceServer;
use weir_proto::envoy::envoy::service::status::v3::client_status_discovery_service_server::ClientStatusDiscoveryServiceServer;
use weir_proto::identity::v1::identity_admin_service_server::IdentityAdminServiceServer;
use weir_proto::identity::v1::identity_service_server::IdentityServiceServer;
use weir_proto::policy::v1::policy_service_server::PolicyServiceServer;

/// Largest policy request read, in bytes: a manifest may hold as much as a batch of the store.
pub const POLICY_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Largest certificate request read, in bytes: a token and a request are far smaller.
const IDENTITY_MESSAGE_BYTES: usize = 64 * 1024;
/// Concurrent streams of one connection to the policy API.
const POLICY_STREAMS: u32 = 128;
/// Concurrent streams of one xDS connection.
const XDS_STREAMS: u32 = 1024;

/// A connection that answers no ping within this time is dead; its workload's lease begins to run out.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(10));

/// Serves operators until `stop`: the policy API, identities, server reflection, gRPC health.
///
/// # Errors
/// The listener failed.
pub async fn serve_policy(
    plane: Arc<Plane>,
    door: Door,
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<PolicyServiceServer<policy::Policy>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(weir_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let guard = guard(&door, &plane);
    let identities =
        IdentityAdminServiceServer::new(identity::admin::Service::new(Arc::clone(&door.identities)));
    let service = PolicyServiceServer::new(policy::Policy::new(Arc::clone(&plane)))
        .max_decoding_message_size(POLICY_MESSAGE_BYTES)
        .max_encoding_message_size(2 * POLICY_MESSAGE_BYTES);
    server(POLICY_STREAMS)
        .layer(guard)
        .add_service(service)
        .add_service(identities)
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(door.open(plane), stop)
        .await?;
    Ok(())
}

/// Serves data planes until `stop`: ADS, load reports, client status, certificates.
///
/// # Errors
/// The listener failed.
pub async fn serve_xds(
    plane: Arc<Plane>,
    door: Door,
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let ads = AggregatedDiscoveryServiceServer::new(ads::Ads::new(Arc::clone(&plane)))
        .max_decoding_message_size(XDS_MESSAGE_BYTES)
        .max_encoding_message_size(XDS_MESSAGE_BYTES);
    let loads = LoadReportingServiceServer::new(loads::LoadReports::new(Arc::clone(&plane)));
    let status = ClientStatusDiscoveryServiceServer::new(csds::ClientStatus::new(Arc::clone(&plane)));
    let certificates = identity::service::Service::new(Arc::clone(&door.identities), Arc::clone(&plane));
    let certificates =
        IdentityServiceServer::new(certificates).max_decoding_message_size(IDENTITY_MESSAGE_BYTES);
    server(XDS_STREAMS)
        .layer(guard(&door, &plane))
        .add_service(certificates)
        .add_service(ads)
        .add_service(loads)
        .add_service(status)
        .serve_with_incoming_shutdown(door.open(plane), stop)
        .await?;
    Ok(())
}

fn guard(door: &Door, plane: &Arc<Plane>) -> GuardLayer {
    GuardLayer { entrance: door.entrance, plane: Arc::clone(plane), identities: Arc::clone(&door.identities) }
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
