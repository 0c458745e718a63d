//! Consistent hashes: how large rings and tables are, what endpoints are known by, and how much one takes.

use super::super::fault::{At, Check, Fault};
use super::super::pb::{google, lb};
use super::super::wire;
use super::{Found, PLAIN, found};
use lb::common::v3 as common;
use lb::ring_hash::v3::ring_hash::HashFunction;
use weir_model::{LoadBalancing, RingSize, Spread, is_prime, limits};

/// The largest ring that Envoy takes.
const ENVOY_RING: u64 = 8_388_608;

pub(super) fn hashes(balancing: &LoadBalancing) -> bool {
    matches!(balancing, LoadBalancing::RingHash(_) | LoadBalancing::Maglev { .. })
}

pub(super) fn from_factor(factor: Option<&google::UInt32Value>) -> Check<Option<u32>> {
    match factor.map(|factor| factor.value) {
        Some(factor @ ..100) => Err(Fault::of("hash_balance_factor", format!("{factor} is less than 100"))),
        factor => Ok(factor),
    }
}

pub(super) fn hashing(spread: &Spread) -> Option<common::ConsistentHashingLbConfig> {
    let config = common::ConsistentHashingLbConfig {
        use_hostname_for_hashing: spread.hash_by_hostname,
        hash_balance_factor: spread.hash_balance_factor.and_then(wire::wrap),
        ..common::ConsistentHashingLbConfig::default()
    };
    (config != common::ConsistentHashingLbConfig::default()).then_some(config)
}

#[allow(deprecated, reason = "deprecated fields still change what Envoy does, so they are refused as well")]
pub(super) fn from_ring_hash(policy: &lb::ring_hash::v3::RingHash) -> Check<Found> {
    if policy.hash_function == HashFunction::MurmurHash2 as i32 {
        return Err(Fault::unsupported("hash_function"));
    }
    let mut spread = from_hashing(policy.consistent_hashing_lb_config.as_ref())?;
    if policy.consistent_hashing_lb_config.is_none() {
        spread.hash_by_hostname = policy.use_hostname_for_hashing;
        spread.hash_balance_factor = from_factor(policy.hash_balance_factor.as_ref())?;
    }
    spread.by_locality = policy.locality_weighted_lb_config.is_some();
    let size = from_ring_size(policy.minimum_ring_size.as_ref(), policy.maximum_ring_size.as_ref())?;
    Ok(found(LoadBalancing::RingHash(size), spread))
}

pub(super) fn from_hashing(config: Option<&common::ConsistentHashingLbConfig>) -> Check<Spread> {
    let Some(config) = config else { return Ok(PLAIN) };
    let inner = || match config.hash_policy.is_empty() {
        true => Ok(Spread {
            hash_by_hostname: config.use_hostname_for_hashing,
            hash_balance_factor: from_factor(config.hash_balance_factor.as_ref())?,
            ..PLAIN
        }),
        false => Err(Fault::of("hash_policy", "not supported here; write it in the action of the routes")),
    };
    inner().at("consistent_hashing_lb_config")
}

pub(super) fn wide(value: Option<u32>) -> Option<google::UInt64Value> {
    value.map(|value| google::UInt64Value { value: u64::from(value) })
}

pub(super) fn from_ring_size(
    minimum: Option<&google::UInt64Value>,
    maximum: Option<&google::UInt64Value>,
) -> Check<RingSize> {
    // A ring that may be larger than weir makes one is not any larger for it.
    let maximum = match maximum.map(|maximum| maximum.value) {
        Some(0) => return Err(Fault::of("maximum_ring_size", "must be at least 1")),
        Some(maximum) if maximum > ENVOY_RING => {
            return Err(Fault::of("maximum_ring_size", format!("{maximum} is above {ENVOY_RING}")));
        }
        maximum => maximum.and_then(|maximum| u32::try_from(maximum).ok()),
    };
    let most = maximum.unwrap_or(limits::RING_POINTS).min(limits::RING_POINTS);
    let minimum = match minimum.map(|minimum| minimum.value) {
        Some(minimum) if minimum > u64::from(most) => {
            return Err(Fault::of("minimum_ring_size", format!("{minimum} is above {most}")));
        }
        minimum => minimum.and_then(|minimum| u32::try_from(minimum).ok()),
    };
    Ok(RingSize { minimum, maximum })
}

pub(super) fn from_table_size(size: Option<&google::UInt64Value>) -> Check<Option<u32>> {
    let Some(size) = size.map(|size| size.value) else { return Ok(None) };
    let small = u32::try_from(size).ok().filter(|size| *size <= limits::MAGLEV_SLOTS);
    match small.filter(|size| is_prime(*size)) {
        Some(size) => Ok(Some(size)),
        None => {
            let message = format!("{size} is no prime number up to {}", limits::MAGLEV_SLOTS);
            Err(Fault::of("table_size", message))
        }
    }
}
