//! What a group of batches would do, decided before anything is written: pure, one batch after the other, each seeing
//! the ones before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::options::{Options, RECORD_BYTES, bound};
use crate::record::{Digest, Record, Recorded};
use crate::{Attribution, Change, Commit, Entry, Revision, StoreError};

/// The durable state with the planned batches laid over it.
pub(crate) struct Plan<'a> {
    durable: &'a BTreeMap<String, Entry>,
    /// The final entry of every key the planned batches touch; `None` for one they delete.
    pub(crate) overlay: BTreeMap<String, Option<Entry>>,
    pub(crate) revision: Revision,
    pub(crate) digest: Digest,
    /// Bytes of keys and values of the whole state.
    pub(crate) state_bytes: usize,
}

/// A batch that was planned.
pub(crate) struct Planned {
    pub(crate) commit: Commit,
    /// The record to keep, encoded; `None` for a batch that changes nothing.
    pub(crate) record: Option<Vec<u8>>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        durable: &'a BTreeMap<String, Entry>,
        revision: Revision,
        digest: Digest,
        state_bytes: usize,
    ) -> Self {
        Self { durable, overlay: BTreeMap::new(), revision, digest, state_bytes }
    }

    fn get(&self, key: &str) -> Option<&Entry> {
        match self.overlay.get(key) {
            Some(planned) => planned.as_ref(),
            None => self.durable.get(key),
        }
    }

    /// Plans one more batch; after an error the plan is as before.
    pub(crate) fn add(
        &mut self,
        expected: Option<Revision>,
        changes: Vec<Change>,
        attribution: Attribution,
        options: &Options,
    ) -> Result<Planned, StoreError> {
        if let Some(expected) = expected
            && expected != self.revision
        {
            return Err(StoreError::Stale { expected, current: self.revision });
        }
        let changes = self.net(changes);
        if changes.is_empty() {
            let commit =
                Commit { revision: self.revision, attribution, changes: Vec::new(), digest: self.digest };
            return Ok(Planned { commit, record: None });
        }
        let revision = Revision(self.revision.0 + 1);
        let record = Record { revision, previous: self.digest, attribution, changes };
        bound(
            || "bytes of the batch with the values it replaces".into(),
            record.encoded_len(),
            RECORD_BYTES,
        )?;
        let state_bytes = record.changes.iter().fold(self.state_bytes, |total, change| {
            let size = |value: Option<&Arc<[u8]>>| value.map_or(0, |value| change.key.len() + value.len());
            total - size(change.before.as_ref().map(|entry| &entry.value)) + size(change.after.as_ref())
        });
        // A state already above a narrowed bound may still shrink.
        if state_bytes > self.state_bytes {
            bound(|| "bytes of the whole state".into(), state_bytes, options.state_bytes)?;
        }

        let (stored, digest) = record.encode();
        for change in &record.changes {
            let entry = change.after.as_ref().map(|value| Entry {
                value: Arc::clone(value),
                created: change.before.as_ref().map_or(revision, |before| before.created),
                modified: revision,
            });
            self.overlay.insert(change.key.clone(), entry);
        }
        (self.revision, self.digest, self.state_bytes) = (revision, digest, state_bytes);
        Ok(Planned { commit: record.into_commit(digest), record: Some(stored) })
    }

    /// What the steps of a batch come to: each key that ends up different, once, in key order.
    fn net(&self, changes: Vec<Change>) -> Vec<Recorded> {
        let mut last = BTreeMap::new();
        for change in changes {
            match change {
                Change::Put { key, value } => last.insert(key, Some(value)),
                Change::Delete { key } => last.insert(key, None),
            };
        }
        let differs = |(key, after): (String, Option<Arc<[u8]>>)| {
            let before = self.get(&key);
            let same = before.map(|entry| &entry.value) == after.as_ref();
            (!same).then(|| Recorded { before: before.cloned(), key, after })
        };
        last.into_iter().filter_map(differs).collect()
    }
}

/// The bytes a state counts against its bound.
pub(crate) fn state_bytes(entries: &BTreeMap<String, Entry>) -> usize {
    entries.iter().map(|(key, entry)| key.len() + entry.value.len()).sum()
}

#[cfg(test)]
mod tests;
