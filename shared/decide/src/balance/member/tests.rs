use super::super::tests::{endpoints, locality};
use super::*;

#[test]
fn the_best_is_first_and_draining_ones_never() {
    use Health::*;
    let set = endpoints(vec![
        locality(0, 1, vec![(Draining, 1), (Unhealthy, 1), (Degraded, 1)]),
        locality(1, 1, vec![(Healthy, 1), (Healthy, 1)]),
    ]);
    let members = Members::new(&set, &Spread::default());
    let first = |seed, without: &[usize]| {
        members.first(&mut Random::new(seed), |endpoint| !without.contains(&endpoint), true)
    };
    let mut seen = [0; 5];
    for seed in 0..50 {
        seen[first(seed, &[]).unwrap()] += 1;
        assert_eq!(first(seed, &[3, 4]), Some(2));
        assert_eq!(first(seed, &[2, 3, 4]), Some(1));
        assert_eq!(first(seed, &[1, 2, 3, 4]), None);
    }
    assert!(seen[3] > 0 && seen[4] > 0 && seen[3] + seen[4] == 50, "{seen:?}");
}

#[test]
fn priorities_are_levels_in_order() {
    let one = || vec![(Health::Healthy, 0)];
    let set = endpoints(vec![locality(7, 0, one()), locality(2, 3, one()), locality(7, 1, one())]);
    let members = Members::new(&set, &Spread::default());
    let levels: Vec<Vec<u32>> = members.levels().map(|level| level.endpoints).collect();
    assert_eq!(levels, [vec![1], vec![0, 2]]);
    assert_eq!((members.member(0).weight, members.locality(0).weight, members.locality(1).weight), (1, 1, 3));
}
