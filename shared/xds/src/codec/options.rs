//! What few route configurations and virtual hosts say besides their routes: changes of header fields for all of them, counts of attempts, and
//! whether ports count.

use super::fault::Check;
use super::header;
use super::pb::route;
use weir_model::{HeaderChanges, HostOptions, RouteConfiguration, RoutesOptions, VirtualHost};

/// Writes those of a route configuration.
pub(super) fn encode(options: Option<&RoutesOptions>, message: &mut route::RouteConfiguration) {
    let Some(options) = options else { return };
    (message.request_headers_to_add, message.request_headers_to_remove) =
        header::encode(&options.headers.request);
    (message.response_headers_to_add, message.response_headers_to_remove) =
        header::encode(&options.headers.response);
    message.most_specific_header_mutations_wins = options.most_specific_last;
    message.ignore_port_in_host_matching = options.ignore_port;
}

/// Those of a route configuration.
pub(super) fn decode(message: &route::RouteConfiguration) -> Check<Option<Box<RoutesOptions>>> {
    let headers = changes(
        header::decode("request", &message.request_headers_to_add, &message.request_headers_to_remove)?,
        header::decode("response", &message.response_headers_to_add, &message.response_headers_to_remove)?,
    );
    let options = RoutesOptions {
        headers,
        most_specific_last: message.most_specific_header_mutations_wins,
        ignore_port: message.ignore_port_in_host_matching,
    };
    Ok((!options.is_empty()).then(|| Box::new(options)))
}

/// Forgets an order that no two changes are in.
pub(super) fn settle(routes: &mut RouteConfiguration) {
    let of_hosts = |hosts: &[VirtualHost]| {
        hosts.iter().filter_map(|host| host.options.as_ref()).any(|options| !options.headers.is_empty())
    };
    let hosts = of_hosts(&routes.virtual_hosts);
    if let Some(options) = &mut routes.options
        && options.headers.is_empty()
        && !hosts
    {
        options.most_specific_last = false;
    }
    if routes.options.as_ref().is_some_and(|options| options.is_empty()) {
        routes.options = None;
    }
}

/// Writes those of a virtual host.
pub(super) fn encode_host(options: Option<&HostOptions>, message: &mut route::VirtualHost) {
    let Some(options) = options else { return };
    (message.request_headers_to_add, message.request_headers_to_remove) =
        header::encode(&options.headers.request);
    (message.response_headers_to_add, message.response_headers_to_remove) =
        header::encode(&options.headers.response);
    message.include_request_attempt_count = options.tell_attempts;
    message.include_attempt_count_in_response = options.answer_attempts;
}

/// Those of a virtual host.
pub(super) fn decode_host(message: &route::VirtualHost) -> Check<Option<Box<HostOptions>>> {
    let headers = changes(
        header::decode("request", &message.request_headers_to_add, &message.request_headers_to_remove)?,
        header::decode("response", &message.response_headers_to_add, &message.response_headers_to_remove)?,
    );
    let options = HostOptions {
        headers,
        tell_attempts: message.include_request_attempt_count,
        answer_attempts: message.include_attempt_count_in_response,
    };
    Ok((!options.is_empty()).then(|| Box::new(options)))
}

fn changes(request: weir_model::HeaderMutation, response: weir_model::HeaderMutation) -> HeaderChanges {
    HeaderChanges { request, response }
}
