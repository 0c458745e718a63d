use super::*;
use proptest::prelude::*;
use weir_model::OVERPROVISIONING;

fn shares(levels: &[Counts]) -> Option<Vec<Share>> {
    super::shares(levels, OVERPROVISIONING as usize)
}

fn healthy(percentages: &[usize]) -> Vec<u32> {
    let counts: Vec<Counts> =
        percentages.iter().map(|percent| Counts { total: 100, healthy: *percent, degraded: 0 }).collect();
    shares(&counts).unwrap().iter().map(|share| share.healthy).collect()
}

/// The tables of Envoy's documentation on priority levels.
#[test]
fn priorities_overflow_as_envoys_do() {
    let two = [(100, 100, 0), (72, 100, 0), (71, 99, 1), (50, 70, 30), (25, 35, 65), (0, 0, 100)];
    for (first, to_first, to_second) in two {
        assert_eq!(healthy(&[first, 100]), [to_first, to_second], "{first}");
    }
    let three = [
        ([100, 100, 100], [100, 0, 0]),
        ([72, 72, 100], [100, 0, 0]),
        ([71, 71, 100], [99, 1, 0]),
        ([50, 50, 100], [70, 30, 0]),
        ([25, 100, 100], [35, 65, 0]),
        ([25, 25, 100], [35, 35, 30]),
    ];
    for (percentages, expected) in three {
        assert_eq!(healthy(&percentages), expected, "{percentages:?}");
    }
    // Not enough altogether: in proportion, and what rounding leaves goes to the first.
    assert_eq!(healthy(&[25, 25, 20]), [37, 35, 28]);
    assert_eq!(healthy(&[0, 20, 20]), [0, 50, 50]);
}

#[test]
fn degraded_endpoints_take_what_healthy_ones_cannot() {
    let level = |healthy, degraded| Counts { total: 10, healthy, degraded };
    let of = |levels: &[Counts]| -> Vec<(u32, u32)> {
        shares(levels).unwrap().iter().map(|share| (share.healthy, share.degraded)).collect()
    };
    assert_eq!(of(&[level(8, 2)]), [(100, 0)]);
    assert_eq!(of(&[level(5, 5)]), [(70, 30)]);
    assert_eq!(of(&[level(0, 1)]), [(0, 100)]);
    assert_eq!(of(&[level(5, 5), level(10, 0)]), [(70, 0), (30, 0)]);
    assert_eq!(of(&[level(5, 5), level(0, 10)]), [(70, 30), (0, 0)]);
}

#[test]
fn one_of_very_many_still_counts() {
    assert_eq!(shares(&[Counts { total: 1000, healthy: 1, degraded: 0 }]).unwrap()[0].healthy, 100);
    assert_eq!(shares(&[Counts { total: 1000, healthy: 0, degraded: 0 }]), None);
    assert_eq!(shares(&[]), None);
}

/// Envoy's `(healthy * factor) / total`, in whole percent: 100 overprovisions nothing, 200 takes everything on half of its endpoints.
#[test]
fn the_factor_moves_the_threshold() {
    let to_first = |factor, healthy| {
        let levels =
            [Counts { total: 100, healthy, degraded: 0 }, Counts { total: 100, healthy: 100, degraded: 0 }];
        super::shares(&levels, factor).unwrap()[0].healthy
    };
    assert_eq!([to_first(100, 100), to_first(100, 99), to_first(100, 50)], [100, 99, 50]);
    assert_eq!([to_first(140, 72), to_first(140, 71)], [100, 99]);
    assert_eq!([to_first(200, 50), to_first(200, 49)], [100, 98]);
}

proptest! {
    #[test]
    fn shares_are_a_whole_and_only_for_the_available(levels in prop::collection::vec((0usize..20, 0usize..20, 0usize..20), 0..6)) {
        let counts: Vec<Counts> = levels
            .iter()
            .map(|(healthy, degraded, rest)| Counts { total: healthy + degraded + rest, healthy: *healthy, degraded: *degraded })
            .collect();
        let available = counts.iter().any(|level| level.healthy + level.degraded > 0);
        let Some(shares) = shares(&counts) else {
            prop_assert!(!available);
            return Ok(());
        };
        prop_assert_eq!(shares.iter().map(|share| share.healthy + share.degraded).sum::<u32>(), 100);
        for (share, level) in shares.iter().zip(&counts) {
            prop_assert!(share.healthy == 0 || level.healthy > 0);
            prop_assert!(share.degraded == 0 || level.degraded > 0);
        }
    }
}
