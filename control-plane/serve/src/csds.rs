//! Client status (CSDS): what each connected data plane was sent and said of it, for tools that speak xDS already.

use crate::plane::Plane;
use crate::registry::{NodeState, progress};
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use weir_proto::envoy::envoy::admin::v3::{ClientResourceStatus, UpdateFailureState};
use weir_proto::envoy::envoy::service::status::v3::client_config::GenericXdsConfig;
use weir_proto::envoy::envoy::service::status::v3::client_status_discovery_service_server::ClientStatusDiscoveryService;
use weir_proto::envoy::envoy::service::status::v3::{
    ClientConfig, ClientStatusRequest, ClientStatusResponse, ConfigStatus,
};
use weir_proto::envoy::envoy::r#type::matcher::v3::{
    NodeMatcher, StringMatcher, string_matcher::MatchPattern,
};
use weir_xds::ResourceStatus;
use weir_xds::session::server::Nack;

/// The service.
pub struct ClientStatus {
    plane: Arc<Plane>,
}

impl ClientStatus {
    /// Client status of a control plane.
    pub fn new(plane: Arc<Plane>) -> Self {
        Self { plane }
    }
}

#[tonic::async_trait]
impl ClientStatusDiscoveryService for ClientStatus {
    type StreamClientStatusStream = Pin<Box<dyn Stream<Item = Result<ClientStatusResponse, Status>> + Send>>;

    async fn stream_client_status(
        &self,
        request: Request<Streaming<ClientStatusRequest>>,
    ) -> Result<Response<Self::StreamClientStatusStream>, Status> {
        let plane = Arc::clone(&self.plane);
        let answers = request.into_inner().map(move |request| answer(&plane, &request?));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch_client_status(
        &self,
        request: Request<ClientStatusRequest>,
    ) -> Result<Response<ClientStatusResponse>, Status> {
        answer(&self.plane, request.get_ref()).map(Response::new)
    }
}

fn answer(plane: &Plane, request: &ClientStatusRequest) -> Result<ClientStatusResponse, Status> {
    let mut wanted = Vec::new();
    for (index, matcher) in request.node_matchers.iter().enumerate() {
        wanted.push(exact_id(matcher).ok_or_else(|| {
            Status::unimplemented(format!(
                "node_matchers[{index}]: only node_id.exact is supported; name the node, or none for all"
            ))
        })?);
    }
    let connected = plane.registry.all().into_iter().filter(|state| state.ended.is_none());
    let selected = connected.filter(|state| wanted.is_empty() || wanted.contains(&state.node.id.as_str()));
    Ok(ClientStatusResponse { config: selected.map(|state| client(&state)).collect() })
}

fn exact_id(matcher: &NodeMatcher) -> Option<&str> {
    match matcher {
        NodeMatcher {
            node_id: Some(StringMatcher { match_pattern: Some(MatchPattern::Exact(id)), .. }),
            node_metadatas,
        } if node_metadatas.is_empty() => Some(id),
        _ => None,
    }
}

fn client(state: &NodeState) -> ClientConfig {
    ClientConfig {
        node: Some(weir_xds::node::encode(&state.node)),
        generic_xds_configs: state.resources().into_iter().map(resource).collect(),
        ..Default::default()
    }
}

fn resource(status: ResourceStatus) -> GenericXdsConfig {
    let (config, client) = match progress(&status) {
        "nacked" => (ConfigStatus::Error, ClientResourceStatus::Nacked),
        "waiting" => (ConfigStatus::NotSent, ClientResourceStatus::DoesNotExist),
        "acked" => (ConfigStatus::Synced, ClientResourceStatus::Acked),
        _ => (ConfigStatus::Stale, ClientResourceStatus::Requested),
    };
    let failure = |nack: Nack| UpdateFailureState {
        details: nack.text.to_string(),
        version_info: nack.version.to_string(),
        ..Default::default()
    };
    GenericXdsConfig {
        type_url: weir_xds::codec::type_url(status.kind).to_owned(),
        name: status.name,
        version_info: status.acked.map(|version| version.to_string()).unwrap_or_default(),
        config_status: config.into(),
        client_status: client.into(),
        error_state: status.nack.map(failure),
        ..Default::default()
    }
}
