use super::*;
use crate::registry::tests::enter;
use weir_model::Locality;
use weir_store::{Embedded, Options};

fn workload() -> Workload {
    Workload { labels: BTreeMap::new(), locality: Locality::default(), weight: 1, ports: vec![], ready: true }
}

#[tokio::test]
async fn who_leaves_is_told_when_the_last_peer_has_heard() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    let plane = Plane::new(Arc::new(store), None).unwrap();
    let publishing = tokio::spawn({
        let plane = Arc::clone(&plane);
        async move { plane.run().await }
    });
    let (name, workload) = (Name::new("default", "a"), workload());
    plane.join(name.clone(), workload.clone(), StreamId(1)).unwrap();
    let joined = |world: &Arc<World>| world.mesh.workloads.contains_key(&name);
    plane.worlds().wait_for(joined).await.unwrap();
    let peer = enter(&plane.registry, "peer", "");
    // A process that takes over: its predecessor's end concerns nobody.
    plane.join(name.clone(), workload.clone(), StreamId(2)).unwrap();
    assert!(!plane.part(&name, StreamId(1), true));
    assert!(joined(&plane.world()));
    assert!(plane.part(&name, StreamId(2), true));
    let early = tokio::time::timeout(Duration::from_millis(200), plane.heard_without(&name, &workload)).await;
    assert!(early.is_err(), "the peer has not answered");
    let world = plane.world();
    assert!(!joined(&world));
    peer.update(|state| state.settled = world.generation);
    tokio::time::timeout(HEARD / 2, plane.heard_without(&name, &workload)).await.unwrap();
    publishing.abort();
}
