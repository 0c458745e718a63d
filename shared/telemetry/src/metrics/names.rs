//! The families every sidecar has: OpenTelemetry's conventions for HTTP and RPC in Prometheus' spelling, and our own beside
//! them under `weir_`.
//!
//! Label values a caller must keep bounded: methods through [`crate::span::known_method`], routes and clusters by their names
//! in the configuration, never a path or a host from a request.

use super::Family;

/// Requests we took, from their first byte to the last of the response.
pub static HTTP_SERVER_REQUEST_DURATION: Family = Family::histogram(
    "http_server_request_duration_seconds",
    "Duration of HTTP server requests.",
    &[
        "http_request_method",
        "http_response_status_code",
        "http_route",
        "network_protocol_version",
        "error_type",
        "weir_direction",
    ],
);

/// Requests we sent, each attempt on its own.
pub static HTTP_CLIENT_REQUEST_DURATION: Family = Family::histogram(
    "http_client_request_duration_seconds",
    "Duration of HTTP client requests.",
    &[
        "http_request_method",
        "http_response_status_code",
        "server_address",
        "network_protocol_version",
        "error_type",
        "weir_cluster",
    ],
);

/// Requests under way.
pub static HTTP_SERVER_ACTIVE_REQUESTS: Family = Family::gauge(
    "http_server_active_requests",
    "Number of HTTP server requests under way.",
    &["weir_direction"],
);

/// Calls we took.
pub static RPC_SERVER_CALL_DURATION: Family = Family::histogram(
    "rpc_server_call_duration_seconds",
    "Duration of incoming gRPC calls.",
    &["rpc_response_status_code", "http_route", "weir_direction"],
);

/// Calls we sent.
pub static RPC_CLIENT_CALL_DURATION: Family = Family::histogram(
    "rpc_client_call_duration_seconds",
    "Duration of outgoing gRPC calls.",
    &["rpc_response_status_code", "weir_cluster"],
);

/// Responses that were not the upstream's own or not its first, by Envoy's short flags.
pub static RESPONSE_FLAGS: Family = Family::counter(
    "weir_response_flags_total",
    "Requests with a response flag, such as UF (upstream connection failure) or UT (upstream timeout).",
    &["flag", "weir_direction"],
);

/// Attempts after the first.
pub static UPSTREAM_RETRIES: Family = Family::counter(
    "weir_upstream_retries_total",
    "Requests sent again to another or the same endpoint.",
    &["weir_cluster"],
);

/// Copies of requests for mirrors.
pub static MIRRORED: Family = Family::counter(
    "weir_mirrored_requests_total",
    "Copies of requests, by the cluster they were for and what became of them; dropped ones found no room.",
    &["weir_cluster", "outcome"],
);

/// Connections from clients.
pub static DOWNSTREAM_CONNECTIONS: Family =
    Family::counter("weir_downstream_connections_total", "Connections accepted.", &["weir_direction"]);

/// Connections from clients which are open.
pub static DOWNSTREAM_CONNECTIONS_ACTIVE: Family = Family::gauge(
    "weir_downstream_connections_active",
    "Accepted connections which are open.",
    &["weir_direction"],
);

/// Connections to endpoints.
pub static UPSTREAM_CONNECTIONS: Family = Family::counter(
    "weir_upstream_connections_total",
    "Connections to endpoints, by whether they could be made.",
    &["weir_cluster", "outcome"],
);

/// Connections to endpoints which are open.
pub static UPSTREAM_CONNECTIONS_ACTIVE: Family = Family::gauge(
    "weir_upstream_connections_active",
    "Connections to endpoints which are open.",
    &["weir_cluster"],
);

/// Bytes of opaque streams.
pub static TCP_BYTES: Family = Family::counter(
    "weir_tcp_bytes_total",
    "Bytes passed on in opaque TCP streams.",
    &["weir_cluster", "weir_direction", "network_io_direction"],
)
.unit("bytes");

/// Spans, by what became of them.
pub static SPANS: Family =
    Family::counter("weir_spans_total", "Spans by outcome: exported, or dropped and why.", &["outcome"])
        .max_series(8);

/// Access-log lines that were lost.
pub static ACCESS_LOG_DROPPED: Family = Family::counter(
    "weir_access_log_dropped_total",
    "Access log records dropped because the log could not be written fast enough.",
    &[],
);

/// Label combinations that found their family full.
pub static METRICS_OVERFLOW: Family = Family::counter(
    "weir_metrics_overflow_total",
    "Label combinations counted as _other because their metric has too many.",
    &["metric"],
);

/// Endpoints ejected, by the detector that found them.
pub static OUTLIER_EJECTIONS: Family = Family::counter(
    "weir_outlier_ejections_total",
    "Ejections of endpoints by outlier detection.",
    &["weir_cluster", "detector"],
);

/// Outliers that were left in.
pub static OUTLIER_SPARED: Family = Family::counter(
    "weir_outlier_spared_total",
    "Endpoints found to be outliers and not ejected, by why: not_enforced, overflow (as many are ejected as may be) or last.",
    &["weir_cluster", "detector", "reason"],
);

/// Endpoints which are ejected.
pub static OUTLIER_EJECTED: Family =
    Family::gauge("weir_outlier_ejected", "Endpoints which are ejected.", &["weir_cluster"]);

/// Health checks.
pub static HEALTH_CHECKS: Family = Family::counter(
    "weir_health_checks_total",
    "Health checks of endpoints by outcome: passed, refused (the endpoint said so) or failed.",
    &["weir_cluster", "outcome"],
);

/// Endpoints which fail their checks.
pub static HEALTH_CHECK_FAILING: Family = Family::gauge(
    "weir_health_check_failing",
    "Endpoints which fail their health checks, or have not passed one yet.",
    &["weir_cluster"],
);

/// Which weir this is.
pub static BUILD_INFO: Family =
    Family::gauge("weir_build_info", "Always 1; the version is in its label.", &["version"]);
