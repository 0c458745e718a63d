use super::*;
use proptest::prelude::*;

fn bucket(burst: u32, requests: u32, interval: Duration) -> Bucket {
    Bucket::new(TokenBucket { burst, requests, interval })
}

#[test]
fn a_burst_then_one_by_one() {
    let bucket = bucket(3, 1, Duration::from_secs(1));
    let (mut word, now) = (0, Time(5_000_000_000));
    for _ in 0..3 {
        let Verdict::Pass(next) = bucket.take(word, now) else { panic!("within the burst") };
        word = next;
    }
    assert_eq!(bucket.take(word, now), Verdict::Wait(Duration::from_secs(1)));
    assert_eq!(bucket.left(word, now), (0, Duration::from_secs(3)));
    let later = now + Duration::from_millis(400);
    assert_eq!(bucket.take(word, later), Verdict::Wait(Duration::from_millis(600)));
    let later = now + Duration::from_secs(1);
    assert!(matches!(bucket.take(word, later), Verdict::Pass(_)));
}

#[test]
fn after_a_pause_the_bucket_is_full_and_no_fuller() {
    let bucket = bucket(2, 10, Duration::from_secs(1));
    let (mut word, now) = (0, Time(u64::MAX / 4));
    let mut passed = 0;
    while let Verdict::Pass(next) = bucket.take(word, now) {
        word = next;
        passed += 1;
    }
    assert_eq!(passed, 2);
}

#[test]
fn a_second_is_the_least_to_wait() {
    assert_eq!(whole_seconds(Duration::ZERO), 1);
    assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
    assert_eq!(whole_seconds(Duration::from_secs(7)), 7);
}

#[test]
fn every_key_has_a_cell_in_every_row() {
    let mut seen = std::collections::BTreeSet::new();
    for key in 0..1000u32 {
        let cells = cells_of(&key.to_le_bytes(), 7, 4 * 64);
        for (row, cell) in cells.into_iter().enumerate() {
            assert!((row * 64..(row + 1) * 64).contains(&cell));
            seen.insert(cell);
        }
    }
    assert_eq!(seen.len(), 4 * 64, "all cells are used");
}

proptest! {
    /// In no window of any length do more requests pass than the burst and what came back in it.
    #[test]
    fn never_over_quota(
        burst in 1..20u32,
        requests in 1..1000u32,
        interval in 1..5_000_000_000u64,
        gaps in proptest::collection::vec(prop_oneof![Just(0u64), 0..1_000_000u64, 0..2_000_000_000u64], 1..300),
        start in 0..u64::MAX / 2,
    ) {
        let bucket = bucket(burst, requests, Duration::from_nanos(interval));
        let (mut word, mut now) = (0, Time(start));
        let mut passed: Vec<u64> = Vec::new();
        for gap in gaps {
            now = Time(now.0 + gap);
            match bucket.take(word, now) {
                Verdict::Pass(next) => {
                    prop_assert!(next > word);
                    word = next;
                    passed.push(now.0);
                }
                Verdict::Wait(wait) => {
                    prop_assert!(!wait.is_zero());
                    // It is exactly then that the next one passes.
                    let earlier = now + (wait - Duration::from_nanos(1));
                    let (before, after) = (bucket.take(word, earlier), bucket.take(word, now + wait));
                    prop_assert!(matches!(before, Verdict::Wait(_)) && matches!(after, Verdict::Pass(_)));
                }
            }
        }
        for (first, from) in passed.iter().enumerate() {
            for (last, to) in passed.iter().enumerate().skip(first) {
                let came_back = u128::from(to - from) * u128::from(requests) / u128::from(interval);
                prop_assert!((last - first + 1) as u128 <= u128::from(burst) + came_back);
            }
        }
    }

    /// A caller that keeps to the rate is never refused, but for what rounding to nanoseconds takes.
    #[test]
    fn who_keeps_to_the_rate_passes(burst in 1..5u32, requests in 1..1000u32, millis in 1..10_000u64) {
        let interval = Duration::from_millis(millis);
        let bucket = bucket(burst, requests, interval);
        let gap = (interval.as_nanos() as u64).div_ceil(u64::from(requests));
        let (mut word, mut now) = (0, Time(1));
        for _ in 0..100 {
            let Verdict::Pass(next) = bucket.take(word, now) else { return Err(TestCaseError::fail("refused")) };
            word = next;
            now = Time(now.0 + gap);
        }
    }

    /// What the fields say is left does pass at once, and not one more.
    #[test]
    fn what_is_left_passes(burst in 1..50u32, requests in 1..100u32, taken in 0..50u32, pause in 0..3_000_000_000u64) {
        let bucket = bucket(burst, requests, Duration::from_secs(1));
        let (mut word, mut now) = (0, Time(9));
        for _ in 0..taken {
            if let Verdict::Pass(next) = bucket.take(word, now) { word = next; }
        }
        now = Time(now.0 + pause);
        let (left, _) = bucket.left(word, now);
        for _ in 0..left {
            let Verdict::Pass(next) = bucket.take(word, now) else { return Err(TestCaseError::fail("refused")) };
            word = next;
        }
        prop_assert!(matches!(bucket.take(word, now), Verdict::Wait(_)));
    }
}
