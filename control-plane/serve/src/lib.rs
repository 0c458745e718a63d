//! The control plane's shells: what turns sockets into values and values into sockets. In the order a change takes:
//!
//! [`policy`] (the operator's API) → [`plane`] (policy and workloads become the mesh) → [`ads`] (each stream gets what the compiler says) →
//! [`propagation`] (how long that took). Beside the path: [`leases`] (workloads that joined through their sidecar's stream), [`registry`]
//! (who is connected), [`loads`] (LRS), [`csds`], [`explain`], [`admin`].
//!
//! Who comes in: [`door`] (TLS, or plain text where that is trusted), [`access`] (who may call what), [`identity`] (the certificate authority, tokens).
//!
//! Nothing here decides: parsing and validation are `weir-policy`'s, configuration is `weir-compile`'s, protocol order is `weir-xds`'s.

pub mod access;
pub mod admin;
pub mod ads;
pub mod convert;
pub mod csds;
pub mod door;
pub mod explain;
pub mod identity;
pub mod leases;
pub mod loads;
pub mod plane;
pub mod policy;
pub mod propagation;
pub mod registry;
pub mod server;
