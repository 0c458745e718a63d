//! The bytes of what is stored: history records chained by digest, entries, and the head which ties them together.
//!
//! Pure, and written both ways side by side. Integers are little-endian; strings and values carry a 32-bit length.
//!
//! ```text
//! record   previous digest (32) ‖ version (1) ‖ revision (8) ‖ unix_millis (8) ‖ author ‖ message ‖ changes (4)
//!          ‖ { key ‖ flags (1) ‖ [created (8) ‖ modified (8) ‖ value before] ‖ [value after] }* ‖ SHA-256 (32)
//! entry    created (8) ‖ modified (8) ‖ value to the end ‖ XXH3-128 of key and all of it (16)
//! head     revision (8) ‖ digest (32) ‖ base (8) ‖ base digest (32) ‖ XXH3-128 (16)
//! ```
//!
//! A record's own SHA-256 covers everything before it, so a record proves itself and its place after its predecessor.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::{Applied, Attribution, Commit, Entry, Revision};

/// A link of the chain.
pub(crate) type Digest = [u8; 32];

/// The digest before the first commit.
pub(crate) const GENESIS: Digest = [0; 32];

const VERSION: u8 = 1;
const HAS_BEFORE: u8 = 1;
const HAS_AFTER: u8 = 2;
const DIGEST: usize = 32;
const CHECKSUM: usize = 16;

/// A commit with what undoing it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub(crate) revision: Revision,
    pub(crate) previous: Digest,
    pub(crate) attribution: Attribution,
    /// In key order, each key once.
    pub(crate) changes: Vec<Recorded>,
}

/// One key's change with the whole entry it replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Recorded {
    pub(crate) key: String,
    pub(crate) before: Option<Entry>,
    pub(crate) after: Option<Arc<[u8]>>,
}

impl Record {
    /// The size of the encoding, without making it.
    pub(crate) fn encoded_len(&self) -> usize {
        let fixed =
            DIGEST + 1 + 8 + 8 + 4 + self.attribution.author.len() + 4 + self.attribution.message.len() + 4;
        let changes = self.changes.iter().map(|change| {
            let before = change.before.as_ref().map_or(0, |entry| 8 + 8 + 4 + entry.value.len());
            let after = change.after.as_ref().map_or(0, |value| 4 + value.len());
            4 + change.key.len() + 1 + before + after
        });
        fixed + changes.sum::<usize>() + DIGEST
    }

    /// The bytes, and the digest they end with.
    pub(crate) fn encode(&self) -> (Vec<u8>, Digest) {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend_from_slice(&self.previous);
        out.push(VERSION);
        out.extend_from_slice(&self.revision.0.to_le_bytes());
        out.extend_from_slice(&self.attribution.unix_millis.to_le_bytes());
        put_bytes(&mut out, self.attribution.author.as_bytes());
        put_bytes(&mut out, self.attribution.message.as_bytes());
        put_len(&mut out, self.changes.len());
        for change in &self.changes {
            put_bytes(&mut out, change.key.as_bytes());
            let before = if change.before.is_some() { HAS_BEFORE } else { 0 };
            let after = if change.after.is_some() { HAS_AFTER } else { 0 };
            out.push(before | after);
            if let Some(entry) = &change.before {
                out.extend_from_slice(&entry.created.0.to_le_bytes());
                out.extend_from_slice(&entry.modified.0.to_le_bytes());
                put_bytes(&mut out, &entry.value);
            }
            if let Some(value) = &change.after {
                put_bytes(&mut out, value);
            }
        }
        let digest: Digest = Sha256::digest(&out).into();
        out.extend_from_slice(&digest);
        (out, digest)
    }

    /// The record kept under `revision`, and its digest, if the bytes are whole and say so themselves.
    pub(crate) fn decode(revision: Revision, stored: &[u8]) -> Result<(Self, Digest), String> {
        Self::parse(revision, stored).map_err(|why| format!("the record of revision {revision} {why}"))
    }

    fn parse(revision: Revision, stored: &[u8]) -> Result<(Self, Digest), &'static str> {
        let (covered, digest) = stored.split_last_chunk::<DIGEST>().ok_or("is cut short")?;
        if Digest::from(Sha256::digest(covered)) != *digest {
            return Err("does not match its digest");
        }
        let mut input = Input(covered);
        let previous = *input.array::<DIGEST>()?;
        if input.array::<1>()? != &[VERSION] {
            return Err("is of an unknown version");
        }
        if input.revision()? != revision {
            return Err("belongs to another revision");
        }
        let unix_millis = input.u64()?;
        let (author, message) = (input.string()?, input.string()?);
        let count = input.len()?;
        // Each change takes at least five bytes, so a wrong count cannot ask for much memory.
        let mut changes: Vec<Recorded> = Vec::with_capacity(count.min(input.0.len() / 5));
        for _ in 0..count {
            let key = input.string()?;
            if changes.last().is_some_and(|last| last.key >= key) {
                return Err("has its keys out of order");
            }
            let flags = input.array::<1>()?[0];
            if flags == 0 || flags & !(HAS_BEFORE | HAS_AFTER) != 0 {
                return Err("has a change of an unknown kind");
            }
            let before = if flags & HAS_BEFORE == 0 {
                None
            } else {
                let (created, modified) = (input.revision()?, input.revision()?);
                Some(Entry { created, modified, value: input.bytes()?.into() })
            };
            let after = if flags & HAS_AFTER == 0 { None } else { Some(input.bytes()?.into()) };
            changes.push(Recorded { key, before, after });
        }
        if !input.0.is_empty() {
            return Err("has bytes after its end");
        }
        let attribution = Attribution { author, message, unix_millis };
        Ok((Self { revision, previous, attribution, changes }, *digest))
    }

    /// What callers see of it.
    pub(crate) fn into_commit(self, digest: Digest) -> Commit {
        let applied = |change: Recorded| Applied {
            key: change.key,
            before: change.before.map(|entry| entry.value),
            after: change.after,
        };
        Commit {
            revision: self.revision,
            attribution: self.attribution,
            changes: self.changes.into_iter().map(applied).collect(),
            digest,
        }
    }
}

/// The bytes of `entry` under `key`.
pub(crate) fn encode_entry(key: &str, entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + 8 + entry.value.len() + CHECKSUM);
    out.extend_from_slice(&entry.created.0.to_le_bytes());
    out.extend_from_slice(&entry.modified.0.to_le_bytes());
    out.extend_from_slice(&entry.value);
    let checksum = entry_checksum(key, &out);
    out.extend_from_slice(&checksum);
    out
}

/// The entry under `key`, if the bytes are whole and belong there.
pub(crate) fn decode_entry(key: &str, stored: &[u8]) -> Result<Entry, String> {
    let parse = || {
        let (covered, checksum) = stored.split_last_chunk::<CHECKSUM>().ok_or("is cut short")?;
        if entry_checksum(key, covered) != *checksum {
            return Err("does not match its checksum");
        }
        let mut input = Input(covered);
        let (created, modified) = (input.revision()?, input.revision()?);
        if created > modified {
            return Err("was modified before it was created");
        }
        Ok(Entry { created, modified, value: input.0.into() })
    };
    parse().map_err(|why: &str| format!("the entry {key:?} {why}"))
}

fn entry_checksum(key: &str, covered: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = Xxh3::new();
    hash.update(&(key.len() as u64).to_le_bytes());
    hash.update(key.as_bytes());
    hash.update(covered);
    hash.digest128().to_le_bytes()
}

/// Both ends of the history that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// The newest revision and its digest.
    pub(crate) revision: Revision,
    pub(crate) digest: Digest,
    /// The revision before the oldest record kept and its digest: where the chain is verified from.
    pub(crate) base: Revision,
    pub(crate) base_digest: Digest,
}

impl Head {
    /// The head of the empty store.
    pub(crate) const EMPTY: Self =
        Self { revision: Revision(0), digest: GENESIS, base: Revision(0), base_digest: GENESIS };

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * (8 + DIGEST) + CHECKSUM);
        out.extend_from_slice(&self.revision.0.to_le_bytes());
        out.extend_from_slice(&self.digest);
        out.extend_from_slice(&self.base.0.to_le_bytes());
        out.extend_from_slice(&self.base_digest);
        let checksum = xxh3_128(&out).to_le_bytes();
        out.extend_from_slice(&checksum);
        out
    }

    pub(crate) fn decode(stored: &[u8]) -> Result<Self, String> {
        let parse = || {
            let (covered, checksum) = stored.split_last_chunk::<CHECKSUM>().ok_or("is cut short")?;
            if xxh3_128(covered).to_le_bytes() != *checksum {
                return Err("does not match its checksum");
            }
            let mut input = Input(covered);
            let (revision, digest) = (input.revision()?, *input.array()?);
            let (base, base_digest) = (input.revision()?, *input.array()?);
            if !input.0.is_empty() || base > revision {
                return Err("contradicts itself");
            }
            Ok(Self { revision, digest, base, base_digest })
        };
        parse().map_err(|why: &str| format!("the head {why}"))
    }
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("bounded by RECORD_BYTES");
    out.extend_from_slice(&len.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], &'static str> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or("is cut short")?;
        self.0 = tail;
        Ok(head)
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        Ok(u64::from_le_bytes(*self.array()?))
    }

    fn revision(&mut self) -> Result<Revision, &'static str> {
        Ok(Revision(self.u64()?))
    }

    fn len(&mut self) -> Result<usize, &'static str> {
        Ok(u32::from_le_bytes(*self.array()?) as usize)
    }

    fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        let len = self.len()?;
        let (head, tail) = self.0.split_at_checked(len).ok_or("is cut short")?;
        self.0 = tail;
        Ok(head)
    }

    fn string(&mut self) -> Result<String, &'static str> {
        let bytes = self.bytes()?;
        Ok(std::str::from_utf8(bytes).map_err(|_| "has a string that is not UTF-8")?.to_owned())
    }
}

#[cfg(test)]
mod tests;
