//! What the database reads and writes through: the medium itself, or a view of it whose writes stay in memory.
//!
//! Both begin [`DATA`] bytes into the medium. The view is how a file is judged before it is touched: the database
//! writes as it opens (it recovers from a crash, it rebuilds its allocator), and a file that turns out damaged must be
//! left as it was found.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::layout::{DATA, PAGE};
use crate::medium::Medium;

/// Bytes at the start of the database which it overwrites in place. All else is copied on write, so the medium with
/// this many bytes put back as they were at the last `sync` holds the last durable commit.
pub(crate) const HEADER: usize = PAGE;

/// The medium itself.
#[derive(Debug)]
pub(crate) struct Live {
    medium: Arc<dyn Medium>,
    control: Arc<Control>,
}

/// The store's hold on a [`Live`] it has given to a database.
#[derive(Debug)]
pub(crate) struct Control {
    ended: AtomicBool,
    header: Mutex<Header>,
    cause: Mutex<Option<Arc<io::Error>>>,
}

#[derive(Debug)]
struct Header {
    written: Vec<u8>,
    durable: Vec<u8>,
}

impl Live {
    /// `header` is what the database's first [`HEADER`] bytes are now.
    pub(crate) fn new(medium: Arc<dyn Medium>, header: Vec<u8>) -> (Self, Arc<Control>) {
        let header = Mutex::new(Header { written: header.clone(), durable: header });
        let control = Arc::new(Control { ended: AtomicBool::new(false), header, cause: Mutex::new(None) });
        (Self { medium, control: Arc::clone(&control) }, control)
    }
}

impl Control {
    /// From here on the database can neither read nor write. A database closes by writing; one that failed must not.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// The header as of the last successful `sync`.
    pub(crate) fn durable_header(&self) -> Vec<u8> {
        lock(&self.header).durable.clone()
    }

    /// The first error the medium answered with: the database repeats only that there was one.
    pub(crate) fn cause(&self) -> Option<Arc<io::Error>> {
        lock(&self.cause).clone()
    }

    fn check(&self) -> io::Result<()> {
        if self.ended.load(Ordering::SeqCst) {
            return Err(io::Error::other("the database has been closed after an error"));
        }
        Ok(())
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            let cause = Arc::clone(lock(&self.cause).get_or_insert_with(|| Arc::new(error)));
            io::Error::new(kind, cause)
        })
    }
}

impl StorageBackend for Live {
    fn len(&self) -> io::Result<u64> {
        self.control.check()?;
        self.control.note(self.medium.len().map(|len| len.saturating_sub(DATA)))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.control.check()?;
        self.control.note(self.medium.read_at(shifted(offset)?, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.control.check()?;
        self.control.note(self.medium.set_len(shifted(len)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.control.check()?;
        self.control.note(self.medium.sync())?;
        let mut header = lock(&self.control.header);
        header.durable = header.written.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.control.check()?;
        if let Some(start) = usize::try_from(offset).ok().filter(|start| *start < HEADER) {
            let mut header = lock(&self.control.header);
            let len = data.len().min(HEADER - start);
            header.written[start..start + len].copy_from_slice(&data[..len]);
        }
        self.control.note(self.medium.write_at(shifted(offset)?, data))
    }
}

/// The medium with changes that are kept in memory, page by page, and forgotten with the view.
///
/// What it can come to hold is what opening a database writes: its header, and the tree of its allocator's state.
#[derive(Debug)]
pub(crate) struct View {
    medium: Arc<dyn Medium>,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    len: u64,
    /// Bytes of the medium that still show through: zeros follow where the view was cut and grew again.
    shown: u64,
    pages: HashMap<u64, Box<[u8; PAGE]>>,
}

impl View {
    pub(crate) fn new(medium: Arc<dyn Medium>) -> io::Result<Self> {
        let len = medium.len()?.saturating_sub(DATA);
        Ok(Self { medium, changes: Mutex::new(Changes { len, shown: len, pages: HashMap::new() }) })
    }

    /// The content of one page (counted from the start of the database), past the end as zeros.
    fn page(&self, changes: &Changes, index: u64) -> io::Result<Box<[u8; PAGE]>> {
        if let Some(page) = changes.pages.get(&index) {
            return Ok(page.clone());
        }
        let mut page = Box::new([0; PAGE]);
        let start = index * DATA;
        let len = changes.shown.saturating_sub(start).min(DATA) as usize;
        if len > 0 {
            self.medium.read_at(shifted(start)?, &mut page[..len])?;
        }
        Ok(page)
    }
}

impl StorageBackend for View {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.changes).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = lock(&self.changes);
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= changes.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        // Most reads touch no changed page and are then one read of the medium.
        let pages = offset / DATA..end.div_ceil(DATA);
        if end <= changes.shown && !pages.clone().any(|index| changes.pages.contains_key(&index)) {
            return self.medium.read_at(shifted(offset)?, out);
        }
        for (index, span, within) in spans(offset, out.len()) {
            out[span].copy_from_slice(&self.page(&changes, index)?[within]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changes = lock(&self.changes);
        if len < changes.len {
            let partial = len / DATA;
            changes.pages.retain(|index, _| *index <= partial);
            if let Some(page) = changes.pages.get_mut(&partial) {
                page[(len % DATA) as usize..].fill(0);
            }
            changes.shown = changes.shown.min(len);
        }
        changes.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = lock(&self.changes);
        let end = offset.checked_add(data.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        for (index, span, within) in spans(offset, data.len()) {
            let mut page = self.page(&changes, index)?;
            page[within].copy_from_slice(&data[span]);
            changes.pages.insert(index, page);
        }
        changes.len = changes.len.max(end);
        Ok(())
    }
}

/// The pages `len` bytes from `offset` lie in: page, range within the bytes, range within the page.
fn spans(
    offset: u64,
    len: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        (done < len).then(|| {
            let at = offset + done as u64;
            let within = (at % DATA) as usize;
            let size = (PAGE - within).min(len - done);
            let span = done..done + size;
            done += size;
            (at / DATA, span, within..within + size)
        })
    })
}

fn shifted(offset: u64) -> io::Result<u64> {
    offset.checked_add(DATA).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Nothing panics while these locks are held but the database, whose state is then given up anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
