//! How often each door refused whom, and why.

use super::Entrance;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why somebody was refused, in a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// The TLS handshake failed; also for an expired, not yet valid or foreign certificate.
    Handshake,
    /// Plain text from where it is not trusted.
    Plaintext,
    /// Nothing was shown where something is needed.
    Credentials,
    /// A token that opens nothing.
    Token,
    /// The role, or the kind of caller, does not suffice.
    Role,
    /// Somebody asked in another's name.
    Node,
    /// A certificate request that asks for too much.
    Request,
}

impl Reason {
    const ALL: [Self; 7] = [
        Self::Handshake,
        Self::Plaintext,
        Self::Credentials,
        Self::Token,
        Self::Role,
        Self::Node,
        Self::Request,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Plaintext => "plaintext",
            Self::Credentials => "credentials",
            Self::Token => "token",
            Self::Role => "role",
            Self::Node => "node",
            Self::Request => "request",
        }
    }
}

/// The counts.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: [[AtomicU64; Reason::ALL.len()]; 2],
}

impl Refusals {
    /// Counts a refusal and logs it: by whom, of whom, and why.
    pub fn note(&self, entrance: Entrance, reason: Reason, peer: &str, message: &str) {
        self.counts[entrance as usize][reason as usize].fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%entrance, reason = reason.as_str(), peer, "refused: {message}");
    }

    /// Every count, by the names of the door and the reason.
    pub fn all(&self) -> impl Iterator<Item = (String, &'static str, u64)> {
        [Entrance::Xds, Entrance::Policy].into_iter().flat_map(move |entrance| {
            Reason::ALL.into_iter().map(move |reason| {
                let count = self.counts[entrance as usize][reason as usize].load(Ordering::Relaxed);
                (entrance.to_string(), reason.as_str(), count)
            })
        })
    }
}
