//! The route action that sends a request upstream.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::route;
use super::retry::Attempts;
use super::rewrite::Edit;
use super::{affinity, header, host, mirror, retry, rewrite, subset, timing, wire};
use route::route_action::ClusterSpecifier;
use route::weighted_cluster::{ClusterWeight, cluster_weight};
use weir_model::node::Target;
use weir_model::{
    Forward, HeaderMutation, PathMatch, PathRewrite, Rewrite, Session, Timeouts, WeightedCluster, limits,
};

/// The message of an action whose route matched `path`. `before` is what the route changes in the request and what Envoy would apply after
/// the cluster's changes, so that it must be said there.
pub(super) fn encode(
    forward: &Forward,
    path: &PathMatch,
    before: Option<&HeaderMutation>,
    target: Target,
) -> route::RouteAction {
    let timeouts = &forward.timeouts;
    let mut action = route::RouteAction {
        cluster_specifier: Some(clusters(&forward.clusters, before)),
        // Absent would mean 15 s.
        timeout: Some(wire::duration(timeouts.request.unwrap_or_default())),
        idle_timeout: timeouts.idle.map(wire::duration),
        retry_policy: retry::encode(forward.retry.as_ref(), timeouts, target),
        hedge_policy: retry::hedging(forward.retry.as_ref(), target),
        priority: timing::priority(forward.priority),
        max_stream_duration: timing::stream(timeouts, target),
        request_mirror_policies: forward.mirrors.iter().map(mirror::encode).collect(),
        host_rewrite_specifier: host::encode(&forward.rewrite),
        append_x_forwarded_host: forward.rewrite.more.as_ref().is_some_and(|more| more.forwarded),
        ..route::RouteAction::default()
    };
    affinity::encode(forward.affinity.as_deref(), &mut action);
    match forward.rewrite.path.as_ref().map(|change| rewrite::encode(path, change)) {
        Some(Edit::Prefix(value)) => action.prefix_rewrite = value,
        Some(Edit::Regex(regex)) => action.regex_rewrite = Some(regex),
        None => {}
    }
    action
}

/// Whether some cluster changes a field of the request that its route changes too: weir applies the cluster's changes last, Envoy first.
pub(super) fn changes_again(forward: &Forward, route: &HeaderMutation) -> bool {
    forward.clusters.iter().any(|cluster| header::overlap(&cluster.request_headers, route))
}

/// The action of a message whose route matched `path` and has this session.
#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
pub(super) fn decode(
    action: &route::RouteAction,
    path: &PathMatch,
    session: Option<Session>,
) -> Check<Forward> {
    refuse!(action; path_rewrite_policy, path_rewrite, early_data_policy,
        retry_policy_typed_config, rate_limits, include_vh_rate_limits, cors,
        max_grpc_timeout, grpc_timeout_offset, upgrade_configs, internal_redirect_policy, internal_redirect_action,
        max_internal_redirects);
    // What Envoy answers while a cluster is missing (`cluster_not_found_response_code`) is never answered here: routes wait for their clusters.
    let Attempts { mut retry, timeout, idle } = match &action.retry_policy {
        Some(policy) => retry::decode(policy).at("retry_policy")?,
        None => Attempts::default(),
    };
    let hedge = retry::from_hedging(action.hedge_policy.as_ref()).at("hedge_policy")?;
    retry.iter_mut().for_each(|retry| retry.hedge = hedge);
    Ok(Forward {
        clusters: with_subsets(from_clusters(action.cluster_specifier.as_ref())?, action)?,
        rewrite: Rewrite { path: from_rewrite(action, path)?, ..host::decode(action)? },
        timeouts: Timeouts { backend_request: timeout, attempt_idle: idle, ..timing::decode(action)? },
        priority: timing::from_priority(action.priority)?,
        retry,
        mirrors: each(
            "request_mirror_policies",
            &action.request_mirror_policies,
            limits::MIRRORS,
            mirror::decode,
        )?,
        fallback: None,
        affinity: affinity::decode(action, session)?,
    })
}

fn from_rewrite(action: &route::RouteAction, path: &PathMatch) -> Check<Option<PathRewrite>> {
    match (&action.regex_rewrite, action.prefix_rewrite.as_str()) {
        (None, "") => Ok(None),
        (None, value) => rewrite::decode(path, &Edit::Prefix(value.to_owned())).map(Some),
        (Some(regex), "") => rewrite::decode(path, &Edit::Regex(regex.clone())).map(Some),
        (Some(_), _) => Err(Fault::of("regex_rewrite", "not together with prefix_rewrite")),
    }
}

fn clusters(clusters: &[WeightedCluster], before: Option<&HeaderMutation>) -> ClusterSpecifier {
    match clusters {
        [only]
            if only.weight == 1
                && only.subset.is_none()
                && only.request_headers.is_empty()
                && only.response_headers.is_empty() =>
        {
            ClusterSpecifier::Cluster(only.cluster.clone())
        }
        _ => {
            let clusters = clusters.iter().map(|cluster| weighted(cluster, before)).collect();
            ClusterSpecifier::WeightedClusters(route::WeightedCluster {
                clusters,
                ..route::WeightedCluster::default()
            })
        }
    }
}

fn from_clusters(specifier: Option<&ClusterSpecifier>) -> Check<Vec<WeightedCluster>> {
    match specifier {
        Some(ClusterSpecifier::Cluster(cluster)) => Ok(vec![WeightedCluster {
            subset: None,
            cluster: wire::name("cluster", cluster)?,
            weight: 1,
            request_headers: HeaderMutation::default(),
            response_headers: HeaderMutation::default(),
        }]),
        Some(ClusterSpecifier::WeightedClusters(split)) => from_split(split).at("weighted_clusters"),
        Some(ClusterSpecifier::ClusterHeader(_)) => Err(Fault::unsupported("cluster_header")),
        Some(ClusterSpecifier::ClusterSpecifierPlugin(_)) => {
            Err(Fault::unsupported("cluster_specifier_plugin"))
        }
        Some(ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => {
            Err(Fault::unsupported("inline_cluster_specifier_plugin"))
        }
        None => Err(Fault::of("cluster_specifier", "missing")),
    }
}

/// Adds the labels that the route asks for to those that each of its clusters does, which count first.
fn with_subsets(
    mut clusters: Vec<WeightedCluster>,
    action: &route::RouteAction,
) -> Check<Vec<WeightedCluster>> {
    let common = subset::wanted(action.metadata_match.as_ref()).at("metadata_match")?;
    if !common.is_empty() {
        for cluster in &mut clusters {
            let own = cluster.subset.take().map(|own| *own).unwrap_or_default();
            let mut all = common.clone();
            all.extend(own);
            cluster.subset = Some(Box::new(all));
        }
    }
    Ok(clusters)
}

fn from_split(split: &route::WeightedCluster) -> Check<Vec<WeightedCluster>> {
    // What `runtime_key_prefix` names are switches inside one Envoy; the weights are what everybody else has.
    let clusters = each("clusters", &split.clusters, limits::SPLIT, from_weighted)?;
    let total: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
    if (1..=u64::from(u32::MAX)).contains(&total) {
        Ok(clusters)
    } else {
        Err(Fault::of("clusters", format!("the weights sum to {total}, which is not from 1 to {}", u32::MAX)))
    }
}

fn weighted(cluster: &WeightedCluster, before: Option<&HeaderMutation>) -> ClusterWeight {
    let (request_headers_to_add, request_headers_to_remove) = match before {
        Some(before) => header::encode_both(before, &cluster.request_headers),
        None => header::encode(&cluster.request_headers),
    };
    let (response_headers_to_add, response_headers_to_remove) = header::encode(&cluster.response_headers);
    ClusterWeight {
        name: cluster.cluster.clone(),
        weight: wire::wrap(cluster.weight),
        metadata_match: subset::encode_wanted(cluster.subset.as_deref()),
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        ..ClusterWeight::default()
    }
}

fn from_weighted(cluster: &ClusterWeight) -> Check<WeightedCluster> {
    refuse!(cluster; cluster_header, typed_per_filter_config);
    match &cluster.host_rewrite_specifier {
        None => {}
        Some(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(_)) => {
            return Err(Fault::unsupported("host_rewrite_literal"));
        }
    }
    let subset = subset::wanted(cluster.metadata_match.as_ref()).at("metadata_match")?;
    Ok(WeightedCluster {
        cluster: wire::name("name", &cluster.name)?,
        subset: (!subset.is_empty()).then(|| Box::new(subset)),
        weight: required("weight", cluster.weight.as_ref())?.value,
        request_headers: header::decode(
            "request",
            &cluster.request_headers_to_add,
            &cluster.request_headers_to_remove,
        )?,
        response_headers: header::decode(
            "response",
            &cluster.response_headers_to_add,
            &cluster.response_headers_to_remove,
        )?,
    })
}
