//! One resource to one protobuf message and back, side by side, proved inverse.
//!
//! - [`encode`] writes what the target accepts: stock Envoy and gRPC take every message as it is, and do what the model says as far as they
//!   can. Where they cannot, it is for whoever compiles to say so; nothing here fails.
//! - [`decode`] reads messages of any control plane. What it does not know and could change what happens to a request is refused with the
//!   path of the field; it never panics, and lists are bounded by [`weir_model::limits`]. Where a field is absent, Envoy's default holds.
//!
//! For [`Target::Weir`] `decode(encode(x)) == x`. The other targets get the same messages but for a few places: gRPC knows no segment prefix,
//! reads its deadline elsewhere and takes no policy of zero retries; Envoy knows only one safe
//! way to retry resets, and changes header fields in another order.

mod access_log;
mod affinity;
mod balancing;
mod breakers;
mod chains;
mod cluster;
mod conditions;
mod detection;
mod dns;
mod edits;
pub(crate) mod endpoints;
mod fallback;
pub(crate) mod fault;
mod filters;
mod forward;
mod header;
mod health;
mod host;
mod http;
mod listener;
mod manner;
mod matches;
mod metadata;
mod mirror;
mod options;
mod pb;
mod retry;
mod rewrite;
mod route;
mod start;
mod subset;
mod tcp;
mod text;
mod timing;
mod wire;

use fault::Check;
use prost::{Message, Name};
use weir_model::node::Target;
use weir_model::{Resource, ResourceType, limits};
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
    /// `NAME: FIELD: MESSAGE`, as it is sent back to a control plane.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.resource)?;
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
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
pub fn encode(resource: &Resource, target: Target) -> Any {
    match resource {
        Resource::Cluster(cluster) => wire::pack(&cluster::encode(cluster)),
        Resource::Endpoints(endpoints) => wire::pack(&endpoints::encode(endpoints)),
        Resource::Listener(listener) => wire::pack(&listener::encode(listener, target)),
        Resource::Route(routes) => wire::pack(&route::encode(routes, target)),
    }
}

/// The resource of a message.
pub fn decode(message: &Any) -> Result<Resource, DecodeError> {
    match kind_of(&message.type_url) {
        Some(ResourceType::Cluster) => read(
            message,
            |it: &pb::cluster::Cluster| &it.name,
            |it| cluster::decode(it).map(Resource::Cluster),
        ),
        Some(ResourceType::Endpoints) => read(
            message,
            |it: &pb::endpoint::ClusterLoadAssignment| &it.cluster_name,
            |it| endpoints::decode(it).map(Resource::Endpoints),
        ),
        Some(ResourceType::Listener) => read(
            message,
            |it: &pb::listener::Listener| &it.name,
            |it| listener::decode(it).map(Resource::Listener),
        ),
        Some(ResourceType::Route) => read(
            message,
            |it: &pb::route::RouteConfiguration| &it.name,
            |it| route::decode(it).map(Resource::Route),
        ),
        None => Err(DecodeError {
            resource: String::new(),
            field: "type_url".to_owned(),
            message: format!("{:?} is not a type of resource served here", wire::cut(&message.type_url)),
        }),
    }
}

fn read<M: Message + Name + Default>(
    any: &Any,
    name: impl Fn(&M) -> &String,
    decode: impl Fn(&M) -> Check<Resource>,
) -> Result<Resource, DecodeError> {
    let error = |resource: &str, fault: fault::Fault| DecodeError {
        resource: resource[..resource.floor_char_boundary(limits::NAME_BYTES)].to_owned(),
        field: fault.path,
        message: fault.message,
    };
    let message: M = wire::unpack(any).map_err(|fault| error("", fault))?;
    decode(&message).map_err(|fault| error(name(&message), fault))
}

#[cfg(test)]
mod tests;
