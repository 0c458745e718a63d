use super::super::tests::{Measured, NOW, endpoints, locality};
use super::super::{Position, Table};
use super::*;
use weir_model::{LoadBalancing, Random, Spread};

fn place(zone: usize) -> Locality {
    Locality { region: "r".to_owned(), zone: format!("z{zone}"), sub_zone: String::new() }
}

/// So many endpoints in each zone.
fn zones(counts: &[usize]) -> Endpoints {
    let of = |(zone, count): (usize, &usize)| {
        let mut locality = locality(0, 1, vec![(Health::Healthy, 1); *count]);
        locality.locality = place(zone);
        locality
    };
    endpoints(counts.iter().enumerate().map(of).collect())
}

fn spread(config: ZoneAware) -> Spread {
    Spread { by_locality: false, zone_aware: Some(config), ..Spread::default() }
}

/// The shares of the zones of a cluster in the requests of a caller in the first of them.
fn shares(config: ZoneAware, callers: &[usize], counts: &[usize], loads: &Measured) -> Vec<f64> {
    let all = zones(counts);
    let callers = Callers::new(place(0), &zones(callers));
    let table = Table::new(&LoadBalancing::Random, &spread(config), &all).with_callers(&callers);
    let zone_of: Vec<usize> =
        counts.iter().enumerate().flat_map(|(zone, count)| std::iter::repeat_n(zone, *count)).collect();
    let (mut position, mut random) = (Position::default(), Random::new(3));
    let mut found = vec![0.0; counts.len()];
    for _ in 0..10_000 {
        if let Some(endpoint) = table.pick(&mut position, loads, None, NOW, &mut random) {
            found[zone_of[endpoint]] += 1e-4;
        }
    }
    found
}

fn near(found: &[f64], expected: &[f64]) {
    let close = found.iter().zip(expected).all(|(one, other)| (one - other).abs() < 0.02);
    assert!(close && found.len() == expected.len(), "{found:?} where {expected:?} is expected");
}

#[test]
fn requests_stay_as_far_as_the_zone_goes() {
    let usual = ZoneAware::default;
    let calm = Measured::default();
    near(&shares(usual(), &[2, 2], &[4, 4], &calm), &[1.0, 0.0]);
    near(&shares(usual(), &[2, 2], &[2, 6], &calm), &[0.5, 0.5]);
    near(&shares(usual(), &[2, 1, 1], &[2, 4, 2], &calm), &[0.5, 0.5, 0.0]);
    // In half of the cases.
    let half = ZoneAware { enabled: 500_000, ..usual() };
    near(&shares(half, &[2, 2], &[4, 4], &calm), &[0.75, 0.25]);
}

#[test]
fn zones_do_not_count_where_envoy_says_so() {
    let usual = ZoneAware::default;
    let calm = Measured::default();
    let third = [1.0 / 3.0, 2.0 / 3.0];
    // Too few endpoints, none here, no callers.
    near(&shares(usual(), &[1, 1], &[1, 2], &calm), &third);
    near(&shares(ZoneAware { min_cluster_size: 3, ..usual() }, &[1, 1], &[1, 2], &calm), &[0.667, 0.333]);
    near(&shares(usual(), &[1, 1], &[0, 6], &calm), &[0.0, 1.0]);
    near(&shares(usual(), &[], &[2, 4], &calm), &third);
    near(&shares(ZoneAware { enabled: 0, ..usual() }, &[1, 1], &[2, 4], &calm), &third);
}

#[test]
fn what_is_ejected_takes_nothing_and_counts_for_nothing() {
    // Of four here, three are ejected: a fifth of what is left, for half of the callers.
    let loads = Measured::ejecting(&[0, 1, 2], 8);
    let config = ZoneAware { min_cluster_size: 1, ..ZoneAware::default() };
    near(&shares(config.clone(), &[2, 2], &[4, 4], &loads), &[0.4, 0.6]);
    near(&shares(config, &[2, 2], &[4, 4], &Measured::ejecting(&[0, 1, 2, 3], 8)), &[0.0, 1.0]);
}

#[test]
fn panic_may_fail() {
    let config = ZoneAware { fail_traffic_on_panic: true, ..ZoneAware::default() };
    let table = |config: ZoneAware| {
        Table::new(&LoadBalancing::RoundRobin, &spread(config), &zones(&[3, 3])).with_panic_threshold(50)
    };
    let (mut position, mut random) = (Position::default(), Random::new(3));
    let few = Measured::ejecting(&[0, 1, 2, 3], 6);
    let mut picks = |table: &Table, loads: &Measured| {
        (0..100).filter_map(|_| table.pick(&mut position, loads, None, NOW, &mut random)).count()
    };
    assert_eq!(picks(&table(config.clone()), &few), 0);
    assert_eq!(picks(&table(ZoneAware::default()), &few), 100);
    assert_eq!(picks(&table(config.clone()), &Measured::ejecting(&[0], 6)), 100);
    assert_eq!(picks(&table(config), &Measured::ejecting(&[0, 1, 2, 3, 4, 5], 6)), 0);
}
