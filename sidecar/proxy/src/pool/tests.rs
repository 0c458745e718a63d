use super::*;
use crate::pinned::Pinned;
use crate::pinned::tests::{cluster, link, telemetry};
use weir_config::snapshot::link::Linker;

fn pool() -> (Pinned, Rc<EndpointPool>) {
    let snapshot = link(&mut Linker::new(1), vec![cluster("a", &[1])]);
    let pinned = Pinned::first(snapshot, &[], &telemetry());
    let pool = pinned.clusters[0].pools[0].clone();
    (pinned, pool)
}

fn counts(shared: &ClusterShared) -> [u32; 4] {
    [Word::Requests, Word::Pending, Word::Retries, Word::Connections]
        .map(|word| shared.word(word, Priority::Default).load(Relaxed))
}

#[test]
fn what_was_admitted_is_given_back() {
    let (_pinned, pool) = pool();
    for (index, word) in
        [Word::Requests, Word::Pending, Word::Retries, Word::Connections].into_iter().enumerate()
    {
        let first = pool.shared.admit(word, Priority::Default, 2).unwrap();
        let second = pool.shared.admit(word, Priority::Default, 2).unwrap();
        assert!(pool.shared.admit(word, Priority::Default, 2).is_none());
        assert_eq!(counts(&pool.shared)[index], 2, "what was refused is not counted");
        drop(first);
        let third = pool.shared.admit(word, Priority::Default, 2);
        assert!(third.is_some());
        drop((second, third));
        assert_eq!(counts(&pool.shared), [0; 4]);
    }
    assert!(pool.shared.admit(Word::Requests, Priority::Default, 0).is_none());
}

#[test]
fn priorities_are_counted_apart() {
    let (_pinned, pool) = pool();
    for word in [Word::Requests, Word::Pending, Word::Retries, Word::Connections] {
        let usual = pool.shared.admit(word, Priority::Default, 1).unwrap();
        assert!(pool.shared.admit(word, Priority::Default, 1).is_none());
        let high = pool.shared.admit(word, Priority::High, 1).unwrap();
        assert!(pool.shared.admit(word, Priority::High, 1).is_none());
        drop(usual);
        assert_eq!(pool.shared.word(word, Priority::High).load(Relaxed), 1);
        drop(high);
        assert_eq!(pool.shared.word(word, Priority::High).load(Relaxed), 0);
    }
}

#[test]
fn an_endpoint_has_its_own_limit_of_connections() {
    let mut model = cluster("a", &[1, 2]);
    model.circuit_breakers.max_endpoint_connections = Some(1);
    let snapshot = link(&mut Linker::new(1), vec![model]);
    let pinned = Pinned::first(snapshot, &[], &telemetry());
    let cluster = &pinned.clusters[0];
    let first = cluster.pools[0].permit(cluster, Priority::Default).unwrap();
    assert!(cluster.pools[0].permit(cluster, Priority::High).is_none(), "whatever the priority");
    let other = cluster.pools[1].permit(cluster, Priority::Default).unwrap();
    drop(first);
    assert!(cluster.pools[0].permit(cluster, Priority::Default).is_some());
    drop(other);
    assert_eq!(cluster.pools[0].endpoint.connections.load(Relaxed), 0);
    assert_eq!(cluster.shared.state.connections.load(Relaxed), 0);
}

#[test]
fn an_endpoint_knows_its_load() {
    let (_pinned, pool) = pool();
    let (one, two) = (Active::new(pool.clone()), Active::new(pool.clone()));
    assert_eq!(pool.endpoint.active.load(Relaxed), 2);
    drop((one, two));
    assert_eq!(pool.endpoint.active.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_of_a_freed_connection() {
    let (_pinned, pool) = pool();
    let taken = pool.shared.admit(Word::Connections, Priority::Default, 1).unwrap();
    let begun = tokio::time::Instant::now();
    let freeing = async {
        tokio::task::yield_now().await;
        drop(taken);
    };
    tokio::join!(pool.shared.room(), freeing);
    assert!(begun.elapsed() < LOOK_AGAIN);
    // And looks again by itself, since another worker tells nobody here.
    pool.shared.room().await;
    assert!(begun.elapsed() >= LOOK_AGAIN);
    assert_eq!(pool.shared.waiting.get(), 0);
}
