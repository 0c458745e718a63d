//! xDS v3 in both directions, without a socket, a clock or a lock.
//!
//! ```text
//! control plane:  ResourceSet ─ diff ─ codec::encode ─ EncodedSet ─ ServerSession ─▶ ADS
//! data plane:     ADS ─▶ DeltaClient ─ codec::decode ─ Resource
//! ```
//!
//! - [`codec`]: one resource to one protobuf message and back. `decode(encode(x)) == x`; what a message says and the model cannot is
//!   refused with the field's path, never ignored.
//! - [`node`]: who asks.
//! - [`mod@diff`]: what changed between two sets.
//! - [`encoded`]: a set whose resources are encoded once for all sessions.
//! - [`session`]: both ends of an aggregated stream as plain structs: what came in, what must go out, in which order.
//!
//! Not here: streams, reconnection and its timing, persistence, the choice of what a node should have.

pub mod codec;
pub mod diff;
pub mod encoded;
pub mod node;
pub mod session;
#[cfg(any(test, feature = "strategies"))]
pub mod strategies;

pub use diff::{Change, Changes, apply, diff};
pub use encoded::{Encoded, EncodedSet, Encoder};
pub use session::client::{DeltaClient, Received, Rejection};
pub use session::server::{Request, ResourceStatus, Response, ServerEvent, ServerSession};
pub use session::{Protocol, SessionError};
