//! What is told of copies of requests: a count by what became of them, and a span of their own below their original's.

use http::{HeaderMap, StatusCode};
use weir_model::Time;
use weir_telemetry::context;
use weir_telemetry::sampling;
use weir_telemetry::span::{SpanKind, SpanRecord, Text};

use super::{Telemetry, records};
use crate::exchange::Exchange;
use crate::mirror::Outcome;
use crate::pool::ClusterShared;

/// The span of a copy under way.
pub(crate) struct MirrorSpan {
    record: SpanRecord,
    begun: Time,
}

impl Telemetry {
    /// A copy has ended, or was not made.
    pub(crate) fn mirrored(&self, cluster: &ClusterShared, outcome: Outcome) {
        let name = &cluster.state.name;
        let mut series = self.mirrored.borrow_mut();
        series.get((cluster.state.id, outcome), |labels| labels.push(name).push(outcome.as_str())).inc();
    }

    /// The span of a copy, if its original has one; its context goes into the copy's headers.
    pub(crate) fn mirror_span(
        &self,
        exchange: &Exchange,
        cluster: &ClusterShared,
        headers: &mut HeaderMap,
    ) -> Option<Box<MirrorSpan>> {
        let recording = exchange.recording.as_ref()?;
        let begun = exchange.latest;
        let mut record = recording.span(exchange, None, None, begun)?;
        let original = recording.context()?;
        let random = &exchange.downstream.worker.random;
        let context = original.child(sampling::nonzero(|| random.borrow_mut().next_u64()));
        context::inject(&context, headers);
        record.parent_span_id = Some(original.span_id);
        record.remote_parent = false;
        record.span_id = context.span_id;
        record.kind = SpanKind::Client;
        record.start_unix_nanos = record.end_unix_nanos;
        record.peer = None;
        record.endpoint = Text::default();
        record.cluster = Text::new(&cluster.state.name);
        record.mirror = true;
        Some(Box::new(MirrorSpan { record, begun }))
    }

    /// A copy with a span has ended.
    pub(crate) fn end_mirror(
        &self,
        span: MirrorSpan,
        status: Option<StatusCode>,
        outcome: Outcome,
        now: Time,
    ) {
        let MirrorSpan { mut record, begun } = span;
        record.end_unix_nanos = record.start_unix_nanos.saturating_add(records::nanos(now.since(begun)));
        record.status = status.map(|status| status.as_u16());
        if outcome != Outcome::Answered {
            record.error_type = Text::new_static(outcome.as_str());
        }
        self.spans.try_send(record);
    }
}
