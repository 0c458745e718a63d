//! `outlierDetection`, `healthCheck`, `panicThreshold` and `slowStart` of a `TrafficPolicy`: Envoy's fields in Kubernetes' spelling.
//!
//! Defaults are Envoy's but for one: `alwaysEjectOneHost` is on, since a tenth of a small cluster would otherwise be nobody.

use super::{MILLISECOND, duration_field, write_duration};
use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::fields;
use serde_json::{Map, Value, json};
use std::time::Duration;
use weir_model::mesh::HealthPolicy;
use weir_model::{
    HeaderMutation, HealthCheck, HttpProbe, LatencyOutlier, NO_TRAFFIC_INTERVAL, OutlierDetection, Probe,
    SlowStart, limits,
};

/// The fields of a policy that are read here.
pub(super) const FIELDS: [&str; 4] = ["outlierDetection", "healthCheck", "panicThreshold", "slowStart"];

/// The largest count of anything.
const COUNT: u32 = 1_000_000;
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(1);
const UNHEALTHY: u32 = 3;
const HEALTHY: u32 = 2;

type Time = (&'static str, fn(&mut OutlierDetection) -> &mut Duration, Duration);
type Number = (&'static str, fn(&mut OutlierDetection) -> &mut u32, u32);
type Flag = (&'static str, fn(&mut OutlierDetection) -> &mut bool);

const TIMES: [Time; 4] = [
    ("interval", |it| &mut it.interval, MILLISECOND),
    ("baseEjectionTime", |it| &mut it.base_ejection_time, MILLISECOND),
    ("maxEjectionTime", |it| &mut it.max_ejection_time, MILLISECOND),
    ("maxEjectionTimeJitter", |it| &mut it.max_ejection_time_jitter, Duration::ZERO),
];

const NUMBERS: [Number; 17] = [
    ("maxEjectionPercent", |it| &mut it.max_ejection_percent, 100),
    ("consecutive5xx", |it| &mut it.consecutive_5xx, COUNT),
    ("enforcingConsecutive5xx", |it| &mut it.enforcing_consecutive_5xx, 100),
    ("consecutiveGatewayFailure", |it| &mut it.consecutive_gateway_failure, COUNT),
    ("enforcingConsecutiveGatewayFailure", |it| &mut it.enforcing_consecutive_gateway_failure, 100),
    ("consecutiveLocalOriginFailure", |it| &mut it.consecutive_local_origin_failure, COUNT),
    ("enforcingConsecutiveLocalOriginFailure", |it| &mut it.enforcing_consecutive_local_origin_failure, 100),
    ("successRateStdevFactor", |it| &mut it.success_rate_stdev_factor, COUNT),
    ("enforcingSuccessRate", |it| &mut it.enforcing_success_rate, 100),
    ("enforcingLocalOriginSuccessRate", |it| &mut it.enforcing_local_origin_success_rate, 100),
    ("successRateMinimumHosts", |it| &mut it.success_rate_minimum_hosts, COUNT),
    ("successRateRequestVolume", |it| &mut it.success_rate_request_volume, COUNT),
    ("failurePercentageThreshold", |it| &mut it.failure_percentage_threshold, 100),
    ("enforcingFailurePercentage", |it| &mut it.enforcing_failure_percentage, 100),
    ("enforcingFailurePercentageLocalOrigin", |it| &mut it.enforcing_failure_percentage_local_origin, 100),
    ("failurePercentageMinimumHosts", |it| &mut it.failure_percentage_minimum_hosts, COUNT),
    ("failurePercentageRequestVolume", |it| &mut it.failure_percentage_request_volume, COUNT),
];

const FLAGS: [Flag; 3] = [
    ("alwaysEjectOneHost", |it| &mut it.always_eject_one_host),
    ("successfulActiveHealthCheckUnejectHost", |it| &mut it.successful_active_health_check_uneject_host),
    ("splitExternalLocalOriginErrors", |it| &mut it.split_external_local_origin_errors),
];

const OUTLIER: Schema = Schema::of(&[
    "interval",
    "baseEjectionTime",
    "maxEjectionTime",
    "maxEjectionTimeJitter",
    "maxEjectionPercent",
    "consecutive5xx",
    "enforcingConsecutive5xx",
    "consecutiveGatewayFailure",
    "enforcingConsecutiveGatewayFailure",
    "consecutiveLocalOriginFailure",
    "enforcingConsecutiveLocalOriginFailure",
    "successRateStdevFactor",
    "enforcingSuccessRate",
    "enforcingLocalOriginSuccessRate",
    "successRateMinimumHosts",
    "successRateRequestVolume",
    "failurePercentageThreshold",
    "enforcingFailurePercentage",
    "enforcingFailurePercentageLocalOrigin",
    "failurePercentageMinimumHosts",
    "failurePercentageRequestVolume",
    "alwaysEjectOneHost",
    "successfulActiveHealthCheckUnejectHost",
    "splitExternalLocalOriginErrors",
    "latency",
]);

/// What holds in an outlier detection that says nothing.
pub(crate) fn default_detection() -> OutlierDetection {
    OutlierDetection { always_eject_one_host: true, ..OutlierDetection::default() }
}

pub(super) fn read(policy: &Fields<'_>) -> HealthPolicy {
    HealthPolicy {
        outlier_detection: policy.get("outlierDetection").and_then(|at| read_outliers(&at)),
        health_check: policy.get("healthCheck").and_then(|at| read_check(&at)),
        panic_threshold: policy.get("panicThreshold").and_then(|at| at.count(0..=100)),
        slow_start: policy.get("slowStart").and_then(|at| read_slow_start(&at)),
    }
}

pub(super) fn write(policy: &HealthPolicy) -> [(&'static str, Option<Value>); 4] {
    [
        (FIELDS[0], policy.outlier_detection.as_ref().map(write_outliers)),
        (FIELDS[1], policy.health_check.as_ref().map(write_check)),
        (FIELDS[2], policy.panic_threshold.map(|percent| json!(percent))),
        (FIELDS[3], policy.slow_start.as_ref().map(write_slow_start)),
    ]
}

fn flag(fields: &Fields<'_>, name: &str) -> Option<bool> {
    let at = fields.get(name)?;
    let flag = at.value().as_bool();
    if flag.is_none() {
        at.error(format!("{} is neither true nor false", excerpt(at.value())), "write true or false");
    }
    flag
}

fn read_outliers(at: &At<'_>) -> Option<OutlierDetection> {
    let fields = at.object(&OUTLIER)?;
    let mut detection = default_detection();
    for (name, field, least) in TIMES {
        if let Some(time) = duration_field(&fields, name, least) {
            *field(&mut detection) = time;
        }
    }
    for (name, field, most) in NUMBERS {
        if let Some(number) = fields.get(name).and_then(|at| at.count(0..=most)) {
            *field(&mut detection) = number;
        }
    }
    for (name, field) in FLAGS {
        if let Some(value) = flag(&fields, name) {
            *field(&mut detection) = value;
        }
    }
    match fields.get("maxEjectionTime") {
        None => detection.max_ejection_time = detection.max_ejection_time.max(detection.base_ejection_time),
        Some(at) if detection.max_ejection_time < detection.base_ejection_time => {
            at.error("it is shorter than baseEjectionTime", "write a longer one, or leave it out");
        }
        Some(_) => {}
    }
    detection.latency = fields.get("latency").and_then(|at| read_latency(&at));
    Some(detection)
}

fn write_outliers(detection: &OutlierDetection) -> Value {
    let (mut said, mut default) = (detection.clone(), default_detection());
    default.max_ejection_time = default.max_ejection_time.max(said.base_ejection_time);
    let mut object = Map::new();
    for (name, field, _) in TIMES {
        if *field(&mut said) != *field(&mut default) {
            object.insert(name.to_owned(), write_duration(*field(&mut said)));
        }
    }
    for (name, field, _) in NUMBERS {
        if *field(&mut said) != *field(&mut default) {
            object.insert(name.to_owned(), json!(*field(&mut said)));
        }
    }
    for (name, field) in FLAGS {
        if *field(&mut said) != *field(&mut default) {
            object.insert(name.to_owned(), json!(*field(&mut said)));
        }
    }
    if let Some(latency) = &detection.latency {
        object.insert("latency".to_owned(), write_latency(latency));
    }
    Value::Object(object)
}

fn read_latency(at: &At<'_>) -> Option<LatencyOutlier> {
    let known = &["factor", "minimumDifference", "minimumHosts", "requestVolume", "enforcing"];
    let fields = at.object(&Schema::of(known))?;
    let mut latency = LatencyOutlier::default();
    if let Some(factor) = fields.get("factor").and_then(|at| thousandths(&at, 1001..=COUNT)) {
        latency.factor = factor;
    }
    if let Some(difference) = duration_field(&fields, "minimumDifference", Duration::ZERO) {
        latency.minimum_difference = difference;
    }
    let numbers = [
        ("minimumHosts", &mut latency.minimum_hosts, 2..=COUNT),
        ("requestVolume", &mut latency.request_volume, 1..=COUNT),
        ("enforcing", &mut latency.enforcing, 0..=100),
    ];
    for (name, field, range) in numbers {
        if let Some(number) = fields.get(name).and_then(|at| at.count(range)) {
            *field = number;
        }
    }
    Some(latency)
}

fn write_latency(latency: &LatencyOutlier) -> Value {
    json!({
        "factor": f64::from(latency.factor) / 1000.0,
        "minimumDifference": write_duration(latency.minimum_difference),
        "minimumHosts": latency.minimum_hosts,
        "requestVolume": latency.request_volume,
        "enforcing": latency.enforcing,
    })
}

/// A number with up to three decimals, in thousandths.
fn thousandths(at: &At<'_>, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
    let number = at.value().as_f64().map(|number| (number * 1000.0).round());
    let within = f64::from(*range.start())..=f64::from(*range.end());
    match number.filter(|number| within.contains(number)) {
        Some(number) => Some(number as u32),
        None => {
            let (least, most) = (f64::from(*range.start()) / 1000.0, range.end() / 1000);
            at.error(
                format!("{} is no number from {least} to {most}", excerpt(at.value())),
                format!("write one from {least} to {most}"),
            );
            None
        }
    }
}

fn read_slow_start(at: &At<'_>) -> Option<SlowStart> {
    let fields = at.object(&Schema::of(&["window", "aggression", "minWeightPercent"]))?;
    let (at, text) = fields.required_text("window", "say how long it takes, such as 30s")?;
    let window = super::read_duration(&at, text, MILLISECOND)?;
    let mut slow_start = SlowStart::new(window);
    if let Some(aggression) = fields.get("aggression").and_then(|at| thousandths(&at, 1..=COUNT)) {
        slow_start.aggression = aggression;
    }
    if let Some(percent) = fields.get("minWeightPercent").and_then(|at| at.count(0..=100)) {
        slow_start.min_weight_percent = percent;
    }
    Some(slow_start)
}

fn write_slow_start(slow_start: &SlowStart) -> Value {
    let default = SlowStart::new(slow_start.window);
    let aggression = (slow_start.aggression != default.aggression)
        .then(|| json!(f64::from(slow_start.aggression) / 1000.0));
    let minimum = (slow_start.min_weight_percent != default.min_weight_percent)
        .then(|| json!(slow_start.min_weight_percent));
    fields([
        ("window", Some(write_duration(slow_start.window))),
        ("aggression", aggression),
        ("minWeightPercent", minimum),
    ])
}

fn read_check(at: &At<'_>) -> Option<HealthCheck> {
    let fields = at.object(&Schema::of(&[
        "http",
        "grpc",
        "tcp",
        "interval",
        "timeout",
        "initialJitter",
        "intervalJitter",
        "unhealthyThreshold",
        "healthyThreshold",
        "reuseConnection",
        "noTrafficInterval",
        "noTrafficHealthyInterval",
        "unhealthyInterval",
        "unhealthyEdgeInterval",
        "healthyEdgeInterval",
    ]))?;
    let probes = [fields.get("http"), fields.get("grpc"), fields.get("tcp")];
    let probe = match probes {
        [Some(at), None, None] => read_http(&at),
        [None, Some(at), None] => read_grpc(&at),
        [None, None, Some(at)] => read_tcp(&at),
        [None, None, None] => {
            at.error("it does not say what to check", "add http, grpc or tcp");
            None
        }
        _ => {
            at.error("it says more than one of http, grpc and tcp", "keep one");
            None
        }
    };
    let time = |name: &str, least| duration_field(&fields, name, least);
    let threshold = |name: &str| fields.get(name).and_then(|at| at.count(1..=COUNT));
    let interval = time("interval", MILLISECOND).unwrap_or(INTERVAL);
    let idle = time("noTrafficInterval", MILLISECOND).unwrap_or(NO_TRAFFIC_INTERVAL);
    let unhealthy = time("unhealthyInterval", MILLISECOND).unwrap_or(interval);
    let times = HealthCheck {
        timeout: time("timeout", MILLISECOND).unwrap_or(TIMEOUT),
        interval,
        initial_jitter: time("initialJitter", Duration::ZERO).unwrap_or(jitter(interval)),
        interval_jitter: time("intervalJitter", Duration::ZERO).unwrap_or(jitter(interval)),
        interval_jitter_percent: 0,
        unhealthy_threshold: threshold("unhealthyThreshold").unwrap_or(UNHEALTHY),
        healthy_threshold: threshold("healthyThreshold").unwrap_or(HEALTHY),
        reuse_connection: flag(&fields, "reuseConnection").unwrap_or(true),
        no_traffic_interval: idle,
        no_traffic_healthy_interval: time("noTrafficHealthyInterval", MILLISECOND).unwrap_or(idle),
        unhealthy_interval: unhealthy,
        unhealthy_edge_interval: time("unhealthyEdgeInterval", MILLISECOND).unwrap_or(unhealthy),
        healthy_edge_interval: time("healthyEdgeInterval", MILLISECOND).unwrap_or(interval),
        probe: Probe::Tcp { send: Vec::new(), receive: Vec::new() },
    };
    Some(HealthCheck { probe: probe?, ..times })
}

/// A tenth, so that sidecars that start together do not all ask together.
fn jitter(interval: Duration) -> Duration {
    Duration::from_millis(u64::try_from(interval.as_millis() / 10).unwrap_or(u64::MAX))
}

fn write_check(check: &HealthCheck) -> Value {
    let (name, probe) = match &check.probe {
        Probe::Http(http) => ("http", write_http(http)),
        Probe::Grpc { service, authority } => ("grpc", write_grpc(service, authority)),
        Probe::Tcp { send, receive } => ("tcp", write_tcp(send, receive)),
    };
    let unless = |value: Duration, default: Duration| (value != default).then(|| write_duration(value));
    fields([
        (name, Some(probe)),
        ("interval", Some(write_duration(check.interval))),
        ("timeout", Some(write_duration(check.timeout))),
        ("initialJitter", unless(check.initial_jitter, jitter(check.interval))),
        ("intervalJitter", unless(check.interval_jitter, jitter(check.interval))),
        ("unhealthyThreshold", Some(json!(check.unhealthy_threshold))),
        ("healthyThreshold", Some(json!(check.healthy_threshold))),
        ("reuseConnection", (!check.reuse_connection).then(|| json!(false))),
        ("noTrafficInterval", unless(check.no_traffic_interval, NO_TRAFFIC_INTERVAL)),
        ("noTrafficHealthyInterval", unless(check.no_traffic_healthy_interval, check.no_traffic_interval)),
        ("unhealthyInterval", unless(check.unhealthy_interval, check.interval)),
        ("unhealthyEdgeInterval", unless(check.unhealthy_edge_interval, check.unhealthy_interval)),
        ("healthyEdgeInterval", unless(check.healthy_edge_interval, check.interval)),
    ])
}

/// A host and perhaps a port.
fn authority(fields: &Fields<'_>, name: &str) -> String {
    let Some((at, text)) = fields.get_text(name) else { return String::new() };
    if text.parse::<http::uri::Authority>().is_err() {
        at.error(format!("{} is not a host", excerpt(&Value::from(text))), "write one, such as reviews:9080");
    }
    text.to_owned()
}

fn read_http(at: &At<'_>) -> Option<Probe> {
    let known = &["path", "host", "method", "http2", "expectedStatuses", "retriableStatuses"];
    let fields = at.object(&Schema::of(known))?;
    let (at, path) = fields.required_text("path", "name one, such as /healthz")?;
    let good = path.starts_with('/')
        && path.len() <= limits::NAME_BYTES
        && path.parse::<http::uri::PathAndQuery>().is_ok();
    if !good {
        at.error(format!("{} is not a path", excerpt(&Value::from(path))), "write one, such as /healthz");
    }
    let methods = [
        ("GET", http::Method::GET),
        ("HEAD", http::Method::HEAD),
        ("POST", http::Method::POST),
        ("PUT", http::Method::PUT),
        ("DELETE", http::Method::DELETE),
        ("OPTIONS", http::Method::OPTIONS),
        ("TRACE", http::Method::TRACE),
        ("PATCH", http::Method::PATCH),
    ];
    let method = match fields.get_text("method") {
        None => Some(http::Method::GET),
        Some((at, text)) => {
            let found = methods.iter().find(|(name, _)| *name == text).map(|(_, method)| method.clone());
            if found.is_none() {
                at.not_one_of(text, &methods.map(|(name, _)| name));
            }
            found
        }
    };
    let ranges = |name: &str| fields.get(name).map_or(Some(Vec::new()), |at| read_ranges(&at));
    let (expected, retriable) = (ranges("expectedStatuses"), ranges("retriableStatuses"));
    good.then_some(Probe::Http(HttpProbe {
        host: authority(&fields, "host"),
        path: path.to_owned(),
        method: method?,
        http2: flag(&fields, "http2").unwrap_or(false),
        expected: expected?,
        retriable: retriable?,
        headers: HeaderMutation::default(),
    }))
}

fn read_ranges(at: &At<'_>) -> Option<Vec<(u16, u16)>> {
    let ranges: Vec<Option<(u16, u16)>> =
        at.list(1..=limits::HEALTH_CHECK_PARTS)?.iter().map(read_range).collect();
    ranges.into_iter().collect()
}

/// `204`, `"204"` or `"200-299"`.
fn read_range(at: &At<'_>) -> Option<(u16, u16)> {
    if at.value().is_number() {
        let status = u16::try_from(at.integer(100..=599)?).ok()?;
        return Some((status, status + 1));
    }
    let text = at.text()?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Some((first, last + 1)),
        _ => {
            let found = excerpt(&Value::from(text));
            at.error(format!("{found} is no status and no range of them"), "write 204 or \"200-299\"");
            None
        }
    }
}

fn write_http(http: &HttpProbe) -> Value {
    let ranges = |ranges: &[(u16, u16)]| {
        let range = |(from, below): &(u16, u16)| match below - from {
            1 => json!(from.to_string()),
            _ => json!(format!("{from}-{}", below - 1)),
        };
        (!ranges.is_empty()).then(|| Value::from(ranges.iter().map(range).collect::<Vec<_>>()))
    };
    fields([
        ("path", Some(json!(http.path))),
        ("host", (!http.host.is_empty()).then(|| json!(http.host))),
        ("method", (http.method != http::Method::GET).then(|| json!(http.method.as_str()))),
        ("http2", http.http2.then(|| json!(true))),
        ("expectedStatuses", ranges(&http.expected)),
        ("retriableStatuses", ranges(&http.retriable)),
    ])
}

fn read_grpc(at: &At<'_>) -> Option<Probe> {
    let fields = at.object(&Schema::of(&["service", "authority"]))?;
    let service = fields.get_text("service").map(|(_, text)| text.to_owned()).unwrap_or_default();
    Some(Probe::Grpc { service, authority: authority(&fields, "authority") })
}

fn write_grpc(service: &str, authority: &str) -> Value {
    let text = |text: &str| (!text.is_empty()).then(|| json!(text));
    fields([("service", text(service)), ("authority", text(authority))])
}

fn read_tcp(at: &At<'_>) -> Option<Probe> {
    let fields = at.object(&Schema::of(&["send", "receive"]))?;
    let bytes = |at: &At<'_>, text: &str| {
        if text.len() > limits::HEALTH_CHECK_BYTES {
            at.error(format!("{} bytes, more than {}", text.len(), limits::HEALTH_CHECK_BYTES), "write less");
        }
        text.as_bytes().to_vec()
    };
    let send = fields.get_text("send").map(|(at, text)| bytes(&at, text)).unwrap_or_default();
    let mut receive = Vec::new();
    if let Some(at) = fields.get("receive") {
        for at in at.list(1..=limits::HEALTH_CHECK_PARTS)? {
            match at.text()? {
                "" => at.error("it is empty", "write what is expected, or leave it out"),
                text => receive.push(bytes(&at, text)),
            }
        }
    }
    Some(Probe::Tcp { send, receive })
}

fn write_tcp(send: &[u8], receive: &[Vec<u8>]) -> Value {
    // What came as text is text.
    let text = |bytes: &[u8]| json!(String::from_utf8_lossy(bytes));
    let blocks: Vec<Value> = receive.iter().map(|bytes| text(bytes)).collect();
    fields([
        ("send", (!send.is_empty()).then(|| text(send))),
        ("receive", (!blocks.is_empty()).then(|| Value::from(blocks))),
    ])
}

#[cfg(test)]
pub(crate) mod tests;
