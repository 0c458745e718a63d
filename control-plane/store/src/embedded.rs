//! The store in one file of one process: finding, creating and locking it, and the face the rest of weir sees.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::database::Database;
use crate::layout::{self, Mark};
use crate::medium::Medium;
use crate::options::{Options, PAGE_BYTES, QUEUE_REQUESTS};
use crate::record::GENESIS;
use crate::replay::undo;
use crate::writer::{Job, Request, Shared, Writer};
use crate::{Attribution, Change, Commit, Revision, State, Store, StoreError};

/// The store's file in its directory. Beside it lie `weir.store.lock`, which is empty and says by its lock whether the
/// store is in use, and, if the first start was interrupted, `weir.store.new`, which the next start replaces.
pub const FILE_NAME: &str = "weir.store";

/// A [`Store`] in one file, owned by one process.
///
/// Dropping it waits for the batches in the queue and closes the file.
pub struct Embedded {
    shared: Arc<Shared>,
    options: Options,
    /// `None` only while dropping.
    queue: Option<SyncSender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// Held to the end.
    _lock: Option<File>,
}

impl Embedded {
    /// Opens the store in `dir`, creating both where they are not there yet (the file readable by its owner alone).
    ///
    /// Everything in the file is read and verified first, in time proportional to its size; a file that does not pass
    /// is left exactly as it was.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`], [`StoreError::Damaged`], [`StoreError::NewerFormat`], [`StoreError::Full`] and
    /// [`StoreError::Io`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        let lock = lock(&dir.join(format!("{FILE_NAME}.lock")))?;
        let path = dir.join(FILE_NAME);
        if !path.try_exists().map_err(at(&path))? {
            create(dir, &path)?;
        }
        // Also where it existed: whoever created it may have been stopped before saying so to the disk.
        sync_dir(dir)?;
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(at(&path))?;
        Self::start(Arc::new(file), path, options, Some(lock))
    }

    /// Opens the store on any medium that holds one.
    pub(crate) fn start(
        medium: Arc<dyn Medium>,
        path: PathBuf,
        options: Options,
        lock: Option<File>,
    ) -> Result<Self, StoreError> {
        let (queue, requests) = sync_channel(QUEUE_REQUESTS);
        let (writer, shared) = Writer::open(medium, path, options, requests)?;
        let writer = std::thread::Builder::new()
            .name("weir-store".into())
            .spawn(move || writer.run())
            .map_err(at(&shared.path))?;
        Ok(Self { shared, options, queue: Some(queue), writer: Some(writer), _lock: lock })
    }

    /// Runs `work` on the newest database. One which the disk has failed under is replaced first, if that can be done.
    fn read<T>(&self, mut work: impl FnMut(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // A write that fails meanwhile ends the database a second time; more than that is the disk's own answer.
        const TRIES: u32 = 3;
        for _ in 1..TRIES {
            if let Some(database) = self.database() {
                match work(&database) {
                    Err(_) if database.failed() => {}
                    outcome => return outcome,
                }
            }
            let (done, mended) = sync_channel(1);
            self.ask(Request::Mend(done))?;
            mended.recv().map_err(|_| self.gone())?;
        }
        let closed = || io::Error::other("history can't be read after an earlier error");
        work(&*self.database().ok_or_else(|| StoreError::io(&self.shared.path, closed()))?)
    }

    fn database(&self) -> Option<Arc<Database>> {
        self.shared.database.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ask(&self, request: Request) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or_else(|| self.gone())?;
        queue.send(request).map_err(|_| self.gone())
    }

    fn gone(&self) -> StoreError {
        StoreError::io(&self.shared.path, io::Error::other("the store's writer has stopped"))
    }
}

impl Store for Embedded {
    fn state(&self) -> State {
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn apply(
        &self,
        expected: Option<Revision>,
        changes: Vec<Change>,
        by: Attribution,
    ) -> Result<Commit, StoreError> {
        self.options.check(&changes, &by)?;
        let (answer, answered) = sync_channel(1);
        self.ask(Request::Batch(Job { expected, changes, by, answer }))?;
        answered.recv().map_err(|_| self.gone())?
    }

    fn at(&self, revision: Revision) -> Result<State, StoreError> {
        let path = &self.shared.path;
        self.read(|database| {
            let newest = self.state();
            if revision > newest.revision {
                return Err(StoreError::Future { requested: revision, current: newest.revision });
            }
            if revision == newest.revision {
                return Ok(newest);
            }
            let mut entries = (*newest.entries).clone();
            let (mut reached, mut undone) = (newest.revision, Ok(()));
            let head = database.walk(revision.0 + 1..=newest.revision.0, true, path, |record, _, _| {
                let this = record.revision;
                if this != reached {
                    return ControlFlow::Break(());
                }
                reached = Revision(this.0 - 1);
                undone = undo(&mut entries, record);
                if undone.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            undone.map_err(|why| StoreError::damaged(path, why))?;
            if reached == revision {
                return Ok(State { revision, entries: Arc::new(entries) });
            }
            if revision < head.base {
                return Err(StoreError::Compacted { requested: revision, oldest: head.base });
            }
            Err(StoreError::damaged(path, format!("the record of revision {reached} is missing")))
        })
    }

    fn history(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.read(|database| {
            let current = self.state().revision;
            if after > current {
                return Err(StoreError::Future { requested: after, current });
            }
            let mut page = Page::new(limit);
            // Records past `current` may be durable already but are not acknowledged yet.
            let revisions = after.0 + 1..=current.0;
            let head = database.walk(revisions, false, &self.shared.path, |record, digest, size| {
                page.add(size, || record.into_commit(digest))
            })?;
            if after < head.base {
                return Err(StoreError::Compacted { requested: after, oldest: head.base });
            }
            Ok(page.commits)
        })
    }

    fn history_before(&self, before: Option<Revision>, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.read(|database| {
            let newest = self.state().revision.0;
            let last = before.map_or(newest, |before| before.0.saturating_sub(1).min(newest));
            let mut page = Page::new(limit);
            database.walk(1..=last, true, &self.shared.path, |record, digest, size| {
                page.add(size, || record.into_commit(digest))
            })?;
            Ok(page.commits)
        })
    }

    fn watch(&self) -> watch::Receiver<Revision> {
        self.shared.watch.subscribe()
    }

    fn verify(&self) -> Result<Revision, StoreError> {
        let path = &self.shared.path;
        self.read(|database| {
            let known = self.state();
            let nothing = Mark { revision: Revision(0), digest: GENESIS };
            let loaded = database.audit(nothing, path)?;
            let newest = loaded.head.revision;
            if newest < known.revision || (newest == known.revision && loaded.entries != *known.entries) {
                return Err(StoreError::damaged(path, "it does not hold what was acknowledged"));
            }
            Ok(newest)
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

/// One answer of history: so many commits, and so many bytes.
struct Page {
    commits: Vec<Commit>,
    limit: usize,
    bytes: usize,
}

impl Page {
    fn new(limit: usize) -> Self {
        Self { commits: Vec::new(), limit, bytes: 0 }
    }

    fn add(&mut self, size: usize, commit: impl FnOnce() -> Commit) -> ControlFlow<()> {
        let room = self.commits.is_empty() || self.bytes + size <= PAGE_BYTES;
        if self.commits.len() >= self.limit || !room {
            return ControlFlow::Break(());
        }
        self.bytes += size;
        self.commits.push(commit());
        ControlFlow::Continue(())
    }
}

/// Writes an empty store beside its place and moves it there whole, so that an interrupted first start leaves nothing
/// that could be taken for a damaged store.
fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let new = dir.join(format!("{FILE_NAME}.new"));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(&new, error)),
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&new);
    let file = Arc::new(file.map_err(at(&new))?);
    initialise(Arc::clone(&file) as Arc<dyn Medium>, &new)?;
    file.sync_all().map_err(at(&new))?;
    std::fs::rename(&new, path).map_err(at(path))?;
    // The directory's own name may be new as well.
    match dir.canonicalize().map_err(at(dir))?.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes an empty medium an empty store.
pub(crate) fn initialise(medium: Arc<dyn Medium>, path: &Path) -> Result<(), StoreError> {
    medium.write_at(0, &layout::first_page()).map_err(at(path))?;
    Database::create(medium, path)
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io(path, error)),
    }
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |error| StoreError::io(path, error)
}

#[cfg(test)]
mod tests;
