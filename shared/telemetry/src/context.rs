//! Reads and writes the trace context of a request: W3C Trace Context (Level 2) and B3, single and multiple headers.
//!
//! First on a request's way through telemetry: [`extract`] looks at the request's headers, [`crate::sampling`] decides, and
//! [`inject`] writes the context of our span into the request that goes on. The formats that came in go out again. Nothing here
//! can fail: what is malformed is as good as absent, as both specifications ask.
//!
//! Sources: <https://www.w3.org/TR/trace-context-2/>, <https://github.com/openzipkin/b3-propagation>.

mod b3;
mod hex;
mod w3c;

use http::{HeaderMap, HeaderValue};

/// Which of the header formats carried a context, or shall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formats(u8);

impl Formats {
    /// None at all.
    pub const NONE: Formats = Formats(0);
    /// `traceparent` and `tracestate`.
    pub const W3C: Formats = Formats(1);
    /// `b3`.
    pub const B3_SINGLE: Formats = Formats(2);
    /// `x-b3-traceid` and its companions.
    pub const B3_MULTI: Formats = Formats(4);

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Formats) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and the `other`.
    pub const fn and(self, other: Formats) -> Formats {
        Formats(self.0 | other.0)
    }

    /// Whether there is none.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Trace flag: the caller may have recorded its span.
pub const SAMPLED: u8 = 1;
/// Trace flag of Level 2: at least the low seven bytes of the trace id are random.
pub const RANDOM_TRACE_ID: u8 = 2;

/// One span's place in a trace, as it travels in headers. Ids are never zero in a context that [`extract`] returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace, big-endian as written.
    pub trace_id: u128,
    /// The span that is the parent of what the receiver does.
    pub span_id: u64,
    /// [`SAMPLED`] and [`RANDOM_TRACE_ID`]; bits not known to us are not kept, as the specification demands.
    pub flags: u8,
    /// B3's debug flag: sampled, and not to be dropped by samplers further on.
    pub debug: bool,
    /// The formats it came in, and in which it goes out.
    pub formats: Formats,
    /// The `tracestate` list, checked and within its limits; `None` if there was none worth keeping.
    pub trace_state: Option<HeaderValue>,
}

impl TraceContext {
    /// Whether the trace is recorded.
    pub fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The context of a span below this one.
    pub fn child(&self, span_id: u64) -> TraceContext {
        TraceContext { span_id, ..self.clone() }
    }
}

/// A sampling decision that came with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Not recorded: a clear sampled flag, or B3's `0`.
    Deny,
    /// Recorded: a set sampled flag, or B3's `1`.
    Accept,
    /// B3's `d`, or `x-b3-flags: 1`: recorded, whatever samplers say.
    Debug,
}

/// What a request's headers say about tracing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// The caller's span, if it named one.
    pub parent: Option<TraceContext>,
    /// The caller's decision. B3 may leave it open while naming a parent, and may decide without naming one.
    pub decision: Option<Decision>,
    /// Every format in which something usable was found.
    pub formats: Formats,
}

/// Reads a request's trace context. Where formats disagree, W3C wins over B3 and B3's single header over its many.
///
/// Allocates only if `tracestate` came in several headers or has to be cut down to its limits.
pub fn extract(headers: &HeaderMap) -> Incoming {
    let mut incoming = Incoming::default();
    let present = present(headers);
    if present.is_none() {
        return incoming;
    }
    let many = if present.contains(Formats::B3_MULTI) { b3::extract_multi(headers) } else { None };
    let single = if present.contains(Formats::B3_SINGLE) { b3::extract_single(headers) } else { None };
    for (found, format) in [(many, Formats::B3_MULTI), (single, Formats::B3_SINGLE)] {
        let Some(found) = found else { continue };
        incoming.formats = incoming.formats.and(format);
        // A decision alone must not hide a parent that the other header names.
        if found.ids.is_some() || incoming.parent.is_none() {
            incoming.decision = found.decision;
            incoming.parent = found.context();
        }
    }
    if let Some(parent) = w3c::extract(headers) {
        incoming.formats = incoming.formats.and(Formats::W3C);
        incoming.decision = Some(if parent.sampled() { Decision::Accept } else { Decision::Deny });
        incoming.parent = Some(parent);
    }
    if let Some(parent) = &mut incoming.parent {
        parent.formats = incoming.formats;
    }
    incoming
}

/// The trace id alone, in the order of [`extract`]: for who wants to know which requests belong together and nothing else.
pub fn trace_id(headers: &HeaderMap) -> Option<u128> {
    if present(headers).is_none() {
        return None;
    }
    w3c::trace_id(headers).or_else(|| b3::trace_id(headers))
}

/// Which formats have a header here that could say something. Most requests have none, and looking once at every name is cheaper than
/// looking up each of ours.
fn present(headers: &HeaderMap) -> Formats {
    headers.keys().fold(Formats::NONE, |found, name| {
        // Few other names are as long as one of these.
        let format = match name.as_str().len() {
            2 if *name == b3::B3 => Formats::B3_SINGLE,
            10 if *name == b3::FLAGS => Formats::B3_MULTI,
            11 if *name == w3c::TRACEPARENT => Formats::W3C,
            12 if *name == b3::TRACE_ID || *name == b3::SAMPLED_HEADER => Formats::B3_MULTI,
            _ => return found,
        };
        found.and(format)
    })
}

/// Writes `context` over whatever trace context the headers hold, in `context.formats`.
///
/// Formats which are not among those are left alone: they did not come in, or were not usable.
pub fn inject(context: &TraceContext, headers: &mut HeaderMap) {
    if context.formats.contains(Formats::W3C) {
        w3c::inject(context, headers);
    }
    if context.formats.contains(Formats::B3_SINGLE) {
        b3::inject_single(context, headers);
    }
    if context.formats.contains(Formats::B3_MULTI) {
        b3::inject_multi(context, headers);
    }
}

#[cfg(test)]
mod tests;
