use super::*;
use crate::testing::{Domain, NOW, uri};
use crate::{Authority, PrivateKey, SigningRequest};
use rcgen::{BasicConstraints, IsCa};
use std::time::Duration;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn check(verifier: &Verifier, chain: &[CertificateDer<'_>], now: u64) -> Result<Leaf, String> {
    verifier
        .verify(&chain[0], &chain[1..], at(now), KeyUsage::client_auth())
        .map_err(|error| error.to_string())
}

fn anyone(bundle: &Bundle) -> Arc<Verifier> {
    Verifier::of_clients(bundle.clone(), Expected::Anyone, false)
}

#[test]
fn a_certificate_is_good_while_it_is_in_force() {
    let td = Domain::new("td");
    let (identity, verifier) = (td.identity("a/b"), anyone(&td.bundle));
    for now in [NOW - 300, NOW, NOW + 3600] {
        assert_eq!(check(&verifier, identity.chain(), now).unwrap().id, td.id("a/b"));
    }
    assert!(check(&verifier, identity.chain(), NOW + 3601).unwrap_err().contains("expired"));
    assert!(check(&verifier, identity.chain(), NOW - 301).unwrap_err().contains("not valid yet"));
}

#[test]
fn a_foreign_root_vouches_for_nobody_here() {
    let (td, foreign) = (Domain::new("td"), Domain::new("td"));
    let identity = foreign.identity("a/b");
    assert!(check(&anyone(&td.bundle), identity.chain(), NOW).unwrap_err().contains("UnknownIssuer"));
    let mut with_root = identity.chain().to_vec();
    with_root.extend(foreign.bundle.roots().cloned());
    assert!(check(&anyone(&td.bundle), &with_root, NOW).is_err(), "its own root proves nothing");
}

#[test]
fn old_and_new_roots_are_both_good_while_both_are_there() {
    let (old, new) = (Domain::new("td"), Domain::new("td"));
    let text = format!("{}{}", old.bundle.to_pem(), new.bundle.to_pem());
    let both = anyone(&Bundle::from_pem(&text, None).unwrap());
    for domain in [&old, &new] {
        check(&both, domain.identity("a/b").chain(), NOW).unwrap();
    }
    assert!(check(&anyone(&new.bundle), old.identity("a/b").chain(), NOW).is_err());
}

#[test]
fn names_of_other_domains_are_refused_whoever_signed_them() {
    let td = Domain::new("td");
    let leaf = td.forged(|params| params.subject_alt_names = vec![uri("spiffe://other/ns/a/sa/b")]);
    let error = check(&anyone(&td.bundle), &[leaf], NOW).unwrap_err();
    assert!(error.contains("not of the trust domain td"), "{error}");
}

#[test]
fn a_good_signature_does_not_make_a_good_leaf() {
    let td = Domain::new("td");
    let two = td.forged(|params| params.subject_alt_names.push(uri("spiffe://td/ns/c/sa/d")));
    assert!(check(&anyone(&td.bundle), &[two], NOW).unwrap_err().contains("more than one URI"));
    let authority = td.forged(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(check(&anyone(&td.bundle), &[authority], NOW).is_err());
}

#[test]
fn a_leaf_signs_no_leaves() {
    let td = Domain::new("td");
    // A leaf's holder uses its key as if it were an authority's.
    let holder = td.identity("a/b");
    let issuer = rcgen::Issuer::from_ca_cert_der(
        &holder.chain()[0],
        rcgen::KeyPair::from_pem(&holder.key().to_pem()).unwrap(),
    )
    .unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![uri("spiffe://td/ns/kube-system/sa/admin")];
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    let leaf = params.signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();
    assert!(check(&anyone(&td.bundle), &[leaf, holder.chain()[0].clone()], NOW).is_err());
}

#[test]
fn an_intermediate_is_followed_to_its_root() {
    let td = Domain::new("td");
    let (certificate, key) = td.intermediate();
    let authority = Authority::from_pem(&td.domain, &certificate, key, NOW).unwrap();
    let request = SigningRequest::from_der(&PrivateKey::generate().unwrap().request(None).unwrap()).unwrap();
    let issued = authority.issue(&request, &td.id("a/b"), Duration::from_secs(60), NOW).unwrap();
    check(&anyone(&td.bundle), &issued.chain, NOW).unwrap();
    assert!(check(&anyone(&td.bundle), &issued.chain[..1], NOW).is_err(), "without it there is no way");
}

#[test]
fn only_the_expected_are_welcome() {
    let td = Domain::new("td");
    let (workload, plane) = (td.identity("a/b"), td.identity_at(&SpiffeId::control_plane(&td.domain), NOW));
    let expecting = |expected| Verifier::of_servers(Trust::Bundle(td.bundle.clone()), expected);
    let only = expecting(Expected::Ids(vec![td.id("a/c"), td.id("a/b")]));
    check(&only, workload.chain(), NOW).unwrap();
    let other = expecting(Expected::Ids(vec![td.id("a/c")]));
    let error = check(&other, workload.chain(), NOW).unwrap_err();
    assert!(error.contains("it is of spiffe://td/ns/a/sa/b, not of spiffe://td/ns/a/sa/c"), "{error}");
    check(&expecting(Expected::ControlPlane), plane.chain(), NOW).unwrap();
    let error = check(&expecting(Expected::ControlPlane), workload.chain(), NOW).unwrap_err();
    assert!(error.contains("not of the control plane"), "{error}");
    assert!(check(&expecting(Expected::Ids(vec![])), workload.chain(), NOW).is_err());
}

#[test]
fn a_pinned_root_must_be_in_the_chain_and_sign_it() {
    let (td, foreign) = (Domain::new("td"), Domain::new("td"));
    let plane = td.identity_at(&SpiffeId::control_plane(&td.domain), NOW);
    let pin = td.bundle.pins().next().unwrap().0;
    let pinned = Verifier::of_servers(Trust::Pin(pin), Expected::ControlPlane);
    let with = |chain: &[CertificateDer<'static>], root: &Bundle| {
        [chain, &root.roots().cloned().collect::<Vec<_>>()].concat()
    };
    check(&pinned, &with(plane.chain(), &td.bundle), NOW).unwrap();
    assert!(check(&pinned, plane.chain(), NOW).unwrap_err().contains("pinned"), "the root is not shown");
    let imposter = foreign.identity_at(&SpiffeId::control_plane(&foreign.domain), NOW);
    assert!(check(&pinned, &with(imposter.chain(), &foreign.bundle), NOW).is_err(), "another root");
    assert!(check(&pinned, &with(imposter.chain(), &td.bundle), NOW).is_err(), "it shows what it cannot use");
}

#[test]
fn endless_chains_are_not_followed() {
    let td = Domain::new("td");
    let root = td.bundle.roots().next().unwrap().clone();
    let chain = [td.identity("a/b").chain().to_vec(), vec![root; CHAIN + 1]].concat();
    assert!(check(&anyone(&td.bundle), &chain, NOW).is_err());
}
