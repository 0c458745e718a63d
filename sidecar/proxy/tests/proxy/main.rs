//! One worker on a thread of its own, between real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, missing_docs)]

mod hardening;
mod http1;
mod http2;
mod life;
mod names;
mod policy;
mod retries;
mod streams;
mod support;
mod telemetry;
