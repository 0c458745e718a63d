//! The one thread that writes. It takes every batch that is waiting, plans them in order, writes them in one
//! transaction, and answers all of them when the disk has it.
//!
//! **Memory equals disk.** A failed write leaves a file whose last pages nobody can vouch for. The writer then ends the
//! database, puts the database's header back as it was at the last successful `sync` (all else is copied on write, so
//! that is the last durable commit), opens it anew, and takes as the state whatever is then on the disk. While the
//! disk refuses even that, readers are served from a view of the last durable commit, and the next batch tries again.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::backend::{Control, HEADER, Live};
use crate::database::{Database, Group, Loaded};
use crate::layout::{self, DATA, Mark};
use crate::medium::Medium;
use crate::options::{GROUP_BYTES, GROUP_REQUESTS, Options};
use crate::plan::{Plan, state_bytes};
use crate::record::Head;
use crate::{Attribution, Change, Commit, Entry, Revision, State, StoreError};

/// What can be asked of the writer.
pub(crate) enum Request {
    /// To apply a batch.
    Batch(Job),
    /// To replace a database that has failed under a reader, and say when that has been tried.
    Mend(SyncSender<()>),
}

/// One batch in the queue.
pub(crate) struct Job {
    pub(crate) expected: Option<Revision>,
    pub(crate) changes: Vec<Change>,
    pub(crate) by: Attribution,
    pub(crate) answer: SyncSender<Result<Commit, StoreError>>,
}

/// What the writer and the readers share.
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    /// The newest acknowledged state.
    pub(crate) state: RwLock<State>,
    /// The database to read history from; locked for writing while it is being replaced.
    pub(crate) database: RwLock<Option<Arc<Database>>>,
    pub(crate) watch: watch::Sender<Revision>,
}

/// The writer.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    options: Options,
    medium: Arc<dyn Medium>,
    requests: Receiver<Request>,
    database: Option<Arc<Database>>,
    control: Arc<Control>,
    /// `Some` from a failure until the medium is settled: the database's header at the last successful `sync`.
    unsettled: Option<Vec<u8>>,
    head: Head,
    entries: Arc<BTreeMap<String, Entry>>,
    state_bytes: usize,
    /// The size of every record kept, oldest first, and their sum.
    sizes: VecDeque<u64>,
    history_bytes: u64,
    /// The slot of the newest mark.
    slot: usize,
}

impl Writer {
    /// Judges the medium, opens it, and is ready to write. The medium is untouched if this fails on its content.
    pub(crate) fn open(
        medium: Arc<dyn Medium>,
        path: PathBuf,
        options: Options,
        requests: Receiver<Request>,
    ) -> Result<(Self, Arc<Shared>), StoreError> {
        let io = |error| StoreError::io(&path, error);
        let mut page = [0; layout::PAGE];
        medium.read_at(0, &mut page).map_err(io)?;
        let page = layout::parse(&page).map_err(|refused| match refused {
            layout::Refused::Damaged(why) => StoreError::damaged(&path, why),
            layout::Refused::Newer(found) => {
                StoreError::NewerFormat { path: path.clone(), found, supported: layout::FORMAT }
            }
        })?;
        let mut header = vec![0; HEADER];
        medium.read_at(DATA, &mut header).map_err(io)?;

        let (view, loaded) = Database::inspect(Arc::clone(&medium), page.acknowledged, &path)?;
        drop(view);
        let (live, control) = Live::new(Arc::clone(&medium), header);
        let database = Arc::new(Database::open(live, Arc::clone(&control), loaded.head, &path)?);

        let shared = Arc::new(Shared {
            path,
            state: RwLock::new(State::default()),
            database: RwLock::new(Some(Arc::clone(&database))),
            watch: watch::Sender::new(loaded.head.revision),
        });
        let mut writer = Self {
            shared: Arc::clone(&shared),
            options,
            medium,
            requests,
            database: Some(database),
            control,
            unsettled: None,
            head: Head::EMPTY,
            entries: Arc::default(),
            state_bytes: 0,
            sizes: VecDeque::new(),
            history_bytes: 0,
            slot: page.slot,
        };
        let marked = page.acknowledged.revision;
        writer.adopt(loaded);
        if writer.head.revision > marked {
            writer.mark();
        }
        Ok((writer, shared))
    }

    /// Serves the queue until its last sender is gone, then closes the database.
    pub(crate) fn run(mut self) {
        while let Ok(first) = self.requests.recv() {
            match self.settle() {
                Ok(()) => self.group(first),
                Err(error) => self.refuse(first, &error),
            }
        }
        *self.shared.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        if self.unsettled.is_some() {
            self.control.end();
        }
    }

    /// Takes `first` and what else is waiting through one transaction.
    fn group(&mut self, first: Request) {
        let durable = Arc::clone(&self.entries);
        let mut plan = Plan::new(&durable, self.head.revision, self.head.digest, self.state_bytes);
        let (mut answers, mut mended) = (Vec::new(), Vec::new());
        let (mut records, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(request) = next.take() {
            match request {
                Request::Batch(job) => {
                    let planned = plan.add(job.expected, job.changes, job.by, &self.options);
                    let outcome = planned.map(|planned| {
                        if let Some(record) = planned.record {
                            bytes += record.len();
                            records.push((planned.commit.revision, record));
                        }
                        planned.commit
                    });
                    answers.push((job.answer, outcome));
                }
                Request::Mend(done) => mended.push(done),
            }
            if answers.len() + mended.len() < GROUP_REQUESTS && bytes < GROUP_BYTES {
                next = self.requests.try_recv().ok();
            }
        }
        // Refusals too wait for the disk: they may rest on batches which are not there yet.
        let written = if records.is_empty() { Ok(()) } else { self.write(&plan, &records) };
        // Whoever no longer waits needs no answer; so below.
        for (answer, outcome) in answers {
            _ = answer.send(written.clone().and(outcome));
        }
        for done in mended {
            _ = done.send(());
        }
    }

    /// Answers `first` and what else is waiting with `error`, and nobody who asks after the first answer.
    fn refuse(&self, first: Request, error: &StoreError) {
        let waiting: Vec<Request> =
            std::iter::once(first).chain(self.requests.try_iter().take(GROUP_REQUESTS)).collect();
        for request in waiting {
            match request {
                Request::Batch(job) => _ = job.answer.send(Err(error.clone())),
                Request::Mend(done) => _ = done.send(()),
            }
        }
    }

    fn write(&mut self, plan: &Plan<'_>, records: &[(Revision, Vec<u8>)]) -> Result<(), StoreError> {
        let Some(database) = self.database.clone() else {
            return Err(StoreError::damaged(&self.shared.path, "its database is not open"));
        };
        let sizes = records.iter().map(|(_, record)| record.len() as u64);
        self.sizes.extend(sizes.clone());
        self.history_bytes += sizes.sum::<u64>();
        let mut last = self.head.base.0;
        while self.sizes.len() > self.options.history_revisions.max(1)
            || (self.history_bytes > self.options.history_bytes && self.sizes.len() > 1)
        {
            self.history_bytes -= self.sizes.pop_front().unwrap_or(0);
            last += 1;
        }
        let group = Group {
            records,
            entries: &plan.overlay,
            revision: plan.revision,
            digest: plan.digest,
            forget: (last > self.head.base.0).then(|| self.head.base.0 + 1..=last),
        };
        match database.commit(&group, &self.shared.path) {
            Ok(head) => {
                let mut entries = (*self.entries).clone();
                for (key, entry) in &plan.overlay {
                    match entry {
                        Some(entry) => entries.insert(key.clone(), entry.clone()),
                        None => entries.remove(key),
                    };
                }
                (self.head, self.entries, self.state_bytes) = (head, Arc::new(entries), plan.state_bytes);
                self.mark();
                self.publish();
                Ok(())
            }
            Err(error) => {
                drop(database);
                tracing::warn!(%error, "a write failed; returning to the last durable revision");
                self.unsettled = Some(self.control.durable_header());
                match self.settle() {
                    // It had reached the disk, and the error came after.
                    Ok(()) if (self.head.revision, self.head.digest) == (plan.revision, plan.digest) => {
                        Ok(())
                    }
                    Ok(()) => Err(error),
                    Err(unsettled) => {
                        tracing::warn!(error = %unsettled, "the store can't be written for now; it still serves reads");
                        Err(error)
                    }
                }
            }
        }
    }

    /// After a failure, brings the medium back to its last durable commit and memory to the same.
    fn settle(&mut self) -> Result<(), StoreError> {
        // A database fails for good with the first error of the medium, also with one that a reader met.
        if self.unsettled.is_none() && self.database.as_ref().is_some_and(|database| database.failed()) {
            self.unsettled = Some(self.control.durable_header());
        }
        let Some(header) = self.unsettled.clone() else { return Ok(()) };
        let shared = Arc::clone(&self.shared);
        let path = &shared.path;
        let mut readers = shared.database.write().unwrap_or_else(PoisonError::into_inner);
        self.control.end();
        (self.database, *readers) = (None, None);

        let restored = Restored { medium: Arc::clone(&self.medium), header: header.clone() };
        let acknowledged = Mark { revision: self.head.revision, digest: self.head.digest };
        let (view, loaded) = Database::inspect(Arc::new(restored), acknowledged, path)?;
        *readers = Some(Arc::new(view));

        let put_back = self.medium.write_at(DATA, &header).and_then(|()| self.medium.sync());
        put_back.map_err(|error| StoreError::io(path, error))?;
        let (live, control) = Live::new(Arc::clone(&self.medium), header);
        self.control = Arc::clone(&control);
        let opened = Database::open(live, control, loaded.head, path);
        if opened.is_err() {
            self.unsettled = Some(self.control.durable_header());
            self.control.end();
        }
        let database = Arc::new(opened?);
        *readers = Some(Arc::clone(&database));
        drop(readers);
        (self.database, self.unsettled) = (Some(database), None);
        if loaded.head.revision > self.head.revision {
            self.adopt(loaded);
            self.mark();
        } else {
            self.adopt(loaded);
        }
        tracing::info!(revision = self.head.revision.0, "the store can be written again");
        Ok(())
    }

    /// Makes what was read from the disk what memory holds.
    fn adopt(&mut self, loaded: Loaded) {
        self.state_bytes = state_bytes(&loaded.entries);
        self.history_bytes = loaded.sizes.iter().sum();
        (self.head, self.entries, self.sizes) = (loaded.head, Arc::new(loaded.entries), loaded.sizes);
        self.publish();
    }

    /// Notes on the medium that the newest revision is about to be acknowledged.
    fn mark(&mut self) {
        let mark = Mark { revision: self.head.revision, digest: self.head.digest };
        let slot = self.slot ^ 1;
        match self.medium.write_at(layout::mark_offset(slot), &layout::encode_mark(mark)) {
            Ok(()) => self.slot = slot,
            // The revision is durable all the same; what is lost is a way to notice later damage.
            Err(error) => tracing::warn!(%error, revision = mark.revision.0, "could not mark a revision"),
        }
    }

    /// Shows the newest state to readers, then wakes watchers.
    fn publish(&self) {
        let state = State { revision: self.head.revision, entries: Arc::clone(&self.entries) };
        let previous =
            std::mem::replace(&mut *self.shared.state.write().unwrap_or_else(PoisonError::into_inner), state);
        self.shared.watch.send_if_modified(|revision| {
            std::mem::replace(revision, self.head.revision) != self.head.revision
        });
        drop(previous);
    }
}

/// A medium as it will be when the database's header is put back.
#[derive(Debug)]
struct Restored {
    medium: Arc<dyn Medium>,
    header: Vec<u8>,
}

impl Medium for Restored {
    fn len(&self) -> std::io::Result<u64> {
        self.medium.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.medium.read_at(offset, out)?;
        let header = DATA..DATA + self.header.len() as u64;
        for (at, byte) in (offset..).zip(out) {
            if header.contains(&at) {
                *byte = self.header[(at - DATA) as usize];
            } else if at >= header.end {
                break;
            }
        }
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn set_len(&self, _: u64) -> std::io::Result<()> {
        Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
