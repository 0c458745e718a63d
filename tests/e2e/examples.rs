//! The policies in `deploy/examples` are accepted as they are, and the README's calls work on them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use weir_tests::ControlPlane;

#[test]
fn every_example_is_accepted_and_can_be_read_back_and_applied_again() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let path = examples.to_str().unwrap();
    let said = plane.weir_ok(&["apply", "-f", path, "-m", "the examples"]);
    assert!(said.contains("created") && !said.contains("error"), "{said}");

    // What is read back is what can be applied, and applying it changes nothing.
    let all = dir.path().join("all.yaml");
    std::fs::write(&all, plane.weir_ok(&["list", "-o", "yaml"])).unwrap();
    let again = plane.weir_ok(&["apply", "-f", all.to_str().unwrap()]);
    assert!(
        !again.contains("created") && !again.contains("updated") && again.ends_with("revision 1\n"),
        "{again}"
    );
    assert!(plane.weir(&["diff", "-f", path]).status.success(), "no difference");

    let history = plane.weir_ok(&["history"]);
    assert!(history.contains("the examples"), "{history}");
    let explained = plane.weir_ok(&["explain", "http://reviews:9080/"]);
    assert!(explained.contains("reviews-v1") && explained.contains('%'), "{explained}");

    // A change, its difference, and the way back.
    plane.weir_ok(&["delete", "-f", path, "-m", "away"]);
    assert_eq!(plane.weir(&["diff", "1", "2"]).status.code(), Some(1));
    assert_eq!(plane.weir_ok(&["list", "-o", "json"]).trim(), "[]");
    plane.weir_ok(&["rollback", "1"]);
    assert!(plane.weir(&["diff", "1", "3"]).status.success(), "rolled back");
}
