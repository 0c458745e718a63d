//! The dry run: what `Apply` would say, and what each connected sidecar would get.

use super::answer;
use super::batch::{self, Batch, Parsed};
use crate::convert;
use crate::plane::Plane;
use std::collections::BTreeMap;
use weir_compile::Compiled;
use weir_model::mesh::Mesh;
use weir_model::node::Node;
use weir_model::{Diagnostic, Resource, ResourceSet, ResourceType, Severity};
use weir_proto::policy::v1 as wire;

/// Lines shown per resource.
const LINES: usize = 400;
/// Sidecars shown.
const SIDECARS: usize = 1000;

/// Answers; a batch that would be refused is an answer too.
pub(super) fn validate(plane: &Plane, request: wire::ValidateRequest) -> wire::ValidateResponse {
    let mut wrong = Vec::new();
    let nothing =
        request.objects.is_empty() && request.manifest.trim().is_empty() && !request.deletions.is_empty();
    let mut parsed = Parsed { objects: Vec::new(), diagnostics: Vec::new() };
    if !nothing {
        match batch::parse(request.objects, &request.manifest) {
            Ok(read) => parsed = read,
            Err(more) => wrong.extend(more),
        }
    }
    let mut deletions = Vec::new();
    if !request.deletions.is_empty() {
        match batch::references(&request.deletions) {
            Ok(ids) => deletions = ids,
            Err(more) => wrong.extend(more),
        }
    }
    if !wrong.is_empty() {
        return invalid(&wrong);
    }
    let state = plane.store.state();
    let current = match plane.objects(&state) {
        Ok(current) => current,
        Err(unreadable) => return invalid(&unreadable),
    };
    let mut batch = Batch::merge(&current, &parsed);
    batch.remove(&current, &deletions);
    if let Err(all) = batch.judge(&current) {
        return invalid(&all);
    }
    let (changes, diagnostics) = batch.answer();
    let (before, after) = (plane.mesh_with(&current), plane.mesh_with(&batch.after(&current)));
    wire::ValidateResponse { valid: true, diagnostics, changes, sidecars: sidecars(plane, &before, &after) }
}

fn invalid(diagnostics: &[Diagnostic]) -> wire::ValidateResponse {
    let valid = !diagnostics.iter().any(|one| one.severity == Severity::Error);
    let diagnostics = diagnostics.iter().map(convert::diagnostic).collect();
    wire::ValidateResponse { valid, diagnostics, ..Default::default() }
}

fn sidecars(plane: &Plane, before: &Mesh, after: &Mesh) -> Vec<wire::SidecarDiff> {
    let mut classes: BTreeMap<Node, (Vec<wire::ResourceDiff>, Vec<Diagnostic>)> = BTreeMap::new();
    let mut found = Vec::new();
    for state in plane.registry.all().into_iter().filter(|state| state.ended.is_none()) {
        let class = Node { id: String::new(), ..state.node.clone() };
        let (resources, diagnostics) = classes.entry(class).or_insert_with_key(|class| {
            let (before, after) = (weir_compile::compile(before, class), weir_compile::compile(after, class));
            (differences(&before.resources, &after.resources), new_diagnostics(before, after))
        });
        if resources.is_empty() && diagnostics.is_empty() {
            continue;
        }
        found.push(wire::SidecarDiff {
            node: state.node.id,
            target: state.node.target.to_string(),
            resources: resources.clone(),
            diagnostics: diagnostics.iter().map(convert::diagnostic).collect(),
        });
        if found.len() == SIDECARS {
            break;
        }
    }
    found
}

fn new_diagnostics(before: Compiled, after: Compiled) -> Vec<Diagnostic> {
    after.diagnostics.into_iter().filter(|one| !before.diagnostics.contains(one)).collect()
}

/// What one set has that the other has not, resource by resource.
fn differences(before: &ResourceSet, after: &ResourceSet) -> Vec<wire::ResourceDiff> {
    let keys =
        |set: &ResourceSet| set.iter().map(|(kind, name, _, _)| (kind, name.to_owned())).collect::<Vec<_>>();
    let mut all = keys(before);
    all.extend(keys(after));
    all.sort();
    all.dedup();
    all.into_iter().filter_map(|(kind, name)| difference(kind, name, before, after)).collect()
}

fn difference(
    kind: ResourceType,
    name: String,
    before: &ResourceSet,
    after: &ResourceSet,
) -> Option<wire::ResourceDiff> {
    use wire::change::Action;
    let (old, new) = (before.get(kind, &name), after.get(kind, &name));
    let action = match (old, new) {
        (None, Some(_)) => Action::Created,
        (Some(_), None) => Action::Deleted,
        (Some((old, _)), Some((new, _))) if old != new => Action::Updated,
        _ => return None,
    };
    let text = |resource: Option<&(_, std::sync::Arc<Resource>)>| {
        resource.map(|(_, resource)| weir_compile::render(resource)).unwrap_or_default()
    };
    let lines = answer::line_diff(&text(old), &text(new), LINES);
    Some(wire::ResourceDiff { r#type: kind.to_string(), name, action: action.into(), lines })
}
