//! Sends finished spans to a collector: OTLP over gRPC, from a thread and runtime of its own.
//!
//! Last on a recorded request's way through telemetry. A worker's [`SpanSink`] puts a [`SpanRecord`] into a bounded queue and is
//! done. The exporter's thread takes batches out, encodes and sends them. **Whatever the collector does, requests are not held
//! up and memory stays bounded**: while it is down, batches are tried again with growing pauses, each a few times, and are then
//! given up; the queue fills, and what does not fit is dropped. Both kinds of loss are counted ([`ExportCounts`]). The connection
//! is made anew when the collector is back.
//!
//! It speaks plain text HTTP/2 only, and does no compression: the collector is on this host or behind a sidecar.

mod backoff;
mod encode;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tonic::transport::Endpoint;

use crate::queue::{self, Sink};
use crate::span::SpanRecord;
use task::{Command, Task};

/// Who the spans come from: the resource of OpenTelemetry. Empty fields are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// `service.name`.
    pub service_name: String,
    /// `service.namespace`.
    pub service_namespace: String,
    /// `service.instance.id`.
    pub service_instance_id: String,
    /// `service.version`.
    pub service_version: String,
    /// `weir.node.id`: the id under which this sidecar is known to the control plane.
    pub node_id: String,
}

/// Where to and how spans are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterConfig {
    /// `http://host:port`; without a port, 4317.
    pub endpoint: String,
    /// Who the spans come from.
    pub resource: Resource,
    /// The most spans that wait to be sent; more are dropped.
    pub queue: usize,
    /// The most spans in one request to the collector.
    pub batch: usize,
    /// The longest a span waits before it is sent, while the collector answers.
    pub interval: Duration,
    /// The longest a request to the collector may take, connecting included.
    pub timeout: Duration,
}

impl Default for ExporterConfig {
    fn default() -> ExporterConfig {
        ExporterConfig {
            endpoint: "http://127.0.0.1:4317".to_owned(),
            resource: Resource::default(),
            queue: 8192,
            batch: 512,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Why an exporter could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The endpoint names TLS.
    #[error(
        "OTLP endpoint {0:?}: TLS to the collector is not supported yet; use http:// and, across hosts, send spans through a sidecar"
    )]
    Tls(String),
    /// The endpoint is not something to connect to.
    #[error("OTLP endpoint {endpoint:?}: {reason}; write it as http://HOST:4317")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No thread could be started.
    #[error("cannot start the exporter's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// What became of the spans so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportCounts {
    /// Accepted by the collector.
    pub exported: u64,
    /// Dropped because the queue was full.
    pub dropped_queue_full: u64,
    /// Given up: refused by the collector, tried too often, or left over at shutdown.
    pub dropped_export_failed: u64,
    /// Requests to the collector that failed, each retry included.
    pub failed_requests: u64,
}

#[derive(Debug, Default)]
struct Counters {
    exported: AtomicU64,
    failed: AtomicU64,
    failed_requests: AtomicU64,
}

/// Starts exporters.
#[derive(Debug)]
pub struct Exporter;

impl Exporter {
    /// Starts the exporter's thread. The collector need not be there yet.
    pub fn start(config: ExporterConfig) -> Result<(SpanSink, ExporterHandle), ExportError> {
        let endpoint = endpoint(&config.endpoint)?;
        let (sink, source) = queue::bounded(config.queue, config.batch);
        let counters = Arc::new(Counters::default());
        let dropped = source.dropped();
        let (commands, received) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel();
        let (over, ended) = oneshot::channel();
        let task = Task::new(config, source, received, counters.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ExportError::Thread)?;
        let thread = move || {
            runtime.block_on(task.run(endpoint, stopped));
            // Nobody listens any more if the handle is gone.
            let _ = over.send(());
        };
        std::thread::Builder::new()
            .name("weir-otlp".to_owned())
            .spawn(thread)
            .map_err(ExportError::Thread)?;
        let handle = ExporterHandle { commands, stop, ended, counts: CountsReader { counters, dropped } };
        Ok((SpanSink { sink: Some(sink) }, handle))
    }
}

/// A worker's way to the exporter; each worker has its own clone.
#[derive(Clone)]
pub struct SpanSink {
    sink: Option<Sink<SpanRecord>>,
}

impl SpanSink {
    /// A sink to nowhere: without a collector.
    pub const fn disabled() -> SpanSink {
        SpanSink { sink: None }
    }

    /// Whether anybody wants spans. If not, the request need not be looked at.
    pub fn is_enabled(&self) -> bool {
        self.sink.is_some()
    }

    /// Hands a span over, or drops and counts it; never waits. Texts longer than 1024 bytes are cut, so that the queue's bound
    /// is a bound in bytes too.
    pub fn try_send(&self, mut span: SpanRecord) -> bool {
        let Some(sink) = &self.sink else { return false };
        span.bound();
        sink.offer(span)
    }
}

impl std::fmt::Debug for SpanSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpanSink").field("enabled", &self.is_enabled()).finish()
    }
}

/// Main's hold on the exporter. Dropping it stops the exporter without a last flush.
pub struct ExporterHandle {
    commands: mpsc::Sender<Command>,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    counts: CountsReader,
}

impl ExporterHandle {
    /// What became of the spans so far.
    pub fn counts(&self) -> ExportCounts {
        self.counts.get()
    }

    /// The same, to keep: for the metrics registry.
    pub fn counts_reader(&self) -> impl Fn() -> ExportCounts + Clone + Send + Sync + 'static {
        let reader = self.counts.clone();
        move || reader.get()
    }

    /// Sends what is queued now, at once; `true` if it was done within the limit, whether by delivering or by giving up.
    pub async fn flush(&self, within: Duration) -> bool {
        let flushed = async {
            let (done, answer) = oneshot::channel();
            self.commands.send(Command::Flush(done)).await.ok()?;
            answer.await.ok()
        };
        matches!(tokio::time::timeout(within, flushed).await, Ok(Some(())))
    }

    /// Sends what is queued if that is possible within the limit, counts the rest as failed, and ends the thread.
    pub async fn shutdown(self, within: Duration) -> ExportCounts {
        self.flush(within).await;
        drop(self.stop);
        // The thread waits for nothing but the collector, and not for that once stopped.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.ended).await;
        self.counts.get()
    }
}

impl std::fmt::Debug for ExporterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExporterHandle").field("counts", &self.counts()).finish()
    }
}

#[derive(Clone)]
struct CountsReader {
    counters: Arc<Counters>,
    dropped: queue::Dropped,
}

impl CountsReader {
    fn get(&self) -> ExportCounts {
        ExportCounts {
            exported: self.counters.exported.load(Ordering::Relaxed),
            dropped_queue_full: self.dropped.get(),
            dropped_export_failed: self.counters.failed.load(Ordering::Relaxed),
            failed_requests: self.counters.failed_requests.load(Ordering::Relaxed),
        }
    }
}

/// The endpoint as an operator wrote it, checked.
fn endpoint(text: &str) -> Result<Endpoint, ExportError> {
    let wrong = |reason: &str| ExportError::Endpoint { endpoint: text.to_owned(), reason: reason.to_owned() };
    let uri: http::Uri =
        text.trim().parse().map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(ExportError::Tls(text.to_owned())),
        Some(scheme) => return Err(wrong(&format!("unknown scheme {scheme:?}"))),
        None => return Err(wrong("it has no scheme")),
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong("OTLP over gRPC takes no path (that is OTLP over HTTP, on port 4318)"));
    }
    let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(wrong("it must name a host, and no user"));
    }
    let uri = match authority.port_u16() {
        Some(0) => return Err(wrong("port 0 cannot be connected to")),
        Some(port) => format!("http://{}:{port}", authority.host()),
        None if authority.as_str() != authority.host() => {
            return Err(wrong("its port is not a number up to 65535"));
        }
        None => format!("http://{}:4317", authority.host()),
    };
    Endpoint::from_shared(uri).map_err(|error| wrong(&error.to_string()))
}

#[cfg(test)]
mod tests;
