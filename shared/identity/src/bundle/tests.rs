use super::*;
use crate::testing::{Domain, NOW};

#[test]
fn roots_are_written_and_read_back_and_say_their_domain() {
    let td = Domain::new("td");
    let read = Bundle::from_pem(&td.bundle.to_pem(), None).unwrap();
    assert_eq!(read, td.bundle);
    assert_eq!(read.trust_domain().as_str(), "td");
    assert!(Bundle::from_pem(&td.bundle.to_pem(), Some(&"other".parse().unwrap())).is_err());
}

#[test]
fn old_and_new_roots_stand_together_and_each_once() {
    let (old, new) = (Domain::new("td"), Domain::new("td"));
    let text = format!("{}{}{}", old.bundle.to_pem(), new.bundle.to_pem(), old.bundle.to_pem());
    let both = Bundle::from_pem(&text, None).unwrap();
    assert_eq!(both.roots().count(), 2);
    assert_eq!(both.anchors(NOW).len(), 2);
}

#[test]
fn roots_of_two_domains_make_no_bundle() {
    let text = format!("{}{}", Domain::new("a").bundle.to_pem(), Domain::new("b").bundle.to_pem());
    let error = Bundle::from_pem(&text, None).unwrap_err().to_string();
    assert!(error.contains("trust domain b, not of a"), "{error}");
}

#[test]
fn what_is_no_root_is_refused() {
    let td = Domain::new("td");
    let leaf = crate::pem::encode(&[td.forged(|_| {})]);
    assert!(Bundle::from_pem(&leaf, None).unwrap_err().to_string().contains("not an authority's"));
    assert!(Bundle::from_pem("", None).unwrap_err().to_string().contains("no certificate"));
    let key = crate::PrivateKey::generate().unwrap();
    let with_key = format!("{}{}", td.bundle.to_pem(), *key.to_pem());
    assert!(Bundle::from_pem(&with_key, None).unwrap_err().to_string().contains("private key"));
    assert!(Bundle::from_pem(&td.bundle.to_pem().repeat(33), None).is_err());
}

#[test]
fn a_root_out_of_force_vouches_for_nobody() {
    let td = Domain::new("td");
    assert_eq!(td.bundle.anchors(NOW).len(), 1);
    assert_eq!(td.bundle.anchors(NOW - 10_000).len(), 0);
    assert_eq!(td.bundle.anchors(NOW + crate::authority::ROOT_LIFETIME.as_secs()).len(), 0);
}

#[test]
fn a_pin_is_read_as_it_is_written() {
    let (pin, _) = Domain::new("td").bundle.pins().next().unwrap();
    assert_eq!(pin.to_string().parse::<Pin>().unwrap(), pin);
    let plus = format!("sha256:{}", "+1".repeat(32));
    for text in ["", "sha256:", "sha256:abc", &"a".repeat(64), &plus, &format!("sha256:{}", "é".repeat(32))]
    {
        assert!(text.parse::<Pin>().is_err(), "{text}");
    }
}
