//! The keys of this worker's metric series, and the label values they stand for.

use http::{Method, StatusCode, Version};
use weir_telemetry::metrics::Labels;
use weir_telemetry::span::{ProtocolVersion, known_method};

use super::DIRECTIONS;
use crate::exchange::Exchange;
use crate::pool::ClusterShared;
use crate::reject::Safety;

/// A series of requests taken. All of it fits in three words, since it is hashed for every request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ServerKey {
    /// The id of the route's `stat_prefix`; the largest for none.
    route: u32,
    status: u16,
    method: u8,
    version: u8,
    inbound: bool,
    flag: &'static str,
}

/// A series of requests sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    /// The cluster's id.
    cluster: u64,
    status: u16,
    method: u8,
    version: u8,
    flag: &'static str,
}

impl ServerKey {
    pub(super) fn of(exchange: &Exchange, inbound: bool) -> ServerKey {
        ServerKey {
            route: exchange.route().map_or(u32::MAX, |route| route.id),
            status: exchange.status.map_or(0, |status| status.as_u16()),
            method: method_index(&exchange.method),
            version: version_index(exchange.version),
            inbound,
            flag: exchange.flag().unwrap_or_default(),
        }
    }

    pub(super) fn push<'a>(&self, exchange: &Exchange, labels: &'a mut Labels) -> &'a mut Labels {
        labels.push(method_name(&exchange.method));
        push_status(self.status, labels);
        labels.push(exchange.route().map_or("", |route| &*route.stat_prefix));
        labels.push(version(exchange.version).as_str());
        push_error(self.flag, self.status, labels);
        labels.push(DIRECTIONS[usize::from(self.inbound)])
    }
}

impl ClientKey {
    pub(super) fn of(
        exchange: &Exchange,
        cluster: u64,
        status: Option<StatusCode>,
        flag: Option<&'static str>,
    ) -> ClientKey {
        ClientKey {
            cluster,
            status: status.map_or(0, |status| status.as_u16()),
            method: method_index(&exchange.method),
            version: version_index(exchange.version),
            flag: flag.unwrap_or_default(),
        }
    }

    pub(super) fn push<'a>(
        &self,
        exchange: &Exchange,
        cluster: &ClusterShared,
        labels: &'a mut Labels,
    ) -> &'a mut Labels {
        labels.push(method_name(&exchange.method));
        push_status(self.status, labels);
        labels.push(&cluster.called);
        labels.push(version(exchange.version).as_str());
        push_error(self.flag, self.status, labels);
        labels.push(&cluster.state.name)
    }
}

/// OpenTelemetry's version of a protocol.
pub(super) fn version(version: Version) -> ProtocolVersion {
    match version {
        Version::HTTP_2 => ProtocolVersion::Http2,
        Version::HTTP_10 | Version::HTTP_09 => ProtocolVersion::Http10,
        _ => ProtocolVersion::Http11,
    }
}

/// The protocol as a log line names it.
pub(super) fn protocol(of: Version) -> &'static str {
    match version(of) {
        ProtocolVersion::Http2 => "HTTP/2",
        ProtocolVersion::Http10 => "HTTP/1.0",
        ProtocolVersion::Http11 => "HTTP/1.1",
    }
}

/// Flags of what was done to a request on purpose: Envoy's of one that was delayed, and weir's own of one that somebody else answered.
pub(super) fn purposes(exchange: &Exchange) -> impl Iterator<Item = &'static str> {
    let delayed = (!exchange.held().is_zero()).then_some("DI");
    delayed.into_iter().chain(exchange.is_degraded().then_some("FB"))
}

/// The flags of an exchange, as Envoy lists them.
pub(super) fn flags(exchange: &Exchange) -> String {
    let mut flags: Vec<&str> = exchange.flag().into_iter().collect();
    let in_vain =
        exchange.spent || exchange.failure.as_ref().is_some_and(|kind| kind.safety() != Safety::Never);
    // Of an opaque connection Envoy says so even of the only attempt.
    let exhausted = (exchange.retries > 0 && in_vain) || (exchange.opaque && exchange.spent);
    if exhausted {
        flags.push("URX");
    }
    flags.extend(purposes(exchange));
    flags.join(",")
}

/// gRPC's name for a status code, as OpenTelemetry wants it.
pub(super) fn grpc_name(code: u8) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or("_OTHER")
}

fn push_status(status: u16, labels: &mut Labels) {
    if status == 0 {
        labels.push("");
    } else {
        labels.push(status);
    }
}

/// `error.type`: our flag, or the status if it says that the server failed.
fn push_error(flag: &str, status: u16, labels: &mut Labels) {
    if flag.is_empty() && status >= 500 {
        labels.push(status);
    } else {
        labels.push(flag);
    }
}

fn method_name(method: &Method) -> &'static str {
    known_method(method.as_str()).unwrap_or("_OTHER")
}

/// Equal for methods of the same label.
fn method_index(method: &Method) -> u8 {
    match *method {
        Method::GET => 0,
        Method::POST => 1,
        Method::PUT => 2,
        Method::DELETE => 3,
        Method::HEAD => 4,
        Method::OPTIONS => 5,
        Method::PATCH => 6,
        Method::CONNECT => 7,
        Method::TRACE => 8,
        _ => 9,
    }
}

fn version_index(of: Version) -> u8 {
    match version(of) {
        ProtocolVersion::Http10 => 0,
        ProtocolVersion::Http11 => 1,
        ProtocolVersion::Http2 => 2,
    }
}

#[cfg(test)]
mod tests;
