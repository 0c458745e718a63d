//! The bounds: what the store holds at most, and the check of a batch against them.

use std::sync::Arc;

use crate::{Attribution, Change, StoreError};

/// Bytes of one key, at most.
pub const KEY_BYTES: usize = 1024;
/// Bytes of one value, at most, by default.
pub const VALUE_BYTES: usize = 1 << 20;
/// Changes in one batch, at most, by default.
pub const BATCH_CHANGES: usize = 10_000;
/// Bytes of one batch (keys and new values together), at most, by default.
pub const BATCH_BYTES: usize = 16 << 20;
/// Bytes of an author or of a message, each, at most.
pub const MESSAGE_BYTES: usize = 64 << 10;
/// Bytes of one history record, at most: it also holds the values a batch replaced or deleted, so deleting many large
/// values may take more than one batch.
pub const RECORD_BYTES: usize = 64 << 20;
/// Bytes of the whole state (keys and values), at most, by default.
pub const STATE_BYTES: usize = 512 << 20;
/// Commits history keeps, by default. The newest is always kept.
pub const HISTORY_REVISIONS: usize = 10_000;
/// Bytes of history records kept, by default; whichever of the two bounds is reached first prunes.
pub const HISTORY_BYTES: u64 = 1 << 30;
/// Bytes of records one call of history returns before it stops early (with at least one commit).
pub const PAGE_BYTES: usize = 64 << 20;

/// Requests that wait for the writer before further callers block.
pub(crate) const QUEUE_REQUESTS: usize = 256;
/// Requests that share one transaction, at most.
pub(crate) const GROUP_REQUESTS: usize = 256;
/// Bytes of records after which a group takes no further batch.
pub(crate) const GROUP_BYTES: usize = 64 << 20;
/// The database's page cache. The state is in memory anyway; the cache serves history and the upper tree levels.
pub(crate) const CACHE_BYTES: usize = 16 << 20;

/// The bounds an operator may choose. What is already stored stays readable under narrower bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes of one value; [`VALUE_BYTES`].
    pub value_bytes: usize,
    /// Changes in one batch; [`BATCH_CHANGES`].
    pub batch_changes: usize,
    /// Bytes of one batch; [`BATCH_BYTES`].
    pub batch_bytes: usize,
    /// Bytes of the whole state; [`STATE_BYTES`].
    pub state_bytes: usize,
    /// Commits kept; [`HISTORY_REVISIONS`]. 0 is taken as 1.
    pub history_revisions: usize,
    /// Bytes of commits kept; [`HISTORY_BYTES`].
    pub history_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            value_bytes: VALUE_BYTES,
            batch_changes: BATCH_CHANGES,
            batch_bytes: BATCH_BYTES,
            state_bytes: STATE_BYTES,
            history_revisions: HISTORY_REVISIONS,
            history_bytes: HISTORY_BYTES,
        }
    }
}

impl Options {
    /// Refuses a batch which is too large by itself, before it takes a place in the queue.
    pub(crate) fn check(&self, changes: &[Change], by: &Attribution) -> Result<(), StoreError> {
        bound(|| "number of changes in the batch".into(), changes.len(), self.batch_changes)?;
        bound(|| "bytes of the author's name".into(), by.author.len(), MESSAGE_BYTES)?;
        bound(|| "bytes of the message".into(), by.message.len(), MESSAGE_BYTES)?;
        let mut total = 0_usize;
        for change in changes {
            let key = change.key();
            bound(|| format!("bytes of the key {:?}", shorten(key)), key.len(), KEY_BYTES)?;
            let value: Option<&Arc<[u8]>> = match change {
                Change::Put { value, .. } => Some(value),
                Change::Delete { .. } => None,
            };
            let size = value.map_or(0, |value| value.len());
            bound(|| format!("bytes of the value of {:?}", shorten(key)), size, self.value_bytes)?;
            total = total.saturating_add(key.len()).saturating_add(size);
        }
        bound(|| "bytes of the batch".into(), total, self.batch_bytes)
    }
}

/// Refuses `size` above `limit`; `what` is only written out for a refusal.
pub(crate) fn bound(what: impl FnOnce() -> String, size: usize, limit: usize) -> Result<(), StoreError> {
    if size <= limit {
        return Ok(());
    }
    Err(StoreError::TooLarge { what: what(), bytes: size as u64, limit: limit as u64 })
}

/// Enough of a key to recognise it in a message.
fn shorten(key: &str) -> String {
    const SHOWN: usize = 80;
    if key.chars().count() <= SHOWN {
        key.to_owned()
    } else {
        key.chars().take(SHOWN).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests;
