//! Ring hash and Maglev: keys stay, and only those move that have to.

use super::*;

const KEYS: u64 = 20_000;

fn consistent() -> [LoadBalancing; 2] {
    [LoadBalancing::RingHash(RingSize::default()), LoadBalancing::Maglev { table_size: None }]
}

/// The address that each key goes to.
fn places(policy: &LoadBalancing, set: &Endpoints, loads: &Measured) -> Vec<std::net::SocketAddr> {
    let table = table_of(policy, set);
    let addresses: Vec<_> = set.iter().map(|(_, endpoint)| endpoint.address).collect();
    let (mut position, mut random) = (Position::default(), Random::new(3));
    let mut keys = Random::new(8);
    let mut pick = || table.pick(&mut position, loads, Some(keys.next_u64()), NOW, &mut random).unwrap();
    (0..KEYS).map(|_| addresses[pick()]).collect()
}

fn moved(before: &[std::net::SocketAddr], after: &[std::net::SocketAddr]) -> usize {
    before.iter().zip(after).filter(|(one, other)| one != other).count()
}

#[test]
fn a_key_stays_where_it_is() {
    for policy in consistent() {
        let set = healthy(&[1; 20]);
        let calm = Measured::default();
        assert_eq!(places(&policy, &set, &calm), places(&policy, &set, &calm));
        // Also for another worker with other chances, and in whatever order requests come.
        let table = table_of(&policy, &set);
        let pick = |seed| table.pick(&mut Position::default(), &calm, Some(42), NOW, &mut Random::new(seed));
        assert!((0..50).all(|seed| pick(seed) == pick(0)));
    }
}

#[test]
fn shares_are_about_even() {
    for (policy, within) in consistent().into_iter().zip([0.35, 0.06]) {
        let set = healthy(&[1; 20]);
        let keys = 400_000;
        let table = table_of(&policy, &set);
        let (mut position, mut random) = (Position::default(), Random::new(3));
        let mut counts = [0; 20];
        for _ in 0..keys {
            let hash = Some(random.next_u64());
            counts[table.pick(&mut position, &Measured::default(), hash, NOW, &mut random).unwrap()] += 1;
        }
        for count in counts {
            assert!(
                (f64::from(count) * 20.0 / f64::from(keys) - 1.0).abs() < within,
                "{policy:?} {counts:?}"
            );
        }
    }
}

#[test]
fn only_the_keys_of_an_ejected_endpoint_move_and_they_spread() {
    for policy in consistent() {
        let set = healthy(&[1; 20]);
        let before = places(&policy, &set, &Measured::default());
        let after = places(&policy, &set, &Measured::ejecting(&[4], 20));
        let gone = set.iter().nth(4).unwrap().1.address;
        let mut takers = std::collections::BTreeSet::new();
        for (before, after) in before.iter().zip(&after) {
            assert_ne!(*after, gone);
            if *before == gone {
                takers.insert(*after);
            } else {
                assert_eq!(before, after);
            }
        }
        assert!(takers.len() > 10, "{policy:?}: {}", takers.len());
    }
}

#[test]
fn few_keys_move_when_an_endpoint_comes_or_goes() {
    for (policy, disturbance) in consistent().into_iter().zip([0.0, 0.03]) {
        let all = healthy(&[1; 20]);
        let mut fewer = all.clone();
        let gone = fewer.localities[0].endpoints.remove(7).address;
        let with = places(&policy, &all, &Measured::default());
        let without = places(&policy, &fewer, &Measured::default());
        let had_to = with.iter().filter(|address| **address == gone).count();
        let others = moved(&with, &without) - had_to;
        assert!(
            others as f64 <= disturbance * KEYS as f64,
            "{policy:?}: {others} of {KEYS} moved for nothing"
        );
        assert!((had_to as f64) < 1.5 / 20.0 * KEYS as f64);
    }
}

/// Of N endpoints one leaves: at most its share of the keys moves, and two in a hundred besides.
#[test]
fn a_leaving_endpoint_moves_its_share_and_little_else() {
    for policy in consistent() {
        // The shares of a ring are only about even, so that of very few the largest is more than they ought to have.
        let few = if matches!(policy, LoadBalancing::RingHash(_)) { 8 } else { 2 };
        for len in [2usize, 3, 4, 5, 8, 10, 16, 17, 33, 50].into_iter().filter(|len| *len >= few) {
            let all = healthy(&vec![1; len]);
            let with = places(&policy, &all, &Measured::default());
            for gone in [0, len / 2, len - 1] {
                let mut fewer = all.clone();
                fewer.localities[0].endpoints.remove(gone);
                let moved = moved(&with, &places(&policy, &fewer, &Measured::default())) as f64 / KEYS as f64;
                assert!(moved <= 1.0 / len as f64 + 0.02, "{policy:?} of {len} without {gone}: {moved}");
            }
        }
    }
}

/// A table as the paper has it: endpoints of equal weight differ by one slot at most.
#[test]
fn a_maglev_table_is_even_whatever_its_size() {
    for table_size in [2, 251, 65_537] {
        let table = table_of(&LoadBalancing::Maglev { table_size: Some(table_size) }, &healthy(&[1; 7]));
        let Policy::Maglev(levels) = &table.policy else { unreachable!("it is a Maglev table") };
        let count = |endpoint: usize| {
            (0..u64::from(table_size))
                .filter(|slot| levels[0].find(*slot, |_| true) == Some(endpoint))
                .count()
        };
        let counts: Vec<usize> = (0..7).map(count).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - least <= 1 && counts.iter().sum::<usize>() == table_size as usize, "{counts:?}");
    }
}

#[test]
fn health_of_one_moves_no_key_of_another() {
    for policy in consistent() {
        let all = healthy(&[1; 20]);
        let mut sick = all.clone();
        sick.localities[0].endpoints[3].health = Health::Unhealthy;
        let address = sick.localities[0].endpoints[3].address;
        let (before, after) =
            (places(&policy, &all, &Measured::default()), places(&policy, &sick, &Measured::default()));
        assert!(before.iter().zip(&after).all(|(before, after)| before == after || *before == address));
    }
}

#[test]
fn without_a_hash_the_choice_is_random() {
    for policy in consistent() {
        let table = table_of(&policy, &healthy(&[1; 10]));
        let picks: std::collections::BTreeSet<_> = (0..100)
            .map(|seed| {
                table.pick(&mut Position::default(), &Measured::default(), None, NOW, &mut Random::new(seed))
            })
            .collect();
        assert!(picks.len() > 8);
    }
}

#[test]
fn the_largest_cluster_has_a_table() {
    for policy in consistent() {
        let set = healthy(&vec![1; weir_model::limits::ENDPOINTS]);
        let table = table_of(&policy, &set);
        assert!(
            table
                .pick(&mut Position::default(), &Measured::default(), Some(7), NOW, &mut Random::new(1))
                .is_some()
        );
    }
}
