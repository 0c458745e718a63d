//! The exporter's thread: queue → batch → collector.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::{Counters, ExporterConfig, backoff, encode};
use crate::queue::Source;
use crate::span::SpanRecord;

/// How often one batch is tried before it makes way for newer spans.
const ATTEMPTS: u32 = 5;

pub(super) enum Command {
    /// Send everything queued, then answer.
    Flush(oneshot::Sender<()>),
}

pub(super) struct Task {
    config: ExporterConfig,
    source: Source<SpanRecord>,
    commands: mpsc::Receiver<Command>,
    counters: Arc<Counters>,
    batch: Vec<SpanRecord>,
    flushing: Vec<oneshot::Sender<()>>,
    /// Failed requests since the last success.
    failures: u32,
    random: RandomState,
}

enum Outcome {
    Delivered,
    TryAgain,
    GiveUp,
}

impl Task {
    pub(super) fn new(
        mut config: ExporterConfig,
        source: Source<SpanRecord>,
        commands: mpsc::Receiver<Command>,
        counters: Arc<Counters>,
    ) -> Task {
        config.batch = config.batch.max(1);
        config.interval = config.interval.max(Duration::from_millis(10));
        Task {
            config,
            source,
            commands,
            counters,
            batch: Vec::new(),
            flushing: Vec::new(),
            failures: 0,
            random: RandomState::new(),
        }
    }

    /// Runs until `stop` resolves or is dropped, or until nobody can send spans or commands any more.
    pub(super) async fn run(mut self, endpoint: Endpoint, stop: oneshot::Receiver<()>) {
        let endpoint = endpoint
            .connect_timeout(self.config.timeout)
            // A collector whose host vanished is noticed, and connected to anew, within half a minute.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        let mut client = TraceServiceClient::new(endpoint.connect_lazy());
        tokio::select! {
            () = self.export(&mut client) => {}
            _ = stop => {}
        }
        let left = self.batch.len() + self.source.len();
        self.counters.failed.fetch_add(left as u64, Ordering::Relaxed);
    }

    async fn export(&mut self, client: &mut TraceServiceClient<Channel>) {
        let mut due = Instant::now() + self.config.interval;
        loop {
            tokio::select! {
                () = self.source.ready(due.saturating_duration_since(Instant::now())) => {}
                command = self.commands.recv() => match command {
                    Some(Command::Flush(done)) => self.flushing.push(done),
                    None => return,
                }
            }
            let is_due = !self.flushing.is_empty() || Instant::now() >= due;
            if !is_due && self.source.len() < self.config.batch {
                continue;
            }
            loop {
                self.source.take(&mut self.batch, self.config.batch);
                if self.batch.is_empty() {
                    break;
                }
                self.deliver(client).await;
                self.batch.clear();
            }
            for done in self.flushing.drain(..) {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
            due = Instant::now() + self.config.interval;
            if self.source.is_over() {
                // No worker is left; only a flush or the end can still come.
                due += Duration::from_secs(3600);
            }
        }
    }

    /// Sends the batch, again and again if that may help, and counts what became of it.
    async fn deliver(&mut self, client: &mut TraceServiceClient<Channel>) {
        for attempt in 1..=ATTEMPTS {
            match self.send(client).await {
                Outcome::Delivered => return,
                Outcome::GiveUp => break,
                Outcome::TryAgain if attempt == ATTEMPTS => break,
                Outcome::TryAgain => self.pause().await,
            }
        }
        self.counters.failed.fetch_add(self.batch.len() as u64, Ordering::Relaxed);
    }

    async fn send(&mut self, client: &mut TraceServiceClient<Channel>) -> Outcome {
        let request = encode::request(&self.config.resource, &self.batch);
        let answer = match tokio::time::timeout(self.config.timeout, client.export(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded("no answer in time")),
        };
        match answer {
            Ok(response) => {
                if self.failures > 0 {
                    tracing::info!(endpoint = %self.config.endpoint, "the trace collector takes spans again");
                }
                self.failures = 0;
                let sent = self.batch.len() as u64;
                let partial = response.into_inner().partial_success.unwrap_or_default();
                let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0).min(sent);
                if rejected > 0 {
                    tracing::warn!(rejected, reason = %partial.error_message, "the trace collector refused spans");
                }
                self.counters.exported.fetch_add(sent - rejected, Ordering::Relaxed);
                self.counters.failed.fetch_add(rejected, Ordering::Relaxed);
                Outcome::Delivered
            }
            Err(status) => {
                self.failures = self.failures.saturating_add(1);
                self.counters.failed_requests.fetch_add(1, Ordering::Relaxed);
                if self.failures == 1 {
                    let (endpoint, code, reason) = (&self.config.endpoint, status.code(), status.message());
                    tracing::warn!(%endpoint, ?code, reason, "cannot send spans; they wait, then are dropped");
                }
                if may_be_retried(&status) { Outcome::TryAgain } else { Outcome::GiveUp }
            }
        }
    }

    /// Waits before the next attempt; a flush cuts the wait short.
    async fn pause(&mut self) {
        let pause = backoff::pause(self.failures, self.random.hash_one(self.failures));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Some(Command::Flush(done)) = self.commands.recv() => self.flushing.push(done),
        }
    }
}

/// OTLP's list of transient codes, and those which a broken connection or a proxy in between turns into: nothing that says
/// the spans themselves are at fault.
fn may_be_retried(status: &Status) -> bool {
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss
        | Code::Internal
        | Code::Unknown => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Unauthenticated => false,
    }
}
