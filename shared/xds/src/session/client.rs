//! The client's end of one incremental aggregated stream.

use super::SessionError;
use crate::codec::DecodeError;
use std::sync::Arc;
use weir_model::node::Node;
use weir_model::{Resource, ResourceType};
use weir_proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

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

/// The client's end of incremental ADS. It outlives its streams: after a reconnect it tells the server what it has.
#[derive(Debug)]
pub struct DeltaClient {}

impl DeltaClient {
    /// A client for a node; nothing is subscribed and no stream is open.
    pub fn new(_node: &Node) -> Self {
        unimplemented!()
    }

    /// Says that a resource is already there, from a last good configuration.
    pub fn restore(&mut self, _kind: ResourceType, _name: &str, _version: &str) {
        unimplemented!()
    }

    /// A stream was opened: everything is asked for anew, with the versions held.
    pub fn connect(&mut self) {
        unimplemented!()
    }

    /// Asks for names; `*` for everything meant for this node.
    pub fn subscribe<'a>(&mut self, _kind: ResourceType, _names: impl IntoIterator<Item = &'a str>) {
        unimplemented!()
    }

    /// Gives names back.
    pub fn unsubscribe<'a>(&mut self, _kind: ResourceType, _names: impl IntoIterator<Item = &'a str>) {
        unimplemented!()
    }

    /// Takes a response.
    pub fn receive(&mut self, _response: DeltaDiscoveryResponse) -> Result<Received, SessionError> {
        unimplemented!()
    }

    /// Answers the response received last: an acknowledgement, or a refusal if any resource was rejected here or while decoding.
    /// What was not rejected counts as held. Subscribe to what the new resources refer to *before* this call: the server then knows
    /// what to wait for.
    pub fn accept(&mut self, _rejections: &[Rejection]) {
        unimplemented!()
    }

    /// The next request to send; none before [`DeltaClient::connect`].
    pub fn poll_output(&mut self) -> Option<DeltaDiscoveryRequest> {
        unimplemented!()
    }
}
