//! The best of a few random ones (Mitzenmacher, 2001): nearly as good as the best of all, and workers do not all run to the same.
//!
//! Candidates are drawn by weight, and their loads compared per weight; a tie goes to the first drawn. So an idle cluster gets
//! traffic exactly by weight, and a loaded one is levelled by weight.

use super::view::Tier;
use weir_model::Random;

/// How often a candidate is drawn again because it is the one it would be compared to.
const REDRAWS: usize = 3;

/// The endpoint with the least load of `choices`, of which `first` is drawn.
pub(super) fn least(
    tier: &Tier,
    choices: usize,
    first: usize,
    random: &mut Random,
    fits: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> f64,
) -> usize {
    best(tier, choices, first, random, fits, |place| load(tier.at(place)) * tier.weights.scale(place))
}

/// The endpoint of two that would answer first, of which `first` is drawn: its latency times what is in flight to it, this request
/// included. `measure` gives latency and load.
pub(super) fn fastest(
    tier: &Tier,
    first: usize,
    random: &mut Random,
    fits: impl Fn(usize) -> bool,
    measure: impl Fn(usize) -> (f64, f64),
) -> usize {
    best(tier, 2, first, random, fits, |place| {
        let (latency, active) = measure(tier.at(place));
        latency.max(SHORTEST) * (1.0 + active * tier.weights.scale(place))
    })
}

/// Latencies below a microsecond count as one, so that the load still counts where the latency has faded away.
const SHORTEST: f64 = 1e-6;

/// The endpoint with the lowest cost of the first place and others that fit. Where there are not more than `choices`, all are
/// compared.
fn best(
    tier: &Tier,
    choices: usize,
    first: usize,
    random: &mut Random,
    fits: impl Fn(usize) -> bool,
    cost: impl Fn(usize) -> f64,
) -> usize {
    let len = tier.len();
    if len == 1 {
        return tier.at(first);
    }
    let mut chosen = (first, cost(first));
    let mut consider = |place: usize| {
        let cost = cost(place);
        if cost < chosen.1 && fits(tier.at(place)) {
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
