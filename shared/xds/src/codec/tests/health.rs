//! Outlier detection, health checks, panic threshold and slow start: Envoy's defaults, and what is refused.

use super::pb::{self, core, google, kind};
use super::*;
use crate::codec::cluster as codec;
use pb::cluster::OutlierDetection as Outliers;
use pb::cluster::cluster::{LbConfig, LbPolicy, LeastRequestLbConfig, RoundRobinLbConfig, SlowStartConfig};
use std::time::Duration;
use weir_model::{
    Cluster, EndpointHealth, HealthCheck, HttpProbe, LatencyOutlier, LoadBalancing, OutlierDetection, Probe,
    SlowStart,
};

fn message(change: impl FnOnce(&mut pb::cluster::Cluster)) -> pb::cluster::Cluster {
    let mut message = codec::encode(&cluster());
    change(&mut message);
    message
}

fn decoded(change: impl FnOnce(&mut pb::cluster::Cluster)) -> EndpointHealth {
    codec::decode(&message(change)).unwrap().health
}

fn refused(change: impl FnOnce(&mut pb::cluster::Cluster)) -> String {
    codec::decode(&message(change)).unwrap_err().path
}

fn seconds(seconds: i64) -> Option<google::Duration> {
    Some(google::Duration { seconds, nanos: 0 })
}

#[test]
fn an_empty_outlier_detection_is_envoys() {
    let health = decoded(|it| it.outlier_detection = Some(Outliers::default()));
    assert_eq!(health.outlier_detection, Some(Box::new(OutlierDetection::default())));
    assert_eq!(decoded(|_| ()).outlier_detection, None);
    // The longest ejection is never shorter than the first, unless somebody says so.
    let longest = |base, longest| {
        let outliers =
            Outliers { base_ejection_time: base, max_ejection_time: longest, ..Outliers::default() };
        decoded(|it| it.outlier_detection = Some(outliers))
            .outlier_detection
            .unwrap()
            .max_ejection_time
            .as_secs()
    };
    assert_eq!(
        [longest(None, None), longest(seconds(400), None), longest(None, seconds(40))],
        [300, 400, 40]
    );
}

#[test]
fn what_outlier_detection_cannot_be_is_refused() {
    let field =
        |change: fn(&mut Outliers)| refused(|it| change(it.outlier_detection.get_or_insert_default()));
    assert_eq!(
        field(|it| it.enforcing_success_rate = wire::wrap(101)),
        "outlier_detection.enforcing_success_rate"
    );
    assert_eq!(
        field(|it| it.max_ejection_percent = wire::wrap(200)),
        "outlier_detection.max_ejection_percent"
    );
    assert_eq!(field(|it| it.interval = seconds(0)), "outlier_detection.interval");
    assert_eq!(field(|it| it.max_ejection_time = seconds(7)), "outlier_detection.max_ejection_time");
    assert_eq!(field(|it| it.base_ejection_time = seconds(-1)), "outlier_detection.base_ejection_time");
    let degraded = Some(google::BoolValue { value: true });
    assert_eq!(
        refused(|it| {
            it.outlier_detection = Some(Outliers { detect_degraded_hosts: degraded, ..Outliers::default() });
        }),
        "outlier_detection.detect_degraded_hosts"
    );
    let monitor = |url: &str, value| core::TypedExtensionConfig {
        name: "x".to_owned(),
        typed_config: Some(google::Any { type_url: url.to_owned(), value }),
    };
    let with = |monitors| Outliers { monitors, ..Outliers::default() };
    let foreign = with(vec![monitor("type.googleapis.com/foreign", vec![])]);
    assert_eq!(
        refused(|it| it.outlier_detection = Some(foreign)),
        "outlier_detection.monitors[0].typed_config"
    );
    let latency = with(vec![monitor("type.googleapis.com/weir.xds.v1.LatencyOutlier", vec![])]);
    assert_eq!(
        refused(|it| it.outlier_detection = Some(latency)),
        "outlier_detection.monitors[0].typed_config.factor_thousandths"
    );
}

#[test]
fn the_latency_detector_is_a_monitor() {
    let mut model = cluster();
    let latency = Some(LatencyOutlier::default());
    model.health.outlier_detection =
        Some(Box::new(OutlierDetection { latency, ..OutlierDetection::default() }));
    let message = codec::encode(&model);
    assert_eq!(message.outlier_detection.as_ref().unwrap().monitors.len(), 1);
    assert_eq!(codec::decode(&message).unwrap(), model);
}

#[test]
fn the_panic_threshold_is_rounded_and_bounded() {
    let threshold = |value| {
        move |it: &mut pb::cluster::Cluster| {
            it.common_lb_config.get_or_insert_default().healthy_panic_threshold =
                Some(kind::Percent { value });
        }
    };
    assert_eq!(decoded(|_| ()).panic_threshold, 50);
    assert_eq!(
        [0.0, 0.4, 33.5, 100.0].map(|value| decoded(threshold(value)).panic_threshold),
        [0, 0, 34, 100]
    );
    for value in [-1.0, 100.1, f64::NAN] {
        assert_eq!(refused(threshold(value)), "common_lb_config.healthy_panic_threshold");
    }
}

fn check(change: impl FnOnce(&mut core::HealthCheck)) -> impl FnOnce(&mut pb::cluster::Cluster) {
    let mut check = core::HealthCheck {
        timeout: seconds(1),
        interval: seconds(5),
        unhealthy_threshold: wire::wrap(3),
        healthy_threshold: wire::wrap(2),
        health_checker: Some(core::health_check::HealthChecker::HttpHealthCheck(
            core::health_check::HttpHealthCheck { path: "/healthz".to_owned(), ..Default::default() },
        )),
        ..core::HealthCheck::default()
    };
    change(&mut check);
    move |it| it.health_checks = vec![check]
}

#[test]
fn a_short_health_check_has_envoys_defaults() {
    let probe = Probe::Http(HttpProbe {
        host: String::new(),
        path: "/healthz".to_owned(),
        method: ::http::Method::GET,
        http2: false,
        expected: vec![],
        retriable: vec![],
        headers: Default::default(),
    });
    let expected = HealthCheck::new(probe, Duration::from_secs(1), Duration::from_secs(5), 3, 2);
    assert_eq!(decoded(check(|_| ())).health_check, Some(Box::new(expected)));
    // What is not said follows what is.
    let unhealthy = decoded(check(|it| it.unhealthy_interval = seconds(9))).health_check.unwrap();
    assert_eq!(
        (unhealthy.unhealthy_edge_interval.as_secs(), unhealthy.healthy_edge_interval.as_secs()),
        (9, 5)
    );
    let idle = decoded(check(|it| it.no_traffic_interval = seconds(7))).health_check.unwrap();
    assert_eq!(idle.no_traffic_healthy_interval.as_secs(), 7);
}

#[test]
fn what_a_health_check_cannot_be_is_refused() {
    use core::health_check::{HealthChecker, HttpHealthCheck, Payload, TcpHealthCheck, payload};
    let http = |change: fn(&mut HttpHealthCheck)| {
        refused(check(|it| {
            let Some(HealthChecker::HttpHealthCheck(http)) = &mut it.health_checker else { panic!() };
            change(http);
        }))
    };
    let within = "health_checks[0].http_health_check";
    assert_eq!(http(|it| it.path.clear()), format!("{within}.path"));
    assert_eq!(http(|it| it.path = "a b".to_owned()), format!("{within}.path"));
    assert_eq!(http(|it| it.host = "a b".to_owned()), format!("{within}.host"));
    assert_eq!(http(|it| it.method = 6), format!("{within}.method"));
    assert_eq!(http(|it| it.method = 77), format!("{within}.method"));
    assert_eq!(http(|it| it.codec_client_type = 2), format!("{within}.codec_client_type"));
    let range = |start, end| kind::Int64Range { start, end };
    assert_eq!(
        refused(check(|it| {
            let Some(HealthChecker::HttpHealthCheck(http)) = &mut it.health_checker else { panic!() };
            http.expected_statuses = vec![range(200, 300), range(300, 300)];
        })),
        format!("{within}.expected_statuses[1].end")
    );
    assert_eq!(http(|it| it.receive.push(Default::default())), format!("{within}.receive"));
    assert_eq!(refused(check(|it| it.timeout = None)), "health_checks[0].timeout");
    assert_eq!(refused(check(|it| it.healthy_threshold = None)), "health_checks[0].healthy_threshold");
    assert_eq!(refused(check(|it| it.health_checker = None)), "health_checks[0].health_checker");
    assert_eq!(refused(check(|it| it.alt_port = wire::wrap(1))), "health_checks[0].alt_port");
    let tcp = |text: &str| {
        let send = Some(Payload { payload: Some(payload::Payload::Text(text.to_owned())) });
        let tcp = TcpHealthCheck { send, ..TcpHealthCheck::default() };
        message(check(|it| it.health_checker = Some(HealthChecker::TcpHealthCheck(tcp))))
    };
    for wrong in ["", "0", "xy", "é0"] {
        let fault = codec::decode(&tcp(wrong)).unwrap_err();
        assert_eq!(fault.path, "health_checks[0].tcp_health_check.send.text", "{wrong}");
    }
    let probe = codec::decode(&tcp("00fF")).unwrap().health.health_check.unwrap().probe;
    assert_eq!(probe, Probe::Tcp { send: vec![0, 255], receive: vec![] });
    let two = refused(|it| it.health_checks = vec![Default::default(), Default::default()]);
    assert_eq!(two, "health_checks");
}

#[test]
fn slow_start_stands_where_envoy_has_it() {
    let slow = SlowStart { window: Duration::from_secs(20), aggression: 1500, min_weight_percent: 5 };
    let policies = [
        LoadBalancing::RoundRobin,
        LoadBalancing::LeastRequest { choices: 3 },
        LoadBalancing::PeakEwma { decay: Duration::from_secs(1), default_rtt: Duration::from_secs(1) },
    ];
    for load_balancing in policies {
        let health = EndpointHealth { slow_start: Some(slow.clone()), ..EndpointHealth::default() };
        let model = Cluster { load_balancing, health, ..cluster() };
        assert_eq!(codec::decode(&codec::encode(&model)).unwrap(), model);
    }
}

#[test]
fn slow_start_of_older_forms_is_understood() {
    let slow = |window| Some(SlowStartConfig { slow_start_window: window, ..SlowStartConfig::default() });
    let legacy = |policy: LbPolicy, config: LbConfig| {
        decoded(move |it| {
            it.load_balancing_policy = None;
            it.lb_policy = policy as i32;
            it.lb_config = Some(config);
        })
        .slow_start
    };
    let round_robin =
        |window| LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config: slow(window) });
    let expected = Some(SlowStart::new(Duration::from_secs(3)));
    assert_eq!(legacy(LbPolicy::RoundRobin, round_robin(seconds(3))), expected);
    assert_eq!(legacy(LbPolicy::RoundRobin, round_robin(None)), None);
    let least_request = LeastRequestLbConfig { slow_start_config: slow(seconds(3)), ..Default::default() };
    assert_eq!(legacy(LbPolicy::LeastRequest, LbConfig::LeastRequestLbConfig(least_request)), expected);
    let wrong = refused(|it| {
        it.load_balancing_policy = None;
        let minimum = Some(kind::Percent { value: 101.0 });
        let slow =
            SlowStartConfig { slow_start_window: seconds(1), min_weight_percent: minimum, aggression: None };
        it.lb_config =
            Some(LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config: Some(slow) }));
    });
    assert_eq!(wrong, "round_robin_lb_config.slow_start_config.min_weight_percent");
}
