//! HTTP on a listener: Envoy's connection manager with the router as its only filter.
//!
//! Envoy's own limits that weir's model does not have are switched off (idle streams).

use super::fault::{At, Check, Fault, refuse};
use super::pb::stateful_session::StatefulSession;
use super::pb::{google, hcm, router};
use super::{access_log, affinity, manner};
use super::{route, timing, wire};
use hcm::http_connection_manager::{self as parts, RouteSpecifier};
use prost::Name;
use weir_model::node::Target;
use weir_model::{EscapedSlashes, Forwarded, Fraction, HttpListener, Paths, RouteSource, Tracing, limits};

/// The message of an HTTP listener.
pub(super) fn encode(name: &str, listener: &HttpListener, target: Target) -> hcm::HttpConnectionManager {
    let (use_remote_address, xff_num_trusted_hops, skip_xff_append) = match listener.forwarded {
        Forwarded::Pass => (None, 0, false),
        Forwarded::Edge { trusted_hops, append } => {
            (Some(google::BoolValue { value: true }), trusted_hops, !append)
        }
    };
    let mut message = hcm::HttpConnectionManager {
        stat_prefix: name.to_owned(),
        normalize_path: listener.paths.normalize.then_some(google::BoolValue { value: true }),
        merge_slashes: listener.paths.merge_slashes,
        path_with_escaped_slashes_action: escaped_slashes(listener.paths.escaped_slashes).into(),
        use_remote_address,
        xff_num_trusted_hops,
        skip_xff_append,
        route_specifier: Some(match &listener.routes {
            RouteSource::Rds(name) => {
                RouteSpecifier::Rds(hcm::Rds { config_source: wire::ads(), route_config_name: name.clone() })
            }
            RouteSource::Inline(routes) => RouteSpecifier::RouteConfig(weir_routes(routes, target)),
        }),
        http_filters: super::filters::encode_chain(listener.filters.as_deref(), target)
            .into_iter()
            .chain(affinity::listener_filter(target))
            .chain([hcm::HttpFilter {
                name: "envoy.filters.http.router".to_owned(),
                config_type: Some(hcm::http_filter::ConfigType::TypedConfig(wire::pack(
                    &router::Router::default(),
                ))),
                ..hcm::HttpFilter::default()
            }])
            .collect(),
        // Absent would mean five minutes.
        stream_idle_timeout: Some(listener.limits.stream_idle.map(wire::duration).unwrap_or_default()),
        common_http_protocol_options: timing::listener(&listener.limits),
        http2_protocol_options: timing::http2(&listener.limits),
        request_headers_timeout: Some(wire::duration(listener.limits.head.unwrap_or(limits::HEAD_TIMEOUT))),
        max_request_headers_kb: listener.limits.head_bytes.and_then(|bytes| wire::wrap(bytes / 1024)),
        tracing: listener.tracing.as_ref().map(tracing),
        access_log: access_log::encode(listener.access_log.as_ref(), access_log::Protocol::Http, target),
        ..hcm::HttpConnectionManager::default()
    };
    manner::encode(listener.manner.as_deref(), &mut message, target);
    message
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
    refuse!(message; codec_type, add_user_agent, scheme_header_transformation, request_timeout, original_ip_detection_extensions, proxy_100_continue,
        early_header_mutation_extensions, forward_client_cert_details, set_current_client_cert_details,
        forward_client_cert_matcher, request_id_extension, local_reply_config, path_normalization_options, proxy_status_config,
        typed_header_validation_config, append_x_forwarded_port, add_proxy_protocol_connection_state, forward_proto_config);
    let filters = from_filters(&message.http_filters)?;
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
    Ok(HttpListener {
        routes,
        tracing,
        access_log: access_log::decode(&message.access_log)?,
        detection: None,
        filters,
        paths: from_paths(message)?,
        forwarded: from_forwarded(message)?,
        limits: timing::from_listener(message)?,
        manner: manner::decode(message)?,
    })
}

fn from_paths(message: &hcm::HttpConnectionManager) -> Check<Paths> {
    use parts::PathWithEscapedSlashesAction as Action;
    let escaped_slashes = match Action::try_from(message.path_with_escaped_slashes_action) {
        Ok(Action::ImplementationSpecificDefault | Action::KeepUnchanged) => EscapedSlashes::Keep,
        Ok(Action::RejectRequest) => EscapedSlashes::Reject,
        Ok(Action::UnescapeAndRedirect) => EscapedSlashes::Redirect,
        Ok(Action::UnescapeAndForward) => EscapedSlashes::Forward,
        Err(_) => {
            let message = format!("{} is unknown", message.path_with_escaped_slashes_action);
            return Err(Fault::of("path_with_escaped_slashes_action", message));
        }
    };
    let normalize = message.normalize_path.is_some_and(|normalize| normalize.value);
    Ok(Paths { escaped_slashes, normalize, merge_slashes: message.merge_slashes })
}

fn escaped_slashes(action: EscapedSlashes) -> parts::PathWithEscapedSlashesAction {
    use parts::PathWithEscapedSlashesAction as Action;
    match action {
        // As good as unset, which is what it is in other control planes' listeners.
        EscapedSlashes::Keep => Action::ImplementationSpecificDefault,
        EscapedSlashes::Reject => Action::RejectRequest,
        EscapedSlashes::Redirect => Action::UnescapeAndRedirect,
        EscapedSlashes::Forward => Action::UnescapeAndForward,
    }
}

/// Without `use_remote_address` the two other fields have nothing to say about the headers; the number of trusted hops would still
/// say which address a request comes from, so it is refused.
fn from_forwarded(message: &hcm::HttpConnectionManager) -> Check<Forwarded> {
    if message.use_remote_address.is_some_and(|edge| edge.value) {
        let (trusted_hops, append) = (message.xff_num_trusted_hops, !message.skip_xff_append);
        return Ok(Forwarded::Edge { trusted_hops, append });
    }
    refuse!(message; xff_num_trusted_hops);
    Ok(Forwarded::Pass)
}

/// The router, and besides it what weir has and what says itself that it may be left out.
fn from_filters(filters: &[hcm::HttpFilter]) -> Check<Option<Box<weir_model::Filters>>> {
    use hcm::http_filter::ConfigType;
    let (mut routed, mut found) = (false, weir_model::Filters::default());
    for (index, filter) in filters.iter().enumerate().filter(|(_, filter)| !filter.disabled) {
        let optional = filter.is_optional;
        match &filter.config_type {
            Some(ConfigType::TypedConfig(config)) if config.type_url == StatefulSession::type_url() => {
                affinity::check_listener_filter(config).at("typed_config").at_index("http_filters", index)?;
            }
            Some(ConfigType::TypedConfig(config)) if config.type_url == router::Router::type_url() => {
                from_router(config).at("typed_config").at_index("http_filters", index)?;
                routed = true;
            }
            Some(ConfigType::TypedConfig(config)) => {
                let known = super::filters::from_chain(config, &mut found);
                if !known.at("typed_config").at_index("http_filters", index)? && !optional {
                    let message = format!("the filter {:?} is not supported", wire::cut(&config.type_url));
                    return Err(Fault::of("typed_config", message)).at_index("http_filters", index);
                }
            }
            _ if optional => {}
            Some(ConfigType::ConfigDiscovery(_)) => {
                return Err(Fault::unsupported("config_discovery")).at_index("http_filters", index);
            }
            None => return Err(Fault::of("typed_config", "missing")).at_index("http_filters", index),
        }
    }
    if !routed {
        return Err(Fault::of("http_filters", "envoy.filters.http.router is missing"));
    }
    Ok((!found.is_empty()).then(|| Box::new(found)))
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
