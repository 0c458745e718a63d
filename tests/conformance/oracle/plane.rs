//! The two data planes as processes: a stock Envoy and the sidecar as it is shipped, both with one worker, both fed by [`weir_tests::ads`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use weir_tests::ads::{Ads, Refusal};
use weir_tests::envoy::Bootstrap;
use weir_tests::resources::{self, LISTENER, Manager, pack};
use weir_tests::{Process, binary, eventually, http};

use crate::backend::{self, Notes};
use crate::client::Client;
use crate::request::{Logged, Outcome, Request};
use crate::rules::pb;

/// How long a data plane may take over a change.
const CHANGE: Duration = Duration::from_secs(10);

/// How long the last log lines may take.
const LOG: Duration = Duration::from_secs(3);

/// A data plane with its own backends.
pub(crate) struct Plane {
    pub(crate) name: &'static str,
    pub(crate) entrance: SocketAddr,
    pub(crate) process: Process,
    log: PathBuf,
    client: Client,
    notes: Notes,
    /// Holds the port of the cluster nobody listens for.
    _refusing: TcpListener,
    /// Holds the port of the entrance until its listener comes, and after it.
    _held: Option<tokio::net::TcpSocket>,
}

impl Plane {
    /// A stock Envoy.
    pub(crate) fn envoy(dir: &Path, ads: &Ads, manager: &Manager) -> Self {
        // Held beside Envoy's own socket, so that nobody else gets the port; it never listens.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.set_reuseport(true).unwrap();
        held.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let entrance = held.local_addr().unwrap();
        let node = "{id: envoy, cluster: oracle}";
        let more = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n";
        let bootstrap = Bootstrap { xds: ads.address, api: "DELTA_GRPC", node, more };
        let mut command = bootstrap.command(dir, "envoy");
        command
            .args(["--file-flush-interval-msec", "50", "--admin-address-path"])
            .arg(dir.join("envoy.admin"));
        Self { _held: Some(held), ..Self::start("envoy", dir, (ads, manager), command, |_| entrance) }
    }

    /// The sidecar.
    pub(crate) fn weir(dir: &Path, ads: &Ads, manager: &Manager) -> Self {
        let mut command = Command::new(binary("weir-sidecar"));
        command.args(["--xds", &ads.address.to_string(), "--node-id", "weir", "--workers", "1"]);
        command.args(["--admin-listen", "127.0.0.1:0", "--outbound", "127.0.0.1:0", "--access-log"]);
        command.arg("--state-dir").arg(dir.join("state"));
        Self::start("weir", dir, (ads, manager), command, |said| {
            let mut found = None;
            eventually("the sidecar says where it listens", CHANGE, || {
                let text = std::fs::read_to_string(said).unwrap_or_default();
                let words = text.lines().find_map(|line| line.strip_prefix("weir-sidecar listening "));
                let word =
                    words.and_then(|words| words.split(' ').find_map(|word| word.strip_prefix("outbound=")));
                found = word.and_then(|word| word.parse().ok());
                found.is_some()
            });
            found.unwrap()
        })
    }

    fn start(
        name: &'static str,
        dir: &Path,
        (ads, manager): (&Ads, &Manager),
        mut command: Command,
        entrance: impl Fn(&Path) -> SocketAddr,
    ) -> Self {
        let log = dir.join(format!("{name}.out"));
        let out = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let process = Process::start(name, dir, command.stdout(Stdio::from(out)));
        let entrance = entrance(&log);
        let notes = Notes::default();
        // Bound and never listened on: nobody else gets the port, and connections to it are refused.
        let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = SocketAddr::from(([127, 0, 0, 2], refusing.local_addr().unwrap().port()));
        let [alpha, beta, gamma] = ["alpha", "beta", "gamma"].map(|name| backend::http1(name, &notes));
        let clusters = [
            ("alpha", vec![alpha]),
            ("beta", vec![beta]),
            ("gamma", vec![gamma]),
            ("delta", vec![backend::http2("delta", &notes)]),
            ("empty", vec![]),
            ("refused", vec![refused]),
        ];
        let mut all = Vec::new();
        for (name, addresses) in clusters {
            all.push((name.to_owned(), pack(&resources::cluster(name, name == "delta"))));
            all.push((name.to_owned(), pack(&named(name, resources::endpoints(name, &addresses)))));
        }
        let listener = resources::listener(entrance, manager);
        all.push((LISTENER.to_owned(), pack(&listener)));
        ads.put(name, all);
        Self {
            name,
            entrance,
            process,
            log,
            client: Client::new(entrance),
            notes,
            _refusing: refusing,
            _held: None,
        }
    }

    /// Gives it other routes; what it refuses.
    pub(crate) fn apply(&self, ads: &Ads, routes: &pb::RouteConfiguration) -> Vec<Refusal> {
        ads.put(self.name, vec![(routes.name.clone(), pack(routes))]);
        self.settled(ads)
    }

    /// Waits until it has answered to everything; what it refuses.
    pub(crate) fn settled(&self, ads: &Ads) -> Vec<Refusal> {
        ads.settled(self.name, CHANGE).unwrap_or_else(|error| panic!("{error}\n{}", self.process.said()))
    }

    /// Waits until its worker answers a request for `host` with this body.
    pub(crate) fn serves(&self, host: &str, body: &str) {
        eventually(&format!("{} serves {body}", self.name), CHANGE, || {
            http::get(self.entrance, host, "/").is_ok_and(|answer| answer.text() == body)
        });
    }

    /// One request, and all that came of it.
    pub(crate) fn ask(&mut self, request: &Request) -> Outcome {
        self.notes.lock().unwrap().clear();
        let answer = self.client.ask(request);
        let mut seen = std::mem::take(&mut *self.notes.lock().unwrap());
        for seen in &mut seen {
            seen.headers.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        Outcome { answer, seen, logged: None }
    }

    /// The access log, by the numbers of requests. Waits until these are there, or for a few seconds.
    pub(crate) fn logged(&self, numbers: impl Iterator<Item = usize> + Clone) -> BTreeMap<usize, Logged> {
        let deadline = Instant::now() + LOG;
        loop {
            let logged = parse(&std::fs::read_to_string(&self.log).unwrap_or_default());
            if numbers.clone().all(|number| logged.contains_key(&number)) || Instant::now() > deadline {
                return logged;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Of several lines with one number the last counts: an earlier one is of a split that fell the other way.
fn parse(text: &str) -> BTreeMap<usize, Logged> {
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let Ok(json) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let field = |name: &str| match &json[name] {
            serde_json::Value::String(text) if text == "-" => String::new(),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        // Which of several came first says nothing.
        let flags = field("response_flags");
        let flags: BTreeSet<&str> = flags.split(',').collect();
        let logged = Logged {
            status: field("status"),
            flags: flags.into_iter().collect::<Vec<_>>().join(","),
            route: field("route"),
            cluster: field("cluster"),
        };
        if let Ok(number) = field("case").parse() {
            all.insert(number, logged);
        }
    }
    all
}

/// The same endpoints with a host name each, which only routes look at that ask for it; none for those of `beta`.
fn named(cluster: &str, mut assignment: resources::Assignment) -> resources::Assignment {
    for endpoint in assignment.endpoints.iter_mut().flat_map(|locality| &mut locality.lb_endpoints) {
        if let (Some(resources::HostIdentifier::Endpoint(one)), true) =
            (&mut endpoint.host_identifier, cluster != "beta")
        {
            one.hostname = format!("{cluster}.endpoint.test");
        }
    }
    assignment
}
