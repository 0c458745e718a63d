//! `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Formats, RANDOM_TRACE_ID, SAMPLED, TraceContext, hex};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-` trace id `-` span id `-` flags.
const LENGTH: usize = 55;
/// Most list members in a `tracestate`; a longer list is refused whole.
const MAX_MEMBERS: usize = 32;
/// How much of a `tracestate` is passed on; what the specification asks for as a minimum.
const MAX_BYTES: usize = 512;
/// Members longer than this are the first to go when the list is too long.
const LONG_MEMBER: usize = 128;

pub(super) fn extract(headers: &HeaderMap) -> Option<TraceContext> {
    let (trace_id, span_id, flags) = parent(headers)?;
    let trace_state = trace_state(headers);
    Some(TraceContext { trace_id, span_id, flags, debug: false, formats: Formats::W3C, trace_state })
}

pub(super) fn trace_id(headers: &HeaderMap) -> Option<u128> {
    parent(headers).map(|(trace_id, _, _)| trace_id)
}

/// What `traceparent` says: trace, span and flags.
fn parent(headers: &HeaderMap) -> Option<(u128, u64, u8)> {
    let value = single(headers, &TRACEPARENT)?.as_bytes();
    if value.len() < LENGTH || value[2] != b'-' || value[35] != b'-' || value[52] != b'-' {
        return None;
    }
    // Later versions may append fields, and are then read like this one; version ff never exists.
    match hex::parse(&value[..2], false)? {
        0 if value.len() != LENGTH => return None,
        255 => return None,
        _ if value.len() > LENGTH && value[LENGTH] != b'-' => return None,
        _ => {}
    }
    let trace_id = hex::parse(&value[3..35], false)?;
    let span_id = hex::parse(&value[36..52], false)? as u64;
    let flags = hex::parse(&value[53..55], false)? as u8 & (SAMPLED | RANDOM_TRACE_ID);
    (trace_id != 0 && span_id != 0).then_some((trace_id, span_id, flags))
}

pub(super) fn inject(context: &TraceContext, headers: &mut HeaderMap) {
    let mut text = [b'-'; LENGTH];
    text[..2].copy_from_slice(b"00");
    hex::write(context.trace_id, &mut text[3..35]);
    hex::write(context.span_id.into(), &mut text[36..52]);
    hex::write(context.flags.into(), &mut text[53..]);
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        headers.insert(TRACEPARENT, value);
    }
    match &context.trace_state {
        Some(state) => drop(headers.insert(TRACESTATE, state.clone())),
        None => drop(headers.remove(TRACESTATE)),
    }
}

/// The one value of a header that may occur only once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// All `tracestate` headers as one list within the limits; `None` if there is none, it is empty or malformed. A key that occurs
/// twice, though forbidden, is passed on as it came.
fn trace_state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(TRACESTATE).iter();
    let first = values.next()?;
    let alone = values.next().is_none();
    let mut members = [""; MAX_MEMBERS];
    let (mut count, mut bytes) = (0, 0);
    for value in headers.get_all(TRACESTATE) {
        for member in value.to_str().ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            if count == MAX_MEMBERS || !is_member(member) {
                return None;
            }
            members[count] = member;
            count += 1;
            bytes += member.len() + 1;
        }
    }
    if count == 0 {
        return None;
    }
    if alone && first.len() <= MAX_BYTES {
        return Some(first.clone());
    }
    Some(joined(&mut members[..count], bytes - 1))
}

/// The members in order, without as many as needed to stay within [`MAX_BYTES`]: long ones first, then from the end.
fn joined(members: &mut [&str], mut bytes: usize) -> HeaderValue {
    for long in [true, false] {
        for member in members.iter_mut().rev() {
            if bytes > MAX_BYTES && !member.is_empty() && (!long || member.len() > LONG_MEMBER) {
                bytes = bytes.saturating_sub(member.len() + 1);
                *member = "";
            }
        }
    }
    let mut list = String::with_capacity(bytes);
    for member in members.iter().filter(|member| !member.is_empty()) {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(member);
    }
    // Every member was visible ASCII.
    HeaderValue::from_maybe_shared(list.into_bytes()).unwrap_or(HeaderValue::from_static(""))
}

/// `key=value` as Level 2 has it: a key of up to 256 of `a-z 0-9 _ - * / @` which starts with a letter or digit, a value of
/// 1 to 256 printable ASCII characters without `,` and `=`.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let key_byte = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let key_is_good = (1..=256).contains(&key.len())
        && key.as_bytes()[0].is_ascii_alphanumeric()
        && key.as_bytes().iter().all(key_byte);
    let value_is_good = (1..=256).contains(&value.len())
        && value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b',' && b != b'=');
    key_is_good && value_is_good
}
