//! The server's end of one aggregated stream, state-of-the-world or incremental.
//!
//! The session knows what the node should have ([`ServerSession::update`]), what it asked for and what it answered, and says what to send
//! next ([`ServerSession::poll_output`]):
//!
//! - at most one unanswered response per type, so that every answer is about one thing;
//! - **make before break**: types in order of delivery; a resource only after the client has answered what it refers to among the earlier
//!   types, as far as it asked for that; a removal only after nothing that the client has refers to it any more;
//! - only what changed. Endpoints refer to nothing, so they wait for nothing;
//! - what was refused is not sent again until its content changes; the last good one stays.
//!
//! A stream that reconnects in the state of the world does not say which resources it still has, so a cluster that was removed while it was
//! away is removed at once; incremental clients say it, and keep the order.

mod message;
mod order;
mod plan;
mod subscription;
mod track;

pub use message::{Nack, Request, ResourceStatus, Response, ServerEvent};

use super::{Protocol, SessionError, truncate};
use crate::encoded::EncodedSet;
use crate::{codec, node};
use order::Order;
use plan::Plan;
use std::collections::BTreeSet;
use track::Track;
use weir_model::node::{Node, Target};
use weir_model::{ResourceType, Version, limits};
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    Resource as DeltaResource,
};

/// The server's end of one aggregated stream.
#[derive(Debug)]
pub struct ServerSession {
    protocol: Protocol,
    node: Option<Node>,
    /// In order of delivery.
    tracks: [Track; 4],
    set: Option<EncodedSet>,
    nonces: u64,
    /// Whether something happened since there was nothing to send.
    changed: bool,
}

impl ServerSession {
    /// For `StreamAggregatedResources`.
    pub fn sotw() -> Self {
        Self::new(Protocol::Sotw)
    }

    /// For `DeltaAggregatedResources`.
    pub fn delta() -> Self {
        Self::new(Protocol::Delta)
    }

    /// For a stream of this protocol.
    pub fn new(protocol: Protocol) -> Self {
        let tracks = ResourceType::ALL.map(|kind| Track::new(kind, protocol));
        Self { protocol, node: None, tracks, set: None, nonces: 0, changed: false }
    }

    /// Delivers in another order. **For simulation only**: it breaks make-before-break on purpose, so that a test can show that it notices.
    #[must_use]
    pub fn with_order(mut self, order: [ResourceType; 4]) -> Self {
        self.tracks = order.map(|kind| Track::new(kind, self.protocol));
        self
    }

    /// Takes what the client sent. After an error the stream must be closed.
    pub fn receive(&mut self, request: impl Into<Request>) -> Result<Vec<ServerEvent>, SessionError> {
        let request = request.into();
        request.check(self.protocol)?;
        let mut events = vec![];
        let node = match &request {
            Request::Sotw(request) => request.node.as_ref(),
            Request::Delta(request) => request.node.as_ref(),
        };
        if self.node.is_none() {
            let node = node::decode(node.ok_or(SessionError::NodeMissing)?)?;
            self.node = Some(node.clone());
            events.push(ServerEvent::Identified(node));
        }
        let type_url = match &request {
            Request::Sotw(request) => &request.type_url,
            Request::Delta(request) => &request.type_url,
        };
        let Some(track) =
            codec::kind_of(type_url).and_then(|kind| self.tracks.iter_mut().find(|it| it.kind == kind))
        else {
            let mut type_url = type_url.clone();
            truncate(&mut type_url, limits::NAME_BYTES);
            events.push(ServerEvent::Ignored { type_url });
            return Ok(events);
        };
        match request {
            Request::Sotw(request) => receive_sotw(track, request, &mut events)?,
            Request::Delta(request) => receive_delta(track, request, &mut events)?,
        }
        if let Some(set) = &self.set {
            track.settle(set);
        }
        self.changed = true;
        Ok(events)
    }

    /// Sets what this node should have from now on. Nothing is sent before the first call.
    pub fn update(&mut self, set: &EncodedSet) {
        for track in &mut self.tracks {
            track.updated(set);
        }
        self.set = Some(set.clone());
        self.changed = true;
    }

    /// The next response to send; call it until it gives none, after every `receive` and `update`.
    pub fn poll_output(&mut self) -> Option<Response> {
        let set = self.set.as_ref().filter(|_| self.changed)?;
        for index in 0..self.tracks.len() {
            let track = &self.tracks[index];
            if track.outstanding.is_some() || !track.subscription.open {
                continue;
            }
            let order = Order { tracks: &self.tracks, set };
            let planned = match self.protocol {
                Protocol::Delta => plan::delta(track, &order),
                Protocol::Sotw if plan::is_complete(track.kind) => plan::complete(track, &order),
                Protocol::Sotw => plan::named(track, &order),
            };
            if let Some(plan) = planned {
                return Some(self.send(index, plan));
            }
        }
        self.changed = false;
        None
    }

    /// Who it is, once known.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// The listener names asked for one by one: the authorities this node uses.
    pub fn uses(&self) -> &BTreeSet<String> {
        self.track(ResourceType::Listener).subscription.names()
    }

    /// Every resource that the client has, refused or should have, in order of delivery and name.
    pub fn status(&self) -> Vec<ResourceStatus> {
        let empty = EncodedSet::default();
        let set = self.set.as_ref().unwrap_or(&empty);
        self.tracks.iter().flat_map(|track| track.status(set)).collect()
    }

    /// Whether the client has answered everything there is to send. What it refused counts as answered.
    pub fn settled(&self) -> bool {
        let idle = |track: &Track| track.outstanding.is_none() && track.pending.is_empty();
        !self.changed && self.set.is_some() && self.tracks.iter().all(idle)
    }

    fn track(&self, kind: ResourceType) -> &Track {
        // `with_order` may leave a type out; then there is nothing to say about it.
        self.tracks.iter().find(|track| track.kind == kind).unwrap_or(&self.tracks[0])
    }

    fn send(&mut self, index: usize, plan: Plan) -> Response {
        self.nonces += 1;
        let nonce = self.nonces.to_string();
        let track = &self.tracks[index];
        let type_url = codec::type_url(track.kind).to_owned();
        let versions: Vec<_> = plan.resources.iter().map(|it| (it.name(), it.version)).collect();
        let version =
            Version::of(&versions.iter().map(|(name, version)| (*name, version.0)).collect::<Vec<_>>());
        let control_plane = Some(core::ControlPlane { identifier: "weir".to_owned() });
        let response = match self.protocol {
            Protocol::Sotw => Response::Sotw(DiscoveryResponse {
                version_info: version.to_string(),
                resources: plan.resources.iter().map(|it| it.any.clone()).collect(),
                type_url,
                nonce: nonce.clone(),
                control_plane,
                ..DiscoveryResponse::default()
            }),
            Protocol::Delta => Response::Delta(DeltaDiscoveryResponse {
                system_version_info: version.to_string(),
                resources: plan.resources.iter().map(|it| delta_resource(it)).collect(),
                type_url,
                removed_resources: plan.removed.clone(),
                nonce: nonce.clone(),
                control_plane,
                ..DeltaDiscoveryResponse::default()
            }),
        };
        let rewarm: Vec<String> = match self.node.as_ref().map(|node| node.target) {
            Some(Target::Envoy) => order::rewarmed(&plan.upserts).map(str::to_owned).collect(),
            _ => vec![],
        };
        self.tracks[index].sent(nonce, plan.upserts, plan.removed);
        for name in rewarm {
            let endpoints = self.tracks.iter_mut().find(|track| track.kind == ResourceType::Endpoints);
            if let Some(endpoints) = endpoints.filter(|track| track.subscription.covers(&name)) {
                endpoints.forget(&name);
            }
        }
        response
    }
}

fn delta_resource(encoded: &crate::Encoded) -> DeltaResource {
    DeltaResource {
        name: encoded.name().to_owned(),
        version: encoded.version.to_string(),
        resource: Some(encoded.any.clone()),
        ..DeltaResource::default()
    }
}

fn receive_sotw(
    track: &mut Track,
    request: DiscoveryRequest,
    events: &mut Vec<ServerEvent>,
) -> Result<(), SessionError> {
    let first = !track.subscription.open;
    // A stale nonce answers nothing. The names count nevertheless: they are what the client wants as of now.
    let error = request.error_detail.map(|status| text_of(status.message));
    events.extend(track.answered_by(&request.response_nonce, error));
    let mut names = request.resource_names;
    names.extend(request.resource_locators.into_iter().map(|locator| locator.name));
    let changed = track.subscription.replace(names)?;
    subscribed(track, &changed, events);
    if first && !request.version_info.is_empty() {
        track.bring();
    }
    Ok(())
}

fn receive_delta(
    track: &mut Track,
    request: DeltaDiscoveryRequest,
    events: &mut Vec<ServerEvent>,
) -> Result<(), SessionError> {
    let error = request.error_detail.map(|status| text_of(status.message));
    events.extend(track.answered_by(&request.response_nonce, error));
    let first = !track.subscription.open;
    let (mut subscribe, mut unsubscribe) =
        (request.resource_names_subscribe, request.resource_names_unsubscribe);
    subscribe.extend(request.resource_locators_subscribe.into_iter().map(|locator| locator.name));
    unsubscribe.extend(request.resource_locators_unsubscribe.into_iter().map(|locator| locator.name));
    let changed = track.subscription.change(subscribe, unsubscribe)?;
    subscribed(track, &changed, events);
    if first {
        track.restore(request.initial_resource_versions)?;
    }
    Ok(())
}

fn subscribed(track: &mut Track, changed: &subscription::Changed, events: &mut Vec<ServerEvent>) {
    track.subscribed(changed);
    if changed.any() {
        events.push(ServerEvent::Subscribed { kind: track.kind });
    }
}

/// A refusal without a word is a refusal.
fn text_of(message: String) -> String {
    if message.is_empty() { "refused without a reason".to_owned() } else { message }
}

#[cfg(test)]
mod tests;
