use super::*;
use proptest::prelude::*;

fn weights(each: &[u32]) -> Weights {
    Weights::new(each.to_vec())
}

fn take(each: &[u32], picks: usize, seed: u64) -> Vec<usize> {
    let (weights, mut turns, mut random) = (weights(each), Turns::default(), Random::new(seed));
    (0..picks).map(|_| turns.next(&weights, &mut random)).collect()
}

#[test]
fn equal_weights_go_round() {
    for seed in 0..10 {
        let picks = take(&[3, 3, 3], 9, seed);
        assert!(picks.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 3), "{picks:?}");
    }
}

#[test]
fn heavy_places_do_not_come_in_heaps() {
    for seed in 0..50 {
        let picks = take(&[5, 1, 1], 70, seed);
        let longest =
            picks.chunk_by(|one, other| one == other).filter(|run| run[0] == 0).map(<[_]>::len).max();
        assert!(longest <= Some(5), "{picks:?}");
        // Many light ones are spread between the turns of a heavy one.
        let mut each = vec![1; 100];
        each[50] = 100;
        let picks = take(&each, 2000, seed);
        let longest = picks.chunk_by(|one, other| (*one == 50) == (*other == 50)).map(<[_]>::len).max();
        assert!(longest <= Some(4), "{longest:?}");
    }
}

#[test]
fn workers_begin_at_different_moments() {
    let firsts: std::collections::BTreeSet<usize> = (0..50).map(|seed| take(&[1; 10], 1, seed)[0]).collect();
    assert!(firsts.len() > 5);
    let firsts: std::collections::BTreeSet<usize> =
        (0..50).map(|seed| take(&[1, 2, 3, 4, 5], 1, seed)[0]).collect();
    assert!(firsts.len() > 2);
}

proptest! {
    #[test]
    fn every_cycle_is_exact_wherever_it_begins(each in prop::collection::vec(1u32..60, 1..12), skip in 0usize..200, seed: u64) {
        let cycle: usize = each.iter().map(|weight| *weight as usize).sum();
        let picks = take(&each, skip + 3 * cycle, seed);
        for window in picks[skip..].chunks_exact(cycle) {
            let mut counts = vec![0; each.len()];
            window.iter().for_each(|place| counts[*place] += 1);
            prop_assert_eq!(&counts, &each);
        }
    }

    #[test]
    fn nobody_runs_ahead_of_its_share(each in prop::collection::vec(1u32..60, 1..12), seed: u64) {
        let sum: f64 = each.iter().map(|weight| f64::from(*weight)).sum();
        let mut counts = vec![0u32; each.len()];
        for (done, place) in take(&each, 500, seed).into_iter().enumerate() {
            counts[place] += 1;
            for (count, weight) in counts.iter().zip(&each) {
                let share = f64::from(*weight) / sum;
                let due = (done + 1) as f64 * share;
                prop_assert!((f64::from(*count) - due).abs() <= 1.0 + each.len() as f64 * share);
            }
        }
    }

    #[test]
    fn the_largest_weights_do_not_overflow(seed: u64) {
        let each = [u32::MAX, u32::MAX - 1, 1];
        let picks = take(&each, 1000, seed);
        let second = picks.iter().filter(|place| **place == 1).count();
        prop_assert!((499..=501).contains(&second));
    }
}
