//! The program itself: what it prints, what its admin endpoint answers without a control plane, and how it ends.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn sidecar(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-sidecar"));
    // Only what the test says.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A sidecar that runs, with the addresses it printed.
struct Running {
    child: Child,
    addresses: Vec<(String, SocketAddr)>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        // Nothing listens on port 1.
        let usual = ["--xds", "127.0.0.1:1", "--admin-listen", "127.0.0.1:0", "--workers", "2"];
        let mut child = sidecar(&[&usual, arguments].concat()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let rest =
            line.trim_end().strip_prefix("weir-sidecar listening ").unwrap_or_else(|| panic!("{line:?}"));
        let pair = |text: &str| {
            text.split_once('=').map(|(what, address)| (what.to_owned(), address.parse().unwrap()))
        };
        Self { child, addresses: rest.split(' ').map(|text| pair(text).unwrap()).collect() }
    }

    fn address(&self, what: &str) -> SocketAddr {
        self.addresses.iter().find(|(name, _)| name == what).unwrap().1
    }

    fn ask(&self, what: &str, method: &str, target: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(self.address(what)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn terminate(mut self) -> Output {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        let status = self.child.wait().unwrap();
        let mut stderr = Vec::new();
        self.child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        Output { status, stdout: Vec::new(), stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone if the test came to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn all_mistakes_are_printed_and_the_status_is_2() {
    let output = sidecar(&["--outbound", "nowhere", "--label", "x", "--workers", "0"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for flag in ["--xds", "--outbound", "--label", "--workers"] {
        assert!(text.contains(&format!("error: {flag}")), "{flag}: {text}");
    }
    assert!(text.contains("--help"), "{text}");
}

#[test]
fn variables_count_like_flags() {
    let output = sidecar(&[]).env("WEIR_XDS", "nowhere").env("WEIR_INBOUND", "1=0,2").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("--xds nowhere") && text.contains("--inbound 1=0") && text.contains("--inbound 2"),
        "{text}"
    );
}

#[test]
fn help_has_examples() {
    let output = sidecar(&["--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("Examples:") && text.contains("WEIR_STATE_DIR"),
        "{text}"
    );
}

#[test]
fn without_a_control_plane_it_lives_says_why_it_is_not_ready_and_ends_when_told() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let arguments =
        ["--outbound", "127.0.0.1:0", "--inbound", "127.0.0.1:0=8080", "--service", "shop/reviews"];
    let more = ["--drain-pause", "200ms", "--state-dir", state.to_str().unwrap()];
    let sidecar = Running::start(&[&arguments[..], &more].concat());
    assert!(sidecar.ask("admin", "GET", "/live", "localhost").starts_with("HTTP/1.1 200"));
    let ready = sidecar.ask("admin", "GET", "/ready", "127.0.0.1");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("http://127.0.0.1:1"), "{ready}");
    assert!(sidecar.ask("admin", "GET", "/live", "evil.example").starts_with("HTTP/1.1 403"));
    assert!(sidecar.ask("admin", "GET", "/drain", "localhost").starts_with("HTTP/1.1 405"));
    let dump = sidecar.ask("admin", "GET", "/config_dump", "localhost");
    let inbound = sidecar.address("inbound").to_string();
    assert!(dump.contains("\"namespace\": \"shop\"") && dump.contains(&inbound), "{dump}");
    let metrics = sidecar.ask("admin", "GET", "/metrics", "localhost");
    assert!(metrics.contains("weir_config_connected 0") && metrics.contains("weir_build_info"), "{metrics}");
    let refused = sidecar.ask("outbound", "GET", "/", "reviews");
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    let id = std::fs::read_to_string(state.join("node-id")).unwrap();
    assert!(dump.contains(&id), "{id}");
    let output = sidecar.terminate();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains("drained"), "{log}");
}

#[test]
fn a_port_that_is_taken_is_an_error_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = sidecar(&["--xds", "127.0.0.1:1", "--outbound", &address, "--admin-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: --outbound: cannot listen on"), "{text}");
}

/// A sidecar without a control plane has nothing to serve, so none can take over from it; but it is found.
#[test]
fn a_handover_needs_a_closed_directory_the_same_name_and_something_to_serve() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let door = directory.path().join("doors").join("a.sock");
    let door = door.to_str().unwrap();
    let usual = ["--outbound", "127.0.0.1:0", "--drain-pause", "0s", "--handover", door];
    let running = Running::start(&[&usual[..], &["--node-id", "a"]].concat());
    let next = |more: &[&str]| {
        let fixed = ["--xds", "127.0.0.1:1", "--admin-listen", "127.0.0.1:0"];
        let output = sidecar(&[&fixed[..], &usual[..], more].concat()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        text
    };
    let text = next(&["--handover-timeout", "300ms"]);
    assert!(text.contains("the running sidecar goes on"), "{text}");
    let text = next(&["--node-id", "b"]);
    assert!(text.contains("--node-id b") && text.contains("\"a\""), "{text}");
    assert!(running.ask("admin", "GET", "/live", "localhost").starts_with("HTTP/1.1 200"));
    let doors = directory.path().join("doors");
    std::fs::set_permissions(&doors, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = next(&[]);
    assert!(text.contains("error: --handover") && text.contains("chmod 700"), "{text}");
    let output = running.terminate();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!std::path::Path::new(door).exists(), "the way is clear for the next one");
}
