use super::*;
use std::collections::{BTreeMap, BTreeSet};
use weir_model::Locality;
use weir_model::node::Target;

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        target: Target::Weir,
        namespace: "default".to_owned(),
        service: String::new(),
        service_account: String::new(),
        labels: BTreeMap::new(),
        locality: Locality::default(),
        outbound: None,
        outbound_tcp: BTreeMap::new(),
        inbound: vec![],
        upstreams: BTreeSet::new(),
        uses: BTreeSet::new(),
        sampling: None,
        access_log: false,
    }
}

pub(crate) fn enter(registry: &Registry, id: &str, peer: &str) -> Entry {
    let session = Arc::new(Mutex::new(ServerSession::delta()));
    registry.enter(node(id), String::new(), peer.to_owned(), "delta", session)
}

fn shown(registry: &Registry, id: &str) -> (String, bool) {
    let state = registry.get(id).unwrap();
    (state.peer, state.ended.is_none())
}

#[test]
fn a_node_lives_for_as_long_as_any_of_its_streams() {
    let registry = Registry::default();
    let old = enter(&registry, "a", "old");
    let new = enter(&registry, "a", "new");
    assert_eq!((registry.connected(), registry.all().len()), (1, 1));
    assert_eq!(shown(&registry, "a"), ("new".to_owned(), true));
    drop(old);
    assert_eq!(shown(&registry, "a"), ("new".to_owned(), true));
    drop(new);
    assert_eq!(shown(&registry, "a"), ("new".to_owned(), false));
    let _again = enter(&registry, "a", "again");
    assert_eq!(shown(&registry, "a"), ("again".to_owned(), true));
}

/// A successor that failed, or the old process's stream that was heard of late.
#[test]
fn the_stream_that_lives_is_shown_again_when_a_later_one_ends() {
    let registry = Registry::default();
    let _living = enter(&registry, "a", "living");
    drop(enter(&registry, "a", "late"));
    assert_eq!(shown(&registry, "a"), ("living".to_owned(), true));
    assert_eq!((registry.connected(), registry.behind()), (1, 1));
}

#[test]
fn a_node_that_opens_streams_without_end_is_remembered_within_a_bound() {
    let registry = Registry::default();
    let entries: Vec<Entry> = (0..100).map(|number| enter(&registry, "a", &number.to_string())).collect();
    assert_eq!(registry.nodes.get("a").unwrap().len(), STREAMS);
    drop(entries);
    assert_eq!(registry.connected(), 0);
}

#[tokio::test(start_paused = true)]
async fn those_that_have_not_answered_are_waited_for_and_those_that_end_are_not() {
    let registry = Registry::default();
    let (slow, fast, gone) =
        (enter(&registry, "slow", ""), enter(&registry, "fast", ""), enter(&registry, "gone", ""));
    fast.update(|state| state.settled = 7);
    slow.update(|state| state.settled = 6);
    let begun = tokio::time::Instant::now();
    let answering = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(gone);
        tokio::time::sleep(Duration::from_secs(1)).await;
        slow.update(|state| state.settled = 8);
    };
    tokio::join!(registry.settled(7), answering);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(3), "{waited:?}");
    registry.settled(7).await;
}
