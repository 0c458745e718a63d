use super::*;

#[test]
fn a_key_is_written_and_read_back() {
    let key = PrivateKey::generate().unwrap();
    let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
    assert_eq!(key.public(), again.public());
    assert_ne!(PrivateKey::generate().unwrap().public(), key.public());
}

#[test]
fn debugging_shows_no_secret() {
    let key = PrivateKey::generate().unwrap();
    let shown = format!("{key:?}");
    let pem = key.to_pem();
    let secret = pem.lines().nth(1).unwrap();
    assert!(!shown.contains(secret) && shown.len() < 80, "{shown}");
}

#[test]
fn what_is_no_key_is_refused() {
    let rubbish = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for text in ["", "key", rubbish, &"A".repeat(1 << 20)] {
        assert!(PrivateKey::from_pem(text).is_err());
    }
}
