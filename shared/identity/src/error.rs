//! What can be wrong with an identity, by whose mistake it is.

use std::path::{Path, PathBuf};

/// Why an identity, a key or a certificate cannot be used. Messages are for the person who can mend it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdentityError {
    /// It is not what it should be: a name, a certificate, a request that does not parse.
    #[error("{what}: {why}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong, and what is right.
        why: String,
    },
    /// It is well formed, and breaks a rule.
    #[error("{what} is refused: {why}")]
    Refused {
        /// What was asked or shown.
        what: &'static str,
        /// Which rule.
        why: String,
    },
    /// A file cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why, and the mend.
        why: String,
    },
    /// The cryptographic library or the system failed.
    #[error("{0}")]
    Failed(String),
}

impl IdentityError {
    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }

    pub(crate) fn refused(what: &'static str, why: impl Into<String>) -> Self {
        Self::Refused { what, why: why.into() }
    }

    pub(crate) fn file(path: &Path, why: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), why: why.into() }
    }

    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }
}
