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

/// A namespace, and a label's key and value.
type Carried<'m> = (&'m str, &'m str, &'m str);

/// The workloads of a mesh by label, so that a selector does not look at all of them.
#[derive(Debug)]
pub struct Selection<'m> {
    by_label: BTreeMap<Carried<'m>, Vec<(&'m Name, &'m Workload)>>,
}

impl<'m> Selection<'m> {
    /// Reads the mesh.
    pub fn new(mesh: &'m Mesh) -> Self {
        let mut by_label: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, workload) in &mesh.workloads {
            for (key, value) in &workload.labels {
                by_label
                    .entry((name.namespace.as_str(), key.as_str(), value.as_str()))
                    .or_default()
                    .push((name, workload));
            }
        }
        Self { by_label }
    }

    /// The workloads that a service selects, in order of name.
    pub fn of(&self, name: &Name, service: &Service) -> Vec<(&'m Name, &'m Workload)> {
        // The label that the fewest carry decides how many are looked at.
        let carriers = service.selector.iter().map(|(key, value)| {
            let found = self.by_label.get(&(name.namespace.as_str(), key.as_str(), value.as_str()));
            found.map_or(&[][..], Vec::as_slice)
        });
        let fewest = carriers.min_by_key(|carriers| carriers.len()).unwrap_or_default();
        fewest.iter().filter(|(_, workload)| service.selects(&workload.labels)).copied().collect()
    }
}

#[cfg(test)]
mod tests;
