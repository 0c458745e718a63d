//! One line of JSON for each request or connection that is over.
//!
//! Off unless asked for. A worker puts a record into a bounded queue; a thread of its own turns records into lines and writes
//! them a batch at a time. If the disk or the reader of the pipe is slow, records are dropped and counted, requests are not held
//! up.

mod record;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::queue::{self, Dropped, Sink, Source};
pub use record::{AccessRecord, HttpAccess, TcpAccess, rfc3339};

/// The most records that wait to be written.
pub const DEFAULT_QUEUE: usize = 4096;
/// How many records are written at a time.
const BATCH: usize = 256;
/// The longest a record waits.
const INTERVAL: Duration = Duration::from_millis(250);

/// A worker's way to the access log; each worker has its own clone.
#[derive(Clone)]
pub struct AccessLog {
    sink: Option<Sink<AccessRecord>>,
}

impl AccessLog {
    /// A log that nobody reads.
    pub const fn disabled() -> AccessLog {
        AccessLog { sink: None }
    }

    /// Starts the writing thread.
    pub fn start(
        writer: impl Write + Send + 'static,
        queue: usize,
    ) -> std::io::Result<(AccessLog, AccessLogHandle)> {
        let (sink, source) = queue::bounded(queue, BATCH);
        let dropped = source.dropped();
        let unwritten = Arc::new(AtomicU64::new(0));
        let (flushes, asked) = mpsc::channel(8);
        let task = Writer { source, asked, writer, unwritten: unwritten.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let thread = std::thread::Builder::new().name("weir-access-log".to_owned());
        thread.spawn(move || runtime.block_on(task.run()))?;
        Ok((AccessLog { sink: Some(sink) }, AccessLogHandle { flushes, dropped, unwritten }))
    }

    /// Whether anybody wants records. If not, none need be made.
    pub fn is_enabled(&self) -> bool {
        self.sink.is_some()
    }

    /// Hands a record over, or drops and counts it; never waits.
    pub fn try_send(&self, mut record: AccessRecord) -> bool {
        let Some(sink) = &self.sink else { return false };
        record.bound();
        sink.offer(record)
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog").field("enabled", &self.is_enabled()).finish()
    }
}

/// Main's hold on the access log. The thread ends, having written what is queued, when the handle is dropped.
pub struct AccessLogHandle {
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    dropped: Dropped,
    unwritten: Arc<AtomicU64>,
}

impl AccessLogHandle {
    /// Records lost so far: refused by the full queue, or failed to be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.get() + self.unwritten.load(Ordering::Relaxed)
    }

    /// The same, to keep: for the metrics registry.
    pub fn dropped_reader(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let (dropped, unwritten) = (self.dropped.clone(), self.unwritten.clone());
        move || dropped.get() + unwritten.load(Ordering::Relaxed)
    }

    /// Writes what is queued now; `true` if that was done within the limit.
    pub async fn flush(&self, within: Duration) -> bool {
        let flushed = async {
            let (done, answer) = oneshot::channel();
            self.flushes.send(done).await.ok()?;
            answer.await.ok()
        };
        matches!(tokio::time::timeout(within, flushed).await, Ok(Some(())))
    }
}

impl std::fmt::Debug for AccessLogHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLogHandle").field("dropped", &self.dropped()).finish()
    }
}

struct Writer<W> {
    source: Source<AccessRecord>,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
    writer: W,
    unwritten: Arc<AtomicU64>,
}

impl<W: Write> Writer<W> {
    async fn run(mut self) {
        loop {
            let asked = tokio::select! {
                () = self.source.ready(INTERVAL) => None,
                asked = self.asked.recv() => Some(asked),
            };
            self.write();
            match asked {
                None => {}
                // Whoever asked may have stopped waiting.
                Some(Some(done)) => drop(done.send(())),
                Some(None) => return,
            }
        }
    }

    fn write(&mut self) {
        let (mut batch, mut lines) = (Vec::new(), Vec::new());
        loop {
            batch.clear();
            lines.clear();
            self.source.take(&mut batch, BATCH);
            if batch.is_empty() {
                return;
            }
            for record in &batch {
                // A record holds only what JSON can hold, and a vector takes every byte.
                if serde_json::to_writer(&mut lines, record).is_ok() {
                    lines.push(b'\n');
                }
            }
            if self.writer.write_all(&lines).and_then(|()| self.writer.flush()).is_err() {
                self.unwritten.fetch_add(batch.len() as u64, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
