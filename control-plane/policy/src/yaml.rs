//! YAML documents.

use crate::Object;
use weir_model::Diagnostic;

/// Reads every document of a YAML stream: what could be read, and everything there is to say of it. Nothing may be applied if one of
/// the diagnostics is an error.
pub fn parse_yaml(_text: &str) -> (Vec<Object>, Vec<Diagnostic>) {
    (Vec::new(), Vec::new())
}

/// The canonical form of objects as YAML, one document each.
pub fn to_yaml<'a>(objects: impl IntoIterator<Item = &'a Object>) -> String {
    let _ = objects.into_iter().count();
    String::new()
}
