//! Policy and a node in, resources out, one readable file per case in `golden/`.
//!
//! `CASE.yaml` has policy documents and one document of kind `Node`; `CASE.expected` has every resource and diagnostic as text. A difference
//! fails; `UPDATE_GOLDEN=1` writes the files anew, for a person to read the difference.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use weir_model::node::{Inbound, Node, Target};
use weir_model::{Fraction, Locality, Severity};

/// A case says in its first line that its policy would be refused.
const INVALID: &str = "# invalid";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeDocument {
    #[serde(rename = "kind")]
    _kind: String,
    target: String,
    #[serde(default = "default_namespace")]
    namespace: String,
    #[serde(default)]
    service: String,
    #[serde(default = "default_namespace")]
    service_account: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// `region/zone/subzone`; nowhere if empty.
    #[serde(default)]
    locality: String,
    outbound: Option<SocketAddr>,
    #[serde(default)]
    outbound_tcp: BTreeMap<SocketAddr, String>,
    #[serde(default)]
    inbound: Vec<InboundDocument>,
    #[serde(default)]
    upstreams: BTreeSet<String>,
    #[serde(default)]
    uses: BTreeSet<String>,
    sampling_ppm: Option<u32>,
    #[serde(default)]
    access_log: bool,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct InboundDocument {
    #[serde(default)]
    name: String,
    listen: SocketAddr,
    app: SocketAddr,
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn node(text: &str) -> Node {
    let document: NodeDocument = serde_saphyr::from_str(text).unwrap();
    Node {
        id: "node".to_owned(),
        target: match document.target.as_str() {
            "weir" => Target::Weir,
            "envoy" => Target::Envoy,
            "grpc" => Target::Grpc,
            other => panic!("no target {other}"),
        },
        namespace: document.namespace,
        service: document.service,
        service_account: document.service_account,
        labels: document.labels,
        locality: document.locality.parse::<Locality>().unwrap(),
        outbound: document.outbound,
        outbound_tcp: document.outbound_tcp,
        inbound: document
            .inbound
            .into_iter()
            .map(|inbound| Inbound { name: inbound.name, listen: inbound.listen, app: inbound.app })
            .collect(),
        upstreams: document.upstreams,
        uses: document.uses,
        sampling: document.sampling_ppm.map(Fraction),
        access_log: document.access_log,
    }
}

/// Everything that comes out of a case, as text.
fn compiled(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let (nodes, policy): (Vec<&str>, Vec<&str>) =
        text.split("---\n").partition(|document| document.contains("kind: Node\n"));
    let [node_text] = nodes.as_slice() else { panic!("{}: one document of kind Node", path.display()) };
    let (objects, found) = weir_policy::parse_yaml(&policy.join("---\n"));
    assert!(found.iter().all(|found| found.severity != Severity::Error), "{}: {found:#?}", path.display());
    let refused = weir_policy::validate(&objects).iter().any(|found| found.severity == Severity::Error);
    assert_eq!(refused, text.starts_with(INVALID), "{}: whether the policy is refused", path.display());
    let mesh = weir_policy::to_mesh(&objects);
    let compiled = weir_compile::compile(&mesh, &node(node_text));
    assert_eq!(compiled.resources.dangling(), [], "{}", path.display());
    let mut out = String::new();
    for (_, _, _, resource) in compiled.resources.iter() {
        out.push_str(&weir_compile::render(resource));
        out.push('\n');
    }
    for diagnostic in &compiled.diagnostics {
        writeln!(out, "{diagnostic}").unwrap();
    }
    out
}

fn cases() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    cases.sort();
    cases
}

#[test]
fn every_case_compiles_to_what_is_expected() {
    let cases = cases();
    assert!(cases.len() >= 20, "{} cases", cases.len());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    for case in &cases {
        let actual = compiled(case);
        let expected_path = case.with_extension("expected");
        if update {
            std::fs::write(&expected_path, &actual).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if actual != expected {
            different.push(difference(case, &expected, &actual));
        }
    }
    assert!(different.is_empty(), "UPDATE_GOLDEN=1 takes these over:\n{}", different.join("\n"));
}

/// The first line that differs, with both sides.
fn difference(case: &Path, expected: &str, actual: &str) -> String {
    let lines =
        expected.lines().zip(actual.lines()).enumerate().find(|(_, (expected, actual))| expected != actual);
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    match lines {
        Some((index, (expected, actual))) => format!("{name}, line {}:\n- {expected}\n+ {actual}", index + 1),
        None => {
            format!("{name}: {} lines expected, {} found", expected.lines().count(), actual.lines().count())
        }
    }
}

#[test]
fn every_expectation_belongs_to_a_case() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("yaml").exists(), "{} has no case", path.display());
    }
}
