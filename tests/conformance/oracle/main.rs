//! Envoy as the oracle: the same Listener, RouteConfiguration, Cluster and ClusterLoadAssignment go to a stock Envoy and to the sidecar, the
//! same requests go to both, and both must do the same: status, backend, headers sent on and returned, bodies, flags of the access log.
//!
//! - `written` and its tables are cases written by hand, one line each; `generated` makes its own from a seed that it prints.
//! - `differences` lists what is meant to differ, each with its reason. Everything else fails, with all that is needed to see it again.
//! - `refused` are resources that the sidecar does not take; each must be refused by the name of the field.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

mod ads;
mod backend;
mod client;
mod compare;
mod differences;
mod oracle;
mod plane;
mod request;
mod resources;
mod rules;
mod written;

use oracle::Oracle;

#[test]
fn written_cases() {
    let only = std::env::var("ORACLE_CASE").ok();
    let mut oracle = Oracle::start();
    for suite in written::suites() {
        if only.as_ref().is_none_or(|only| *only == suite.name) {
            oracle.run(&suite);
        }
    }
    oracle.judge(if only.is_some() { 0 } else { 200 });
}
