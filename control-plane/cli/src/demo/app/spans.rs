//! The spans an application makes of its own requests, as one that is instrumented with OpenTelemetry does.
//!
//! Parent-based: it records what its caller recorded, and decides nothing itself.

use hyper::StatusCode;
use hyper::header::HeaderMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;
use weir_runtime::clock::unix_nanos;
use weir_telemetry::context::{self, TraceContext};
use weir_telemetry::export::{ExportError, Exporter, ExporterConfig, ExporterHandle, Resource, SpanSink};
use weir_telemetry::sampling::nonzero;
use weir_telemetry::span::Text;
use weir_telemetry::{Sampler, Sampling, SpanKind, SpanRecord};

/// Makes spans and sends them.
#[derive(Debug)]
pub(super) struct Spans {
    /// A sink is one worker's; here all connections share one.
    sink: Mutex<SpanSink>,
    ids: RandomState,
    made: AtomicU64,
    _exporter: ExporterHandle,
}

/// A span that is not over.
#[derive(Debug)]
pub(super) struct Span {
    context: TraceContext,
    record: SpanRecord,
    began: Instant,
}

impl Spans {
    /// Starts sending to a collector.
    pub(super) fn start(service: &str, instance: &str, otlp: &str) -> Result<Spans, ExportError> {
        let resource = Resource {
            service_name: service.to_owned(),
            service_instance_id: instance.to_owned(),
            ..Resource::default()
        };
        let config = ExporterConfig { endpoint: otlp.to_owned(), resource, ..ExporterConfig::default() };
        let (sink, exporter) = Exporter::start(config)?;
        Ok(Spans {
            sink: Mutex::new(sink),
            ids: RandomState::new(),
            made: AtomicU64::new(0),
            _exporter: exporter,
        })
    }

    /// The span of a request that came, if its trace is recorded. `route` is its path as a template.
    pub(super) fn server(&self, headers: &HeaderMap, path: &str, route: &'static str) -> Option<Span> {
        let caller_decides = Sampler { ratio_ppm: 0, ..Sampler::default() };
        match caller_decides.decide(context::extract(headers), || self.id()) {
            Sampling::Record { context, parent } => {
                Some(span(context, parent, SpanKind::Server, path, route))
            }
            Sampling::Propagate(_) | Sampling::Pass => None,
        }
    }

    /// The span of a request that is sent because of one that came, written into its headers.
    pub(super) fn client(
        &self,
        server: &Span,
        path: &str,
        route: &'static str,
        headers: &mut HeaderMap,
    ) -> Span {
        let context = server.context.child(nonzero(|| self.id()));
        context::inject(&context, headers);
        let mut span = span(context, Some(server.context.span_id), SpanKind::Client, path, route);
        span.record.remote_parent = false;
        span
    }

    /// It is over.
    pub(super) fn end(&self, mut span: Span, status: Option<StatusCode>) {
        let took = u64::try_from(span.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        span.record.end_unix_nanos = span.record.start_unix_nanos.saturating_add(took);
        span.record.status = status.map(|status| status.as_u16());
        if status.is_none() {
            span.record.error_type = Text::new_static("connection");
        }
        // Dropped if the collector does not keep up.
        let _kept = self.sink.lock().unwrap_or_else(PoisonError::into_inner).try_send(span.record);
    }

    /// Unpredictable bits: a count under a key that only this process has.
    fn id(&self) -> u64 {
        self.ids.hash_one(self.made.fetch_add(1, Ordering::Relaxed))
    }
}

fn span(context: TraceContext, parent: Option<u64>, kind: SpanKind, path: &str, route: &'static str) -> Span {
    let record = SpanRecord {
        trace_id: context.trace_id,
        span_id: context.span_id,
        parent_span_id: parent,
        remote_parent: parent.is_some(),
        flags: context.flags,
        kind,
        start_unix_nanos: unix_nanos(),
        method: Text::new_static("GET"),
        scheme: "http",
        path: Text::new(path),
        route_pattern: Text::new_static(route),
        ..SpanRecord::default()
    };
    Span { context, record, began: Instant::now() }
}

#[cfg(test)]
mod tests;
