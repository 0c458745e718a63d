//! What a data plane finds out about endpoints by itself: `outlier_detection`, `health_checks`, the panic threshold and slow start, where
//! Envoy has them. weir's latency detector is a monitor of the outlier detection, which is Envoy's place for more of them.

mod check;
mod outlier;
mod slow_start;

use super::fault::{At, Check, Fault};
use super::pb::{cluster, kind};
use weir_model::{EndpointHealth, PANIC_THRESHOLD};

/// Adds it to a cluster's message, which says how to balance already.
pub(super) fn encode(health: &EndpointHealth, message: &mut cluster::Cluster) {
    message.outlier_detection = health.outlier_detection.as_deref().map(outlier::encode);
    message.health_checks = health.health_check.as_deref().map(check::encode).into_iter().collect();
    if health.panic_threshold != PANIC_THRESHOLD {
        message.common_lb_config.get_or_insert_default().healthy_panic_threshold =
            Some(kind::Percent { value: f64::from(health.panic_threshold) });
    }
    if let Some(slow_start) = &health.slow_start {
        slow_start::encode(slow_start, message);
    }
}

/// What a cluster's message says of it.
pub(super) fn decode(message: &cluster::Cluster) -> Check<EndpointHealth> {
    let outlier_detection = message.outlier_detection.as_ref().map(outlier::decode).transpose();
    let health_check = match message.health_checks.as_slice() {
        [] => None,
        [check] => Some(check::decode(check).at_index("health_checks", 0)?),
        _ => return Err(Fault::of("health_checks", "more than one is not supported")),
    };
    Ok(EndpointHealth {
        outlier_detection: outlier_detection.at("outlier_detection")?.map(Box::new),
        health_check: health_check.map(Box::new),
        panic_threshold: from_panic_threshold(message).at("common_lb_config.healthy_panic_threshold")?,
        slow_start: slow_start::decode(message)?,
    })
}

/// In whole percent, as Envoy rounds it.
fn from_panic_threshold(message: &cluster::Cluster) -> Check<u32> {
    let percent =
        message.common_lb_config.as_ref().and_then(|common| common.healthy_panic_threshold.as_ref());
    match percent.map(|percent| percent.value) {
        None => Ok(PANIC_THRESHOLD),
        Some(value) if (0.0..=100.0).contains(&value) => Ok(value.round() as u32),
        Some(value) => Err(Fault::new(format!("{value} is no percentage from 0 to 100"))),
    }
}
