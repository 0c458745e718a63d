//! How long a route's requests may take, and which circuit breakers count them.
//!
//! What each of Envoy's fields limits, and what weir makes of it:
//!
//! | field | from | to | then | weir |
//! |---|---|---|---|---|
//! | `timeout` | the whole request received | the whole response sent | 504, `UT` | [`Timeouts::request`], from the request's head |
//! | `retry_policy.per_try_timeout` | the attempt begins | its response's head | retried, or 504 `UT` | [`Timeouts::backend_request`] |
//! | `retry_policy.per_try_idle_timeout` | each byte of the attempt | the next one | retried, or 504 `UT` | [`Timeouts::attempt_idle`] |
//! | `idle_timeout` | each byte of the stream | the next one | 504 or 408, `SI` | [`Timeouts::idle`] |
//! | `max_stream_duration` | the request's head | the whole response sent | 408, `DT` | [`Timeouts::stream`] |
//!
//! **A route that has a `max_stream_duration` message has no `timeout`** in Envoy, whatever it says there; so it is read, and so it is
//! written: a route with both limits is given only the former. Without the message, an absent `timeout` means 15 s.
//!
//! `grpc-timeout` limits a request to weir always; an Envoy looks at it only where `grpc_timeout_header_max` is there. The older fields
//! `max_grpc_timeout` and `grpc_timeout_offset` are refused by name.

use super::fault::{At, Check, Fault};
use super::pb::{core, route};
use super::wire;
use route::route_action::MaxStreamDuration;
use std::time::Duration;
use weir_model::node::Target;
use weir_model::{GrpcTimeout, Priority, Timeouts};

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
    let idle = wire::timeout("idle_timeout", action.idle_timeout.as_ref())?;
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
        stream: wire::timeout("max_stream_duration", limit.max_stream_duration.as_ref())?,
        grpc: GrpcTimeout {
            max: wire::timeout("grpc_timeout_header_max", limit.grpc_timeout_header_max.as_ref())?,
            offset: wire::optional_duration(offset, limit.grpc_timeout_header_offset.as_ref())?.unwrap_or_default(),
        },
        ..Timeouts::default()
    })
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
