//! HTTP on a listener: Envoy's connection manager with the router as its only filter.
//!
//! Envoy's own limits that weir's model does not have are switched off (idle streams), and upgrades are allowed as weir always does.

use super::access_log;
use super::fault::{At, Check, Fault, refuse};
use super::pb::{google, hcm, router};
use super::{route, wire};
use hcm::http_connection_manager::{self as parts, RouteSpecifier};
use prost::Name;
use weir_model::node::Target;
use weir_model::{Fraction, HttpListener, RouteSource, Tracing, limits};

/// Protocols a connection may be upgraded to; weir tunnels any.
const UPGRADE: &str = "websocket";

/// The message of an HTTP listener.
pub(super) fn encode(name: &str, listener: &HttpListener, target: Target) -> hcm::HttpConnectionManager {
    hcm::HttpConnectionManager {
        stat_prefix: name.to_owned(),
        route_specifier: Some(match &listener.routes {
            RouteSource::Rds(name) => {
                RouteSpecifier::Rds(hcm::Rds { config_source: wire::ads(), route_config_name: name.clone() })
            }
            RouteSource::Inline(routes) => RouteSpecifier::RouteConfig(weir_routes(routes, target)),
        }),
        http_filters: vec![hcm::HttpFilter {
            name: "envoy.filters.http.router".to_owned(),
            config_type: Some(hcm::http_filter::ConfigType::TypedConfig(wire::pack(
                &router::Router::default(),
            ))),
            ..hcm::HttpFilter::default()
        }],
        upgrade_configs: vec![parts::UpgradeConfig {
            upgrade_type: UPGRADE.to_owned(),
            ..parts::UpgradeConfig::default()
        }],
        // Envoy would end a stream that is silent for five minutes; where a route wants that, it says so.
        stream_idle_timeout: Some(google::Duration::default()),
        request_headers_timeout: Some(wire::duration(limits::HEAD_TIMEOUT)),
        tracing: listener.tracing.as_ref().map(tracing),
        access_log: access_log::encode(listener.access_log, access_log::Protocol::Http),
        ..hcm::HttpConnectionManager::default()
    }
}

/// Inline routes. Envoy refuses such a listener by default while one of the clusters is not there yet.
fn weir_routes(
    routes: &weir_model::RouteConfiguration,
    target: Target,
) -> super::pb::route::RouteConfiguration {
    let validate_clusters = Some(google::BoolValue { value: false });
    super::pb::route::RouteConfiguration { validate_clusters, ..route::encode(routes, target) }
}

/// The HTTP listener of a message.
#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
pub(super) fn decode(message: &hcm::HttpConnectionManager) -> Check<HttpListener> {
    refuse!(message; codec_type, add_user_agent, server_name, scheme_header_transformation, max_request_headers_kb,
        request_timeout, use_remote_address, xff_num_trusted_hops, original_ip_detection_extensions,
        early_header_mutation_extensions, skip_xff_append, via, forward_client_cert_details, set_current_client_cert_details,
        forward_client_cert_matcher, proxy_100_continue, merge_slashes, path_with_escaped_slashes_action, request_id_extension,
        local_reply_config, strip_matching_host_port, strip_trailing_host_dot, strip_port_mode, path_normalization_options,
        typed_header_validation_config, append_x_forwarded_port, add_proxy_protocol_connection_state, forward_proto_config);
    if message.normalize_path.is_some_and(|normalize| normalize.value) {
        return Err(Fault::unsupported("normalize_path"));
    }
    wire::timeout("stream_idle_timeout", message.stream_idle_timeout.as_ref())?.map_or(Ok(()), |_| {
        Err(Fault::of("stream_idle_timeout", "only 0s is supported; set idle_timeout on routes"))
    })?;
    for (index, upgrade) in message.upgrade_configs.iter().enumerate() {
        from_upgrade(upgrade).at_index("upgrade_configs", index)?;
    }
    from_filters(&message.http_filters)?;
    let routes = match &message.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => {
            let inner = || {
                wire::from_ads("config_source", rds.config_source.as_ref())?;
                wire::name("route_config_name", &rds.route_config_name)
            };
            RouteSource::Rds(inner().at("rds")?)
        }
        Some(RouteSpecifier::RouteConfig(routes)) => {
            RouteSource::Inline(route::decode(routes).at("route_config")?)
        }
        Some(RouteSpecifier::ScopedRoutes(_)) => return Err(Fault::unsupported("scoped_routes")),
        None => return Err(Fault::of("route_specifier", "missing")),
    };
    let tracing = match &message.tracing {
        Some(tracing) => Some(from_tracing(tracing).at("tracing")?),
        None => None,
    };
    Ok(HttpListener { routes, tracing, access_log: access_log::decode(&message.access_log)? })
}

fn from_upgrade(upgrade: &parts::UpgradeConfig) -> Check<()> {
    refuse!(upgrade; filters);
    if upgrade.upgrade_type.eq_ignore_ascii_case("connect") {
        return Err(Fault::of("upgrade_type", "CONNECT is not supported"));
    }
    Ok(())
}

/// The router, and besides it only what says itself that it may be left out.
fn from_filters(filters: &[hcm::HttpFilter]) -> Check<()> {
    use hcm::http_filter::ConfigType;
    let mut routed = false;
    for (index, filter) in filters.iter().enumerate().filter(|(_, filter)| !filter.disabled) {
        let optional = filter.is_optional;
        match &filter.config_type {
            Some(ConfigType::TypedConfig(config)) if config.type_url == router::Router::type_url() => {
                from_router(config).at("typed_config").at_index("http_filters", index)?;
                routed = true;
            }
            _ if optional => {}
            Some(ConfigType::TypedConfig(config)) => {
                let message = format!("the filter {:?} is not supported", wire::cut(&config.type_url));
                return Err(Fault::of("typed_config", message)).at_index("http_filters", index);
            }
            Some(ConfigType::ConfigDiscovery(_)) => {
                return Err(Fault::unsupported("config_discovery")).at_index("http_filters", index);
            }
            None => return Err(Fault::of("typed_config", "missing")).at_index("http_filters", index),
        }
    }
    if routed { Ok(()) } else { Err(Fault::of("http_filters", "envoy.filters.http.router is missing")) }
}

fn from_router(config: &google::Any) -> Check<()> {
    let router: router::Router = wire::unpack(config)?;
    refuse!(router; strict_check_headers, respect_expected_rq_timeout, upstream_http_filters);
    Ok(())
}

fn tracing(tracing: &Tracing) -> parts::Tracing {
    let everything = Some(wire::percent(1_000_000));
    parts::Tracing {
        // A caller's own decision is followed always, and nothing is taken away afterwards.
        client_sampling: everything,
        random_sampling: Some(wire::percent(tracing.sampling.0)),
        overall_sampling: everything,
        ..parts::Tracing::default()
    }
}

fn from_tracing(tracing: &parts::Tracing) -> Check<Tracing> {
    refuse!(tracing; custom_tags, operation, upstream_operation, no_context_propagation);
    for (field, share) in
        [("client_sampling", &tracing.client_sampling), ("overall_sampling", &tracing.overall_sampling)]
    {
        if share.as_ref().is_some_and(|share| share.value != 100.0) {
            return Err(Fault::of(field, "only 100 % is supported"));
        }
    }
    let sampling = match &tracing.random_sampling {
        Some(share) => wire::from_percent(share).at("random_sampling")?,
        None => 1_000_000,
    };
    Ok(Tracing { sampling: Fraction(sampling) })
}
