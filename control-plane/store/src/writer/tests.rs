#![allow(clippy::disallowed_methods, reason = "the disk fails and recovers in real time")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Barrier;

use super::*;
use crate::Store;
use crate::testing::{Fault, Memory, Random, by, delete, put};

type Plain = BTreeMap<String, Vec<u8>>;

fn plain(state: &State) -> Plain {
    state.entries.iter().map(|(key, entry)| (key.clone(), entry.value.to_vec())).collect()
}

/// A batch of random changes which never comes to nothing: it always puts its own number.
fn batch(random: &mut Random, number: u64) -> Vec<Change> {
    let mut changes = vec![put("number", number.to_string())];
    for _ in 0..random.below(4) {
        let key = format!("k{}", random.below(8));
        let size = if random.chance(10) { 9000 } else { 40 };
        changes.push(if random.chance(25) {
            delete(&key)
        } else {
            put(&key, vec![random.next() as u8; random.below(size) as usize])
        });
    }
    changes
}

fn model(before: &Plain, changes: &[Change]) -> Plain {
    let mut after = before.clone();
    for change in changes {
        match change {
            Change::Put { key, value } => _ = after.insert(key.clone(), value.to_vec()),
            Change::Delete { key } => _ = after.remove(key),
        }
    }
    after
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_heals() {
    let memory = Memory::with_store();
    let store = memory.open(Options::default()).unwrap();
    for n in 0..5 {
        store.apply(None, vec![put("a", n.to_string())], by("ann")).unwrap();
    }
    let room = memory.bytes().len() as u64;
    memory.fail(Fault::FullPast(room));
    let big: Vec<Change> = (0..40).map(|n| put(&format!("big{n}"), vec![n as u8; 200_000])).collect();
    for _ in 0..3 {
        let refused = store.apply(Some(Revision(5)), big.clone(), by("bob"));
        assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
        assert_eq!(store.state().revision, Revision(5));
        assert_eq!(store.history(Revision(0), 99).unwrap().len(), 5);
        assert_eq!(plain(&store.at(Revision(2)).unwrap())["a"], b"1");
        assert_eq!(store.verify().unwrap(), Revision(5));
    }
    memory.heal();
    assert_eq!(store.apply(Some(Revision(5)), big, by("bob")).unwrap().revision, Revision(6));
    assert_eq!(store.verify().unwrap(), Revision(6));
    let state = store.state();
    drop(store);
    assert_eq!(memory.open(Options::default()).unwrap().state(), state);
}

#[test]
fn a_disk_that_refuses_everything_still_leaves_reads() {
    let memory = Memory::with_store();
    let store = memory.open(Options::default()).unwrap();
    store.apply(None, vec![put("a", "1")], by("ann")).unwrap();
    memory.fail(Fault::From(0, io::ErrorKind::StorageFull));
    for _ in 0..3 {
        let refused = store.apply(None, vec![put("a", "2")], by("ann"));
        assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
        assert_eq!(plain(&store.state())["a"], b"1");
        assert_eq!(store.history_before(None, 9).unwrap().len(), 1);
        assert_eq!(store.at(Revision(0)).unwrap().entries.len(), 0);
        assert_eq!(store.verify().unwrap(), Revision(1));
    }
    memory.heal();
    assert_eq!(store.apply(None, vec![put("a", "2")], by("ann")).unwrap().revision, Revision(2));
}

/// The database keeps failing after one failed read until it is replaced; nobody has to write for that.
#[test]
fn a_read_that_failed_can_be_repeated() {
    let memory = Memory::with_store();
    let store = memory.open(Options::default()).unwrap();
    // More than the database's cache holds, so that reading it again takes the medium.
    for n in 0..24_u8 {
        store.apply(None, vec![put("a", vec![n; 1 << 20])], by("ann")).unwrap();
    }
    memory.fail(Fault::Reads);
    let refused = store.verify();
    assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
    assert_eq!(store.state().revision, Revision(24));
    memory.heal();
    assert_eq!(store.verify().unwrap(), Revision(24));
    assert_eq!(store.history_before(None, 1).unwrap().len(), 1);
    assert_eq!(store.apply(None, vec![put("a", "1")], by("ann")).unwrap().revision, Revision(25));
}

/// A failure at every single step of a run: what was answered is what is there, then and after reopening.
#[test]
fn memory_equals_disk_whatever_step_fails() {
    for kind in 0..3 {
        let mut quiet = 0;
        for step in 0.. {
            let memory = Memory::with_store();
            let store = memory.open(Options { history_revisions: 3, ..Options::default() }).unwrap();
            let first = memory.steps();
            memory.fail(match kind {
                0 => Fault::From(first + step, io::ErrorKind::StorageFull),
                1 => Fault::From(first + step, io::ErrorKind::Other),
                _ => Fault::Once(first + step),
            });
            let mut random = Random(step);
            let mut expected = Plain::new();
            let mut failed = 0;
            for number in 0..6 {
                if failed == 2 {
                    memory.heal();
                }
                let before = store.state();
                let changes = batch(&mut random, number);
                match store.apply(Some(before.revision), changes.clone(), by("ann")) {
                    Ok(commit) => {
                        assert_eq!(commit.revision.0, before.revision.0 + 1);
                        expected = model(&expected, &changes);
                    }
                    Err(StoreError::Full { .. } | StoreError::Io { .. }) => {
                        failed += 1;
                        assert_eq!(store.state().revision, before.revision, "kind {kind}, step {step}");
                    }
                    Err(other) => panic!("kind {kind}, step {step}: {other}"),
                }
                assert_eq!(plain(&store.state()), expected, "kind {kind}, step {step}");
                assert_eq!(store.verify().unwrap(), store.state().revision);
            }
            let state = store.state();
            memory.heal();
            drop(store);
            let store = memory.open(Options::default()).unwrap();
            assert_eq!(store.state(), state, "kind {kind}, step {step}");
            // Past the last step of the run nothing fails any more.
            quiet = if failed == 0 { quiet + 1 } else { 0 };
            if quiet > 12 {
                assert!(step > 25, "only {step} steps were there to fail");
                break;
            }
        }
    }
}

#[test]
fn a_failed_sync_takes_the_batch_back() {
    let memory = Memory::with_store();
    let store = memory.open(Options::default()).unwrap();
    let watch = store.watch();
    store.apply(None, vec![put("a", "1")], by("ann")).unwrap();
    memory.fail(Fault::Sync);
    assert!(matches!(store.apply(None, vec![put("a", "2")], by("ann")), Err(StoreError::Io { .. })));
    assert_eq!((store.state().revision, *watch.borrow()), (Revision(1), Revision(1)));
    // What a process killed now would leave is an acknowledged state too.
    let left = Memory::new(memory.bytes()).open(Options::default()).unwrap().state();
    assert!(left.revision >= Revision(1), "{left:?}");
    memory.heal();
    assert_eq!(store.apply(Some(Revision(1)), vec![put("a", "3")], by("ann")).unwrap().revision, Revision(2));
    assert_eq!(plain(&store.state())["a"], b"3");
}

/// Power fails at random moments: every acknowledged batch is there, at most the one under way besides, and whole.
#[test]
fn power_loss_keeps_what_was_acknowledged() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut memory = Memory::with_store();
        let mut states = vec![Plain::new()];
        for _ in 0..3 {
            let store = memory.open(Options { history_revisions: 5, ..Options::default() }).unwrap();
            if random.chance(30) {
                // An error of the disk that passes: what it promised before and promises later both count.
                let changes = batch(&mut random, states.len() as u64);
                memory.fail(Fault::Sync);
                assert!(store.apply(None, changes.clone(), by("ann")).is_err());
                memory.heal();
                store.apply(None, changes.clone(), by("ann")).unwrap();
                states.push(model(states.last().unwrap(), &changes));
            }
            let step = memory.steps() + random.below(60);
            memory.fail(Fault::From(step, io::ErrorKind::Other));
            let mut unanswered = None;
            while unanswered.is_none() {
                let changes = batch(&mut random, states.len() as u64);
                let after = model(states.last().unwrap(), &changes);
                match store.apply(None, changes, by("ann")) {
                    Ok(_) => states.push(after),
                    Err(_) => unanswered = Some(after),
                }
            }
            let left = memory.after_power_loss(&mut random);
            drop(store);
            memory = left;
            let store =
                memory.open(Options::default()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let found = store.state();
            if found.revision.0 == states.len() as u64 {
                states.extend(unanswered);
            }
            assert_eq!(found.revision.0, states.len() as u64 - 1, "seed {seed}");
            assert_eq!(Some(&plain(&found)), states.last(), "seed {seed}");
            assert_eq!(store.verify().unwrap(), found.revision);
            // And once more before anything is written again.
            memory = memory.after_power_loss(&mut random);
        }
    }
}

#[test]
fn callers_share_a_sync_and_each_gets_a_revision_of_its_own() {
    const CALLERS: usize = 8;
    const BATCHES: usize = 25;
    let memory = Memory::with_store();
    let store = memory.open(Options::default()).unwrap();
    let before = memory.syncs();
    let barrier = Barrier::new(CALLERS);
    let mut revisions: Vec<u64> = std::thread::scope(|scope| {
        let caller = |caller: usize| {
            let (store, barrier) = (&store, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let apply = |n: usize| {
                    let commit =
                        store.apply(None, vec![put(&format!("{caller}/{n}"), "x")], by("ann")).unwrap();
                    // Acknowledged is visible.
                    assert!(store.state().revision >= commit.revision);
                    assert!(*store.watch().borrow() >= commit.revision);
                    commit.revision.0
                };
                (0..BATCHES).map(apply).collect::<Vec<_>>()
            })
        };
        let callers: Vec<_> = (0..CALLERS).map(caller).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=(CALLERS * BATCHES) as u64).collect::<Vec<_>>());
    assert_eq!(store.state().entries.len(), CALLERS * BATCHES);
    let syncs = (memory.syncs() - before) as usize;
    assert!(syncs < CALLERS * BATCHES, "{syncs} syncs for {} batches", CALLERS * BATCHES);
    assert_eq!(store.verify().unwrap().0, (CALLERS * BATCHES) as u64);
}

#[test]
fn one_of_many_with_the_same_expectation_wins() {
    let memory = Memory::with_store();
    let store = memory.open(Options::default()).unwrap();
    for round in 0..20 {
        let expected = Some(Revision(round));
        let won = std::thread::scope(|scope| {
            let apply = |n: usize| store.apply(expected, vec![put("a", format!("{round}/{n}"))], by("ann"));
            let callers: Vec<_> = (0..4).map(|n| scope.spawn(move || apply(n))).collect();
            let outcomes = callers.into_iter().map(|caller| caller.join().unwrap());
            outcomes
                .filter(|outcome| match outcome {
                    Ok(commit) => commit.revision == Revision(round + 1),
                    Err(StoreError::Stale { current, .. }) => {
                        *current != Revision(round + 1) && panic!("{current}")
                    }
                    Err(other) => panic!("{other}"),
                })
                .count()
        });
        assert_eq!(won, 1);
    }
}

/// Callers write on while the disk fails and recovers under them: each is told the truth about its own batch.
#[test]
fn every_caller_hears_the_truth_while_the_disk_comes_and_goes() {
    let memory = Memory::with_store();
    let store = memory.open(Options { history_revisions: 50, ..Options::default() }).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let kept: BTreeMap<String, Vec<u8>> = std::thread::scope(|scope| {
        let caller = |caller: u64| {
            let store = &store;
            scope.spawn(move || {
                let key = format!("caller {caller}");
                let (mut last, mut refused) = (None, 0);
                for n in 0..120_u64 {
                    match store.apply(None, vec![put(&key, n.to_le_bytes())], by("ann")) {
                        Ok(_) => last = Some(n),
                        Err(StoreError::Full { .. } | StoreError::Io { .. }) => refused += 1,
                        Err(other) => panic!("{other}"),
                    }
                    let seen = store.state().entries.get(&key).map(|entry| entry.value.to_vec());
                    assert_eq!(seen, last.map(|n| n.to_le_bytes().to_vec()), "after {refused} refusals");
                }
                last.map(|last| (key, last.to_le_bytes().to_vec()))
            })
        };
        let callers: Vec<_> = (0..6).map(caller).collect();
        let trouble = scope.spawn(|| {
            let mut random = Random(7);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let soon = memory.steps() + random.below(12);
                memory.fail(match random.below(3) {
                    0 => Fault::Once(soon),
                    1 => Fault::Sync,
                    _ => Fault::From(soon, io::ErrorKind::StorageFull),
                });
                std::thread::sleep(std::time::Duration::from_millis(random.below(4)));
                memory.heal();
                std::thread::sleep(std::time::Duration::from_millis(random.below(4)));
            }
        });
        let kept = callers.into_iter().filter_map(|caller| caller.join().unwrap()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        trouble.join().unwrap();
        kept
    });
    assert_eq!(plain(&store.state()), kept);
    let state = store.state();
    // Also for the disk that was promised every acknowledged batch.
    let after = memory.after_power_loss(&mut Random(1)).open(Options::default()).unwrap();
    assert_eq!(after.state(), state);
}
