use super::*;
use crate::testing::{At, Domain, NOW};
use rustls::{ClientConnection, HandshakeKind, NamedGroup, ProtocolVersion, ServerConnection};

fn settings(now: u64) -> Settings {
    Settings { clock: Arc::new(At(now)), ..Settings::grpc() }
}

fn mutual() -> Clients {
    Clients { expected: Expected::Anyone, optional: false }
}

/// Both ends of one connection, in memory.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

impl Pair {
    /// Shakes hands; the first error of either end.
    fn connect(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<Self, String> {
        let name = rustls::pki_types::ServerName::try_from("weir.internal").unwrap();
        let mut pair = Self {
            client: ClientConnection::new(client, name).unwrap(),
            server: ServerConnection::new(server).unwrap(),
        };
        for _ in 0..8 {
            let mut wire = Vec::new();
            pair.client.write_tls(&mut wire).unwrap();
            pair.server.read_tls(&mut &wire[..]).unwrap();
            pair.server.process_new_packets().map_err(|error| format!("server: {error}"))?;
            let mut wire = Vec::new();
            pair.server.write_tls(&mut wire).unwrap();
            pair.client.read_tls(&mut &wire[..]).unwrap();
            pair.client.process_new_packets().map_err(|error| format!("client: {error}"))?;
        }
        assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
        Ok(pair)
    }
}

fn client_of(td: &Domain, identity: Option<&Identity>, now: u64) -> Arc<ClientConfig> {
    client(identity, Trust::Bundle(td.bundle.clone()), Expected::Anyone, &settings(now)).unwrap()
}

#[test]
fn both_ends_prove_who_they_are_with_tls_1_3_and_a_post_quantum_exchange() {
    let td = Domain::new("td");
    let (one, other) = (td.identity("a/one"), td.identity("a/other"));
    let server = server(&other, mutual(), &settings(NOW)).unwrap();
    let pair = Pair::connect(client_of(&td, Some(&one), NOW), server).unwrap();
    assert_eq!(pair.client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = pair.client.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(pair.server.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(peer(&pair.client, NOW).unwrap().unwrap().id, td.id("a/other"));
    assert_eq!(peer(&pair.server, NOW).unwrap().unwrap().id, td.id("a/one"));
    assert!(pair.server.server_name().is_none(), "no name travels in the clear");
}

#[test]
fn sessions_are_resumed_and_still_know_who_it_is() {
    let td = Domain::new("td");
    let (one, other) = (td.identity("a/one"), td.identity("a/other"));
    let server = server(&other, mutual(), &settings(NOW)).unwrap();
    let client = client_of(&td, Some(&one), NOW);
    let first = Pair::connect(client.clone(), server.clone()).unwrap();
    assert_ne!(first.server.handshake_kind(), Some(HandshakeKind::Resumed));
    let second = Pair::connect(client, server).unwrap();
    assert_eq!(second.server.handshake_kind(), Some(HandshakeKind::Resumed));
    assert_eq!(peer(&second.server, NOW).unwrap().unwrap().id, td.id("a/one"));
    let error = peer(&second.server, NOW + 3601).unwrap_err().to_string();
    assert!(error.contains("expired"), "a session outlives the certificate, its use does not: {error}");
}

#[test]
fn a_new_configuration_resumes_nothing_of_the_old_one() {
    let td = Domain::new("td");
    let (one, other) = (td.identity("a/one"), td.identity("a/other"));
    let client = client_of(&td, Some(&one), NOW);
    for _ in 0..2 {
        let server = server(&other, mutual(), &settings(NOW)).unwrap();
        let pair = Pair::connect(client.clone(), server).unwrap();
        assert_ne!(pair.server.handshake_kind(), Some(HandshakeKind::Resumed));
    }
}

#[test]
fn expired_and_not_yet_valid_certificates_are_refused() {
    let td = Domain::new("td");
    let good = td.identity("a/good");
    for (issued, why) in [(NOW - 7200, "expired"), (NOW + 7200, "not valid yet")] {
        let bad = td.identity_at(&td.id("a/bad"), issued);
        let strict = server(&good, mutual(), &settings(NOW)).unwrap();
        let error = Pair::connect(client_of(&td, Some(&bad), NOW), strict).err().unwrap();
        assert!(error.starts_with("server: ") && error.contains(why), "{error}");
        let stale = server(&bad, mutual(), &settings(NOW)).unwrap();
        let error = Pair::connect(client_of(&td, Some(&good), NOW), stale).err().unwrap();
        assert!(error.starts_with("client: ") && error.contains(why), "{error}");
    }
}

#[test]
fn a_client_without_a_certificate_is_nobody_where_that_is_allowed() {
    let td = Domain::new("td");
    let identity = td.identity("a/b");
    let open = server(&identity, Clients { optional: true, ..mutual() }, &settings(NOW)).unwrap();
    let pair = Pair::connect(client_of(&td, None, NOW), open.clone()).unwrap();
    assert_eq!(peer(&pair.server, NOW), Ok(None));
    let closed = server(&identity, mutual(), &settings(NOW)).unwrap();
    assert!(Pair::connect(client_of(&td, None, NOW), closed).is_err());
    let foreign = Domain::new("td");
    let stranger = foreign.identity("a/b");
    let wrong = Pair::connect(client_of(&td, Some(&stranger), NOW), open);
    assert!(wrong.is_err(), "a wrong certificate is worse than none");
}

#[test]
fn the_root_changes_without_a_refusal() {
    let (old, new) = (Domain::new("td"), Domain::new("td"));
    let both = Bundle::from_pem(&format!("{}{}", old.bundle.to_pem(), new.bundle.to_pem()), None).unwrap();
    let of_old = old.identity("a/old").with_bundle(both.clone()).unwrap();
    let of_new = new.identity("a/new").with_bundle(both.clone()).unwrap();
    for (client_is, server_is) in [(&of_old, &of_new), (&of_new, &of_old)] {
        let server = server(server_is, mutual(), &settings(NOW)).unwrap();
        let trust = Trust::Bundle(both.clone());
        let client = client(Some(client_is), trust, Expected::Anyone, &settings(NOW)).unwrap();
        Pair::connect(client, server).unwrap();
    }
}

#[test]
fn the_first_contact_knows_a_pin_only() {
    let td = Domain::new("td");
    let plane = td.identity_at(&SpiffeId::control_plane(&td.domain), NOW);
    let clients = Clients { optional: true, ..mutual() };
    let shown = Settings { shows_roots: true, ..settings(NOW) };
    let server = server(&plane, clients, &shown).unwrap();
    let pinned = |pin| client(None, Trust::Pin(pin), Expected::ControlPlane, &settings(NOW)).unwrap();
    let pin = td.bundle.pins().next().unwrap().0;
    Pair::connect(pinned(pin), server.clone()).unwrap();
    let other = Domain::new("td").bundle.pins().next().unwrap().0;
    assert!(Pair::connect(pinned(other), server).is_err());
}

#[test]
fn an_identity_is_written_and_read_back_whole() {
    let td = Domain::new("td");
    let identity = td.identity("a/b");
    let again = Identity::from_pem(&identity.to_pem(), td.bundle.clone()).unwrap();
    assert_eq!((again.id(), again.chain()), (identity.id(), identity.chain()));
    assert_eq!(again.key().public(), identity.key().public());
    let again = Identity::from_pems(&identity.to_pem(), &td.bundle.to_pem()).unwrap();
    assert_eq!(again.bundle(), &td.bundle);
    let other = Domain::new("other");
    assert!(Identity::from_pems(&identity.to_pem(), &other.bundle.to_pem()).is_err());
    assert!(Identity::from_pems("", &td.bundle.to_pem()).is_err());
    assert!(Identity::from_pem(&identity.to_pem(), other.bundle.clone()).is_err());
    let mixed = format!("{}{}", *td.identity("a/c").key().to_pem(), crate::pem::encode(identity.chain()));
    assert!(Identity::from_pem(&mixed, td.bundle.clone()).unwrap_err().to_string().contains("key"));
    assert!(Identity::from_pem(&identity.key().to_pem(), td.bundle).is_err());
}
