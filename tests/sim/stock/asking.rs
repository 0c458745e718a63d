//! What a stock client asks for, when, and in which words.

use super::Stock;
use crate::nodes::Style;
use prost::Message;
use std::collections::{BTreeSet, HashMap};
use weir_model::ResourceType;
use weir_proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use weir_proto::envoy::google::rpc::Status;
use weir_xds::codec;

impl Stock {
    /// The names to ask for; none if it is not time to ask for the type at all.
    pub(super) fn wanted(&self, kind: ResourceType) -> Option<BTreeSet<String>> {
        let referred = || {
            let active = self.tracks.iter().flat_map(|track| track.held.values());
            let references = active.chain(self.warming.values()).flat_map(|held| &held.references);
            let names: BTreeSet<String> =
                references.filter(|(to, _)| *to == kind).map(|(_, name)| name.clone()).collect();
            let asked = self.track(kind).asked.as_ref().is_some_and(|asked| !asked.is_empty());
            (asked || !names.is_empty()).then_some(names)
        };
        match (self.role.style, kind) {
            (Style::Grpc, ResourceType::Listener) => (!self.uses.is_empty()).then(|| self.uses.clone()),
            (Style::Grpc, _) | (_, ResourceType::Endpoints | ResourceType::Route) => referred(),
            (_, ResourceType::Cluster) => Some(BTreeSet::new()),
            (_, ResourceType::Listener) => self.listening.then(BTreeSet::new),
        }
    }

    /// Gives up what nothing refers to any more, and asks for what something refers to now.
    pub(super) fn reconcile(&mut self, again: &BTreeSet<String>) {
        self.listening |= self.clustered && self.warming.is_empty();
        let order = match self.role.style {
            Style::Grpc => {
                [ResourceType::Listener, ResourceType::Route, ResourceType::Cluster, ResourceType::Endpoints]
            }
            _ => ResourceType::ALL,
        };
        for kind in order {
            let Some(wanted) = self.wanted(kind) else { continue };
            let named = self.role.style == Style::Grpc
                || matches!(kind, ResourceType::Endpoints | ResourceType::Route);
            let again: Vec<String> = match kind {
                ResourceType::Endpoints => {
                    again.iter().filter(|name| wanted.contains(*name)).cloned().collect()
                }
                _ => vec![],
            };
            let track = self.track_mut(kind);
            if named {
                track.held.retain(|name, _| wanted.contains(name));
            }
            let asked = track.asked.replace(wanted.clone());
            if asked.as_ref() != Some(&wanted) || !again.is_empty() {
                self.ask(kind, asked, &wanted, again);
            }
        }
        let mut refused = std::mem::take(&mut self.refused);
        refused.retain(|name| !self.track(ResourceType::Cluster).held.contains_key(name));
        self.refused = refused;
        let excused = std::mem::take(&mut self.excused);
        self.excused = excused
            .into_iter()
            .filter(|name| self.referred_clusters().any(|(_, other)| other == name))
            .collect();
    }

    fn ask(
        &mut self,
        kind: ResourceType,
        asked: Option<BTreeSet<String>>,
        wanted: &BTreeSet<String>,
        again: Vec<String>,
    ) {
        if self.role.style != Style::EnvoyDelta {
            return self.push_sotw(kind, None);
        }
        let first = asked.is_none();
        let before = asked.unwrap_or_default();
        let mut subscribe: BTreeSet<String> = wanted.difference(&before).cloned().chain(again).collect();
        if first && matches!(kind, ResourceType::Cluster | ResourceType::Listener) {
            subscribe.insert("*".to_owned());
        }
        self.push_delta(DeltaDiscoveryRequest {
            type_url: codec::type_url(kind).to_owned(),
            resource_names_subscribe: subscribe.into_iter().collect(),
            resource_names_unsubscribe: before.difference(wanted).cloned().collect(),
            initial_resource_versions: if first { self.versions(kind) } else { Default::default() },
            ..DeltaDiscoveryRequest::default()
        });
    }

    /// What an Envoy says it has: a cluster that warms up, and not the endpoints that it waits for.
    fn versions(&self, kind: ResourceType) -> HashMap<String, String> {
        let warming = || self.warming.iter().filter(|_| kind == ResourceType::Cluster);
        let awaited = |name: &String| {
            let mut references = self.warming.values().flat_map(|held| &held.references);
            kind == ResourceType::Endpoints && references.any(|(_, other)| other == name)
        };
        let held = self.track(kind).held.iter().filter(|(name, _)| !awaited(name)).chain(warming());
        held.map(|(name, held)| (name.clone(), held.version.clone())).collect()
    }

    pub(super) fn answer(&mut self, kind: ResourceType, nonce: String, error: Option<String>) {
        let error = error.map(|message| Status { code: 3, message, details: vec![] });
        if self.role.style != Style::EnvoyDelta {
            return self.push_sotw(kind, error);
        }
        self.push_delta(DeltaDiscoveryRequest {
            type_url: codec::type_url(kind).to_owned(),
            response_nonce: nonce,
            error_detail: error,
            ..DeltaDiscoveryRequest::default()
        });
    }

    fn push_sotw(&mut self, kind: ResourceType, error_detail: Option<Status>) {
        let track = self.track(kind);
        let request = DiscoveryRequest {
            version_info: track.version.clone(),
            node: (!self.introduced).then(|| weir_xds::node::encode(&self.role.node)),
            resource_names: track.asked.iter().flatten().cloned().collect(),
            type_url: codec::type_url(kind).to_owned(),
            response_nonce: track.nonce.clone(),
            error_detail,
            ..DiscoveryRequest::default()
        };
        self.introduced = true;
        self.outputs.push(request.encode_to_vec());
    }

    fn push_delta(&mut self, mut request: DeltaDiscoveryRequest) {
        request.node = (!self.introduced).then(|| weir_xds::node::encode(&self.role.node));
        self.introduced = true;
        self.outputs.push(request.encode_to_vec());
    }
}
