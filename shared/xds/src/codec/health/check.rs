//! `HealthCheck`: HTTP, gRPC and TCP. Where a field is absent, Envoy's default holds.

use crate::codec::fault::{At, Check, Fault, each, refuse, required};
use crate::codec::pb::{core, google, kind};
use crate::codec::{header, wire};
use core::health_check::{GrpcHealthCheck, HealthChecker, HttpHealthCheck, Payload, TcpHealthCheck, payload};
use kind::CodecClientType;
use std::time::Duration;
use weir_model::{HealthCheck, HttpProbe, NO_TRAFFIC_INTERVAL, Probe, limits};

/// Envoy's methods, by their numbers on the wire; the first is what it sends if none is said.
const METHODS: [&str; 10] =
    ["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

pub(super) fn encode(it: &HealthCheck) -> core::HealthCheck {
    let time = |value| Some(wire::duration(value));
    core::HealthCheck {
        timeout: time(it.timeout),
        interval: time(it.interval),
        initial_jitter: time(it.initial_jitter),
        interval_jitter: time(it.interval_jitter),
        interval_jitter_percent: it.interval_jitter_percent,
        unhealthy_threshold: wire::wrap(it.unhealthy_threshold),
        healthy_threshold: wire::wrap(it.healthy_threshold),
        reuse_connection: Some(google::BoolValue { value: it.reuse_connection }),
        no_traffic_interval: time(it.no_traffic_interval),
        no_traffic_healthy_interval: time(it.no_traffic_healthy_interval),
        unhealthy_interval: time(it.unhealthy_interval),
        unhealthy_edge_interval: time(it.unhealthy_edge_interval),
        healthy_edge_interval: time(it.healthy_edge_interval),
        health_checker: Some(probe(&it.probe)),
        ..core::HealthCheck::default()
    }
}

#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
pub(super) fn decode(message: &core::HealthCheck) -> Check<HealthCheck> {
    refuse!(message; alt_port, event_log_path, event_logger, event_service, always_log_health_check_failures,
        always_log_health_check_success, tls_options, transport_socket_match_criteria);
    let least = limits::SHORTEST_INTERVAL;
    let at_least = |field: &str, time: Duration, least: Duration| match time {
        time if time < least => Err(Fault::of(field, format!("must be at least {least:?}"))),
        time => Ok(time),
    };
    let must = |field: &str, value: Option<&google::Duration>| {
        at_least(field, wire::from_duration(required(field, value)?).at(field)?, least)
    };
    let may = |field: &str, value: Option<&google::Duration>, default| {
        at_least(field, wire::optional_duration(field, value)?.unwrap_or(default), least)
    };
    let jitter = |field: &str, value: Option<&google::Duration>| {
        Ok(wire::optional_duration(field, value)?.unwrap_or_default())
    };
    let threshold = |field: &str, value: Option<&google::UInt32Value>| {
        required(field, value).map(|threshold| threshold.value)
    };
    let interval = must("interval", message.interval.as_ref())?;
    let idle = may("no_traffic_interval", message.no_traffic_interval.as_ref(), NO_TRAFFIC_INTERVAL)?;
    let unhealthy = may("unhealthy_interval", message.unhealthy_interval.as_ref(), interval)?;
    Ok(HealthCheck {
        timeout: must("timeout", message.timeout.as_ref())?,
        interval,
        initial_jitter: jitter("initial_jitter", message.initial_jitter.as_ref())?,
        interval_jitter: jitter("interval_jitter", message.interval_jitter.as_ref())?,
        interval_jitter_percent: message.interval_jitter_percent,
        unhealthy_threshold: threshold("unhealthy_threshold", message.unhealthy_threshold.as_ref())?,
        healthy_threshold: threshold("healthy_threshold", message.healthy_threshold.as_ref())?,
        reuse_connection: message.reuse_connection.as_ref().is_none_or(|reuse| reuse.value),
        no_traffic_interval: idle,
        no_traffic_healthy_interval: may(
            "no_traffic_healthy_interval",
            message.no_traffic_healthy_interval.as_ref(),
            idle,
        )?,
        unhealthy_interval: unhealthy,
        unhealthy_edge_interval: may(
            "unhealthy_edge_interval",
            message.unhealthy_edge_interval.as_ref(),
            unhealthy,
        )?,
        healthy_edge_interval: may(
            "healthy_edge_interval",
            message.healthy_edge_interval.as_ref(),
            interval,
        )?,
        probe: from_probe(message)?,
    })
}

fn probe(probe: &Probe) -> HealthChecker {
    let payload = |bytes: &Vec<u8>| {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Payload { payload: Some(payload::Payload::Text(hex)) }
    };
    match probe {
        Probe::Http(http) => HealthChecker::HttpHealthCheck(from_http_probe(http)),
        Probe::Grpc { service, authority } => HealthChecker::GrpcHealthCheck(GrpcHealthCheck {
            service_name: service.clone(),
            authority: authority.clone(),
            initial_metadata: vec![],
        }),
        Probe::Tcp { send, receive } => HealthChecker::TcpHealthCheck(TcpHealthCheck {
            send: (!send.is_empty()).then(|| payload(send)),
            receive: receive.iter().map(payload).collect(),
            proxy_protocol_config: None,
        }),
    }
}

fn from_http_probe(http: &HttpProbe) -> HttpHealthCheck {
    let ranges = |ranges: &[(u16, u16)]| {
        let range =
            |(start, end): &(u16, u16)| kind::Int64Range { start: (*start).into(), end: (*end).into() };
        ranges.iter().map(range).collect()
    };
    let (request_headers_to_add, request_headers_to_remove) = header::encode(&http.headers);
    let codec = if http.http2 { CodecClientType::Http2 } else { CodecClientType::Http1 };
    HttpHealthCheck {
        host: http.host.clone(),
        path: http.path.clone(),
        request_headers_to_add,
        request_headers_to_remove,
        expected_statuses: ranges(&http.expected),
        retriable_statuses: ranges(&http.retriable),
        codec_client_type: codec as i32,
        // Not the first one, which says nothing.
        method: METHODS.iter().rposition(|method| *method == http.method.as_str()).unwrap_or(1) as i32,
        ..HttpHealthCheck::default()
    }
}

fn from_probe(message: &core::HealthCheck) -> Check<Probe> {
    match &message.health_checker {
        Some(HealthChecker::HttpHealthCheck(http)) => {
            from_http(http).at("http_health_check").map(Probe::Http)
        }
        Some(HealthChecker::GrpcHealthCheck(grpc)) => from_grpc(grpc).at("grpc_health_check"),
        Some(HealthChecker::TcpHealthCheck(tcp)) => from_tcp(tcp).at("tcp_health_check"),
        Some(HealthChecker::CustomHealthCheck(_)) => Err(Fault::unsupported("custom_health_check")),
        None => Err(Fault::of(
            "health_checker",
            "missing; say http_health_check, grpc_health_check or tcp_health_check",
        )),
    }
}

fn from_http(http: &HttpHealthCheck) -> Check<HttpProbe> {
    refuse!(http; send, receive, response_buffer_size, service_name_matcher);
    let path = wire::name("path", &http.path)?;
    if path.parse::<http::uri::PathAndQuery>().is_err() || !path.starts_with('/') {
        return Err(Fault::of("path", format!("{:?} is no path", wire::cut(&path))));
    }
    let method = usize::try_from(http.method).ok().and_then(|method| METHODS.get(method));
    let method = match method.map(|method| http::Method::from_bytes(method.as_bytes())) {
        Some(Ok(http::Method::CONNECT)) => return Err(Fault::unsupported("method")),
        Some(Ok(method)) => method,
        _ => return Err(Fault::of("method", format!("{} is unknown", http.method))),
    };
    let http2 = match CodecClientType::try_from(http.codec_client_type) {
        Ok(CodecClientType::Http1) => false,
        Ok(CodecClientType::Http2) => true,
        _ => return Err(Fault::of("codec_client_type", "only HTTP1 and HTTP2 are supported")),
    };
    let parts = limits::HEALTH_CHECK_PARTS;
    Ok(HttpProbe {
        host: host("host", &http.host)?,
        path,
        method,
        http2,
        expected: each("expected_statuses", &http.expected_statuses, parts, from_range)?,
        retriable: each("retriable_statuses", &http.retriable_statuses, parts, from_range)?,
        headers: header::decode("request", &http.request_headers_to_add, &http.request_headers_to_remove)?,
    })
}

/// Nothing, or something that can be an authority.
fn host(field: &str, value: &str) -> Check<String> {
    if !value.is_empty() && value.parse::<http::uri::Authority>().is_err() {
        return Err(Fault::of(field, format!("{:?} is no host", wire::cut(value))));
    }
    Ok(value.to_owned())
}

fn from_range(range: &kind::Int64Range) -> Check<(u16, u16)> {
    let number = |field: &str, value: i64| match u16::try_from(value) {
        Ok(status @ 100..=600) => Ok(status),
        _ => Err(Fault::of(field, format!("{value} is not within 100 and 600"))),
    };
    let (start, end) = (number("start", range.start)?, number("end", range.end)?);
    if start >= end {
        return Err(Fault::of("end", format!("{end} is not above {start}")));
    }
    Ok((start, end))
}

fn from_grpc(grpc: &GrpcHealthCheck) -> Check<Probe> {
    refuse!(grpc; initial_metadata);
    if grpc.service_name.len() > limits::NAME_BYTES {
        return Err(Fault::of("service_name", format!("longer than {} bytes", limits::NAME_BYTES)));
    }
    Ok(Probe::Grpc { service: grpc.service_name.clone(), authority: host("authority", &grpc.authority)? })
}

fn from_tcp(tcp: &TcpHealthCheck) -> Check<Probe> {
    refuse!(tcp; proxy_protocol_config);
    let send = tcp.send.as_ref().map(from_payload).transpose().at("send")?.unwrap_or_default();
    let receive = each("receive", &tcp.receive, limits::HEALTH_CHECK_PARTS, from_payload)?;
    let expected: usize = receive.iter().map(Vec::len).sum();
    if expected > limits::HEALTH_CHECK_BYTES {
        return Err(Fault::of("receive", format!("more than {} bytes", limits::HEALTH_CHECK_BYTES)));
    }
    Ok(Probe::Tcp { send, receive })
}

fn from_payload(message: &Payload) -> Check<Vec<u8>> {
    let bytes = match &message.payload {
        Some(payload::Payload::Binary(bytes)) => bytes.clone(),
        Some(payload::Payload::Text(text)) => from_hex(text)
            .ok_or_else(|| Fault::of("text", format!("{:?} is not hexadecimal", wire::cut(text))))?,
        None => return Err(Fault::of("text", "missing")),
    };
    match bytes.len() {
        0 => Err(Fault::of("text", "empty")),
        1..=limits::HEALTH_CHECK_BYTES => Ok(bytes),
        _ => Err(Fault::of("text", format!("more than {} bytes", limits::HEALTH_CHECK_BYTES))),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|char| char.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    pairs.collect()
}
