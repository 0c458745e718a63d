//! The command line: every flag is an environment variable too, and all mistakes are reported at once.
//!
//! [`Arguments`] is what clap reads, as text; [`Arguments::check`] turns it into [`Options`], whose values are all usable.

mod identity;
mod log_format;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use weir_config::ControlPlanes;
use weir_config::identity::IdentityOptions;
use weir_model::access_log::LogFormat;
use weir_model::{Fraction, Locality};

use parse::Wanted;

const EXAMPLES: &str = "\
Examples:
  A service: peers reach it on port 9080, it listens on 127.0.0.1:8080, and it calls others through 127.0.0.1:15001
    weir-sidecar --xds 127.0.0.1:15010 --service default/reviews --inbound 10.0.0.7:9080=8080 --outbound 127.0.0.1:15001

  The second version of a service, known by its labels, with traces
    weir-sidecar --xds weir:15010 --trust-pin sha256:… --join-token-file token --state-dir state --service default/reviews \\
      --label app=reviews --label version=v2 --inbound 10.0.0.8:9080=8080 --otlp http://collector:4317

  A database behind a local port, as plain TCP
    weir-sidecar --xds http://weir:15010 --service default/shop --outbound-tcp 127.0.0.1:5432=postgres.data:5432

  TLS that passes through, to port 443 of whichever service the server name (SNI) says
    weir-sidecar --xds weir:15010 --service default/shop --outbound-tls 127.0.0.1:15443

On the outbound listener the Host or :authority names the service: reviews, reviews.default, reviews.default.svc or
reviews.default.svc.cluster.local, each with or without its port.
SIGTERM drains: the control plane is told, what is in flight ends, then the process. A second one ends it at once.
With --handover PATH, starting another process with the same arguments replaces this one without refusing a connection.";

/// The data plane of weir, a service mesh: runs beside a service and carries its requests.
#[derive(Clone, Parser, Debug)]
#[command(name = "weir-sidecar", version, after_long_help = EXAMPLES, after_help = "--help shows examples.")]
pub(crate) struct Arguments {
    /// Control plane, HOST:PORT; several, separated by commas, are tried in turn. With whom to trust (--trust-pin, --trust-bundle) it is spoken to
    /// with TLS; plain text is for this machine, and for others where http://HOST:PORT says so.
    #[arg(long, env = "WEIR_XDS", value_name = "ADDR")]
    xds: Option<String>,
    #[command(flatten)]
    identity: identity::IdentityArguments,
    /// Name of this sidecar, unique in the mesh [default: the host's name and a random suffix, kept in the state directory].
    #[arg(long, env = "WEIR_NODE_ID", value_name = "ID")]
    node_id: Option<String>,
    /// The service this sidecar runs beside.
    #[arg(long, env = "WEIR_SERVICE", value_name = "NAMESPACE/NAME")]
    service: Option<String>,
    /// The service account this workload runs as; routes can be for some service accounts only [default: default].
    #[arg(long, env = "WEIR_SERVICE_ACCOUNT", value_name = "NAME")]
    service_account: Option<String>,
    /// Label of this workload; services select by labels. May be given several times [default: app=NAME of the service].
    #[arg(long, env = "WEIR_LABEL", value_name = "KEY=VALUE", value_delimiter = ',')]
    label: Vec<String>,
    /// Where this workload runs.
    #[arg(long, env = "WEIR_LOCALITY", value_name = "REGION/ZONE/SUBZONE")]
    locality: Option<String>,
    /// The cluster that this workload is one of, by the name that a control plane gives it: what asks for routing by zone compares its
    /// endpoints with this one's. weir's own control plane needs none.
    #[arg(long, env = "WEIR_LOCAL_CLUSTER", value_name = "NAME")]
    local_cluster: Option<String>,
    /// Take requests on LISTEN for the application at APP; both may be just a port. NAME is the service port's name, if the
    /// number does not tell. May be given several times.
    #[arg(long, env = "WEIR_INBOUND", value_name = "[NAME=]LISTEN=APP", value_delimiter = ',')]
    inbound: Vec<String>,
    /// Address at which peers reach inbound listeners that listen on 0.0.0.0 or ::.
    #[arg(long, env = "WEIR_ADVERTISE", value_name = "IP")]
    advertise: Option<String>,
    /// Take the application's HTTP requests here.
    #[arg(long, env = "WEIR_OUTBOUND", value_name = "LISTEN")]
    outbound: Option<String>,
    /// Take the application's TCP connections to a service on LISTEN. May be given several times.
    #[arg(long, env = "WEIR_OUTBOUND_TCP", value_name = "LISTEN=NAME.NAMESPACE:PORT", value_delimiter = ',')]
    outbound_tcp: Vec<String>,
    /// Take the application's TLS connections here; the server name (SNI) that each asks for names the service, whose port is PORT
    /// [default: 443]. The TLS passes through. May be given several times.
    #[arg(long, env = "WEIR_OUTBOUND_TLS", value_name = "LISTEN[=PORT]", value_delimiter = ',')]
    outbound_tls: Vec<String>,
    /// A service that will be called: its configuration is there before the first request. May be given several times.
    #[arg(long, env = "WEIR_UPSTREAM", value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    upstream: Vec<String>,
    /// Admin endpoint: /ready /live /metrics /config_dump /clusters /drain.
    #[arg(long, env = "WEIR_ADMIN_LISTEN", value_name = "LISTEN", default_value = "127.0.0.1:15000")]
    admin_listen: String,
    /// Send traces to this OpenTelemetry collector (OTLP over gRPC), such as http://127.0.0.1:4317.
    #[arg(long, env = "WEIR_OTLP", value_name = "URL")]
    otlp: Option<String>,
    /// Share of the requests without a caller's decision that are traced, from 0 to 1 [default: 1 with --otlp].
    #[arg(long, env = "WEIR_TRACE_SAMPLING", value_name = "RATIO")]
    trace_sampling: Option<String>,
    /// Write a line to stdout for every request: weir's own JSON, or the text that Envoy writes.
    #[arg(long, env = "WEIR_ACCESS_LOG", value_name = "json|text", num_args = 0..=1, default_missing_value = "json")]
    access_log: Option<String>,
    /// What such a line says: text with Envoy's command operators, such as '%RESPONSE_CODE% %REQ(:PATH)%', or a JSON object of such
    /// texts. Implies --access-log.
    #[arg(long, env = "WEIR_ACCESS_LOG_FORMAT", value_name = "FORMAT")]
    access_log_format: Option<String>,
    /// Threads that carry requests [default: one for each processor that this process may use].
    #[arg(long, env = "WEIR_WORKERS", value_name = "N")]
    workers: Option<String>,
    /// Keep the last good configuration here, so that a start without a control plane serves as before.
    #[arg(long, env = "WEIR_STATE_DIR", value_name = "DIR")]
    state_dir: Option<String>,
    /// On SIGTERM and /drain, how long peers have to learn that this sidecar goes before it turns anything away.
    #[arg(long, env = "WEIR_DRAIN_PAUSE", value_name = "DURATION", default_value = "2s")]
    drain_pause: String,
    /// On SIGTERM, how long what is in flight may take after that.
    #[arg(long, env = "WEIR_DRAIN_DEADLINE", value_name = "DURATION", default_value = "30s")]
    drain_deadline: String,
    /// Unix socket for binary upgrades. If a sidecar serves there, this one takes its listening sockets over once it serves its
    /// own configuration, and the other one drains; then this one waits there for its successor. The directory must be closed to
    /// other users (mode 0700); it is made if it is missing.
    #[arg(long, env = "WEIR_HANDOVER", value_name = "PATH")]
    handover: Option<String>,
    /// On a takeover, how long the new process may take until it serves its configuration. After that it gives up, and the old
    /// one goes on.
    #[arg(long, env = "WEIR_HANDOVER_TIMEOUT", value_name = "DURATION", default_value = "60s")]
    handover_timeout: String,
}

/// What the sidecar runs with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Options {
    pub(crate) control_planes: ControlPlanes,
    /// Who it is to control planes that are spoken to with TLS.
    pub(crate) identity: Option<IdentityOptions>,
    pub(crate) node_id: Option<String>,
    /// Namespace and name.
    pub(crate) service: Option<(String, String)>,
    pub(crate) service_account: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) locality: Locality,
    pub(crate) local_cluster: Option<String>,
    pub(crate) inbound: Vec<InboundOption>,
    pub(crate) outbound: Option<SocketAddr>,
    /// Where to listen, and the service.
    pub(crate) outbound_tcp: Vec<(SocketAddr, String)>,
    pub(crate) outbound_tls: Vec<(SocketAddr, u16)>,
    pub(crate) upstreams: BTreeSet<String>,
    pub(crate) admin: SocketAddr,
    pub(crate) otlp: Option<String>,
    /// Absent: requests are not traced.
    pub(crate) sampling: Option<Fraction>,
    /// Whether its listeners log.
    pub(crate) access_log: bool,
    /// What a line says if nobody else says it.
    pub(crate) log_format: LogFormat,
    pub(crate) workers: usize,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) drain_pause: Duration,
    pub(crate) drain_deadline: Duration,
    /// Where sockets change hands.
    pub(crate) handover: Option<PathBuf>,
    pub(crate) handover_timeout: Duration,
}

/// An inbound listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct InboundOption {
    /// The service port's name; empty if the number tells.
    pub(crate) name: String,
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// The address at which peers reach it.
    pub(crate) advertised: IpAddr,
    /// Where the application listens.
    pub(crate) app: SocketAddr,
}

impl Arguments {
    /// The values, or every mistake with its mend.
    pub(crate) fn check(self, processors: usize) -> Result<Options, Vec<String>> {
        let mut wanted = Wanted::default();
        let service = wanted.optional("--service", self.service, parse::service);
        let service_account =
            wanted.optional("--service-account", self.service_account, parse::service_account);
        let advertise = wanted.optional("--advertise", self.advertise, parse::advertised);
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for (key, value) in wanted.each("--label", self.label, parse::label) {
            if let Some(other) = labels.insert(key.clone(), value.clone()).filter(|other| *other != value) {
                wanted.mistake(
                    "--label",
                    &key,
                    format!("has two values, {other:?} and {value:?}; give it once"),
                );
            }
        }
        if let (true, Some((_, name))) = (labels.is_empty(), &service) {
            labels.insert("app".to_owned(), name.clone());
        }
        let mut inbound = Vec::new();
        for (name, listen, app) in wanted.each("--inbound", self.inbound, parse::inbound) {
            let advertised = match (listen.ip().is_unspecified(), advertise) {
                (false, _) => listen.ip(),
                (true, Some(advertise)) => advertise,
                (true, None) => {
                    let mend = "is not an address that peers can reach; give their address in its place, or as --advertise IP";
                    wanted.mistake("--inbound", &listen.to_string(), mend.to_owned());
                    continue;
                }
            };
            if app == listen {
                wanted.mistake(
                    "--inbound",
                    &listen.to_string(),
                    "leads to itself; APP is where the application listens".to_owned(),
                );
            }
            inbound.push(InboundOption { name, listen, advertised, app });
        }
        if !inbound.is_empty() && service.is_none() && labels.is_empty() {
            wanted.mistake(
                "--inbound",
                "",
                "joins a service, and none is named; add --service NAMESPACE/NAME".to_owned(),
            );
        }
        let outbound = wanted.optional("--outbound", self.outbound, parse::local);
        let outbound_tcp = wanted.each("--outbound-tcp", self.outbound_tcp, parse::outbound_tcp);
        let outbound_tls = wanted.each("--outbound-tls", self.outbound_tls, parse::outbound_tls);
        let admin = wanted.optional("--admin-listen", Some(self.admin_listen), parse::local);
        let log_kind = wanted.optional("--access-log", self.access_log, log_format::kind);
        let log_format = wanted.optional("--access-log-format", self.access_log_format, log_format::format);
        let access_log = match log_kind {
            Some(kind) => kind.is_some(),
            None => log_format.is_some(),
        };
        if let (Some(Some(log_format::Kind::Json)), Some(LogFormat::Text { .. })) = (log_kind, &log_format) {
            let mend = "is text where --access-log asks for json; write a JSON object, or --access-log text";
            wanted.mistake("--access-log-format", "", mend.to_owned());
        }
        let log_format = log_format.unwrap_or_else(|| log_format::usual(log_kind.flatten()));
        let otlp = wanted.optional("--otlp", self.otlp, parse::otlp);
        let sampling = wanted.optional("--trace-sampling", self.trace_sampling, parse::ratio);
        let state_dir =
            wanted.optional("--state-dir", self.state_dir, |directory| Ok(PathBuf::from(directory)));
        let identity = self.identity.check(&mut wanted, state_dir.as_deref());
        let secured = identity.is_some();
        let control_planes = wanted
            .required("--xds", self.xds.unwrap_or_default(), |text| parse::control_planes(text, secured));
        let options = Options {
            identity: identity.filter(|_| control_planes.any_tls()),
            control_planes,
            node_id: wanted.optional("--node-id", self.node_id, parse::node_id),
            local_cluster: self.local_cluster.filter(|name| !name.is_empty()),
            locality: wanted.optional("--locality", self.locality, |text| text.parse()).unwrap_or_default(),
            upstreams: wanted
                .each("--upstream", self.upstream, parse::service)
                .into_iter()
                .map(|(namespace, name)| format!("{namespace}/{name}"))
                .collect(),
            sampling: sampling.or(otlp.as_ref().map(|_| Fraction(1_000_000))),
            access_log,
            log_format,
            workers: wanted.optional("--workers", self.workers, parse::workers).unwrap_or(processors),
            state_dir,
            drain_pause: wanted.required("--drain-pause", self.drain_pause, parse::duration),
            drain_deadline: wanted.required("--drain-deadline", self.drain_deadline, parse::duration),
            handover: wanted.optional("--handover", self.handover, parse::socket_path),
            handover_timeout: wanted.required("--handover-timeout", self.handover_timeout, parse::duration),
            admin: admin.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 15000))),
            service,
            service_account,
            labels,
            inbound,
            outbound,
            outbound_tcp,
            outbound_tls,
            otlp,
        };
        options.check_listeners(&mut wanted);
        wanted.finish(options)
    }
}

impl Options {
    /// Every address on which it is to listen, with the flag that says so.
    fn listeners(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let inbound = self.inbound.iter().map(|inbound| ("--inbound", inbound.listen));
        let outbound = self.outbound.map(|listen| ("--outbound", listen));
        let tcp = self.outbound_tcp.iter().map(|(listen, _)| ("--outbound-tcp", *listen));
        let tls = self.outbound_tls.iter().map(|(listen, _)| ("--outbound-tls", *listen));
        inbound.chain(outbound).chain(tcp).chain(tls).chain([("--admin-listen", self.admin)])
    }

    fn check_listeners(&self, wanted: &mut Wanted) {
        let mut taken: BTreeMap<SocketAddr, &str> = BTreeMap::new();
        for (flag, listen) in self.listeners().filter(|(_, listen)| listen.port() != 0) {
            if let Some(other) = taken.insert(listen, flag) {
                wanted.mistake(
                    flag,
                    &listen.to_string(),
                    format!("is listened on already ({other}); choose another port"),
                );
            }
        }
        // A listener that was given and is wrong is a mistake already.
        let outbound =
            self.outbound.is_some() || !self.outbound_tcp.is_empty() || !self.outbound_tls.is_empty();
        let nothing = self.inbound.is_empty() && !outbound;
        if nothing && wanted.is_flawless() {
            wanted.mistake(
                "--inbound",
                "",
                "--outbound, --outbound-tcp or --outbound-tls is needed; without any there is nothing to carry".to_owned(),
            );
        }
    }
}

#[cfg(test)]
mod tests;
