//! B3: `b3`, or `x-b3-traceid` and its companions.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::w3c::single;
use super::{Decision, Formats, SAMPLED, TraceContext, hex};

pub(super) const B3: HeaderName = HeaderName::from_static("b3");
pub(super) const TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
pub(super) const SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
pub(super) const PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");
pub(super) const SAMPLED_HEADER: HeaderName = HeaderName::from_static("x-b3-sampled");
pub(super) const FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// What B3 headers said; at least one of the two is there.
pub(super) struct Found {
    pub(super) ids: Option<(u128, u64)>,
    pub(super) decision: Option<Decision>,
}

impl Found {
    pub(super) fn context(&self) -> Option<TraceContext> {
        let (trace_id, span_id) = self.ids?;
        let sampled = matches!(self.decision, Some(Decision::Accept | Decision::Debug));
        Some(TraceContext {
            trace_id,
            span_id,
            flags: if sampled { SAMPLED } else { 0 },
            debug: self.decision == Some(Decision::Debug),
            formats: Formats::NONE,
            trace_state: None,
        })
    }
}

/// `{trace id}-{span id}[-{decision}[-{parent span id}]]`, or a decision alone.
pub(super) fn extract_single(headers: &HeaderMap) -> Option<Found> {
    let text = single(headers, &B3)?.to_str().ok()?;
    if let Some(decision) = decision(text) {
        return Some(Found { ids: None, decision: Some(decision) });
    }
    let mut parts = text.split('-');
    let ids = ids(parts.next()?, parts.next()?)?;
    let decision = match parts.next() {
        Some(text) => Some(decision(text)?),
        None => None,
    };
    if let Some(parent) = parts.next() {
        span_id(parent)?;
    }
    parts.next().is_none().then_some(Found { ids: Some(ids), decision })
}

pub(super) fn extract_multi(headers: &HeaderMap) -> Option<Found> {
    let text = |name: &HeaderName| single(headers, name).and_then(|value| value.to_str().ok());
    // `x-b3-flags: 1` is the debug flag and implies sampling, whatever the other header says. Early tracers wrote booleans.
    let decision = match (text(&FLAGS), text(&SAMPLED_HEADER)) {
        (Some("1"), _) => Some(Decision::Debug),
        (_, Some("1" | "true" | "True")) => Some(Decision::Accept),
        (_, Some("0" | "false" | "False")) => Some(Decision::Deny),
        _ => None,
    };
    let ids = text(&TRACE_ID).and_then(|trace| ids(trace, text(&SPAN_ID)?));
    (ids.is_some() || decision.is_some()).then_some(Found { ids, decision })
}

/// The single header's before the many's.
pub(super) fn trace_id(headers: &HeaderMap) -> Option<u128> {
    let ids = |found: Option<Found>| found?.ids;
    ids(extract_single(headers)).or_else(|| ids(extract_multi(headers))).map(|(trace_id, _)| trace_id)
}

pub(super) fn inject_single(context: &TraceContext, headers: &mut HeaderMap) {
    let mut text = [b'-'; 32 + 1 + 16 + 1 + 1];
    let trace = trace_id_length(context.trace_id);
    hex::write(context.trace_id, &mut text[..trace]);
    hex::write(context.span_id.into(), &mut text[trace + 1..trace + 17]);
    text[trace + 18] = match (context.debug, context.sampled()) {
        (true, _) => b'd',
        (_, true) => b'1',
        (_, false) => b'0',
    };
    set(headers, B3, &text[..trace + 19]);
}

pub(super) fn inject_multi(context: &TraceContext, headers: &mut HeaderMap) {
    let mut text = [0; 32];
    let trace = &mut text[..trace_id_length(context.trace_id)];
    hex::write(context.trace_id, trace);
    set(headers, TRACE_ID, trace);
    let span = &mut text[..16];
    hex::write(context.span_id.into(), span);
    set(headers, SPAN_ID, span);
    // Optional, and no longer true: the parent is now our span's.
    headers.remove(PARENT_SPAN_ID);
    if context.debug {
        headers.insert(FLAGS, HeaderValue::from_static("1"));
        headers.remove(SAMPLED_HEADER);
    } else {
        headers.remove(FLAGS);
        let sampled = if context.sampled() { "1" } else { "0" };
        headers.insert(SAMPLED_HEADER, HeaderValue::from_static(sampled));
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(text) {
        headers.insert(name, value);
    }
}

fn decision(text: &str) -> Option<Decision> {
    match text {
        "0" => Some(Decision::Deny),
        "1" => Some(Decision::Accept),
        "d" => Some(Decision::Debug),
        _ => None,
    }
}

fn ids(trace_id: &str, span: &str) -> Option<(u128, u64)> {
    if !matches!(trace_id.len(), 16 | 32) {
        return None;
    }
    let trace_id = hex::parse(trace_id.as_bytes(), true).filter(|id| *id != 0)?;
    Some((trace_id, span_id(span)?))
}

fn span_id(text: &str) -> Option<u64> {
    if text.len() != 16 {
        return None;
    }
    let id = hex::parse(text.as_bytes(), true)? as u64;
    (id != 0).then_some(id)
}

/// Tracers with ids of 64 bits get them back as they sent them.
fn trace_id_length(trace_id: u128) -> usize {
    if trace_id >> 64 == 0 { 16 } else { 32 }
}
