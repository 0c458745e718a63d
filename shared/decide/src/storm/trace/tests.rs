use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// One table as a single thread would keep it.
struct Table(Vec<[u64; WAYS]>);

impl Table {
    fn new() -> Self {
        Self(vec![[0; WAYS]; SETS])
    }

    fn put(&mut self, key: TraceKey, mark: Mark, now: Time) {
        let words = &mut self.0[key.set()];
        let (index, word) = place(words, key, mark, now);
        words[index] = word;
    }

    fn find(&self, key: TraceKey, now: Time) -> Marks {
        find(self.0[key.set()], key, now)
    }
}

fn at(millis: u64) -> Time {
    Time(millis * 1_000_000)
}

fn mark() -> impl Strategy<Value = Mark> {
    prop::sample::select(vec![Mark::Further, Mark::Told(Reason::Spent), Mark::Told(Reason::Overloaded)])
}

const WRAP: u64 = 1 << 32;

#[test]
fn a_mark_holds_for_its_age_and_no_longer() {
    for start in [0, 1, 12_345, WRAP - 1, WRAP - 5_000, 3 * WRAP - 9_999] {
        let mut table = Table::new();
        let key = TraceKey::of(7, 1);
        assert_eq!(table.find(key, at(start)), Marks::default());
        table.put(key, Mark::Further, at(start));
        for later in [0, 1, 5_000, 9_999] {
            assert!(table.find(key, at(start + later)).further(), "{start} + {later}");
        }
        for later in [10_000, 10_001, 60_000, WRAP / 2, WRAP - 1_001] {
            assert!(!table.find(key, at(start + later)).further(), "{start} + {later}");
        }
    }
}

#[test]
fn what_is_said_later_comes_to_what_was_said_before() {
    let mut table = Table::new();
    let key = TraceKey::of(7, 1);
    table.put(key, Mark::Further, at(0));
    assert_eq!(table.find(key, at(1)).told(), None);
    table.put(key, Mark::Told(Reason::Overloaded), at(9_000));
    let marks = table.find(key, at(18_000));
    assert!(marks.further());
    assert_eq!(marks.told(), Some(Reason::Overloaded));
    assert_eq!(table.find(TraceKey::of(8, 1), at(1)), Marks::default());
}

/// Keys that share a set: the oldest goes where there is no room, the newest stay.
#[test]
fn a_full_set_gives_up_what_would_go_first() {
    let same: Vec<TraceKey> =
        (0..).map(|trace| TraceKey::of(trace, 1)).filter(|key| key.set() == 3).take(WAYS + 4).collect();
    let mut table = Table::new();
    for (index, key) in same.iter().enumerate() {
        table.put(*key, Mark::Further, at(index as u64));
    }
    let kept: Vec<bool> = same.iter().map(|key| table.find(*key, at(30)).further()).collect();
    assert_eq!(kept, [vec![false; 4], vec![true; WAYS]].concat());
}

proptest! {
    /// What is said is found until its time is over, unless more marks than there is room for came to the same place; and what nobody said
    /// is not found, but for keys that are the same.
    #[test]
    fn a_table_says_what_was_said(
        start in prop::sample::select(vec![0, 100_000, WRAP - 20_000]),
        seed: u64,
        said in prop::collection::vec((0..60u128, mark(), 0..2_000u64), 0..40),
    ) {
        let mut table = Table::new();
        let mut latest: HashMap<u32, Vec<(Mark, u64)>> = HashMap::new();
        let mut now = start;
        for (trace, mark, pause) in said {
            now += pause;
            let key = TraceKey::of(trace, seed);
            table.put(key, mark, at(now));
            // A mark lives as long as the latest one of its key, if that one found it alive.
            let marks = latest.entry(key.0.get()).or_default();
            marks.retain(|(_, until)| *until > now);
            for (_, until) in marks.iter_mut() {
                *until = now + 10_000;
            }
            marks.push((mark, now + 10_000));
        }
        for trace in 0..80u128 {
            let key = TraceKey::of(trace, seed);
            let expected = latest.get(&key.0.get()).into_iter().flatten().filter(|(_, until)| *until > now);
            let expected = Marks(expected.fold(0, |said, (mark, _)| said | mark.bit()));
            // Forty marks in 256 sets: no set has more than it holds but in a run in many millions.
            prop_assert_eq!(table.find(key, at(now)), expected);
        }
    }

    /// Whatever the words, placing a mark is in bounds and the mark is found.
    #[test]
    fn any_words_take_a_mark(words: [u64; WAYS], trace: u128, seed: u64, mark in mark(), now: u64) {
        let key = TraceKey::of(trace, seed);
        let now = Time(now);
        let mut after = words;
        let (index, word) = place(&words, key, mark, now);
        after[index] = word;
        prop_assert!(find(after, key, now).has(mark));
        prop_assert!(key.set() < SETS);
    }
}
