//! Endpoints against each other, once in an interval.

use super::{Host, Observed, Reason, Tally};
use std::collections::HashMap;
use weir_model::{LatencyOutlier, OutlierDetection};

/// How much of the moving average is the last interval's mean.
const LATEST: f64 = 0.5;

/// Who stands out, in the order in which Envoy looks; takes what was counted in the interval that ends now.
pub(super) fn outliers(
    config: &OutlierDetection,
    hosts: &[Observed],
    states: &mut HashMap<u64, Host>,
) -> Vec<(u64, Reason)> {
    // What each one did that is not ejected.
    let mut counted: Vec<(u64, Tally)> = Vec::with_capacity(hosts.len());
    for observed in hosts {
        let Some(host) = states.get_mut(&observed.id) else { continue };
        let tally = observed.tally.since(host.before);
        host.before = observed.tally;
        if host.until.is_none() {
            counted.push((observed.id, tally));
        }
    }
    let external = rates(&counted, |tally| (tally.answers, tally.errors));
    let mut found = Vec::new();
    by_rates(config, &external, Reason::SuccessRate, Reason::FailurePercentage, &mut found);
    if config.split_external_local_origin_errors {
        let local = rates(&counted, |tally| (tally.attempts, tally.failures));
        let (rate, percentage) = (Reason::LocalOriginSuccessRate, Reason::LocalOriginFailurePercentage);
        by_rates(config, &local, rate, percentage, &mut found);
    }
    if let Some(latency) = &config.latency {
        by_latency(latency, &counted, states, &mut found);
    }
    found
}

/// How one endpoint fared: how much there was, and the percentage of successes.
struct Rate {
    id: u64,
    volume: u64,
    success: f64,
}

fn rates(counted: &[(u64, Tally)], read: impl Fn(&Tally) -> (u64, u64)) -> Vec<Rate> {
    let rate = |(id, tally): &(u64, Tally)| {
        let (volume, failed) = read(tally);
        let success = volume.saturating_sub(failed) as f64 * 100.0 / volume as f64;
        (volume > 0).then_some(Rate { id: *id, volume, success })
    };
    counted.iter().filter_map(rate).collect()
}

fn by_rates(
    config: &OutlierDetection,
    rates: &[Rate],
    success_rate: Reason,
    failure_percentage: Reason,
    found: &mut Vec<(u64, Reason)>,
) {
    let with_volume = |volume: u32| rates.iter().filter(move |rate| rate.volume >= u64::from(volume));
    let enough = |count: usize, minimum: u32| count > 0 && count >= minimum as usize;

    let valid = || with_volume(config.success_rate_request_volume);
    let count = valid().count();
    if enough(count, config.success_rate_minimum_hosts) {
        let mean = valid().map(|rate| rate.success).sum::<f64>() / count as f64;
        let variance = valid().map(|rate| (rate.success - mean).powi(2)).sum::<f64>() / count as f64;
        let threshold = mean - variance.sqrt() * f64::from(config.success_rate_stdev_factor) / 1000.0;
        found.extend(valid().filter(|rate| rate.success < threshold).map(|rate| (rate.id, success_rate)));
    }
    let valid = || with_volume(config.failure_percentage_request_volume);
    if enough(valid().count(), config.failure_percentage_minimum_hosts) {
        let threshold = f64::from(config.failure_percentage_threshold);
        let failing = valid().filter(|rate| 100.0 - rate.success >= threshold);
        found.extend(failing.map(|rate| (rate.id, failure_percentage)));
    }
}

fn by_latency(
    config: &LatencyOutlier,
    counted: &[(u64, Tally)],
    states: &mut HashMap<u64, Host>,
    found: &mut Vec<(u64, Reason)>,
) {
    let mut averages: Vec<(u64, f64)> = Vec::new();
    for (id, tally) in counted.iter().filter(|(_, tally)| tally.timed >= u64::from(config.request_volume)) {
        let Some(host) = states.get_mut(id).filter(|_| tally.timed > 0) else { continue };
        let mean = tally.micros as f64 / tally.timed as f64;
        let average = host.latency.map_or(mean, |before| before + (mean - before) * LATEST);
        host.latency = Some(average);
        averages.push((*id, average));
    }
    if averages.is_empty() || averages.len() < config.minimum_hosts as usize {
        return;
    }
    let mut sorted: Vec<f64> = averages.iter().map(|(_, average)| *average).collect();
    sorted.sort_by(f64::total_cmp);
    // The lower one of two in the middle, so that of two endpoints the slow one can stand out.
    let median = sorted[(sorted.len() - 1) / 2];
    let threshold = (median * f64::from(config.factor) / 1000.0)
        .max(median + config.minimum_difference.as_secs_f64() * 1e6);
    found.extend(
        averages.iter().filter(|(_, average)| *average >= threshold).map(|(id, _)| (*id, Reason::Latency)),
    );
}
