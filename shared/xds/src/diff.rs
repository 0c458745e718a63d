//! What changed between two sets of resources. Pure; versions are content hashes, so equal versions mean equal content.

use std::sync::Arc;
use weir_model::{Resource, ResourceSet, ResourceType, Version};

/// One resource that is not the same on both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: String,
    /// What it was; absent if it is new.
    pub before: Option<(Version, Arc<Resource>)>,
    /// What it is; absent if it is gone.
    pub after: Option<(Version, Arc<Resource>)>,
}

/// Every difference between two sets, in order of delivery and name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes(pub Vec<Change>);

impl Changes {
    /// Whether both sides are the same.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes of one type.
    pub fn of(&self, kind: ResourceType) -> impl Iterator<Item = &Change> {
        self.0.iter().filter(move |change| change.kind == kind)
    }
}

/// What leads from `before` to `after`: `apply(&before, &diff(&before, &after)) == after`.
pub fn diff(before: &ResourceSet, after: &ResourceSet) -> Changes {
    let mut changes = Vec::new();
    for kind in ResourceType::ALL {
        let mut of_kind = Vec::new();
        for (name, version, resource) in before.of(kind) {
            let now = after.get(kind, name);
            if now.is_none_or(|(other, _)| *other != version) {
                let before = Some((version, resource.clone()));
                of_kind.push(Change { kind, name: name.to_owned(), before, after: now.cloned() });
            }
        }
        for (name, version, resource) in after.of(kind) {
            if before.get(kind, name).is_none() {
                let after = Some((version, resource.clone()));
                of_kind.push(Change { kind, name: name.to_owned(), before: None, after });
            }
        }
        of_kind.sort_by(|a, b| a.name.cmp(&b.name));
        changes.append(&mut of_kind);
    }
    Changes(changes)
}

/// The set after the changes.
pub fn apply(before: &ResourceSet, changes: &Changes) -> ResourceSet {
    let mut set = before.clone();
    for change in &changes.0 {
        match &change.after {
            Some((version, resource)) => set.insert_versioned(*version, resource.clone()),
            None => {
                set.remove(change.kind, &change.name);
            }
        }
    }
    set
}

#[cfg(test)]
mod tests;
