//! The best of a few random ones (Mitzenmacher, 2001): nearly as good as the best of all, and workers do not all run to the same.
//!
//! Candidates are drawn by weight, and their loads compared per weight; a tie goes to the first drawn. So an idle cluster gets
//! traffic exactly by weight, and a loaded one is levelled by weight.

use super::view::Tier;
use weir_model::Random;

/// How often a candidate is drawn again because it is the one it would be compared to.
const REDRAWS: usize = 3;

/// The endpoint with the least load of `choices`.
pub(super) fn least(tier: &Tier, choices: usize, random: &mut Random, load: impl Fn(usize) -> f64) -> usize {
    best(tier, choices, random, |place| load(tier.at(place)) * tier.weights.scale(place))
}

/// The endpoint of two that would answer first: its latency times what is in flight to it, this request included. `measure` gives
/// latency and load.
pub(super) fn fastest(tier: &Tier, random: &mut Random, measure: impl Fn(usize) -> (f64, f64)) -> usize {
    best(tier, 2, random, |place| {
        let (latency, active) = measure(tier.at(place));
        latency.max(SHORTEST) * (1.0 + active * tier.weights.scale(place))
    })
}

/// Latencies below a microsecond count as one, so that the load still counts where the latency has faded away.
const SHORTEST: f64 = 1e-6;

/// The place with the lowest cost of `choices` drawn. Where there are not more than that, all are compared.
fn best(tier: &Tier, choices: usize, random: &mut Random, cost: impl Fn(usize) -> f64) -> usize {
    let len = tier.len();
    let first = tier.weights.draw(random);
    if len == 1 {
        return tier.at(first);
    }
    let mut chosen = (first, cost(first));
    let mut consider = |place: usize| {
        let cost = cost(place);
        if cost < chosen.1 {
            chosen = (place, cost);
        }
        chosen.0
    };
    if len <= choices {
        ((first + 1)..len).chain(0..first).for_each(|place| {
            consider(place);
        });
    } else {
        let mut best = first;
        for _ in 1..choices {
            let mut draws = std::iter::repeat_with(|| tier.weights.draw(random)).take(REDRAWS);
            if let Some(place) = draws.find(|place| *place != best) {
                best = consider(place);
            }
        }
    }
    tier.at(chosen.0)
}
