//! A Maglev table (Eisenbud et al., NSDI 2016): every endpoint fills slots in an order of its own, by turns, so shares are nearly
//! equal and few keys move when one comes or goes.
//!
//! Endpoints that are unavailable keep their slots; their keys try other slots, all other keys stay.

use super::member::Level;
use super::{turns, weights};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The table of one priority.
#[derive(Debug)]
pub(super) struct Maglev {
    /// The endpoint of each slot; empty if there is none.
    slots: Box<[u32]>,
}

/// A prime, well above a hundred times the endpoints of most clusters; the paper's and Envoy's.
const SLOTS: u64 = 65_537;

const EMPTY: u32 = u32::MAX;

impl Maglev {
    pub(super) fn new(level: Level<'_>) -> Self {
        if level.endpoints.is_empty() {
            return Self { slots: Box::default() };
        }
        // Where each endpoint looks next, and how far it goes then.
        let mut walks: Vec<(u64, u64)> = level
            .endpoints
            .iter()
            .map(|endpoint| {
                let key = level.members.member(*endpoint as usize).key.to_le_bytes();
                (xxh3_64_with_seed(&key, 1) % SLOTS, xxh3_64_with_seed(&key, 2) % (SLOTS - 1) + 1)
            })
            .collect();
        let mut slots = vec![EMPTY; SLOTS as usize];
        for place in turns::sequence(&weights::nominal(&level)).take(slots.len()) {
            let (slot, step) = &mut walks[place];
            while slots[*slot as usize] != EMPTY {
                *slot = (*slot + *step) % SLOTS;
            }
            slots[*slot as usize] = level.endpoints[place];
        }
        Self { slots: slots.into() }
    }

    /// The endpoint of the first slot that fits, in an order of the key's own, which has all of them.
    pub(super) fn find(&self, hash: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let step = (hash >> 32) % (SLOTS - 1) + 1;
        let slots = std::iter::successors(Some(hash % SLOTS), |slot| Some((slot + step) % SLOTS));
        let mut tried = slots.take(self.slots.len()).map(|slot| self.slots[slot as usize] as usize);
        tried.find(|endpoint| fits(*endpoint))
    }
}
