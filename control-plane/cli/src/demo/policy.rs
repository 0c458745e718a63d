//! The demo's side of the policy API: what is applied, and waiting until every sidecar serves it.

use super::plan::Weights;
use super::tally::VERSIONS;
use crate::args::Credentials;
use crate::client::{self, Client, told};
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;
use weir_proto::policy::v1 as wire;

/// How often `Status` is asked while a change is on its way.
const POLL: Duration = Duration::from_millis(20);
/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// Who changed policy, for the history.
const AUTHOR: &str = "weir demo";

/// The Services: `reviews` has the endpoints of both versions, each version has a Service to refer to.
pub(crate) const SERVICES: &str = "\
apiVersion: v1
kind: Service
metadata: {name: frontend, namespace: default}
spec: {selector: {app: frontend}, ports: [{name: http, port: 9080, appProtocol: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080, appProtocol: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v1, namespace: default}
spec: {selector: {app: reviews, version: v1}, ports: [{name: http, port: 9080, appProtocol: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v2, namespace: default}
spec: {selector: {app: reviews, version: v2}, ports: [{name: http, port: 9080, appProtocol: http}]}
";

/// The route that splits `reviews` between its versions.
pub(crate) fn route(weights: Weights) -> String {
    let [(v1, w1), (v2, w2)] = [(VERSIONS[0], weights[0]), (VERSIONS[1], weights[1])];
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: reviews, namespace: default}}
spec:
  parentRefs: [{{group: \"\", kind: Service, name: reviews, port: 9080}}]
  rules:
  - backendRefs: [{{name: {v1}, port: 9080, weight: {w1}}}, {{name: {v2}, port: 9080, weight: {w2}}}]
"
    )
}

/// The connection to the control plane's policy API.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    client: Client,
}

impl Policy {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Policy> {
        Ok(Policy {
            client: client::connect(&address.to_string(), CALL, &Credentials::default()).await?.policy(),
        })
    }

    /// Applies a manifest; the resulting revision.
    pub(crate) async fn apply(&mut self, manifest: String, message: &str) -> anyhow::Result<u64> {
        let request = wire::ApplyRequest {
            manifest,
            author: AUTHOR.to_owned(),
            message: message.to_owned(),
            ..Default::default()
        };
        let answer = self.client.apply(request).await.map_err(|status| told(&status)).context("Apply")?;
        Ok(answer.into_inner().revision)
    }

    /// Goes back to an earlier revision; the resulting one.
    pub(crate) async fn rollback(&mut self, to_revision: u64) -> anyhow::Result<u64> {
        let request = wire::RollbackRequest { to_revision, author: AUTHOR.to_owned(), ..Default::default() };
        let answer =
            self.client.rollback(request).await.map_err(|status| told(&status)).context("Rollback")?;
        Ok(answer.into_inner().revision)
    }

    pub(crate) async fn status(&mut self) -> anyhow::Result<wire::StatusResponse> {
        let answer = self.client.status(wire::StatusRequest::default()).await;
        Ok(answer.map_err(|status| told(&status)).context("Status")?.into_inner())
    }

    /// Waits until all these sidecars serve the revision. The last status, or who does not and why.
    pub(crate) async fn served(
        &mut self,
        revision: u64,
        nodes: &[&str],
        within: Duration,
    ) -> anyhow::Result<wire::StatusResponse> {
        let end = Instant::now() + within;
        loop {
            let status = self.status().await?;
            let behind = behind(&status, revision, nodes);
            if behind.is_empty() {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!("revision {revision} is not served everywhere after {within:?}: {}", behind.join("; "));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Which of the nodes do not serve the revision, each with what is known of it.
fn behind(status: &wire::StatusResponse, revision: u64, nodes: &[&str]) -> Vec<String> {
    let one = |node: &&str| {
        let Some(sidecar) = status.sidecars.iter().find(|sidecar| sidecar.node == **node) else {
            return Some(format!("{node} is not connected"));
        };
        let nacks: Vec<String> = (sidecar.resources.iter().filter(|resource| !resource.nack.is_empty()))
            .map(|resource| format!("it refused {} {}: {}", resource.r#type, resource.name, resource.nack))
            .collect();
        match (sidecar.connected, sidecar.in_sync && sidecar.serving_revision >= revision) {
            (true, true) => None,
            (false, _) => Some(format!("{node} is gone")),
            (true, false) if nacks.is_empty() => {
                Some(format!("{node} serves revision {}", sidecar.serving_revision))
            }
            (true, false) => {
                Some(format!("{node} serves revision {}, {}", sidecar.serving_revision, nacks.join(", ")))
            }
        }
    };
    nodes.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests;
