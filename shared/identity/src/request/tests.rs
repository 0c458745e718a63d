use super::*;
use crate::PrivateKey;
use proptest::prelude::*;
use rcgen::{BasicConstraints, KeyPair, PKCS_ED25519};

fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    change(&mut params);
    params.serialize_request(PrivateKey::generate().unwrap().pair()).unwrap().der().to_vec()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[test]
fn a_request_carries_a_key_and_perhaps_a_name() {
    let key = PrivateKey::generate().unwrap();
    let id: SpiffeId = "spiffe://td/ns/a/sa/b".parse().unwrap();
    let other: SpiffeId = "spiffe://td/ns/a/sa/c".parse().unwrap();
    let request = SigningRequest::from_der(&key.request(Some(&id)).unwrap()).unwrap();
    assert_eq!(request.asked(), Some(&id));
    assert_eq!(request.public(), key.public());
    request.check(&id).unwrap();
    let error = request.check(&other).unwrap_err().to_string();
    assert!(error.contains("it asks for spiffe://td/ns/a/sa/b"), "{error}");
    let nameless = SigningRequest::from_der(&key.request(None).unwrap()).unwrap();
    assert_eq!(nameless.asked(), None);
    nameless.check(&other).unwrap();
}

#[test]
fn whoever_asks_for_more_gets_nothing() {
    let refused = |der: &[u8]| SigningRequest::from_der(der).unwrap_err().to_string();
    let authority = made(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(refused(&authority).contains("authority"));
    let two = made(|params| params.subject_alt_names = vec![uri("spiffe://td/a"), uri("spiffe://td/b")]);
    assert!(refused(&two).contains("more than one name"));
    let host = made(|params| params.subject_alt_names = vec![SanType::DnsName("host".try_into().unwrap())]);
    assert!(refused(&host).contains("no URI"));
    let web = made(|params| params.subject_alt_names = vec![uri("https://td/a")]);
    assert!(refused(&web).contains("spiffe://"));
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let ed25519 = CertificateParams::default().serialize_request(&ed25519).unwrap();
    assert!(refused(ed25519.der()).contains("P-256"));
}

#[test]
fn a_request_that_was_changed_is_refused() {
    let good = PrivateKey::generate().unwrap().request(Some(&"spiffe://td/a/b".parse().unwrap())).unwrap();
    let at = good.windows(3).position(|window| window == b"a/b").unwrap();
    let mut changed = good.clone();
    changed[at] = b'c';
    assert!(SigningRequest::from_der(&good).is_ok());
    assert!(SigningRequest::from_der(&changed).is_err());
    assert!(SigningRequest::from_der(&vec![0x30; REQUEST_BYTES + 1]).is_err());
}

proptest! {
    #[test]
    fn rubbish_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SigningRequest::from_der(&bytes).is_err());
    }

    #[test]
    fn a_spoilt_byte_is_noticed_or_harmless(at in 0_usize..300, with in any::<u8>()) {
        let key = PrivateKey::generate().unwrap();
        let id: SpiffeId = "spiffe://td/ns/a/sa/b".parse().unwrap();
        let mut der = key.request(Some(&id)).unwrap();
        let at = at % der.len();
        der[at] = with;
        if let Ok(request) = SigningRequest::from_der(&der) {
            prop_assert_eq!(request.asked(), Some(&id));
            prop_assert_eq!(request.public(), key.public());
        }
    }
}
