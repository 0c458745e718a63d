//! A node and its xDS form.

use weir_model::node::Node;
use weir_proto::envoy::envoy::config::core::v3 as core;

/// What is wrong with a node, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeError {
    /// The field below `node`, such as `metadata.weir.inbound[0].listen`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl std::fmt::Display for NodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for NodeError {}

/// The xDS form of a node. `uses` is not part of it: those are the listener names subscribed to.
pub fn encode(_node: &Node) -> core::Node {
    unimplemented!()
}

/// The node of an xDS form.
pub fn decode(_node: &core::Node) -> Result<Node, NodeError> {
    unimplemented!()
}
