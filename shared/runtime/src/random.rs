//! Where chance comes from: one seed from the operating system per worker.
//!
//! The generator itself is a plain value in the vocabulary crate, so that pure decisions can take it as an argument and a test
//! can replay them from a seed.

use std::hash::{BuildHasher, RandomState};

/// A seed that differs between processes, threads and calls.
///
/// It hashes nothing under the standard library's per-thread keys, which come from the operating system's entropy. Good
/// enough to spread load and to make trace ids; not for secrets.
pub fn entropy_seed() -> u64 {
    RandomState::new().hash_one(0u8)
}

#[cfg(test)]
mod tests;
