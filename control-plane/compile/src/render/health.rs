//! The lines of [`EndpointHealth`]. What is as it is without a policy is not written.

use super::{percent, time};
use crate::health;
use std::time::Duration;
use weir_model::{EndpointHealth, HealthCheck, HttpProbe, OutlierDetection, Probe};

pub(super) fn lines(it: &EndpointHealth) -> Vec<String> {
    let mut lines = Vec::new();
    if it.panic_threshold != health::own().panic_threshold {
        lines.push(format!("panic below {} % available", it.panic_threshold));
    }
    if let Some(detection) = &it.outlier_detection {
        lines.push(outliers(detection));
    }
    if let Some(check) = &it.health_check {
        lines.push(checks(check));
    }
    if let Some(slow) = &it.slow_start {
        lines.push(format!(
            "slow start within {}, aggression {}, from {} %",
            time(slow.window),
            thousandths(slow.aggression),
            slow.min_weight_percent
        ));
    }
    lines
}

/// What differs from Envoy's defaults.
fn outliers(it: &OutlierDetection) -> String {
    let is = OutlierDetection::default();
    let times = [
        ("interval", it.interval, is.interval),
        ("base ejection time", it.base_ejection_time, is.base_ejection_time),
        ("max ejection time", it.max_ejection_time, is.max_ejection_time),
        ("max ejection time jitter", it.max_ejection_time_jitter, is.max_ejection_time_jitter),
    ];
    let uneject =
        (it.successful_active_health_check_uneject_host, is.successful_active_health_check_uneject_host);
    let flags = [
        ("always eject one host", it.always_eject_one_host, is.always_eject_one_host),
        ("health check unejects", uneject.0, uneject.1),
        ("split local origin", it.split_external_local_origin_errors, is.split_external_local_origin_errors),
    ];
    let local = "consecutive local origin failure";
    let numbers = [
        ("max ejection percent", it.max_ejection_percent, is.max_ejection_percent),
        ("consecutive 5xx", it.consecutive_5xx, is.consecutive_5xx),
        ("enforcing consecutive 5xx", it.enforcing_consecutive_5xx, is.enforcing_consecutive_5xx),
        ("consecutive gateway failure", it.consecutive_gateway_failure, is.consecutive_gateway_failure),
        (
            "enforcing consecutive gateway failure",
            it.enforcing_consecutive_gateway_failure,
            is.enforcing_consecutive_gateway_failure,
        ),
        (local, it.consecutive_local_origin_failure, is.consecutive_local_origin_failure),
        (
            "enforcing consecutive local origin failure",
            it.enforcing_consecutive_local_origin_failure,
            is.enforcing_consecutive_local_origin_failure,
        ),
        ("success rate stdev factor", it.success_rate_stdev_factor, is.success_rate_stdev_factor),
        ("enforcing success rate", it.enforcing_success_rate, is.enforcing_success_rate),
        (
            "enforcing local origin success rate",
            it.enforcing_local_origin_success_rate,
            is.enforcing_local_origin_success_rate,
        ),
        ("success rate minimum hosts", it.success_rate_minimum_hosts, is.success_rate_minimum_hosts),
        ("success rate request volume", it.success_rate_request_volume, is.success_rate_request_volume),
        ("failure percentage threshold", it.failure_percentage_threshold, is.failure_percentage_threshold),
        ("enforcing failure percentage", it.enforcing_failure_percentage, is.enforcing_failure_percentage),
        (
            "enforcing failure percentage local origin",
            it.enforcing_failure_percentage_local_origin,
            is.enforcing_failure_percentage_local_origin,
        ),
        (
            "failure percentage minimum hosts",
            it.failure_percentage_minimum_hosts,
            is.failure_percentage_minimum_hosts,
        ),
        (
            "failure percentage request volume",
            it.failure_percentage_request_volume,
            is.failure_percentage_request_volume,
        ),
    ];
    let mut line = "eject outliers".to_owned();
    let mut add = |part: String| {
        line.push_str(", ");
        line.push_str(&part);
    };
    for (name, value, _) in times.into_iter().filter(|(_, value, default)| value != default) {
        add(format!("{name} {}", time(value)));
    }
    for (name, value, _) in flags.into_iter().filter(|(_, value, default)| value != default) {
        add(format!("{name} {value}"));
    }
    for (name, value, _) in numbers.into_iter().filter(|(_, value, default)| value != default) {
        add(format!("{name} {value}"));
    }
    if let Some(latency) = &it.latency {
        add(format!(
            "latency of {} times the median and {} more among {} with {} answers, enforcing {}",
            thousandths(latency.factor),
            time(latency.minimum_difference),
            latency.minimum_hosts,
            latency.request_volume,
            latency.enforcing
        ));
    }
    line
}

fn checks(it: &HealthCheck) -> String {
    let mut line = format!("check {}", probe(&it.probe));
    let mut add = |name: &str, value: Duration| {
        line.push_str(&format!(", {name} {}", time(value)));
    };
    add("every", it.interval);
    add("within", it.timeout);
    let others = [
        ("initial jitter", it.initial_jitter, Duration::ZERO),
        ("jitter", it.interval_jitter, Duration::ZERO),
        ("without traffic", it.no_traffic_interval, weir_model::NO_TRAFFIC_INTERVAL),
        ("healthy without traffic", it.no_traffic_healthy_interval, it.no_traffic_interval),
        ("unhealthy", it.unhealthy_interval, it.interval),
        ("unhealthy edge", it.unhealthy_edge_interval, it.unhealthy_interval),
        ("healthy edge", it.healthy_edge_interval, it.interval),
    ];
    for (name, value, _) in others.into_iter().filter(|(_, value, default)| value != default) {
        add(name, value);
    }
    if it.interval_jitter_percent > 0 {
        line.push_str(&format!(", jitter {}", percent(it.interval_jitter_percent.saturating_mul(10_000))));
    }
    line.push_str(&format!(
        ", unhealthy after {}, healthy after {}",
        it.unhealthy_threshold, it.healthy_threshold
    ));
    if !it.reuse_connection {
        line.push_str(", each on a connection of its own");
    }
    line
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Http(HttpProbe { host, path, method, http2, expected, retriable, headers }) => {
            let version = if *http2 { "HTTP/2" } else { "HTTP/1.1" };
            let mut line = format!("{version} {method} {path}");
            if !host.is_empty() {
                line.push_str(&format!(" of {host}"));
            }
            for (name, ranges) in [("expecting", expected), ("retriable", retriable)] {
                for (from, below) in ranges {
                    line.push_str(&format!(" {name} {from}–{}", below.saturating_sub(1)));
                }
            }
            if !headers.is_empty() {
                line.push_str(&format!(" with {headers:?}"));
            }
            line
        }
        Probe::Grpc { service, authority } => format!("gRPC {service:?} of {authority:?}"),
        Probe::Tcp { send, receive } => {
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            let expected: Vec<String> = receive.iter().map(|bytes| text(bytes)).collect();
            format!("TCP sending {:?} expecting {expected:?}", text(send))
        }
    }
}

fn thousandths(value: u32) -> f64 {
    f64::from(value) / 1000.0
}
