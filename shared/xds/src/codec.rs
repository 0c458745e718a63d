//! One resource to one protobuf message and back.

use weir_model::node::Target;
use weir_model::{Resource, ResourceType};
use weir_proto::envoy::google::protobuf::Any;

/// Why a message is no resource of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodeError {
    /// The resource's name, as far as it could be read.
    pub resource: String,
    /// The field, such as `virtual_hosts[0].routes[2].route.cluster_header`; empty for the whole resource.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.resource, self.field, self.message)
    }
}

impl std::error::Error for DecodeError {}

/// The type URL of a kind of resource.
pub fn type_url(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        ResourceType::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        ResourceType::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
        ResourceType::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    }
}

/// The kind of resource of a type URL.
pub fn kind_of(url: &str) -> Option<ResourceType> {
    ResourceType::ALL.into_iter().find(|kind| type_url(*kind) == url)
}

/// The message of a resource, as `target` understands it.
pub fn encode(_resource: &Resource, _target: Target) -> Any {
    unimplemented!()
}

/// The resource of a message.
pub fn decode(_message: &Any) -> Result<Resource, DecodeError> {
    unimplemented!()
}
