//! Slow start: endpoints that have only a part of their share yet.
//!
//! Places are drawn as ever, and one in its window is taken in that part of the cases only. Where endpoints are compared, one that has
//! less of its share than the drawn one is no candidate, so that **its share is at most the part of it that it has**, however idle it
//! looks; if it is drawn itself, it may still lose.

use super::Loads;
use super::view::Tier;
use weir_model::Random;

/// How often a place is drawn before the part of every endpoint is looked at.
const DRAWS: usize = 16;

/// A place of the tier that `draw` gives, by the part that its endpoint has.
pub(super) fn place(
    tier: &Tier,
    loads: &impl Loads,
    random: &mut Random,
    mut draw: impl FnMut(&mut Random) -> usize,
) -> usize {
    for _ in 0..DRAWS {
        let place = draw(random);
        let part = loads.part(tier.at(place));
        if part >= 1.0 || random.unit() < part {
            return place;
        }
    }
    // Nearly all are new. The least part is so small only so that somebody is found where all of them have none.
    let weight = |place: usize| f64::from(tier.weights.of(place)) * loads.part(tier.at(place)).max(1e-9);
    let sum: f64 = (0..tier.len()).map(weight).sum();
    let mut left = random.unit() * sum;
    let mut places = 0..tier.len();
    let found = places.find(|place| {
        left -= weight(*place);
        left < 0.0
    });
    found.unwrap_or(tier.len().saturating_sub(1))
}
