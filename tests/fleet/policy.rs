//! The mesh's policy: one service that all sidecars use, split over two versions, and enough services that every sidecar is behind one.

use anyhow::Context;
use serde_json::{Value, json};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use weir_proto::policy::v1::ApplyRequest;
use weir_proto::policy::v1::policy_service_client::PolicyServiceClient;

/// The name that every sidecar uses.
pub(crate) const AUTHORITY: &str = "fleet";
/// The route configuration behind it.
pub(crate) const ROUTES: &str = "outbound/default/fleet:80";
/// The side of the split whose weight tells the changes apart.
pub(crate) const MARKED: &str = "outbound/default/fleet-v1:80";
/// Sidecars behind one service.
const GROUP: u32 = 20;
/// Both weights together.
const WHOLE: u32 = 1000;

/// Whoever changes policy.
pub(crate) struct Operator {
    client: PolicyServiceClient<Channel>,
}

impl Operator {
    /// Connects to the policy API.
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Self> {
        let endpoint =
            Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(Duration::from_secs(5));
        Ok(Self { client: PolicyServiceClient::new(endpoint.connect().await?) })
    }

    /// Writes what there is before the first change.
    pub(crate) async fn begin(&mut self, sidecars: u32) -> anyhow::Result<()> {
        let mut documents = vec![
            service("fleet", json!({ "app": "fleet" })),
            service("fleet-v1", json!({ "app": "fleet", "version": "v1" })),
            service("fleet-v2", json!({ "app": "fleet", "version": "v2" })),
            route(0),
        ];
        documents
            .extend((1..=group(sidecars)).map(|group| service(&app(group), json!({ "app": app(group) }))));
        self.apply(documents).await
    }

    /// Makes a change.
    pub(crate) async fn set(&mut self, round: u32) -> anyhow::Result<()> {
        self.apply(vec![route(round)]).await
    }

    async fn apply(&mut self, documents: Vec<Value>) -> anyhow::Result<()> {
        let documents: Vec<String> = documents.iter().map(Value::to_string).collect();
        let manifest = documents.join("\n---\n");
        let request = ApplyRequest { manifest, author: "weir-fleet".to_owned(), ..ApplyRequest::default() };
        self.client.apply(request).await.context("Apply is refused")?;
        Ok(())
    }
}

/// The weight that tells a change from the one before.
pub(crate) fn weight(round: u32) -> u32 {
    1 + round % (WHOLE - 1)
}

/// The labels of a sidecar: the first ones are behind the service that all use, the others behind one of many.
pub(crate) fn labels(index: u32) -> Vec<(&'static str, String)> {
    let version = if index.is_multiple_of(2) { "v1" } else { "v2" };
    vec![("app", app(group(index))), ("version", version.to_owned())]
}

/// The service of a sidecar.
pub(crate) fn service_of(index: u32) -> String {
    app(group(index))
}

fn group(index: u32) -> u32 {
    index / GROUP
}

fn app(group: u32) -> String {
    if group == 0 { "fleet".to_owned() } else { format!("group-{group}") }
}

fn service(name: &str, selector: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "default" },
        "spec": { "selector": selector, "ports": [{ "name": "http", "port": 80, "appProtocol": "http" }] },
    })
}

fn route(round: u32) -> Value {
    let backend = |name: &str, weight: u32| json!({ "name": name, "port": 80, "weight": weight });
    let weight = weight(round);
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "fleet", "namespace": "default" },
        "spec": {
            "parentRefs": [{ "group": "", "kind": "Service", "name": "fleet", "port": 80 }],
            "rules": [{ "backendRefs": [backend("fleet-v1", weight), backend("fleet-v2", WHOLE - weight)] }],
        },
    })
}
