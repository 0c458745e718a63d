//! Opaque bytes: Envoy's `tcp_proxy`.
//!
//! Where weir's model has a limit or none, an Envoy is told so, since it has defaults of its own.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{google, kind, tcp_proxy};
use super::{access_log, wire};
use kind::hash_policy::{self, PolicySpecifier};
use prost::Name;
use tcp_proxy::tcp_proxy::weighted_cluster::ClusterWeight;
use tcp_proxy::tcp_proxy::{ClusterSpecifier, WeightedCluster};
use weir_model::node::Target;
use weir_model::{TcpListener, TcpTarget, limits};

/// The message of a filter for bytes on a listener of this name.
pub(super) fn encode(name: &str, tcp: &TcpListener, target: Target) -> tcp_proxy::TcpProxy {
    let cluster_specifier = match tcp.targets.as_slice() {
        [TcpTarget { cluster, weight: 1 }] => ClusterSpecifier::Cluster(cluster.clone()),
        targets => {
            let weighted = |target: &TcpTarget| ClusterWeight {
                name: target.cluster.clone(),
                weight: target.weight,
                ..ClusterWeight::default()
            };
            ClusterSpecifier::WeightedClusters(WeightedCluster {
                clusters: targets.iter().map(weighted).collect(),
            })
        }
    };
    let by_source =
        kind::HashPolicy { policy_specifier: Some(PolicySpecifier::SourceIp(hash_policy::SourceIp {})) };
    tcp_proxy::TcpProxy {
        stat_prefix: name.to_owned(),
        cluster_specifier: Some(cluster_specifier),
        access_log: access_log::encode(tcp.access_log.as_ref(), access_log::Protocol::Tcp, target),
        // Absent would mean an hour.
        idle_timeout: Some(tcp.idle_timeout.map(wire::duration).unwrap_or_default()),
        max_downstream_connection_duration: tcp.max_duration.map(wire::duration),
        max_connect_attempts: wire::wrap(tcp.attempts),
        hash_policy: tcp.hash_source.then_some(by_source).into_iter().collect(),
        ..tcp_proxy::TcpProxy::default()
    }
}

/// The filter of a message.
#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
pub(super) fn decode(proxy: &tcp_proxy::TcpProxy) -> Check<TcpListener> {
    refuse!(proxy; on_demand, metadata_match, downstream_idle_timeout, upstream_idle_timeout, backoff_options,
        tunneling_config, max_downstream_connection_duration_jitter_percentage, access_log_flush_interval,
        flush_access_log_on_connected, access_log_options, proxy_protocol_tlvs, proxy_protocol_tlv_merge_policy,
        upstream_connect_mode, max_early_data_bytes, check_drain_close);
    let targets = match &proxy.cluster_specifier {
        Some(ClusterSpecifier::Cluster(cluster)) => {
            vec![TcpTarget { cluster: wire::name("cluster", cluster)?, weight: 1 }]
        }
        Some(ClusterSpecifier::WeightedClusters(split)) => from_split(split).at("weighted_clusters")?,
        None => return Err(Fault::of("cluster", "missing")),
    };
    let attempts = proxy.max_connect_attempts.as_ref().map_or(1, |attempts| attempts.value);
    if !(1..=limits::TCP_ATTEMPTS_MOST).contains(&attempts) {
        let message = format!("{attempts} is not from 1 to {}", limits::TCP_ATTEMPTS_MOST);
        return Err(Fault::of("max_connect_attempts", message));
    }
    let idle_timeout = match &proxy.idle_timeout {
        None => Some(limits::TCP_IDLE),
        said => wire::timeout("idle_timeout", said.as_ref())?,
    };
    Ok(TcpListener {
        targets,
        attempts,
        idle_timeout,
        max_duration: wire::timeout(
            "max_downstream_connection_duration",
            proxy.max_downstream_connection_duration.as_ref(),
        )?,
        hash_source: !each("hash_policy", &proxy.hash_policy, 1, from_hash_policy)?.is_empty(),
        access_log: access_log::decode(&proxy.access_log)?,
    })
}

fn from_split(split: &WeightedCluster) -> Check<Vec<TcpTarget>> {
    let targets = each("clusters", &split.clusters, limits::SPLIT, |cluster| {
        refuse!(cluster; metadata_match);
        if cluster.weight == 0 {
            return Err(Fault::of("weight", "0; it is at least 1: leave the cluster out"));
        }
        Ok(TcpTarget { cluster: wire::name("name", &cluster.name)?, weight: cluster.weight })
    })?;
    let total: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
    match (1..=u64::from(u32::MAX)).contains(&total) {
        true => Ok(targets),
        false => {
            let message = format!("the weights sum to {total}, which is not from 1 to {}", u32::MAX);
            Err(Fault::of("clusters", message))
        }
    }
}

fn from_hash_policy(policy: &kind::HashPolicy) -> Check<()> {
    match required("policy_specifier", policy.policy_specifier.as_ref())? {
        PolicySpecifier::SourceIp(_) => Ok(()),
        PolicySpecifier::FilterState(_) => Err(Fault::unsupported("filter_state")),
    }
}

/// Whether a filter carries bytes.
pub(super) fn is_proxy(config: &google::Any) -> bool {
    config.type_url == tcp_proxy::TcpProxy::type_url()
}
