#![allow(clippy::unwrap_used)]

use super::*;
use crate::node::Target;
use crate::{DirectResponse, Locality, TokenBucket};

fn node(namespace: &str, account: &str, label: Option<(&str, &str)>) -> Node {
    Node {
        id: "n".to_owned(),
        target: Target::Weir,
        namespace: namespace.to_owned(),
        service: String::new(),
        service_account: account.to_owned(),
        labels: label.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        locality: Locality::default(),
        outbound: None,
        outbound_tcp: BTreeMap::new(),
        inbound: Vec::new(),
        upstreams: BTreeSet::new(),
        uses: BTreeSet::new(),
        sampling: None,
        access_log: false,
    }
}

fn caller() -> Caller {
    Caller {
        namespaces: ["shop".to_owned(), "books".to_owned()].into(),
        service_accounts: [Name::new("shop", "cart")].into(),
        labels: [("tier".to_owned(), "beta".to_owned())].into(),
    }
}

#[test]
fn a_caller_has_every_trait_and_a_stranger_is_told_the_first_that_differs() {
    let beta = Some(("tier", "beta"));
    assert_eq!(caller().admit(&node("shop", "cart", beta)), Ok(()));
    let why = |node: &Node| {
        let Stranger { field, reason } = caller().admit(node).unwrap_err();
        format!("{field}: {reason}")
    };
    assert_eq!(why(&node("a", "cart", beta)), "namespaces: namespace books, shop; this one runs in a");
    assert_eq!(
        why(&node("books", "cart", beta)),
        "serviceAccounts: service account shop/cart; this one runs as books/cart"
    );
    assert_eq!(
        why(&node("shop", "cart", Some(("tier", "x")))),
        "labels: label tier=beta; this one has tier=x"
    );
    assert_eq!(why(&node("shop", "cart", None)), "labels: label tier=beta; this one has no such label");
    assert_eq!(Caller::default().admit(&node("a", "b", None)), Ok(()), "who asks for nothing gets everybody");
}

#[test]
fn one_of_several_callers_is_enough_and_all_filters_of_a_rule_must_agree() {
    let only = |namespace: &str| RouteFilter {
        callers: vec![
            Caller { namespaces: [namespace.to_owned()].into(), ..Caller::default() },
            Caller { service_accounts: [Name::new("c", "c")].into(), ..Caller::default() },
        ],
        ..RouteFilter::default()
    };
    let (a, b) = (Name::new("x", "a"), Name::new("x", "b"));
    let mesh =
        Mesh { route_filters: [(a.clone(), only("a")), (b.clone(), only("b"))].into(), ..Mesh::default() };
    let rule = |extensions: &[&Name]| HttpFilters {
        extensions: extensions.iter().map(|name| (*name).clone()).collect(),
        ..HttpFilters::default()
    };
    assert!(mesh.admit(&rule(&[&a]), &node("a", "z", None)).is_ok());
    assert!(mesh.admit(&rule(&[&a, &b]), &node("c", "c", None)).is_ok());
    let both = rule(&[&a, &b]);
    let (by, why) = mesh.admit(&both, &node("a", "z", None)).unwrap_err();
    assert_eq!((by, why.field), (&b, "namespaces"));
    assert!(mesh.is_for_some(&rule(&[&a])) && !mesh.is_for_some(&rule(&[])));
}

#[test]
fn what_several_filters_say_is_put_together_and_what_is_missing_is_named() {
    let answer = StaticAnswer {
        response: DirectResponse { status: http::StatusCode::OK, body: String::new() },
        content_type: None,
    };
    let bucket = TokenBucket { burst: 1, requests: 1, interval: std::time::Duration::from_secs(1) };
    let limits = RateLimits { all: Some(bucket), ..RateLimits::default() };
    let one = RouteFilter { answer: Some(answer.clone()), ..RouteFilter::default() };
    let two = RouteFilter {
        limits: AdmissionPolicy { caller: Some(limits.clone()), ..AdmissionPolicy::default() },
        priority: Some(Priority::High),
        ..RouteFilter::default()
    };
    let (a, b) = (Name::new("x", "a"), Name::new("x", "b"));
    let mesh = Mesh { route_filters: [(a.clone(), one), (b.clone(), two)].into(), ..Mesh::default() };
    let rule = |extensions: Vec<Name>| HttpFilters { extensions, ..HttpFilters::default() };
    let said = mesh.extension(&rule(vec![a.clone(), b])).unwrap().unwrap();
    assert_eq!(
        (said.answer, said.limits.caller, said.priority),
        (Some(answer), Some(limits), Some(Priority::High))
    );
    assert_eq!(mesh.extension(&rule(vec![])), Ok(None));
    let missing = Name::new("x", "c");
    assert_eq!(mesh.extension(&rule(vec![a, missing.clone()])), Err(missing));
}
