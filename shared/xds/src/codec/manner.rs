//! What Envoy's connection manager does with HTTP where there is a choice: names it puts into fields, forms of the authority, request ids,
//! HTTP/1.0, tunnels.
//!
//! Weir's own listeners say what they leave alone that an Envoy would do unasked, so that it is left alone wherever they are read; from other
//! control planes an absent field means what it means to Envoy. One default is not Envoy's: the name of the server, which stays that of
//! whoever answered unless there is a `server_name`.

use super::fault::{At, Check, Fault, each, refuse};
use super::pb::{core, google, hcm};
use super::wire;
use core::http_protocol_options::HeadersWithUnderscoresAction as Action;
use core::http1_protocol_options::header_key_format::HeaderFormat;
use core::http1_protocol_options::{HeaderKeyFormat, header_key_format};
use hcm::http_connection_manager::{
    ServerHeaderTransformation as Transformation, StripPortMode, UpgradeConfig,
};
use std::sync::Arc;
use weir_model::node::Target;
use weir_model::{HeaderValue, HostPorts, Manner, RequestIds, ServerName, Underscores, limits};

/// What says in weir's own listeners that any protocol will do.
const ANY: &str = "*";
/// What an Envoy is told in its place.
const WEBSOCKET: &str = "websocket";

/// Writes what a listener does besides.
pub(super) fn encode(manner: Option<&Manner>, message: &mut hcm::HttpConnectionManager, target: Target) {
    let plain = Manner::default();
    let manner = manner.unwrap_or(&plain);
    if target == Target::Weir || manner.request_id.generate {
        // Absent, an Envoy does it.
        message.generate_request_id = Some(google::BoolValue { value: manner.request_id.generate });
    }
    message.preserve_external_request_id = manner.request_id.keep;
    message.always_set_request_id_in_response = manner.request_id.tell;
    if let Some(server) = &manner.server {
        message.server_name = text(&server.name);
        let how = if server.overwrite { Transformation::Overwrite } else { Transformation::AppendIfAbsent };
        message.server_header_transformation = how as i32;
    }
    message.via = manner.via.as_ref().map(text).unwrap_or_default();
    match manner.ports {
        HostPorts::Keep => {}
        HostPorts::StripOwn => message.strip_matching_host_port = true,
        HostPorts::StripAny => message.strip_port_mode = Some(StripPortMode::StripAnyHostPort(true)),
    }
    message.strip_trailing_host_dot = manner.strip_dot;
    let action = match manner.underscores {
        Underscores::Allow => Action::Allow,
        Underscores::Reject => Action::RejectRequest,
        Underscores::Drop => Action::DropHeader,
    };
    if action != Action::Allow {
        message.common_http_protocol_options.get_or_insert_default().headers_with_underscores_action =
            action as i32;
    }
    let upgrade = |name: &str| UpgradeConfig { upgrade_type: name.to_owned(), ..UpgradeConfig::default() };
    message.upgrade_configs = match &manner.upgrades {
        None if target == Target::Weir => vec![upgrade(ANY)],
        None => vec![upgrade(WEBSOCKET)],
        Some(listed) => listed.iter().map(|name| upgrade(name)).collect(),
    };
    if manner.extended_connect {
        message.http2_protocol_options.get_or_insert_default().allow_connect = true;
    }
    let http1 = core::Http1ProtocolOptions {
        accept_http_10: manner.default_host.is_some(),
        default_host_for_http_10: manner.default_host.as_ref().map(text).unwrap_or_default(),
        header_key_format: manner.proper_case.then_some(HeaderKeyFormat {
            header_format: Some(HeaderFormat::ProperCaseWords(header_key_format::ProperCaseWords {})),
        }),
        ..core::Http1ProtocolOptions::default()
    };
    message.http_protocol_options = (http1 != core::Http1ProtocolOptions::default()).then_some(http1);
}

/// Values are read from text, or were checked to be text where a policy has them.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// What a listener does besides; nothing if it does nothing.
pub(super) fn decode(message: &hcm::HttpConnectionManager) -> Check<Option<Arc<Manner>>> {
    let manner = Manner {
        server: from_server(message)?,
        via: value("via", &message.via)?,
        ports: match (&message.strip_port_mode, message.strip_matching_host_port) {
            (Some(StripPortMode::StripAnyHostPort(true)), true) => {
                let other = "not together with strip_any_host_port";
                return Err(Fault::of("strip_matching_host_port", other));
            }
            (Some(StripPortMode::StripAnyHostPort(true)), false) => HostPorts::StripAny,
            (_, true) => HostPorts::StripOwn,
            (_, false) => HostPorts::Keep,
        },
        underscores: match &message.common_http_protocol_options {
            Some(options) => from_underscores(options).at("common_http_protocol_options")?,
            None => Underscores::Allow,
        },
        request_id: RequestIds {
            generate: message.generate_request_id.is_none_or(|generate| generate.value),
            keep: message.preserve_external_request_id,
            tell: message.always_set_request_id_in_response,
        },
        strip_dot: message.strip_trailing_host_dot,
        upgrades: from_upgrades(&message.upgrade_configs)?,
        extended_connect: message
            .http2_protocol_options
            .as_ref()
            .is_some_and(|options| options.allow_connect),
        ..from_http1(message.http_protocol_options.as_ref()).at("http_protocol_options")?
    };
    Ok((!manner.is_plain()).then(|| Arc::new(manner)))
}

fn from_upgrades(listed: &[UpgradeConfig]) -> Check<Option<Vec<String>>> {
    let named = each("upgrade_configs", listed, limits::UPGRADES, |upgrade| {
        refuse!(upgrade; filters);
        let name = wire::name("upgrade_type", &upgrade.upgrade_type)?;
        if name.eq_ignore_ascii_case("connect") {
            return Err(Fault::of("upgrade_type", "CONNECT is not supported"));
        }
        Ok(upgrade.enabled.is_none_or(|enabled| enabled.value).then_some(name))
    })?;
    let named: Vec<String> = named.into_iter().flatten().collect();
    Ok((!named.iter().any(|name| name == ANY)).then_some(named))
}

fn from_server(message: &hcm::HttpConnectionManager) -> Check<Option<ServerName>> {
    let overwrite = match Transformation::try_from(message.server_header_transformation) {
        Ok(Transformation::Overwrite) => true,
        Ok(Transformation::AppendIfAbsent) => false,
        Ok(Transformation::PassThrough) => return Ok(None),
        Err(_) => {
            let message = format!("{} is unknown", message.server_header_transformation);
            return Err(Fault::of("server_header_transformation", message));
        }
    };
    Ok(value("server_name", &message.server_name)?.map(|name| ServerName { name, overwrite }))
}

fn from_underscores(options: &core::HttpProtocolOptions) -> Check<Underscores> {
    match Action::try_from(options.headers_with_underscores_action) {
        Ok(Action::Allow) => Ok(Underscores::Allow),
        Ok(Action::RejectRequest) => Ok(Underscores::Reject),
        Ok(Action::DropHeader) => Ok(Underscores::Drop),
        Err(_) => {
            let message = format!("{} is unknown", options.headers_with_underscores_action);
            Err(Fault::of("headers_with_underscores_action", message))
        }
    }
}

fn from_http1(options: Option<&core::Http1ProtocolOptions>) -> Check<Manner> {
    let Some(options) = options else { return Ok(Manner::default()) };
    refuse!(options; allow_chunked_length, send_fully_qualified_url, ignore_http_11_upgrade);
    if options.allow_absolute_url.is_some_and(|allow| !allow.value) {
        return Err(Fault::of("allow_absolute_url", "only true is supported: RFC 9112 asks for it"));
    }
    let proper_case =
        match options.header_key_format.as_ref().and_then(|format| format.header_format.as_ref()) {
            Some(HeaderFormat::ProperCaseWords(_)) => true,
            Some(HeaderFormat::StatefulFormatter(_)) => {
                return Err(Fault::unsupported("header_key_format.stateful_formatter"));
            }
            None => false,
        };
    let host = value("default_host_for_http_10", &options.default_host_for_http_10)?;
    Ok(Manner { default_host: host.filter(|_| options.accept_http_10), proper_case, ..Manner::default() })
}

/// A field's value; nothing if empty.
fn value(field: &str, text: &str) -> Check<Option<HeaderValue>> {
    match text.len() {
        0 => Ok(None),
        1..=limits::NAME_BYTES => {
            HeaderValue::from_str(text).map(Some).map_err(|_| Fault::of(field, "not fit for a header field"))
        }
        _ => Err(Fault::of(field, format!("longer than {} bytes", limits::NAME_BYTES))),
    }
}
