//! The real programs as child processes: their addresses are read from what they print, and none outlives its test.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a program may take until it says where it listens.
const START: Duration = Duration::from_secs(20);

/// A program of this workspace, as built for the same profile as the running test.
///
/// # Panics
/// It was not built.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join(name);
    assert!(
        path.exists(),
        "{} is not built; run `tests/run`, or `cargo build --workspace --bins` first",
        path.display()
    );
    path
}

/// A peer that `tests/peers/install` put into `target/peers`.
///
/// # Panics
/// It is not installed: a test that needs it must not pass without.
pub fn peer(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers").join(name);
    assert!(path.exists(), "{} is not installed; run `tests/peers/install`", path.display());
    path
}

/// A child process, killed when dropped. What it prints on standard error is in `log`.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with its standard error in a file of its own below `dir`.
    pub fn start(name: &str, dir: &Path, command: &mut Command) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdin(Stdio::null()).stderr(file).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { child, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(status.success(), "signal {name} to {}", self.id());
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it said on standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Reads `NAME listening a=ADDR b=ADDR …` from its standard output; the rest of the output is drained.
    fn addresses(&mut self, name: &str) -> BTreeMap<String, Vec<SocketAddr>> {
        let out = self.child.stdout.take().expect("standard output is piped");
        let (tx, rx) = mpsc::sync_channel(64);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // Nobody reads after the first line; what they print then must not stop them.
                let _nobody = tx.try_send(line);
            }
        });
        let prefix = format!("{name} listening ");
        loop {
            let line =
                rx.recv_timeout(START).unwrap_or_else(|_| panic!("{name} did not start:\n{}", self.said()));
            if let Some(rest) = line.strip_prefix(&prefix) {
                let mut addresses = BTreeMap::<String, Vec<SocketAddr>>::new();
                for (key, value) in rest.split_whitespace().filter_map(|word| word.split_once('=')) {
                    addresses.entry(key.to_owned()).or_default().extend(value.parse::<SocketAddr>());
                }
                return addresses;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = self.said();
            let from = said.len().saturating_sub(4000);
            let tail = said.get(from..).unwrap_or_default();
            std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("--- {}\n{tail}\n", self.log.display()).as_bytes(),
            )
            .unwrap();
        }
    }
}

/// A control plane.
#[derive(Debug)]
pub struct ControlPlane {
    /// The process.
    pub process: Process,
    /// The policy API.
    pub policy: SocketAddr,
    /// xDS.
    pub xds: SocketAddr,
    /// Probes and metrics.
    pub admin: SocketAddr,
}

impl ControlPlane {
    /// Starts one on free ports over the store in `dir`.
    pub fn start(dir: &Path) -> Self {
        Self::start_on(dir, "127.0.0.1:0", "127.0.0.1:0")
    }

    /// Starts one on these addresses, as after a crash.
    pub fn start_on(dir: &Path, policy: &str, xds: &str) -> Self {
        Self::start_with(dir, policy, xds, &[])
    }

    /// Starts one on these addresses with more arguments.
    pub fn start_with(dir: &Path, policy: &str, xds: &str, more: &[&str]) -> Self {
        let mut command = Command::new(binary("weir-control-plane"));
        command.arg("--data-dir").arg(dir.join("data"));
        command.args(["--policy-listen", policy, "--xds-listen", xds, "--admin-listen", "127.0.0.1:0"]);
        command.args(more);
        let mut process = Process::start("weir-control-plane", dir, command.stdout(Stdio::piped()));
        let addresses = process.addresses("weir-control-plane");
        let one = |key: &str| *addresses[key].first().unwrap();
        Self { policy: one("policy"), xds: one("xds"), admin: one("admin"), process }
    }

    /// Runs `weir` against it.
    pub fn weir(&self, args: &[&str]) -> Output {
        Command::new(binary("weir")).args(["--server", &self.policy.to_string()]).args(args).output().unwrap()
    }

    /// Runs `weir` against it with standard input; panics unless it succeeds.
    pub fn weir_ok(&self, args: &[&str]) -> String {
        let output = self.weir(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "weir {}: {error}", args.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Applies a manifest; panics unless it is accepted.
    pub fn apply(&self, manifest: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), manifest).unwrap();
        self.weir_ok(&["apply", "-f", file.path().to_str().unwrap()]);
    }

    /// `weir status` as JSON.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.weir_ok(&["status", "-o", "json"])).unwrap()
    }

    /// Waits until so many sidecars serve all that concerns them.
    pub fn wait_in_sync(&self, sidecars: usize) {
        crate::eventually(&format!("{sidecars} sidecars in sync"), Duration::from_secs(20), || {
            let status = self.status();
            let all = status["sidecars"].as_array().cloned().unwrap_or_default();
            all.iter().filter(|one| one["connected"] == true && one["inSync"] == true).count() >= sidecars
        });
    }
}

/// A sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// The process.
    pub process: Process,
    /// Where peers reach the application; one per `--inbound`.
    pub inbound: Vec<SocketAddr>,
    /// Where the application reaches the mesh.
    pub outbound: Option<SocketAddr>,
    /// Probes and metrics.
    pub admin: SocketAddr,
}

impl Sidecar {
    /// Starts one with its own state directory below `dir`; what is not in `args` is on free ports.
    pub fn start(dir: &Path, id: &str, xds: SocketAddr, args: &[&str]) -> Self {
        let mut command = Command::new(binary("weir-sidecar"));
        command.args(["--xds", &xds.to_string(), "--node-id", id]);
        if !args.contains(&"--workers") {
            command.args(["--workers", "1"]);
        }
        command.args(["--admin-listen", "127.0.0.1:0"]).arg("--state-dir").arg(dir.join(id)).args(args);
        let mut process = Process::start(id, dir, command.stdout(Stdio::piped()));
        let mut addresses = process.addresses("weir-sidecar");
        let admin = *addresses["admin"].first().unwrap();
        let outbound = addresses.get("outbound").and_then(|all| all.first().copied());
        Self { inbound: addresses.remove("inbound").unwrap_or_default(), outbound, admin, process }
    }

    /// Waits until it is ready.
    pub fn wait_ready(&self) {
        crate::eventually("the sidecar is ready", Duration::from_secs(20), || {
            crate::http::get(self.admin, "localhost", "/ready").is_ok_and(|answer| answer.status == 200)
        });
    }
}
