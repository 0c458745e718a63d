use super::*;
use crate::demo::options::duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_time_given_is_the_time_measured() {
    for (total, outage, expected) in
        [(30, None, 6), (12, Some(3), 3), (12, None, 3), (6, None, 3), (100, None, 20), (100, Some(10), 10)]
    {
        let plan = Plan::new(seconds(total), outage.map(seconds)).unwrap();
        assert_eq!(plan.outage, seconds(expected), "{total}");
        let sum = plan.measure * MEASURED + plan.outage;
        assert!(seconds(total) - sum < Duration::from_micros(1), "{total}: {sum:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let short = Plan::new(seconds(5), None).unwrap_err();
    assert!(short.contains("--duration") && short.contains("at least 6s"), "{short}");
    let unseen = Plan::new(seconds(30), Some(Duration::from_millis(100))).unwrap_err();
    assert!(unseen.contains("--outage"), "{unseen}");
    let long = Plan::new(seconds(10), Some(seconds(10))).unwrap_err();
    assert!(long.contains("at least 13s"), "{long}");
    assert!(Plan::new(seconds(u64::MAX), None).is_err());
    assert!(Plan::new(seconds(30), Some(LONGEST)).is_err());
}

#[test]
fn requests_are_due_evenly_and_do_not_drift() {
    assert_eq!(due(0, 200), Duration::ZERO);
    assert_eq!(due(1, 200), Duration::from_millis(5));
    assert_eq!(due(3, 3), seconds(1));
    assert_eq!(due(3 * 86_400, 3), seconds(86_400));
    for number in 0..1000 {
        let step = due(number + 1, 700) - due(number, 700);
        assert!((1_428_571..=1_428_572).contains(&step.as_nanos()), "{number}: {step:?}");
    }
}

#[test]
fn durations_are_read_as_people_write_them() {
    for (text, millis) in
        [("30", 30_000), ("30s", 30_000), ("1m30s", 90_000), ("500ms", 500), ("2h", 7_200_000), ("0", 0)]
    {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "s", "-1", "1.5", "1d", "5 s", "99999999999s", "1s2", "ms5", "１s"] {
        assert!(duration(text).is_err(), "{text}");
    }
}
