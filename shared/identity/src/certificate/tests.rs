use super::*;
use crate::testing::{Domain, NOW, uri};
use proptest::prelude::*;
use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose, SanType};

/// A change that spoils a certificate, and what is said of it.
type Case = (fn(&mut rcgen::CertificateParams), &'static str);

#[test]
fn a_leaf_says_who_and_how_long() {
    let td = Domain::new("td");
    let identity = td.identity("shop/cart");
    let leaf = identity.leaf();
    assert_eq!(leaf.id.to_string(), "spiffe://td/ns/shop/sa/cart");
    assert_eq!((leaf.not_before, leaf.not_after), (NOW - 300, NOW + 3600));
    assert_eq!(leaf.public, identity.key().public());
    assert_eq!(leaf.serial.len(), 32);
}

#[test]
fn a_leaf_is_in_force_from_its_first_to_its_last_second() {
    let td = Domain::new("td");
    let leaf = td.identity("shop/cart").leaf().clone();
    for now in [NOW - 300, NOW, NOW + 3600] {
        leaf.check(now).unwrap();
    }
    assert!(leaf.check(NOW + 3601).unwrap_err().to_string().contains("expired 1 s ago"));
    assert!(leaf.check(NOW - 301).unwrap_err().to_string().contains("valid only in 1 s"));
}

#[test]
fn certificates_that_say_nothing_of_their_holder() {
    let td = Domain::new("td");
    let refused = |change: fn(&mut rcgen::CertificateParams)| {
        Leaf::from_der(&td.forged(change)).unwrap_err().to_string()
    };
    assert!(Leaf::from_der(&td.forged(|_| {})).is_ok());
    let cases: [Case; 9] = [
        (|params| params.subject_alt_names.push(uri("spiffe://td/ns/x/sa/y")), "more than one URI"),
        (|params| params.subject_alt_names.clear(), "names no SPIFFE id"),
        (
            |params| params.subject_alt_names = vec![SanType::DnsName("web.example.org".try_into().unwrap())],
            "names no SPIFFE id",
        ),
        (|params| params.subject_alt_names = vec![uri("https://td/ns/x/sa/y")], "spiffe://"),
        (|params| params.subject_alt_names = vec![uri("spiffe://td")], "no path"),
        (|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), "authority's"),
        (|params| params.key_usages.push(KeyUsagePurpose::KeyCertSign), "may sign certificates"),
        (|params| params.key_usages.push(KeyUsagePurpose::CrlSign), "may sign certificates"),
        (|params| params.key_usages.clear(), "digital signatures"),
    ];
    for (change, why) in cases {
        let error = refused(change);
        assert!(error.contains(why), "{error} does not say {why:?}");
    }
}

#[test]
fn other_names_beside_the_uri_do_no_harm() {
    let td = Domain::new("td");
    let der = td.forged(|params| {
        params.subject_alt_names.push(SanType::DnsName("web.example.org".try_into().unwrap()));
    });
    assert_eq!(Leaf::from_der(&der).unwrap().id, td.id("a/b"));
}

#[test]
fn what_follows_a_certificate_is_not_overlooked() {
    let td = Domain::new("td");
    let mut der = td.forged(|_| {}).to_vec();
    der.push(0);
    assert!(Leaf::from_der(&der).unwrap_err().to_string().contains("something follows"));
    assert!(Leaf::from_der(&vec![0x30; CERTIFICATE_BYTES + 1]).is_err());
}

proptest! {
    #[test]
    fn rubbish_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Leaf::from_der(&bytes).is_err());
        prop_assert!(AuthorityCertificate::from_der(&bytes).is_err());
    }

    #[test]
    fn spoilt_certificates_do_no_harm(spoils in proptest::collection::vec((0_usize..600, any::<u8>()), 1..4)) {
        let mut der = Domain::new("td").forged(|_| {}).to_vec();
        for (at, with) in spoils {
            let at = at % der.len();
            der[at] = with;
        }
        let _either = Leaf::from_der(&der);
        let _either = AuthorityCertificate::from_der(&der);
    }
}
