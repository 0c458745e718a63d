//! Who gave a response's status and why, in Envoy's words (`%RESPONSE_CODE_DETAILS%`).

use crate::exchange::Exchange;
use crate::reject::Kind;

/// The details of an exchange; empty if there is nothing to say.
pub(super) fn of(exchange: &Exchange) -> &'static str {
    match &exchange.failure {
        Some(kind) => of_failure(kind),
        None if exchange.active.is_some() => "via_upstream",
        None if exchange.status.is_some() => "direct_response",
        None => "",
    }
}

fn of_failure(kind: &Kind) -> &'static str {
    match kind {
        Kind::Malformed("no Host") => "missing_host_header",
        Kind::Malformed(_) => "http1.codec_error",
        Kind::TooManyFields | Kind::HeadTooLarge => "request_headers_too_large",
        Kind::NoTunnel => "upgrade_failed",
        Kind::BodyTooLarge => "request_payload_too_large",
        Kind::NotConfigured | Kind::NameUnknown(_) => "cluster_not_found",
        Kind::NoSuchName | Kind::NoRoute => "route_not_found",
        Kind::RateLimited { .. } => "local_rate_limited",
        Kind::Aborted(_) => "fault_filter_abort",
        Kind::NoEndpoint => "no_healthy_upstream",
        Kind::Dropped => "drop_overload",
        Kind::Overflow(_) => "upstream_reset_before_response_started{overflow}",
        Kind::ConnectFailed(_) => "upstream_reset_before_response_started{remote_connection_failure}",
        Kind::ConnectTimeout => "upstream_reset_before_response_started{connection_timeout}",
        Kind::ConnectionLost { .. } => "upstream_reset_before_response_started{connection_termination}",
        Kind::StreamReset(_) => "upstream_reset_before_response_started{remote_reset}",
        Kind::Refused => "upstream_reset_before_response_started{remote_refused_stream_reset}",
        Kind::Spent => "via_upstream",
        Kind::Protocol => "upstream_reset_before_response_started{protocol_error}",
        Kind::RequestTimeout => "response_timeout",
        Kind::AttemptTimeout => "upstream_per_try_timeout",
        Kind::DurationTimeout | Kind::UnfinishedTimeout => "max_duration_timeout",
        Kind::IdleTimeout => "stream_idle_timeout",
        Kind::SlowRequest => "request_overall_timeout",
        Kind::DownstreamLost => "downstream_remote_disconnect",
        Kind::Draining => "downstream_local_disconnect",
    }
}
