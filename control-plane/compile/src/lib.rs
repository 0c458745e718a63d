//! The compiler: a mesh and a node in, the resources this node enforces out. Pure, total and deterministic.
//!
//! The path, in order:
//!
//! 1. `scope`: which services this node gets, and under which names ([`resolve`] and [`authorities`] say what a name means).
//! 2. `callers`: which rules are for the node's requests; `route`: the routes of a service's port, in order of precedence.
//!    `extension`: what rules have beyond the Gateway API.
//! 3. `affinity`: what ties callers to where they were; `near`: which localities come first.
//! 4. `express`, `health`: what the node's target cannot do is replaced by what is safe.
//! 5. `service`: the clusters those routes refer to, and their endpoints.
//! 6. `stream`: where connections go that nobody reads.
//! 7. `inbound`, `admission`: the node's own listeners towards its application, and how many requests they let in.
//!
//! What the policy refers to and does not exist becomes an answer (500 for its share), never a missing cluster; what a target cannot
//! express becomes a diagnostic and a safe substitute, never a silent loss. **Every reference in the result is to a resource in the result.**
//!
//! This crate knows neither Kubernetes nor protobuf, reads no clock, and answers the same for the same arguments.

mod actions;
mod admission;
mod affinity;
mod authority;
mod callers;
mod express;
mod extension;
mod health;
mod inbound;
mod index;
mod memo;
mod near;
mod render;
mod route;
mod scope;
mod service;
mod share;
mod stream;

pub use admission::service_limits;
pub use authority::{authorities, resolve};
pub use callers::{Withheld, withheld};
pub use render::render;

use std::ops::Deref;
use weir_model::mesh::{Mesh, Name};
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

/// A compiler for the nodes of one mesh: what nodes have in common is compiled once. It holds its mesh as a reference or as an `Arc`.
#[derive(Debug)]
pub struct Compiler<M> {
    mesh: M,
    index: index::Index,
    memo: memo::Memo,
}

impl<M: Deref<Target = Mesh>> Compiler<M> {
    /// Reads the mesh.
    pub fn new(mesh: M) -> Self {
        let index = index::Index::new(&mesh);
        Self { mesh, index, memo: memo::Memo::default() }
    }

    /// The same as [`compile`].
    pub fn compile(&mut self, node: &Node) -> Compiled {
        scope::compile(&self.mesh, &self.index, &mut self.memo, node)
    }
}

/// The name of the cluster, of its endpoints and of the routes of a service's port: `outbound/NAMESPACE/NAME:PORT`.
pub fn outbound_name(service: &Name, port: u16) -> String {
    format!("outbound/{service}:{port}")
}

#[cfg(test)]
mod tests;
