use super::check::jitter;
use super::*;
use crate::decode::Report;
use proptest::option::of;
use proptest::prelude::*;
use weir_model::{HeaderMutation, HealthCheck, HttpProbe, NO_TRAFFIC_INTERVAL, Probe};

/// What the fields of a policy say, and the mistakes in them.
fn parsed(value: &Value) -> (HealthPolicy, Vec<String>) {
    let report = Report::new("TrafficPolicy a/b".to_owned());
    let at = At::root(value, &report);
    let policy = read(&at.object(&Schema::of(&FIELDS)).unwrap());
    let said = report.finish().into_iter().map(|it| format!("{}: {}", it.field, it.message)).collect();
    (policy, said)
}

fn wrong(value: Value) -> String {
    let (_, mut said) = parsed(&value);
    assert_eq!(said.len(), 1, "{said:?}");
    said.remove(0)
}

fn good(value: Value) -> HealthPolicy {
    let (policy, said) = parsed(&value);
    assert!(said.is_empty(), "{said:?}");
    policy
}

#[test]
fn what_is_not_said_is_off_and_what_is_said_has_defaults() {
    assert_eq!(good(json!({})), HealthPolicy::default());
    let policy = good(json!({
        "outlierDetection": {},
        "healthCheck": {"http": {"path": "/healthz"}},
        "panicThreshold": 50,
        "slowStart": {"window": "30s"},
    }));
    assert_eq!(policy.outlier_detection, Some(default_detection()));
    assert!(policy.outlier_detection.unwrap().always_eject_one_host);
    let check = policy.health_check.unwrap();
    assert_eq!((check.interval, check.timeout), (Duration::from_secs(10), Duration::from_secs(1)));
    assert_eq!((check.interval_jitter, check.unhealthy_threshold), (Duration::from_secs(1), 3));
    assert_eq!(policy.panic_threshold, Some(50));
    assert_eq!(policy.slow_start, Some(SlowStart::new(Duration::from_secs(30))));
}

#[test]
fn every_field_of_outlier_detection_is_read() {
    let known = TIMES.map(|(name, ..)| name).into_iter();
    let known =
        known.chain(NUMBERS.map(|(name, ..)| name)).chain(FLAGS.map(|(name, _)| name)).chain(["latency"]);
    assert_eq!(known.collect::<std::collections::BTreeSet<_>>(), OUTLIER.known.iter().copied().collect());
    let policy = good(json!({"outlierDetection": {
        "consecutive5xx": 3, "baseEjectionTime": "400s", "enforcingSuccessRate": 0, "alwaysEjectOneHost": false,
        "latency": {"factor": 2.5, "minimumHosts": 3},
    }}));
    let detection = policy.outlier_detection.unwrap();
    assert_eq!((detection.consecutive_5xx, detection.enforcing_success_rate), (3, 0));
    assert_eq!(detection.max_ejection_time, Duration::from_secs(400));
    assert!(!detection.always_eject_one_host);
    let latency = detection.latency.unwrap();
    assert_eq!((latency.factor, latency.minimum_hosts, latency.request_volume), (2500, 3, 100));
}

#[test]
fn mistakes_name_their_field() {
    let outliers = |value: Value| wrong(json!({"outlierDetection": value}));
    assert_eq!(
        outliers(json!({"maxEjectionPercent": 101})),
        "outlierDetection.maxEjectionPercent: 101 is not an integer from 0 to 100"
    );
    assert_eq!(outliers(json!({"interval": "0s"})), "outlierDetection.interval: 0s is too short");
    assert_eq!(
        outliers(json!({"maxEjectionTime": "1s"})),
        "outlierDetection.maxEjectionTime: it is shorter than baseEjectionTime"
    );
    assert_eq!(
        outliers(json!({"alwaysEjectOneHost": "yes"})),
        "outlierDetection.alwaysEjectOneHost: \"yes\" is neither true nor false"
    );
    assert_eq!(
        outliers(json!({"latency": {"factor": 1}})),
        "outlierDetection.latency.factor: 1 is no number from 1.001 to 1000"
    );
    assert!(
        outliers(json!({"consecutive5XX": 1}))
            .starts_with("outlierDetection.consecutive5XX: there is no field")
    );
    assert_eq!(wrong(json!({"panicThreshold": 101})), "panicThreshold: 101 is not an integer from 0 to 100");
    assert_eq!(wrong(json!({"slowStart": {}})), "slowStart.window: it is missing");
    assert_eq!(
        wrong(json!({"slowStart": {"window": "1s", "aggression": 0}})),
        "slowStart.aggression: 0 is no number from 0.001 to 1000"
    );
}

#[test]
fn mistakes_of_checks_name_their_field() {
    let check = |value: Value| wrong(json!({"healthCheck": value}));
    assert_eq!(check(json!({})), "healthCheck: it does not say what to check");
    assert_eq!(
        check(json!({"grpc": {}, "tcp": {}})),
        "healthCheck: it says more than one of http, grpc and tcp"
    );
    let http = |value: Value| check(json!({"http": value}));
    assert_eq!(http(json!({})), "healthCheck.http.path: it is missing");
    assert_eq!(http(json!({"path": "a"})), "healthCheck.http.path: \"a\" is not a path");
    assert_eq!(http(json!({"path": "/", "host": "a b"})), "healthCheck.http.host: \"a b\" is not a host");
    assert!(http(json!({"path": "/", "method": "CONNECT"})).starts_with("healthCheck.http.method: "));
    let status = |value: Value| http(json!({"path": "/", "expectedStatuses": [value]}));
    for (value, found) in
        [(json!("200-"), "\"200-\""), (json!("300-200"), "\"300-200\""), (json!("x"), "\"x\"")]
    {
        let said = format!("healthCheck.http.expectedStatuses[0]: {found} is no status and no range of them");
        assert_eq!(status(value), said);
    }
    assert_eq!(
        status(json!(600)),
        "healthCheck.http.expectedStatuses[0]: 600 is not an integer from 100 to 599"
    );
    assert_eq!(check(json!({"tcp": {"receive": [""]}})), "healthCheck.tcp.receive[0]: it is empty");
    assert_eq!(
        check(json!({"tcp": {}, "healthyThreshold": 0})),
        "healthCheck.healthyThreshold: 0 is not an integer from 1 to 1000000"
    );
}

fn time(least: u64) -> impl Strategy<Value = Duration> {
    (least..1_000_000).prop_map(Duration::from_millis)
}

/// Any policy that can be written.
pub(crate) fn policy() -> impl Strategy<Value = HealthPolicy> {
    (of(outliers()), of(check()), of(0..=100u32), of(slow_start())).prop_map(
        |(outlier_detection, health_check, panic_threshold, slow_start)| HealthPolicy {
            outlier_detection,
            health_check,
            panic_threshold,
            slow_start,
        },
    )
}

fn outliers() -> impl Strategy<Value = OutlierDetection> {
    let latency = (1001..100_000u32, time(0), 2..100u32, 1..100u32, 0..=100u32).prop_map(
        |(factor, minimum_difference, minimum_hosts, request_volume, enforcing)| LatencyOutlier {
            factor,
            minimum_difference,
            minimum_hosts,
            request_volume,
            enforcing,
        },
    );
    let numbers = proptest::collection::vec(of(0..=100u32), NUMBERS.len());
    let flags = proptest::collection::vec(any::<bool>(), FLAGS.len());
    (of(time(1)), of(time(1)), of(time(0)), of(time(0)), numbers, flags, of(latency)).prop_map(
        |(interval, base, longer, jitter, numbers, flags, latency)| {
            let mut it = default_detection();
            it.interval = interval.unwrap_or(it.interval);
            it.base_ejection_time = base.unwrap_or(it.base_ejection_time);
            it.max_ejection_time = it.max_ejection_time.max(it.base_ejection_time);
            it.max_ejection_time =
                longer.map_or(it.max_ejection_time, |longer| it.base_ejection_time + longer);
            it.max_ejection_time_jitter = jitter.unwrap_or_default();
            for ((_, field, _), number) in NUMBERS.iter().zip(numbers) {
                *field(&mut it) = number.unwrap_or(*field(&mut it));
            }
            for ((_, field), flag) in FLAGS.iter().zip(flags) {
                *field(&mut it) = flag;
            }
            it.latency = latency;
            it
        },
    )
}

fn check() -> impl Strategy<Value = HealthCheck> {
    let range = || (100..599u16, 1..100u16).prop_map(|(from, length)| (from, (from + length).min(600)));
    let ranges = || proptest::collection::vec(range(), 0..3);
    let host = || "([a-z]{1,5}(:80)?)?";
    let http = ("/[a-z]{0,5}", host(), any::<bool>(), ranges(), ranges()).prop_map(
        |(path, host, other, expected, retriable)| {
            let method = if other { http::Method::HEAD } else { http::Method::GET };
            let headers = HeaderMutation::default();
            Probe::Http(HttpProbe { host, path, method, http2: other, expected, retriable, headers })
        },
    );
    let bytes = |text: String| text.into_bytes();
    let probe = prop_oneof![
        http,
        ("[a-z.]{0,8}", host()).prop_map(|(service, authority)| Probe::Grpc { service, authority }),
        ("\\PC{0,5}", proptest::collection::vec("\\PC{1,5}", 0..3)).prop_map(move |(send, receive)| {
            Probe::Tcp { send: bytes(send), receive: receive.into_iter().map(bytes).collect() }
        }),
    ];
    let times = (time(1), time(1), of(time(0)), of(time(0)), of(time(1)), of(time(1)), of(time(1)));
    (probe, times, of(time(1)), of(time(1)), (1..9u32, 1..9u32), any::<bool>()).prop_map(
        |(probe, times, unhealthy_edge, healthy_edge, (unhealthy, healthy), reuse_connection)| {
            let (timeout, interval, initial, each, idle, idle_healthy, unhealthy_interval) = times;
            let idle = idle.unwrap_or(NO_TRAFFIC_INTERVAL);
            let unhealthy_interval = unhealthy_interval.unwrap_or(interval);
            HealthCheck {
                initial_jitter: initial.unwrap_or(jitter(interval)),
                interval_jitter: each.unwrap_or(jitter(interval)),
                reuse_connection,
                no_traffic_interval: idle,
                no_traffic_healthy_interval: idle_healthy.unwrap_or(idle),
                unhealthy_interval,
                unhealthy_edge_interval: unhealthy_edge.unwrap_or(unhealthy_interval),
                healthy_edge_interval: healthy_edge.unwrap_or(interval),
                ..HealthCheck::new(probe, timeout, interval, unhealthy, healthy)
            }
        },
    )
}

fn slow_start() -> impl Strategy<Value = SlowStart> {
    (time(1), 1..100_000u32, 0..=100u32).prop_map(|(window, aggression, min_weight_percent)| SlowStart {
        window,
        aggression,
        min_weight_percent,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(policy in policy()) {
        let written = write(&policy).into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        prop_assert_eq!(good(Value::Object(written.collect())), policy);
    }
}
