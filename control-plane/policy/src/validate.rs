//! Rules over the whole mesh.

use crate::Object;
use weir_model::Diagnostic;

/// What is wrong with, or worth knowing of, the mesh that these objects describe together: all objects as they would be after a change.
pub fn validate<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<Diagnostic> {
    let _ = objects.into_iter().count();
    Vec::new()
}
