//! Round robin by weight: everyone's turns, evenly spaced.
//!
//! Each place's turns come at equal distances on a virtual clock, `1 / weight` apart, and the earliest is next (earliest deadline
//! first, as Envoy and Linux schedule). **In every cycle of as many picks as the weights sum to, each place has exactly its weight of
//! turns.** The first turns are staggered, so that many places of small weight do not come in one heap, and every worker starts at
//! a random moment, so that workers do not march in step. Costs O(1) for equal weights, O(log n) otherwise.

use super::weights::Weights;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use weir_model::Random;

/// Whose turn it is. Belongs to one worker and one set of weights.
#[derive(Debug, Default)]
pub(super) enum Turns {
    /// Nobody has had a turn.
    #[default]
    Begin,
    /// Equal weights: the next place.
    Even(usize),
    /// The earliest turn of each place.
    Uneven(BinaryHeap<Turn>),
}

/// The next turn of one place, at `moment / weight / UNIT` on the virtual clock. The greatest is the earliest, as the heap wants it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    moment: u64,
    weight: u32,
    place: u32,
}

/// One turn's distance, so that first turns and beginnings can lie between.
const UNIT: u64 = 1 << 16;

impl Turns {
    /// The place whose turn it is; zero if there is none.
    pub(super) fn next(&mut self, weights: &Weights, random: &mut Random) -> usize {
        if matches!(self, Self::Begin) {
            *self = match weights.uneven() {
                None => Self::Even(random.below(weights.len() as u64) as usize),
                Some(each) => Self::uneven(each, random.below(UNIT), stagger),
            };
        }
        match self {
            Self::Begin => 0,
            Self::Even(next) => {
                let place = *next;
                *next = if place + 1 < weights.len() { place + 1 } else { 0 };
                place
            }
            Self::Uneven(heap) => advance(heap),
        }
    }

    /// Turns from `begin / UNIT` of a cycle on, with the first of each place brought forward by `early / UNIT` of its distance.
    fn uneven(each: &[u32], begin: u64, early: impl Fn(u32) -> u64) -> Self {
        let turns = each.iter().zip(0..).map(|(weight, place)| {
            // The first moment after the beginning among those a whole number of distances from the staggered start.
            let begin = begin * u64::from(*weight);
            let early = early(place);
            let moment = ((begin + early) / UNIT + 1) * UNIT - early;
            Turn { moment, weight: *weight, place }
        });
        Self::Uneven(turns.collect())
    }
}

fn advance(heap: &mut BinaryHeap<Turn>) -> usize {
    let Some(mut turn) = heap.peek_mut() else { return 0 };
    let place = turn.place;
    turn.moment += UNIT;
    place as usize
}

/// Spread by the golden ratio, so that any run of neighbours is spread evenly.
fn stagger(place: u32) -> u64 {
    u64::from(place) * 40_503 % UNIT
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        let this = u128::from(self.moment) * u128::from(other.weight);
        let that = u128::from(other.moment) * u128::from(self.weight);
        that.cmp(&this).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

#[cfg(test)]
mod tests;
