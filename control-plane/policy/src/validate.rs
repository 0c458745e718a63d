//! Rules over the whole mesh: what one document alone cannot tell.

mod references;
mod shadow;
mod workloads;

use crate::decode::{Report, bounded};
use crate::{Object, ObjectId, to_mesh};
use std::collections::BTreeMap;
use weir_model::Diagnostic;
use weir_model::mesh::Mesh;

/// What is wrong with, or worth knowing of, the mesh that these objects describe together: **all** objects as they would be after a change.
///
/// A reference to what does not exist is an error, so what is still referred to cannot be deleted: the finding names who refers to it.
pub fn validate<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<Diagnostic> {
    let objects: Vec<&Object> = objects.into_iter().collect();
    let mesh = to_mesh(objects.iter().copied());
    let mut findings = Findings::default();
    let mut seen = BTreeMap::new();
    for object in &objects {
        if let Some(()) = seen.insert(&object.id, ()) {
            findings.about(&object.id).error(
                "metadata.name",
                "it is there twice",
                "remove one, or give it another name",
            );
        }
    }
    references::check(&objects, &mesh, &mut findings);
    shadow::check(&mesh, &mut findings);
    workloads::check(&mesh, &mut findings);
    findings.finish()
}

/// Findings by the object they are about.
#[derive(Default)]
struct Findings {
    by_object: BTreeMap<ObjectId, Report>,
}

impl Findings {
    fn about(&mut self, id: &ObjectId) -> &Report {
        self.by_object.entry(id.clone()).or_insert_with(|| Report::new(id.to_string()))
    }

    fn finish(self) -> Vec<Diagnostic> {
        let found = self.by_object.into_values().flat_map(|report| {
            let mut found = report.finish();
            found.sort();
            found
        });
        bounded(found.collect())
    }
}

/// What to write instead of a service that is not there.
fn service_mend(mesh: &Mesh, wanted: &weir_model::mesh::Name) -> String {
    let names: Vec<&str> = mesh
        .services
        .keys()
        .filter(|name| name.namespace == wanted.namespace)
        .map(|name| name.name.as_str())
        .collect();
    match crate::decode::suggestion(&wanted.name, &names) {
        Some(similar) => format!("did you mean {similar}? Otherwise apply the service first"),
        None => "apply the service first, or remove the reference".to_owned(),
    }
}

#[cfg(test)]
mod tests;
