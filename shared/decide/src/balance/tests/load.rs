//! Least request and peak EWMA: the less loaded and the faster get more.

use super::*;

/// Requests that each endpoint serves in turn, at its speed, under an open load: a small discrete simulation. Gives the share of
/// each and the most that ever waited at one.
fn simulate(
    policy: &LoadBalancing,
    weights: &[u32],
    serves_per_step: &[f64],
    per_step: f64,
    seed: u64,
) -> (Vec<f64>, u32) {
    let table = table_of(policy, &healthy(weights));
    let (mut position, mut random) = (Position::default(), Random::new(seed));
    let mut loads = Measured::default();
    *loads.active.borrow_mut() = vec![0; weights.len()];
    // As a prober would have found them.
    loads.latency = serves_per_step.iter().map(|rate| Some(Duration::from_secs_f64(0.001 / rate))).collect();
    let (mut done, mut due, mut most) = (vec![0.0; weights.len()], vec![0.0; weights.len()], 0);
    let mut arrivals = 0.0;
    for _ in 0..20_000 {
        arrivals += per_step;
        while arrivals >= 1.0 {
            arrivals -= 1.0;
            let picked = table.pick(&mut position, &loads, None, NOW, &mut random).unwrap();
            done[picked] += 1.0;
            loads.active.borrow_mut()[picked] += 1;
            most = most.max(loads.active.borrow()[picked]);
        }
        for (endpoint, rate) in serves_per_step.iter().enumerate() {
            let active = &mut loads.active.borrow_mut()[endpoint];
            due[endpoint] = if *active == 0 { 0.0 } else { due[endpoint] + rate };
            while due[endpoint] >= 1.0 && *active > 0 {
                due[endpoint] -= 1.0;
                *active -= 1;
            }
        }
    }
    let sum: f64 = done.iter().sum();
    (done.into_iter().map(|count| count / sum).collect(), most)
}

fn peak_ewma() -> LoadBalancing {
    LoadBalancing::PeakEwma { decay: Duration::from_secs(10), default_rtt: Duration::from_millis(10) }
}

#[test]
fn of_two_the_less_loaded_is_chosen() {
    let table = table_of(&LoadBalancing::LeastRequest { choices: 2 }, &healthy(&[1, 1]));
    let loads = Measured::default();
    *loads.active.borrow_mut() = vec![5, 4];
    assert_eq!(counts(&table, &loads, 100, 1), [0, 100]);
    // Per weight: 5 of 3 is less than 4 of 1.
    let table = table_of(&LoadBalancing::LeastRequest { choices: 2 }, &healthy(&[3, 1]));
    assert_eq!(counts(&table, &loads, 100, 1), [100, 0]);
}

#[test]
fn least_request_keeps_queues_short() {
    let rates = [1.0; 50];
    let (_, random) = simulate(&LoadBalancing::Random, &[1; 50], &rates, 45.0, 4);
    let (shares, least) = simulate(&LoadBalancing::LeastRequest { choices: 2 }, &[1; 50], &rates, 45.0, 4);
    assert!(least * 3 < random, "{least} {random}");
    assert!(shares.iter().all(|share| (share * 50.0 - 1.0).abs() < 0.1), "{shares:?}");
}

#[test]
fn least_request_follows_weights_under_load() {
    let weights = [1, 1, 2, 4, 8];
    let rates = weights.map(|weight| f64::from(weight) / 4.0);
    for per_step in [0.1, 1.0, 3.8] {
        let (shares, _) =
            simulate(&LoadBalancing::LeastRequest { choices: 2 }, &weights, &rates, per_step, 4);
        for (share, weight) in shares.iter().zip(weights) {
            let expected = f64::from(weight) / 16.0;
            assert!((0.6..=1.7).contains(&(share / expected)), "{per_step}: {shares:?}");
        }
    }
}

#[test]
fn a_slow_endpoint_gets_less() {
    let mut rates = [1.0; 10];
    rates[3] = 0.1;
    for policy in [LoadBalancing::LeastRequest { choices: 2 }, peak_ewma()] {
        let (shares, most) = simulate(&policy, &[1; 10], &rates, 7.0, 4);
        assert!(shares[3] < 0.03, "{policy:?} {shares:?}");
        assert!(most < 20, "{policy:?} {most}");
    }
}

#[test]
fn peak_ewma_weighs_latency_with_load() {
    let pick = |latency: [Option<u64>; 2], active: [u32; 2]| {
        let loads = Measured {
            latency: latency.map(|it| it.map(Duration::from_millis)).to_vec(),
            ..Measured::default()
        };
        *loads.active.borrow_mut() = active.to_vec();
        counts(&table_of(&peak_ewma(), &healthy(&[1, 1])), &loads, 100, 1)
    };
    assert_eq!(pick([Some(5), Some(20)], [0, 0]), [100, 0]);
    assert_eq!(pick([Some(5), Some(20)], [2, 0]), [100, 0]);
    assert_eq!(pick([Some(5), Some(20)], [4, 0]), [0, 100]);
    // One without a measurement gets one request, and meanwhile ten milliseconds are assumed of it.
    assert_eq!(pick([None, Some(1)], [0, 0]), [100, 0]);
    assert_eq!(pick([None, Some(30)], [1, 0]), [100, 0]);
    assert_eq!(pick([None, Some(15)], [1, 0]), [0, 100]);
    // A latency that has faded away still leaves the load.
    assert_eq!(pick([Some(0), Some(0)], [1, 0]), [0, 100]);
}

/// Endpoints of which nothing is known at first: what is, comes of the answers.
struct Observed {
    active: RefCell<Vec<u32>>,
    latency: RefCell<Vec<u64>>,
}

const DECAY: Duration = Duration::from_secs(10);

impl Loads for Observed {
    fn active(&self, endpoint: usize) -> u32 {
        self.active.borrow()[endpoint]
    }

    fn latency(&self, endpoint: usize, now: Time) -> Option<Duration> {
        crate::latency::read(self.latency.borrow()[endpoint], now, DECAY)
    }

    fn ejected(&self, _endpoint: usize) -> bool {
        false
    }
}

/// Requests by peak EWMA at so many per second for so long, to endpoints that take so many milliseconds for each, however many they
/// have: how many each got.
fn learn(millis: &[u64], per_second: u64, seconds: u64, seed: u64) -> Vec<u64> {
    let table = table_of(&peak_ewma(), &healthy(&vec![1; millis.len()]));
    let loads = Observed { active: vec![0; millis.len()].into(), latency: vec![0; millis.len()].into() };
    let (mut position, mut random) = (Position::default(), Random::new(seed));
    let mut picks = vec![0; millis.len()];
    // What is under way: when it ends, and where.
    let mut ends = std::collections::BTreeSet::<(Time, u64, usize)>::new();
    for arrival in 0..per_second * seconds {
        let now = NOW + Duration::from_micros(arrival * 1_000_000 / per_second);
        while let Some((end, _, endpoint)) = ends.first().copied().filter(|(end, ..)| *end <= now) {
            ends.pop_first();
            loads.active.borrow_mut()[endpoint] -= 1;
            let state = &mut loads.latency.borrow_mut()[endpoint];
            *state = crate::latency::observe(*state, Duration::from_millis(millis[endpoint]), end, DECAY);
        }
        let endpoint = table.pick(&mut position, &loads, None, now, &mut random).unwrap();
        picks[endpoint] += 1;
        loads.active.borrow_mut()[endpoint] += 1;
        ends.insert((now + Duration::from_millis(millis[endpoint]), arrival, endpoint));
    }
    picks
}

#[test]
fn peak_ewma_finds_out_who_is_slow_and_leaves_nobody_unknown() {
    let mut millis = [10; 10];
    millis[9] = 100;
    for seed in 0..20 {
        let picks = learn(&millis, 1000, 20, seed);
        let (fast, slow) = picks.split_at(9);
        assert!((1..100).contains(&slow[0]), "less than a hundredth of it goes to the slow one: {picks:?}");
        assert!(fast.iter().all(|picks| (1500..=3000).contains(picks)), "{picks:?}");
    }
    // Where everybody is faster than what is assumed of those who are unknown, all are used all the same.
    for per_second in [10, 1000] {
        let picks = learn(&[1; 10], per_second, 20, 1);
        assert!(picks.iter().all(|picks| *picks * 20 >= per_second * 20), "{per_second}: {picks:?}");
    }
}

#[test]
fn more_choices_find_the_best_of_all() {
    let table = table_of(&LoadBalancing::LeastRequest { choices: 10 }, &healthy(&[1; 10]));
    let loads = Measured::default();
    *loads.active.borrow_mut() = vec![9, 8, 7, 6, 5, 1, 5, 6, 7, 8];
    assert_eq!(counts(&table, &loads, 50, 1)[5], 50);
}
