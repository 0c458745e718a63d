//! Everything that can be said of endpoints' health.

use super::{duration, header_mutation};
use http::Method;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::time::Duration;
use weir_model::{
    EndpointHealth, HealthCheck, HttpProbe, LatencyOutlier, LoadBalancing, OutlierDetection, Probe, SlowStart,
};

/// With slow start only where the balancing policy has one.
pub(super) fn endpoint_health(balancing: &LoadBalancing) -> impl Strategy<Value = EndpointHealth> + use<> {
    let starts = matches!(
        balancing,
        LoadBalancing::RoundRobin | LoadBalancing::LeastRequest { .. } | LoadBalancing::PeakEwma { .. }
    );
    (of(outlier_detection()), of(health_check()), percent(), of(slow_start())).prop_map(
        move |(outlier_detection, health_check, panic_threshold, slow_start)| EndpointHealth {
            outlier_detection: outlier_detection.map(Box::new),
            health_check: health_check.map(Box::new),
            panic_threshold,
            slow_start: slow_start.filter(|_| starts),
        },
    )
}

fn percent() -> BoxedStrategy<u32> {
    (0..=100u32).boxed()
}

fn outlier_detection() -> BoxedStrategy<OutlierDetection> {
    let times = (duration(), duration(), duration(), of(duration()));
    let enforcing = [0; 7].map(|_| percent());
    let latency = (1001..u32::MAX, duration(), any::<(u32, u32)>(), percent()).prop_map(
        |(factor, minimum_difference, (minimum_hosts, request_volume), enforcing)| LatencyOutlier {
            factor,
            minimum_difference,
            minimum_hosts,
            request_volume,
            enforcing,
        },
    );
    (times, enforcing, any::<[u32; 8]>(), any::<[bool; 3]>(), (percent(), percent()), of(latency))
        .prop_map(
            |(
                times,
                enforcing,
                numbers,
                flags,
                (max_ejection_percent, failure_percentage_threshold),
                latency,
            )| {
                let (interval, base_ejection_time, max_ejection_time, jitter) = times;
                OutlierDetection {
                    interval,
                    base_ejection_time,
                    max_ejection_time: max_ejection_time.max(base_ejection_time),
                    max_ejection_time_jitter: jitter.unwrap_or_default(),
                    max_ejection_percent,
                    always_eject_one_host: flags[0],
                    successful_active_health_check_uneject_host: flags[1],
                    split_external_local_origin_errors: flags[2],
                    consecutive_5xx: numbers[0],
                    enforcing_consecutive_5xx: enforcing[0],
                    consecutive_gateway_failure: numbers[1],
                    enforcing_consecutive_gateway_failure: enforcing[1],
                    consecutive_local_origin_failure: numbers[2],
                    enforcing_consecutive_local_origin_failure: enforcing[2],
                    success_rate_stdev_factor: numbers[3],
                    enforcing_success_rate: enforcing[3],
                    enforcing_local_origin_success_rate: enforcing[4],
                    success_rate_minimum_hosts: numbers[4],
                    success_rate_request_volume: numbers[5],
                    failure_percentage_threshold,
                    enforcing_failure_percentage: enforcing[5],
                    enforcing_failure_percentage_local_origin: enforcing[6],
                    failure_percentage_minimum_hosts: numbers[6],
                    failure_percentage_request_volume: numbers[7],
                    latency,
                }
            },
        )
        .boxed()
}

fn health_check() -> BoxedStrategy<HealthCheck> {
    let times = [0; 7].map(|_| duration());
    let jitter = (of(duration()), of(duration()), any::<u32>());
    (probe(), times, jitter, any::<(u32, u32)>(), any::<bool>())
        .prop_map(
            |(probe, times, (initial_jitter, interval_jitter, percent), thresholds, reuse_connection)| {
                let [timeout, interval, idle, idle_healthy, unhealthy, unhealthy_edge, healthy_edge] = times;
                HealthCheck {
                    probe,
                    timeout,
                    interval,
                    initial_jitter: initial_jitter.unwrap_or(Duration::ZERO),
                    interval_jitter: interval_jitter.unwrap_or(Duration::ZERO),
                    interval_jitter_percent: percent,
                    unhealthy_threshold: thresholds.0,
                    healthy_threshold: thresholds.1,
                    reuse_connection,
                    no_traffic_interval: idle,
                    no_traffic_healthy_interval: idle_healthy,
                    unhealthy_interval: unhealthy,
                    unhealthy_edge_interval: unhealthy_edge,
                    healthy_edge_interval: healthy_edge,
                }
            },
        )
        .boxed()
}

fn probe() -> BoxedStrategy<Probe> {
    let host = || "([a-z]{1,8}(\\.[a-z]{1,5})?(:[1-9][0-9]{0,3})?)?";
    let range = || (100..600u16, 1..100u16).prop_map(|(from, length)| (from, (from + length).min(600)));
    let method = prop::sample::select(vec![
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ]);
    let ranges = || vec(range(), 0..3);
    let http = (
        host(),
        "/[a-z/]{0,10}(\\?[a-z]{1,3})?",
        method,
        any::<bool>(),
        ranges(),
        ranges(),
        header_mutation(),
    );
    let http = http.prop_map(|(host, path, method, http2, expected, retriable, headers)| {
        Probe::Http(HttpProbe { host, path, method, http2, expected, retriable, headers })
    });
    let bytes = |least: usize| vec(any::<u8>(), least..8);
    prop_oneof![
        http,
        ("[a-zA-Z.]{0,10}", host()).prop_map(|(service, authority)| Probe::Grpc { service, authority }),
        (bytes(0), vec(bytes(1), 0..3)).prop_map(|(send, receive)| Probe::Tcp { send, receive }),
    ]
    .boxed()
}

fn slow_start() -> BoxedStrategy<SlowStart> {
    (duration(), 1..1_000_000u32, percent())
        .prop_map(|(window, aggression, min_weight_percent)| SlowStart {
            window,
            aggression,
            min_weight_percent,
        })
        .boxed()
}
