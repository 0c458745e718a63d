//! `OutlierDetection`, with Envoy's defaults and bounds.

use crate::codec::fault::{At, Check, Fault, required};
use crate::codec::pb::{cluster, core, google};
use crate::codec::wire;
use prost::Message;
use std::time::Duration;
use weir_model::{LatencyOutlier, OutlierDetection, limits};
use weir_proto::xds::v1;

const LATENCY: &str = "type.googleapis.com/weir.xds.v1.LatencyOutlier";

pub(super) fn encode(it: &OutlierDetection) -> cluster::OutlierDetection {
    let flag = |value| Some(google::BoolValue { value });
    cluster::OutlierDetection {
        consecutive_5xx: wire::wrap(it.consecutive_5xx),
        interval: Some(wire::duration(it.interval)),
        base_ejection_time: Some(wire::duration(it.base_ejection_time)),
        max_ejection_percent: wire::wrap(it.max_ejection_percent),
        enforcing_consecutive_5xx: wire::wrap(it.enforcing_consecutive_5xx),
        enforcing_success_rate: wire::wrap(it.enforcing_success_rate),
        success_rate_minimum_hosts: wire::wrap(it.success_rate_minimum_hosts),
        success_rate_request_volume: wire::wrap(it.success_rate_request_volume),
        success_rate_stdev_factor: wire::wrap(it.success_rate_stdev_factor),
        consecutive_gateway_failure: wire::wrap(it.consecutive_gateway_failure),
        enforcing_consecutive_gateway_failure: wire::wrap(it.enforcing_consecutive_gateway_failure),
        split_external_local_origin_errors: it.split_external_local_origin_errors,
        consecutive_local_origin_failure: wire::wrap(it.consecutive_local_origin_failure),
        enforcing_consecutive_local_origin_failure: wire::wrap(it.enforcing_consecutive_local_origin_failure),
        enforcing_local_origin_success_rate: wire::wrap(it.enforcing_local_origin_success_rate),
        failure_percentage_threshold: wire::wrap(it.failure_percentage_threshold),
        enforcing_failure_percentage: wire::wrap(it.enforcing_failure_percentage),
        enforcing_failure_percentage_local_origin: wire::wrap(it.enforcing_failure_percentage_local_origin),
        failure_percentage_minimum_hosts: wire::wrap(it.failure_percentage_minimum_hosts),
        failure_percentage_request_volume: wire::wrap(it.failure_percentage_request_volume),
        max_ejection_time: Some(wire::duration(it.max_ejection_time)),
        max_ejection_time_jitter: Some(wire::duration(it.max_ejection_time_jitter)),
        successful_active_health_check_uneject_host: flag(it.successful_active_health_check_uneject_host),
        monitors: it.latency.as_ref().map(latency).into_iter().collect(),
        always_eject_one_host: flag(it.always_eject_one_host),
        detect_degraded_hosts: None,
    }
}

pub(super) fn decode(message: &cluster::OutlierDetection) -> Check<OutlierDetection> {
    if message.detect_degraded_hosts.as_ref().is_some_and(|flag| flag.value) {
        return Err(Fault::unsupported("detect_degraded_hosts"));
    }
    let is = OutlierDetection::default();
    let number = |value: &Option<google::UInt32Value>, default| value.as_ref().map_or(default, |it| it.value);
    let flag = |value: &Option<google::BoolValue>, default| value.as_ref().map_or(default, |it| it.value);
    let percent = |field: &str, value: &Option<google::UInt32Value>, default| match number(value, default) {
        percent @ 0..=100 => Ok(percent),
        percent => Err(Fault::of(field, format!("{percent} is above 100"))),
    };
    let time = |field: &str, value: Option<&google::Duration>, default, least: Duration| {
        match wire::optional_duration(field, value)?.unwrap_or(default) {
            time if time < least => Err(Fault::of(field, format!("must be at least {least:?}"))),
            time => Ok(time),
        }
    };
    let least = limits::SHORTEST_INTERVAL;
    let base = time("base_ejection_time", message.base_ejection_time.as_ref(), is.base_ejection_time, least)?;
    let longest = is.max_ejection_time.max(base);
    let longest = time("max_ejection_time", message.max_ejection_time.as_ref(), longest, least)?;
    if longest < base {
        return Err(Fault::of("max_ejection_time", "shorter than base_ejection_time"));
    }
    Ok(OutlierDetection {
        interval: time("interval", message.interval.as_ref(), is.interval, least)?,
        base_ejection_time: base,
        max_ejection_time: longest,
        max_ejection_time_jitter: time(
            "max_ejection_time_jitter",
            message.max_ejection_time_jitter.as_ref(),
            is.max_ejection_time_jitter,
            Duration::ZERO,
        )?,
        max_ejection_percent: percent(
            "max_ejection_percent",
            &message.max_ejection_percent,
            is.max_ejection_percent,
        )?,
        always_eject_one_host: flag(&message.always_eject_one_host, is.always_eject_one_host),
        successful_active_health_check_uneject_host: flag(
            &message.successful_active_health_check_uneject_host,
            is.successful_active_health_check_uneject_host,
        ),
        split_external_local_origin_errors: message.split_external_local_origin_errors,
        consecutive_5xx: number(&message.consecutive_5xx, is.consecutive_5xx),
        enforcing_consecutive_5xx: percent(
            "enforcing_consecutive_5xx",
            &message.enforcing_consecutive_5xx,
            is.enforcing_consecutive_5xx,
        )?,
        consecutive_gateway_failure: number(
            &message.consecutive_gateway_failure,
            is.consecutive_gateway_failure,
        ),
        enforcing_consecutive_gateway_failure: percent(
            "enforcing_consecutive_gateway_failure",
            &message.enforcing_consecutive_gateway_failure,
            is.enforcing_consecutive_gateway_failure,
        )?,
        consecutive_local_origin_failure: number(
            &message.consecutive_local_origin_failure,
            is.consecutive_local_origin_failure,
        ),
        enforcing_consecutive_local_origin_failure: percent(
            "enforcing_consecutive_local_origin_failure",
            &message.enforcing_consecutive_local_origin_failure,
            is.enforcing_consecutive_local_origin_failure,
        )?,
        success_rate_stdev_factor: number(&message.success_rate_stdev_factor, is.success_rate_stdev_factor),
        enforcing_success_rate: percent(
            "enforcing_success_rate",
            &message.enforcing_success_rate,
            is.enforcing_success_rate,
        )?,
        enforcing_local_origin_success_rate: percent(
            "enforcing_local_origin_success_rate",
            &message.enforcing_local_origin_success_rate,
            is.enforcing_local_origin_success_rate,
        )?,
        success_rate_minimum_hosts: number(
            &message.success_rate_minimum_hosts,
            is.success_rate_minimum_hosts,
        ),
        success_rate_request_volume: number(
            &message.success_rate_request_volume,
            is.success_rate_request_volume,
        ),
        failure_percentage_threshold: percent(
            "failure_percentage_threshold",
            &message.failure_percentage_threshold,
            is.failure_percentage_threshold,
        )?,
        enforcing_failure_percentage: percent(
            "enforcing_failure_percentage",
            &message.enforcing_failure_percentage,
            is.enforcing_failure_percentage,
        )?,
        enforcing_failure_percentage_local_origin: percent(
            "enforcing_failure_percentage_local_origin",
            &message.enforcing_failure_percentage_local_origin,
            is.enforcing_failure_percentage_local_origin,
        )?,
        failure_percentage_minimum_hosts: number(
            &message.failure_percentage_minimum_hosts,
            is.failure_percentage_minimum_hosts,
        ),
        failure_percentage_request_volume: number(
            &message.failure_percentage_request_volume,
            is.failure_percentage_request_volume,
        ),
        latency: match message.monitors.as_slice() {
            [] => None,
            [monitor] => Some(from_monitor(monitor).at_index("monitors", 0)?),
            _ => return Err(Fault::of("monitors", "more than one is not supported")),
        },
    })
}

fn latency(it: &LatencyOutlier) -> core::TypedExtensionConfig {
    let mut message = v1::LatencyOutlier {
        factor_thousandths: it.factor,
        minimum_hosts: it.minimum_hosts,
        request_volume: it.request_volume,
        enforcing: it.enforcing,
        ..v1::LatencyOutlier::default()
    };
    let difference = wire::duration(it.minimum_difference);
    let field = message.minimum_difference.get_or_insert_default();
    (field.seconds, field.nanos) = (difference.seconds, difference.nanos);
    core::TypedExtensionConfig {
        name: "weir.outlier_detection_monitors.latency".to_owned(),
        typed_config: Some(google::Any { type_url: LATENCY.to_owned(), value: message.encode_to_vec() }),
    }
}

fn from_monitor(monitor: &core::TypedExtensionConfig) -> Check<LatencyOutlier> {
    let config = required("typed_config", monitor.typed_config.as_ref())?;
    if config.type_url != LATENCY {
        return Err(Fault::of("typed_config", format!("{:?} is not supported", wire::cut(&config.type_url))));
    }
    let message = v1::LatencyOutlier::decode(config.value.as_slice()).map_err(|error| {
        Fault::of("typed_config", format!("no valid weir.xds.v1.LatencyOutlier: {error}"))
    })?;
    let difference = message.minimum_difference.unwrap_or_default();
    let difference = google::Duration { seconds: difference.seconds, nanos: difference.nanos };
    if message.factor_thousandths <= 1000 {
        return Err(Fault::of("typed_config.factor_thousandths", "must be above 1000"));
    }
    if message.enforcing > 100 {
        return Err(Fault::of("typed_config.enforcing", format!("{} is above 100", message.enforcing)));
    }
    Ok(LatencyOutlier {
        factor: message.factor_thousandths,
        minimum_difference: wire::from_duration(&difference).at("typed_config.minimum_difference")?,
        minimum_hosts: message.minimum_hosts,
        request_volume: message.request_volume,
        enforcing: message.enforcing,
    })
}
