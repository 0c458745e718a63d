//! Numbers for what metrics count routes under.

use std::collections::HashMap;
use std::sync::Arc;

use crate::snapshot::Routes;

/// Gives each `stat_prefix` a number for as long as any linked route has it.
#[derive(Debug, Default)]
pub(super) struct RouteIds {
    names: HashMap<Arc<str>, Entry>,
    next: u32,
}

#[derive(Debug)]
struct Entry {
    id: u32,
    uses: usize,
}

impl RouteIds {
    /// The shared text and its number, for one more route.
    pub(super) fn acquire(&mut self, name: &str) -> (Arc<str>, u32) {
        if let Some((name, _)) = self.names.get_key_value(name) {
            let name = name.clone();
            if let Some(entry) = self.names.get_mut(&name) {
                entry.uses += 1;
                return (name, entry.id);
            }
        }
        let (name, id): (Arc<str>, u32) = (name.into(), self.next);
        self.next = self.next.wrapping_add(1);
        self.names.insert(name.clone(), Entry { id, uses: 1 });
        (name, id)
    }

    /// These routes are not linked any more.
    pub(super) fn release(&mut self, routes: &Routes) {
        for route in routes.hosts.iter().flatten() {
            if let Some(entry) = self.names.get_mut(&route.stat_prefix) {
                entry.uses -= 1;
                if entry.uses == 0 {
                    self.names.remove(&route.stat_prefix);
                }
            }
        }
    }
}
