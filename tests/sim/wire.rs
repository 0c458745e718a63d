//! What a stock client sees in a resource, read from the protobuf itself and not with weir's codec: which others it refers to.

use prost::Message;
use weir_model::{ResourceType, Version};
use weir_proto::envoy::envoy::config::cluster::v3::Cluster;
use weir_proto::envoy::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use weir_proto::envoy::envoy::config::endpoint::v3::ClusterLoadAssignment;
use weir_proto::envoy::envoy::config::listener::v3::{Listener, filter::ConfigType};
use weir_proto::envoy::envoy::config::route::v3::{RouteConfiguration, route::Action, route_action};
use weir_proto::envoy::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::RouteSpecifier,
};
use weir_proto::envoy::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy};
use weir_proto::envoy::google::protobuf::Any;

/// Names a resource.
pub(crate) type Reference = (ResourceType, String);

/// A resource as a stock client sees it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Its name.
    pub(crate) name: String,
    /// The hash of its bytes.
    pub(crate) mark: u64,
    /// What it refers to.
    pub(crate) references: Vec<Reference>,
    /// Whether it carries what a picky client refuses.
    pub(crate) poisoned: bool,
}

/// What marks a revision as bad, as it stands in policy and, in the end, on the wire.
pub(crate) const POISON: &str = "x-poison";

/// Whether a message carries the poison.
pub(crate) fn is_poisoned(any: &Any) -> bool {
    any.value.windows(POISON.len()).any(|window| window == POISON.as_bytes())
}

/// The hash of a message's bytes.
pub(crate) fn mark(any: &Any) -> u64 {
    Version::of(&any.value).0
}

/// Reads a resource of a kind.
pub(crate) fn read(kind: ResourceType, any: &Any) -> Result<Seen, String> {
    let (name, references) = match kind {
        ResourceType::Cluster => cluster(&decode(any)?),
        ResourceType::Endpoints => (decode::<ClusterLoadAssignment>(any)?.cluster_name, vec![]),
        ResourceType::Listener => listener(&decode(any)?)?,
        ResourceType::Route => {
            let routes: RouteConfiguration = decode(any)?;
            let references = clusters(&routes);
            (routes.name, references)
        }
    };
    Ok(Seen { name, mark: mark(any), references, poisoned: is_poisoned(any) })
}

fn decode<M: Message + Default>(any: &Any) -> Result<M, String> {
    M::decode(any.value.as_slice()).map_err(|error| format!("{} cannot be decoded: {error}", any.type_url))
}

fn cluster(it: &Cluster) -> (String, Vec<Reference>) {
    let eds = matches!(it.cluster_discovery_type, Some(ClusterDiscoveryType::Type(kind)) if kind == DiscoveryType::Eds as i32);
    let service =
        it.eds_cluster_config.as_ref().map(|config| config.service_name.clone()).unwrap_or_default();
    let target = if service.is_empty() { it.name.clone() } else { service };
    (it.name.clone(), if eds { vec![(ResourceType::Endpoints, target)] } else { vec![] })
}

fn listener(it: &Listener) -> Result<(String, Vec<Reference>), String> {
    let mut references = Vec::new();
    if let Some(manager) = it.api_listener.as_ref().and_then(|api| api.api_listener.as_ref()) {
        http(&decode(manager)?, &mut references);
    }
    let chains = it.filter_chains.iter().chain(&it.default_filter_chain);
    for filter in chains.flat_map(|chain| &chain.filters) {
        let Some(ConfigType::TypedConfig(config)) = &filter.config_type else { continue };
        match config.type_url.rsplit('.').next() {
            Some("HttpConnectionManager") => http(&decode(config)?, &mut references),
            Some("TcpProxy") => tcp(&decode(config)?, &mut references),
            _ => return Err(format!("listener {} has a filter {}", it.name, config.type_url)),
        }
    }
    Ok((it.name.clone(), references))
}

fn http(it: &HttpConnectionManager, references: &mut Vec<Reference>) {
    match &it.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => {
            references.push((ResourceType::Route, rds.route_config_name.clone()))
        }
        Some(RouteSpecifier::RouteConfig(routes)) => references.extend(clusters(routes)),
        Some(RouteSpecifier::ScopedRoutes(_)) | None => {}
    }
}

fn tcp(it: &TcpProxy, references: &mut Vec<Reference>) {
    match &it.cluster_specifier {
        Some(tcp_proxy::ClusterSpecifier::Cluster(name)) => {
            references.push((ResourceType::Cluster, name.clone()))
        }
        Some(tcp_proxy::ClusterSpecifier::WeightedClusters(split)) => {
            references
                .extend(split.clusters.iter().map(|weighted| (ResourceType::Cluster, weighted.name.clone())));
        }
        None => {}
    }
}

fn clusters(it: &RouteConfiguration) -> Vec<Reference> {
    let mut references = Vec::new();
    for route in it.virtual_hosts.iter().flat_map(|host| &host.routes) {
        let Some(Action::Route(action)) = &route.action else { continue };
        match &action.cluster_specifier {
            Some(route_action::ClusterSpecifier::Cluster(name)) => {
                references.push((ResourceType::Cluster, name.clone()));
            }
            Some(route_action::ClusterSpecifier::WeightedClusters(split)) => {
                references.extend(
                    split.clusters.iter().map(|weighted| (ResourceType::Cluster, weighted.name.clone())),
                );
            }
            Some(_) | None => {}
        }
    }
    references
}
