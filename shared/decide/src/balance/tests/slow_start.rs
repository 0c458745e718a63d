//! A newcomer gets at most the part of its share that it has.

use super::*;

fn starting() -> Vec<LoadBalancing> {
    vec![
        LoadBalancing::RoundRobin,
        LoadBalancing::Random,
        LoadBalancing::LeastRequest { choices: 2 },
        LoadBalancing::LeastRequest { choices: 10 },
        LoadBalancing::PeakEwma { decay: Duration::from_secs(10), default_rtt: Duration::from_millis(10) },
    ]
}

fn share(policy: &LoadBalancing, weights: &[u32], loads: &Measured, of: usize) -> f64 {
    let picks = 100_000;
    let table = table_of(policy, &healthy(weights));
    counts(&table, loads, picks, 11)[of] as f64 / picks as f64
}

#[test]
fn shares_grow_with_the_part() {
    for policy in starting() {
        for part in [0.0, 0.1, 0.5, 0.9] {
            let mut parts = vec![1.0; 10];
            parts[3] = part;
            let loads = Measured { parts, ..Measured::default() };
            let share = share(&policy, &[1; 10], &loads, 3);
            let expected = part / (9.0 + part);
            assert!((share - expected).abs() < 0.003, "{policy:?} {part}: {share} for {expected}");
        }
    }
}

/// The others are loaded and slow, the newcomer is idle and fast: it looks best, and gets no more than its part.
#[test]
fn an_idle_newcomer_draws_nothing_more_to_itself() {
    for policy in starting() {
        for count in [2, 3, 10] {
            let mut parts = vec![1.0; count];
            parts[0] = 0.1;
            let mut loads = Measured { parts, ..Measured::default() };
            *loads.active.borrow_mut() = (0..count as u32).map(|index| index.min(1) * 50).collect();
            loads.latency =
                (0..count as u64).map(|index| Some(Duration::from_millis(1 + 99 * index.min(1)))).collect();
            let share = share(&policy, &vec![1; count], &loads, 0);
            let most = 0.1 / (count as f64 - 0.9);
            assert!(share < most + 0.004, "{policy:?} of {count}: {share} for {most}");
            // Without slow start it would be everybody's choice.
            loads.parts.clear();
            let full = self::share(&policy, &vec![1; count], &loads, 0);
            assert!(full + 0.01 > 1.0 / count as f64, "{policy:?} of {count}: {full}");
        }
    }
}

#[test]
fn weights_and_parts_multiply() {
    let weights = [1, 2, 3, 4];
    for policy in starting() {
        let loads = Measured { parts: vec![1.0, 0.25, 0.5, 1.0], ..Measured::default() };
        for (index, expected) in [1.0, 0.5, 1.5, 4.0].into_iter().enumerate() {
            let share = share(&policy, &weights, &loads, index);
            assert!((share - expected / 7.0).abs() < 0.01, "{policy:?} {index}: {share}");
        }
    }
}

#[test]
fn where_all_are_new_all_are_alike() {
    for policy in starting() {
        for part in [0.001, 0.0] {
            let loads = Measured { parts: vec![part; 5], ..Measured::default() };
            let share = share(&policy, &[1; 5], &loads, 2);
            assert!((share - 0.2).abs() < 0.01, "{policy:?} {part}: {share}");
        }
    }
}

#[test]
fn one_old_among_many_new_ones_carries_them() {
    for policy in starting() {
        let mut parts = vec![0.01; 20];
        parts[7] = 1.0;
        let loads = Measured { parts, ..Measured::default() };
        let share = share(&policy, &[1; 20], &loads, 7);
        assert!((share - 1.0 / 1.19).abs() < 0.01, "{policy:?}: {share}");
    }
}
