//! Incremental streams: a weir sidecar, and an incremental Envoy.

use super::*;

fn world(clusters: &[&str], routed: &[&str]) -> EncodedSet {
    set(clusters.iter().flat_map(|name| service(name)).chain([
        listener("reviews", "r"),
        route("r", routed),
        tcp("inbound/127.0.0.1:1", 1, clusters[0]),
    ]))
}

fn acknowledge(session: &mut ServerSession, said: &Said) -> Vec<ServerEvent> {
    session.take(ask_delta(said.kind, &[], &[], &said.nonce, ""))
}

/// A sidecar that asks in the order of types and has all of it.
fn started(world: &EncodedSet) -> ServerSession {
    let mut session = ServerSession::delta();
    session.take(ask_delta(Cluster, &["*"], &[], "", ""));
    session.take(ask_delta(Listener, &["*", "reviews"], &[], "", ""));
    session.update(world);
    let said = session.drain();
    assert!(said[0].is(Cluster, &["a"], &[]), "{said:?}");
    assert!(said[1].is(Listener, &["reviews"], &[]), "the other one waits for its cluster: {said:?}");
    session.take(ask_delta(Endpoints, &["a"], &[], "", ""));
    session.take(ask_delta(Route, &["r"], &[], "", ""));
    acknowledge(&mut session, &said[0]);
    acknowledge(&mut session, &said[1]);
    let said = session.drain();
    assert_eq!(said.len(), 1, "what refers to a cluster waits for its endpoints as well: {said:?}");
    assert!(said[0].is(Endpoints, &["a"], &[]));
    acknowledge(&mut session, &said[0]);
    let said = session.drain();
    assert!(
        said[0].is(Listener, &["inbound/127.0.0.1:1"], &[]) && said[1].is(Route, &["r"], &[]),
        "{said:?}"
    );
    said.iter().for_each(|said| drop(acknowledge(&mut session, said)));
    assert!(session.drain().is_empty() && session.settled());
    session
}

#[test]
fn it_starts() {
    started(&world(&["a"], &["a"]));
}

#[test]
fn only_what_changed_is_sent() {
    let mut session = started(&world(&["a"], &["a"]));
    session.update(&world(&["a"], &["a"]));
    assert_eq!(session.drain(), vec![]);
    session.update(&set([
        cluster("a", 0),
        endpoints("a", 81),
        listener("reviews", "r"),
        route("r", &["a"]),
        tcp("inbound/127.0.0.1:1", 1, "a"),
    ]));
    let said = session.drain();
    assert!(said.len() == 1 && said[0].is(Endpoints, &["a"], &[]), "{said:?}");
}

#[test]
fn removals_go_from_what_refers_to_what_is_referred_to() {
    let mut session = started(&world(&["a"], &["a"]));
    session.update(&set([]));
    let mut order = vec![];
    loop {
        let said = session.drain();
        if said.is_empty() {
            break;
        }
        for said in said {
            order.extend(said.removed.iter().map(|name| (said.kind, name.clone())));
            acknowledge(&mut session, &said);
        }
    }
    let position = |kind| order.iter().rposition(|(removed, _)| *removed == kind).unwrap();
    assert!(position(Listener) < position(Route), "{order:?}");
    assert!(position(Route) < position(Cluster), "{order:?}");
    assert!(position(Cluster) < position(Endpoints), "{order:?}");
    assert!(session.settled());
}

#[test]
fn a_name_that_does_not_exist_is_said_to_be_removed_once_and_again_after_it_existed() {
    let mut session = started(&world(&["a"], &["a"]));
    session.take(ask_delta(Listener, &["nowhere"], &[], "", ""));
    assert_eq!(session.drain(), vec![], "not before it was looked for");
    session.update(&world(&["a"], &["a"]));
    let said = session.drain();
    assert!(said.len() == 1 && said[0].is(Listener, &[], &["nowhere"]), "{said:?}");
    acknowledge(&mut session, &said[0]);
    assert!(session.drain().is_empty() && session.settled());
    let there = |name: &str| {
        set(service("a").into_iter().chain([
            listener("reviews", "r"),
            listener(name, "r"),
            route("r", &["a"]),
            tcp("inbound/127.0.0.1:1", 1, "a"),
        ]))
    };
    session.update(&there("nowhere"));
    let said = session.drain();
    assert!(said.len() == 1 && said[0].is(Listener, &["nowhere"], &[]), "{said:?}");
    acknowledge(&mut session, &said[0]);
    session.update(&world(&["a"], &["a"]));
    let said = session.drain();
    assert!(said.len() == 1 && said[0].is(Listener, &[], &["nowhere"]), "{said:?}");
}

#[test]
fn asking_again_is_answered_again() {
    let mut session = started(&world(&["a"], &["a"]));
    session.take(ask_delta(Route, &["r"], &[], "", ""));
    let said = session.drain();
    assert!(said.len() == 1 && said[0].is(Route, &["r"], &[]), "{said:?}");
    // And while the answer is under way.
    session.take(ask_delta(Route, &["r"], &[], "", ""));
    acknowledge(&mut session, &said[0]);
    let said = session.drain();
    assert!(said.len() == 1 && said[0].is(Route, &["r"], &[]), "{said:?}");
}

#[test]
fn what_is_given_back_is_not_sent_any_more() {
    let mut session = started(&world(&["a"], &["a"]));
    let events = session.take(ask_delta(Route, &[], &["r"], "", ""));
    assert_eq!(events, vec![ServerEvent::Subscribed { kind: Route }]);
    session.update(&world(&["a"], &["a", "a"]));
    assert_eq!(session.drain(), vec![]);
}

#[test]
fn a_listener_name_given_back_is_removed_when_it_is_no_longer_meant_for_the_node() {
    let mut session = started(&world(&["a"], &["a"]));
    session.take(ask_delta(Listener, &[], &["reviews"], "", ""));
    assert_eq!(session.drain(), vec![], "`*` still stands: what it means now is said by the next update");
    session.update(&set(service("a")
        .into_iter()
        .chain([route("r", &["a"]), tcp("inbound/127.0.0.1:1", 1, "a")])));
    let said = session.drain();
    assert!(said.len() == 1 && said[0].is(Listener, &[], &["reviews"]), "{said:?}");
}

#[test]
fn a_reconnected_client_gets_only_what_it_does_not_have() {
    let old = world(&["a"], &["a"]);
    let now = world(&["a"], &["a", "a"]);
    let mut session = ServerSession::delta();
    session.update(&now);
    for (kind, names) in
        [(Cluster, &["*"][..]), (Endpoints, &["a"]), (Listener, &["*", "reviews"]), (Route, &["r"])]
    {
        let versions =
            old.of(kind).map(|(name, encoded)| (name.to_owned(), encoded.version.to_string())).collect();
        session.take(DeltaDiscoveryRequest {
            initial_resource_versions: versions,
            ..ask_delta(kind, names, &[], "", "")
        });
    }
    session.update(&now);
    let said = session.drain();
    let resent: Vec<_> = said.iter().filter(|said| !said.names.is_empty()).collect();
    assert!(resent.len() == 1 && resent[0].is(Route, &["r"], &[]), "{said:?}");
    assert!(said.iter().all(|said| said.removed.is_empty()));
    said.iter().for_each(|said| drop(acknowledge(&mut session, said)));
    assert!(session.drain().is_empty() && session.settled());
}

#[test]
fn what_disappeared_while_it_was_away_goes_in_order() {
    let old = world(&["a"], &["a"]);
    let now = world(&["b"], &["b"]);
    let mut session = ServerSession::delta();
    for (kind, names) in
        [(Cluster, &["*"][..]), (Endpoints, &["a"]), (Listener, &["*", "reviews"]), (Route, &["r"])]
    {
        let versions =
            old.of(kind).map(|(name, encoded)| (name.to_owned(), encoded.version.to_string())).collect();
        session.take(DeltaDiscoveryRequest {
            initial_resource_versions: versions,
            ..ask_delta(kind, names, &[], "", "")
        });
    }
    session.update(&now);
    let mut gone = None;
    let mut routed = None;
    for step in 0.. {
        let said = session.drain();
        if said.is_empty() {
            break;
        }
        for said in said {
            if said.kind == Cluster && said.removed == ["a"] {
                gone = Some(step);
            }
            if said.is(Route, &["r"], &[]) {
                routed = Some(step);
            }
            acknowledge(&mut session, &said);
        }
    }
    assert!(routed.unwrap() < gone.unwrap(), "the cluster left before the route to it did");
}

#[test]
fn siblings_of_a_refused_resource_count() {
    let mut session = ServerSession::delta();
    session.take(ask_delta(Cluster, &[], &[], "", ""));
    session.update(&set([cluster("a", 0), cluster("a:80", 0), cluster("a:8080", 0)]));
    let said = session.drain().remove(0);
    let events = session.take(ask_delta(Cluster, &[], &[], &said.nonce, "a:80: connect_timeout: too short"));
    assert!(
        matches!(&events[0], ServerEvent::Nacked { resources, .. } if resources == &["a:80"]),
        "{events:?}"
    );
    assert!(matches!(&events[1], ServerEvent::Acked { resources, .. } if resources.len() == 2));
    assert_eq!(session.drain(), vec![]);
    // The text is kept with the resource until it is mended.
    let refused: Vec<_> = session.status().into_iter().filter(|status| status.nack.is_some()).collect();
    assert_eq!(refused.len(), 1);
    session.update(&set([cluster("a", 0), cluster("a:80", 1), cluster("a:8080", 0)]));
    let said = session.drain();
    assert!(said.len() == 1 && said[0].is(Cluster, &["a:80"], &[]), "{said:?}");
    acknowledge(&mut session, &said[0]);
    assert!(session.status().iter().all(|status| status.nack.is_none()));
}

#[test]
fn a_refusal_that_names_nothing_refuses_everything() {
    let mut session = ServerSession::delta();
    session.take(ask_delta(Cluster, &["*"], &[], "", ""));
    session.update(&set([cluster("a", 0), cluster("b", 0)]));
    let said = session.drain().remove(0);
    let events = session.take(ask_delta(Cluster, &[], &[], &said.nonce, "out of memory"));
    assert!(
        matches!(&events[..], [ServerEvent::Nacked { resources, .. }] if resources.len() == 2),
        "{events:?}"
    );
}

#[test]
fn large_sets_come_in_pieces() {
    let many = || (0..40_000).map(|index| cluster(&format!("outbound/default/service-{index:05}:80"), 0));
    let mut session = ServerSession::delta();
    session.take(ask_delta(Cluster, &["*"], &[], "", ""));
    session.update(&set(many()));
    let (mut pieces, mut names) = (0, 0);
    while let [said] = &session.drain()[..] {
        pieces += 1;
        names += said.names.len();
        acknowledge(&mut session, said);
    }
    assert!(pieces > 1 && names == 40_000, "{pieces} {names}");
}

#[test]
fn an_incremental_envoy_is_warmed_up_too() {
    let mut session = ServerSession::delta();
    let first = DeltaDiscoveryRequest {
        node: ask(Cluster, &[], "", "").node,
        ..ask_delta(Cluster, &[], &[], "", "")
    };
    session.take(first);
    session.update(&set([cluster("a", 0), endpoints("a", 1)]));
    let said = session.drain().remove(0);
    session.take(ask_delta(Endpoints, &["a"], &[], "", ""));
    acknowledge(&mut session, &said);
    let said = session.drain().remove(0);
    acknowledge(&mut session, &said);
    session.update(&set([cluster("a", 1), endpoints("a", 1)]));
    let said = session.drain();
    assert!(said[0].is(Cluster, &["a"], &[]) && said[1].is(Endpoints, &["a"], &[]), "{said:?}");
}
