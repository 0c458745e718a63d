//! `weir demo`, the README's first command: it runs a whole mesh through a canary, an outage and a rollback, and finds nothing wrong.
//! What it says is checked here against what it must have measured, not only against its own verdict.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use weir_tests::{binary, eventually, split};

const RATE: f64 = 100.0;

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("weir"));
    // Whoever runs the tests may have a mesh of their own.
    command.env("WEIR_SERVER", "127.0.0.1:1").env("WEIR_XDS", "127.0.0.1:1").arg("demo").args(arguments);
    command.stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The processes of the demos that run with this directory for their temporary files.
fn processes(dir: &std::path::Path) -> Vec<String> {
    let mark = format!("{}/", dir.display());
    let listing = std::fs::read_dir("/proc").unwrap().flatten();
    let commands = listing.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let commands = commands.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    commands.filter(|command| command.contains(&mark)).collect()
}

#[test]
fn the_demo_passes_and_its_numbers_hold() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = demo(&["--duration", "12s", "--outage", "3", "--rate", "100", "-o", "json"]);
    let output = command.env("TMPDIR", dir.path()).output().unwrap();
    let all = said(&output);
    assert!(output.status.success(), "{:?}\n{all}", output.status);
    let found: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{all}"));

    assert_eq!(found["ok"], true, "{all}");
    assert_eq!(found["failed"], 0, "{all}");
    let phases = found["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["90/10", "50/50", "outage", "rollback"]);
    let mut sum = number(&found["transition"]["requests"]);
    for (phase, share) in phases.iter().zip([0.9, 0.5, 0.5, 0.9]) {
        let requests = number(&phase["requests"]);
        // An open loop sends what was asked for, no matter what; three seconds are measured.
        assert!(requests >= 2.9 * RATE, "{phase}");
        assert_eq!(phase["failed"], 0, "{phase}");
        let [v1, v2] =
            ["reviews-v1", "reviews-v2"].map(|version| phase["observed"][version].as_u64().unwrap());
        assert_eq!((v1 + v2) as f64, requests, "{phase}");
        assert_eq!(number(&phase["weights"]["reviews-v1"]), share * 100.0, "{phase}");
        assert!(split::plausible(v1, v1 + v2, share), "{phase}");
        let [p50, p99] = ["p50", "p99"].map(|quantile| number(&phase["latency_ms"][quantile]));
        assert!(p50 > 0.0 && p50 <= p99, "{phase}");
        sum += requests;
    }
    assert_eq!(number(&found["requests"]), sum, "{all}");
    // A rollback is a new revision; the outage is no change.
    let revisions: Vec<u64> = phases.iter().map(|phase| phase["revision"].as_u64().unwrap()).collect();
    assert!(
        revisions[0] < revisions[1] && revisions[1] == revisions[2] && revisions[2] < revisions[3],
        "{revisions:?}"
    );

    let outage = &found["control_plane_outage"];
    assert!(number(&outage["seconds"]) >= 3.0, "{outage}");
    assert!(number(&outage["requests"]) >= 2.9 * RATE, "{outage}");
    assert_eq!(outage["failed"], 0, "{outage}");
    let [p50, p99] = ["p50", "p99"].map(|quantile| number(&found["propagation_ms"][quantile]));
    assert!(p50 > 0.0 && p50 <= p99 && p99 < 10_000.0, "{all}");

    let trace = &found["trace"];
    assert!(number(&trace["spans"]) >= 4.0, "{trace}");
    assert_eq!(trace["connected"], true, "{trace}");
    let services: Vec<&str> =
        trace["services"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(services.contains(&"frontend") && services.contains(&"reviews"), "{trace}");

    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "what a good demo wrote is removed");
    assert!(processes(dir.path()).is_empty(), "{:?}", processes(dir.path()));
}

#[test]
fn nothing_outlives_a_demo_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = demo(&["--duration", "60s"]);
    let mut demo =
        command.env("TMPDIR", dir.path()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    eventually("control plane and sidecars run", Duration::from_secs(30), || {
        processes(dir.path()).len() >= 4
    });
    demo.kill().unwrap();
    demo.wait().unwrap();
    eventually("they are gone", Duration::from_secs(5), || processes(dir.path()).is_empty());
}

#[test]
fn a_demo_without_its_programs_says_how_to_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(&["--bin-dir", dir.path().to_str().unwrap()]).output().unwrap();
    let all = said(&output);
    assert_eq!(output.status.code(), Some(1), "{all}");
    for word in ["weir-control-plane", "cargo build --release", "--bin-dir"] {
        assert!(all.contains(word), "{word}: {all}");
    }
}

#[test]
fn a_program_that_cannot_start_is_named_with_the_end_of_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(&["--otlp", "ftp://nowhere", "-o", "json"]).env("TMPDIR", dir.path()).output().unwrap();
    let all = said(&output);
    assert_eq!(output.status.code(), Some(1), "{all}");
    assert!(output.stdout.is_empty(), "{all}");
    for word in ["did not start", "ftp://nowhere", ".log"] {
        assert!(all.contains(word), "{word}: {all}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_starts() {
    for (arguments, word) in [
        (["--duration", "2s"], "--duration"),
        (["--outage", "0"], "--outage"),
        (["--rate", "0"], "--rate"),
        (["--duration", "soon"], "--duration"),
    ] {
        let output = demo(&arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains(word), "{arguments:?}: {}", said(&output));
    }
}
