//! What the control plane ever wanted each node to have, and since when: the measure for what a node serves.
//!
//! Every world the control plane publishes is one generation, counted over all its restarts. A node may be behind, resource by resource,
//! but whatever it serves was compiled for it once, and it never goes back: for each resource there is a sequence of generations, never
//! falling, that explains the versions it served. (A rollback of policy is a new generation with old content.)

use std::collections::BTreeMap;
use weir_model::ResourceType;

/// A resource's content, as the wire has it.
pub(crate) type Mark = u64;
/// Names a resource of a node.
pub(crate) type Key = (ResourceType, String);

/// What one node was meant to have over time.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By resource: from which generation on which content, or none.
    of: BTreeMap<Key, Vec<(u64, Option<Mark>)>>,
}

impl History {
    /// From this generation on the node should have exactly these.
    pub(crate) fn record(&mut self, generation: u64, now: &BTreeMap<Key, Mark>) {
        for (key, mark) in now {
            note(self.of.entry(key.clone()).or_default(), generation, Some(*mark));
        }
        for (_, steps) in self.of.iter_mut().filter(|(key, _)| !now.contains_key(*key)) {
            note(steps, generation, None);
        }
    }

    /// The first generation, not before `floor`, in which a resource had this content.
    fn explains(&self, key: &Key, mark: Mark, floor: u64) -> Option<u64> {
        let steps = self.of.get(key)?;
        let ends = steps.iter().skip(1).map(|(from, _)| *from).chain([u64::MAX]);
        // Compiled twice within one generation, for other subscriptions: both are the truth of it.
        let covers = |from: u64, end: u64| end.max(from + 1) > floor;
        let mut spans = steps.iter().zip(ends);
        spans
            .find(|((from, content), end)| *content == Some(mark) && covers(*from, *end))
            .map(|((from, _), _)| floor.max(*from))
    }
}

fn note(steps: &mut Vec<(u64, Option<Mark>)>, generation: u64, mark: Option<Mark>) {
    if steps.last().is_none_or(|(_, last)| *last != mark) {
        steps.push((generation, mark));
    }
}

/// How far a node has come, resource by resource: what it serves, and the earliest generation that explains what it served so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floors(BTreeMap<Key, (Option<Mark>, u64)>);

impl Floors {
    /// The node serves exactly these from now on; an error if nothing explains one of them.
    pub(crate) fn serve(&mut self, history: &History, now: &BTreeMap<Key, Mark>) -> Result<(), String> {
        for (_, (served, _)) in self.0.iter_mut().filter(|(key, _)| !now.contains_key(*key)) {
            *served = None;
        }
        for (key, mark) in now {
            let known = self.0.get(key).copied();
            let (served, floor) = known.unwrap_or_default();
            if served == Some(*mark) {
                continue;
            }
            let Some(generation) = history.explains(key, *mark, floor) else {
                return Err(unexplained(history, key, *mark, floor));
            };
            self.0.insert(key.clone(), (Some(*mark), generation));
        }
        Ok(())
    }
}

fn unexplained(history: &History, (kind, name): &Key, mark: Mark, floor: u64) -> String {
    match history.explains(&(*kind, name.clone()), mark, 0) {
        Some(_) => format!(
            "goes back in time: {kind} {name} at {mark:016x}, which was over before generation {floor}"
        ),
        None => format!("serves what nobody meant it to: {kind} {name} at {mark:016x}"),
    }
}
