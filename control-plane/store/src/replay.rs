//! Time travel and its proof: undoing a record, and checking that records and entries tell the same story. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::layout::Mark;
use crate::record::{Digest, Head, Record};
use crate::{Entry, Revision};

/// Takes `entries` from the state after `record` to the one before it.
pub(crate) fn undo(entries: &mut BTreeMap<String, Entry>, record: Record) -> Result<(), String> {
    for change in record.changes {
        let current = entries.get(&change.key).map(|entry| &entry.value);
        if current != change.after.as_ref() {
            return Err(format!(
                "revision {} did not leave {:?} as it is found",
                record.revision, change.key
            ));
        }
        match change.before {
            Some(entry) => entries.insert(change.key, entry),
            None => entries.remove(&change.key),
        };
    }
    Ok(())
}

/// A walk over all records kept, oldest first, beside the newest entries.
pub(crate) struct Audit<'a> {
    entries: &'a BTreeMap<String, Entry>,
    head: Head,
    acknowledged: Mark,
    reached: Revision,
    digest: Digest,
    /// The last record that touched each key, and whether it left a value.
    touched: HashMap<String, (Revision, bool)>,
}

impl<'a> Audit<'a> {
    /// Begins at the base of history. `acknowledged` is what is known to have been promised to somebody.
    pub(crate) fn new(
        entries: &'a BTreeMap<String, Entry>,
        head: Head,
        acknowledged: Mark,
    ) -> Result<Self, String> {
        if head.revision < acknowledged.revision {
            return Err(format!(
                "revision {} was acknowledged, but the newest in it is {}",
                acknowledged.revision, head.revision
            ));
        }
        let audit = Self {
            entries,
            head,
            acknowledged,
            reached: head.base,
            digest: head.base_digest,
            touched: HashMap::new(),
        };
        audit.compare_with_acknowledged()?;
        Ok(audit)
    }

    /// The next record.
    pub(crate) fn record(&mut self, record: &Record, digest: Digest) -> Result<(), String> {
        let revision = record.revision;
        if revision != Revision(self.reached.0 + 1) {
            return Err(format!("history goes from revision {} to {revision}", self.reached));
        }
        if record.previous != self.digest {
            return Err(format!(
                "revision {revision} does not follow the one before it (the digests differ)"
            ));
        }
        (self.reached, self.digest) = (revision, digest);
        self.compare_with_acknowledged()?;
        for change in &record.changes {
            if let Some(entry) = self.entries.get(&change.key)
                && entry.modified == revision
                && Some(&entry.value) != change.after.as_ref()
            {
                return Err(format!(
                    "the value of {:?} is not the one revision {revision} gave it",
                    change.key
                ));
            }
            let last = (revision, change.after.is_some());
            match self.touched.get_mut(change.key.as_str()) {
                Some(touched) => *touched = last,
                None => _ = self.touched.insert(change.key.clone(), last),
            }
        }
        Ok(())
    }

    /// After the last record: the chain must end at the head, and every key must be as its last record left it.
    pub(crate) fn finish(self) -> Result<(), String> {
        if self.reached != self.head.revision || self.digest != self.head.digest {
            return Err(format!(
                "history ends at revision {} and not at the head, revision {}",
                self.reached, self.head.revision
            ));
        }
        for (key, (revision, present)) in &self.touched {
            let agrees = match self.entries.get(key) {
                Some(entry) => *present && entry.modified == *revision,
                None => !present,
            };
            if !agrees {
                return Err(format!("the entry {key:?} is not as revision {revision} left it"));
            }
        }
        let unexplained = |(key, entry): &(&String, &Entry)| {
            entry.modified > self.head.base && !self.touched.contains_key(key.as_str())
        };
        match self.entries.iter().find(unexplained) {
            Some((key, entry)) => {
                Err(format!("the entry {key:?} has no record of its revision {}", entry.modified))
            }
            None => Ok(()),
        }
    }

    fn compare_with_acknowledged(&self) -> Result<(), String> {
        if self.reached == self.acknowledged.revision && self.digest != self.acknowledged.digest {
            return Err(format!("revision {} is not the one that was acknowledged", self.reached));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
