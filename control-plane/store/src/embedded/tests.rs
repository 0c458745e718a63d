use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::testing::{Memory, by, delete, put};
use crate::{Applied, Entry, HISTORY_REVISIONS, KEY_BYTES};

type Entries = BTreeMap<String, Entry>;

/// The store as a list of everything that ever happened.
#[derive(Default)]
struct Model {
    states: Vec<Entries>,
    commits: Vec<Commit>,
}

impl Model {
    fn new() -> Self {
        Self { states: vec![Entries::new()], commits: vec![] }
    }

    fn revision(&self) -> u64 {
        self.commits.len() as u64
    }

    fn entries(&self) -> &Entries {
        &self.states[self.commits.len()]
    }

    /// What a batch changes, by applying its steps one after the other.
    fn apply(&mut self, changes: &[Change]) -> Option<Vec<Applied>> {
        let mut after = self.entries().clone();
        let revision = Revision(self.revision() + 1);
        for change in changes {
            match change {
                Change::Put { key, value } => {
                    let created = self.entries().get(key).map_or(revision, |entry| entry.created);
                    after.insert(key.clone(), Entry { value: value.clone(), created, modified: revision });
                }
                Change::Delete { key } => _ = after.remove(key),
            }
        }
        for (key, before) in self.entries() {
            if let Some(entry) = after.get_mut(key)
                && entry.value == before.value
            {
                *entry = before.clone();
            }
        }
        let keys: std::collections::BTreeSet<_> = self.entries().keys().chain(after.keys()).collect();
        let value = |entries: &Entries, key: &str| entries.get(key).map(|entry| entry.value.clone());
        let applied: Vec<Applied> = keys
            .into_iter()
            .map(|key| Applied {
                key: key.clone(),
                before: value(self.entries(), key),
                after: value(&after, key),
            })
            .filter(|applied| applied.before != applied.after)
            .collect();
        if applied.is_empty() {
            return None;
        }
        self.states.push(after);
        Some(applied)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Apply { expected: Option<i8>, changes: Vec<Change> },
    Reopen { history: usize },
}

fn change() -> impl Strategy<Value = Change> {
    let key = (0..7_u8).prop_map(|n| format!("key/{n}"));
    // Mostly small; some fill pages of their own.
    let value = prop_oneof![9 => (0..3_usize, 0..3_u8), 1 => (3000..9000_usize, 0..3_u8)];
    (key, prop::option::weighted(0.7, value)).prop_map(|(key, value)| match value {
        Some((len, fill)) => put(&key, vec![fill; len]),
        None => delete(&key),
    })
}

fn step() -> impl Strategy<Value = Step> {
    let expected = prop::option::of(prop_oneof![5 => Just(0_i8), 1 => -2..3_i8]);
    let changes = prop::collection::vec(change(), 0..5);
    prop_oneof![
        12 => (expected, changes).prop_map(|(expected, changes)| Step::Apply { expected, changes }),
        1 => (1..6_usize).prop_map(|history| Step::Reopen { history }),
    ]
}

/// Everything that can be asked, compared.
fn compare(store: &Embedded, model: &Model, base: u64) -> Result<(), TestCaseError> {
    let newest = model.revision();
    let state = store.state();
    prop_assert_eq!(state.revision, Revision(newest));
    prop_assert_eq!(&*state.entries, model.entries());
    prop_assert_eq!(*store.watch().borrow(), Revision(newest));
    for revision in 0..newest + 2 {
        match store.at(Revision(revision)) {
            Ok(state) => {
                prop_assert!(revision >= base && revision <= newest);
                prop_assert_eq!(state.revision, Revision(revision));
                prop_assert_eq!(&*state.entries, &model.states[revision as usize]);
            }
            Err(StoreError::Compacted { requested, oldest }) => {
                prop_assert!(revision < base);
                prop_assert_eq!((requested.0, oldest.0), (revision, base));
            }
            Err(StoreError::Future { requested, current }) => {
                prop_assert_eq!((requested.0, current.0), (revision, newest));
                prop_assert!(revision > newest);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
        match store.history(Revision(revision), 3) {
            Ok(commits) => {
                prop_assert!(revision >= base && revision <= newest);
                let expected: Vec<_> = model.commits[revision as usize..].iter().take(3).cloned().collect();
                prop_assert_eq!(commits, expected);
            }
            Err(StoreError::Compacted { .. }) => prop_assert!(revision < base),
            Err(StoreError::Future { .. }) => prop_assert!(revision > newest),
            Err(other) => prop_assert!(false, "{}", other),
        }
        let until = (revision.max(1) - 1).clamp(base, newest) as usize;
        let expected: Vec<_> = model.commits[base as usize..until].iter().rev().take(3).cloned().collect();
        prop_assert_eq!(store.history_before(Some(Revision(revision)), 3).unwrap(), expected);
    }
    prop_assert_eq!(store.history_before(None, usize::MAX).unwrap().len() as u64, newest - base);
    prop_assert_eq!(store.verify().unwrap(), Revision(newest));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_store_is_a_list_of_batches(steps in prop::collection::vec(step(), 1..40)) {
        let memory = Memory::with_store();
        let mut model = Model::new();
        let (mut history, mut base) = (HISTORY_REVISIONS, 0);
        let mut store = memory.open(Options::default()).unwrap();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Apply { expected, changes } => {
                    let current = model.revision();
                    let expected = expected.map(|off| Revision(current.saturating_add_signed(off.into())));
                    let author = by(&format!("author {number}"));
                    let outcome = store.apply(expected, changes.clone(), author.clone());
                    if let Some(expected) = expected && expected.0 != current {
                        let Err(StoreError::Stale { expected: said, current: found }) = outcome else {
                            return Err(TestCaseError::fail(format!("{outcome:?}")));
                        };
                        prop_assert_eq!((said, found), (expected, Revision(current)));
                        continue;
                    }
                    let commit = outcome.unwrap();
                    prop_assert_eq!(&commit.attribution, &author);
                    match model.apply(&changes) {
                        Some(applied) => {
                            prop_assert_eq!(commit.revision, Revision(current + 1));
                            prop_assert_eq!(&commit.changes, &applied);
                            model.commits.push(commit);
                            base = base.max(model.revision().saturating_sub(history as u64));
                        }
                        None => {
                            prop_assert_eq!(commit.revision, Revision(current));
                            prop_assert_eq!(commit.digest, model.commits.last().map_or(GENESIS, |last| last.digest));
                            prop_assert_eq!(commit.changes, vec![]);
                        }
                    }
                }
                Step::Reopen { history: next } => {
                    compare(&store, &model, base)?;
                    drop(store);
                    history = next;
                    store = memory.open(Options { history_revisions: next, ..Options::default() }).unwrap();
                }
            }
        }
        compare(&store, &model, base)?;
        drop(store);
        let store = memory.open(Options::default()).unwrap();
        compare(&store, &model, base)?;
    }
}

#[test]
fn history_is_bounded_by_bytes_too_and_keeps_the_newest() {
    let memory = Memory::with_store();
    let store = memory.open(Options { history_bytes: 10_000, ..Options::default() }).unwrap();
    for n in 0..20 {
        store.apply(None, vec![put(&n.to_string(), vec![0; 1000])], by("ann")).unwrap();
    }
    let kept = store.history_before(None, 99).unwrap();
    assert!((5..10).contains(&kept.len()), "{}", kept.len());
    store.apply(None, vec![put("big", vec![0; 50_000])], by("ann")).unwrap();
    assert_eq!(store.history_before(None, 99).unwrap().len(), 1);
    assert_eq!(store.verify().unwrap(), Revision(21));
    assert_eq!(store.at(Revision(20)).unwrap().entries.len(), 20);
}

#[test]
fn a_page_of_history_is_bounded_by_bytes_and_never_empty_before_the_end() {
    let mut page = Page::new(10);
    let commit = |n| {
        move || Commit { revision: Revision(n), attribution: by("ann"), changes: vec![], digest: GENESIS }
    };
    assert!(page.add(PAGE_BYTES + 1, commit(1)).is_continue());
    assert!(page.add(1, commit(2)).is_break());
    assert_eq!(page.commits.len(), 1);
    assert!(Page::new(0).add(1, commit(1)).is_break());
}

#[test]
fn equal_histories_have_equal_digests() {
    let digest = |message: &str| {
        let store = Memory::with_store().open(Options::default()).unwrap();
        let by = Attribution { message: message.into(), ..by("ann") };
        store.apply(None, vec![put("a", "1")], by).unwrap();
        store.apply(None, vec![put("b", "2")], Attribution::default()).unwrap().digest
    };
    assert_eq!(digest("why"), digest("why"));
    assert_ne!(digest("why"), digest("why not"));
}

#[test]
fn a_watcher_wakes_once_it_can_see_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    let mut watch = store.watch();
    assert!(!watch.has_changed().unwrap());
    store.apply(None, vec![put("a", "1")], by("ann")).unwrap();
    assert!(watch.has_changed().unwrap());
    assert_eq!(*watch.borrow_and_update(), Revision(1));
    store.apply(None, vec![put("a", "1")], by("ann")).unwrap();
    store.apply(Some(Revision(0)), vec![put("a", "2")], by("ann")).unwrap_err();
    assert!(!watch.has_changed().unwrap());
    drop(store);
    assert!(watch.has_changed().is_err());
}

#[test]
fn bounds_hold_before_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options { batch_changes: 2, ..Options::default() }).unwrap();
    let refused = store.apply(None, vec![put("a", ""), put("b", ""), put("c", "")], by("ann"));
    assert!(matches!(refused, Err(StoreError::TooLarge { bytes: 3, limit: 2, .. })));
    let refused = store.apply(None, vec![put(&"k".repeat(KEY_BYTES + 1), "")], by("ann"));
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.state(), State::default());
}

#[test]
fn one_process_at_a_time_and_files_for_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("a/b");
    let store = Embedded::open(&data, Options::default()).unwrap();
    let second = Embedded::open(&data, Options::default());
    assert!(matches!(&second, Err(StoreError::Locked { path }) if path.starts_with(&data)), "{second:?}");
    store.apply(None, vec![put("a", "1")], by("ann")).unwrap();
    for file in std::fs::read_dir(&data).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    drop(store);
    assert_eq!(Embedded::open(&data, Options::default()).unwrap().state().revision, Revision(1));
}

#[test]
fn an_interrupted_first_start_is_started_over() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(format!("{FILE_NAME}.new")), b"half a st").unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    assert_eq!(store.state(), State::default());
    assert!(!dir.path().join(format!("{FILE_NAME}.new")).exists());
}

#[test]
fn what_is_not_a_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::create_dir(&path).unwrap();
    let Err(StoreError::Io { path: named, .. }) = Embedded::open(dir.path(), Options::default()) else {
        panic!("a directory was opened as a store")
    };
    assert_eq!(named, path);
    let Err(StoreError::Io { path: named, .. }) =
        Embedded::open(&dir.path().join("x\0y"), Options::default())
    else {
        panic!("a name no system has was accepted")
    };
    assert!(named.starts_with(dir.path()));
}
