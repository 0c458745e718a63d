//! The mesh simulation: store, compiler, sessions, sidecars and stock clients under one seeded scheduler.
//!
//! Real are the policy parser and validator, the compiler, the codec, the sessions of both ends, the leases, the sidecar's configuration core
//! with its graph and linker, and every byte between them. Modelled are the store's promise ([`store`]), the network ([`link`]) and, as seen
//! from the wire, Envoy and gRPC ([`stock`]). Messages are late, connections break and take what is on its way with them, processes die and
//! come back with what was on disk, operators write good and bad policy and go back.
//!
//! **What is checked after every event:**
//!
//! - what a sidecar serves is closed, and every index of its snapshot exists and means what the resource says; a request sees one snapshot;
//! - a stock client, which applies everything at once, never has a route to a cluster that is not there and warm (make before break);
//! - what is refused leaves the last good version in force;
//! - losing and finding the control plane changes nothing that is served; a restart serves what was on disk;
//! - nobody serves what was never meant for it, nor goes back to what was over;
//! - an acknowledged write is there after every crash; a workload whose sidecar lives does not vanish;
//! - one response of a type is on its way at a time; clients and sessions stay bounded.
//!
//! **And when faults stop**, within a bounded number of steps: every node has exactly what `compile` says for it, and the control plane's
//! status says so.
//!
//! `WEIR_SIM_SEEDS=N` runs another number of seeds. A seed that fails is printed with the command that replays it. [`mutation`] proves that
//! the checks bite. Not here: sockets, tasks and time, which the end-to-end tests have.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what is wrong"
)]

mod chaos;
mod control;
mod ending;
mod invariants;
mod journal;
mod link;
mod mutation;
mod nodes;
mod operator;
mod peer;
mod policy;
mod runner;
mod scheduler;
mod sidecar;
mod spoil;
mod stock;
mod store;
mod truth;
mod wire;
mod world;

use mutation::Mutation;
use runner::{run, run_all};

/// Seeds that must pass.
const SEEDS: u64 = 1_000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: write a number")))
}

#[test]
fn every_seed_keeps_every_invariant() {
    let seeds = setting("WEIR_SIM_SEEDS").unwrap_or(SEEDS);
    let stats = run_all(0..seeds, None).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{stats:?}");
    assert_eq!(stats.runs, seeds);
    if seeds >= 100 {
        // A simulation in which nothing happens proves nothing.
        let happened =
            [stats.nacks, stats.rollbacks, stats.crashes, stats.restarts, stats.resets, stats.partitions];
        assert!(happened.iter().all(|count| *count > seeds / 2), "{stats:?}");
        assert!(stats.writes > 10 * seeds, "{stats:?}");
        assert!(stats.refused_writes < stats.writes, "{stats:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in 0..20 {
        let hash = |seed| run(seed, None, false).map(|(hash, _)| hash).map_err(|failure| failure.to_string());
        let (first, second) = (hash(seed), std::thread::spawn(move || hash(seed)).join().unwrap());
        assert_eq!(first, second, "seed {seed}");
    }
}

/// One seed (`WEIR_SIM_SEED=N`), told event by event.
#[test]
fn replay() {
    let seed = setting("WEIR_SIM_SEED").unwrap_or(0);
    let mutation = std::env::var("WEIR_SIM_MUTATION").ok().map(|text| text.parse().unwrap());
    let (hash, stats) = run(seed, mutation, true).unwrap_or_else(|failure| panic!("{failure}"));
    println!("seed {seed} keeps every invariant; its events hash to {hash:016x}; {stats:?}");
}

/// The mutation makes a seed fail, and for the reason it should.
fn must_be_noticed(mutation: Mutation, reason: &str) {
    let failure = run_all(0..SEEDS, Some(mutation)).map(|_| ()).expect_err("no seed notices the mutation");
    println!(
        "{} is noticed by seed {}: {}\n{}",
        mutation.name(),
        failure.seed,
        failure.why,
        failure.replay()
    );
    assert!(failure.why.contains(reason), "{failure}");
    let again =
        run(failure.seed, Some(mutation), false).expect_err("the seed that noticed it notices it again");
    assert_eq!(again.to_string(), failure.to_string());
}

#[test]
fn delivering_routes_before_clusters_is_noticed() {
    must_be_noticed(Mutation::RoutesBeforeClusters, "in force refers to the cluster");
}

#[test]
fn forgetting_the_last_good_version_is_noticed() {
    must_be_noticed(Mutation::ForgetLastGood, "in force refers to the cluster");
}

#[test]
fn taking_away_what_the_last_good_version_needs_is_noticed() {
    must_be_noticed(Mutation::AcceptInWords, "in force refers to the cluster");
}

#[test]
fn losing_an_acknowledged_write_is_noticed() {
    must_be_noticed(Mutation::LoseWrites, "was acknowledged and");
}

#[test]
fn going_back_in_time_is_noticed() {
    must_be_noticed(Mutation::OldWorlds, "goes back in time");
}

#[test]
fn forgetting_who_had_joined_is_noticed() {
    must_be_noticed(Mutation::ForgetLeases, "its workload is gone from the mesh");
}
