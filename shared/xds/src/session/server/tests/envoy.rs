//! The order in which a stock Envoy asks, state of the world: CDS (wildcard) → EDS → CDS ACK → LDS → EDS ACK + RDS → LDS ACK → RDS ACK.

use super::*;
use weir_model::Resource;

/// An Envoy up to date with `l → r → a`.
fn started() -> (ServerSession, [String; 4]) {
    let mut session = ServerSession::sotw();
    session.take(ask(Cluster, &[], "", ""));
    session.update(&world(&["a"], &["a"]));
    let clusters = one(&mut session, Cluster, &["a"]);
    session.take(ask(Endpoints, &["a"], "", ""));
    let endpoints = one(&mut session, Endpoints, &["a"]);
    session.take(ask(Cluster, &[], &clusters, ""));
    session.take(ask(Listener, &[], "", ""));
    assert_eq!(session.drain().len(), 1, "the listener refers to no cluster, so it waits for none");
    session.take(ask(Endpoints, &["a"], &endpoints, ""));
    session.take(ask(Route, &["r"], "", ""));
    let routes = one(&mut session, Route, &["r"]);
    let listeners = "3".to_owned();
    session.take(ask(Listener, &[], &listeners, ""));
    session.take(ask(Route, &["r"], &routes, ""));
    assert_eq!(session.drain(), vec![]);
    assert!(session.settled());
    (session, [clusters, endpoints, listeners, routes])
}

/// Clusters with endpoints, and a route to some of them.
fn world(clusters: &[&str], routed: &[&str]) -> EncodedSet {
    set(clusters.iter().flat_map(|name| service(name)).chain([listener("l", "r"), route("r", routed)]))
}

fn one(session: &mut ServerSession, kind: ResourceType, names: &[&str]) -> String {
    let said = session.drain();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].is(kind, names, &[]), "{said:?}");
    said[0].nonce.clone()
}

#[test]
fn it_starts() {
    let (session, _) = started();
    assert_eq!(session.uses().len(), 0);
    assert_eq!(session.status().len(), 4);
    assert!(session.status().iter().all(|status| status.acked.is_some() && status.acked == status.sent));
}

#[test]
fn a_new_cluster_comes_before_the_route_that_needs_it_and_goes_after() {
    let (mut session, _) = started();
    session.update(&world(&["a", "b"], &["b"]));
    // The listener does not change. The route waits for the cluster, which is a complete list.
    let clusters = one(&mut session, Cluster, &["a", "b"]);
    session.take(ask(Endpoints, &["a", "b"], "2", ""));
    let endpoints = one(&mut session, Endpoints, &["b"]);
    session.take(ask(Cluster, &[], &clusters, ""));
    assert_eq!(session.drain(), vec![], "the new cluster has no endpoints yet: a route to it would fail");
    session.take(ask(Endpoints, &["a", "b"], &endpoints, ""));
    let routes = one(&mut session, Route, &["r"]);
    // Meanwhile the old cluster is no longer wanted, but the old route is still in force there.
    session.update(&world(&["b"], &["b"]));
    assert_eq!(session.drain(), vec![]);
    session.take(ask(Route, &["r"], &routes, ""));
    let clusters = one(&mut session, Cluster, &["b"]);
    session.take(ask(Endpoints, &["b"], &endpoints, ""));
    session.take(ask(Cluster, &[], &clusters, ""));
    assert_eq!(session.drain(), vec![]);
    assert!(session.settled());
}

#[test]
fn a_cluster_stays_while_the_client_refuses_to_leave_it() {
    let (mut session, _) = started();
    session.update(&set(service("b").into_iter().chain([listener("l", "r"), route("r", &["b"])])));
    let clusters = one(&mut session, Cluster, &["a", "b"]);
    session.take(ask(Endpoints, &["a", "b"], "2", ""));
    let endpoints = one(&mut session, Endpoints, &["b"]);
    session.take(ask(Cluster, &[], &clusters, ""));
    session.take(ask(Endpoints, &["a", "b"], &endpoints, ""));
    let routes = one(&mut session, Route, &["r"]);
    let events = session.take(ask(Route, &["r"], &routes, "bad regex"));
    assert!(matches!(&events[0], ServerEvent::Nacked { resources, .. } if resources == &["r"]));
    assert_eq!(session.drain(), vec![], "the old route is in force and needs the old cluster");
    // Mended: only now the old cluster goes.
    session.update(&set(service("b").into_iter().chain([listener("l", "r"), route("r", &["b", "b"])])));
    let routes = one(&mut session, Route, &["r"]);
    session.take(ask(Route, &["r"], &routes, ""));
    one(&mut session, Cluster, &["b"]);
}

#[test]
fn endpoints_flow_while_everything_else_waits() {
    let (mut session, _) = started();
    session.update(&set([cluster("a", 0), endpoints("a", 81), cluster("b", 0), endpoints("b", 80)]
        .into_iter()
        .chain([listener("l", "r"), route("r", &["a", "b"])])));
    let said = session.drain();
    assert_eq!(said.len(), 2);
    assert!(said[0].is(Cluster, &["a", "b"], &[]) && said[1].is(Endpoints, &["a"], &[]));
}

#[test]
fn a_changed_cluster_is_warmed_up_with_its_endpoints_again() {
    let (mut session, _) = started();
    session.update(&set([cluster("a", 1), endpoints("a", 80), listener("l", "r"), route("r", &["a"])]));
    let said = session.drain();
    assert!(said[0].is(Cluster, &["a"], &[]), "{said:?}");
    assert!(said[1].is(Endpoints, &["a"], &[]), "unchanged, and Envoy waits for them: {said:?}");
    assert_eq!(said.len(), 2);
}

#[test]
fn stale_nonces_say_nothing() {
    let (mut session, _) = started();
    session.update(&world(&["a", "b"], &["a"]));
    let clusters = one(&mut session, Cluster, &["a", "b"]);
    assert_eq!(session.take(ask(Cluster, &[], "1", "refused")), vec![]);
    assert!(session.status().iter().all(|status| status.nack.is_none()));
    let events = session.take(ask(Cluster, &[], &clusters, ""));
    assert!(matches!(&events[0], ServerEvent::Acked { kind: Cluster, .. }));
    // Once more the same answer: nothing new.
    assert_eq!(session.take(ask(Cluster, &[], &clusters, "")), vec![]);
}

#[test]
fn a_refused_listener_is_left_as_it_was_and_its_siblings_go_on() {
    let (mut session, _) = started();
    let with = |extra: Vec<Resource>| {
        set(service("a").into_iter().chain([listener("l", "r"), route("r", &["a"])]).chain(extra))
    };
    session.update(&with(vec![tcp("t1", 1, "a"), tcp("t2", 2, "a")]));
    let nonce = one(&mut session, Listener, &["l", "t1", "t2"]);
    let events =
        session.take(ask(Listener, &[], &nonce, "Error adding/updating listener(s) t1: cannot bind"));
    assert!(matches!(&events[0], ServerEvent::Nacked { resources, .. } if resources == &["t1"]));
    assert!(
        matches!(&events[1], ServerEvent::Acked { resources, .. } if resources.len() == 1 && resources[0].0 == "t2")
    );
    assert_eq!(session.drain(), vec![], "not again before it changes");
    let status = session.status().into_iter().find(|status| status.name == "t1").unwrap();
    assert_eq!(&*status.nack.unwrap().text, "Error adding/updating listener(s) t1: cannot bind");
    assert_eq!((status.acked, status.sent), (None, status.wanted));
    // Something else changes: the refused one is not offered again, as this Envoy has no earlier one.
    session.update(&with(vec![tcp("t1", 1, "a"), tcp("t2", 3, "a")]));
    let nonce = one(&mut session, Listener, &["l", "t2"]);
    session.take(ask(Listener, &[], &nonce, ""));
    // It changes: it is.
    session.update(&with(vec![tcp("t1", 4, "a"), tcp("t2", 3, "a")]));
    let nonce = one(&mut session, Listener, &["l", "t1", "t2"]);
    session.take(ask(Listener, &[], &nonce, ""));
    assert_eq!(session.drain(), vec![]);
    assert!(session.settled() && session.status().iter().all(|status| status.nack.is_none()));
}

#[test]
fn a_refused_change_keeps_what_it_was_to_replace() {
    let (mut session, _) = started();
    let with = |generation| {
        set([cluster("a", generation), endpoints("a", 80), cluster("b", 0), endpoints("b", 80)]
            .into_iter()
            .chain([listener("l", "r"), route("r", &["a"])]))
    };
    session.update(&with(1));
    let nonce = session.drain().remove(0).nonce;
    session.take(ask(Cluster, &[], &nonce, "Error adding/updating cluster(s) a: no"));
    // What must be complete carries the old cluster `a`, or it would be removed.
    session.update(&set([cluster("a", 1), endpoints("a", 80), listener("l", "r"), route("r", &["a"])]));
    let Response::Sotw(response) = std::iter::from_fn(|| session.poll_output())
        .find(|response| response.type_url() == codec::type_url(Cluster))
        .unwrap()
    else {
        panic!()
    };
    let clusters: Vec<Resource> = response.resources.iter().map(|any| codec::decode(any).unwrap()).collect();
    assert_eq!(clusters, vec![cluster("a", 0)]);
}

#[test]
fn rolling_back_to_what_is_held_sends_nothing_and_ends_the_refusal() {
    let (mut session, _) = started();
    session.update(&set(service("a").into_iter().chain([listener("l", "r"), route("r", &["a", "a"])])));
    let nonce = one(&mut session, Route, &["r"]);
    session.take(ask(Route, &["r"], &nonce, "no"));
    assert!(session.status().iter().any(|status| status.nack.is_some()));
    session.update(&world(&["a"], &["a"]));
    assert_eq!(session.drain(), vec![]);
    assert!(session.settled() && session.status().iter().all(|status| status.nack.is_none()));
}

#[test]
fn routes_before_clusters_is_possible_only_on_purpose() {
    let mut session = ServerSession::sotw().with_order([Route, Listener, Cluster, Endpoints]);
    session.update(&world(&["a"], &["a"]));
    for (kind, names) in [(Cluster, &[][..]), (Endpoints, &["a"]), (Listener, &[]), (Route, &["r"])] {
        session.take(ask(kind, names, "", ""));
    }
    let kinds: Vec<_> = session.drain().into_iter().map(|said| said.kind).collect();
    assert_eq!(kinds[..2], [Route, Cluster]);
}

#[test]
fn a_reconnected_envoy_gets_everything_and_loses_nothing_while_it_waits() {
    let mut session = ServerSession::sotw();
    session.update(&set(service("a").into_iter().chain([
        tcp("t", 1, "a"),
        listener("l", "r"),
        route("r", &["a"]),
    ])));
    for (kind, names) in [(Listener, &[][..]), (Route, &["r"]), (Cluster, &[]), (Endpoints, &["a"])] {
        let brought = DiscoveryRequest { version_info: "old".to_owned(), ..ask(kind, names, "77", "") };
        session.take(brought);
    }
    // An incomplete list of listeners would remove those that wait for their cluster.
    let said = session.drain();
    assert_eq!(said.iter().map(|said| said.kind).collect::<Vec<_>>(), [Cluster, Endpoints]);
    session.take(ask(Cluster, &[], &said[0].nonce, ""));
    session.take(ask(Endpoints, &["a"], &said[1].nonce, ""));
    let said = session.drain();
    assert!(said[0].is(Listener, &["l", "t"], &[]) && said[1].is(Route, &["r"], &[]), "{said:?}");
}
