//! What header fields look like after a mutation, and what the value of a field is.
//!
//! It does not protect any field: that a policy may not touch `host` or `content-length` is for validation to say.

use http::HeaderMap;
use std::borrow::Cow;
use weir_model::access_log::Template;
use weir_model::{EditAction, EditValue, HeaderEdits, HeaderMutation, HeaderName, HeaderValue};

/// Sets, then adds, then removes, each in the order written (Gateway API `HTTPHeaderFilter`); its edits are for [`edit`]. A field that the map has no room for
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

/// Removes, makes all values of what there is then, writes those that take the place of others, then those that are added, as Envoy does.
/// `value` makes the value of a template out of the fields as they are; it is left out where that is none, or empty and not to be kept.
pub fn edit(
    edits: &HeaderEdits,
    headers: &mut HeaderMap,
    mut value: impl FnMut(&Template, &HeaderMap) -> Option<HeaderValue>,
) {
    for name in &edits.remove {
        headers.remove(name);
    }
    let (mut over, mut added) = (Vec::new(), Vec::new());
    for edit in &edits.write {
        let made = match &edit.value {
            EditValue::Literal(value) => Some(value.clone()),
            EditValue::Template { template, keep_empty } => {
                value(template, headers).filter(|value| *keep_empty || !value.is_empty())
            }
        };
        let Some(made) = made else { continue };
        match edit.action {
            EditAction::AddIfAbsent if headers.contains_key(&edit.name) => {}
            EditAction::OverwriteIfExists if !headers.contains_key(&edit.name) => {}
            EditAction::Append | EditAction::AddIfAbsent => added.push((&edit.name, made)),
            EditAction::Overwrite | EditAction::OverwriteIfExists => over.push((&edit.name, made)),
        }
    }
    for (name, value) in over {
        let _full = headers.try_insert(name, value);
    }
    for (name, value) in added {
        let _full = headers.try_append(name, value);
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
