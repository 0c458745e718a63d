//! The client's end of one incremental aggregated stream.
//!
//! A round is [`DeltaClient::receive`] → the caller links what came → [`DeltaClient::accept`] → [`DeltaClient::poll_output`]. One bad resource
//! does not spoil its siblings: they are taken, and the refusal says `NAME: FIELD: MESSAGE` for each that was not.
//!
//! Requests that change a subscription go out before the acknowledgements queued with them, so that a server learns what is waited for
//! before it goes on (Envoy has the same order).

use super::{SessionError, truncate};
use crate::codec::{self, DecodeError};
use crate::node;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use weir_model::node::Node;
use weir_model::{Resource, ResourceType, limits};
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as DeltaResource,
};
use weir_proto::envoy::google::rpc::Status;

/// What a response brought. Answer it with [`DeltaClient::accept`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// Of this type.
    pub kind: ResourceType,
    /// New or changed: the control plane's version and the value, in the order sent.
    pub upserts: Vec<(String, Arc<Resource>)>,
    /// Gone, or never there: names subscribed to that do not exist.
    pub removed: Vec<String>,
    /// Not understood. Already part of the answer; the last good version stays.
    pub rejected: Vec<DecodeError>,
}

/// A resource that decoded and still cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// Its name.
    pub name: String,
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// The status code of a refusal (`INVALID_ARGUMENT`).
const INVALID_ARGUMENT: i32 = 3;

/// The client's end of incremental ADS. It outlives its streams: after a reconnect it tells the server what it has.
#[derive(Debug)]
pub struct DeltaClient {
    node: core::Node,
    tracks: [Track; 4],
    /// Whether a stream is open, and whether it was told who is asking.
    stream: Option<Introduced>,
    /// The response received last, until it is accepted.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Introduced(bool);

#[derive(Debug)]
struct Pending {
    kind: ResourceType,
    nonce: String,
    /// Name and version of what can be taken.
    taken: Vec<(String, String)>,
    removed: Vec<String>,
    refused: Vec<String>,
}

/// One type.
#[derive(Debug)]
struct Track {
    kind: ResourceType,
    names: BTreeSet<String>,
    /// Versions of what was taken.
    versions: BTreeMap<String, String>,
    /// Whether this stream was asked for the type.
    asked: bool,
    subscribe: BTreeSet<String>,
    unsubscribe: BTreeSet<String>,
    /// The answers that are due: nonce and refusal.
    answers: VecDeque<(String, Option<String>)>,
}

/// Answers of one type that wait to be sent; a server which sends more without reading them loses the oldest.
const ANSWERS: usize = 64;
/// The name of everything.
const EVERYTHING: &str = "*";

impl DeltaClient {
    /// A client for a node; nothing is subscribed and no stream is open.
    pub fn new(node: &Node) -> Self {
        let tracks = ResourceType::ALL.map(|kind| Track {
            kind,
            names: BTreeSet::new(),
            versions: BTreeMap::new(),
            asked: false,
            subscribe: BTreeSet::new(),
            unsubscribe: BTreeSet::new(),
            answers: VecDeque::new(),
        });
        Self { node: node::encode(node), tracks, stream: None, pending: None }
    }

    /// Says that a resource is already there, from a last good configuration. Before [`DeltaClient::connect`].
    pub fn restore(&mut self, kind: ResourceType, name: &str, version: &str) {
        self.track(kind).versions.insert(name.to_owned(), version.to_owned());
    }

    /// A stream was opened: everything is asked for anew, with the versions held.
    pub fn connect(&mut self) {
        self.stream = Some(Introduced(false));
        self.pending = None;
        for track in &mut self.tracks {
            track.asked = false;
            track.subscribe.clone_from(&track.names);
            track.unsubscribe.clear();
            track.answers.clear();
        }
    }

    /// From the next stream on the node says that its workload takes nothing new.
    pub fn leave(&mut self) {
        node::set_draining(&mut self.node);
    }

    /// The stream is gone. Until the next [`DeltaClient::connect`] there is nothing to send.
    pub fn disconnect(&mut self) {
        self.stream = None;
        self.pending = None;
    }

    /// Asks for names; `*` for everything meant for this node. Names already asked for are not asked for again.
    pub fn subscribe<'a>(&mut self, kind: ResourceType, names: impl IntoIterator<Item = &'a str>) {
        let track = self.track(kind);
        for name in names {
            if track.names.insert(name.to_owned()) {
                track.unsubscribe.remove(name);
                track.subscribe.insert(name.to_owned());
            }
        }
    }

    /// Gives names back. What they brought is forgotten.
    pub fn unsubscribe<'a>(&mut self, kind: ResourceType, names: impl IntoIterator<Item = &'a str>) {
        let track = self.track(kind);
        for name in names {
            if track.names.remove(name) {
                track.subscribe.remove(name);
                // A first request that asks for nothing would ask for everything.
                if track.asked {
                    track.unsubscribe.insert(name.to_owned());
                }
            }
            if name == EVERYTHING {
                track.versions.retain(|name, _| track.names.contains(name));
            } else {
                // Also where `*` still covers it: the server says again what that means.
                track.versions.remove(name);
            }
        }
    }

    /// The names asked for.
    pub fn subscriptions(&self, kind: ResourceType) -> impl Iterator<Item = &str> {
        let track = self.tracks.iter().find(|track| track.kind == kind);
        track.into_iter().flat_map(|track| &track.names).map(String::as_str)
    }

    /// Takes a response. A response received before the previous one was accepted settles that one as if all of it was.
    pub fn receive(&mut self, response: DeltaDiscoveryResponse) -> Result<Received, SessionError> {
        self.accept(&[]);
        let track =
            codec::kind_of(&response.type_url).map(|kind| &*self.track(kind)).filter(|track| track.asked);
        let Some(track) = track else {
            let mut type_url = response.type_url;
            truncate(&mut type_url, limits::NAME_BYTES);
            return Err(SessionError::UnknownType(type_url));
        };
        let kind = track.kind;
        let mut received = Received { kind, upserts: vec![], removed: vec![], rejected: vec![] };
        let mut seen = BTreeSet::new();
        for resource in response.resources {
            if !track.covers(&resource.name) {
                // Asked for once and given back meanwhile.
                continue;
            }
            if !seen.insert(resource.name.clone()) {
                received.upserts.retain(|(_, value)| value.name() != resource.name);
                received.rejected.push(rejected(resource.name, "name", "twice in one response"));
                continue;
            }
            match read(kind, &resource) {
                Ok(value) => received.upserts.push((resource.version, Arc::new(value))),
                Err(error) => received.rejected.push(error),
            }
        }
        for name in response.removed_resources {
            if track.covers(&name) && !seen.contains(&name) {
                received.removed.push(name);
            }
        }
        let taken =
            received.upserts.iter().map(|(version, value)| (value.name().to_owned(), version.clone()));
        self.pending = Some(Pending {
            kind,
            nonce: response.nonce,
            taken: taken.collect(),
            removed: received.removed.clone(),
            refused: received.rejected.iter().map(ToString::to_string).collect(),
        });
        Ok(received)
    }

    /// Answers the response received last: an acknowledgement, or a refusal if any resource was rejected here or while decoding.
    /// What was not rejected counts as held. Subscribe to what the new resources refer to *before* this call: the server then knows
    /// what to wait for.
    pub fn accept(&mut self, rejections: &[Rejection]) {
        let Some(Pending { kind, nonce, mut taken, removed, mut refused }) = self.pending.take() else {
            return;
        };
        taken.retain(|(name, _)| !rejections.iter().any(|rejection| rejection.name == *name));
        refused.extend(
            rejections.iter().map(|it| rejected(it.name.clone(), &it.field, &it.message).to_string()),
        );
        let track = self.track(kind);
        for (name, version) in taken {
            if track.covers(&name) {
                track.versions.insert(name, version);
            }
        }
        for name in removed {
            track.versions.remove(&name);
        }
        let refusal = (!refused.is_empty()).then(|| {
            let mut text = refused.join("; ");
            truncate(&mut text, limits::NACK_TEXT_BYTES);
            text
        });
        if track.answers.len() == ANSWERS {
            track.answers.pop_front();
        }
        track.answers.push_back((nonce, refusal));
    }

    /// The next request to send; none before [`DeltaClient::connect`].
    pub fn poll_output(&mut self) -> Option<DeltaDiscoveryRequest> {
        let introduced = self.stream.as_mut()?;
        let subscribing = self.tracks.iter().position(Track::has_changes);
        let index = subscribing.or_else(|| self.tracks.iter().position(|track| !track.answers.is_empty()))?;
        let mut request = self.tracks[index].request();
        if !introduced.0 {
            *introduced = Introduced(true);
            request.node = Some(self.node.clone());
        }
        Some(request)
    }

    fn track(&mut self, kind: ResourceType) -> &mut Track {
        let index = self.tracks.iter().position(|track| track.kind == kind);
        &mut self.tracks[index.unwrap_or_default()]
    }
}

impl Track {
    fn covers(&self, name: &str) -> bool {
        self.names.contains(name) || self.names.contains(EVERYTHING)
    }

    fn has_changes(&self) -> bool {
        !self.subscribe.is_empty() || !self.unsubscribe.is_empty()
    }

    fn request(&mut self) -> DeltaDiscoveryRequest {
        let mut request = DeltaDiscoveryRequest {
            type_url: codec::type_url(self.kind).to_owned(),
            resource_names_subscribe: std::mem::take(&mut self.subscribe).into_iter().collect(),
            resource_names_unsubscribe: std::mem::take(&mut self.unsubscribe).into_iter().collect(),
            ..DeltaDiscoveryRequest::default()
        };
        if !std::mem::replace(&mut self.asked, true) {
            let held = self.versions.iter().filter(|(name, _)| self.covers(name));
            request.initial_resource_versions =
                held.map(|(name, version)| (name.clone(), version.clone())).collect();
        } else if let Some((nonce, refusal)) = self.answers.pop_front() {
            request.response_nonce = nonce;
            request.error_detail =
                refusal.map(|message| Status { code: INVALID_ARGUMENT, message, ..Status::default() });
        }
        request
    }
}

/// The value of a resource that is what it says it is.
fn read(kind: ResourceType, resource: &DeltaResource) -> Result<Resource, DecodeError> {
    let fault = |field: &str, message: &str| rejected(resource.name.clone(), field, message);
    let any = resource.resource.as_ref().ok_or_else(|| fault("resource", "missing"))?;
    let value =
        codec::decode(any).map_err(|error| DecodeError { resource: resource.name.clone(), ..error })?;
    if value.kind() != kind {
        return Err(fault("resource.type_url", "not of the response's type"));
    }
    if value.name() != resource.name {
        return Err(fault("name", "not the name of the resource in it"));
    }
    Ok(value)
}

fn rejected(resource: String, field: &str, message: &str) -> DecodeError {
    DecodeError { resource, field: field.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests;
