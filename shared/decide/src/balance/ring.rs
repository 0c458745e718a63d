//! A hash ring (Karger et al., 1997; Ketama): every endpoint at many points, a key goes to the next point.
//!
//! Points depend on the endpoint's address alone, so when one comes or goes only the keys it gains or loses move. Endpoints that
//! are unavailable keep their points and are passed over: their keys spread over the others, all other keys stay.

use super::member::Level;
use super::weights;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The ring of one priority.
#[derive(Debug)]
pub(super) struct Ring {
    /// Place on the ring and endpoint, in order of place.
    points: Box<[(u32, u32)]>,
}

/// Points of an endpoint of average weight, in a small cluster: shares come within about a tenth.
const POINTS: usize = 160;
/// The same in the largest clusters.
const FEWEST: usize = 8;
/// Points of a whole ring, about; beyond, each endpoint gets half as many with each doubling of their number.
const TOGETHER: usize = 1 << 17;

impl Ring {
    pub(super) fn new(level: Level<'_>) -> Self {
        let len = level.endpoints.len();
        let average = (TOGETHER / len.next_power_of_two()).clamp(FEWEST, POINTS);
        let shares = weights::nominal(&level);
        let mean = shares.iter().map(|share| f64::from(*share)).sum::<f64>() / len.max(1) as f64;
        let mut points = Vec::with_capacity(average * len);
        for (endpoint, share) in level.endpoints.iter().zip(shares) {
            let key = level.members.member(*endpoint as usize).key.to_le_bytes();
            let count = ((average as f64 * f64::from(share) / mean).round() as u64).max(1);
            points.extend(
                (0..count).map(|replica| ((xxh3_64_with_seed(&key, replica) >> 32) as u32, *endpoint)),
            );
        }
        points.sort_unstable();
        Self { points: points.into() }
    }

    /// The endpoint of the first point from the key's place on that fits.
    pub(super) fn find(&self, hash: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let place = (hash >> 32) as u32;
        let (before, from) = self.points.split_at(self.points.partition_point(|(point, _)| *point < place));
        from.iter().chain(before).map(|(_, endpoint)| *endpoint as usize).find(|endpoint| fits(*endpoint))
    }
}
