//! Listeners that find out what is spoken: Envoy's HTTP inspector, a chain for what it finds to be HTTP, and the default chain for the rest.

use super::fault::{Check, Fault};
use super::pb::{google, http_inspector, listener};
use super::wire;
use prost::Name;
use std::time::Duration;

/// What the inspector says of HTTP.
const HTTP: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];
/// How long Envoy waits for the inspector unless it is told.
const ENVOY_WAIT: Duration = Duration::from_secs(15);

/// Makes a listener with one chain one that takes it for HTTP only; `otherwise` takes the rest, and whoever says nothing for as long as `wait`.
pub(super) fn encode(message: &mut listener::Listener, otherwise: listener::FilterChain, wait: Duration) {
    message.listener_filters = vec![listener::ListenerFilter {
        name: "envoy.filters.listener.http_inspector".to_owned(),
        config_type: Some(listener::listener_filter::ConfigType::TypedConfig(wire::pack(
            &http_inspector::HttpInspector {},
        ))),
        ..listener::ListenerFilter::default()
    }];
    for chain in &mut message.filter_chains {
        chain.filter_chain_match = Some(listener::FilterChainMatch {
            application_protocols: HTTP.map(str::to_owned).into(),
            ..listener::FilterChainMatch::default()
        });
    }
    message.default_filter_chain = Some(otherwise);
    message.listener_filters_timeout = Some(wire::duration(wait));
    message.continue_on_listener_filters_timeout = true;
}

/// How long a listener waits to find out, and its chain for what is not HTTP; nothing if it chooses its chains by something else.
pub(super) fn decode(message: &listener::Listener) -> Check<Option<(Duration, &listener::FilterChain)>> {
    let ([filter], [chain], Some(otherwise)) =
        (&*message.listener_filters, &*message.filter_chains, &message.default_filter_chain)
    else {
        return Ok(None);
    };
    let inspector = match &filter.config_type {
        Some(listener::listener_filter::ConfigType::TypedConfig(google::Any { type_url, .. })) => {
            *type_url == http_inspector::HttpInspector::type_url() && filter.filter_disabled.is_none()
        }
        _ => false,
    };
    // Where a client that says nothing is not served, nobody waits for its server either.
    let goes_on = message.continue_on_listener_filters_timeout;
    if !inspector || !goes_on || !chain.filter_chain_match.as_ref().is_some_and(is_http) {
        return Ok(None);
    }
    let wait = match &message.listener_filters_timeout {
        None => ENVOY_WAIT,
        Some(wait) => wire::from_duration(wait).map_err(|fault| fault.within("listener_filters_timeout"))?,
    };
    if wait.is_zero() {
        let message = "0s waits for ever; give a time after which the server speaks first";
        return Err(Fault::of("listener_filters_timeout", message));
    }
    Ok(Some((wait, otherwise)))
}

/// Whether a match is the one for what the inspector finds to be HTTP, of every version.
fn is_http(matches: &listener::FilterChainMatch) -> bool {
    let protocols = &matches.application_protocols;
    let nothing_else =
        listener::FilterChainMatch { application_protocols: protocols.clone(), ..Default::default() };
    *matches == nothing_else
        && HTTP.iter().all(|http| protocols.iter().any(|protocol| protocol == http))
        && protocols.iter().all(|protocol| HTTP.contains(&protocol.as_str()))
}
