use super::*;
use proptest::prelude::*;

fn normal(shares: &[u64]) -> Vec<f64> {
    let sum: u64 = shares.iter().sum();
    shares.iter().map(|share| *share as f64 / sum as f64).collect()
}

#[test]
fn callers_stay_where_there_is_enough() {
    assert_eq!(shares(&[1, 1], &[5, 5], 0), Some(vec![1, 0]));
    assert_eq!(shares(&[1, 2], &[5, 5], 0), Some(vec![1, 0]));
    assert_eq!(shares(&[3, 3, 3], &[4, 4, 4], 2), Some(vec![0, 0, 1]));
}

#[test]
fn the_rest_goes_where_there_is_more_than_needed() {
    // Half of the callers and a quarter of the endpoints: half stays.
    let found = shares(&[2, 1, 1], &[1, 2, 1], 0).unwrap();
    assert_eq!(normal(&found), [0.5, 0.5, 0.0]);
}

#[test]
fn zones_say_nothing_without_an_endpoint_here_or_a_caller() {
    assert_eq!(shares(&[1, 1], &[0, 5], 0), None);
    assert_eq!(shares(&[0, 0], &[1, 5], 0), None);
    assert_eq!(shares(&[], &[], 0), None);
    assert_eq!(shares(&[1], &[0], 0), None);
}

proptest! {
    /// Whatever zones there are, every endpoint gets about what it would if all callers used all of them.
    #[test]
    fn no_zone_is_overrun(zones in proptest::collection::vec((1..100u64, 1..100u64), 1..6)) {
        let callers: Vec<u64> = zones.iter().map(|zone| zone.0).collect();
        let capacity: Vec<u64> = zones.iter().map(|zone| zone.1).collect();
        let (all, whole) = (callers.iter().sum::<u64>() as f64, capacity.iter().sum::<u64>() as f64);
        let mut load = vec![0.0; zones.len()];
        for (here, count) in callers.iter().enumerate() {
            let found = shares(&callers, &capacity, here).unwrap();
            prop_assert!(found.iter().sum::<u64>() > 0);
            for (zone, share) in normal(&found).into_iter().enumerate() {
                load[zone] += share * *count as f64 / all;
            }
        }
        for (zone, load) in load.into_iter().enumerate() {
            let fair = capacity[zone] as f64 / whole;
            prop_assert!((load - fair).abs() < 0.002 * zones.len() as f64, "zone {zone}: {load} of {fair}");
        }
    }

    /// No caller sends away what its own zone could take.
    #[test]
    fn as_little_as_possible_goes_elsewhere(
        zones in proptest::collection::vec((1..100u64, 1..100u64), 2..6),
        here in any::<proptest::sample::Index>(),
    ) {
        let callers: Vec<u64> = zones.iter().map(|zone| zone.0).collect();
        let capacity: Vec<u64> = zones.iter().map(|zone| zone.1).collect();
        let here = here.index(zones.len());
        let own = capacity[here] as f64 / capacity.iter().sum::<u64>() as f64;
        let asked = callers[here] as f64 / callers.iter().sum::<u64>() as f64;
        let stays = normal(&shares(&callers, &capacity, here).unwrap())[here];
        prop_assert!((stays - (own / asked).min(1.0)).abs() < 0.02 || stays == 1.0, "{stays}");
    }

    /// Nothing is out of range, whatever comes.
    #[test]
    fn any_numbers_do(
        callers in proptest::collection::vec(any::<u64>(), 0..5),
        capacity in proptest::collection::vec(any::<u64>(), 0..5),
        here in 0..6usize,
    ) {
        if let Some(found) = shares(&callers, &capacity, here) {
            prop_assert_eq!(found.len(), capacity.len());
            prop_assert!(found.iter().sum::<u64>() > 0);
            prop_assert!(found.iter().zip(&capacity).all(|(share, capacity)| *share == 0 || *capacity > 0));
        }
    }
}
