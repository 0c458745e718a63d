//! A Maglev table (Eisenbud et al., NSDI 2016): every endpoint fills slots in an order of its own, by turns, so shares are nearly
//! equal and few keys move when one comes or goes. Filled as Envoy fills it, slot for slot.
//!
//! Endpoints that are unavailable keep their slots; their keys try other slots, all other keys stay.

use super::member::Level;
use super::weights;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use weir_model::limits;
use xxhash_rust::xxh64::xxh64;

/// The table of one priority.
#[derive(Debug)]
pub(super) struct Maglev {
    /// The endpoint of each slot; empty if there is none.
    slots: Box<[u32]>,
}

/// A prime, well above a hundred times the endpoints of most clusters; the paper's and Envoy's.
const SLOTS: u32 = 65_537;

const EMPTY: u32 = u32::MAX;

/// An endpoint that fills slots.
struct Filler {
    endpoint: u32,
    weight: u64,
    /// The slot it looks at next, and how far it goes then.
    slot: u64,
    step: u64,
    filled: u64,
}

impl Maglev {
    /// `names` are the addresses of all endpoints.
    pub(super) fn new(level: Level<'_>, size: Option<u32>, names: &[String]) -> Self {
        let size = u64::from(size.unwrap_or(SLOTS).clamp(2, limits::MAGLEV_SLOTS));
        let shares = weights::nominal(&level);
        let Some(most) = shares.iter().max().copied().map(u64::from) else {
            return Self { slots: Box::default() };
        };
        let mut fillers: Vec<Filler> = level
            .endpoints
            .iter()
            .zip(shares)
            .map(|(endpoint, share)| {
                let name = names[*endpoint as usize].as_bytes();
                let (slot, step) = (xxh64(name, 0) % size, xxh64(name, 1) % (size - 1) + 1);
                Filler { endpoint: *endpoint, weight: u64::from(share), slot, step, filled: 0 }
            })
            .collect();
        fillers.sort_by_key(|filler| &names[filler.endpoint as usize]);
        // Those of the greatest weight have a turn in every round, the others in proportion; within a round, in order.
        let mut turns: BinaryHeap<Reverse<(u64, usize)>> =
            (0..fillers.len()).map(|place| Reverse((1, place))).collect();
        let mut slots = vec![EMPTY; size as usize];
        for _ in 0..size {
            let Some(mut turn) = turns.peek_mut() else { break };
            let Reverse((round, place)) = *turn;
            let filler = &mut fillers[place];
            while slots[filler.slot as usize] != EMPTY {
                filler.slot = (filler.slot + filler.step) % size;
            }
            slots[filler.slot as usize] = filler.endpoint;
            filler.filled += 1;
            *turn = Reverse(((round + 1).max((filler.filled * most).div_ceil(filler.weight)), place));
        }
        Self { slots: slots.into() }
    }

    /// The endpoint of the first slot that fits, in an order of the key's own, which has all of them.
    pub(super) fn find(&self, hash: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let size = self.slots.len() as u64;
        if size == 0 {
            return None;
        }
        let step = (hash >> 32) % (size - 1) + 1;
        let slots = std::iter::successors(Some(hash % size), |slot| Some((slot + step) % size));
        let mut tried = slots.take(self.slots.len()).map(|slot| self.slots[slot as usize] as usize);
        tried.find(|endpoint| fits(*endpoint))
    }
}
