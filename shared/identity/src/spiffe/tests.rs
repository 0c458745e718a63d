use super::*;
use proptest::prelude::*;

#[test]
fn names_that_the_specification_allows() {
    for text in [
        "spiffe://example.org/ns/default/sa/web",
        "spiffe://trust_domain-1.x/A.b-c_9",
        "spiffe://10.2.3.4/path",
        "spiffe://td/...",
    ] {
        let id: SpiffeId = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(id.to_string(), text);
    }
}

#[test]
fn names_that_it_does_not() {
    let long = format!("spiffe://td/{}", "a".repeat(2048));
    let domain = format!("spiffe://{}/a", "a".repeat(256));
    for text in [
        "",
        "spiffe:/td/a",
        "http://td/a",
        "SPIFFE://td/a",
        "spiffe://td",
        "spiffe:///a",
        "spiffe://td/",
        "spiffe://td/a/",
        "spiffe://td//a",
        "spiffe://td/./a",
        "spiffe://td/a/..",
        "spiffe://TD/a",
        "spiffe://td:80/a",
        "spiffe://user@td/a",
        "spiffe://td/a?q",
        "spiffe://td/a#f",
        "spiffe://td/a%62",
        "spiffe://tð/a",
        "spiffe://td/ä",
        "spiffe://td/a\0",
        "spiffe://td/a b",
        &long,
        &domain,
    ] {
        assert!(text.parse::<SpiffeId>().is_err(), "{text:?} was taken");
    }
}

#[test]
fn a_workload_is_named_by_its_service_account() {
    let domain: TrustDomain = "example.org".parse().unwrap();
    let account: ServiceAccount = "shop/cart".parse().unwrap();
    let id = SpiffeId::workload(&domain, &account);
    assert_eq!(id.to_string(), "spiffe://example.org/ns/shop/sa/cart");
    assert_eq!(id.service_account(), Some(account));
    assert_eq!(id.as_operator(), None);
    for other in ["/ns/shop/sa/cart/x", "/ns/shop/sa", "/ns/shop/user/cart", "/ns/Shop/sa/cart", "/x"] {
        let id: SpiffeId = format!("spiffe://example.org{other}").parse().unwrap();
        assert_eq!(id.service_account(), None, "{other}");
    }
}

#[test]
fn accounts_are_kubernetes_names() {
    for text in ["a/b/c", "a", "/b", "a/", "A/b", "a.b/c", "-a/b", "a/b-", "a/b..c", "a/b c", "a/b%2f"] {
        assert!(text.parse::<ServiceAccount>().is_err(), "{text:?} was taken");
    }
    assert_eq!("a/b.c-d".parse::<ServiceAccount>().unwrap().to_string(), "a/b.c-d");
}

#[test]
fn an_operators_name_says_its_role() {
    let domain: TrustDomain = "td".parse().unwrap();
    let id = SpiffeId::operator(&domain, Role::Editor, "alice").unwrap();
    assert_eq!(id.to_string(), "spiffe://td/operator/editor/alice");
    assert_eq!(id.as_operator(), Some((Role::Editor, "alice")));
    assert_eq!(id.service_account(), None);
    assert!(SpiffeId::operator(&domain, Role::Viewer, "x/../admin").is_err());
    assert!(SpiffeId::operator(&domain, Role::Viewer, "").is_err());
    assert_eq!("spiffe://td/operator/root/alice".parse::<SpiffeId>().unwrap().as_operator(), None);
}

#[test]
fn nobody_but_the_control_plane_has_its_name() {
    let domain: TrustDomain = "td".parse().unwrap();
    assert!(SpiffeId::control_plane(&domain).is_control_plane());
    assert_eq!(SpiffeId::control_plane(&domain).service_account(), None);
    assert_eq!(SpiffeId::control_plane(&domain).as_operator(), None);
}

proptest! {
    #[test]
    fn what_is_taken_is_written_as_it_was_read(text in "\\PC{0,40}") {
        for text in [text.clone(), format!("spiffe://{text}"), format!("spiffe://td/{text}")] {
            if let Ok(id) = text.parse::<SpiffeId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn every_service_account_has_a_name_of_its_own(namespace in "[a-z0-9-]{1,8}", name in "[a-z0-9.-]{1,8}") {
        let domain: TrustDomain = "td".parse().unwrap();
        if let Ok(account) = ServiceAccount::new(&namespace, &name) {
            let id: SpiffeId = SpiffeId::workload(&domain, &account).to_string().parse().unwrap();
            prop_assert_eq!(id.service_account(), Some(account));
        }
    }
}
