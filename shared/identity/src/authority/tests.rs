use super::*;
use crate::testing::{Domain, NOW};
use crate::{Leaf, SigningRequest};

fn request(id: Option<&SpiffeId>) -> SigningRequest {
    SigningRequest::from_der(&PrivateKey::generate().unwrap().request(id).unwrap()).unwrap()
}

#[test]
fn a_leaf_lasts_a_day_and_is_nothing_but_a_leaf() {
    let td = Domain::new("td");
    let id = td.id("shop/cart");
    let request = request(Some(&id));
    let issued = td.authority.issue(&request, &id, LEAF_LIFETIME, NOW).unwrap();
    assert_eq!((issued.not_before, issued.not_after), (NOW - 300, NOW + 86_400));
    let leaf = Leaf::from_der(&issued.chain[0]).unwrap();
    assert_eq!((&leaf.id, leaf.public), (&id, request.public()));
    assert_eq!(issued.chain.len(), 1, "a root is not part of the chain");
}

#[test]
fn two_leaves_never_have_the_same_number() {
    let td = Domain::new("td");
    let (id, request) = (td.id("shop/cart"), request(None));
    let issue = || td.authority.issue(&request, &id, LEAF_LIFETIME, NOW).unwrap();
    let [one, two] = [issue(), issue()].map(|issued| Leaf::from_der(&issued.chain[0]).unwrap());
    assert_ne!(one.serial, two.serial);
}

#[test]
fn nobody_gets_another_name_than_its_own() {
    let td = Domain::new("td");
    let issue = |request, id| td.authority.issue(&request, &id, LEAF_LIFETIME, NOW);
    let error = issue(request(Some(&td.id("shop/admin"))), td.id("shop/cart")).unwrap_err().to_string();
    assert!(error.contains("it asks for spiffe://td/ns/shop/sa/admin"), "{error}");
    let error = issue(request(None), Domain::new("other").id("shop/cart")).unwrap_err().to_string();
    assert!(error.contains("signs for td"), "{error}");
}

#[test]
fn a_leaf_does_not_outlive_its_authority() {
    let td = Domain::new("td");
    let (certificate, key) = td.intermediate();
    let authority = Authority::from_pem(&td.domain, &certificate, key, NOW).unwrap();
    assert!(!authority.is_root() && authority.as_bundle().is_err());
    let issued = authority.issue(&request(None), &td.id("a/b"), LEAF_LIFETIME, NOW).unwrap();
    assert_eq!(issued.not_after, NOW + 7200);
    assert_eq!(issued.chain.len(), 2, "the intermediate is part of the chain");
    let late = authority.issue(&request(None), &td.id("a/b"), LEAF_LIFETIME, NOW + 7200);
    assert!(late.unwrap_err().to_string().contains("expired"));
}

#[test]
fn short_lives_have_short_skews() {
    let td = Domain::new("td");
    let issued = td.authority.issue(&request(None), &td.id("a/b"), Duration::from_secs(10), NOW).unwrap();
    assert_eq!((issued.not_before, issued.not_after), (NOW - 1, NOW + 10));
}

#[test]
fn an_authority_is_taken_up_only_whole() {
    let td = Domain::new("td");
    let key = PrivateKey::generate().unwrap();
    let root = new_root(&td.domain, &key, NOW).unwrap();
    let again = || PrivateKey::from_pem(&key.to_pem()).unwrap();
    assert!(Authority::from_pem(&td.domain, &root, again(), NOW).unwrap().is_root());
    let wrong = |domain: &str, certificates: &str, key: PrivateKey, now: u64| {
        Authority::from_pem(&domain.parse().unwrap(), certificates, key, now).unwrap_err().to_string()
    };
    assert!(wrong("td", &root, PrivateKey::generate().unwrap(), NOW).contains("its key is not"));
    assert!(wrong("other", &root, again(), NOW).contains("spiffe://td, not for spiffe://other"));
    assert!(wrong("td", &root, again(), NOW - 1000).contains("not valid yet"));
    let leaf = crate::pem::encode(&[td.forged(|_| {})]);
    assert!(wrong("td", &leaf, again(), NOW).contains("not an authority's"));
}

#[test]
fn the_authoritys_own_key_is_nobodys_leaf() {
    let td: TrustDomain = "td".parse().unwrap();
    let key = PrivateKey::generate().unwrap();
    let request = SigningRequest::from_der(&key.request(None).unwrap()).unwrap();
    let root = new_root(&td, &key, NOW).unwrap();
    let authority = Authority::from_pem(&td, &root, key, NOW).unwrap();
    let id = "spiffe://td/ns/a/sa/b".parse().unwrap();
    assert!(authority.issue(&request, &id, LEAF_LIFETIME, NOW).is_err());
}
