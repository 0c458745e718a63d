//! What a refusal holds back, and what it does not.

use super::*;

fn kinds(said: &[Said]) -> Vec<ResourceType> {
    said.iter().map(|said| said.kind).collect()
}

fn refused(session: &ServerSession) -> Vec<String> {
    let refused = session.status().into_iter().filter(|status| status.nack.is_some());
    refused.map(|status| status.name).collect()
}

fn world(clusters: &[&str], routed: &[&str]) -> EncodedSet {
    set(clusters.iter().flat_map(|name| service(name)).chain([listener("l", "r"), route("r", routed)]))
}

/// Answers one response of an Envoy that names what it wants.
fn answer(session: &mut ServerSession, said: &Said, names: &[&str], refusal: &str) {
    session.take(ask(said.kind, names, &said.nonce, refusal));
}

#[test]
fn one_bad_resource_is_found_among_many() {
    let mut session = ServerSession::delta();
    session.take(ask_delta(Cluster, &["*"], &[], "", ""));
    session.update(&set(["a", "b", "c"].map(|name| cluster(name, 0))));
    let mut next = |names: &[&str], refusal: &str| {
        let [said] = &session.drain()[..] else { panic!("{names:?}") };
        assert!(said.is(Cluster, names, &[]), "{said:?}");
        session.take(ask_delta(Cluster, &[], &[], &said.nonce, refusal));
        refused(&session)
    };
    assert!(next(&["a", "b", "c"], "something is wrong").is_empty());
    assert!(next(&["a"], "").is_empty());
    assert_eq!(next(&["b"], "something is wrong"), ["b"]);
    assert_eq!(next(&["c"], ""), ["b"]);
    assert_eq!(session.drain(), vec![]);
    assert!(session.settled());
}

#[test]
fn one_bad_cluster_is_found_though_the_list_must_be_complete() {
    let mut session = ServerSession::sotw();
    session.take(ask(Cluster, &[], "", ""));
    session.update(&set(["a", "b", "c"].map(|name| cluster(name, 0))));
    let rounds = [(&["a", "b", "c"][..], "no"), (&["a"], ""), (&["a", "b"], "no"), (&["a", "c"], "")];
    for (names, refusal) in rounds {
        let [said] = &session.drain()[..] else { panic!("{names:?}") };
        assert!(said.is(Cluster, names, &[]), "{said:?}");
        answer(&mut session, said, &[], refusal);
    }
    assert_eq!(session.drain(), vec![]);
    assert_eq!(refused(&session), ["b"]);
}

#[test]
fn what_cannot_be_told_apart_is_offered_again_when_any_of_it_has_changed() {
    let mut session = ServerSession::sotw();
    let brought = DiscoveryRequest { version_info: "old".to_owned(), ..ask(Cluster, &[], "", "") };
    session.take(brought);
    session.update(&set([cluster("a", 0), cluster("b", 0)]));
    let said = session.drain().remove(0);
    answer(&mut session, &said, &[], "no");
    assert_eq!(session.drain(), vec![], "leaving one out would take an earlier one away");
    assert_eq!(refused(&session), ["a", "b"]);
    session.update(&set([cluster("a", 0)]));
    let said = session.drain().remove(0);
    assert!(said.is(Cluster, &["a"], &[]), "{said:?}");
    answer(&mut session, &said, &[], "");
    assert_eq!(session.drain(), vec![]);
    assert!(refused(&session).is_empty() && session.settled());
}

#[test]
fn what_was_refused_and_is_not_wanted_any_more_goes_in_its_earlier_version_too() {
    let mut session = ServerSession::sotw();
    let brought = DiscoveryRequest { version_info: "old".to_owned(), ..ask(Cluster, &[], "", "") };
    session.take(brought);
    session.update(&set([cluster("a", 0), cluster("b", 0)]));
    let said = session.drain().remove(0);
    answer(&mut session, &said, &[], "b: no");
    assert_eq!(refused(&session), ["b"]);
    session.update(&set([cluster("a", 0)]));
    let said = session.drain().remove(0);
    assert!(said.is(Cluster, &["a"], &[]), "{said:?}");
    answer(&mut session, &said, &[], "");
    assert_eq!(session.drain(), vec![]);
    assert!(refused(&session).is_empty() && session.settled());
}

#[test]
fn what_was_to_go_with_a_refused_response_goes_after_it() {
    let mut session = ServerSession::delta();
    session.take(ask_delta(Cluster, &["*"], &[], "", ""));
    session.update(&set([cluster("a", 0)]));
    let said = session.drain().remove(0);
    session.take(ask_delta(Cluster, &[], &[], &said.nonce, ""));
    session.update(&set([cluster("b", 0)]));
    let said = session.drain().remove(0);
    assert!(said.is(Cluster, &["b"], &["a"]), "{said:?}");
    session.take(ask_delta(Cluster, &[], &[], &said.nonce, "no"));
    let said = session.drain().remove(0);
    assert!(said.is(Cluster, &[], &["a"]), "{said:?}");
}

#[test]
fn a_route_in_force_is_not_replaced_by_one_to_a_refused_cluster() {
    let mut session = ServerSession::sotw();
    session.update(&world(&["a"], &["a"]));
    for (kind, names) in [(Cluster, &[][..]), (Endpoints, &["a"]), (Listener, &[]), (Route, &["r"])] {
        session.take(ask(kind, names, "", ""));
    }
    loop {
        let said = session.drain();
        for said in &said {
            let names: &[&str] = match said.kind {
                Endpoints => &["a"],
                Route => &["r"],
                Cluster | Listener => &[],
            };
            answer(&mut session, said, names, "");
        }
        if said.is_empty() {
            break;
        }
    }
    session.update(&world(&["a", "b"], &["b"]));
    let said = session.drain();
    assert_eq!(kinds(&said), [Cluster]);
    answer(&mut session, &said[0], &[], "b: no");
    assert_eq!(session.drain(), vec![], "the route to a stays");
    // The cluster is mended.
    let mended = [cluster("a", 0), endpoints("a", 80), cluster("b", 1), endpoints("b", 80)];
    session.update(&set(mended.into_iter().chain([listener("l", "r"), route("r", &["b"])])));
    let said = session.drain();
    assert!(said[0].is(Cluster, &["a", "b"], &[]), "{said:?}");
    session.take(ask(Endpoints, &["a", "b"], "", ""));
    answer(&mut session, &said[0], &[], "");
    let said = session.drain();
    assert!(said[0].is(Endpoints, &["b"], &[]), "{said:?}");
    answer(&mut session, &said[0], &["a", "b"], "");
    assert_eq!(kinds(&session.drain()), [Route]);
}

#[test]
fn a_reconnected_envoy_keeps_its_clusters_until_its_routes_are_replaced() {
    let mut session = ServerSession::sotw();
    session.update(&world(&["a", "b"], &["b"]));
    for (kind, names) in [(Cluster, &[][..]), (Endpoints, &["a", "b"]), (Listener, &[]), (Route, &["r"])] {
        let brought = DiscoveryRequest { version_info: "old".to_owned(), ..ask(kind, names, "", "") };
        session.take(brought);
    }
    let said = session.drain();
    assert_eq!(kinds(&said), [Cluster, Endpoints, Listener]);
    // Its routes have not been replaced yet, and may well lead to b.
    session.update(&world(&["a"], &["a"]));
    answer(&mut session, &said[0], &[], "");
    answer(&mut session, &said[2], &[], "");
    assert_eq!(session.drain(), vec![], "a is not warm");
    answer(&mut session, &said[1], &["a", "b"], "");
    let said = session.drain();
    assert_eq!(kinds(&said), [Route]);
    answer(&mut session, &said[0], &["r"], "");
    let said = session.drain();
    assert!(said[0].is(Cluster, &["a"], &[]), "{said:?}");
}

#[test]
fn an_incremental_client_learns_that_its_refusal_is_over() {
    let mut session = ServerSession::delta();
    session.take(ask_delta(Cluster, &["*"], &[], "", ""));
    let mut next = |world: &EncodedSet, names: &[&str], removed: &[&str], refusal: &str| {
        session.update(world);
        let [said] = &session.drain()[..] else { panic!("{names:?}") };
        assert!(said.is(Cluster, names, removed), "{said:?}");
        session.take(ask_delta(Cluster, &[], &[], &said.nonce, refusal));
        refused(&session)
    };
    let good = set([cluster("a", 0)]);
    assert!(next(&good, &["a"], &[], "").is_empty());
    assert_eq!(next(&set([cluster("a", 1)]), &["a"], &[], "a: no"), ["a"]);
    assert!(next(&good, &["a"], &[], "").is_empty(), "what it has, once more");
    assert_eq!(next(&set([cluster("a", 0), cluster("b", 0)]), &["b"], &[], "b: no"), ["b"]);
    assert!(next(&good, &[], &["b"], "").is_empty(), "what it never had");
    assert_eq!(session.drain(), vec![]);
    assert!(session.settled());
}
