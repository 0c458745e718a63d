//! Which sidecars serve what.

use super::answer::rfc3339;
use crate::convert;
use crate::plane::Plane;
use crate::registry::{NodeState, progress};
use std::time::Duration;
use tonic::Status;
use weir_model::Version;
use weir_proto::policy::v1 as wire;
use weir_xds::ResourceStatus;

/// The status of one node, or of all.
pub(super) fn status(plane: &Plane, node: &str) -> Result<wire::StatusResponse, Status> {
    let nodes = match node {
        "" => plane.registry.all(),
        id => match plane.registry.get(id) {
            Some(state) => vec![state],
            None => {
                return Err(Status::not_found(format!(
                    "no sidecar {id:?} is or was connected; `weir status` lists them"
                )));
            }
        },
    };
    let summary = plane.propagation.lock().summary();
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(wire::StatusResponse {
        revision: plane.store.state().revision.0,
        sidecars: nodes.into_iter().map(sidecar).collect(),
        propagation: Some(wire::Propagation {
            changes: summary.changes,
            p50_ms: millis(summary.p50),
            p99_ms: millis(summary.p99),
            max_ms: millis(summary.max),
            last_ms: millis(summary.last),
        }),
        load: plane.loads.sums(),
    })
}

fn sidecar(state: NodeState) -> wire::SidecarStatus {
    let resources = state.resources().into_iter().map(resource).collect();
    wire::SidecarStatus {
        target: state.node.target.to_string(),
        namespace: state.node.namespace.clone(),
        service: state.node.service.clone(),
        locality: state.node.locality.to_string(),
        connected: state.ended.is_none(),
        connected_since: rfc3339(state.since_millis),
        serving_revision: state.serving,
        in_sync: state.in_sync,
        protocol: state.protocol.to_owned(),
        version: state.version,
        address: state.peer,
        resources,
        diagnostics: state.diagnostics.iter().map(convert::diagnostic).collect(),
        node: state.node.id,
    }
}

fn resource(status: ResourceStatus) -> wire::ResourceStatus {
    let version = |version: Option<Version>| version.map(|version| version.to_string()).unwrap_or_default();
    wire::ResourceStatus {
        state: progress(&status).to_owned(),
        r#type: status.kind.to_string(),
        name: status.name,
        sent_version: version(status.sent),
        acknowledged_version: version(status.acked),
        nack: status.nack.map(|nack| nack.text.to_string()).unwrap_or_default(),
    }
}
