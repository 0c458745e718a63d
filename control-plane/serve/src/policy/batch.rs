//! A batch: what a request wants, beside what there is. Parsed, merged, validated as a whole; refused as a whole or written as a whole.

use super::answer;
use crate::convert;
use crate::plane::{Objects, Plane, unix_millis};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Status;
use weir_model::diagnostic::{Diagnostic, Severity};
use weir_model::mesh::Name;
use weir_policy::{Object, ObjectId};
use weir_proto::policy::v1 as wire;
use weir_store::{Change, State};

/// Longest manifest read, in bytes.
pub(super) const MANIFEST_BYTES: usize = 8 * 1024 * 1024;
/// Most objects in one batch.
pub(super) const OBJECTS: usize = 10_000;

/// What a request asks for: objects, and what there is to say of them that is no error.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) objects: Vec<Object>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// An object before and after; absent where there was none, or will be none.
type Edit = (Option<Arc<Object>>, Option<Arc<Object>>);

/// A decided change of the store.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Before and after, for every object the request names.
    changes: BTreeMap<ObjectId, Edit>,
    diagnostics: Vec<Diagnostic>,
}

fn error(resource: impl Into<String>, field: &str, message: String, mend: &str) -> Diagnostic {
    let (resource, field, mend) = (resource.into(), field.to_owned(), mend.to_owned());
    Diagnostic { severity: Severity::Error, resource, field, message, mend }
}

/// Reads typed objects and a manifest; all mistakes of both at once.
pub(super) fn parse(objects: Vec<wire::Object>, manifest: &str) -> Result<Parsed, Vec<Diagnostic>> {
    if manifest.len() > MANIFEST_BYTES {
        let problem = format!("the manifest has {} bytes, at most {MANIFEST_BYTES} are read", manifest.len());
        return Err(vec![error("request", "manifest", problem, "split it into several batches")]);
    }
    let (mut parsed, mut diagnostics) = match manifest.trim() {
        "" => (Vec::new(), Vec::new()),
        _ => weir_policy::parse_yaml(manifest),
    };
    for (index, object) in objects.iter().enumerate() {
        match weir_policy::parse_value(convert::to_json(object), &format!("objects[{index}]")) {
            Ok(object) => parsed.push(object),
            Err(more) => diagnostics.extend(more),
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for object in &parsed {
        let said =
            |known: &Diagnostic| known.severity == Severity::Error && known.resource == object.id.to_string();
        if !seen.insert(&object.id) && !diagnostics.iter().any(said) {
            let problem = "is in this batch twice".to_owned();
            diagnostics.push(error(
                object.id.to_string(),
                "metadata.name",
                problem,
                "remove one of the two, or rename it",
            ));
        }
    }
    if parsed.len() > OBJECTS {
        let problem = format!("{} objects in one batch, at most {OBJECTS} are taken", parsed.len());
        diagnostics.push(error("request", "", problem, "split it into several batches"));
    }
    if parsed.is_empty() && diagnostics.is_empty() {
        let problem = "the request holds no object".to_owned();
        diagnostics.push(error(
            "request",
            "objects",
            problem,
            "fill objects, or manifest with at least one YAML document",
        ));
    }
    refuse_errors(diagnostics).map(|diagnostics| Parsed { objects: parsed, diagnostics })
}

/// Reads a reference to an object.
pub(super) fn reference(object: &wire::ObjectRef, field: &str) -> Result<ObjectId, Diagnostic> {
    let kind = object.kind.parse().map_err(|wrong: weir_policy::KindError| {
        error("request", &format!("{field}.kind"), wrong.to_string(), "name one of the kinds")
    })?;
    if object.name.is_empty() {
        return Err(error("request", &format!("{field}.name"), "is empty".to_owned(), "name the object"));
    }
    let namespace = if object.namespace.is_empty() { "default" } else { &object.namespace };
    Ok(ObjectId::new(kind, Name::new(namespace, &object.name)))
}

/// Reads references; all mistakes at once.
pub(super) fn references(objects: &[wire::ObjectRef]) -> Result<Vec<ObjectId>, Vec<Diagnostic>> {
    let mut ids = Vec::new();
    let mut wrong = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        match reference(object, &format!("objects[{index}]")) {
            Ok(id) => ids.push(id),
            Err(diagnostic) => wrong.push(diagnostic),
        }
    }
    if objects.is_empty() {
        wrong.push(error("request", "objects", "names no object".to_owned(), "name at least one"));
    }
    if wrong.is_empty() { Ok(ids) } else { Err(wrong) }
}

/// Splits errors from the rest.
fn refuse_errors(diagnostics: Vec<Diagnostic>) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let refused = diagnostics.iter().any(|one| one.severity == Severity::Error);
    if refused { Err(diagnostics) } else { Ok(diagnostics) }
}

impl Batch {
    /// Creates and updates objects.
    pub(super) fn apply(plane: &Plane, state: &State, parsed: &Parsed) -> Result<Self, Status> {
        let current = current(plane, state)?;
        let mut batch = Self::merge(&current, parsed);
        batch.judge(&current).map_err(|all| answer::refusal(&all))?;
        Ok(batch)
    }

    /// Deletes objects; those that are not there are an error, since the caller thinks they are.
    pub(super) fn delete(plane: &Plane, state: &State, ids: &[ObjectId]) -> Result<Self, Status> {
        let current = current(plane, state)?;
        let mut batch = Self::default();
        let mut missing = Vec::new();
        for id in ids {
            match current.get(id) {
                Some(object) => _ = batch.changes.insert(id.clone(), (Some(Arc::clone(object)), None)),
                None => missing.push(id.to_string()),
            }
        }
        if !missing.is_empty() {
            return Err(Status::not_found(format!(
                "there is no {} at revision {}",
                missing.join(", no "),
                state.revision
            )));
        }
        batch.judge(&current).map_err(|all| answer::refusal(&all))?;
        Ok(batch)
    }

    /// Makes the objects what they were.
    pub(super) fn replace(plane: &Plane, state: &State, wanted: &State) -> Result<Self, Status> {
        let (current, wanted) = (current(plane, state)?, current_of(wanted)?);
        let mut batch = Self::default();
        for id in current.keys().chain(wanted.keys()) {
            let (before, after) = (current.get(id), wanted.get(id));
            if before != after {
                batch.changes.insert(id.clone(), (before.cloned(), after.cloned()));
            }
        }
        batch.judge(&current).map_err(|all| answer::refusal(&all))?;
        Ok(batch)
    }

    /// What `parsed` means beside what there is: the time of creation is kept, and so is an object that says the same.
    pub(super) fn merge(current: &Objects, parsed: &Parsed) -> Self {
        let now = unix_millis();
        let mut batch = Self { diagnostics: parsed.diagnostics.clone(), ..Self::default() };
        for object in &parsed.objects {
            let before = current.get(&object.id).cloned();
            let after = match &before {
                Some(before) if before.same_content(object) => Arc::clone(before),
                _ => {
                    let mut object = object.clone();
                    let created = before.as_ref().and_then(|before| before.metadata.created_millis);
                    object.metadata.created_millis = Some(created.unwrap_or(now));
                    Arc::new(object)
                }
            };
            batch.changes.insert(object.id.clone(), (before, Some(after)));
        }
        batch
    }

    /// Adds deletions, for a dry run that knows both.
    pub(super) fn remove(&mut self, current: &Objects, ids: &[ObjectId]) {
        for id in ids {
            match current.get(id) {
                Some(object) => _ = self.changes.insert(id.clone(), (Some(Arc::clone(object)), None)),
                None => {
                    let problem = "does not exist and cannot be deleted".to_owned();
                    self.diagnostics.push(error(
                        id.to_string(),
                        "",
                        problem,
                        "see what there is with `weir get`",
                    ));
                }
            }
        }
    }

    /// The objects as they would be.
    pub(super) fn after(&self, current: &Objects) -> Objects {
        let mut objects = current.clone();
        for (id, (_, after)) in &self.changes {
            match after {
                Some(after) => _ = objects.insert(id.clone(), Arc::clone(after)),
                None => _ = objects.remove(id),
            }
        }
        objects
    }

    /// Judges the whole mesh as it would be. What was wrong before and is not touched is not held against the batch; it becomes a warning.
    pub(super) fn judge(&mut self, current: &Objects) -> Result<(), Vec<Diagnostic>> {
        let after = self.after(current);
        let mut found = weir_policy::validate(after.values().map(|object| &**object));
        let touches = |one: &Diagnostic| self.changes.keys().any(|id| id.to_string() == one.resource);
        if found.iter().any(|one| one.severity == Severity::Error && !touches(one)) {
            let before = weir_policy::validate(current.values().map(|object| &**object));
            for one in found.iter_mut().filter(|one| one.severity == Severity::Error && !touches(one)) {
                if before.contains(one) {
                    one.severity = Severity::Warning;
                }
            }
        }
        found.retain(|one| one.severity == Severity::Error || touches(one));
        self.diagnostics.extend(found);
        self.diagnostics.sort();
        self.diagnostics.dedup();
        refuse_errors(std::mem::take(&mut self.diagnostics)).map(|rest| self.diagnostics = rest)
    }

    /// As the store takes it.
    pub(super) fn changes(&self) -> Vec<Change> {
        let changed = self.changes.iter().filter(|(_, (before, after))| before != after);
        let change = |(id, (_, after)): (&ObjectId, &Edit)| match after {
            Some(object) => Change::Put { key: id.key(), value: object.to_stored().into() },
            None => Change::Delete { key: id.key() },
        };
        changed.map(change).collect()
    }

    /// As the caller reads it.
    pub(super) fn answer(&self) -> (Vec<wire::Change>, Vec<wire::Diagnostic>) {
        let change = |(id, (before, after)): (&ObjectId, &Edit)| {
            answer::change(id, before.as_deref(), after.as_deref())
        };
        (
            self.changes.iter().map(change).collect(),
            self.diagnostics.iter().map(convert::diagnostic).collect(),
        )
    }
}

fn current(plane: &Plane, state: &State) -> Result<Objects, Status> {
    plane.objects(state).map_err(|all| answer::unreadable(&all))
}

fn current_of(state: &State) -> Result<Objects, Status> {
    let mut objects = Objects::new();
    for entry in state.entries.values() {
        let object = Object::from_stored(&entry.value).map_err(|all| answer::unreadable(&all))?;
        objects.insert(object.id.clone(), Arc::new(object));
    }
    Ok(objects)
}
