//! What can go wrong, in the dimensions its reader needs: whose mistake it is, and what mends it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Revision;

/// Why the store refused. Cheap to clone: every author of a group of batches gets the same one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone else wrote since the caller looked: read again, decide again, apply again.
    #[error(
        "the store is at revision {current}, not at {expected} as expected: somebody else has written since; read the \
         current state and apply again with expected revision {current}"
    )]
    Stale {
        /// The revision the caller expected to be the newest.
        expected: Revision,
        /// The newest one.
        current: Revision,
    },
    /// The file does not hold what was written to it. It has been left as it was.
    #[error("{} is damaged: {why}; it has not been changed; {mend}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
        /// What an operator can do.
        mend: String,
    },
    /// The file was written by a later weir. It has been left as it was.
    #[error(
        "{} is in format {found}, and this weir reads formats up to {supported}; it has not been changed; start the \
         weir that wrote it or a later one", path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this code knows.
        supported: u32,
    },
    /// Another process (or another handle in this one) has the store open.
    #[error(
        "{} is locked: another control plane is using this data directory; stop it, or give this one a directory of \
         its own", path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// There is no room on the disk. Nothing was changed; reads go on.
    #[error("no room to write {}: {source}; nothing was changed; free some space and try again", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The disk or the file system failed.
    #[error("{}: {source}; check the disk and the permissions of the data directory", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A bound would be exceeded.
    #[error("{what}: {bytes} exceeds the limit of {limit}; make it smaller or split it")]
    TooLarge {
        /// What is too large, with its unit.
        what: String,
        /// Its size, in bytes; for the number of changes in a batch, that number.
        bytes: u64,
        /// The bound, in the same unit.
        limit: u64,
    },
    /// History no longer reaches so far back.
    #[error("revision {requested} is no longer kept; the oldest state that can be read is revision {oldest}")]
    Compacted {
        /// The revision asked for.
        requested: Revision,
        /// The oldest one that can be asked for.
        oldest: Revision,
    },
    /// There is no such revision yet; after a restore from a backup, perhaps no longer.
    #[error("there is no revision {requested} yet; the newest is {current}")]
    Future {
        /// The revision asked for.
        requested: Revision,
        /// The newest one.
        current: Revision,
    },
}

impl StoreError {
    /// Damage at `path`, with the advice that fits any damage.
    pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            why: why.into(),
            mend: "restore it from a backup, or move it away to start empty and apply the policy again"
                .to_owned(),
        }
    }

    /// An error of the system at `path`: no room, a short file, or anything else.
    pub(crate) fn io(path: &Path, source: impl Into<Arc<io::Error>>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { path, source }
            }
            // A file which ends before its own structure says it does, and one whose structure is not the database's.
            io::ErrorKind::UnexpectedEof => Self::damaged(&path, format!("it is cut short ({source})")),
            io::ErrorKind::InvalidData => Self::damaged(&path, source.to_string()),
            _ => Self::Io { path, source },
        }
    }

    /// An error of the database at `path`. `cause` is what the disk said first, where the database only says that it
    /// said something.
    pub(crate) fn database(path: &Path, error: redb::Error, cause: Option<Arc<io::Error>>) -> Self {
        match error {
            redb::Error::Io(source) => Self::io(path, source),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) => {
                Self::io(path, cause.unwrap_or_else(|| Arc::new(io::Error::other(error.to_string()))))
            }
            // Everything else the database can say about tables we made is that they are not as we made them.
            other => Self::damaged(path, other.to_string()),
        }
    }
}
