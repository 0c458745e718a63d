//! A hash ring (Karger et al., 1997; Ketama): every endpoint at many points, a key goes to the next point.
//!
//! A point is the hash of the endpoint's address and the point's number, as Envoy has it. How many there are is what differs: Envoy
//! gives each endpoint its part of the whole ring, so that all of them gain points when one goes, and keys move that did not have to.
//! **Unless a size is asked for, the number of an endpoint's points does not depend on the others**, and only the keys of the endpoint that
//! comes or goes move. Endpoints that are unavailable keep their points and are passed over: their keys spread over the others.

use super::member::Level;
use super::weights;
use weir_model::{RingSize, limits};
use xxhash_rust::xxh64::xxh64;

/// The ring of one priority.
#[derive(Debug)]
pub(super) struct Ring {
    /// Place on the ring and endpoint, in order of place.
    points: Box<[(u64, u32)]>,
}

/// Points of an endpoint of average weight, in all but the largest clusters: shares come within about a twentieth.
const POINTS: usize = 512;
/// The same in the largest clusters.
const FEWEST: usize = 8;
/// Points of a whole ring, about; beyond, each endpoint gets half as many with each doubling of their number.
const TOGETHER: u32 = 1 << 18;

impl Ring {
    /// `names` are the addresses of all endpoints.
    pub(super) fn new(level: Level<'_>, size: &RingSize, names: &[String]) -> Self {
        let shares = weights::nominal(&level);
        let counts = match size.minimum {
            Some(minimum) => by_size(&shares, minimum, size.maximum.unwrap_or(limits::RING_POINTS)),
            None => by_endpoint(&shares, size.maximum),
        };
        let mut points = Vec::with_capacity(counts.iter().sum());
        let mut key = String::new();
        for (endpoint, count) in level.endpoints.iter().zip(counts) {
            for number in 0..count {
                key.clear();
                key.push_str(&names[*endpoint as usize]);
                key.push('_');
                key.push_str(&number.to_string());
                points.push((xxh64(key.as_bytes(), 0), *endpoint));
            }
        }
        points.sort_unstable();
        Self { points: points.into() }
    }

    /// The endpoint of the first point from the key's place on that fits.
    pub(super) fn find(&self, hash: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let (before, from) = self.points.split_at(self.points.partition_point(|(point, _)| *point < hash));
        from.iter().chain(before).map(|(_, endpoint)| *endpoint as usize).find(|endpoint| fits(*endpoint))
    }
}

/// The same number for every endpoint of average weight, whatever the others are.
fn by_endpoint(shares: &[u32], maximum: Option<u32>) -> Vec<usize> {
    let len = shares.len().max(1);
    let (together, fewest) = match maximum {
        Some(maximum) => (maximum.min(TOGETHER), 1),
        None => (TOGETHER, FEWEST),
    };
    let average = (together as usize / len.next_power_of_two()).clamp(fewest, POINTS);
    let mean = shares.iter().map(|share| f64::from(*share)).sum::<f64>() / len as f64;
    let count = |share: &u32| ((average as f64 * f64::from(*share) / mean).round() as usize).max(1);
    shares.iter().map(count).collect()
}

/// Envoy's: the least endpoint has a whole number of points, and all together at least `minimum` unless that is above `maximum`.
fn by_size(shares: &[u32], minimum: u32, maximum: u32) -> Vec<usize> {
    let sum = shares.iter().map(|share| f64::from(*share)).sum::<f64>();
    let least = shares.iter().min().map_or(1.0, |least| f64::from(*least) / sum);
    let maximum = f64::from(maximum.min(limits::RING_POINTS));
    let scale = ((least * f64::from(minimum)).ceil() / least).min(maximum);
    let (mut wanted, mut have) = (0.0, 0.0);
    let count = |share: &u32| {
        wanted += scale * (f64::from(*share) / sum);
        let mut count = 0;
        while have < wanted {
            have += 1.0;
            count += 1;
        }
        count
    };
    shares.iter().map(count).collect()
}

#[cfg(test)]
mod tests;
