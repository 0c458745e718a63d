//! Route configurations (RDS): virtual hosts, routes, and the actions that answer without going upstream.

use super::fault::{At, Check, Fault, each, refuse, required};
use super::pb::{core, route};
use super::rewrite::Edit;
use super::{
    affinity, fallback, filters, forward, header, matches, metadata, options, retry, rewrite, start, wire,
};
use http::StatusCode;
use route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use weir_model::node::Target;
use weir_model::{
    DirectResponse, PathMatch, PathRewrite, Redirect, Route, RouteAction, RouteConfiguration, VirtualHost,
    limits,
};

/// Metadata of routes whose clusters change a field of the request after their route did, as weir has it; without it they do it before, as
/// Envoy has it.
const CLUSTERS: (&str, &str) = ("weighted_cluster_request_headers", "last");
/// Metadata of a route whose limits count together with the same ones of its virtual host, as they do for weir.
const LIMITS: (&str, &str) = ("rate_limits", "shared");

/// The message of a route configuration.
pub(super) fn encode(routes: &RouteConfiguration, target: Target) -> route::RouteConfiguration {
    let weirs_order = !routes.in_envoys_order();
    let order_matters =
        weirs_order && target != Target::Envoy && routes.virtual_hosts.iter().any(changes_again);
    // What an Envoy is told in other places where the order is ours.
    let told = if weirs_order { target } else { Target::Weir };
    let mut message = route::RouteConfiguration {
        name: routes.name.clone(),
        virtual_hosts: routes.virtual_hosts.iter().map(|host| virtual_host(host, target, told)).collect(),
        metadata: order_matters.then(|| metadata::encode(CLUSTERS.0, CLUSTERS.1)),
        ..route::RouteConfiguration::default()
    };
    options::encode(routes.options.as_deref(), &mut message);
    message
}

/// The route configuration of a message.
pub(super) fn decode(message: &route::RouteConfiguration) -> Check<RouteConfiguration> {
    refuse!(message; vhds, internal_only_headers, cluster_specifier_plugins, request_mirror_policies, vhost_header,
        ignore_path_parameters_in_path_matching, typed_per_filter_config, route_specifiers);
    let mut routes = RouteConfiguration {
        name: wire::name("name", &message.name)?,
        virtual_hosts: each(
            "virtual_hosts",
            &message.virtual_hosts,
            limits::VIRTUAL_HOSTS,
            from_virtual_host,
        )?,
        options: options::decode(message)?,
    };
    options::settle(&mut routes);
    let weirs_order = metadata::decode(message.metadata.as_ref(), CLUSTERS.0)? == Some(CLUSTERS.1);
    if !weirs_order && !routes.in_envoys_order() {
        for route in routes.virtual_hosts.iter_mut().flat_map(|host| &mut host.routes) {
            change_before(route);
        }
    }
    Ok(routes)
}

fn changes_again(host: &VirtualHost) -> bool {
    host.routes.iter().any(|route| match &route.action {
        RouteAction::Forward(forward) => forward::changes_again(forward, &route.request_headers),
        RouteAction::Redirect(_) | RouteAction::Direct(_) => false,
    })
}

/// Lets the clusters do what their route does after them, where they change the same field of the request.
fn change_before(route: &mut Route) {
    if let RouteAction::Forward(forward) = &mut route.action
        && forward::changes_again(forward, &route.request_headers)
    {
        let later = std::mem::take(&mut route.request_headers);
        for cluster in &mut forward.clusters {
            cluster.request_headers = header::after(&cluster.request_headers, &later);
        }
    }
}

fn virtual_host(host: &VirtualHost, target: Target, told: Target) -> route::VirtualHost {
    let mut message = route::VirtualHost {
        name: host.name.clone(),
        domains: host.domains.clone(),
        routes: host.routes.iter().map(|route| one(route, target, told)).collect(),
        typed_per_filter_config: filters::encode(host.filters.as_deref(), Default::default(), target),
        ..route::VirtualHost::default()
    };
    options::encode_host(host.options.as_deref(), &mut message);
    message
}

#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
fn from_virtual_host(host: &route::VirtualHost) -> Check<VirtualHost> {
    refuse!(host; matcher, require_tls, rate_limits, cors, retry_policy_typed_config, include_is_timeout_retry_header, per_request_buffer_limit_bytes, request_body_buffer_limit, request_mirror_policies,
        route_specifiers);
    Ok(VirtualHost {
        name: wire::name("name", &host.name)?,
        domains: each("domains", &host.domains, limits::DOMAINS, |domain| wire::name("", domain))?,
        routes: {
            let mut routes = each("routes", &host.routes, limits::ROUTES, from_one)?;
            retry::inherit(host, &host.routes, &mut routes)?;
            routes
        },
        filters: filters::decode(&host.typed_per_filter_config, &[])?,
        options: options::decode_host(host)?,
    })
}

fn one(route: &Route, target: Target, told: Target) -> route::Route {
    let before = match &route.action {
        RouteAction::Forward(forward) if told == Target::Envoy => {
            Some(&route.request_headers).filter(|headers| forward::changes_again(forward, headers))
        }
        _ => None,
    };
    let (request_headers_to_add, request_headers_to_remove) = match before {
        Some(_) => (vec![], vec![]),
        None => header::encode(&route.request_headers),
    };
    let (response_headers_to_add, response_headers_to_remove) = header::encode(&route.response_headers);
    let path = &route.matches.path;
    let mut configs = affinity::to_route(&route.action, target);
    fallback::to_route(&route.action, target, &mut configs);
    start::to_route(&route.action, target, &mut configs);
    route::Route {
        name: route.name.clone(),
        stat_prefix: route.stat_prefix.clone(),
        r#match: Some(matches::encode(&route.matches, target)),
        action: Some(match &route.action {
            RouteAction::Forward(forward) => {
                route::route::Action::Route(forward::encode(forward, path, before, target))
            }
            RouteAction::Redirect(redirect) => {
                route::route::Action::Redirect(redirect_action(redirect, path))
            }
            RouteAction::Direct(direct) => route::route::Action::DirectResponse(direct_response(direct)),
        }),
        request_headers_to_add,
        request_headers_to_remove,
        response_headers_to_add,
        response_headers_to_remove,
        metadata: counts_together(route, target).then(|| metadata::encode(LIMITS.0, LIMITS.1)),
        typed_per_filter_config: filters::encode(route.filters.as_deref(), configs, target),
        ..route::Route::default()
    }
}

fn counts_together(route: &Route, target: Target) -> bool {
    let limits = route.filters.as_ref().and_then(|filters| filters.limits.as_ref());
    target != Target::Grpc && limits.is_some_and(|limits| limits.shared)
}

#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
fn from_one(route: &route::Route) -> Check<Route> {
    refuse!(route; tracing, per_request_buffer_limit_bytes, request_body_buffer_limit, route_specifiers);
    for (field, text) in [("name", &route.name), ("stat_prefix", &route.stat_prefix)] {
        if text.len() > limits::NAME_BYTES {
            return Err(Fault::of(field, format!("longer than {} bytes", limits::NAME_BYTES)));
        }
    }
    let matches = matches::decode(required("match", route.r#match.as_ref())?).at("match")?;
    let session = affinity::of_route(&route.typed_per_filter_config)?;
    let fallback = fallback::of_route(route)?;
    let mut action = match route.action.as_ref() {
        Some(route::route::Action::Route(action)) => {
            let forward = forward::decode(action, &matches.path, session).at("route")?;
            RouteAction::Forward(weir_model::Forward { fallback, ..forward })
        }
        Some(route::route::Action::Redirect(action)) => {
            RouteAction::Redirect(from_redirect(action, &matches.path).at("redirect")?)
        }
        Some(route::route::Action::DirectResponse(action)) => {
            RouteAction::Direct(from_direct_response(action).at("direct_response")?)
        }
        Some(route::route::Action::FilterAction(_)) => return Err(Fault::unsupported("filter_action")),
        Some(route::route::Action::NonForwardingAction(_)) => {
            return Err(Fault::unsupported("non_forwarding_action"));
        }
        None => return Err(Fault::of("action", "missing")),
    };
    let mut filters = filters::decode(
        &route.typed_per_filter_config,
        &[affinity::FILTER, fallback::FILTER, start::FILTER],
    )?;
    if metadata::decode(route.metadata.as_ref(), LIMITS.0)? == Some(LIMITS.1)
        && let Some(limits) = filters.as_mut().and_then(|filters| filters.limits.as_mut())
    {
        limits.shared = !limits.is_empty();
    }
    start::of_route(route, &mut action)?;
    Ok(Route {
        name: route.name.clone(),
        stat_prefix: route.stat_prefix.clone(),
        matches,
        action,
        request_headers: header::decode(
            "request",
            &route.request_headers_to_add,
            &route.request_headers_to_remove,
        )?,
        response_headers: header::decode(
            "response",
            &route.response_headers_to_add,
            &route.response_headers_to_remove,
        )?,
        filters,
    })
}

fn redirect_action(redirect: &Redirect, path: &PathMatch) -> route::RedirectAction {
    use RedirectResponseCode as Code;
    let response_code = match redirect.status {
        StatusCode::FOUND => Code::Found,
        StatusCode::SEE_OTHER => Code::SeeOther,
        StatusCode::TEMPORARY_REDIRECT => Code::TemporaryRedirect,
        StatusCode::PERMANENT_REDIRECT => Code::PermanentRedirect,
        _ => Code::MovedPermanently,
    };
    route::RedirectAction {
        host_redirect: redirect.host.clone().unwrap_or_default(),
        port_redirect: redirect.port.map_or(0, u32::from),
        response_code: response_code as i32,
        scheme_rewrite_specifier: redirect.scheme.clone().map(SchemeRewriteSpecifier::SchemeRedirect),
        path_rewrite_specifier: redirect.path.as_ref().map(|change| match change {
            PathRewrite::Full(full) => PathRewriteSpecifier::PathRedirect(full.clone()),
            PathRewrite::Prefix(_) | PathRewrite::Characters(_) | PathRewrite::Substitute(_) => {
                match rewrite::encode(path, change) {
                    Edit::Prefix(value) => PathRewriteSpecifier::PrefixRewrite(value),
                    Edit::Regex(regex) => PathRewriteSpecifier::RegexRewrite(regex),
                }
            }
        }),
        strip_query: redirect.strip_query,
    }
}

fn from_redirect(action: &route::RedirectAction, path: &PathMatch) -> Check<Redirect> {
    use RedirectResponseCode as Code;
    let scheme = match &action.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => Some(wire::name("scheme_redirect", scheme)?),
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https".to_owned()),
        Some(SchemeRewriteSpecifier::HttpsRedirect(false)) | None => None,
    };
    let port = u16::try_from(action.port_redirect)
        .map_err(|_| Fault::of("port_redirect", format!("{} is above 65535", action.port_redirect)))?;
    let path = match action.path_rewrite_specifier.clone() {
        Some(PathRewriteSpecifier::PathRedirect(full)) if full.len() > limits::HEAD_BYTES => {
            return Err(Fault::of("path_redirect", format!("longer than {} bytes", limits::HEAD_BYTES)));
        }
        Some(PathRewriteSpecifier::PathRedirect(full)) => Some(PathRewrite::Full(full)),
        Some(PathRewriteSpecifier::PrefixRewrite(value)) => {
            Some(rewrite::decode(path, &Edit::Prefix(value))?)
        }
        Some(PathRewriteSpecifier::RegexRewrite(regex)) => Some(rewrite::decode(path, &Edit::Regex(regex))?),
        Some(PathRewriteSpecifier::PathRewrite(_)) => return Err(Fault::unsupported("path_rewrite")),
        None => None,
    };
    let status = match Code::try_from(action.response_code) {
        Ok(Code::MovedPermanently) => StatusCode::MOVED_PERMANENTLY,
        Ok(Code::Found) => StatusCode::FOUND,
        Ok(Code::SeeOther) => StatusCode::SEE_OTHER,
        Ok(Code::TemporaryRedirect) => StatusCode::TEMPORARY_REDIRECT,
        Ok(Code::PermanentRedirect) => StatusCode::PERMANENT_REDIRECT,
        Err(_) => return Err(Fault::of("response_code", format!("{} is unknown", action.response_code))),
    };
    let host = match action.host_redirect.as_str() {
        "" => None,
        host => Some(wire::name("host_redirect", host)?),
    };
    Ok(Redirect {
        scheme,
        host,
        port: Some(port).filter(|port| *port != 0),
        path,
        status,
        strip_query: action.strip_query,
    })
}

fn direct_response(direct: &DirectResponse) -> route::DirectResponseAction {
    let body = (!direct.body.is_empty()).then(|| core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(direct.body.clone())),
        ..core::DataSource::default()
    });
    route::DirectResponseAction {
        status: u32::from(direct.status.as_u16()),
        body,
        ..route::DirectResponseAction::default()
    }
}

fn from_direct_response(action: &route::DirectResponseAction) -> Check<DirectResponse> {
    refuse!(action; body_format);
    let status = u16::try_from(action.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(|| Fault::of("status", format!("{} is no HTTP status", action.status)))?;
    let body = match action.body.as_ref().and_then(|body| body.specifier.as_ref()) {
        None => String::new(),
        Some(core::data_source::Specifier::InlineString(body)) => body.clone(),
        Some(core::data_source::Specifier::InlineBytes(body)) => {
            String::from_utf8(body.clone()).map_err(|_| Fault::of("body.inline_bytes", "no UTF-8 text"))?
        }
        Some(_) => return Err(Fault::of("body", "only inline bodies are supported")),
    };
    if body.len() > limits::DIRECT_BODY_BYTES {
        return Err(Fault::of("body", format!("longer than {} bytes", limits::DIRECT_BODY_BYTES)));
    }
    Ok(DirectResponse { status, body })
}
