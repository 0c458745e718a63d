//! Wire types, and nothing else: weir's own messages and services, and Envoy's as `envoy-types` generates them.
//!
//! No other crate below the shells may know protobuf but `weir-xds`. The `.proto` files of [`policy`] are the public interface of a control
//! plane; their proto3 JSON form is the YAML form of the same resources.

#![allow(missing_docs, reason = "generated code is documented in the .proto files")]

/// The policy API (`weir.policy.v1`).
pub mod policy {
    /// Version 1.
    #[allow(clippy::all, clippy::unwrap_used, unreachable_pub, rustdoc::all)]
    pub mod v1 {
        tonic::include_proto!("weir.policy.v1");
    }
}

/// Certificates and tokens (`weir.identity.v1`).
pub mod identity {
    /// Version 1.
    #[allow(clippy::all, clippy::unwrap_used, unreachable_pub, rustdoc::all)]
    pub mod v1 {
        tonic::include_proto!("weir.identity.v1");
    }
}

/// What weir adds to xDS (`weir.xds.v1`).
pub mod xds {
    /// Version 1.
    #[allow(clippy::all, clippy::unwrap_used, unreachable_pub, rustdoc::all)]
    pub mod v1 {
        tonic::include_proto!("weir.xds.v1");
    }
}

/// Envoy's, Google's and the xDS working group's messages and services.
pub use envoy_types::pb as envoy;

/// The descriptors of weir's own files and what they import, for server reflection and for JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weir.bin"));
