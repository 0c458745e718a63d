use super::*;
use proptest::prelude::*;
use std::time::Duration;

const BEGAN: Time = Time(7_000_000_000_000);
const WINDOW: Duration = Duration::from_secs(100);

fn at(config: &SlowStart, seconds: u64) -> f64 {
    part(config, BEGAN, BEGAN + Duration::from_secs(seconds))
}

#[test]
fn it_grows_evenly_from_a_tenth() {
    let config = SlowStart::new(WINDOW);
    let parts =
        [0, 5, 10, 25, 50, 99, 100, 1000].map(|seconds| (at(&config, seconds) * 100.0).round() as u32);
    assert_eq!(parts, [10, 10, 10, 25, 50, 99, 100, 100]);
    // Long there, and not there yet.
    assert_eq!(part(&config, Time(0), Time(1)), 1.0);
    assert_eq!(part(&config, BEGAN, Time(1)), 0.1);
}

#[test]
fn aggression_bends_it() {
    let fast = SlowStart { aggression: 2000, min_weight_percent: 0, ..SlowStart::new(WINDOW) };
    let slow = SlowStart { aggression: 500, min_weight_percent: 0, ..SlowStart::new(WINDOW) };
    assert_eq!((at(&fast, 25), at(&slow, 50)), (0.5, 0.25));
    assert_eq!(at(&fast, 0), 0.0);
}

proptest! {
    #[test]
    fn it_never_falls_nor_leaves_its_bounds(aggression in 1..100_000u32, minimum in 0..=100u32, window in 1..10_000u64) {
        let window = Duration::from_millis(window);
        let config = SlowStart { window, aggression, min_weight_percent: minimum };
        let mut before = f64::from(minimum) / 100.0;
        for step in 0..=20 {
            let now = part(&config, BEGAN, BEGAN + window * step / 20);
            prop_assert!(now >= before && now <= 1.0, "{before} {now}");
            before = now;
        }
        prop_assert_eq!(before, 1.0);
    }
}
