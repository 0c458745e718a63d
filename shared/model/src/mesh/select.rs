//! Which workloads are behind a service, and which of their ports.

use super::{Mesh, Name, Service, ServicePort, TargetPort, Workload, WorkloadPort};
use std::collections::BTreeMap;

impl Service {
    /// Whether it selects a workload with these labels (of its own namespace).
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.selector.is_empty() && self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// The workload's port that serves a port of this service: the one with the target's name or number, else the one with the service port's
    /// own name, else the only one if the service has only one too.
    pub fn workload_port<'w>(
        &self,
        port: &ServicePort,
        candidates: &'w [WorkloadPort],
    ) -> Option<&'w WorkloadPort> {
        let targeted = candidates.iter().find(|candidate| match &port.target {
            TargetPort::Named(name) => candidate.name == *name,
            TargetPort::Number(number) => candidate.number == *number,
        });
        let named =
            || candidates.iter().find(|candidate| !port.name.is_empty() && candidate.name == port.name);
        let only = || match (self.ports.as_slice(), candidates) {
            ([_], [only]) => Some(only),
            _ => None,
        };
        targeted.or_else(named).or_else(only)
    }
}

/// Names by a namespace, a label's key and its value.
type ByLabel = BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<Name>>>>;

/// The workloads of a mesh by label, so that a selector does not look at all of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    by_label: ByLabel,
}

impl Selection {
    /// Reads the mesh.
    pub fn new(mesh: &Mesh) -> Self {
        let mut by_label = ByLabel::new();
        for (name, workload) in &mesh.workloads {
            for (key, value) in &workload.labels {
                let by_key = entry(&mut by_label, &name.namespace);
                entry(entry(by_key, key), value).push(name.clone());
            }
        }
        Self { by_label }
    }

    /// The workloads that a service of the same mesh selects, in order of name.
    pub fn of<'m>(&self, mesh: &'m Mesh, name: &Name, service: &Service) -> Vec<(&'m Name, &'m Workload)> {
        let by_key = self.by_label.get(&name.namespace);
        let carriers = |(key, value): (&String, &String)| {
            by_key.and_then(|by_key| by_key.get(key)?.get(value)).map_or(&[][..], Vec::as_slice)
        };
        // The label that the fewest carry decides how many are looked at.
        let fewest =
            service.selector.iter().map(carriers).min_by_key(|carriers| carriers.len()).unwrap_or_default();
        let workloads = fewest.iter().filter_map(|name| mesh.workloads.get_key_value(name));
        workloads.filter(|(_, workload)| service.selects(&workload.labels)).collect()
    }
}

/// The entry under a key, without copying a key that is there.
fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, key: &str) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key).expect("it is there, or was just inserted")
}

#[cfg(test)]
mod tests;
