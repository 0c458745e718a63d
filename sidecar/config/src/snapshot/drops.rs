//! Shares of a cluster's requests that are refused because the control plane sees it overloaded (EDS `drop_overloads`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::{DropOverload, Fraction, Random};

use super::state::Padded;

/// One category.
#[derive(Debug)]
pub struct Dropping {
    /// What it is counted under.
    pub category: Arc<str>,
    /// Which share of what those before it let pass.
    pub share: Fraction,
    /// Requests dropped since the category was first there. Outlives the snapshot.
    count: Arc<Padded<AtomicU64>>,
}

impl Dropping {
    /// Requests dropped since the category was first there.
    pub fn dropped(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

/// Counts of categories that were there before go on.
pub(super) fn link(drops: &[DropOverload], before: &[Dropping]) -> Box<[Dropping]> {
    let one = |drop: &DropOverload| {
        let known = before.iter().find(|known| *known.category == *drop.category);
        let (category, count) = match known {
            Some(known) => (known.category.clone(), known.count.clone()),
            None => (drop.category.as_str().into(), Arc::default()),
        };
        Dropping { category, share: drop.share, count }
    };
    drops.iter().map(one).collect()
}

/// Whether a request is refused, which is counted.
pub(super) fn drops(drops: &[Dropping], random: &mut Random) -> bool {
    let hit = drops.iter().find(|drop| random.below(1_000_000) < u64::from(drop.share.0));
    if let Some(drop) = hit {
        drop.count.fetch_add(1, Relaxed);
    }
    hit.is_some()
}
