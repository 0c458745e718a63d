//! The tables, and the database they are in: the only module that speaks `redb`.
//!
//! Three tables: the head (one row), the entries by key, the records by revision. A database is opened twice. First
//! over a view whose writes stay in memory: it recovers there, its every page is verified, and everything of ours is
//! read and audited. Only a database that passes is then opened on the medium itself. `redb` promises not to panic on
//! a damaged file opened with an integrity check; should it do so all the same, that is caught and is damage.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{ControlFlow, RangeInclusive};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::{
    Builder, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend, TableDefinition,
};

use crate::backend::{Control, Live, View};
use crate::layout::Mark;
use crate::medium::Medium;
use crate::options::CACHE_BYTES;
use crate::record::{Digest, Head, Record, decode_entry, encode_entry};
use crate::replay::Audit;
use crate::{Entry, Revision, StoreError};

const HEAD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("head");
const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
const HEAD_KEY: &str = "head";

/// An open database.
pub(crate) struct Database {
    redb: redb::Database,
    /// `None` over a view.
    control: Option<Arc<Control>>,
}

/// Everything a database holds, read and audited.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) head: Head,
    pub(crate) entries: BTreeMap<String, Entry>,
    /// The size of every record kept, oldest first.
    pub(crate) sizes: VecDeque<u64>,
}

/// One group of batches, as the tables see it.
pub(crate) struct Group<'a> {
    /// New records, ascending.
    pub(crate) records: &'a [(Revision, Vec<u8>)],
    /// Keys to put or, with `None`, to remove.
    pub(crate) entries: &'a BTreeMap<String, Option<Entry>>,
    pub(crate) revision: Revision,
    pub(crate) digest: Digest,
    /// Records to forget, from the oldest kept to this one; may include new ones.
    pub(crate) forget: Option<RangeInclusive<u64>>,
}

/// What a database can answer with besides what was asked for.
pub(crate) enum Failure {
    Redb(redb::Error),
    Damaged(String),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl Database {
    /// Makes the tables on an empty medium, over the database's part of it.
    pub(crate) fn create(medium: Arc<dyn Medium>, path: &Path) -> Result<(), StoreError> {
        let (live, control) = Live::new(medium, vec![0; crate::backend::HEADER]);
        let created = guarded(|| {
            let redb = builder().create_with_backend(live)?;
            let transaction = redb.begin_write()?;
            transaction.open_table(ENTRIES)?;
            transaction.open_table(RECORDS)?;
            transaction.open_table(HEAD)?.insert(HEAD_KEY, Head::EMPTY.encode().as_slice())?;
            transaction.commit()?;
            Ok(redb.close()?)
        });
        created.map_err(|failure| failure.at(path, control.cause()))
    }

    /// Opens a view of `medium` and reads everything in it, changing nothing.
    pub(crate) fn inspect(
        medium: Arc<dyn Medium>,
        acknowledged: Mark,
        path: &Path,
    ) -> Result<(Self, Loaded), StoreError> {
        let view = View::new(medium).map_err(|error| StoreError::io(path, error))?;
        let inspected = guarded(|| {
            let database = Self { redb: open(view)?, control: None };
            let loaded = database.load(acknowledged)?;
            Ok((database, loaded))
        });
        inspected.map_err(|failure| failure.at(path, None))
    }

    /// Opens the medium itself, which [`inspect`](Self::inspect) has found to be at `head`.
    pub(crate) fn open(
        live: Live,
        control: Arc<Control>,
        head: Head,
        path: &Path,
    ) -> Result<Self, StoreError> {
        let cause = Arc::clone(&control);
        let opened = guarded(|| {
            let database = Self { redb: open(live)?, control: Some(control) };
            let found = read_head(&database.redb.begin_read()?.open_table(HEAD)?)?;
            if found != head {
                return Err(Failure::Damaged("it reads differently the second time".into()));
            }
            Ok(database)
        });
        opened.map_err(|failure| failure.at(path, cause.cause()))
    }

    /// Whether the medium has failed under it, so that only a new one can answer.
    pub(crate) fn failed(&self) -> bool {
        self.control.as_ref().is_some_and(|control| control.cause().is_some())
    }

    /// Reads everything and audits it.
    pub(crate) fn load(&self, acknowledged: Mark) -> Result<Loaded, Failure> {
        let transaction = self.redb.begin_read()?;
        let head = read_head(&transaction.open_table(HEAD)?)?;
        let mut entries = BTreeMap::new();
        for row in transaction.open_table(ENTRIES)?.iter()? {
            let (key, stored) = row?;
            let entry = decode_entry(key.value(), stored.value()).map_err(Failure::Damaged)?;
            if entry.modified > head.revision {
                return Err(Failure::Damaged(format!("the entry {:?} is newer than the head", key.value())));
            }
            entries.insert(key.value().to_owned(), entry);
        }
        let records = transaction.open_table(RECORDS)?;
        // The walk below visits what lies between base and head; there must be nothing else.
        let kept = head.revision.0 - head.base.0;
        if records.len()? != kept {
            return Err(Failure::Damaged(format!("it has {} records and not {kept}", records.len()?)));
        }
        let mut sizes = VecDeque::with_capacity(usize::try_from(kept).unwrap_or(0));
        let mut audit = Audit::new(&entries, head, acknowledged).map_err(Failure::Damaged)?;
        for row in records.iter()? {
            let (revision, stored) = row?;
            let (record, digest) =
                Record::decode(Revision(revision.value()), stored.value()).map_err(Failure::Damaged)?;
            audit.record(&record, digest).map_err(Failure::Damaged)?;
            sizes.push_back(stored.value().len() as u64);
        }
        audit.finish().map_err(Failure::Damaged)?;
        Ok(Loaded { head, entries, sizes })
    }

    /// As [`load`](Self::load), for callers outside.
    pub(crate) fn audit(&self, acknowledged: Mark, path: &Path) -> Result<Loaded, StoreError> {
        guarded(|| self.load(acknowledged)).map_err(|failure| failure.at(path, self.cause()))
    }

    /// Visits the records in `revisions`, oldest first or newest first, until `visit` breaks. Answers with the head of
    /// the same moment; records older than its base are not there to be visited.
    pub(crate) fn walk(
        &self,
        revisions: RangeInclusive<u64>,
        newest_first: bool,
        path: &Path,
        mut visit: impl FnMut(Record, Digest, usize) -> ControlFlow<()>,
    ) -> Result<Head, StoreError> {
        let walked = guarded(|| {
            let transaction = self.redb.begin_read()?;
            let head = read_head(&transaction.open_table(HEAD)?)?;
            if revisions.is_empty() {
                return Ok(head);
            }
            let mut rows = transaction.open_table(RECORDS)?.range(revisions)?;
            while let Some(row) = if newest_first { rows.next_back() } else { rows.next() } {
                let (revision, stored) = row?;
                let (record, digest) =
                    Record::decode(Revision(revision.value()), stored.value()).map_err(Failure::Damaged)?;
                if visit(record, digest, stored.value().len()).is_break() {
                    break;
                }
            }
            Ok(head)
        });
        walked.map_err(|failure| failure.at(path, self.cause()))
    }

    /// Writes a group in one transaction and waits for the disk. Answers with the head it wrote.
    ///
    /// After an error the database is not to be used again, and whether the group is on the disk is for the next
    /// [`inspect`](Self::inspect) to say.
    pub(crate) fn commit(&self, group: &Group<'_>, path: &Path) -> Result<Head, StoreError> {
        guarded(|| self.write(group)).map_err(|failure| failure.at(path, self.cause()))
    }

    fn write(&self, group: &Group<'_>) -> Result<Head, Failure> {
        let transaction = self.redb.begin_write()?;
        let head = {
            let mut table = transaction.open_table(HEAD)?;
            let mut head = read_head(&table)?;
            let mut records = transaction.open_table(RECORDS)?;
            for (revision, record) in group.records {
                records.insert(revision.0, record.as_slice())?;
            }
            for revision in group.forget.clone().into_iter().flatten() {
                let stored = records.remove(revision)?;
                let digest = stored.as_ref().and_then(|stored| stored.value().last_chunk().copied());
                let missing = || Failure::Damaged(format!("the record of revision {revision} is missing"));
                (head.base, head.base_digest) = (Revision(revision), digest.ok_or_else(missing)?);
            }
            (head.revision, head.digest) = (group.revision, group.digest);
            table.insert(HEAD_KEY, head.encode().as_slice())?;
            let mut entries = transaction.open_table(ENTRIES)?;
            for (key, entry) in group.entries {
                match entry {
                    Some(entry) => entries.insert(key.as_str(), encode_entry(key, entry).as_slice())?,
                    None => entries.remove(key.as_str())?,
                };
            }
            head
        };
        transaction.commit()?;
        Ok(head)
    }

    fn cause(&self) -> Option<Arc<std::io::Error>> {
        self.control.as_ref().and_then(|control| control.cause())
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn open(backend: impl StorageBackend) -> Result<redb::Database, Failure> {
    // The database would make itself at home in an empty one.
    if backend.len()? == 0 {
        return Err(Failure::Damaged("it ends before its database begins".into()));
    }
    Ok(builder().create_with_backend(backend)?)
}

fn read_head(table: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Head, Failure> {
    let row = table.get(HEAD_KEY)?.ok_or_else(|| Failure::Damaged("it has no head".into()))?;
    Head::decode(row.value()).map_err(Failure::Damaged)
}

/// Runs `work`, and turns a panic of the database into the failure it stands for.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Nothing of ours is left half changed by a panic: callers give up the database, or only read.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Failure::Damaged(format!(
            "the database failed a check of its own ({})",
            said.unwrap_or("no reason")
        )))
    })
}

impl Failure {
    fn at(self, path: &Path, cause: Option<Arc<std::io::Error>>) -> StoreError {
        match self {
            Self::Redb(error) => StoreError::database(path, error, cause),
            Self::Damaged(why) => StoreError::damaged(path, why),
        }
    }
}
