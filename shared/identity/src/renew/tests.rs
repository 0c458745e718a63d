use super::*;
use proptest::prelude::*;

const DAY: u64 = 24 * 60 * 60 * 1000;

#[test]
fn a_day_is_renewed_after_half_of_it() {
    let mut random = Random::new(1);
    let times: Vec<u64> = (0..1000).map(|_| renew_at(0, DAY, &mut random)).collect();
    assert!(times.iter().all(|at| (DAY / 2..DAY * 6 / 10).contains(at)));
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(most - least > DAY / 12, "they all ask together");
}

proptest! {
    #[test]
    fn there_is_always_time_left(not_before in 0..u64::MAX / 2, life in 0..=DAY * 400, seed: u64) {
        let at = renew_at(not_before, not_before + life, &mut Random::new(seed));
        prop_assert!(at >= not_before + life / 2 && at <= not_before + life * 6 / 10 + 1);
    }

    #[test]
    fn several_attempts_fit_into_what_is_left(attempt in 0_u32..100, left in 1_u64..200_000, seed: u64) {
        let left = Duration::from_millis(left);
        let wait = retry_after(attempt, left, &mut Random::new(seed));
        prop_assert!(wait <= RETRY_MOST && wait <= (left / 4).max(Duration::from_millis(100)));
        prop_assert!(wait >= Duration::from_millis(50));
    }

    #[test]
    fn after_the_end_attempts_go_on(attempt in 0_u32..100, seed: u64) {
        let wait = retry_after(attempt, Duration::ZERO, &mut Random::new(seed));
        prop_assert!(wait <= RETRY_MOST && wait >= RETRY_FIRST / 2);
    }
}
