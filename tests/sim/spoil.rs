//! Bad revisions: what a picky sidecar finds in a poisoned resource. Each is refused for another reason and by another stage.

use crate::wire;
use prost::Message;
use weir_model::ResourceType;
use weir_proto::envoy::envoy::config::cluster::v3::Cluster;
use weir_proto::envoy::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use weir_proto::envoy::envoy::config::route::v3::{
    RouteConfiguration, RouteMatch, route::Action, route_action::ClusterSpecifier, route_match::PathSpecifier,
};
use weir_proto::envoy::envoy::r#type::matcher::v3::RegexMatcher;
use weir_proto::envoy::google::protobuf::{Any, Duration};

/// Makes a resource one that must be refused; the same resource always in the same way.
pub(crate) fn spoil(kind: ResourceType, any: &mut Any) {
    let way = wire::mark(any) % 4;
    let spoilt = match kind {
        ResourceType::Route => routes(way, &any.value),
        ResourceType::Cluster => cluster(way, &any.value),
        ResourceType::Listener | ResourceType::Endpoints => None,
    };
    match spoilt {
        Some(value) => any.value = value,
        // Not even its name can be read. Half of it might be a message as well.
        None => any.value.fill(0xff),
    }
}

fn routes(way: u64, value: &[u8]) -> Option<Vec<u8>> {
    let mut it = RouteConfiguration::decode(value).ok()?;
    let route = it.virtual_hosts.first_mut()?.routes.first_mut()?;
    match way {
        0 => return None,
        // It cannot be decoded: a sidecar knows no clusters named by requests.
        1 => match &mut route.action {
            Some(Action::Route(action)) => {
                action.cluster_specifier = Some(ClusterSpecifier::ClusterHeader("x-cluster".into()))
            }
            _ => route.action = None,
        },
        // It decodes and cannot be linked.
        2 => {
            let regex = RegexMatcher { regex: "(".into(), ..RegexMatcher::default() };
            route.r#match = Some(RouteMatch {
                path_specifier: Some(PathSpecifier::SafeRegex(regex)),
                ..RouteMatch::default()
            });
        }
        _ => {
            let again = it.virtual_hosts.first()?.clone();
            it.virtual_hosts.push(again);
        }
    }
    Some(it.encode_to_vec())
}

fn cluster(way: u64, value: &[u8]) -> Option<Vec<u8>> {
    let mut it = Cluster::decode(value).ok()?;
    match way {
        0 => return None,
        1 => it.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::LogicalDns as i32)),
        2 => it.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32)),
        _ => it.connect_timeout = Some(Duration { seconds: -5, nanos: 0 }),
    }
    Some(it.encode_to_vec())
}
