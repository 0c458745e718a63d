//! The panic threshold, as Envoy has it.

use super::*;

fn of(healthy: usize, total: usize) -> LocalityEndpoints {
    let health = |index| if index < healthy { Health::Healthy } else { Health::Unhealthy };
    locality(0, 1, (0..total).map(|index| (health(index), 1)).collect())
}

fn picked(table: &Table, loads: &Measured) -> Vec<usize> {
    counts(table, loads, 4000, 7)
}

fn table(policy: &LoadBalancing, set: &Endpoints, threshold: u32) -> Table {
    table_of(policy, set).with_panic_threshold(threshold)
}

#[test]
fn below_the_threshold_all_are_used() {
    for policy in policies() {
        let all = |healthy, threshold| {
            let counts =
                picked(&table(&policy, &endpoints(vec![of(healthy, 10)]), threshold), &Measured::default());
            counts.iter().filter(|count| **count > 0).count()
        };
        assert_eq!([all(5, 50), all(4, 50)], [5, 10], "{policy:?}");
        assert_eq!([all(1, 10), all(1, 11)], [1, 10], "{policy:?}");
        // Nobody panics while everything can be taken.
        assert_eq!([all(8, 100), all(7, 100)], [8, 10], "{policy:?}");
    }
}

#[test]
fn ejections_count_as_much_as_what_the_control_plane_says() {
    for policy in policies() {
        let table = table(&policy, &healthy(&[1; 4]), 50);
        assert_eq!(picked(&table, &Measured::ejecting(&[0, 1], 4))[..2], [0, 0], "{policy:?}");
        assert!(
            picked(&table, &Measured::ejecting(&[0, 1, 2], 4)).iter().all(|count| *count > 0),
            "{policy:?}"
        );
    }
}

#[test]
fn without_a_threshold_nothing_available_is_nothing() {
    for policy in policies() {
        let set = healthy(&[1; 3]);
        let ejected = Measured::ejecting(&[0, 1, 2], 3);
        assert_eq!(picked(&table(&policy, &set, 0), &ejected), [0; 3], "{policy:?}");
        assert!(picked(&table(&policy, &set, 1), &ejected).iter().all(|count| *count > 0), "{policy:?}");
        assert_eq!(picked(&table(&policy, &endpoints(vec![of(0, 3)]), 0), &Measured::default()), [0; 3]);
    }
}

#[test]
fn one_priority_may_panic_and_another_not() {
    use Health::*;
    // 20 % and 70 % of what they should take: the first has 28 of 98 parts, the second the rest.
    let set = endpoints(vec![
        locality(0, 1, [(Healthy, 1)].into_iter().chain([(Unhealthy, 1); 4]).collect()),
        locality(1, 1, vec![(Healthy, 1), (Unhealthy, 1)]),
    ]);
    let counts = picked(&table(&LoadBalancing::RoundRobin, &set, 50), &Measured::default());
    assert!(counts[..5].iter().all(|count| *count > 150), "{counts:?}");
    let first: usize = counts[..5].iter().sum();
    assert!((1000..1350).contains(&first), "{counts:?}");
    assert_eq!(counts[6], 0);
    assert!(counts[5] > 2500, "{counts:?}");
}

#[test]
fn when_all_panic_their_numbers_decide() {
    use Health::*;
    let bad = |count| std::iter::repeat_n((Unhealthy, 1), count).collect::<Vec<_>>();
    let set =
        endpoints(vec![locality(0, 1, bad(1)), locality(1, 1, vec![(Draining, 1)]), locality(2, 1, bad(3))]);
    let counts = picked(&table(&LoadBalancing::RoundRobin, &set, 50), &Measured::default());
    assert_eq!(counts[1], 0);
    assert!((900..1100).contains(&counts[0]), "{counts:?}");
}

fn few(table: &Table, loads: &Measured) -> Vec<usize> {
    counts(table, loads, 100, 7)
}

#[test]
fn in_panic_too_another_one_is_tried_next() {
    for policy in policies() {
        for threshold in [0, 50] {
            let table = table(&policy, &healthy(&[1; 3]), threshold);
            let mut loads = Measured::ejecting(&[0, 1], 3);
            loads.tried = vec![2];
            let counts = few(&table, &loads);
            // In panic there are others, without there is no other.
            let tried = if threshold == 0 { 100 } else { 0 };
            assert_eq!(counts[2], tried, "{policy:?} {threshold}");
            assert_eq!(counts.iter().sum::<usize>(), 100, "{policy:?} {threshold}");
        }
    }
}

#[test]
fn what_was_tried_is_taken_only_if_there_is_no_other() {
    for policy in policies() {
        let table = table_of(&policy, &healthy(&[1; 3]));
        let tried = |tried: &[usize]| few(&table, &Measured { tried: tried.to_vec(), ..Measured::default() });
        assert_eq!(tried(&[1])[1], 0, "{policy:?}");
        assert_eq!(tried(&[0, 1]), [0, 0, 100], "{policy:?}");
        assert_eq!(tried(&[0, 1, 2]).iter().sum::<usize>(), 100, "{policy:?}");
    }
}
