//! What header fields look like after a mutation.
//!
//! It does not protect any field: that a policy may not touch `host` or `content-length` is for validation to say.

use http::HeaderMap;
use weir_model::HeaderMutation;

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

#[cfg(test)]
mod tests;
