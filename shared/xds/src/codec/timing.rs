//! How long a route's requests may take, and which circuit breakers count them.
//!
//! What each of Envoy's fields limits, and what weir makes of it:
//!
//! | field | from | to | then | weir |
//! |---|---|---|---|---|
//! | `timeout` | the whole request received | the whole response sent | 504, `UT` | [`Timeouts::request`]; of weir's own policies from the request's head (`start`) |
//! | `retry_policy.per_try_timeout` | the attempt begins, and the whole request was received | its response's head | retried, or 504 `UT` | [`Timeouts::backend_request`] |
//! | `retry_policy.per_try_idle_timeout` | each byte of the attempt, once the whole request was received | the next one | retried, or 504 `UT` | [`Timeouts::attempt_idle`] |
//! | `idle_timeout` | each byte of the stream | the next one | 504 or 408, `SI` | [`Timeouts::idle`] |
//! | `max_stream_duration` | the request's head | the whole response sent | 504, or 408 before the request was whole, `DT` | [`Timeouts::stream`] |
//!
//! **A route that has a `max_stream_duration` message has no `timeout`** in Envoy, whatever it says there; so it is read, and so it is
//! written: a route with both limits is given only the former. Without the message, an absent `timeout` means 15 s.
//!
//! What a listener says (`stream_idle_timeout`, 5 min where absent, and `max_stream_duration` of its `common_http_protocol_options`) holds for
//! routes that say nothing; zero on a route is no limit.
//!
//! `grpc-timeout` limits a request to weir always; an Envoy looks at it only where `grpc_timeout_header_max` is there. The older fields
//! `max_grpc_timeout` and `grpc_timeout_offset` are refused by name.

use super::fault::{At, Check, Fault, refuse};
use super::pb::{core, google, hcm, route};
use super::wire;
use route::route_action::MaxStreamDuration;
use std::ops::RangeInclusive;
use std::time::Duration;
use weir_model::limits as model_limits;
use weir_model::node::Target;
use weir_model::{GrpcTimeout, HttpLimits, Priority, Timeouts};

/// What Envoy takes if a route says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// The limit of a whole stream; gRPC reads no `timeout` and finds the limit of a request here.
pub(super) fn stream(timeouts: &Timeouts, target: Target) -> Option<MaxStreamDuration> {
    if target == Target::Grpc {
        return timeouts.request.or(timeouts.stream).map(|limit| MaxStreamDuration {
            max_stream_duration: Some(wire::duration(limit)),
            ..MaxStreamDuration::default()
        });
    }
    let GrpcTimeout { max, offset } = &timeouts.grpc;
    if timeouts.stream.is_none() && timeouts.grpc == GrpcTimeout::default() {
        return None;
    }
    Some(MaxStreamDuration {
        max_stream_duration: timeouts.stream.map(wire::duration),
        grpc_timeout_header_max: max.map(wire::duration),
        grpc_timeout_header_offset: (!offset.is_zero()).then(|| wire::duration(*offset)),
    })
}

/// The limits of a route, but for those of its attempts.
pub(super) fn decode(action: &route::RouteAction) -> Check<Timeouts> {
    // None at all is not what the listener says.
    let idle = wire::optional_duration("idle_timeout", action.idle_timeout.as_ref())?;
    if let Some(limit) = &action.max_stream_duration {
        // What is not meant must make sense all the same.
        wire::timeout("timeout", action.timeout.as_ref())?;
        return Ok(Timeouts { idle, ..from_stream(limit).at("max_stream_duration")? });
    }
    let request = match action.timeout.as_ref() {
        Some(timeout) => wire::timeout("timeout", Some(timeout))?,
        None => Some(DEFAULT_TIMEOUT),
    };
    Ok(Timeouts { request, idle, ..Timeouts::default() })
}

fn from_stream(limit: &MaxStreamDuration) -> Check<Timeouts> {
    let offset = "grpc_timeout_header_offset";
    Ok(Timeouts {
        stream: wire::optional_duration("max_stream_duration", limit.max_stream_duration.as_ref())?,
        grpc: GrpcTimeout {
            max: wire::timeout("grpc_timeout_header_max", limit.grpc_timeout_header_max.as_ref())?,
            offset: wire::optional_duration(offset, limit.grpc_timeout_header_offset.as_ref())?
                .unwrap_or_default(),
        },
        ..Timeouts::default()
    })
}

/// Envoy's own limit on silent streams where a listener says nothing.
const STREAM_IDLE: Duration = Duration::from_secs(300);

/// What a listener says of its connections and of the streams of routes that say nothing; but for silent streams, which it says elsewhere.
pub(super) fn listener(limits: &HttpLimits) -> Option<core::HttpProtocolOptions> {
    let HttpLimits { stream, idle, connection, head_fields, requests, .. } = *limits;
    let options = core::HttpProtocolOptions {
        max_stream_duration: stream.map(wire::duration),
        idle_timeout: idle.map(wire::duration),
        max_connection_duration: connection.map(wire::duration),
        max_headers_count: head_fields.and_then(wire::wrap),
        max_requests_per_connection: requests.and_then(wire::wrap),
        ..core::HttpProtocolOptions::default()
    };
    (options != core::HttpProtocolOptions::default()).then_some(options)
}

/// What a listener says of HTTP/2.
pub(super) fn http2(limits: &HttpLimits) -> Option<core::Http2ProtocolOptions> {
    let options = core::Http2ProtocolOptions {
        max_concurrent_streams: limits.streams.and_then(wire::wrap),
        initial_stream_window_size: limits.stream_window.and_then(wire::wrap),
        initial_connection_window_size: limits.connection_window.and_then(wire::wrap),
        ..core::Http2ProtocolOptions::default()
    };
    (options != core::Http2ProtocolOptions::default()).then_some(options)
}

/// The limits of a listener.
pub(super) fn from_listener(message: &hcm::HttpConnectionManager) -> Check<HttpLimits> {
    let stream_idle = match &message.stream_idle_timeout {
        Some(limit) => wire::timeout("stream_idle_timeout", Some(limit))?,
        None => Some(STREAM_IDLE),
    };
    let head = wire::timeout("request_headers_timeout", message.request_headers_timeout.as_ref())?
        .filter(|limit| *limit != model_limits::HEAD_TIMEOUT);
    let head_bytes = match &message.max_request_headers_kb {
        // Envoy's own bound, and a little less than ours.
        None => None,
        Some(kilobytes) => {
            let most = model_limits::HEAD_BYTES_MOST / 1024;
            let kilobytes = number("max_request_headers_kb", kilobytes.value, 1..=most)?;
            Some(kilobytes * 1024)
        }
    };
    let limits = from_http2(message.http2_protocol_options.as_ref()).at("http2_protocol_options")?;
    let limits = HttpLimits { stream_idle, head, head_bytes, ..limits };
    match &message.common_http_protocol_options {
        Some(options) => from_common(options, limits).at("common_http_protocol_options"),
        None => Ok(limits),
    }
}

fn from_common(options: &core::HttpProtocolOptions, limits: HttpLimits) -> Check<HttpLimits> {
    refuse!(options; max_connection_duration_jitter);
    let head_fields = match &options.max_headers_count {
        Some(count) => Some(number("max_headers_count", count.value, 1..=model_limits::HEAD_FIELDS_MOST)?),
        None => None,
    };
    Ok(HttpLimits {
        stream: wire::timeout("max_stream_duration", options.max_stream_duration.as_ref())?,
        idle: wire::timeout("idle_timeout", options.idle_timeout.as_ref())?,
        connection: wire::timeout("max_connection_duration", options.max_connection_duration.as_ref())?,
        head_fields,
        requests: options.max_requests_per_connection.map(|most| most.value).filter(|most| *most > 0),
        ..limits
    })
}

/// The limits that protect against floods (`max_outbound_frames` and its like) are weir's own, whatever is said here. Windows and streams are
/// granted as far as weir's bounds go.
fn from_http2(options: Option<&core::Http2ProtocolOptions>) -> Check<HttpLimits> {
    let Some(options) = options else { return Ok(HttpLimits::default()) };
    refuse!(options; allow_metadata, custom_settings_parameters, connection_keepalive);
    let most = i32::MAX.cast_unsigned();
    let wrapped = |field, value: Option<google::UInt32Value>, least| match value {
        Some(value) => number(field, value.value, least..=most).map(Some),
        None => Ok(None),
    };
    Ok(HttpLimits {
        streams: wrapped("max_concurrent_streams", options.max_concurrent_streams, 1)?,
        stream_window: wrapped("initial_stream_window_size", options.initial_stream_window_size, 65_535)?,
        connection_window: wrapped(
            "initial_connection_window_size",
            options.initial_connection_window_size,
            65_535,
        )?,
        ..HttpLimits::default()
    })
}

fn number(field: &str, value: u32, allowed: RangeInclusive<u32>) -> Check<u32> {
    if allowed.contains(&value) {
        return Ok(value);
    }
    Err(Fault::of(field, format!("{value} is not from {} to {}", allowed.start(), allowed.end())))
}

/// The word for a priority.
pub(super) fn priority(priority: Priority) -> i32 {
    match priority {
        Priority::Default => core::RoutingPriority::Default as i32,
        Priority::High => core::RoutingPriority::High as i32,
    }
}

/// The priority of a word.
pub(super) fn from_priority(word: i32) -> Check<Priority> {
    match core::RoutingPriority::try_from(word) {
        Ok(core::RoutingPriority::Default) => Ok(Priority::Default),
        Ok(core::RoutingPriority::High) => Ok(Priority::High),
        Err(_) => Err(Fault::of("priority", format!("{word} is unknown"))),
    }
}
