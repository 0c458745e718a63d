use super::*;
use proptest::prelude::*;

#[test]
fn without_a_share_there_is_no_split() {
    assert_eq!(Split::new(&[]), None);
    assert_eq!(Split::new(&[0, 0]), None);
}

#[test]
fn a_sole_choice_draws_nothing() {
    let split = Split::new(&[0, 7, 0]).unwrap();
    let mut random = Random::new(1);
    assert!((0..100).all(|_| split.pick(&mut random) == 1));
    assert_eq!(random.next_u64(), Random::new(1).next_u64());
}

#[test]
fn shares_are_binomial() {
    let split = Split::new(&[90, 10]).unwrap();
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let picks = 20_000;
        let second = (0..picks).filter(|_| split.pick(&mut random) == 1).count() as f64;
        let deviation = (f64::from(picks) * 0.1 * 0.9).sqrt();
        assert!((second - f64::from(picks) * 0.1).abs() < 4.5 * deviation, "seed {seed}: {second}");
    }
}

#[test]
fn the_largest_weights_do_not_overflow() {
    let split = Split::new(&[u32::MAX; 8]).unwrap();
    assert_eq!(split.total(), 8 * u64::from(u32::MAX));
    assert_eq!(split.at(split.total() - 1), 7);
    assert_eq!(split.at(u64::MAX), 7);
}

proptest! {
    #[test]
    fn every_choice_covers_exactly_its_weight(weights in prop::collection::vec(0u32..50, 1..12)) {
        let Some(split) = Split::new(&weights) else {
            prop_assert!(weights.iter().all(|weight| *weight == 0));
            return Ok(());
        };
        let mut counts = vec![0; weights.len()];
        (0..split.total()).for_each(|point| counts[split.at(point)] += 1);
        prop_assert_eq!(counts, weights);
    }

    #[test]
    fn a_pick_has_a_share(weights in prop::collection::vec(0u32..3, 1..12), seed: u64) {
        if let Some(split) = Split::new(&weights) {
            let mut random = Random::new(seed);
            for _ in 0..50 {
                prop_assert!(weights[split.pick(&mut random)] > 0);
            }
        }
    }
}
