use super::*;
use proptest::prelude::*;

const DECAY: Duration = Duration::from_secs(10);

fn at(millis: u64) -> Time {
    Time(1_000_000_000_000) + Duration::from_millis(millis)
}

fn millis(state: u64, now: Time) -> f64 {
    read(state, now, DECAY).unwrap().as_secs_f64() * 1e3
}

fn close(actual: f64, expected: f64) -> bool {
    (actual - expected).abs() <= expected * 1e-3
}

#[test]
fn unmeasured_says_nothing() {
    assert_eq!(read(UNMEASURED, at(0), DECAY), None);
    let state = observe(UNMEASURED, Duration::from_millis(20), at(0), DECAY);
    assert!(close(millis(state, at(0)), 20.0));
}

#[test]
fn it_jumps_up_at_once() {
    let state = observe(UNMEASURED, Duration::from_millis(20), at(0), DECAY);
    let state = observe(state, Duration::from_millis(900), at(1), DECAY);
    assert!(close(millis(state, at(1)), 900.0));
}

#[test]
fn what_is_not_answered_is_slow_and_never_fast() {
    let default = Duration::from_millis(30);
    let unanswered =
        |state, waited, now| unanswered(state, Duration::from_millis(waited), now, DECAY, default);
    // Unknown: as long as it took, but no less than what is assumed.
    assert!(close(millis(unanswered(UNMEASURED, 1, at(0)), at(0)), 30.0));
    assert!(close(millis(unanswered(UNMEASURED, 500, at(0)), at(0)), 500.0));
    // Known: a failure at once changes nothing, one that took longer does.
    let state = observe(UNMEASURED, Duration::from_millis(100), at(0), DECAY);
    assert!(close(millis(unanswered(state, 1, at(0)), at(0)), 100.0));
    assert!(close(millis(unanswered(state, 800, at(0)), at(0)), 800.0));
    // It does not become faster by failing later on.
    let before = millis(state, at(10_000));
    let after = millis(unanswered(state, 1, at(10_000)), at(10_000));
    assert!(before < 40.0 && after >= before && after < 100.0, "{before} {after}");
}

#[test]
fn it_comes_down_exponentially() {
    let slow = observe(UNMEASURED, Duration::from_millis(1000), at(0), DECAY);
    // One low sample after one decay time: the old average weighs 1/e.
    let state = observe(slow, Duration::from_millis(10), at(10_000), DECAY);
    let kept = (-1f64).exp();
    assert!(close(millis(state, at(10_000)), 1000.0 * kept + 10.0 * (1.0 - kept)));
    // Many low samples over the same time come to the same.
    let many =
        (1..=1000).fold(slow, |state, step| observe(state, Duration::from_millis(10), at(step * 10), DECAY));
    assert!((millis(many, at(10_000)) / millis(state, at(10_000)) - 1.0).abs() < 0.05);
}

#[test]
fn it_fades_without_samples() {
    let state = observe(UNMEASURED, Duration::from_millis(1000), at(0), DECAY);
    assert!(close(millis(state, at(10_000)), 1000.0 / std::f64::consts::E));
    assert!(close(millis(state, at(20_000)), 1000.0 / std::f64::consts::E.powi(2)));
}

#[test]
fn a_burst_within_a_tick_is_not_forgotten() {
    let state = observe(UNMEASURED, Duration::from_millis(5), at(0), DECAY);
    let burst = (0..100).fold(state, |state, _| observe(state, Duration::from_millis(1), at(0), DECAY));
    assert!(close(millis(burst, at(0)), 5.0));
    // The time of the last observation that counted stays, so that the next tick has its full weight.
    let later = observe(burst, Duration::from_millis(1), at(10_000), DECAY);
    assert!(millis(later, at(10_000)) < 3.0);
}

#[test]
fn clocks_of_workers_may_differ() {
    let state = observe(UNMEASURED, Duration::from_millis(5), at(1000), DECAY);
    assert!(close(millis(state, at(900)), 5.0));
    let behind = observe(state, Duration::from_millis(1), at(900), DECAY);
    assert!(close(millis(behind, at(1000)), 5.0));
}

#[test]
fn no_decay_keeps_the_last_sample() {
    let state = observe(UNMEASURED, Duration::from_millis(5), at(0), Duration::ZERO);
    let state = observe(state, Duration::from_millis(1), at(0), Duration::ZERO);
    assert_eq!(read(state, at(0), Duration::ZERO), Some(Duration::ZERO));
    assert!((unpack(state).unwrap().0 - 1000.0).abs() < 1.0);
}

proptest! {
    #[test]
    fn any_word_is_a_state(state: u64, sample: u64, now: u64, decay: u64) {
        let (sample, decay) = (Duration::from_nanos(sample), Duration::from_nanos(decay));
        let next = observe(state, sample, Time(now), decay);
        prop_assert!(next != UNMEASURED);
        prop_assert!(read(next, Time(now), decay).is_some());
        read(state, Time(now), decay);
    }

    #[test]
    fn it_stays_between_the_lowest_and_the_highest(samples in prop::collection::vec((1u64..10_000, 0u64..5_000), 1..50)) {
        let mut now = 0;
        let mut state = UNMEASURED;
        for (micros, later) in &samples {
            now += later;
            state = observe(state, Duration::from_micros(*micros), at(now), DECAY);
            let average = unpack(state).unwrap().0;
            prop_assert!(average >= *micros as f64 * 0.999);
        }
        let lowest = samples.iter().map(|sample| sample.0).min().unwrap() as f64;
        let highest = samples.iter().map(|sample| sample.0).max().unwrap() as f64;
        let average = unpack(state).unwrap().0;
        prop_assert!(average >= lowest * 0.999 && average <= highest * 1.001);
    }
}
