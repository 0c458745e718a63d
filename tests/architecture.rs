//! The picture of the crates is a test: what each may depend on, and what it must not know, compared with `cargo metadata`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// A crate's row: its name, the crates of ours it may use, what it must not know.
struct Row {
    name: &'static str,
    uses: &'static [&'static str],
    bans: &'static [&'static str],
}

const TOKIO: &[&str] = &["tokio", "tokio-stream", "tokio-util", "hyper", "tonic", "mio", "socket2"];

/// From the bottom up. A crate uses only what lies above it in this list.
const TABLE: &[Row] = &[
    Row { name: "weir-proto", uses: &[], bans: &["tokio", "hyper", "serde"] },
    Row { name: "weir-model", uses: &[], bans: &["tokio", "prost", "tonic", "hyper", "serde", "regex"] },
    Row {
        name: "weir-decide",
        uses: &["weir-model"],
        bans: &["tokio", "prost", "tonic", "hyper", "rand", "parking_lot", "dashmap"],
    },
    Row { name: "weir-xds", uses: &["weir-model", "weir-proto"], bans: TOKIO },
    Row {
        name: "weir-identity",
        uses: &["weir-model"],
        bans: &[
            "tokio",
            "tokio-rustls",
            "tokio-stream",
            "hyper",
            "tonic",
            "prost",
            "mio",
            "socket2",
            "envoy-types",
            "webpki-roots",
            "rustls-native-certs",
        ],
    },
    Row { name: "weir-runtime", uses: &[], bans: &["prost", "tonic", "http", "serde"] },
    Row { name: "weir-telemetry", uses: &["weir-model"], bans: &["hyper", "dashmap"] },
    Row {
        name: "weir-config",
        uses: &["weir-model", "weir-decide", "weir-xds", "weir-proto", "weir-identity", "weir-runtime"],
        bans: &["hyper", "serde_yaml", "redb"],
    },
    Row {
        name: "weir-proxy",
        uses: &["weir-model", "weir-decide", "weir-telemetry", "weir-runtime", "weir-config"],
        bans: &["prost", "tonic", "weir-proto", "weir-xds", "dashmap", "parking_lot", "tower"],
    },
    Row {
        name: "weir-policy",
        uses: &["weir-model", "weir-decide"],
        bans: &["tokio", "prost", "tonic", "hyper"],
    },
    Row { name: "weir-store", uses: &[], bans: &["prost", "tonic", "hyper", "http", "serde_json"] },
    Row {
        name: "weir-compile",
        uses: &["weir-model", "weir-decide"],
        bans: &["prost", "tonic", "tokio", "hyper", "serde", "serde_json", "regex"],
    },
    Row {
        name: "weir-serve",
        uses: &[
            "weir-model",
            "weir-decide",
            "weir-proto",
            "weir-policy",
            "weir-store",
            "weir-compile",
            "weir-xds",
            "weir-identity",
            "weir-runtime",
        ],
        bans: &["weir-config", "weir-proxy", "redb"],
    },
    Row {
        name: "weir-sidecar",
        uses: &["weir-model", "weir-identity", "weir-config", "weir-proxy", "weir-telemetry", "weir-runtime"],
        bans: &["prost", "tonic", "redb"],
    },
    Row {
        name: "weir-control-plane",
        uses: &["weir-serve", "weir-store", "weir-identity", "weir-runtime", "weir-telemetry"],
        bans: &["weir-config", "weir-proxy", "prost", "tonic"],
    },
    Row {
        name: "weir-cli",
        uses: &["weir-proto", "weir-identity", "weir-telemetry", "weir-runtime"],
        bans: &["redb", "weir-serve", "weir-proxy"],
    },
];

/// Crates whose whole tree, not only their own dependencies, must be free of a runtime.
const PURE: &[&str] = &["weir-model", "weir-decide", "weir-identity", "weir-compile", "weir-policy"];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The direct dependencies of our crates, those for tests and for building left out.
fn direct(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let packages = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(package["id"].as_str().unwrap()));
    packages
        .map(|package| {
            let normal = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].is_null());
            let names = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), names.collect())
        })
        .collect()
}

#[test]
fn every_crate_uses_only_what_lies_below_it_and_knows_nothing_it_must_not() {
    let direct = direct(&metadata());
    let mut wrong = Vec::new();
    for row in TABLE {
        let Some(dependencies) = direct.get(row.name) else {
            wrong.push(format!("{} is in the table and not in the workspace", row.name));
            continue;
        };
        for dependency in dependencies {
            if dependency.starts_with("weir-") && !row.uses.contains(&dependency.as_str()) {
                wrong.push(format!("{} must not use {dependency}", row.name));
            }
            if row.bans.contains(&dependency.as_str()) {
                wrong.push(format!("{} must not know {dependency}", row.name));
            }
        }
    }
    for name in direct.keys().filter(|name| *name != "weir-tests") {
        if !TABLE.iter().any(|row| row.name == name) {
            wrong.push(format!("{name} has no row: say what it bans"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_way_up() {
    for (index, row) in TABLE.iter().enumerate() {
        for used in row.uses {
            assert!(
                TABLE[..index].iter().any(|below| below.name == *used),
                "{} uses {used}, which lies above it",
                row.name
            );
        }
    }
}

#[test]
fn pure_crates_have_no_runtime_anywhere_below_them() {
    let metadata = metadata();
    let name_of: BTreeMap<&str, &str> = (metadata["packages"].as_array().unwrap().iter())
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let edges: BTreeMap<&str, Vec<&str>> = (metadata["resolve"]["nodes"].as_array().unwrap().iter())
        .map(|node| {
            let normal = node["deps"].as_array().unwrap().iter().filter(|dependency| {
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            });
            (
                node["id"].as_str().unwrap(),
                normal.map(|dependency| dependency["pkg"].as_str().unwrap()).collect(),
            )
        })
        .collect();
    for pure in PURE {
        let root = *name_of.iter().find(|(_, name)| *name == pure).unwrap().0;
        let mut seen = BTreeSet::new();
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(edges.get(id).into_iter().flatten());
            }
        }
        for id in seen {
            assert!(!TOKIO.contains(&name_of[id]), "{pure} reaches {}", name_of[id]);
        }
    }
}

#[test]
fn the_top_level_is_what_it_says() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "proto",
        "sidecar",
        "control-plane",
        "shared",
        "deploy",
        "tests",
        "README.md",
        "target",
    ];
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for entry in std::fs::read_dir(root).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name.starts_with('.') || allowed.contains(&name.as_str()),
            "{name} does not belong to the top level"
        );
    }
}
