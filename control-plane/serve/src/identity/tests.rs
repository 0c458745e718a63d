use super::*;
use std::os::unix::fs::PermissionsExt;

const NOW: u64 = 1_900_000_000_000;

fn settings() -> Settings {
    Settings {
        trust_domain: "td".parse().unwrap(),
        leaf_lifetime: Duration::from_secs(100),
        external: None,
        kubernetes: None,
    }
}

fn open(dir: &Path) -> Result<Arc<Identities>, String> {
    Identities::open(dir, settings(), NOW, 1)
}

#[test]
fn a_restart_keeps_the_root_and_the_first_admin() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let bundle = first.bundle();
    let path = dir.path().join("identity/admin-token");
    let token = file::read_secret(&path).unwrap().unwrap();
    drop(first);
    let again = open(dir.path()).unwrap();
    assert_eq!(again.bundle(), bundle);
    assert_eq!(again.bearer(token.trim()).unwrap(), (Role::Admin, "first-admin".to_owned()));
    assert_eq!(*file::read_secret(&path).unwrap().unwrap(), *token);
}

#[test]
fn keys_that_others_could_read_are_not_used() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let files = std::fs::read_dir(dir.path().join("identity")).unwrap().map(|file| file.unwrap().path());
    let key = files.into_iter().find(|path| path.extension().is_some_and(|is| is == "key")).unwrap();
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(open(dir.path()).err().unwrap().contains("chmod 600"));
    std::fs::remove_file(&key).unwrap();
    assert!(open(dir.path()).err().unwrap().contains("restore it from a backup"));
}

#[test]
fn another_trust_domain_is_another_directory() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let other = Settings { trust_domain: "other".parse().unwrap(), ..settings() };
    let error = Identities::open(dir.path(), other, NOW, 1).err().unwrap();
    assert!(error.contains("start with --trust-domain td"), "{error}");
}

#[test]
fn one_root_follows_another_and_both_survive_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let identities = open(dir.path()).unwrap();
    let key = PrivateKey::generate().unwrap();
    let request = SigningRequest::from_der(&key.request(None).unwrap()).unwrap();
    let id = SpiffeId::workload(identities.trust_domain(), &"a/b".parse().unwrap());
    let (before, old) = identities.issue(&request, &id, NOW / 1000).unwrap();
    identities.rotate(Step::Prepare, false, NOW).unwrap();
    assert_eq!(identities.bundle().roots().count(), 2);
    assert!(identities.rotate(Step::Activate, false, NOW + 1000).unwrap_err().contains("wait"));
    identities.rotate(Step::Activate, false, NOW + 100_000).unwrap();
    drop(identities);
    let identities = Identities::open(dir.path(), settings(), NOW + 100_000, 1).unwrap();
    let (after, both) = identities.issue(&request, &id, NOW / 1000 + 100).unwrap();
    assert_eq!(both.roots().count(), 2);
    let good = |bundle: &Bundle, issued: &Issued, now: u64| {
        let verifier = weir_identity::verify::Verifier::of_clients(bundle.clone(), Expected::Anyone, false);
        let at = rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(now));
        rustls::server::danger::ClientCertVerifier::verify_client_cert(
            &*verifier,
            &issued.chain[0],
            &issued.chain[1..],
            at,
        )
        .is_ok()
    };
    assert!(good(&both, &before, NOW / 1000) && good(&both, &after, NOW / 1000 + 100));
    assert!(!good(&old, &after, NOW / 1000 + 100), "another root signs now");
    identities.rotate(Step::Retire, false, NOW + 250_000).unwrap();
    assert_eq!(identities.bundle().roots().count(), 1);
}

#[test]
fn an_authority_from_outside_signs_below_its_root() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key, roots) = (dir.path().join("c"), dir.path().join("k"), dir.path().join("r"));
    let root_key = PrivateKey::generate().unwrap();
    let root = authority::new_root(&"td".parse().unwrap(), &root_key, NOW / 1000).unwrap();
    std::fs::write(&certificate, &root).unwrap();
    std::fs::write(&roots, &root).unwrap();
    file::write_secret(&key, &root_key.to_pem()).unwrap();
    let external = External { certificate, key, roots };
    let settings = Settings { external: Some(external.clone()), ..settings() };
    let identities = Identities::open(&dir.path().join("data"), settings.clone(), NOW, 1).unwrap();
    assert_eq!(identities.bundle().to_pem(), root);
    assert!(identities.rotate(Step::Prepare, false, NOW).unwrap_err().contains("--ca-roots"));
    std::fs::set_permissions(&external.key, std::fs::Permissions::from_mode(0o640)).unwrap();
    drop(identities);
    assert!(
        Identities::open(&dir.path().join("data"), settings, NOW, 1).err().unwrap().contains("chmod 600")
    );
}
