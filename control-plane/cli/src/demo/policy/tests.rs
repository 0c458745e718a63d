use super::*;

fn sidecar(node: &str, connected: bool, serving_revision: u64, in_sync: bool) -> wire::SidecarStatus {
    wire::SidecarStatus { node: node.to_owned(), connected, serving_revision, in_sync, ..Default::default() }
}

#[test]
fn a_revision_is_served_when_every_expected_sidecar_says_so() {
    let sidecars =
        vec![sidecar("a", true, 4, true), sidecar("b", true, 5, true), sidecar("other", false, 0, false)];
    let mut status = wire::StatusResponse { sidecars, ..Default::default() };
    assert!(behind(&status, 4, &["a", "b"]).is_empty());
    assert_eq!(behind(&status, 5, &["a", "b"]), ["a serves revision 4"]);
    assert_eq!(behind(&status, 4, &["a", "c"]), ["c is not connected"]);
    assert_eq!(behind(&status, 0, &["other"]), ["other is gone"]);
    status.sidecars[0].in_sync = false;
    status.sidecars[0].resources = vec![wire::ResourceStatus {
        r#type: "listener".to_owned(),
        name: "x".to_owned(),
        nack: "no".to_owned(),
        ..Default::default()
    }];
    assert_eq!(behind(&status, 4, &["a", "b"]), ["a serves revision 4, it refused listener x: no"]);
}

#[test]
fn the_route_is_one_document_with_both_weights() {
    let text = route([90, 10]);
    assert_eq!(text.matches("apiVersion").count(), 1);
    assert!(text.contains("{name: reviews-v1, port: 9080, weight: 90}"), "{text}");
    assert!(text.contains("{name: reviews-v2, port: 9080, weight: 10}"), "{text}");
}
