use std::collections::HashSet;

use super::entropy_seed;

#[test]
fn seeds_differ_between_calls_and_threads() {
    let mut seeds: HashSet<u64> = (0..100).map(|_| entropy_seed()).collect();
    for thread in (0..8).map(|_| std::thread::spawn(entropy_seed)).collect::<Vec<_>>() {
        seeds.insert(thread.join().unwrap());
    }
    assert_eq!(seeds.len(), 108);
}
