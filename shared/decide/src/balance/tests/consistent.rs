//! Ring hash and Maglev: keys stay, and only those move that have to.

use super::*;

const KEYS: u64 = 20_000;

fn consistent() -> [LoadBalancing; 2] {
    [LoadBalancing::RingHash(by_header()), LoadBalancing::Maglev(by_header())]
}

/// The address that each key goes to.
fn places(policy: &LoadBalancing, set: &Endpoints, loads: &Measured) -> Vec<std::net::SocketAddr> {
    let table = Table::new(policy, set);
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
        let table = Table::new(&policy, &set);
        let pick = |seed| table.pick(&mut Position::default(), &calm, Some(42), NOW, &mut Random::new(seed));
        assert!((0..50).all(|seed| pick(seed) == pick(0)));
    }
}

#[test]
fn shares_are_about_even() {
    for (policy, within) in consistent().into_iter().zip([0.35, 0.06]) {
        let set = healthy(&[1; 20]);
        let keys = 400_000;
        let table = Table::new(&policy, &set);
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
fn without_the_header_the_choice_is_random() {
    let mut headers = HeaderMap::new();
    for policy in consistent() {
        assert_eq!(hash(&policy, &headers), None);
        let table = Table::new(&policy, &healthy(&[1; 10]));
        let picks: std::collections::BTreeSet<_> = (0..100)
            .map(|seed| {
                table.pick(&mut Position::default(), &Measured::default(), None, NOW, &mut Random::new(seed))
            })
            .collect();
        assert!(picks.len() > 8);
    }
    headers.insert("x-user", "ada".parse().unwrap());
    let [ring, maglev] = consistent();
    let ada = hash(&ring, &headers);
    assert!(ada.is_some() && ada == hash(&maglev, &headers));
    headers.insert("x-user", "bob".parse().unwrap());
    assert_ne!(ada, hash(&ring, &headers));
    assert_eq!(hash(&LoadBalancing::RoundRobin, &headers), None);
}

#[test]
fn the_largest_cluster_has_a_table() {
    for policy in consistent() {
        let set = healthy(&vec![1; weir_model::limits::ENDPOINTS]);
        let table = Table::new(&policy, &set);
        assert!(
            table
                .pick(&mut Position::default(), &Measured::default(), Some(7), NOW, &mut Random::new(1))
                .is_some()
        );
    }
}
