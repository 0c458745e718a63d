//! What the tests share: a medium in memory that fails, fills up and loses power on demand, and short-hands.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::embedded::initialise;
use crate::medium::Medium;
use crate::{Attribution, Change, Embedded, Options, StoreError};

/// A small generator (SplitMix64), so that a failure replays from its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    /// The content at the last sync, and what has been done since.
    durable: Vec<u8>,
    pending: Vec<Step>,
    /// Writes, length changes and syncs so far; syncs among them.
    steps: u64,
    syncs: u64,
    fault: Option<Fault>,
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64, Vec<u8>),
    Len(u64),
}

/// What goes wrong until [`Memory::heal`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Every step from this one on fails; a failing write leaves its first half behind.
    From(u64, io::ErrorKind),
    /// Writes past this offset find no room.
    FullPast(u64),
    /// Syncs fail, and as with a real page cache what they should have written is never tried again, though reads
    /// still find it.
    Sync,
    /// Only this step fails.
    Once(u64),
    /// Reads fail.
    Reads,
}

impl Memory {
    pub(crate) fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { durable: bytes.clone(), bytes, ..Inner::default() })))
    }

    /// A medium with an empty store on it.
    pub(crate) fn with_store() -> Arc<Self> {
        let memory = Self::new(Vec::new());
        initialise(Arc::clone(&memory) as Arc<dyn Medium>, &path()).unwrap();
        memory
    }

    pub(crate) fn open(self: &Arc<Self>, options: Options) -> Result<Embedded, StoreError> {
        Embedded::start(Arc::clone(self) as Arc<dyn Medium>, path(), options, None)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().unwrap().steps
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.0.lock().unwrap().fault = Some(fault);
    }

    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().fault = None;
    }

    /// What could be found after the power failed now: what was synced, with any of the sectors written since, and
    /// the length of any moment since.
    pub(crate) fn after_power_loss(&self, random: &mut Random) -> Arc<Self> {
        let inner = self.0.lock().unwrap();
        let mut bytes = inner.durable.clone();
        let lens = inner.pending.iter().filter(|step| matches!(step, Step::Len(_))).count() as u64;
        let mut lens_kept = random.below(lens + 1);
        let share = random.below(101);
        for step in &inner.pending {
            match step {
                Step::Len(len) if lens_kept > 0 => {
                    lens_kept -= 1;
                    bytes.resize(*len as usize, 0);
                }
                Step::Len(_) => {}
                Step::Write(offset, data) => {
                    const SECTOR: usize = 512;
                    let mut at = *offset as usize;
                    let mut rest = data.as_slice();
                    while !rest.is_empty() {
                        let size = (SECTOR - at % SECTOR).min(rest.len());
                        if random.chance(share) && at + size <= bytes.len() {
                            bytes[at..at + size].copy_from_slice(&rest[..size]);
                        }
                        (at, rest) = (at + size, &rest[size..]);
                    }
                }
            }
        }
        Self::new(bytes)
    }
}

impl Inner {
    fn step(&mut self, end: Option<u64>, sync: bool) -> io::Result<()> {
        let this = self.steps;
        self.steps += 1;
        match self.fault {
            Some(Fault::From(first, kind)) if this >= first => Err(kind.into()),
            Some(Fault::Once(step)) if this == step => Err(io::Error::other("once")),
            Some(Fault::FullPast(limit)) if end.is_some_and(|end| end > limit) => {
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(Fault::Sync) if sync => Err(io::Error::other("sync")),
            _ => Ok(()),
        }
    }

    fn put(&mut self, offset: u64, data: &[u8]) {
        let (start, end) = (offset as usize, offset as usize + data.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            self.pending.push(Step::Len(end as u64));
        }
        self.bytes[start..end].copy_from_slice(data);
        self.pending.push(Step::Write(offset, data.to_vec()));
    }
}

impl Medium for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.0.lock().unwrap();
        if matches!(inner.fault, Some(Fault::Reads)) {
            return Err(io::Error::other("unreadable"));
        }
        let found = usize::try_from(offset).ok().and_then(|start| inner.bytes.get(start..start + out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let end = offset + data.len() as u64;
        if let Err(error) = inner.step(Some(end), false) {
            inner.put(offset, &data[..data.len() / 2]);
            return Err(error);
        }
        inner.put(offset, data);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        // Making a file longer takes no room: it is sparse.
        inner.step(None, false)?;
        inner.bytes.resize(len as usize, 0);
        inner.pending.push(Step::Len(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if let Err(error) = inner.step(None, true) {
            inner.pending.retain(|step| matches!(step, Step::Len(_)));
            return Err(error);
        }
        inner.syncs += 1;
        // Replayed rather than copied: the medium may be large and a sync small.
        let Inner { durable, pending, .. } = &mut *inner;
        for step in pending.drain(..) {
            match step {
                Step::Len(len) => durable.resize(len as usize, 0),
                Step::Write(offset, data) => durable[offset as usize..][..data.len()].copy_from_slice(&data),
            }
        }
        Ok(())
    }
}

pub(crate) fn path() -> PathBuf {
    "/memory/weir.store".into()
}

pub(crate) fn put(key: &str, value: impl AsRef<[u8]>) -> Change {
    Change::Put { key: key.into(), value: value.as_ref().into() }
}

pub(crate) fn delete(key: &str) -> Change {
    Change::Delete { key: key.into() }
}

pub(crate) fn by(author: &str) -> Attribution {
    Attribution {
        author: author.into(),
        message: format!("{author} says so"),
        unix_millis: 1_800_000_000_000,
    }
}
