//! What the control plane knows, kept: opaque bytes under string keys, revisioned, watchable, crash-safe.
//!
//! The store stands between the policy API, which hands it one accepted batch at a time, and the compiler,
//! which reads the newest [`State`]. It decides two things only: whether a batch applies to the state its
//! author saw (optimistic concurrency by [`Revision`]), and in which order concurrent batches happened. It
//! deliberately does not know what the bytes mean: no policy, no protobuf, no HTTP.
//!
//! The path of a batch:
//!
//! 1. `options`: the batch is measured against the bounds; too large is refused before it is queued.
//! 2. `writer`: one thread takes every waiting batch and plans them in order;
//! 3. `plan` (pure): staleness, the net effect per key, what each key held before;
//! 4. `record` (pure): the history record and its place in the chain of digests;
//! 5. `database`: one transaction and one `fsync` for all of them;
//! 6. `embedded`: memory follows the disk, watchers are told, and only then are the authors answered.
//!
//! What is on disk, and how damage is told from a crash, is described in `layout` and `replay`:
//!
//! - **An acknowledged batch survives** `kill -9` and, where the disk honours `fsync`, power loss.
//! - **A batch is visible whole or not at all**, in memory and after every restart.
//! - **A damaged or newer file is refused and left as it was**, byte for byte. Nothing is repaired in silence;
//!   an interrupted write is not damage and is always recovered.
//! - **Memory equals disk**: after a failed write (a full disk, say) the store returns to the last
//!   acknowledged state, keeps serving reads, and writes again as soon as the disk lets it.

mod backend;
mod database;
mod embedded;
mod error;
mod layout;
mod medium;
mod options;
mod plan;
mod record;
mod replay;
#[cfg(test)]
mod testing;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use embedded::{Embedded, FILE_NAME};
pub use error::StoreError;
pub use options::{
    BATCH_BYTES, BATCH_CHANGES, HISTORY_BYTES, HISTORY_REVISIONS, KEY_BYTES, MESSAGE_BYTES, Options,
    PAGE_BYTES, RECORD_BYTES, STATE_BYTES, VALUE_BYTES,
};

/// A mesh-wide, monotonically increasing number; 0 is the empty store.
///
/// Every accepted batch that changes something takes the next number, without gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Revision(pub u64);

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One key's value and when it came to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The bytes, as they were put.
    pub value: Arc<[u8]>,
    /// The revision which put the key where there was none.
    pub created: Revision,
    /// The revision which gave it this value; at least `created`.
    pub modified: Revision,
}

/// One step of a batch. Steps apply in order; the last one on a key wins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Create the key or replace its value. Putting the value it already has changes nothing.
    Put {
        /// The key.
        key: String,
        /// The new value.
        value: Arc<[u8]>,
    },
    /// Remove the key. Removing a key that is not there changes nothing.
    Delete {
        /// The key.
        key: String,
    },
}

impl Change {
    /// The key the step is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Who, when and why of one accepted batch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attribution {
    /// Who asked for it, as the caller authenticated them.
    pub author: String,
    /// Why, in the author's words.
    pub message: String,
    /// When, in milliseconds since the Unix epoch, by the caller's clock. The store orders by revision,
    /// never by time.
    pub unix_millis: u64,
}

/// One accepted batch, as history keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The revision it made; for a batch that changed nothing, the revision it found.
    pub revision: Revision,
    /// Who, when and why.
    pub attribution: Attribution,
    /// The net effect, one per key that changed, in key order. Empty for a batch that changed nothing.
    pub changes: Vec<Applied>,
    /// SHA-256 over the previous commit's digest followed by this record; all zero for the empty store.
    /// Equal digests mean equal histories from the start.
    pub digest: [u8; 32],
}

/// What one batch did to one key; `before` and `after` differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The key.
    pub key: String,
    /// Its value before the batch; `None` where the batch created it.
    pub before: Option<Arc<[u8]>>,
    /// Its value after the batch; `None` where the batch deleted it.
    pub after: Option<Arc<[u8]>>,
}

/// The whole state at one revision: cheap to clone, ordered by key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// The revision.
    pub revision: Revision,
    /// Every key that exists at it.
    pub entries: Arc<BTreeMap<String, Entry>>,
}

/// A revisioned, watchable store of opaque bytes.
///
/// Methods block, and all but [`state`](Self::state) and [`watch`](Self::watch) may wait for a disk: async callers use
/// `spawn_blocking`. Implementations are shared behind an `Arc` or a reference; the trait can be made into an object.
pub trait Store: Send + Sync + 'static {
    /// The newest acknowledged state, from memory.
    fn state(&self) -> State;

    /// Applies `changes` as one batch: all or nothing, durable before it returns, in one revision of its own.
    ///
    /// With `expected`, only if that is still the newest revision. A batch that changes nothing returns the current
    /// revision and digest with no changes, and makes no new one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stale`], [`StoreError::TooLarge`], and where the disk refuses [`StoreError::Full`],
    /// [`StoreError::Io`] or [`StoreError::Damaged`]. After an error nothing of the batch is visible. (If the disk
    /// fails so badly that the outcome can't be known at the time, a later write or restart may find the batch on it
    /// whole; an `expected` revision makes trying again safe.)
    fn apply(
        &self,
        expected: Option<Revision>,
        changes: Vec<Change>,
        by: Attribution,
    ) -> Result<Commit, StoreError>;

    /// The state as it was at `revision`, by undoing history from the newest.
    ///
    /// # Errors
    ///
    /// [`StoreError::Compacted`] where history no longer reaches back so far, [`StoreError::Future`], and errors of
    /// reading.
    fn at(&self, revision: Revision) -> Result<State, StoreError>;

    /// Commits later than `after`, oldest first, at most `limit` and at most about [`PAGE_BYTES`] at once: a caller
    /// asks again after the last one it got, and an empty answer is the end.
    ///
    /// # Errors
    ///
    /// [`StoreError::Compacted`] where commits after `after` are no longer kept, so that a follower knows it missed
    /// some; [`StoreError::Future`]; and errors of reading.
    fn history(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError>;

    /// Commits earlier than `before` (or all), newest first, for people: bounded as [`history`](Self::history) is, and
    /// ending without an error at the oldest that is kept.
    ///
    /// # Errors
    ///
    /// Errors of reading.
    fn history_before(&self, before: Option<Revision>, limit: usize) -> Result<Vec<Commit>, StoreError>;

    /// The newest acknowledged revision, as a value to wait on: it changes after [`state`](Self::state) has.
    fn watch(&self) -> tokio::sync::watch::Receiver<Revision>;

    /// Reads everything that is kept, walks the chain of digests from the oldest commit kept to the newest, compares
    /// the entries with what the commits did, and returns the newest revision found so.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] at the first thing that does not fit; errors of reading.
    fn verify(&self) -> Result<Revision, StoreError>;
}
