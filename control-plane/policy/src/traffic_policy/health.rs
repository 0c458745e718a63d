//! `outlierDetection`, `healthCheck`, `panicThreshold` and `slowStart` of a `TrafficPolicy`: Envoy's fields in Kubernetes' spelling.
//!
//! Defaults are Envoy's but for one: `alwaysEjectOneHost` is on, since a tenth of a small cluster would otherwise be nobody.

mod check;

use super::{MILLISECOND, duration_field, write_duration};
use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::fields;
use serde_json::{Map, Value, json};
use std::time::Duration;
use weir_model::mesh::HealthPolicy;
use weir_model::{LatencyOutlier, OutlierDetection, SlowStart};

/// The fields of a policy that are read here.
pub(super) const FIELDS: [&str; 4] = ["outlierDetection", "healthCheck", "panicThreshold", "slowStart"];

/// The largest count of anything.
const COUNT: u32 = 1_000_000;

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
        health_check: policy.get("healthCheck").and_then(|at| check::read(&at)),
        panic_threshold: policy.get("panicThreshold").and_then(|at| at.count(0..=100)),
        slow_start: policy.get("slowStart").and_then(|at| read_slow_start(&at)),
    }
}

pub(super) fn write(policy: &HealthPolicy) -> [(&'static str, Option<Value>); 4] {
    [
        (FIELDS[0], policy.outlier_detection.as_ref().map(write_outliers)),
        (FIELDS[1], policy.health_check.as_ref().map(check::write)),
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

#[cfg(test)]
pub(crate) mod tests;
