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

mod backend;
mod client;
mod compare;
mod differences;
mod generate;
mod oracle;
mod plane;
mod refused;
mod request;
mod rules;
mod shares;
mod written;

use oracle::Oracle;
use weir_tests::resources;

/// Runs the tables, or the one that `ORACLE_CASE` names.
fn written(mut oracle: Oracle) {
    let only = std::env::var("ORACLE_CASE").ok();
    for suite in written::suites() {
        if only.as_ref().is_none_or(|only| *only == suite.name) {
            oracle.run(&suite);
        }
    }
    oracle.complete = only.is_none();
    oracle.judge(if only.is_some() { 0 } else { 400 });
}

#[test]
fn written_cases() {
    written(Oracle::start());
}

#[test]
fn written_cases_on_a_listener_as_others_send_it() {
    written(Oracle::start_with(&resources::stock_manager(), differences::UNASKED));
}

#[test]
fn written_cases_at_an_edge() {
    written(Oracle::start_with(&resources::edge_manager(), differences::EDGE));
}

#[test]
fn written_cases_on_a_particular_listener() {
    let mut oracle = Oracle::start_with(&resources::particular_manager(), differences::PARTICULAR);
    for suite in written::particular() {
        oracle.run(&suite);
    }
    oracle.judge(30);
}

/// Configurations of the generated run.
const CONFIGURATIONS: usize = 210;
/// The seed unless `ORACLE_SEED` says another.
const SEED: u64 = 20_261;

#[test]
fn generated_cases() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect(name));
    let seed = number("ORACLE_SEED").unwrap_or(SEED);
    println!("ORACLE_SEED={seed}");
    let only = number("ORACLE_CASE").map(|only| only as usize);
    let mut oracle = Oracle::start();
    for number in (0..CONFIGURATIONS).filter(|number| only.is_none_or(|only| only == *number)) {
        oracle.run(&generate::suite(seed, number));
    }
    oracle.judge(if only.is_some() { 0 } else { 3_000 });
}

#[test]
fn shares_of_requests() {
    shares::run(&mut Oracle::start());
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let mut oracle = Oracle::start();
    let good =
        rules::configuration(vec![rules::host(&["good.test"], [rules::prefix("/").answer(200, "good")])]);
    assert_eq!(oracle.apply(&good), vec![]);
    let count = refused::run(&mut oracle);
    oracle.weir.serves("good.test", "good");
    println!("{count} resources refused by the name of the field");
    assert!(count >= 25);
}
