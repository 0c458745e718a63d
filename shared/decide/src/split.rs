//! Which of several weighted choices: the canary's decision.
//!
//! Each request draws for itself, so a split needs no state and is the same on every worker; the shares of n requests are
//! binomial. It does not remember callers.

use weir_model::Random;

/// Choices with their shares. Built once per route, then only read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Split {
    /// Up to and including each choice, the sum of weights. Strictly increasing where a choice has a share.
    ends: Box<[u64]>,
    /// The only choice with a share, if there is just one.
    sole: Option<usize>,
}

impl Split {
    /// Choice `i` gets `weights[i]` of the sum; 0 gets nothing. `None` if no choice has a share.
    pub fn new(weights: &[u32]) -> Option<Self> {
        let mut sum = 0;
        let ends = weights.iter().map(|weight| {
            sum += u64::from(*weight);
            sum
        });
        let ends: Box<[u64]> = ends.collect();
        let mut shared =
            weights.iter().enumerate().filter(|(_, weight)| **weight > 0).map(|(index, _)| index);
        let first = shared.next()?;
        Some(Self { ends, sole: shared.next().is_none().then_some(first) })
    }

    /// One choice, which gets everything.
    pub fn sole() -> Self {
        Self { ends: Box::new([1]), sole: Some(0) }
    }

    /// A choice at random, by weight. Draws nothing when only one has a share.
    pub fn pick(&self, random: &mut Random) -> usize {
        match self.sole {
            Some(sole) => sole,
            None => self.at(random.below(self.total())),
        }
    }

    /// The choice at a point of `0..total()`: each choice covers exactly its weight of them. Points beyond give the last choice
    /// with a share.
    pub fn at(&self, point: u64) -> usize {
        let point = point.min(self.total() - 1);
        self.ends.partition_point(|end| *end <= point)
    }

    /// The sum of the weights, at least 1.
    pub fn total(&self) -> u64 {
        self.ends.last().copied().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests;
