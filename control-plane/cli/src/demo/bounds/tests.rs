use super::*;

/// The distribution by its definition, for few trials.
fn probability(trials: u64, count: u64, share: f64) -> f64 {
    let ways = (0..count).fold(1.0, |ways, k| ways * (trials - k) as f64 / (k + 1) as f64);
    ways * share.powi(count as i32) * (1.0 - share).powi((trials - count) as i32)
}

#[test]
fn the_bounds_of_ten_coins_are_those_of_the_table() {
    // P(X ≤ 1) = 0.0107 and P(X ≤ 2) = 0.0547.
    assert_eq!(binomial(10, 0.5, 0.95), 2..=8);
    assert_eq!(binomial(10, 0.5, 0.999), 0..=10);
    assert_eq!(binomial(20, 0.5, 0.95), 6..=14);
}

#[test]
fn no_tail_holds_more_than_its_half_and_none_could_hold_one_more() {
    for trials in [1, 2, 7, 40, 150] {
        for share in [0.01, 0.1, 0.3, 0.5, 0.9, 0.999] {
            for confidence in [0.5, 0.95, 0.999] {
                let within = binomial(trials, share, confidence);
                let sum =
                    |counts: RangeInclusive<u64>| counts.map(|k| probability(trials, k, share)).sum::<f64>();
                let tail = (1.0 - confidence) / 2.0 + 1e-12;
                let case = format!("{trials} × {share} at {confidence}: {within:?}");
                let (low, high) = (*within.start(), *within.end());
                assert!(low == 0 || sum(0..=low - 1) <= tail, "{case}");
                assert!(high == trials || sum(high + 1..=trials) <= tail, "{case}");
                assert!(sum(0..=low) > tail - 2e-12, "{case}");
                assert!(sum(high..=trials) > tail - 2e-12, "{case}");
            }
        }
    }
}

#[test]
fn many_trials_are_near_the_normal_distribution() {
    // 3.2905 standard deviations: 987.2 of 1 000 000 at a tenth, 1645.3 at a half.
    for (share, deviation) in [(0.1, 987.2), (0.9, 987.2), (0.5, 1645.3)] {
        let within = binomial(1_000_000, share, 0.999);
        let mean = 1_000_000.0 * share;
        assert!((mean - *within.start() as f64 - deviation).abs() < 4.0, "{share}: {within:?}");
        assert!((*within.end() as f64 - mean - deviation).abs() < 4.0, "{share}: {within:?}");
    }
    let day = binomial(20_000 * 86_400, 0.1, 0.999);
    assert!(day.contains(&172_800_000) && !day.contains(&172_900_000), "{day:?}");
}

#[test]
fn both_sides_of_a_split_agree() {
    for trials in [1, 10, 999, 12_345] {
        let (ours, theirs) = (binomial(trials, 0.9, 0.999), binomial(trials, 0.1, 0.999));
        assert_eq!(
            (*ours.start(), *ours.end()),
            (trials - theirs.end(), trials - theirs.start()),
            "{trials}"
        );
    }
}

#[test]
fn certainty_leaves_no_room() {
    assert_eq!(binomial(100, 0.0, 0.999), 0..=0);
    assert_eq!(binomial(100, 1.0, 0.999), 100..=100);
    assert_eq!(binomial(0, 0.5, 0.999), 0..=0);
}
