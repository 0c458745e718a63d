use super::*;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use weir_model::{Endpoint, Health, Locality, LocalityEndpoints, RingSize};

mod consistent;
mod load;
mod panic;
mod slow_start;

/// What a test measures of its endpoints.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) active: RefCell<Vec<u32>>,
    pub(super) latency: Vec<Option<Duration>>,
    pub(super) ejected: RefCell<Vec<bool>>,
    pub(super) tried: Vec<usize>,
    /// Which parts of their shares endpoints have; all of it beyond the end.
    pub(super) parts: Vec<f64>,
    pub(super) looks: Cell<usize>,
}

impl Measured {
    pub(super) fn ejecting(endpoints: &[usize], of: usize) -> Self {
        let measured = Measured::default();
        measured.eject(endpoints, of);
        measured
    }

    pub(super) fn eject(&self, endpoints: &[usize], of: usize) {
        *self.ejected.borrow_mut() = (0..of).map(|endpoint| endpoints.contains(&endpoint)).collect();
    }
}

impl Loads for Measured {
    fn active(&self, endpoint: usize) -> u32 {
        self.active.borrow().get(endpoint).copied().unwrap_or(0)
    }

    fn latency(&self, endpoint: usize, _now: Time) -> Option<Duration> {
        self.latency.get(endpoint).copied().flatten()
    }

    fn ejected(&self, endpoint: usize) -> bool {
        self.looks.set(self.looks.get() + 1);
        self.ejected.borrow().get(endpoint).copied().unwrap_or(false)
    }

    fn tried(&self, endpoint: usize) -> bool {
        self.tried.contains(&endpoint)
    }

    fn starting(&self) -> bool {
        !self.parts.is_empty()
    }

    fn part(&self, endpoint: usize) -> f64 {
        self.parts.get(endpoint).copied().unwrap_or(1.0)
    }
}

pub(super) fn locality(priority: u32, weight: u32, endpoints: Vec<(Health, u32)>) -> LocalityEndpoints {
    let endpoints = endpoints.into_iter().map(|(health, weight)| Endpoint {
        details: None,
        address: ([127, 0, 0, 1], 1).into(),
        workload: String::new(),
        health,
        weight,
    });
    LocalityEndpoints { locality: Locality::default(), priority, weight, endpoints: endpoints.collect() }
}

/// Endpoints, each with an address of its own.
pub(super) fn endpoints(mut localities: Vec<LocalityEndpoints>) -> Endpoints {
    let all = localities.iter_mut().flat_map(|locality| &mut locality.endpoints);
    for (endpoint, index) in all.zip(0u32..) {
        let [_, b, c, d] = index.to_be_bytes();
        endpoint.address = ([10, b, c, d], 80).into();
    }
    Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: String::new(),
        localities,
        overprovisioning: weir_model::OVERPROVISIONING,
    }
}

pub(super) fn healthy(weights: &[u32]) -> Endpoints {
    endpoints(vec![locality(0, 1, weights.iter().map(|weight| (Health::Healthy, *weight)).collect())])
}

/// The table of a policy, with localities by weight.
pub(super) fn table_of(policy: &LoadBalancing, endpoints: &Endpoints) -> Table {
    Table::new(policy, &Spread::default(), endpoints)
}

pub(super) fn policies() -> Vec<LoadBalancing> {
    vec![
        LoadBalancing::RoundRobin,
        LoadBalancing::Random,
        LoadBalancing::LeastRequest { choices: 2 },
        LoadBalancing::LeastRequest { choices: 5 },
        LoadBalancing::PeakEwma { decay: Duration::from_secs(10), default_rtt: Duration::from_millis(10) },
        LoadBalancing::RingHash(RingSize::default()),
        LoadBalancing::Maglev { table_size: None },
    ]
}

pub(super) const NOW: Time = Time(1_000_000_000_000);

/// How often each endpoint is picked. Every second pick has a hash.
pub(super) fn counts(table: &Table, loads: &impl Loads, picks: usize, seed: u64) -> Vec<usize> {
    let (mut position, mut random) = (Position::default(), Random::new(seed));
    let mut counts = vec![0; table.len()];
    for pick in 0..picks {
        let hash = (pick % 2 == 0).then(|| random.next_u64());
        if let Some(endpoint) = table.pick(&mut position, loads, hash, NOW, &mut random) {
            counts[endpoint] += 1;
        }
    }
    counts
}

#[test]
fn nothing_comes_of_nothing() {
    for policy in policies() {
        let table = table_of(&policy, &healthy(&[]));
        assert!(table.is_empty());
        assert_eq!(
            table.pick(&mut Position::default(), &Measured::default(), Some(1), NOW, &mut Random::new(1)),
            None
        );
        let draining = endpoints(vec![locality(0, 1, vec![(Health::Draining, 1); 3])]);
        assert_eq!(counts(&table_of(&policy, &draining), &Measured::default(), 10, 1), [0, 0, 0]);
    }
}

#[test]
fn weights_are_shares_under_every_policy() {
    let weights = [1, 2, 3, 4];
    for policy in policies() {
        let table = table_of(&policy, &healthy(&weights));
        let picks = 20_000;
        let counts = counts(&table, &Measured::default(), picks, 5);
        for (count, weight) in counts.iter().zip(weights) {
            let share = *count as f64 / picks as f64;
            let expected = f64::from(weight) / 10.0;
            // A ring's shares are only about even; everything else is within chance.
            let within = if matches!(policy, LoadBalancing::RingHash(_)) { 0.25 * expected } else { 0.015 };
            assert!((share - expected).abs() < within, "{policy:?} {counts:?}");
        }
    }
}

#[test]
fn priorities_and_localities_have_their_shares() {
    use Health::*;
    // The first priority is at 70 % of what it should take; its localities share 3 to 1.
    let set = endpoints(vec![
        locality(3, 3, vec![(Healthy, 1), (Healthy, 1), (Unhealthy, 1), (Unhealthy, 1)]),
        locality(3, 1, vec![(Healthy, 1), (Draining, 1)]),
        locality(7, 1, vec![(Healthy, 1), (Healthy, 3)]),
    ]);
    for policy in policies() {
        let picks = 40_000;
        let counts = counts(&table_of(&policy, &set), &Measured::default(), picks, 9);
        let shares: Vec<f64> = counts.iter().map(|count| *count as f64 / picks as f64).collect();
        let expected = [0.2625, 0.2625, 0.0, 0.0, 0.175, 0.0, 0.075, 0.225];
        let within = if matches!(policy, LoadBalancing::RingHash(_)) { 0.1 } else { 0.015 };
        let off =
            shares.iter().zip(expected).map(|(share, expected)| (share - expected).abs()).fold(0.0, f64::max);
        assert!(off < within, "{policy:?} {shares:?}");
        assert!(counts[2] + counts[3] + counts[5] == 0, "{policy:?} {counts:?}");
    }
}

/// Within one in a hundred of the expected share, as an operator counts it.
#[test]
fn shares_are_within_one_percent() {
    for (policy, picks) in
        [(LoadBalancing::RoundRobin, 10_000), (LoadBalancing::LeastRequest { choices: 2 }, 400_000)]
    {
        let table = table_of(&policy, &healthy(&[1; 10]));
        for seed in 1..4 {
            for count in counts(&table, &Measured::default(), picks, seed) {
                let share = count as f64 / picks as f64;
                assert!((share - 0.1).abs() <= 0.01, "{policy:?} {share}");
            }
        }
    }
}

/// Without localities by weight, every endpoint of a priority has its own weight, wherever it is.
#[test]
fn localities_may_not_count() {
    use Health::Healthy;
    let set = endpoints(vec![
        locality(0, 90, vec![(Healthy, 1)]),
        locality(0, 10, vec![(Healthy, 1), (Healthy, 2)]),
    ]);
    let spread = Spread { by_locality: false, ..Spread::default() };
    let table = Table::new(&LoadBalancing::RoundRobin, &spread, &set);
    assert_eq!(counts(&table, &Measured::default(), 400, 1), [100, 100, 200]);
}

/// The share of the second priority as the first loses endpoints, to the percent, under Envoy's default and another factor.
#[test]
fn failover_begins_at_envoys_thresholds() {
    for (factor, expected) in [
        (140, [0, 0, 0, 2, 16, 30, 44, 58, 72, 86, 100]),
        (100, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
    ] {
        for (unhealthy, expected) in expected.into_iter().enumerate() {
            let health = |index| if index < unhealthy { Health::Unhealthy } else { Health::Healthy };
            let first = (0..10).map(|index| (health(index), 1)).collect();
            let mut set =
                endpoints(vec![locality(0, 1, first), locality(1, 1, vec![(Health::Healthy, 1); 10])]);
            set.overprovisioning = factor;
            let table = table_of(&LoadBalancing::RoundRobin, &set);
            // By hash, so that every percentage comes exactly as often as it says.
            let (mut position, mut random) = (Position::default(), Random::new(1));
            let ring = table_of(&LoadBalancing::Maglev { table_size: None }, &set);
            let second = (0..100u64).filter(|hash| {
                ring.pick(&mut position, &Measured::default(), Some(*hash), NOW, &mut random).unwrap() >= 10
            });
            assert_eq!(second.count(), expected, "{unhealthy} unhealthy at {factor} %");
            let picks = counts(&table, &Measured::default(), 20_000, 1);
            let share = picks[10..].iter().sum::<usize>() as f64 / 200.0;
            assert!((share - expected as f64).abs() < 1.5, "{unhealthy} unhealthy at {factor} %: {share}");
        }
    }
}

#[test]
fn sessions_stay_with_their_endpoint_while_it_keeps_them() {
    use crate::affinity::endpoint_key;
    use Health::*;
    let set =
        endpoints(vec![locality(0, 1, vec![(Healthy, 1), (Draining, 1), (Unhealthy, 1), (Degraded, 1)])]);
    let key = |index: usize| endpoint_key(set.iter().nth(index).unwrap().1.address);
    for draining_sessions in [true, false] {
        let spread = Spread { draining_sessions, ..Spread::default() };
        let table = Table::new(&LoadBalancing::Random, &spread, &set);
        let pinned = |index| table.pinned(key(index), &Measured::default());
        assert_eq!([pinned(0), pinned(2), pinned(3)], [Some(0), None, Some(3)]);
        assert_eq!(pinned(1), draining_sessions.then_some(1));
        assert_eq!(table.pinned(key(0), &Measured::ejecting(&[0], 4)), None);
        assert_eq!(table.pinned(endpoint_key(([10, 9, 9, 9], 80).into()), &Measured::default()), None);
    }
}

#[test]
fn ejections_shift_priorities() {
    let ten = vec![(Health::Healthy, 1); 10];
    let set = endpoints(vec![locality(0, 1, ten.clone()), locality(1, 1, ten)]);
    let second = |ejected: &[usize]| {
        let table = table_of(&LoadBalancing::RoundRobin, &set);
        let counts = counts(&table, &Measured::ejecting(ejected, 20), 20_000, 3);
        assert!(ejected.iter().all(|endpoint| counts[*endpoint] == 0));
        counts[10..].iter().sum::<usize>() as f64 / 20_000.0
    };
    assert_eq!(second(&[]), 0.0);
    assert_eq!(second(&[0, 1]), 0.0);
    assert!((second(&[0, 1, 2, 3, 4]) - 0.3).abs() < 0.02);
    assert_eq!(second(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), 1.0);
}

#[test]
fn when_all_else_fails_anything_is_tried() {
    use Health::*;
    let set = endpoints(vec![
        locality(0, 1, vec![(Draining, 1)]),
        locality(1, 1, vec![(Unhealthy, 1), (Healthy, 1), (Draining, 1)]),
        locality(2, 1, vec![(Unhealthy, 1)]),
    ]);
    for policy in policies() {
        let table = table_of(&policy, &set);
        let loads = Measured::ejecting(&[2], 5);
        let tried = counts(&table, &loads, 1000, 3);
        // By how many there are in each priority.
        assert!(tried[1] > 0 && tried[2] > 0 && tried[4] > 0, "{policy:?} {tried:?}");
        assert_eq!(tried[0] + tried[3], 0, "{policy:?} {tried:?}");
        loads.eject(&[], 5);
        assert_eq!(counts(&table, &loads, 1000, 3), [0, 0, 1000, 0, 0], "{policy:?}");
    }
}

#[test]
fn the_end_of_an_ejection_is_noticed_in_time() {
    let table = table_of(&LoadBalancing::RoundRobin, &healthy(&[1; 4]));
    let loads = Measured::ejecting(&[1], 4);
    let (mut position, mut random) = (Position::default(), Random::new(1));
    let mut round = |loads: &Measured, now: Time| {
        let picks = (0..12).map(|_| table.pick(&mut position, loads, None, now, &mut random).unwrap());
        picks.collect::<std::collections::BTreeSet<usize>>().len()
    };
    assert_eq!(round(&loads, NOW), 3);
    loads.eject(&[], 4);
    assert_eq!(round(&loads, NOW + LOOK_AGAIN / 2), 3);
    assert_eq!(round(&loads, NOW + LOOK_AGAIN), 4);
}

#[test]
fn a_pick_does_not_look_at_every_endpoint() {
    for policy in policies() {
        let table = table_of(&policy, &healthy(&[1; 1000]));
        let loads = Measured::ejecting(&[17], 1000);
        let (mut position, mut random) = (Position::default(), Random::new(1));
        let mut pick = || table.pick(&mut position, &loads, Some(1), NOW, &mut random);
        // Until the ejected one has been stumbled over, at the latest.
        for _ in 0..5000 {
            pick();
        }
        loads.looks.set(0);
        for _ in 0..1000 {
            pick();
        }
        assert!(loads.looks.get() <= 3000, "{policy:?}: {}", loads.looks.get());
    }
}

/// Other workers' outlier detection may change everything between two looks.
#[test]
fn ejections_may_change_while_one_picks() {
    struct Flapping(Cell<u64>);
    impl Loads for Flapping {
        fn active(&self, _endpoint: usize) -> u32 {
            0
        }
        fn latency(&self, _endpoint: usize, _now: Time) -> Option<Duration> {
            None
        }
        fn ejected(&self, endpoint: usize) -> bool {
            self.0.set(self.0.get() + 1);
            // The first is always there; the others are gone more often than not.
            endpoint != 0 && !Random::new(self.0.get()).next_u64().is_multiple_of(4)
        }
    }
    for policy in policies() {
        let table = table_of(&policy, &healthy(&[1, 2, 3, 4]));
        let picked = counts(&table, &Flapping(Cell::new(0)), 2000, 1);
        assert_eq!(picked.iter().sum::<usize>(), 2000, "{policy:?}");
        assert!(picked[0] > 500, "{policy:?} {picked:?}");
    }
}

#[test]
fn a_position_may_be_used_with_another_table() {
    let mut position = Position::default();
    let (large, small) = (healthy(&[1; 100]), healthy(&[1, 2]));
    let mut random = Random::new(1);
    for policy in policies() {
        let tables = [table_of(&policy, &large), table_of(&policy, &small)];
        let ejected = [Measured::ejecting(&[3], 100), Measured::ejecting(&[1], 2)];
        for turn in 0..200 {
            let (table, loads) = (&tables[turn % 2], &ejected[turn % 2]);
            let picked = table.pick(&mut position, loads, None, NOW, &mut random).unwrap();
            assert!(picked < table.len() && !loads.ejected(picked));
        }
    }
}

fn a_health() -> impl Strategy<Value = Health> {
    prop_oneof![
        4 => Just(Health::Healthy),
        1 => Just(Health::Degraded),
        1 => Just(Health::Draining),
        1 => Just(Health::Unhealthy),
    ]
}

fn some_endpoints() -> impl Strategy<Value = Endpoints> {
    let members = prop::collection::vec((a_health(), 0u32..5), 0..6);
    let localities = (0u32..4, 0u32..5, members)
        .prop_map(|(priority, weight, members)| locality(priority, weight, members));
    prop::collection::vec(localities, 0..5).prop_map(endpoints)
}

proptest! {
    /// Whatever the policy, health, weights and ejections, and however they change.
    #[test]
    fn the_unavailable_are_picked_only_when_nothing_is_available(
        set in some_endpoints(),
        which in 0usize..7,
        ejections in prop::collection::vec((prop::collection::vec(any::<bool>(), 30), 0u64..300), 1..6),
        seed: u64,
    ) {
        let table = table_of(&policies()[which], &set);
        let health: Vec<Health> = set.iter().map(|(_, endpoint)| endpoint.health).collect();
        let (mut position, mut random) = (Position::default(), Random::new(seed));
        let loads = Measured::default();
        let mut now = NOW;
        for (ejected, millis) in ejections {
            *loads.ejected.borrow_mut() = ejected.clone();
            now = now + Duration::from_millis(millis);
            let available = |endpoint: usize| {
                matches!(health[endpoint], Health::Healthy | Health::Degraded) && !ejected[endpoint]
            };
            let any = (0..health.len()).any(available);
            for pick in 0..30 {
                let hash = (pick % 3 > 0).then(|| random.next_u64());
                match table.pick(&mut position, &loads, hash, now, &mut random) {
                    Some(picked) => {
                        prop_assert!(available(picked) || !any);
                        prop_assert!(health[picked] != Health::Draining);
                    }
                    None => prop_assert!(health.iter().all(|health| *health == Health::Draining)),
                }
            }
        }
    }

    #[test]
    fn round_robin_is_exact(weights in prop::collection::vec(1u32..20, 1..10), seed: u64) {
        let table = table_of(&LoadBalancing::RoundRobin, &healthy(&weights));
        let sum: usize = weights.iter().map(|weight| *weight as usize).sum();
        let expected: Vec<usize> = weights.iter().map(|weight| *weight as usize * 3).collect();
        prop_assert_eq!(counts(&table, &Measured::default(), 3 * sum, seed), expected);
    }

    #[test]
    fn round_robin_is_exact_among_those_left(weights in prop::collection::vec(1u32..20, 3..10), seed: u64) {
        let table = table_of(&LoadBalancing::RoundRobin, &healthy(&weights));
        let loads = Measured::ejecting(&[1], weights.len());
        let (mut position, mut random) = (Position::default(), Random::new(seed));
        // Let it find out.
        let sum: u32 = weights.iter().sum();
        for _ in 0..2 * sum {
            table.pick(&mut position, &loads, None, NOW, &mut random);
        }
        let mut counts = vec![0; weights.len()];
        for _ in 0..sum - weights[1] {
            counts[table.pick(&mut position, &loads, None, NOW, &mut random).unwrap()] += 1;
        }
        let mut expected = weights.clone();
        expected[1] = 0;
        prop_assert_eq!(counts, expected);
    }
}

/// A priority whose light endpoints are gone is as good as new where weights count, and not where endpoints do.
#[test]
fn a_prioritys_health_may_go_by_weight() {
    let share = |weighted: bool| {
        let first = vec![(Health::Unhealthy, 1), (Health::Unhealthy, 1), (Health::Healthy, 100)];
        let mut all = endpoints(vec![locality(0, 1, first), locality(1, 1, vec![(Health::Healthy, 1)])]);
        all.weighted_priority_health = weighted;
        let counts = counts(&table_of(&LoadBalancing::Random, &all), &Measured::default(), 1000, 5);
        counts[2] as f64 / 1000.0
    };
    assert_eq!(share(true), 1.0);
    // A third of 140 %.
    assert!((share(false) - 0.46).abs() < 0.05, "{}", share(false));
}

/// Nobody takes more than its share times the factor of what is under way, and keys stay where there is room.
#[test]
fn a_consistent_hash_may_be_bounded() {
    struct Busy(Vec<u32>);
    impl Loads for Busy {
        fn active(&self, endpoint: usize) -> u32 {
            self.0[endpoint]
        }
        fn total(&self) -> u32 {
            self.0.iter().sum()
        }
        fn latency(&self, _: usize, _: Time) -> Option<Duration> {
            None
        }
        fn ejected(&self, _: usize) -> bool {
            false
        }
    }
    for policy in [LoadBalancing::RingHash(RingSize::default()), LoadBalancing::Maglev { table_size: None }] {
        let bounded = Spread { hash_balance_factor: Some(150), ..Spread::default() };
        let table = Table::new(&policy, &bounded, &healthy(&[1; 4]));
        let (mut position, mut random) = (Position::default(), Random::new(1));
        let mut busy = Busy(vec![0; 4]);
        let mut pick = |busy: &Busy| table.pick(&mut position, busy, Some(42), NOW, &mut random).unwrap();
        let home = pick(&busy);
        // All with one key, and nobody ever finishes.
        for _ in 0..40 {
            let endpoint = pick(&busy);
            busy.0[endpoint] += 1;
        }
        assert!(busy.0.iter().all(|active| *active <= 17), "{policy:?} {:?}", busy.0);
        assert_eq!(busy.0.iter().max(), Some(&busy.0[home]), "{policy:?}");
        busy.0 = vec![0; 4];
        assert_eq!(pick(&busy), home);
    }
}

/// Endpoints that move keep their keys where these go by name.
#[test]
fn a_consistent_hash_may_go_by_name() {
    use weir_model::EndpointDetails;
    let named = |first: u8| {
        let mut all = healthy(&[1; 5]);
        for (endpoint, index) in all.localities[0].endpoints.iter_mut().zip(0u8..) {
            endpoint.address = ([10, 0, first, index], 80).into();
            let hostname = format!("host-{index}");
            endpoint.details = EndpointDetails { hostname, ..EndpointDetails::default() }.boxed();
        }
        all
    };
    let places = |all: &Endpoints, hash_by_hostname: bool| -> Vec<usize> {
        let spread = Spread { hash_by_hostname, ..Spread::default() };
        let table = Table::new(&LoadBalancing::Maglev { table_size: None }, &spread, all);
        let (mut position, mut random) = (Position::default(), Random::new(1));
        let pick = |key: u64| {
            let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            table.pick(&mut position, &Measured::default(), Some(hash), NOW, &mut random).unwrap()
        };
        (0..200).map(pick).collect()
    };
    assert_eq!(places(&named(1), true), places(&named(2), true));
    assert_ne!(places(&named(1), false), places(&named(2), false));
}
