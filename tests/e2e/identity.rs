//! Who is let in: certificates for tokens, used once; a workload asks only for itself; what is expired is refused; roles; certificates and the
//! root replaced under load and configuration changes; a control plane killed and started again knows everybody. With the real programs, over
//! TLS only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use weir_identity::{Expected, Identity, Pin, PrivateKey, Trust, tls};
use weir_proto::identity::v1 as wire;
use weir_proto::identity::v1::exchange_request::Proof;
use weir_proto::identity::v1::identity_service_client::IdentityServiceClient;
use weir_tests::backend::Backend;
use weir_tests::{ControlPlane, Sidecar, binary, eventually, http};

const LIMIT: Duration = Duration::from_secs(20);

/// A control plane that speaks TLS only, and what an operator knows of it.
struct Mesh {
    plane: ControlPlane,
    pin: String,
    lifetime: String,
    dir: tempfile::TempDir,
}

impl Mesh {
    fn start(lifetime: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plane = Self::plane(dir.path(), "127.0.0.1:0", "127.0.0.1:0", lifetime);
        let mut mesh = Self { plane, pin: String::new(), lifetime: lifetime.to_owned(), dir };
        // Who starts the first control plane stands beside it: the key of its root is in its data directory.
        let key = std::fs::read_dir(mesh.path("data/identity")).unwrap().map(|file| file.unwrap().path());
        let key = key.into_iter().find(|path| path.extension().is_some_and(|is| is == "key")).unwrap();
        let key = PrivateKey::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap();
        mesh.pin = format!("sha256:{}", weir_identity::hex(&key.public()));
        mesh
    }

    fn plane(dir: &Path, policy: &str, xds: &str, lifetime: &str) -> ControlPlane {
        ControlPlane::start_with(
            dir,
            policy,
            xds,
            &["--plaintext", "never", "--certificate-lifetime", lifetime],
        )
    }

    /// `kill -9`, and another process with the same data.
    fn restart(&mut self) {
        self.plane.process.kill();
        let (policy, xds) = (self.plane.policy.to_string(), self.plane.xds.to_string());
        self.plane = Self::plane(self.dir.path(), &policy, &xds, &self.lifetime);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn admin(&self) -> PathBuf {
        self.path("data/identity/admin-token")
    }

    /// `weir` with a bearer token.
    fn weir(&self, token: &Path, args: &[&str]) -> Output {
        let token = token.to_str().unwrap();
        let bundle = self.path("bundle.pem");
        let trust = match bundle.exists() {
            true => ["--trust-bundle", bundle.to_str().unwrap()],
            false => ["--trust-pin", &self.pin],
        };
        self.weir_showing(&[&trust[..], &["--token-file", token]].concat(), args)
    }

    fn weir_showing(&self, credentials: &[&str], args: &[&str]) -> Output {
        let server = self.plane.policy.to_string();
        Command::new(binary("weir"))
            .args(["--server", &server])
            .args(credentials)
            .args(args)
            .output()
            .unwrap()
    }

    fn weir_ok(&self, args: &[&str]) -> String {
        let output = self.weir(&self.admin(), args);
        assert!(output.status.success(), "weir {}: {}", args.join(" "), error(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// From here on `weir` trusts all roots that are trusted now.
    fn learn_roots(&self) {
        std::fs::write(self.path("bundle.pem"), self.weir_ok(&["identity", "bundle"])).unwrap();
    }

    fn apply(&self, manifest: &str) {
        let file = self.path("manifest.yaml");
        std::fs::write(&file, manifest).unwrap();
        self.weir_ok(&["apply", "-f", file.to_str().unwrap()]);
    }

    /// Makes a token and keeps it in a file.
    fn token(&self, name: &str, args: &[&str]) -> PathBuf {
        let text = self.weir_ok(&[&["token", "create", "-o", "json"], args].concat());
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["trustPin"], self.pin.as_str());
        let path = self.path(name);
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, answer["token"].as_str().unwrap().as_bytes()).unwrap();
        path
    }

    fn join_token(&self, account: &str) -> PathBuf {
        self.token(&account.replace('/', "-"), &["--service-account", account])
    }

    fn sidecar(&self, id: &str, token: &Path, args: &[&str]) -> Sidecar {
        let all = ["--trust-pin", &self.pin, "--join-token-file", token.to_str().unwrap()];
        Sidecar::start(self.dir.path(), id, self.plane.xds, &[&all[..], args].concat())
    }

    /// A count on the control plane's page.
    fn metric(&self, line: &str) -> u64 {
        let page = http::get(self.plane.admin, "localhost", "/metrics").unwrap().text();
        let value = page.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' ')).map(str::to_owned);
        value.unwrap_or_else(|| panic!("no {line} in\n{page}")).parse().unwrap()
    }

    fn refused(&self, door: &str, reason: &str) -> u64 {
        self.metric(&format!("weir_refused_total{{door=\"{door}\",reason=\"{reason}\"}}"))
    }

    fn channel(&self, identity: Option<&Identity>) -> Result<Channel, String> {
        let trust = Trust::Pin(self.pin.parse::<Pin>().unwrap());
        let config = tls::client(identity, trust, Expected::ControlPlane, &tls::Settings::grpc()).unwrap();
        let connector = tower::service_fn(move |uri: ::http::Uri| {
            let config = config.clone();
            async move { weir_runtime::tls::connect(uri.host().unwrap(), uri.port_u16().unwrap(), config).await }
        });
        let endpoint = Endpoint::from_shared(format!("https://{}", self.plane.xds)).unwrap();
        let connected = runtime().block_on(endpoint.timeout(LIMIT).connect_with_connector(connector));
        connected.map_err(|error| format!("{error:?}"))
    }

    fn exchange(
        &self,
        token: &Path,
        key: &PrivateKey,
        asked: Option<&str>,
    ) -> Result<wire::Certificate, tonic::Status> {
        let proof = Some(Proof::JoinToken(std::fs::read_to_string(token).unwrap()));
        let asked = asked.map(|id| id.parse().unwrap());
        let request = wire::ExchangeRequest { proof, request: key.request(asked.as_ref()).unwrap() };
        let mut client = IdentityServiceClient::new(self.channel(None).unwrap());
        runtime().block_on(client.exchange(request)).map(tonic::Response::into_inner)
    }

    fn renew(&self, identity: &Identity) -> Result<wire::Certificate, String> {
        let request = PrivateKey::generate().unwrap().request(None).unwrap();
        let mut client = IdentityServiceClient::new(self.channel(Some(identity))?);
        let renewed = runtime().block_on(client.renew(wire::RenewRequest { request }));
        renewed.map(tonic::Response::into_inner).map_err(|status| format!("{status:?}"))
    }
}

/// One for all: a channel belongs to the runtime it was made on.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
        std::sync::LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
    &RUNTIME
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn identity(key: PrivateKey, answer: wire::Certificate) -> Identity {
    let bundle = answer.bundle.unwrap();
    Identity::from_answer(Arc::new(key), answer.chain, &bundle.trust_domain, bundle.roots).unwrap()
}

const OUTBOUND: [&str; 2] = ["--outbound", "127.0.0.1:0"];

#[test]
fn a_join_token_opens_once_also_after_the_control_plane_was_killed() {
    let mut mesh = Mesh::start("3600");
    let token = mesh.join_token("default/reviews");
    let own = PrivateKey::generate().unwrap();
    let error = mesh.exchange(&token, &own, Some("spiffe://cluster.local/ns/default/sa/admin")).unwrap_err();
    assert!(error.message().contains("asks for") && mesh.refused("xds", "request") == 1, "{error}");
    let first = mesh.exchange(&token, &own, Some("spiffe://cluster.local/ns/default/sa/reviews")).unwrap();
    assert_eq!(first.spiffe_id, "spiffe://cluster.local/ns/default/sa/reviews");
    // At once: what was acknowledged is on the disk.
    mesh.restart();
    let thief = PrivateKey::generate().unwrap();
    let error = mesh.exchange(&token, &thief, None).unwrap_err();
    assert_eq!(error.code(), tonic::Code::Unauthenticated);
    assert!(error.message().contains("used already") && mesh.refused("xds", "token") == 1, "{error}");
    // Who used it may not have heard the answer.
    mesh.exchange(&token, &own, None).unwrap();
    let sidecar = mesh.sidecar("thief", &token, &OUTBOUND);
    eventually("the sidecar is told why", LIMIT, || sidecar.process.said().contains("used already"));
    assert!(mesh.refused("xds", "token") >= 2);
}

#[test]
fn a_workload_asks_only_for_itself() {
    let mesh = Mesh::start("3600");
    let token = mesh.join_token("default/reviews");
    let own = mesh.sidecar("own", &token, &[&OUTBOUND[..], &["--service", "default/reviews"]].concat());
    own.wait_ready();
    eventually("it is connected", LIMIT, || mesh.metric("weir_sidecars_connected") == 1);
    let cases: [(&str, &[&str], &str); 3] = [
        ("namespace", &["--service", "bank/reviews"], "the node says it is in the namespace bank"),
        (
            "account",
            &["--service-account", "admin"],
            "the node says it runs as the service account default/admin",
        ),
        // The id of the one above, which is of another service account.
        ("taken", &["--node-id", "own"], "the node id own is that of a workload of default/reviews"),
    ];
    for (name, args, why) in cases {
        let before = mesh.refused("xds", "node");
        let account = if name == "taken" { "default/other" } else { "default/reviews" };
        let token = mesh.token(&format!("token-{name}"), &["--service-account", account]);
        let dir = mesh.path(&format!("dir-{name}"));
        std::fs::create_dir(&dir).unwrap();
        let mut all = vec!["--trust-pin", &mesh.pin, "--join-token-file", token.to_str().unwrap()];
        all.extend(OUTBOUND);
        let id = if let ["--node-id", id] = args { *id } else { name };
        all.extend(args.iter().filter(|_| id == name));
        let other = Sidecar::start(&dir, id, mesh.plane.xds, &all);
        eventually(name, LIMIT, || other.process.said().contains(why));
        assert!(mesh.refused("xds", "node") > before);
    }
    assert_eq!(mesh.metric("weir_sidecars_connected"), 1, "the one that is itself is not disturbed");
}

#[test]
fn an_expired_certificate_and_a_foreign_one_are_refused() {
    let mesh = Mesh::start("2");
    let (token, key) = (mesh.join_token("default/reviews"), PrivateKey::generate().unwrap());
    let answer = mesh.exchange(&token, &key, None).unwrap();
    let fresh = identity(key, answer);
    mesh.renew(&fresh).unwrap();
    std::thread::sleep(Duration::from_millis(3500));
    let before = mesh.refused("xds", "handshake");
    let error = mesh.renew(&fresh).unwrap_err();
    eventually("the refusal is counted", LIMIT, || mesh.refused("xds", "handshake") > before);
    assert!(
        mesh.plane.process.said().contains("certificate expired"),
        "{error}\n{}",
        mesh.plane.process.said()
    );
    // Another control plane of the same name signed it.
    let other = Mesh::start("3600");
    let (token, key) = (other.join_token("default/reviews"), PrivateKey::generate().unwrap());
    let answer = other.exchange(&token, &key, None).unwrap();
    let before = mesh.refused("xds", "handshake");
    mesh.renew(&identity(key, answer)).unwrap_err();
    eventually("the refusal is counted", LIMIT, || mesh.refused("xds", "handshake") > before);
    assert!(mesh.plane.process.said().contains("UnknownIssuer"));
}

#[test]
fn roles_are_kept_by_token_and_by_certificate() {
    let mesh = Mesh::start("3600");
    let manifest = mesh.path("service.yaml");
    std::fs::write(&manifest, service()).unwrap();
    let apply = ["apply", "-f", manifest.to_str().unwrap()];
    let create = ["token", "create", "--service-account", "a/b"];
    let bundle = mesh.path("bundle.pem");
    mesh.learn_roots();
    for (role, may_write) in [("viewer", false), ("editor", true)] {
        let token = mesh.token(role, &["--role", role, "--name", "alice"]);
        let file = mesh.path(&format!("{role}.pem"));
        let out = file.to_str().unwrap();
        mesh.weir_ok(&["identity", "operator", "alice", "--role", role, "--out", out]);
        let certificate = ["--trust-bundle", bundle.to_str().unwrap(), "--identity", out];
        for how in ["token", "certificate"] {
            let run = |args: &[&str]| match how {
                "token" => mesh.weir(&token, args),
                _ => mesh.weir_showing(&certificate, args),
            };
            let before = mesh.refused("policy", "role");
            assert!(run(&["list"]).status.success(), "{role} by {how} may read: {}", error(&run(&["list"])));
            let written = run(&apply);
            assert_eq!(written.status.success(), may_write, "{role} by {how}: {}", error(&written));
            let made = run(&create);
            assert!(
                !made.status.success() && error(&made).contains("needs the role admin"),
                "{}",
                error(&made)
            );
            assert_eq!(mesh.refused("policy", "role") - before, if may_write { 1 } else { 2 });
        }
    }
    let history = mesh.weir_ok(&["history"]);
    assert!(history.contains("alice"), "who wrote is known: {history}");
    let nobody = mesh.weir_showing(&["--trust-pin", &mesh.pin], &["list"]);
    assert!(error(&nobody).contains("needs the role viewer"), "{}", error(&nobody));
    let plain = mesh.weir_showing(&[], &["list"]);
    assert!(error(&plain).contains("connect with TLS"), "{}", error(&plain));
    let tokens: serde_json::Value =
        serde_json::from_str(&mesh.weir_ok(&["token", "list", "-o", "json"])).unwrap();
    let viewer = tokens["tokens"].as_array().unwrap().iter().find(|token| token["role"] == "viewer").unwrap();
    mesh.weir_ok(&["token", "revoke", viewer["id"].as_str().unwrap()]);
    let revoked = mesh.weir(&mesh.path("viewer"), &["list"]);
    assert!(error(&revoked).contains("the token is not known"), "{}", error(&revoked));
    let wrong = Command::new(binary("weir"))
        .args([
            "--server",
            &mesh.plane.policy.to_string(),
            "--trust-pin",
            &format!("sha256:{}", "a".repeat(64)),
        ])
        .args(["--token-file", mesh.admin().to_str().unwrap(), "list"])
        .output()
        .unwrap();
    assert!(error(&wrong).contains("pinned"), "a token is shown to nobody else: {}", error(&wrong));
}

fn service() -> String {
    "apiVersion: v1\nkind: Service\nmetadata: {name: reviews, namespace: default}\n\
     spec: {selector: {app: reviews}, ports: [{name: http, port: 9080, appProtocol: http}]}\n"
        .to_owned()
}

/// The answers carry the number.
fn route(number: u64) -> String {
    format!(
        "{}---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: reviews, namespace: default}}\nspec:\n  \
         parentRefs: [{{group: \"\", kind: Service, name: reviews, port: 9080}}]\n  rules:\n  - filters: [{{type: ResponseHeaderModifier, \
         responseHeaderModifier: {{set: [{{name: x-number, value: \"{number}\"}}]}}}}]\n    backendRefs: [{{name: reviews, port: 9080}}]\n",
        service()
    )
}

/// Ends the load also when the test fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two sidecars under load while certificates live for five seconds: configuration goes on streaming, no request fails, no lease lapses; the root is
/// replaced and the control plane killed meanwhile.
#[test]
fn certificates_roots_and_control_planes_come_and_go_and_nobody_notices() {
    let mut mesh = Mesh::start("5");
    let backend = Backend::start("reviews");
    let inbound = format!("http=127.0.0.1:0={}", backend.address);
    mesh.apply(&route(0));
    let reviews = mesh.join_token("default/reviews");
    let reviews = mesh.sidecar("reviews", &reviews, &["--service", "default/reviews", "--inbound", &inbound]);
    let shop = mesh.join_token("default/shop");
    let shop = mesh.sidecar("shop", &shop, &[&OUTBOUND[..], &["--service", "default/shop"]].concat());
    let outbound = shop.outbound.unwrap();
    let call = || http::get(outbound, "reviews:9080", "/");
    let number = || call().ok().filter(|answer| answer.status == 200)?.header("x-number").map(str::to_owned);
    eventually("the mesh serves", LIMIT, || number().as_deref() == Some("0"));
    let (stop, made) = (AtomicBool::new(false), AtomicU64::new(0));
    let failed = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut failed = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match call() {
                    Ok(answer) if answer.status == 200 => {}
                    other => failed.push(format!("{other:?}")),
                }
                made.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
            failed
        });
        let _load_ends = SetOnDrop(&stop);
        for step in 1..=10 {
            mesh.apply(&route(step));
            eventually("a change is served", LIMIT, || number() == Some(step.to_string()));
            assert_eq!(mesh.metric("weir_workloads_joined"), 1, "the lease lapsed");
            match step {
                3 => {
                    mesh.weir_ok(&["identity", "rotate", "prepare"]);
                    mesh.learn_roots();
                }
                // Both sidecars have renewed since, and so heard of the next root.
                7 => drop(mesh.weir_ok(&["identity", "rotate", "activate"])),
                8 => mesh.restart(),
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(1100));
        }
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    assert!(
        failed.is_empty(),
        "{} of {} requests failed: {:?}",
        failed.len(),
        made.load(Ordering::Relaxed),
        failed.first()
    );
    for sidecar in [&reviews, &shop] {
        let renewed = sidecar.process.said().matches("this sidecar is spiffe://").count();
        assert!(renewed >= 3, "{renewed} certificates\n{}", sidecar.process.said());
    }
    let roots = mesh.weir_ok(&["identity", "bundle"]);
    assert_eq!(roots.matches("BEGIN CERTIFICATE").count(), 2, "old and new are trusted together");
}
