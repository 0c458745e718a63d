//! Policy as an operator writes it: Kubernetes-shaped documents in, typed objects and a [`weir_model::mesh::Mesh`] out.
//!
//! The path, in order:
//!
//! 1. [`parse_yaml`], [`parse_value`]: text or JSON → [`Object`]s. What one document alone can tell is checked here: shape, types, ranges,
//!    syntax. Every mistake is reported at once, each with its field path and a mend.
//! 2. [`validate`]: the whole mesh as it would be after a change. What only several documents together can tell is checked here:
//!    references, conflicts, routes that never match.
//! 3. [`to_mesh`]: objects → the compiler's input. Total; what [`validate`] would refuse is left out or kept as an unresolved reference.
//!
//! [`Object::to_json`] is the canonical form: parsing it gives the same object again, and its bytes are what a store keeps.
//!
//! This is the only crate that knows Kubernetes and YAML. It does no IO, reads no clock and knows nothing of xDS.

mod decode;
mod grpc_route;
mod http_route;
mod mesh;
mod object;
mod parse;
mod route_filter;
mod scalar;
mod service;
mod spec;
mod stream_route;
mod traffic_policy;
mod validate;
mod workload;
mod yaml;

pub use mesh::to_mesh;
pub use object::{Kind, KindError, Metadata, Object, ObjectId};
pub use parse::parse_value;
pub use scalar::format_time;
pub use spec::{
    CircuitBreakersSpec, GrpcMatch, GrpcMethod, GrpcRouteSpec, GrpcRule, HttpRouteSpec, PolicyTarget,
    RetriesSpec, RetryBudgetSpec, RetryCondition, RouteParent, ServicePortSpec, ServiceSpec, Spec,
    StreamRouteSpec, ThresholdsSpec, TrafficPolicySpec, WorkloadSpec,
};
pub use validate::validate;
pub use yaml::{parse_yaml, to_yaml};
