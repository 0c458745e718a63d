//! The order in which grpcio asks, state of the world and by name only: LDS → RDS → CDS → EDS. What it does not ask for is not waited for.

use super::*;

fn world(clusters: &[&str], routed: &[&str]) -> EncodedSet {
    set(clusters
        .iter()
        .flat_map(|name| service(name))
        .chain([listener("reviews:80", "r"), route("r", routed)]))
}

fn one(session: &mut ServerSession, kind: ResourceType, names: &[&str]) -> String {
    let said = session.drain();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].is(kind, names, &[]), "{said:?}");
    said[0].nonce.clone()
}

/// A gRPC client up to date with `reviews:80 → r → a`.
fn started() -> ServerSession {
    let mut session = ServerSession::sotw();
    session.update(&set([]));
    session.take(ask(Listener, &["reviews:80"], "", ""));
    assert_eq!(session.uses().iter().collect::<Vec<_>>(), ["reviews:80"]);
    assert_eq!(session.drain(), vec![], "whether it exists is known only when it was compiled for");
    session.update(&world(&["a"], &["a"]));
    let nonce = one(&mut session, Listener, &["reviews:80"]);
    session.take(ask(Listener, &["reviews:80"], &nonce, ""));
    session.take(ask(Route, &["r"], "", ""));
    let nonce = one(&mut session, Route, &["r"]);
    session.take(ask(Route, &["r"], &nonce, ""));
    session.take(ask(Cluster, &["a"], "", ""));
    let nonce = one(&mut session, Cluster, &["a"]);
    session.take(ask(Cluster, &["a"], &nonce, ""));
    session.take(ask(Endpoints, &["a"], "", ""));
    let nonce = one(&mut session, Endpoints, &["a"]);
    session.take(ask(Endpoints, &["a"], &nonce, ""));
    assert!(session.drain().is_empty() && session.settled());
    session
}

#[test]
fn it_starts() {
    started();
}

#[test]
fn it_is_led_from_the_new_route_to_the_new_cluster() {
    let mut session = started();
    session.update(&world(&["a", "b"], &["b"]));
    // It did not ask for the new cluster, and will not before it has the route.
    let routes = one(&mut session, Route, &["r"]);
    session.take(ask(Route, &["r"], &routes, ""));
    session.take(ask(Cluster, &["a", "b"], "3", ""));
    let clusters = one(&mut session, Cluster, &["a", "b"]);
    session.take(ask(Cluster, &["a", "b"], &clusters, ""));
    session.take(ask(Endpoints, &["a", "b"], "4", ""));
    let endpoints = one(&mut session, Endpoints, &["b"]);
    session.take(ask(Endpoints, &["a", "b"], &endpoints, ""));
    // It gives the old one back itself; that needs no answer.
    session.take(ask(Endpoints, &["b"], &endpoints, ""));
    session.take(ask(Cluster, &["b"], &clusters, ""));
    assert!(session.drain().is_empty() && session.settled());
}

#[test]
fn a_removed_cluster_outlives_the_route_to_it() {
    let mut session = started();
    session.update(&world(&["b"], &["b"]));
    let routes = one(&mut session, Route, &["r"]);
    session.take(ask(Route, &["r"], &routes, ""));
    let clusters = one(&mut session, Cluster, &[]);
    session.take(ask(Cluster, &["a", "b"], &clusters, ""));
    one(&mut session, Cluster, &["b"]);
}

#[test]
fn a_name_that_does_not_exist_is_answered_by_an_empty_list_after_it_was_looked_for() {
    let mut session = started();
    session.take(ask(Listener, &["reviews:80", "nowhere"], "1", ""));
    assert_eq!(session.drain(), vec![]);
    session.update(&world(&["a"], &["a"]));
    let nonce = one(&mut session, Listener, &["reviews:80"]);
    session.take(ask(Listener, &["reviews:80", "nowhere"], &nonce, ""));
    assert!(session.drain().is_empty() && session.settled());
    // Later it exists.
    session.update(&set(service("a").into_iter().chain([
        listener("reviews:80", "r"),
        listener("nowhere", "r"),
        route("r", &["a"]),
    ])));
    one(&mut session, Listener, &["nowhere", "reviews:80"]);
}

#[test]
fn a_name_given_back_and_asked_for_again_is_sent_again() {
    let mut session = started();
    session.take(ask(Endpoints, &[], "4", ""));
    assert_eq!(session.drain(), vec![]);
    session.take(ask(Endpoints, &["a"], "4", ""));
    one(&mut session, Endpoints, &["a"]);
}

#[test]
fn saying_nothing_after_names_is_giving_them_back_and_not_asking_for_everything() {
    let mut session = started();
    session.take(ask(Listener, &[], "1", ""));
    session.update(&set([listener("other", "r")]));
    let said = session.drain();
    assert!(said.iter().all(|said| said.kind != Listener), "{said:?}");
    assert!(session.uses().is_empty());
}
