use super::*;

fn root(public: &str, state: State, since: u64) -> Root {
    Root { public: public.to_owned(), certificate: format!("{public}\n"), state, since }
}

fn states(roots: &Roots) -> Vec<(&str, &str)> {
    roots.roots.iter().map(|root| (root.public.as_str(), root.state.as_str())).collect()
}

fn one() -> Roots {
    Roots { trust_domain: "td".to_owned(), roots: vec![root("a", State::Signing, 0)] }
}

#[test]
fn one_root_follows_another_and_one_always_signs() {
    let mut roots = one();
    assert!(roots.activate(10, 100, false).is_err() && roots.retire(10, 100, true).is_err());
    roots.prepare(root("b", State::Next, 100)).unwrap();
    assert_eq!(roots.signing().unwrap().public, "a");
    assert!(roots.prepare(root("c", State::Next, 100)).is_err());
    assert!(roots.activate(10, 109, false).unwrap_err().contains("wait 1 s"));
    roots.activate(10, 110, false).unwrap();
    assert_eq!(states(&roots), [("a", "old"), ("b", "signing")]);
    assert_eq!(roots.pem(), "a\nb\n");
    assert!(roots.retire(20, 129, false).unwrap_err().contains("wait 1 s"));
    roots.retire(20, 130, false).unwrap();
    assert_eq!(states(&roots), [("b", "signing")]);
}

#[test]
fn force_does_not_wait() {
    let mut roots = one();
    roots.prepare(root("b", State::Next, 100)).unwrap();
    roots.activate(1000, 100, true).unwrap();
    roots.retire(1000, 100, true).unwrap();
    assert_eq!(states(&roots), [("b", "signing")]);
}

#[test]
fn roots_do_not_pile_up() {
    let mut roots = one();
    for n in 0..3 {
        roots.prepare(root(&n.to_string(), State::Next, n)).unwrap();
        roots.activate(0, n, false).unwrap();
    }
    assert!(roots.prepare(root("x", State::Next, 9)).is_err());
}

#[test]
fn what_is_kept_is_read_back_whole_or_not_at_all() {
    let mut roots = one();
    roots.prepare(root("b", State::Next, 100)).unwrap();
    assert_eq!(Roots::decode(&roots.encode()), Some(roots));
    for wrong in ["", "{}", "[]", r#"{"trustDomain":"td","roots":[{"public":"a"}]}"#] {
        assert_eq!(Roots::decode(wrong.as_bytes()), None);
    }
}
