//! The file: one page of our own, then the database.
//!
//! ```text
//!    0  magic (16) ‖ format (4) ‖ zero (4) ‖ XXH3-128 of these (16)
//!  512  mark A: revision (8) ‖ digest (32) ‖ XXH3-128 (16)
//! 1024  mark B
//! 4096  the database, to the end
//! ```
//!
//! The first forty bytes keep their shape in every format, so that any weir can tell a newer file from a damaged one.
//!
//! **A mark says which revision has been acknowledged.** It is written after the database made that revision durable
//! and before its author is answered, into the slot that does not hold the newest mark, without an `fsync` of its own
//! (the next commit's carries it). So the newest whole mark is never ahead of an undamaged database: if it is, the
//! database has lost something, which its own recovery would otherwise take for a commit that was never finished.

use xxhash_rust::xxh3::xxh3_128;

use crate::Revision;
use crate::record::{Digest, GENESIS};

/// The format this code writes, and the newest it reads.
pub(crate) const FORMAT: u32 = 1;
/// Where the database begins; bytes before it are ours.
pub(crate) const DATA: u64 = 4096;
/// [`DATA`] as a length.
pub(crate) const PAGE: usize = DATA as usize;

const MAGIC: [u8; 16] = *b"weir-store\r\n\x1a\n\0\0";
const FORMAT_AT: usize = 16;
const CHECKSUM_AT: usize = 24;
const FIXED: usize = 40;
const SLOTS: [usize; 2] = [512, 1024];
const MARK: usize = 8 + 32 + 16;

/// A revision that has been acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    pub(crate) revision: Revision,
    pub(crate) digest: Digest,
}

/// What the first page says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    /// The newest whole mark.
    pub(crate) acknowledged: Mark,
    /// The slot it is in; the next one goes into the other.
    pub(crate) slot: usize,
}

/// Why the first page is not one of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// A later format.
    Newer(u32),
    /// Anything else, in words.
    Damaged(&'static str),
}

/// The first page of a new file: the empty store, acknowledged.
pub(crate) fn first_page() -> [u8; PAGE] {
    let mut page = [0; PAGE];
    page[..MAGIC.len()].copy_from_slice(&MAGIC);
    page[FORMAT_AT..FORMAT_AT + 4].copy_from_slice(&FORMAT.to_le_bytes());
    let checksum = xxh3_128(&page[..CHECKSUM_AT]).to_le_bytes();
    page[CHECKSUM_AT..FIXED].copy_from_slice(&checksum);
    for slot in SLOTS {
        let mark = encode_mark(Mark { revision: Revision(0), digest: GENESIS });
        page[slot..slot + MARK].copy_from_slice(&mark);
    }
    page
}

/// Reads the first page.
pub(crate) fn parse(page: &[u8; PAGE]) -> Result<Page, Refused> {
    if page[..MAGIC.len()] != MAGIC {
        return Err(Refused::Damaged("it does not begin as a weir store does"));
    }
    if page[CHECKSUM_AT..FIXED] != xxh3_128(&page[..CHECKSUM_AT]).to_le_bytes() {
        return Err(Refused::Damaged("its first bytes do not match their checksum"));
    }
    let (format, _) = page[FORMAT_AT..].split_first_chunk().ok_or(Refused::Damaged("it is cut short"))?;
    match u32::from_le_bytes(*format) {
        FORMAT => {}
        newer if newer > FORMAT => return Err(Refused::Newer(newer)),
        _ => return Err(Refused::Damaged("its format is one that never was")),
    }
    let marks = SLOTS.iter().enumerate().filter_map(|(slot, at)| {
        let acknowledged = decode_mark(&page[*at..*at + MARK])?;
        Some(Page { acknowledged, slot })
    });
    marks
        .max_by_key(|page| page.acknowledged.revision)
        .ok_or(Refused::Damaged("neither of its marks matches its checksum"))
}

/// Where in the file the mark of `slot` is kept.
pub(crate) fn mark_offset(slot: usize) -> u64 {
    SLOTS[slot % SLOTS.len()] as u64
}

/// The bytes of a mark.
pub(crate) fn encode_mark(mark: Mark) -> [u8; MARK] {
    let mut out = [0; MARK];
    out[..8].copy_from_slice(&mark.revision.0.to_le_bytes());
    out[8..40].copy_from_slice(&mark.digest);
    let checksum = xxh3_128(&out[..40]).to_le_bytes();
    out[40..].copy_from_slice(&checksum);
    out
}

fn decode_mark(stored: &[u8]) -> Option<Mark> {
    let (covered, checksum) = stored.split_last_chunk::<16>()?;
    if xxh3_128(covered).to_le_bytes() != *checksum {
        return None;
    }
    let (revision, rest) = covered.split_first_chunk()?;
    let (digest, _) = rest.split_first_chunk()?;
    Some(Mark { revision: Revision(u64::from_le_bytes(*revision)), digest: *digest })
}

#[cfg(test)]
mod tests;
