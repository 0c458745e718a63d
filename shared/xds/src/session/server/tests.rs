use super::*;
use crate::session::testing::*;
use weir_model::ResourceType::{Cluster, Endpoints, Listener, Route};

mod delta;
mod envoy;
mod grpc;
mod refusal;

#[test]
fn the_first_event_is_who_it_is() {
    let mut session = ServerSession::sotw();
    let events = session.take(ask(Cluster, &[], "", ""));
    assert_eq!(events[0], ServerEvent::Identified(node(Target::Envoy)));
    assert_eq!(events[1], ServerEvent::Subscribed { kind: Cluster });
    assert_eq!(session.take(ask(Cluster, &[], "", "")), vec![]);
    assert_eq!(session.node().unwrap().id, "node-1");
}

#[test]
fn a_stream_without_node_or_of_the_other_protocol_is_closed() {
    let mut session = ServerSession::sotw();
    let anonymous = DiscoveryRequest { node: None, ..ask(Cluster, &[], "", "") };
    assert_eq!(session.receive(anonymous), Err(SessionError::NodeMissing));
    let error = session.receive(ask_delta(Cluster, &[], &[], "", "")).unwrap_err();
    assert_eq!(error, SessionError::WrongProtocol(Protocol::Delta));
    let mut nameless = ask(Cluster, &[], "", "");
    nameless.node.as_mut().unwrap().id.clear();
    let error = session.receive(nameless).unwrap_err();
    assert!(error.to_string().starts_with("node.id: "), "{error}");
}

#[test]
fn foreign_types_are_ignored() {
    let mut session = ServerSession::sotw();
    session.update(&set([]));
    let secrets =
        DiscoveryRequest { type_url: "type.googleapis.com/x.Secret".to_owned(), ..ask(Cluster, &[], "", "") };
    let events = session.take(secrets);
    assert_eq!(events[1], ServerEvent::Ignored { type_url: "type.googleapis.com/x.Secret".to_owned() });
    assert_eq!(session.drain(), vec![]);
}

#[test]
fn nothing_is_sent_before_it_is_known_what() {
    let mut session = ServerSession::delta();
    session.take(ask_delta(Cluster, &["*"], &[], "", ""));
    assert_eq!(session.drain(), vec![]);
    session.update(&set([]));
    // A client that asked for everything must learn that there is nothing, or it waits.
    let [said] = &session.drain()[..] else { panic!() };
    assert!(said.is(Cluster, &[], &[]));
    assert!(!session.settled());
    session.take(ask_delta(Cluster, &[], &[], &said.nonce, ""));
    assert_eq!(session.drain(), vec![]);
    assert!(session.settled());
}

#[test]
fn subscriptions_are_bounded() {
    let names: Vec<String> = (0..=limits::SUBSCRIPTION_NAMES).map(|index| index.to_string()).collect();
    let many = DiscoveryRequest { resource_names: names, ..ask(Endpoints, &[], "", "") };
    assert_eq!(ServerSession::sotw().receive(many), Err(SessionError::TooManyNames(Endpoints)));
    let long = "x".repeat(limits::NAME_BYTES + 1);
    let error = ServerSession::delta().receive(ask_delta(Route, &[&long], &[], "", ""));
    assert_eq!(error, Err(SessionError::NameTooLong(Route)));
    let versions = (0..=limits::SUBSCRIPTION_NAMES).map(|index| (index.to_string(), String::new())).collect();
    let many =
        DeltaDiscoveryRequest { initial_resource_versions: versions, ..ask_delta(Cluster, &[], &[], "", "") };
    assert_eq!(ServerSession::delta().receive(many), Err(SessionError::TooManyNames(Cluster)));
}

#[test]
fn refusals_are_cut() {
    let mut session = ServerSession::delta();
    session.take(ask_delta(Endpoints, &["a"], &[], "", ""));
    session.update(&set([endpoints("a", 1)]));
    let nonce = session.drain().remove(0).nonce;
    session.take(ask_delta(Endpoints, &[], &[], &nonce, &"ä".repeat(limits::NACK_TEXT_BYTES)));
    let status = session.status();
    let text = &status[0].nack.as_ref().unwrap().text;
    assert_eq!(text.len(), limits::NACK_TEXT_BYTES);
}

/// In whatever order requests, updates and answers come, everything is delivered in the end.
#[test]
fn every_protocol_settles() {
    let full =
        set([cluster("a", 0), endpoints("a", 1), route("r", &["a"]), listener("l", "r"), tcp("t", 1, "a")]);
    for protocol in [Protocol::Sotw, Protocol::Delta] {
        let mut session = ServerSession::new(protocol);
        session.update(&full);
        for (kind, names) in [(Route, &["r"][..]), (Listener, &["*"]), (Endpoints, &["a"]), (Cluster, &["*"])]
        {
            match protocol {
                Protocol::Sotw => session.take(ask(kind, names, "", "")),
                Protocol::Delta => session.take(ask_delta(kind, names, &[], "", "")),
            };
        }
        let mut order = vec![];
        loop {
            let said = session.drain();
            if said.is_empty() {
                break;
            }
            for said in said {
                order.push(said.kind);
                let names: Vec<&str> = match said.kind {
                    Route => vec!["r"],
                    Endpoints => vec!["a"],
                    Listener | Cluster => vec!["*"],
                };
                match protocol {
                    Protocol::Sotw => session.take(ask(said.kind, &names, &said.nonce, "")),
                    Protocol::Delta => session.take(ask_delta(said.kind, &[], &[], &said.nonce, "")),
                };
            }
        }
        assert!(session.settled());
        assert!(session.status().iter().all(|status| status.acked == status.wanted && status.nack.is_none()));
        let first = |kind| order.iter().position(|sent| *sent == kind).unwrap();
        assert!(first(Cluster) < first(Listener) && first(Endpoints) < first(Route), "{order:?}");
    }
}
