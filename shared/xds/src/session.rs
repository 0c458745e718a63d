//! Both ends of an aggregated discovery stream, as structs: what came in, what must go out, in which order. No tasks, no clocks.

pub mod client;
pub mod server;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use crate::node::NodeError;
use weir_model::ResourceType;

/// How a stream speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// State of the world: `StreamAggregatedResources`.
    Sotw,
    /// Incremental: `DeltaAggregatedResources`.
    Delta,
}

/// Why a stream must be closed. The peer broke the protocol; what is wrong with a resource is never an error here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionError {
    /// The first request carries no node.
    NodeMissing,
    /// The node cannot be understood.
    Node(NodeError),
    /// A message of the other protocol arrived.
    WrongProtocol(Protocol),
    /// A subscription is larger than [`weir_model::limits::SUBSCRIPTION_NAMES`].
    TooManyNames(ResourceType),
    /// A name is longer than [`weir_model::limits::NAME_BYTES`].
    NameTooLong(ResourceType),
    /// A response is about a type that was never asked for.
    UnknownType(String),
}

impl std::fmt::Display for SessionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NodeMissing => {
                f.write_str("node: missing in the first request; set node.id in the client's bootstrap")
            }
            Self::Node(error) => write!(f, "node.{error}"),
            Self::WrongProtocol(Protocol::Sotw) => {
                f.write_str("a state-of-the-world message on an incremental stream")
            }
            Self::WrongProtocol(Protocol::Delta) => {
                f.write_str("an incremental message on a state-of-the-world stream")
            }
            Self::TooManyNames(kind) => {
                let limit = weir_model::limits::SUBSCRIPTION_NAMES;
                write!(
                    f,
                    "resource_names: more than {limit} names of type {kind}; subscribe to `*` or to less"
                )
            }
            Self::NameTooLong(kind) => {
                write!(
                    f,
                    "resource_names: a {kind} name is longer than {} bytes",
                    weir_model::limits::NAME_BYTES
                )
            }
            Self::UnknownType(type_url) => write!(f, "type_url: {type_url:?} was never asked for"),
        }
    }
}

impl std::error::Error for SessionError {}

impl From<NodeError> for SessionError {
    fn from(error: NodeError) -> Self {
        Self::Node(error)
    }
}

/// Cuts a text to a number of bytes, at a character.
pub(crate) fn truncate(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
    }
}
