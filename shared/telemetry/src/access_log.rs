//! One line for each request or connection that is over: weir's own JSON, or what a format in Envoy's words asks for.
//!
//! Off unless a listener asks for it. A worker puts a record into a bounded queue; a thread of its own turns records into lines and
//! writes them a batch at a time. If the disk or the reader of the pipe is slow, records are dropped and counted, requests are not
//! held up.

mod layout;
mod record;
mod time;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use weir_model::access_log::{LogFormat, LogOutput};

use crate::queue::{self, Dropped, Sink, Source};
pub use layout::{Layout, Seen};
pub use record::{AccessRecord, HttpAccess, TcpAccess};
pub use time::rfc3339;

/// The most records that wait to be written.
pub const DEFAULT_QUEUE: usize = 4096;
/// How many records are written at a time.
const BATCH: usize = 256;
/// The longest a record waits.
const INTERVAL: Duration = Duration::from_millis(250);

/// What becomes one line.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How it is written. A worker has its own, so that no reference count moves between workers.
    pub layout: Arc<Layout>,
    /// What happened.
    pub record: AccessRecord,
    /// What the layout asked for.
    pub seen: Seen,
}

/// A worker's way to the access log; each worker has its own clone.
#[derive(Clone)]
pub struct AccessLog {
    sink: Option<Sink<Entry>>,
    /// What a listener's lines say if the listener does not; weir's own JSON if this does not either.
    default: Arc<LogFormat>,
}

impl AccessLog {
    /// A log that nobody reads.
    pub fn disabled() -> AccessLog {
        AccessLog { sink: None, default: Arc::default() }
    }

    /// The same log, where lines say this if their listener does not say what.
    pub fn with_default(self, format: LogFormat) -> AccessLog {
        AccessLog { default: Arc::new(format), ..self }
    }

    /// How the lines of a listener are written.
    pub fn layout(&self, log: &weir_model::access_log::AccessLog) -> Layout {
        Layout::new(log, &self.default)
    }

    /// Starts the writing thread, for standard output and standard error.
    pub fn start(
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
        queue: usize,
    ) -> std::io::Result<(AccessLog, AccessLogHandle)> {
        let (sink, source) = queue::bounded(queue, BATCH);
        let dropped = source.dropped();
        let unwritten = Arc::new(AtomicU64::new(0));
        let (flushes, asked) = mpsc::channel(8);
        // Which of many lines are written is nobody's secret: the same ones for the same requests will do.
        let chance = weir_model::Random::new(1);
        let task = Writer { source, asked, stdout, stderr, unwritten: unwritten.clone(), chance };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let thread = std::thread::Builder::new().name("weir-access-log".to_owned());
        thread.spawn(move || runtime.block_on(task.run()))?;
        let log = AccessLog { sink: Some(sink), default: Arc::default() };
        Ok((log, AccessLogHandle { flushes, dropped, unwritten }))
    }

    /// Whether anybody wants records. If not, none need be made.
    pub fn is_enabled(&self) -> bool {
        self.sink.is_some()
    }

    /// Hands a record over, or drops and counts it; never waits.
    pub fn try_send(&self, mut entry: Entry) -> bool {
        let Some(sink) = &self.sink else { return false };
        entry.record.bound();
        entry.seen.bound();
        sink.offer(entry)
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

struct Writer<O, E> {
    source: Source<Entry>,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
    stdout: O,
    stderr: E,
    unwritten: Arc<AtomicU64>,
    /// For logs of a share of the requests.
    chance: weir_model::Random,
}

impl<O: Write, E: Write> Writer<O, E> {
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
        let mut batch = Vec::new();
        let (mut out, mut err) = (Lines::default(), Lines::default());
        loop {
            batch.clear();
            self.source.take(&mut batch, BATCH);
            if batch.is_empty() {
                return;
            }
            for Entry { layout, record, seen } in &batch {
                for log in layout.lines() {
                    let chance = &mut self.chance;
                    if !layout.wants(log, record, seen, &mut || chance.below(1_000_000)) {
                        continue;
                    }
                    let lines = match log.output {
                        LogOutput::Stdout => &mut out,
                        LogOutput::Stderr => &mut err,
                    };
                    layout.write(log, record, seen, &mut lines.bytes);
                    lines.count += 1;
                }
            }
            let lost = out.write(&mut self.stdout) + err.write(&mut self.stderr);
            self.unwritten.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

/// Lines for one place.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
}

impl Lines {
    /// Writes and forgets them; how many were lost.
    fn write(&mut self, writer: &mut impl Write) -> u64 {
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return 0;
        }
        let written = writer.write_all(&self.bytes).and_then(|()| writer.flush());
        self.bytes.clear();
        if written.is_ok() { 0 } else { count }
    }
}

#[cfg(test)]
mod tests;
