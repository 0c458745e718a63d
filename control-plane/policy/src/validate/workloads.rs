//! Services and the workloads behind them.

use super::Findings;
use crate::{Kind, ObjectId};
use std::collections::{BTreeMap, BTreeSet};
use weir_model::mesh::{Mesh, Selection};

pub(super) fn check(mesh: &Mesh, findings: &mut Findings) {
    let selection = Selection::new(mesh);
    let mut told = BTreeSet::new();
    for (name, service) in &mesh.services {
        let id = ObjectId::new(Kind::Service, name.clone());
        let workloads = selection.of(mesh, name, service);
        if service.selector.is_empty() {
            let mend = "add the labels of the workloads behind it";
            findings.about(&id).note("spec.selector", "without a selector it has no workloads", mend);
        } else if workloads.is_empty() {
            let message =
                "it selects no declared workload: only sidecars that join with these labels serve it";
            findings.about(&id).note("spec.selector", message, "");
        }
        for port in &service.ports {
            let mut addresses = BTreeMap::new();
            for &(workload_name, workload) in &workloads {
                let workload_id = ObjectId::new(Kind::Workload, workload_name.clone());
                let Some(found) = service.workload_port(port, &workload.ports) else {
                    if told.insert((workload_name, name, port.port)) {
                        let message = format!(
                            "it has no port for port {} of service {name}, which selects it",
                            port.port
                        );
                        findings.about(&workload_id).warning(
                            "spec.ports",
                            message,
                            "add one of the target's name or number",
                        );
                    }
                    continue;
                };
                if let Some(first) = addresses.insert(found.address, workload_name)
                    && told.insert((workload_name, name, 0))
                {
                    let message =
                        format!("workload {first} has the address {} too, in service {name}", found.address);
                    findings.about(&workload_id).warning("spec.address", message, "remove one of them");
                }
            }
        }
    }
}
