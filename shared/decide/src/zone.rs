//! Routing by zone: how much of a caller's traffic stays in its own zone, and where the rest goes (Envoy's zone-aware routing).
//!
//! Callers everywhere are assumed to send alike, so a zone's part of the callers is its part of the traffic. **Where a zone has at least as
//! large a part of the endpoints as of the callers, its callers stay in it. Otherwise they use it for what it can take, and the rest goes to
//! the zones that have more than their own callers need**, in proportion to how much more. So every endpoint gets as much as it would if all
//! callers used all endpoints, and as little as possible of it crosses zones.

/// Parts are counted in so many of the whole, as Envoy counts them.
const WHOLE: u64 = 10_000;

/// The shares of the zones in the traffic of a caller in zone `here`: relative, each 0 or more, at least one above 0. `callers` and `capacity`
/// say for each zone how many callers and endpoints there are, or what they weigh. Nothing if there is no caller, no endpoint, or no
/// endpoint in the zone: then zones say nothing, and all endpoints are one set.
pub fn shares(callers: &[u64], capacity: &[u64], here: usize) -> Option<Vec<u64>> {
    let (callers, capacity) = (parts(callers)?, parts(capacity)?);
    let (own, asked) = (*capacity.get(here)?, *callers.get(here)?);
    if own == 0 {
        return None;
    }
    let alone = || (0..capacity.len()).map(|zone| u64::from(zone == here)).collect();
    if own >= asked {
        return Some(alone());
    }
    let stays = own * WHOLE / asked;
    let spare = |zone: usize| {
        let needed = callers.get(zone).copied().unwrap_or_default();
        if zone == here { 0 } else { capacity[zone].saturating_sub(needed) }
    };
    let spare: Vec<u64> = (0..capacity.len()).map(spare).collect();
    let all: u64 = spare.iter().sum();
    if all == 0 {
        // Only by rounding: there is nothing elsewhere to speak of.
        return Some(alone());
    }
    let share = |(zone, spare): (usize, &u64)| match zone == here {
        true => stays * all,
        false => (WHOLE - stays) * spare,
    };
    Some(spare.iter().enumerate().map(share).collect())
}

/// Parts of the whole; nothing of nothing.
fn parts(of: &[u64]) -> Option<Vec<u64>> {
    let sum: u128 = of.iter().map(|one| u128::from(*one)).sum();
    let part = |one: &u64| (u128::from(*one) * u128::from(WHOLE) / sum) as u64;
    (sum > 0).then(|| of.iter().map(part).collect())
}

#[cfg(test)]
mod tests;
