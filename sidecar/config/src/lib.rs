//! The sidecar's configuration: from the control plane's stream to the one immutable value that workers serve from.
//!
//! In the order of the path:
//!
//! - [`demand`]: names that requests use are asked for;
//! - [`client`]: the stream to the control plane, kept open, with back-off; resources are decoded and compiled as they come;
//! - [`identity`]: who this sidecar is: its certificate, got and renewed;
//! - [`graph`]: decides which of them are in force, so that nothing ever dangles;
//! - `resolve`: looks up the names of clusters that have names in place of endpoints;
//! - [`snapshot`]: links those into a [`Snapshot`], which is published to the workers;
//! - [`persist`]: keeps the last good configuration for a start without a control plane;
//! - [`load`]: reports back what was sent where;
//! - [`status`]: how all that stands, for people.
//!
//! Workers see [`Snapshot`] and [`Demand`] and nothing else of this crate. It knows nothing of connections or requests.

pub mod client;
pub mod demand;
pub mod graph;
pub mod identity;
pub mod load;
pub mod persist;
mod resolve;
pub mod snapshot;
pub mod status;

#[cfg(test)]
mod samples;

pub use client::{Config, ConfigOptions, ControlPlanes};
pub use demand::{Answer, Asked, Demand};
pub use snapshot::state::{
    ActiveGuard, ClusterState, EndpointState, LastUse, NOT_BEGUN, Padded, Sharded, Standing, Totals, Traffic,
};
pub use snapshot::{
    Action, Breaker, Chains, Cluster, ClusterLoads, Detection, Fallback, Forward, Host, Levels, Listener,
    ListenerKind, Mirror, More, NameLookup, Named, NamedRoutes, Route, Routes, Snapshot, Target, Tcp,
};
pub use status::{ConfigStatus, Refused, Status};
