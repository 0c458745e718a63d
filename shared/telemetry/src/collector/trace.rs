//! One trace: its summary, and its picture as a tree.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

/// A span as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedSpan {
    /// The span's id.
    pub span_id: u64,
    /// The span above; `None` for a root.
    pub parent_span_id: Option<u64>,
    /// `service.name` of the process it came from.
    pub service: String,
    /// The span's name.
    pub name: String,
    /// `server`, `client`, `internal`, `producer` or `consumer`.
    pub kind: &'static str,
    /// Nanoseconds since 1970.
    pub start_unix_nanos: u64,
    /// Nanoseconds since 1970.
    pub end_unix_nanos: u64,
    /// Whether its status is an error.
    pub error: bool,
    /// Attributes in the order they came, values as text.
    pub attributes: Vec<(String, String)>,
}

impl CollectedSpan {
    /// `None` if its ids are malformed.
    pub(crate) fn from_wire(span: Span, service: &str) -> Option<(u128, CollectedSpan)> {
        let trace_id = u128::from_be_bytes(span.trace_id.try_into().ok()?);
        let span_id = u64::from_be_bytes(span.span_id.try_into().ok()?);
        let parent_span_id = match span.parent_span_id.len() {
            0 => None,
            _ => Some(u64::from_be_bytes(span.parent_span_id.try_into().ok()?)).filter(|id| *id != 0),
        };
        let collected = CollectedSpan {
            span_id,
            parent_span_id,
            service: service.to_owned(),
            name: span.name,
            kind: match SpanKind::try_from(span.kind) {
                Ok(SpanKind::Server) => "server",
                Ok(SpanKind::Client) => "client",
                Ok(SpanKind::Producer) => "producer",
                Ok(SpanKind::Consumer) => "consumer",
                _ => "internal",
            },
            start_unix_nanos: span.start_time_unix_nano,
            end_unix_nanos: span.end_time_unix_nano,
            error: span.status.is_some_and(|status| status.code == StatusCode::Error as i32),
            attributes: span
                .attributes
                .into_iter()
                .map(|KeyValue { key, value, .. }| (key, shown(value)))
                .collect(),
        };
        (trace_id != 0 && span_id != 0).then_some((trace_id, collected))
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end_unix_nanos.saturating_sub(self.start_unix_nanos))
    }

    /// An attribute's value.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// The spans of one trace that have arrived, in order of their start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace's id.
    pub trace_id: u128,
    /// Its spans.
    pub spans: Vec<CollectedSpan>,
}

/// What a trace is made of.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TraceSummary {
    /// How many spans.
    pub spans: usize,
    /// The distinct services, sorted.
    pub services: Vec<String>,
    /// Whether the spans form one tree: exactly one root, and every other span's parent is there.
    pub connected: bool,
}

impl Trace {
    pub(super) fn new(trace_id: u128, mut spans: Vec<CollectedSpan>) -> Trace {
        spans.sort_by_key(|span| (span.start_unix_nanos, span.span_id));
        // A batch that was sent again because its answer was lost arrives twice.
        let mut seen = HashSet::new();
        spans.retain(|span| seen.insert(span.span_id));
        Trace { trace_id, spans }
    }

    /// What the trace is made of.
    pub fn summary(&self) -> TraceSummary {
        let services: BTreeSet<&str> = self.spans.iter().map(|span| span.service.as_str()).collect();
        let reached = self.tree().into_iter().filter(|(_, _, orphan)| !orphan).count();
        let roots = self.spans.iter().filter(|span| span.parent_span_id.is_none()).count();
        TraceSummary {
            spans: self.spans.len(),
            services: services.into_iter().map(str::to_owned).collect(),
            connected: roots == 1 && reached == self.spans.len(),
        }
    }

    /// The trace as a tree, one line per span: service, name, kind, status, when it began and how long it took.
    pub fn render(&self) -> String {
        let start = self.spans.first().map_or(0, |span| span.start_unix_nanos);
        let mut out = format!("trace {:032x}\n", self.trace_id);
        for (index, branch, orphan) in self.tree() {
            let span = &self.spans[index];
            let status =
                span.attribute("rpc.grpc.status_code").or(span.attribute("http.response.status_code"));
            // Writing to a string cannot fail.
            let _ = write!(
                out,
                "{branch}{}: {} [{}]",
                printable(&span.service),
                printable(&span.name),
                span.kind
            );
            if let Some(status) = status {
                let _ = write!(out, " {}", printable(status));
            }
            let _ = write!(
                out,
                " +{:.2} ms, {:.2} ms",
                millis(span.start_unix_nanos.saturating_sub(start)),
                millis(span.end_unix_nanos.saturating_sub(span.start_unix_nanos)),
            );
            if span.error {
                let error = span.attribute("error.type").unwrap_or("error");
                let _ = write!(out, " ERROR {}", printable(error));
            }
            out.push_str(if orphan { " (its parent is missing)\n" } else { "\n" });
        }
        out
    }

    /// Every span once, parents before children: its index, the branches to draw before it, and whether it hangs in the air.
    /// Neither recursive nor trusting: spans may name each other as parents.
    fn tree(&self) -> Vec<(usize, String, bool)> {
        let ids: HashSet<u64> = self.spans.iter().map(|span| span.span_id).collect();
        let mut children: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut tops = Vec::new();
        for (index, span) in self.spans.iter().enumerate() {
            match span.parent_span_id {
                Some(parent) if ids.contains(&parent) => children.entry(parent).or_default().push(index),
                parent => tops.push((index, parent.is_some())),
            }
        }
        let mut order = Vec::with_capacity(self.spans.len());
        let mut placed = vec![false; self.spans.len()];
        // Spans in a circle are nobody's descendants; the first of each circle stands for it.
        for (top, orphan) in tops.into_iter().chain((0..self.spans.len()).map(|index| (index, true))) {
            let mut stack = vec![(top, String::new(), String::new())];
            while let Some((index, branch, below)) = stack.pop() {
                if std::mem::replace(&mut placed[index], true) {
                    continue;
                }
                order.push((index, branch, orphan));
                let Some(list) = children.get(&self.spans[index].span_id) else { continue };
                for (nth, child) in list.iter().rev().enumerate() {
                    let (fork, line) = if nth == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                    // A trace as deep as a list would draw lines as long as itself.
                    let below = if below.chars().count() < 90 { below.as_str() } else { "" };
                    stack.push((*child, format!("{below}{fork}"), format!("{below}{line}")));
                }
            }
        }
        order
    }
}

pub(super) fn service_name(resource: Option<&Resource>) -> String {
    let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
    let name = attributes.iter().find(|attribute| attribute.key == "service.name");
    name.map_or_else(|| "unknown_service".to_owned(), |name| shown(name.value.clone()))
}

fn shown(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

/// What came over the network must not steer the terminal it is shown on.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}
