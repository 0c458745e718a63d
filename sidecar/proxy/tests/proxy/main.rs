//! One worker on a thread of its own, between real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, missing_docs)]

mod affinity;
mod balancing;
mod chains;
mod changes;
mod clusters;
mod detection;
mod fallback;
mod filters;
mod hardening;
mod health;
mod hostile;
mod http1;
mod http2;
mod kin;
mod life;
mod manner;
mod mirror;
mod names;
mod policy;
mod resilience;
mod retries;
mod streams;
mod support;
mod telemetry;
mod tunnels;
