//! The compiler: a mesh and a node in, the resources this node enforces out. Pure, total and deterministic.
//!
//! What the policy refers to and does not exist becomes an answer (500 for its share), never a missing cluster; what a target cannot
//! express becomes a diagnostic and a safe substitute, never a silent loss.

mod render;

pub use render::render;

use weir_model::mesh::Mesh;
use weir_model::node::Node;
use weir_model::{Diagnostic, ResourceSet};

/// What a node is to enforce, and what there is to say of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Compiled {
    /// Closed: every reference in it is to a resource in it.
    pub resources: ResourceSet,
    /// What the node's target cannot express, and what does not resolve; sorted.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles a mesh for one node. For many nodes of one mesh, a [`Compiler`] shares the work.
pub fn compile(mesh: &Mesh, node: &Node) -> Compiled {
    Compiler::new(mesh).compile(node)
}

/// A compiler for the nodes of one mesh: what nodes have in common is compiled once.
pub struct Compiler<'m> {
    mesh: &'m Mesh,
}

impl<'m> Compiler<'m> {
    /// Reads the mesh.
    pub fn new(mesh: &'m Mesh) -> Self {
        Self { mesh }
    }

    /// The same as [`compile`].
    pub fn compile(&self, _node: &Node) -> Compiled {
        let _ = self.mesh;
        Compiled::default()
    }
}

/// The service port that an authority (`reviews`, `reviews.default.svc:9080`, …) names for a client in `namespace`.
pub fn resolve(_mesh: &Mesh, _authority: &str, _namespace: &str) -> Option<(weir_model::mesh::Name, u16)> {
    None
}
