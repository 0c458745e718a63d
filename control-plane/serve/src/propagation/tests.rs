use super::*;

#[test]
fn quantiles_are_of_the_samples_and_last_is_of_the_newest_change() {
    let mut propagation = Propagation::default();
    assert_eq!(propagation.summary(), Summary::default());
    for i in 1..=100 {
        propagation.record(1, Duration::from_millis(i));
    }
    propagation.record(2, Duration::from_millis(7));
    propagation.record(1, Duration::from_millis(400));
    let summary = propagation.summary();
    assert_eq!((summary.changes, summary.last), (2, Duration::from_millis(7)));
    assert_eq!((summary.p50, summary.max), (Duration::from_millis(50), Duration::from_millis(400)));
    assert_eq!(summary.p99, Duration::from_millis(100));
}

#[test]
fn memory_is_bounded() {
    let mut propagation = Propagation::default();
    for i in 0..3 * SAMPLES as u64 {
        propagation.record(i, Duration::from_millis(i));
    }
    assert_eq!(propagation.samples.len(), SAMPLES);
}
