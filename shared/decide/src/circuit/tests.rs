use super::*;
use proptest::prelude::*;

#[test]
fn as_many_as_the_limit_are_admitted() {
    assert!(admit(0, 1));
    assert!(admit(1023, 1024));
    assert!(!admit(1024, 1024));
    assert!(!admit(0, 0));
}

#[test]
fn a_budget_is_a_share_with_a_minimum() {
    let budget = RetryBudget::default();
    assert_eq!(retry_allowance(0, &budget), 3);
    assert_eq!(retry_allowance(15, &budget), 3);
    assert_eq!(retry_allowance(20, &budget), 4);
    assert_eq!(retry_allowance(1000, &budget), 200);
}

proptest! {
    #[test]
    fn more_requests_never_allow_fewer_retries(a: u32, b: u32, parts_per_million in 0u32..3_000_000, min_concurrency in 0u32..9) {
        let budget = RetryBudget { parts_per_million, min_concurrency };
        let (less, more) = (a.min(b), a.max(b));
        prop_assert!(retry_allowance(less, &budget) <= retry_allowance(more, &budget));
        prop_assert!(retry_allowance(less, &budget) >= min_concurrency);
    }
}
