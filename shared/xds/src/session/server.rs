//! The server's end of one aggregated stream.

use super::{Protocol, SessionError};
use crate::EncodedSet;
use std::collections::BTreeSet;
use weir_model::node::Node;
use weir_model::{ResourceType, Version};
use weir_proto::envoy::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};

/// What arrived on a stream.
#[derive(Clone, PartialEq, Debug)]
#[allow(clippy::large_enum_variant, reason = "short-lived, never stored")]
pub enum Request {
    /// State of the world.
    Sotw(DiscoveryRequest),
    /// Incremental.
    Delta(DeltaDiscoveryRequest),
}

impl From<DiscoveryRequest> for Request {
    fn from(request: DiscoveryRequest) -> Self {
        Self::Sotw(request)
    }
}

impl From<DeltaDiscoveryRequest> for Request {
    fn from(request: DeltaDiscoveryRequest) -> Self {
        Self::Delta(request)
    }
}

/// What must be sent on a stream.
#[derive(Clone, PartialEq, Debug)]
pub enum Response {
    /// State of the world.
    Sotw(DiscoveryResponse),
    /// Incremental.
    Delta(DeltaDiscoveryResponse),
}

impl Response {
    /// The message, if it is of this protocol; a session gives only what its constructor says.
    pub fn into_sotw(self) -> Option<DiscoveryResponse> {
        match self {
            Self::Sotw(response) => Some(response),
            Self::Delta(_) => None,
        }
    }

    /// The message, if it is of this protocol; a session gives only what its constructor says.
    pub fn into_delta(self) -> Option<DeltaDiscoveryResponse> {
        match self {
            Self::Delta(response) => Some(response),
            Self::Sotw(_) => None,
        }
    }
}

/// What a request meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerEvent {
    /// Who it is; the first event of a stream, once. Its `uses` is empty: see [`ServerSession::uses`].
    Identified(Node),
    /// The names subscribed to changed. After one about listeners, compile for the new [`ServerSession::uses`] and call
    /// [`ServerSession::update`], also if nothing changed: until then a new name is not answered as absent.
    Subscribed {
        /// Of this type.
        kind: ResourceType,
    },
    /// These are accepted now.
    Acked {
        /// Of this type.
        kind: ResourceType,
        /// Of this response.
        nonce: String,
        /// Name and version; no version if it was accepted that it is gone.
        resources: Vec<(String, Option<Version>)>,
    },
    /// These are refused; what they replace stays in force there.
    Nacked {
        /// Of this type.
        kind: ResourceType,
        /// Of this response.
        nonce: String,
        /// The names refused. The rest of the response is in its own [`ServerEvent::Acked`].
        resources: Vec<String>,
        /// Why, cut to [`weir_model::limits::NACK_TEXT_BYTES`].
        text: String,
    },
    /// A type that this server does not serve; never answered.
    Ignored {
        /// The type asked for, cut.
        type_url: String,
    },
}

/// A resource that the client refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nack {
    /// What was refused.
    pub version: Version,
    /// Why.
    pub text: String,
}

/// How far one resource has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceStatus {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: String,
    /// What the node should have now; absent if it should not have it any more.
    pub wanted: Option<Version>,
    /// What was sent last; absent if nothing was, or that it is gone.
    pub sent: Option<Version>,
    /// What the client accepted last.
    pub acked: Option<Version>,
    /// Why it refused what was sent last.
    pub nack: Option<Nack>,
}

/// The server's end of one aggregated stream.
#[derive(Debug)]
pub struct ServerSession {
    #[allow(dead_code)]
    protocol: Protocol,
    order: [ResourceType; 4],
    uses: BTreeSet<String>,
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

    fn new(protocol: Protocol) -> Self {
        Self { protocol, order: ResourceType::ALL, uses: BTreeSet::new() }
    }

    /// Delivers in another order. **For simulation only**: it breaks make-before-break on purpose, so that a test can show that it notices.
    #[must_use]
    pub fn with_order(mut self, order: [ResourceType; 4]) -> Self {
        self.order = order;
        self
    }

    /// Takes what the client sent.
    pub fn receive(&mut self, request: impl Into<Request>) -> Result<Vec<ServerEvent>, SessionError> {
        let _ = request.into();
        unimplemented!()
    }

    /// Sets what this node should have from now on. Nothing is sent before the first call.
    pub fn update(&mut self, _set: &EncodedSet) {
        unimplemented!()
    }

    /// The next response to send; call it until it gives none, after every `receive` and `update`.
    pub fn poll_output(&mut self) -> Option<Response> {
        unimplemented!()
    }

    /// Who it is, once known.
    pub fn node(&self) -> Option<&Node> {
        unimplemented!()
    }

    /// The listener names asked for one by one: the authorities this node uses.
    pub fn uses(&self) -> &BTreeSet<String> {
        &self.uses
    }

    /// Every resource that was sent or should be, in order of delivery and name.
    pub fn status(&self) -> Vec<ResourceStatus> {
        unimplemented!()
    }

    /// Whether the client has answered everything there is to send.
    pub fn settled(&self) -> bool {
        unimplemented!()
    }
}
