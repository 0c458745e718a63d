//! What header fields look like after a mutation, and what the value of a field is.
//!
//! It does not protect any field: that a policy may not touch `host` or `content-length` is for validation to say.

use http::HeaderMap;
use std::borrow::Cow;
use weir_model::{HeaderMutation, HeaderName, HeaderValue};

/// Sets, then adds, then removes, each in the order written (Gateway API `HTTPHeaderFilter`). A field that the map has no room for
/// is left out; [`weir_model::limits::HEAD_FIELDS`] is far below that.
pub fn apply(mutation: &HeaderMutation, headers: &mut HeaderMap) {
    for (name, value) in &mutation.set {
        let _full = headers.try_insert(name, value.clone());
    }
    for (name, value) in &mutation.add {
        let _full = headers.try_append(name, value.clone());
    }
    for name in &mutation.remove {
        headers.remove(name);
    }
}

/// The value of a header field, several of one name joined by commas in their order (RFC 9110 section 5.3). Borrows where there is
/// only one.
pub fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
    let mut all = [first, b",", second].concat();
    for value in values {
        all.push(b',');
        all.extend_from_slice(value);
    }
    Some(Cow::Owned(all))
}

#[cfg(test)]
mod tests;
