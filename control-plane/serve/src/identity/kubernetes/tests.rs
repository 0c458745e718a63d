use super::*;
use crate::plane::unix_millis;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

/// A key pair on P-256 for these tests only, and its public half as a key set.
struct Cluster {
    key: EncodingKey,
    keys: String,
}

impl Cluster {
    fn new() -> Self {
        let key = weir_identity::PrivateKey::generate().unwrap();
        let pem = key.to_pem();
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = EncodingKey::from_ec_der(der.secret_pkcs8_der());
        let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("k1".to_owned());
        Self { key, keys: json!({ "keys": [jwk] }).to_string() }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

use rustls::pki_types::pem::PemObject;

fn settings() -> Settings {
    Settings { jwks: "keys".into(), issuer: "https://cluster".to_owned(), audience: "weir".to_owned() }
}

fn claims() -> Value {
    let now = unix_millis() / 1000;
    json!({
        "iss": "https://cluster", "aud": ["weir"], "sub": "system:serviceaccount:shop:cart",
        "iat": now, "nbf": now, "exp": now + 600,
    })
}

#[test]
fn a_token_of_the_cluster_says_whose_it_is() {
    let cluster = Cluster::new();
    let account = verify_with(&cluster.keys, &settings(), &cluster.sign(&claims())).unwrap();
    assert_eq!(account.to_string(), "shop/cart");
}

#[test]
fn every_other_token_is_refused() {
    let cluster = Cluster::new();
    let now = unix_millis() / 1000;
    let changes: [(&str, Value); 9] = [
        ("iss", json!("https://other")),
        ("iss", Value::Null),
        ("aud", json!(["api"])),
        ("exp", json!(now - 60)),
        ("exp", Value::Null),
        ("nbf", json!(now + 600)),
        ("sub", json!("system:node:one")),
        ("sub", json!("system:serviceaccount:shop")),
        ("sub", json!("system:serviceaccount:Shop:cart/x")),
    ];
    for (claim, value) in changes {
        let mut claims = claims();
        claims[claim] = value.clone();
        let told = verify_with(&cluster.keys, &settings(), &cluster.sign(&claims));
        assert!(told.is_err(), "{claim} {value}: {told:?}");
    }
}

#[test]
fn a_token_that_another_signed_or_nobody_is_refused() {
    let (cluster, other) = (Cluster::new(), Cluster::new());
    let refused = |token: &str| assert!(verify_with(&cluster.keys, &settings(), token).is_err(), "{token}");
    refused(&other.sign(&claims()));
    let token = cluster.sign(&claims());
    let (body, _) = token.rsplit_once('.').unwrap();
    refused(body);
    refused(&format!("{body}."));
    for text in ["", ".", "..", "a.b.c", &"x".repeat(TOKEN_BYTES + 1)] {
        refused(text);
    }
    // Signed with the public key set as if it were a shared secret.
    let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
    refused(
        &jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(cluster.keys.as_bytes()))
            .unwrap(),
    );
}

#[test]
fn keys_that_cannot_be_read_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { jwks: dir.path().join("keys"), ..settings() };
    assert!(verify(&settings, "a.b.c").unwrap_err().contains("is not there"));
    std::fs::write(&settings.jwks, "{").unwrap();
    assert!(verify(&settings, "a.b.c").unwrap_err().contains("no JSON Web Key Set"));
}
