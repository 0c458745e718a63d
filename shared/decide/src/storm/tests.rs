use super::*;
use crate::circuit::retry_allowance;
use proptest::prelude::*;
use weir_model::{Random, RetryBudget};

#[test]
fn only_a_number_above_one_is_a_further_attempt() {
    for (value, expected) in [
        ("1", false),
        ("2", true),
        ("11", true),
        ("0", false),
        ("", false),
        ("-2", false),
        ("2x", false),
        ("99999999999", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(ATTEMPT, HeaderValue::from_static(value));
        assert_eq!(is_further(&headers), expected, "{value:?}");
    }
    let mut headers = HeaderMap::new();
    assert!(!is_further(&headers));
    mark(&mut headers, 3);
    assert!(is_further(&headers));
    assert_eq!(headers[ATTEMPT], "3");
}

#[test]
fn what_is_told_is_understood() {
    let mut headers = HeaderMap::new();
    assert_eq!(told(&headers), None);
    for reason in Reason::ALL {
        tell(&mut headers, reason);
        assert_eq!(told(&headers), Some(reason));
    }
    headers.insert(NO_RETRY, HeaderValue::from_static("whatever"));
    assert_eq!(told(&headers), None);
}

/// A request on its way down a chain: what each hop knows of it.
struct Chain<'a> {
    /// Further attempts in flight at each hop, of `active` requests.
    retrying: &'a mut Vec<u32>,
    active: u32,
    attempts: u32,
    asked: u64,
    marks: bool,
}

impl Chain<'_> {
    /// One call from `hop` on downwards: whether it succeeds, and whether it may be retried above.
    fn call(&mut self, hop: usize, further: bool, fails: &mut impl FnMut() -> bool) -> (bool, bool) {
        if hop == self.retrying.len() {
            self.asked += 1;
            return (!fails(), false);
        }
        let (mut good, mut told) = self.call(hop + 1, further, fails);
        let mut made = 0;
        while !good && made < self.attempts && !(self.marks && (further || told)) {
            let allowance =
                retry_allowance(self.active, &RetryBudget { parts_per_million: 200_000, min_concurrency: 0 });
            // A hop's budget is open with the share of time in which it is not used up.
            if self.retrying[hop] >= allowance {
                return (false, true);
            }
            self.retrying[hop] += 1;
            made += 1;
            (good, told) = self.call(hop + 1, true, fails);
        }
        (good, !good && (told || made == self.attempts))
    }
}

proptest! {
    /// However deep the chain and however often each hop may try: a backend that fails is asked at most as often as one hop alone would.
    #[test]
    fn a_chain_asks_no_more_than_one_hop(hops in 1..6usize, attempts in 1..5u32, failing in 0..=100u64, seed: u64) {
        let offered = 200u32;
        let ask = |hops: usize, marks: bool| {
            let mut random = Random::new(seed);
            let mut retrying = vec![0; hops];
            let mut asked = 0;
            for _ in 0..offered {
                let mut chain = Chain { retrying: &mut retrying, active: offered, attempts, asked: 0, marks };
                chain.call(0, false, &mut || random.below(100) < failing);
                asked += chain.asked;
            }
            asked
        };
        let bound = u64::from(offered) + u64::from(offered) / 5;
        prop_assert!(ask(hops, true) <= bound);
        prop_assert!(ask(1, true) <= bound);
    }
}

/// What the marks are for: without them each hop adds its own share.
#[test]
fn without_marks_a_chain_multiplies() {
    let mut retrying = vec![0; 4];
    let mut asked = 0;
    for _ in 0..200 {
        let mut chain = Chain { retrying: &mut retrying, active: 200, attempts: 2, asked: 0, marks: false };
        chain.call(0, false, &mut || true);
        asked += chain.asked;
    }
    assert!(asked > 200 * 14 / 10, "{asked}");
}
