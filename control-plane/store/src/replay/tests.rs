use super::*;
use crate::Options;
use crate::plan::{Plan, state_bytes};
use crate::record::GENESIS;
use crate::testing::{Random, by, delete, put};

/// A history of random batches: the entries and records it ends with, and the entries before each record.
struct Story {
    entries: BTreeMap<String, Entry>,
    records: Vec<(Record, Digest)>,
    states: Vec<BTreeMap<String, Entry>>,
}

impl Story {
    fn new(seed: u64, batches: u64) -> Self {
        let mut random = Random(seed);
        let mut story = Self { entries: BTreeMap::new(), records: vec![], states: vec![] };
        let (mut revision, mut digest) = (Revision(0), GENESIS);
        while story.records.len() < batches as usize {
            let change = |random: &mut Random| {
                let key = format!("k{}", random.below(6));
                if random.chance(30) { delete(&key) } else { put(&key, random.below(4).to_string()) }
            };
            let changes = (0..random.below(4)).map(|_| change(&mut random)).collect();
            let entries = story.entries.clone();
            let mut plan = Plan::new(&entries, revision, digest, state_bytes(&entries));
            let planned = plan.add(None, changes, by("ann"), &Options::default()).unwrap();
            let Some(stored) = planned.record else { continue };
            story.records.push(Record::decode(planned.commit.revision, &stored).unwrap());
            story.states.push(entries.clone());
            for (key, entry) in plan.overlay {
                match entry {
                    Some(entry) => _ = story.entries.insert(key, entry),
                    None => _ = story.entries.remove(&key),
                }
            }
            (revision, digest) = (plan.revision, plan.digest);
        }
        story
    }

    /// The head when all but the last `kept` records are forgotten.
    fn head(&self, kept: usize) -> Head {
        let (newest, digest) = self.records.last().map_or((0, GENESIS), |(r, d)| (r.revision.0, *d));
        let base = self.records.len() - kept;
        let base_digest = if base == 0 { GENESIS } else { self.records[base - 1].1 };
        Head { revision: Revision(newest), digest, base: Revision(base as u64), base_digest }
    }

    fn audit(&self, kept: usize) -> Result<(), String> {
        let head = self.head(kept);
        self.audit_with(head, Mark { revision: head.revision, digest: head.digest }, kept)
    }

    fn audit_with(&self, head: Head, mark: Mark, kept: usize) -> Result<(), String> {
        let mut audit = Audit::new(&self.entries, head, mark)?;
        for (record, digest) in &self.records[self.records.len() - kept..] {
            audit.record(record, *digest)?;
        }
        audit.finish()
    }
}

#[test]
fn undoing_every_record_visits_every_state() {
    for seed in 0..30 {
        let story = Story::new(seed, 40);
        let mut entries = story.entries.clone();
        for ((record, _), before) in story.records.iter().zip(&story.states).rev() {
            undo(&mut entries, record.clone()).unwrap();
            assert_eq!(&entries, before, "seed {seed}, revision {}", record.revision);
        }
    }
}

#[test]
fn a_true_story_passes_from_any_base() {
    for seed in 0..10 {
        let story = Story::new(seed, 20);
        for kept in 0..=20 {
            assert_eq!(story.audit(kept), Ok(()), "seed {seed}, kept {kept}");
        }
    }
}

#[test]
fn an_entry_nobody_wrote_so_is_found() {
    for seed in 0..10 {
        let key = |story: &Story| story.entries.keys().next().unwrap().clone();
        let fresh = || Story::new(seed, 20);

        let mut story = fresh();
        story.entries.get_mut(&key(&story)).unwrap().value = b"else".as_slice().into();
        assert!(story.audit(20).is_err());

        let mut story = fresh();
        story.entries.remove(&key(&story));
        assert!(story.audit(20).is_err());

        let mut story = fresh();
        let foreign = Entry { value: [].into(), created: Revision(3), modified: Revision(3) };
        story.entries.insert("foreign".into(), foreign);
        assert!(story.audit(20).is_err());
        // From a base at which it could have been there already, it can't be told.
        assert_eq!(story.audit(17), Ok(()));
    }
}

#[test]
fn a_broken_chain_is_found() {
    let mut story = Story::new(1, 20);
    story.records.swap(4, 5);
    assert!(story.audit(20).unwrap_err().contains("history goes from revision 4 to 6"));

    let mut story = Story::new(1, 20);
    story.records.remove(19);
    let head = Head { revision: Revision(20), ..story.head(19) };
    let mark = Mark { revision: Revision(0), digest: GENESIS };
    assert!(story.audit_with(head, mark, 19).unwrap_err().contains("history ends at revision 19"));

    let mut story = Story::new(1, 20);
    story.records[7].0.previous = [9; 32];
    assert!(story.audit(20).unwrap_err().contains("revision 8 does not follow"));
}

#[test]
fn what_was_acknowledged_must_be_there() {
    let story = Story::new(1, 20);
    let head = story.head(10);
    let acknowledged =
        |revision: u64, digest| story.audit_with(head, Mark { revision: Revision(revision), digest }, 10);
    assert_eq!(acknowledged(15, story.records[14].1), Ok(()));
    assert_eq!(acknowledged(10, story.records[9].1), Ok(()));
    // Older than what is kept: nothing to compare with.
    assert_eq!(acknowledged(3, [9; 32]), Ok(()));
    for revision in [10, 15, 20] {
        assert!(
            acknowledged(revision, [9; 32]).unwrap_err().contains("is not the one that was acknowledged")
        );
    }
    assert!(
        acknowledged(21, [9; 32])
            .unwrap_err()
            .contains("revision 21 was acknowledged, but the newest in it is 20")
    );
}

#[test]
fn undo_refuses_a_record_that_does_not_fit() {
    let story = Story::new(1, 20);
    let mut entries = story.states[10].clone();
    let unfitting = story.records.iter().find(|(record, _)| {
        record.changes.iter().any(|c| c.after.as_ref() != entries.get(&c.key).map(|e| &e.value))
    });
    assert!(undo(&mut entries, unfitting.unwrap().0.clone()).is_err());
}
