use super::*;
use crate::identity::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_stream::StreamExt;
use weir_identity::{Expected, Trust, tls};

#[test]
fn plain_text_is_trusted_by_where_it_comes_from() {
    let from = |text: &str| Some(text.parse().unwrap());
    for local in ["127.0.0.1:1", "127.9.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(Plaintext::Loopback.trusts(from(local)), "{local}");
        assert!(!Plaintext::Never.trusts(from(local)));
    }
    for other in ["10.0.0.1:1", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:1", "0.0.0.0:1"] {
        assert!(!Plaintext::Loopback.trusts(from(other)), "{other}");
        assert!(Plaintext::Any.trusts(from(other)));
    }
    assert!(!Plaintext::Loopback.trusts(None));
}

struct Open {
    address: SocketAddr,
    identities: Arc<Identities>,
    incoming: ReceiverStream<io::Result<Incoming>>,
    plane: Arc<Plane>,
    _dir: tempfile::TempDir,
}

async fn open() -> Open {
    let dir = tempfile::tempdir().unwrap();
    let store =
        weir_store::Embedded::open(&dir.path().join("policy"), weir_store::Options::default()).unwrap();
    let plane = Plane::new(Arc::new(store), None).unwrap();
    let settings = Settings {
        trust_domain: "td".parse().unwrap(),
        leaf_lifetime: Duration::from_secs(60),
        external: None,
        kubernetes: None,
    };
    let identities = Identities::open(dir.path(), settings, unix_millis(), 1).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door {
        entrance: Entrance::Xds,
        listener,
        plaintext: Plaintext::Loopback,
        identities: Arc::clone(&identities),
    };
    let incoming = door.open(Arc::clone(&plane));
    Open { address, identities, incoming, plane, _dir: dir }
}

fn handshakes_refused(plane: &Plane) -> u64 {
    plane.refusals.all().find(|(door, reason, _)| door == "xds" && *reason == "handshake").unwrap().2
}

#[tokio::test]
async fn one_port_takes_tls_and_plain_text() {
    let mut open = open().await;
    let mut plain = TcpStream::connect(open.address).await.unwrap();
    plain.write_all(b"PRI").await.unwrap();
    let mut came = open.incoming.next().await.unwrap().unwrap();
    assert_eq!(came.link.peer, Peer::Plain { trusted: true });
    let mut read = [0; 3];
    came.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"PRI", "nothing is lost to the look at the first byte");

    let trust = Trust::Bundle(open.identities.bundle());
    let config = tls::client(None, trust, Expected::ControlPlane, &tls::Settings::grpc()).unwrap();
    let connected = weir_runtime::tls::connect("127.0.0.1", open.address.port(), config);
    let (connected, came) = tokio::join!(connected, open.incoming.next());
    connected.unwrap();
    assert_eq!(came.unwrap().unwrap().link.peer, Peer::Nobody);
    assert_eq!(handshakes_refused(&open.plane), 0);
}

#[tokio::test]
async fn who_speaks_no_tls_after_all_is_refused_and_keeps_nobody_waiting() {
    let mut open = open().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(open.address).await.unwrap());
    }
    let mut wrong = TcpStream::connect(open.address).await.unwrap();
    wrong.write_all(&[TLS_HANDSHAKE, 3, 1, 0, 4, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
    let mut rest = Vec::new();
    // An alert, then the end.
    let _reset = wrong.read_to_end(&mut rest).await;
    let mut good = TcpStream::connect(open.address).await.unwrap();
    good.write_all(b"P").await.unwrap();
    assert!(open.incoming.next().await.unwrap().is_ok());
    assert_eq!(handshakes_refused(&open.plane), 1, "the silent ones may still speak");
}
