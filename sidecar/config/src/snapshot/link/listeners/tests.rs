use super::*;
use crate::samples::{cluster, endpoints, inbound, tcp};
use crate::snapshot::{NameLookup, Snapshot};
use weir_model::{ChainMatch, FilterChain, Inspect, TcpTarget, Time};

fn named(names: &[&str]) -> ChainMatch {
    ChainMatch {
        server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..ChainMatch::default()
    }
}

fn chains(of: Vec<(ChainMatch, ChainKind)>, otherwise: Option<ChainKind>) -> Resource {
    let Resource::Listener(listener) = tcp(9001, "v1") else { unreachable!() };
    let wait = std::time::Duration::from_secs(1);
    let inspect = Some(Inspect { tls: true, http: false, wait, go_on: false });
    let chain = |(matches, kind)| FilterChain { name: String::new(), matches, kind };
    let chains = of.into_iter().map(chain).collect();
    let kind = Model::Chains(Box::new(FilterChains { inspect, chains, otherwise }));
    Resource::Listener(weir_model::Listener { kind, ..listener })
}

fn http() -> ChainKind {
    let Resource::Listener(listener) = inbound(1, &["v1"]) else { unreachable!() };
    let Model::Http(http) = listener.kind else { unreachable!() };
    ChainKind::Http(Box::new(http))
}

fn bytes() -> ChainKind {
    ChainKind::Tcp(TcpListener::to("v1"))
}

fn link(linker: &mut Linker, listener: &Resource) -> Snapshot {
    let mut set = ResourceSet::default();
    for resource in [endpoints("v1", &[1]), cluster("v1", "v1"), listener.clone()] {
        linker.prepare(resource.version(), &resource).unwrap();
        set.insert(resource);
    }
    linker.link(&set, []).unwrap()
}

fn linked(snapshot: &Snapshot) -> &Chains {
    match &snapshot.listeners[0].kind {
        ListenerKind::Chains(chains) => chains,
        other => panic!("{other:?}"),
    }
}

fn id_of(chains: &Chains, server_name: &str) -> Option<u64> {
    let facts = chain::Facts {
        destination: "127.0.0.1:9001".parse().unwrap(),
        source: "127.0.0.1:1".parse().unwrap(),
        server_name,
        transport: "tls",
        protocols: &[],
    };
    chains.find(&facts).map(|(id, _)| id)
}

#[test]
fn chains_are_found_and_keep_their_identity_wherever_they_stand() {
    let mut linker = Linker::new(1);
    let (a, b) = ((named(&["a"]), bytes()), (named(&["*.b"]), http()));
    let before = link(&mut linker, &chains(vec![a.clone(), b.clone()], None));
    let after = link(&mut linker, &chains(vec![b, a], Some(http())));
    let (one, other) = (linked(&before), linked(&after));
    for name in ["a", "x.b"] {
        assert!(id_of(one, name).is_some() && id_of(one, name) == id_of(other, name), "{name}");
    }
    assert_eq!(id_of(one, "c"), None);
    let rest = id_of(other, "c").unwrap();
    assert!(matches!(other.by_id(rest), Some(ListenerKind::Http { .. })));
    assert!(one.by_id(rest).is_none(), "what is not there any more is nothing");
    assert!(matches!(one.by_id(id_of(one, "a").unwrap()), Some(ListenerKind::Tcp(_))));
}

#[test]
fn routes_of_chains_live_as_long_as_their_chains() {
    let mut linker = Linker::new(1);
    let both = chains(vec![(named(&["a"]), http())], Some(http()));
    link(&mut linker, &both);
    let count = |linker: &Linker| linker.routes.len();
    assert_eq!(count(&linker), 2);
    let kept = linker.routes.values().next().unwrap().1.clone();
    let again = link(&mut linker, &both);
    assert!(
        linked(&again).kinds().count() == 2 && Arc::ptr_eq(&kept, &linker.routes.values().next().unwrap().1)
    );
    link(&mut linker, &chains(vec![(named(&["a"]), bytes())], Some(http())));
    assert_eq!(count(&linker), 1);
    link(&mut linker, &tcp(9001, "v1"));
    assert_eq!(count(&linker), 0);
    // What was prepared and never linked is given up with its listener.
    linker.prepare(both.version(), &both).unwrap();
    assert!(!linker.prepared.is_empty());
    linker.forget(ResourceType::Listener, both.name());
    assert!(linker.prepared.is_empty());
}

#[test]
fn what_cannot_be_served_is_refused_at_its_field() {
    let refused =
        |resource: &Resource| Linker::new(1).prepare(resource.version(), resource).unwrap_err().field;
    let same = chains(vec![(named(&["a", "b"]), bytes()), (named(&["b"]), bytes())], None);
    assert_eq!(refused(&same), "filter_chains[1].filter_chain_match");
    let Resource::Listener(listener) = same else { unreachable!() };
    assert_eq!(refused(&Resource::Listener(weir_model::Listener { address: None, ..listener })), "address");
    let weights = |weights: &[u32]| {
        let target = |weight: &u32| TcpTarget { cluster: "v1".to_owned(), weight: *weight };
        ChainKind::Tcp(TcpListener { targets: weights.iter().map(target).collect(), ..TcpListener::to("") })
    };
    let of = |kind| chains(vec![(named(&["a"]), kind)], None);
    assert_eq!(refused(&of(weights(&[]))), "filter_chains[0].weighted_clusters");
    assert_eq!(refused(&of(weights(&[u32::MAX, 1]))), "filter_chains[0].weighted_clusters");
    let otherwise = chains(vec![], Some(weights(&[0])));
    assert_eq!(refused(&otherwise), "default_filter_chain.weighted_clusters");
}

#[test]
fn a_name_may_stand_for_bytes() {
    let Resource::Listener(listener) = tcp(9001, "v1") else { unreachable!() };
    let (name, address) = ("db:5432".to_owned(), None);
    let named = Resource::Listener(weir_model::Listener { name, address, ..listener });
    let snapshot = link(&mut Linker::new(1), &named);
    assert!(snapshot.listeners.is_empty());
    match snapshot.name("DB:5432", Time(0)) {
        NameLookup::Bytes(tcp) => assert_eq!(snapshot.clusters[tcp.targets[0]].model.name, "v1"),
        other => panic!("{other:?}"),
    }
}
