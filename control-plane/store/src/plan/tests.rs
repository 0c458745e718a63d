use super::*;
use crate::record::GENESIS;
use crate::testing::{by, delete, put};
use crate::{Applied, VALUE_BYTES};

fn applied(key: &str, before: Option<&str>, after: Option<&str>) -> Applied {
    let bytes = |value: &str| Arc::from(value.as_bytes());
    Applied { key: key.into(), before: before.map(bytes), after: after.map(bytes) }
}

fn entries(of: &[(&str, &str, u64, u64)]) -> BTreeMap<String, Entry> {
    let entry = |(key, value, created, modified): &(&str, &str, u64, u64)| {
        let entry = Entry {
            value: value.as_bytes().into(),
            created: Revision(*created),
            modified: Revision(*modified),
        };
        (key.to_string(), entry)
    };
    of.iter().map(entry).collect()
}

fn plan(durable: &BTreeMap<String, Entry>, revision: u64) -> Plan<'_> {
    Plan::new(durable, Revision(revision), GENESIS, state_bytes(durable))
}

#[test]
fn each_batch_sees_the_ones_before_it() {
    let durable = entries(&[("a", "1", 1, 4), ("b", "2", 2, 2)]);
    let mut plan = plan(&durable, 4);
    let options = Options::default();
    let first = plan.add(Some(Revision(4)), vec![put("a", "9"), delete("b")], by("ann"), &options).unwrap();
    assert_eq!(first.commit.revision, Revision(5));
    assert_eq!(first.commit.changes, [applied("a", Some("1"), Some("9")), applied("b", Some("2"), None)]);
    let second = plan.add(Some(Revision(5)), vec![put("b", "3"), put("c", "")], by("bob"), &options).unwrap();
    assert_eq!(second.commit.changes, [applied("b", None, Some("3")), applied("c", None, Some(""))]);

    let (record, digest) = Record::decode(Revision(6), &second.record.unwrap()).unwrap();
    assert_eq!(record.previous, first.commit.digest);
    assert_eq!(digest, second.commit.digest);
    let overlay: BTreeMap<_, _> =
        plan.overlay.iter().filter_map(|(k, e)| Some((k.clone(), e.clone()?))).collect();
    assert_eq!(overlay, entries(&[("a", "9", 1, 5), ("b", "3", 6, 6), ("c", "", 6, 6)]));
    assert_eq!(plan.state_bytes, 5);
}

#[test]
fn a_stale_batch_is_refused_and_leaves_no_trace() {
    let durable = entries(&[]);
    let mut plan = plan(&durable, 4);
    for expected in [3, 5, 0, u64::MAX].map(Revision) {
        let refused = plan.add(Some(expected), vec![put("a", "1")], by("ann"), &Options::default());
        let Err(StoreError::Stale { expected: said, current }) = refused.map(|planned| planned.commit) else {
            panic!("not stale")
        };
        assert_eq!((said, current), (expected, Revision(4)));
    }
    assert!(plan.overlay.is_empty());
    assert_eq!(plan.revision, Revision(4));
}

#[test]
fn a_batch_that_comes_to_nothing_makes_no_revision() {
    let durable = entries(&[("a", "1", 1, 4)]);
    let mut plan = plan(&durable, 4);
    for changes in [
        vec![],
        vec![put("a", "1")],
        vec![delete("nowhere")],
        vec![put("b", "2"), delete("b")],
        vec![delete("a"), put("a", "2"), put("a", "1")],
    ] {
        let planned = plan.add(Some(Revision(4)), changes, by("ann"), &Options::default()).unwrap();
        assert!(planned.record.is_none());
        assert_eq!(planned.commit.revision, Revision(4));
        assert_eq!(planned.commit.digest, GENESIS);
        assert_eq!(planned.commit.changes, []);
    }
    assert!(plan.overlay.is_empty());
}

#[test]
fn the_state_is_bounded_but_may_always_shrink() {
    let durable = entries(&[("a", "12345", 1, 1), ("b", "12345", 2, 2)]);
    let mut plan = plan(&durable, 2);
    let options = Options { state_bytes: 10, ..Options::default() };
    let refused = plan.add(None, vec![put("c", "")], by("ann"), &options).map(|planned| planned.commit);
    assert!(matches!(refused, Err(StoreError::TooLarge { bytes: 13, limit: 10, .. })), "{refused:?}");
    plan.add(None, vec![put("b", "123")], by("ann"), &options).unwrap();
    plan.add(None, vec![delete("a")], by("ann"), &options).unwrap();
    assert_eq!(plan.state_bytes, 4);
    plan.add(None, vec![put("c", "12345")], by("ann"), &options).unwrap();
}

#[test]
fn a_batch_that_replaces_too_much_is_refused() {
    let value: Arc<[u8]> = vec![7; VALUE_BYTES].into();
    let entry = Entry { value, created: Revision(1), modified: Revision(1) };
    let durable: BTreeMap<_, _> = (0..70).map(|n| (format!("{n:02}"), entry.clone())).collect();
    let mut plan = plan(&durable, 1);
    let all = durable.keys().map(|key| delete(key)).collect();
    let refused = plan.add(None, all, by("ann"), &Options::default()).map(|planned| planned.commit);
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    let half = durable.keys().take(35).map(|key| delete(key)).collect();
    assert_eq!(plan.add(None, half, by("ann"), &Options::default()).unwrap().commit.changes.len(), 35);
}
