//! What the tests of the whole mesh share: the real programs, started as a user starts them, on ports nobody else has.
//!
//! The tests themselves stand beside this folder, one folder a level: `architecture.rs`, `sim`, `conformance`, `e2e`, `bench`. They run the
//! binaries of the same build profile as the test; `tests/run` builds them first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]

pub mod ads;
pub mod app;
pub mod backend;
pub mod callers;
pub mod envoy;
pub mod http;
mod process;
pub mod resources;
pub mod script;
pub mod split;

pub use process::{ControlPlane, Process, Sidecar, binary, peer};

use std::time::{Duration, Instant};

/// Asks again and again until the answer is yes; panics with `what` after `limit`.
#[allow(clippy::disallowed_methods, reason = "tests of real processes wait in real time")]
pub fn eventually(what: &str, limit: Duration, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
