//! What each endpoint's share of its tier is, and drawing one by it in constant time.

use super::member::{Level, Members};
use weir_model::Random;

/// Shares of places `0..n`, at least 1 each.
#[derive(Debug)]
pub(super) struct Weights {
    len: usize,
    /// Absent if all are equal.
    uneven: Option<Uneven>,
}

/// Walker's alias method as Vose built it (1991), in whole numbers: each place is a coin of `sum` sides which shows itself or its
/// alias.
#[derive(Debug)]
struct Uneven {
    each: Box<[u32]>,
    sum: u64,
    /// How many of the coin's sides show the place itself, and what the others show.
    coins: Box<[(u64, u32)]>,
}

impl Weights {
    pub(super) fn new(each: Vec<u32>) -> Self {
        let len = each.len();
        let even = each.iter().all(|weight| *weight == each[0]);
        let uneven = (!even).then(|| {
            let sum = each.iter().map(|weight| u64::from(*weight)).sum();
            Uneven { coins: coins(&each, sum), each: each.into(), sum }
        });
        Self { len, uneven }
    }

    /// How many places.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of them, if they are not equal.
    pub(super) fn uneven(&self) -> Option<&[u32]> {
        self.uneven.as_ref().map(|uneven| &*uneven.each)
    }

    /// The weight of a place, compared to the other places.
    pub(super) fn of(&self, place: usize) -> u32 {
        self.uneven.as_ref().map_or(1, |uneven| uneven.each[place])
    }

    /// How many times its weight goes into the mean weight: what a load has to be multiplied by to compare.
    pub(super) fn scale(&self, place: usize) -> f64 {
        match &self.uneven {
            None => 1.0,
            Some(uneven) => uneven.sum as f64 / (self.len as f64 * f64::from(uneven.each[place])),
        }
    }

    /// A place at random, by weight. Zero if there is none.
    pub(super) fn draw(&self, random: &mut Random) -> usize {
        let place = random.below(self.len as u64) as usize;
        let Some(uneven) = &self.uneven else { return place };
        let (own, alias) = uneven.coins[place];
        if random.below(uneven.sum) < own { place } else { alias as usize }
    }
}

fn coins(each: &[u32], sum: u64) -> Box<[(u64, u32)]> {
    // In units of 1/n, the sum is what a place of average weight has.
    let mut rest: Vec<u64> = each.iter().map(|weight| u64::from(*weight) * each.len() as u64).collect();
    let (mut poor, mut rich): (Vec<usize>, Vec<usize>) =
        (0..each.len()).partition(|place| rest[*place] < sum);
    let mut coins: Vec<(u64, u32)> = (0..each.len()).map(|place| (sum, place as u32)).collect();
    while let (Some(taker), Some(giver)) = (poor.pop(), rich.last().copied()) {
        coins[taker] = (rest[taker], giver as u32);
        rest[giver] -= sum - rest[taker];
        if rest[giver] < sum {
            rich.pop();
            poor.push(giver);
        }
    }
    coins.into()
}

/// The shares of a tier's endpoints: those of their localities, divided by weight within each. A locality has its weight, less
/// where too few of it are in the tier, as priorities do.
///
/// Where localities do not count, or all of them come out alike as with only one, these are the endpoints' own weights.
pub(super) fn shares(members: &Members, endpoints: &[u32]) -> Vec<u32> {
    if !members.by_locality {
        return endpoints.iter().map(|endpoint| members.member(*endpoint as usize).weight).collect();
    }
    let mut present = vec![(0usize, 0u64); members.locality_count()];
    for member in endpoints.iter().map(|endpoint| members.member(*endpoint as usize)) {
        let (count, sum) = &mut present[member.locality];
        *count += 1;
        *sum += u64::from(member.weight);
    }
    // What one unit of weight is worth in each locality, as a fraction.
    let worth: Vec<(u128, u128)> = present
        .iter()
        .enumerate()
        .map(|(index, (count, sum))| {
            let locality = members.locality(index);
            let fit = (members.overprovisioning * count).min(100 * locality.total);
            (u128::from(locality.weight) * fit as u128, locality.total as u128 * u128::from(*sum))
        })
        .collect();
    scaled(members, endpoints, |locality| worth[locality])
}

/// The shares of a level's endpoints while all of them are healthy.
pub(super) fn nominal(level: &Level<'_>) -> Vec<u32> {
    shares(level.members, &level.endpoints)
}

fn scaled(members: &Members, endpoints: &[u32], worth: impl Fn(usize) -> (u128, u128)) -> Vec<u32> {
    let members = || endpoints.iter().map(|endpoint| members.member(*endpoint as usize));
    let mut worths = members().map(|member| worth(member.locality));
    let Some(first) = worths.next() else { return Vec::new() };
    if worths.all(|other| other.0 * first.1 == first.0 * other.1) {
        return members().map(|member| member.weight).collect();
    }
    let exact = members().map(|member| {
        let (value, unit) = worth(member.locality);
        f64::from(member.weight) * value as f64 / unit as f64
    });
    let exact: Vec<f64> = exact.collect();
    let most = exact.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    exact.into_iter().map(|share| ((share / most * f64::from(u32::MAX)).round() as u32).max(1)).collect()
}

#[cfg(test)]
mod tests;
