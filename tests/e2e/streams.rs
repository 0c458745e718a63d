//! Connections that nobody reads, through real processes: a control plane, sidecars beside servers and one beside a client. A TCPRoute splits
//! them, a TLSRoute chooses by the server name of a real TLS handshake, which passes through whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use weir_tests::{ControlPlane, Sidecar, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

const POLICY: &str = "
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {selector: {app: db}, ports: [{name: pg, port: 5432, appProtocol: tcp}, {name: tls, port: 443, targetPort: pg, appProtocol: tls}]}
---
apiVersion: v1
kind: Service
metadata: {name: db-next}
spec: {selector: {app: db-next}, ports: [{name: pg, port: 5432, appProtocol: tcp}, {name: tls, port: 443, targetPort: pg, appProtocol: tls}]}
";

const SPLIT: &str = "
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: db}
spec:
  parentRefs: [{group: '', kind: Service, name: db, port: 5432}]
  rules: [{backendRefs: [{name: db, port: 5432, weight: 90}, {name: db-next, port: 5432, weight: 10}]}]
";

const NAMES: &str = "
apiVersion: gateway.networking.k8s.io/v1alpha3
kind: TLSRoute
metadata: {name: exact}
spec:
  parentRefs: [{group: '', kind: Service, name: db, port: 443}]
  hostnames: [db.example.com]
  rules: [{backendRefs: [{name: db, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TLSRoute
metadata: {name: others}
spec:
  parentRefs: [{group: '', kind: Service, name: db, port: 443}]
  hostnames: ['*.example.com']
  rules: [{backendRefs: [{name: db-next, port: 443}]}]
";

/// Says its name to whoever connects.
fn greeter(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _gone = stream.write_all(name.as_bytes());
        }
    });
    address
}

/// Speaks TLS with a certificate of its own for every name, and says its name in it.
fn tls_greeter(name: &'static str, config: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let mut asked = [0; 5];
            if stream.read_exact(&mut asked).is_ok() {
                let _gone = stream.write_all(name.as_bytes());
                stream.conn.send_close_notify();
                let _gone = stream.flush();
            }
        }
    });
    address
}

/// A server's and a client's side of the same certificate.
fn tls() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let names = ["db.example.com", "a.example.com", "db.default"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let server =
        server.unwrap().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

fn serving(dir: &Path, plane: &ControlPlane, name: &str, app: SocketAddr) -> Sidecar {
    let (service, inbound) = (format!("default/{name}"), format!("pg=127.0.0.1:0={app}"));
    Sidecar::start(dir, name, plane.xds, &["--service", &service, "--inbound", &inbound])
}

/// Where a sidecar takes what its flag says; the address is chosen before, since it is told on standard output only once.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn hear(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).ok()?;
    Some(heard)
}

/// What the server behind a server name says, if its certificate is good.
fn ask(address: SocketAddr, name: &'static str, config: &Arc<ClientConfig>) -> Option<String> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let connection = ClientConnection::new(config.clone(), ServerName::try_from(name).unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"hello").ok()?;
    let mut heard = String::new();
    stream.read_to_string(&mut heard).ok()?;
    Some(heard)
}

#[test]
fn connections_are_split_by_a_tcp_route() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    plane.apply(POLICY);
    let _servers = (
        serving(dir.path(), &plane, "db", greeter("old")),
        serving(dir.path(), &plane, "db-next", greeter("new")),
    );
    let (listen, listener) = (free(), |listen: SocketAddr| format!("{listen}=db.default:5432"));
    let args = ["--service", "default/shop", "--outbound-tcp", &listener(listen)];
    let _client = Sidecar::start(dir.path(), "shop", plane.xds, &args);
    eventually("the service answers", PATIENCE, || hear(listen).as_deref() == Some("old"));
    plane.apply(SPLIT);
    eventually("the split is in force", PATIENCE, || hear(listen).as_deref() == Some("new"));
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..400 {
        *counts.entry(hear(listen).unwrap()).or_default() += 1;
    }
    // A tenth of 400 is 40, with a standard deviation of 6.
    let new = counts.get("new").copied().unwrap_or_default();
    assert!((8..=72).contains(&new) && counts.get("old") == Some(&(400 - new)), "{counts:?}");
    let told = plane.weir_ok(&["explain", "tcp://db:5432"]);
    assert!(told.contains("outbound/default/db-next:5432"), "{told}");
    let listed = plane.weir_ok(&["get", "tcproutes"]);
    assert!(listed.contains("db"), "{listed}");
}

#[test]
fn tls_goes_where_a_tls_route_says_by_its_server_name() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(dir.path());
    plane.apply(POLICY);
    let (server, client) = tls();
    let _servers = (
        serving(dir.path(), &plane, "db", tls_greeter("exact", server.clone())),
        serving(dir.path(), &plane, "db-next", tls_greeter("wild", server)),
    );
    let (tcp, tls) = (free(), free());
    let args = [
        "--service",
        "default/shop",
        "--outbound-tcp",
        &format!("{tcp}=db.default:443"),
        "--outbound-tls",
        &tls.to_string(),
    ];
    let _client = Sidecar::start(dir.path(), "shop", plane.xds, &args);
    // Without a route the server name of the outbound TLS listener names the service.
    eventually("the service answers by its name", PATIENCE, || {
        ask(tls, "db.default", &client).as_deref() == Some("exact")
    });
    plane.apply(NAMES);
    for listen in [tcp, tls] {
        for (name, expected) in [("db.example.com", "exact"), ("a.example.com", "wild")] {
            eventually(&format!("{name} through {listen}"), PATIENCE, || {
                ask(listen, name, &client).as_deref() == Some(expected)
            });
        }
        // What no route has is closed.
        eventually("other names are closed", PATIENCE, || ask(listen, "db.default", &client).is_none());
    }
    let told = plane.weir_ok(&["explain", "tls://a.example.com:443"]);
    assert!(told.contains("outbound/default/db-next:443"), "{told}");
}
