//! What goes in and what comes out of a session.

use crate::session::{Protocol, SessionError};
use std::sync::Arc;
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

impl Request {
    /// Refuses a message of the other protocol.
    pub(super) fn check(&self, protocol: Protocol) -> Result<(), SessionError> {
        let spoken = match self {
            Self::Sotw(_) => Protocol::Sotw,
            Self::Delta(_) => Protocol::Delta,
        };
        if spoken == protocol { Ok(()) } else { Err(SessionError::WrongProtocol(spoken)) }
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

    /// The type of the resources in it.
    pub fn type_url(&self) -> &str {
        match self {
            Self::Sotw(response) => &response.type_url,
            Self::Delta(response) => &response.type_url,
        }
    }
}

/// What a request meant.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::large_enum_variant, reason = "short-lived, never stored")]
pub enum ServerEvent {
    /// Who it is; the first event of a stream, once. Its `uses` is empty: see [`super::ServerSession::uses`].
    Identified(Node),
    /// The names subscribed to changed. After one about listeners, compile for the new [`super::ServerSession::uses`] and call
    /// [`super::ServerSession::update`], also if nothing changed: until then nothing is said about the new names.
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
    /// These are refused; what they would have replaced stays in force there.
    Nacked {
        /// Of this type.
        kind: ResourceType,
        /// Of this response.
        nonce: String,
        /// The names refused. The rest of the response is in its own [`ServerEvent::Acked`].
        resources: Vec<String>,
        /// Why, cut to [`weir_model::limits::NACK_TEXT_BYTES`].
        text: Arc<str>,
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
    pub text: Arc<str>,
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
    /// What the client accepted last and has.
    pub acked: Option<Version>,
    /// Why it refused what was sent last.
    pub nack: Option<Nack>,
}
