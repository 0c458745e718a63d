//! What survives every crash of the control plane: a model of the revisioned store, and the list of who had joined.
//!
//! `weir-store` has its own proof that what it acknowledged survives; here only its promise matters: a batch is there whole from the moment
//! it is written, revisions go up by one, and any of them can be read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use weir_model::mesh::{Name, Workload};
use weir_store::{Change, Entry, Revision, State};

/// The disk of the control plane.
#[derive(Debug)]
pub(crate) struct Disk {
    states: Vec<State>,
    /// Who had joined when it was last written down.
    pub(crate) leases: BTreeMap<Name, Workload>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { states: vec![State::default()], leases: BTreeMap::new() }
    }
}

impl Disk {
    /// The newest state.
    pub(crate) fn state(&self) -> &State {
        self.states.last().expect("the empty state is the first")
    }

    /// The state at a revision.
    pub(crate) fn at(&self, revision: Revision) -> Option<&State> {
        self.states.get(usize::try_from(revision.0).ok()?)
    }

    /// Writes a batch, whole.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Revision {
        let state = self.state();
        let revision = Revision(state.revision.0 + 1);
        let mut entries = (*state.entries).clone();
        for change in changes {
            match change {
                Change::Put { key, value } => {
                    let created = entries.get(key).map_or(revision, |entry| entry.created);
                    entries.insert(key.clone(), Entry { value: value.clone(), created, modified: revision });
                }
                Change::Delete { key } => drop(entries.remove(key)),
            }
        }
        if entries == *state.entries {
            return state.revision;
        }
        self.states.push(State { revision, entries: Arc::new(entries) });
        revision
    }

    /// Forgets the newest batch, as no store may: for the mutation that shows it is noticed.
    pub(crate) fn lose_newest(&mut self) {
        if self.states.len() > 1 {
            self.states.pop();
        }
    }
}
