//! Decides whether a split is what the weights say, or chance cannot explain it. Pure.
//!
//! Each request chooses its backend independently, so the number that one of them gets is binomial. The bounds are exact,
//! not those of the normal approximation, which is poor for small shares: the tails are summed from the distribution itself.

use std::ops::RangeInclusive;

/// Of so many demos in which nothing is wrong, one phase in so many is outside: 1 − this.
pub(crate) const CONFIDENCE: f64 = 0.999;

/// Terms this much smaller than the largest one are left out: all of them together are far below what a tail may hold.
const NEGLIGIBLE: f64 = 1e-20;

/// How many of `trials` may succeed, each with probability `share`, so that neither "so few or fewer" nor "so many or more"
/// is less likely than half of 1 − `confidence`.
pub(crate) fn binomial(trials: u64, share: f64, confidence: f64) -> RangeInclusive<u64> {
    if trials == 0 || share <= 0.0 {
        return 0..=0;
    }
    if share >= 1.0 {
        return trials..=trials;
    }
    let odds = share / (1.0 - share);
    let mode = (((trials + 1) as f64 * share) as u64).min(trials);
    // Each term as a multiple of the mode's: probabilities themselves may be too small to write down.
    let below = terms((0..mode).rev(), |k| (k + 1) as f64 / ((trials - k) as f64 * odds));
    let above = terms(mode + 1..=trials, |k| (trials - k + 1) as f64 * odds / k as f64);
    let total = below.iter().sum::<f64>() + 1.0 + above.iter().sum::<f64>();
    let tail = (1.0 - confidence) / 2.0 * total;
    mode - reach(&below, tail)..=mode + reach(&above, tail)
}

/// The terms on one side of the mode, from near to far; `ratio` is a term's ratio to the one before it.
fn terms(counts: impl Iterator<Item = u64>, ratio: impl Fn(u64) -> f64) -> Vec<f64> {
    let mut term = 1.0;
    let mut terms = Vec::new();
    for count in counts {
        term *= ratio(count);
        if term < NEGLIGIBLE {
            break;
        }
        terms.push(term);
    }
    terms
}

/// How far from the mode one may be before all that is as far or farther sums to `tail` or less.
fn reach(terms: &[f64], tail: f64) -> u64 {
    let mut sum = 0.0;
    // The smallest first, so that nothing is lost in the addition.
    let beyond = terms.iter().rev().take_while(|term| {
        sum += **term;
        sum <= tail
    });
    (terms.len() - beyond.count()) as u64
}

#[cfg(test)]
mod tests;
