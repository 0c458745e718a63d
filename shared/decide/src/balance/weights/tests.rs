use super::*;
use proptest::prelude::*;
use weir_model::{Endpoint, Endpoints, Health, Locality, LocalityEndpoints, Spread};

/// Localities of one priority: their weights, and those of their endpoints.
fn members(localities: &[(u32, &[u32])]) -> Members {
    let mut port = 0;
    let localities = localities.iter().map(|(weight, endpoints)| LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: *weight,
        endpoints: endpoints
            .iter()
            .map(|weight| {
                port += 1;
                let address = ([127, 0, 0, 1], port).into();
                Endpoint {
                    details: None,
                    address,
                    workload: String::new(),
                    health: Health::Healthy,
                    weight: *weight,
                }
            })
            .collect(),
    });
    let (localities, overprovisioning) = (localities.collect(), weir_model::OVERPROVISIONING);
    let endpoints = Endpoints {
        name: String::new(),
        localities,
        overprovisioning,
        weighted_priority_health: false,
        drops: Vec::new(),
    };
    Members::new(&endpoints, &Spread::default())
}

fn portions(members: &Members, endpoints: &[u32]) -> Vec<f64> {
    let shares = shares(members, endpoints);
    let sum: f64 = shares.iter().map(|share| f64::from(*share)).sum();
    shares.iter().map(|share| f64::from(*share) / sum).collect()
}

fn close(actual: &[f64], expected: &[f64]) -> bool {
    actual.len() == expected.len()
        && actual.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-6)
}

#[test]
fn one_locality_keeps_its_own_weights() {
    assert_eq!(shares(&members(&[(7, &[1, 2, 3])]), &[0, 1, 2]), [1, 2, 3]);
    assert_eq!(shares(&members(&[(7, &[1, 2, 3])]), &[2, 0]), [3, 1]);
    // So do several that weigh what they hold.
    assert_eq!(shares(&members(&[(3, &[1, 2]), (9, &[4, 5])]), &[0, 1, 2, 3]), [1, 2, 4, 5]);
    assert!(shares(&members(&[]), &[]).is_empty());
}

#[test]
fn a_locality_has_its_weight_however_many_it_holds() {
    let members = members(&[(90, &[1]), (10, &[1, 3])]);
    assert!(close(&portions(&members, &[0, 1, 2]), &[0.9, 0.025, 0.075]));
}

#[test]
fn a_locality_with_too_few_left_gives_some_of_its_share_away() {
    let members = members(&[(1, &[1; 10]), (1, &[1; 10])]);
    // 8 of 10 are enough; 5 of 10 take 70 % of the locality's weight.
    let eight: Vec<u32> = (2..20).collect();
    assert!(close(&portions(&members, &eight)[..1], &[1.0 / 16.0]));
    let five: Vec<u32> = (5..20).collect();
    assert!(close(&portions(&members, &five)[..1], &[0.7 / 1.7 / 5.0]));
}

proptest! {
    #[test]
    fn drawing_is_exactly_by_weight(each in prop::collection::vec(1u32..20, 1..10)) {
        let weights = Weights::new(each.clone());
        let Some(uneven) = &weights.uneven else { return Ok(()) };
        // Count the sides of all coins: each place shows on its weight times as many as there are places.
        let mut sides = vec![0u64; each.len()];
        for (place, (own, alias)) in uneven.coins.iter().enumerate() {
            sides[place] += own;
            sides[*alias as usize] += uneven.sum - own;
        }
        let expected: Vec<u64> = each.iter().map(|weight| u64::from(*weight) * each.len() as u64).collect();
        prop_assert_eq!(sides, expected);
    }

    #[test]
    fn draws_are_places(each in prop::collection::vec(1u32.., 1..40), seed: u64) {
        let weights = Weights::new(each.clone());
        let mut random = Random::new(seed);
        for _ in 0..100 {
            prop_assert!(weights.draw(&mut random) < each.len());
        }
    }
}
