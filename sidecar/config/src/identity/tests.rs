use super::*;
use std::os::unix::fs::PermissionsExt;
use weir_identity::{Authority, SigningRequest, SpiffeId, authority};

fn identity_of(account: &str) -> Identity {
    let domain = "td".parse().unwrap();
    let root_key = PrivateKey::generate().unwrap();
    let now = millis() / 1000;
    let root = authority::new_root(&domain, &root_key, now).unwrap();
    let authority = Authority::from_pem(&domain, &root, root_key, now).unwrap();
    let key = PrivateKey::generate().unwrap();
    let request = SigningRequest::from_der(&key.request(None).unwrap()).unwrap();
    let id = SpiffeId::workload(&domain, &account.parse().unwrap());
    let issued = authority.issue(&request, &id, Duration::from_secs(60), now).unwrap();
    Identity::new(Arc::new(key), issued.chain, authority.as_bundle().unwrap()).unwrap()
}

#[tokio::test]
async fn an_identity_is_kept_closed_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files::new(Some(dir.path().to_owned()));
    assert!(files.load().unwrap().is_none());
    let identity = identity_of("shop/cart");
    files.save(&identity).await;
    assert_eq!(files.load().unwrap().unwrap().chain(), identity.chain());
    let path = dir.path().join("identity.pem");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(files.load().unwrap_err().contains("chmod 600"));
    file_of_rubbish(&path);
    assert!(files.load().unwrap().is_none(), "what is damaged is got anew");
}

fn file_of_rubbish(path: &std::path::Path) {
    weir_identity::file::write_secret(path, "rubbish").unwrap();
}

#[tokio::test]
async fn the_first_key_is_the_same_until_it_has_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let files = || Files::new(Some(dir.path().to_owned()));
    let first = files().first_key().await.unwrap().public();
    assert_eq!(files().first_key().await.unwrap().public(), first);
    files().save(&identity_of("shop/cart")).await;
    assert_ne!(files().first_key().await.unwrap().public(), first);
    let mut nowhere = Files::new(None);
    let first = nowhere.first_key().await.unwrap().public();
    assert_eq!(nowhere.first_key().await.unwrap().public(), first);
}

#[test]
fn proofs_are_not_shown() {
    let proof = Proof::JoinToken(Zeroizing::new("weir-join-secret".to_owned()));
    assert_eq!(format!("{proof:?}"), "JoinToken");
}
