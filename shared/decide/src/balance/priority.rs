//! How much of the traffic each priority gets: Envoy's arithmetic, in whole percent.
//!
//! Overprovisioned by 140 %, a priority takes all it is asked for while at least 72 % of it is healthy (100 / 140); below, its overflow goes to the next
//! one's healthy endpoints, and what no healthy endpoint can take goes to degraded ones in the same way. When all of them together
//! cannot take everything, each takes its part in proportion.

/// A priority's endpoints, counted.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counts {
    /// In whichever health.
    pub(super) total: usize,
    /// Healthy and not ejected.
    pub(super) healthy: usize,
    /// Degraded and not ejected.
    pub(super) degraded: usize,
}

/// A priority's percentages of the traffic.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Share {
    pub(super) healthy: u32,
    pub(super) degraded: u32,
}

/// Percentages that sum to 100, or `None` if no endpoint is available. Unlike Envoy's, a priority with a single available endpoint
/// counts as 1 % however many there are, so that it is used before unavailable ones are.
pub(super) fn shares(levels: &[Counts], overprovisioning: usize) -> Option<Vec<Share>> {
    let capacity = levels.iter().map(|level| Share {
        healthy: capacity(level.healthy, level.total, overprovisioning),
        degraded: capacity(level.degraded, level.total, overprovisioning),
    });
    let capacity: Vec<Share> = capacity.collect();
    let sum: u32 = capacity.iter().map(|level| level.healthy + level.degraded).sum();
    let normal = sum.min(100);
    if normal == 0 {
        return None;
    }
    let mut left = 100;
    let mut take = |capacity: u32| {
        let taken = (capacity * 100 / normal).min(left);
        left -= taken;
        taken
    };
    let mut shares = vec![Share::default(); levels.len()];
    for (share, capacity) in shares.iter_mut().zip(&capacity) {
        share.healthy = take(capacity.healthy);
    }
    for (share, capacity) in shares.iter_mut().zip(&capacity) {
        share.degraded = take(capacity.degraded);
    }
    // What rounding leaves over goes to the first that has anything to take it.
    if let Some(first) = shares.iter_mut().find(|share| share.healthy > 0) {
        first.healthy += left;
    } else if let Some(first) = shares.iter_mut().find(|share| share.degraded > 0) {
        first.degraded += left;
    }
    Some(shares)
}

/// Which priorities panic: all of their endpoints are used, since fewer than `threshold` percent of them are available, and all
/// priorities together cannot take everything. What they can take may be counted otherwise than their endpoints are.
pub(super) fn panics(
    (able, levels): (&[Counts], &[Counts]),
    overprovisioning: usize,
    threshold: u32,
) -> Vec<bool> {
    let available = able.iter().map(|level| {
        capacity(level.healthy, level.total, overprovisioning)
            + capacity(level.degraded, level.total, overprovisioning)
    });
    if available.sum::<u32>() >= 100 {
        return vec![false; levels.len()];
    }
    let few = |level: &Counts| match level.total {
        0 => threshold > 0,
        total => 100 * (level.healthy + level.degraded) < threshold as usize * total,
    };
    levels.iter().map(few).collect()
}

/// Percentages that sum to 100 where all priorities panic: as many endpoints as each has. Zeros if there are none.
pub(super) fn in_panic(totals: &[usize]) -> Vec<u32> {
    let all: usize = totals.iter().sum();
    let mut shares: Vec<u32> = totals.iter().map(|total| (100 * total / all.max(1)) as u32).collect();
    let left = 100 - shares.iter().sum::<u32>();
    if let Some(first) = totals.iter().position(|total| *total > 0) {
        shares[first] += left;
    }
    shares
}

fn capacity(available: usize, total: usize, overprovisioning: usize) -> u32 {
    match available {
        0 => 0,
        _ => (overprovisioning * available / total.max(1)).clamp(1, 100) as u32,
    }
}

#[cfg(test)]
mod tests;
