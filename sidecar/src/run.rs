//! Wiring: sockets first, since their addresses are part of who this sidecar is; then the last good configuration and the
//! control plane; then, when another process has yielded if there was one, workers and the admin endpoint; then waiting for the
//! end, or for a successor.

pub(crate) mod sockets;

use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;
use weir_config::{Config, ConfigOptions, ConfigStatus, Demand, Snapshot};
use weir_model::node::{Node, Target};
use weir_proxy::{Entrance, HealthArgs, Kin, TelemetryArgs, WorkerArgs};
use weir_runtime::drain::Drain;
use weir_runtime::random::entropy_seed;
use weir_runtime::signals::{Signals, Stop};
use weir_runtime::workers::{WorkerId, Workers};
use weir_telemetry::access_log::{self, AccessLog, AccessLogHandle};
use weir_telemetry::export::{Exporter, ExporterConfig, ExporterHandle, Resource, SpanSink};
use weir_telemetry::metrics::{Registry, names};

use crate::admin::{self, Admin};
use crate::arguments::Options;
use crate::handover::{Beginning, Handover, Takeover};
use crate::identity;
use crate::lifecycle::Lifecycle;
use sockets::Sockets;

/// How long the last spans and log lines may take to leave.
const FLUSH: Duration = Duration::from_secs(2);
/// How long the configuration task may take to end.
const CONFIG_END: Duration = Duration::from_secs(3);
/// How often metrics that stand still are looked for.
const METRICS_GENERATION: Duration = Duration::from_secs(60);
/// How long workers may take to end once everything is to be dropped.
const WORKERS_END: Duration = Duration::from_secs(1);
/// How long streams that are cut off may take to tell their callers.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the sidecar until it is told to stop.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot listen for signals")?;
    weir_runtime::limits::raise_open_files();
    let state_dir = options.state_dir.clone();
    if let Some(directory) = &state_dir {
        std::fs::create_dir_all(directory).with_context(|| {
            format!(
                "cannot make the state directory {}; choose another with --state-dir",
                directory.display()
            )
        })?;
    }
    let beginning = match &options.handover {
        Some(path) => tokio::select! {
            begun = Takeover::begin(path, options.handover_timeout) => Some(begun.context("--handover")?),
            _ = signals.next() => return Ok(()),
        },
        None => None,
    };
    let (mut place, mut takeover) = match beginning {
        Some(Beginning::First(place)) => (Some(place), None),
        Some(Beginning::After(takeover)) => (None, Some(takeover)),
        None => (None, None),
    };
    let inherited = takeover.as_mut().map(|takeover| std::mem::take(&mut takeover.listening));
    let sockets = Sockets::bind(&options, inherited.unwrap_or_default())?;
    let predecessor = takeover.as_ref().map(|takeover| takeover.node_id.clone());
    let takes_over = predecessor.is_some();
    let node = node(&options, &sockets, state_dir.as_deref(), predecessor)?;
    let telemetry = Telemetry::start(&options, &node)?;
    let identity = match options.identity.clone() {
        Some(identity) => {
            let started = weir_config::identity::start(identity, options.control_planes.clone());
            Some(started.map_err(|why| anyhow::anyhow!(why)).context("the identity cannot be used")?)
        }
        None => None,
    };
    let (snapshots, demand, status, config) = Config::start(ConfigOptions {
        identity: identity.clone(),
        local_cluster: options.local_cluster.clone(),
        control_planes: options.control_planes.clone(),
        node: node.clone(),
        state_dir,
        workers: options.workers,
        bound: sockets.bound.clone(),
        seed: entropy_seed(),
    });
    admin::metrics::register(&telemetry.registry, &status, &snapshots);
    let lifecycle = Lifecycle::new();
    let drain = Rc::new(Drain::new());
    let admin = Rc::new(Admin {
        node: node.clone(),
        status: status.clone(),
        snapshots: snapshots.clone(),
        lifecycle: lifecycle.clone(),
        listeners: sockets.required.clone(),
        registry: telemetry.registry.clone(),
        bound: sockets.admin.1.ip(),
    });
    if let (Some(takeover), Some(path)) = (takeover, &options.handover) {
        tracing::info!("taking over from the sidecar at {}", path.display());
        let serving = serving(&admin, snapshots.clone());
        tokio::select! {
            yielded = takeover.complete(path, serving, &status, options.handover_timeout) => {
                place = Some(yielded.context("--handover")?);
            }
            _ = signals.next() => return Ok(()),
        }
    }
    let workers = start_workers(sockets.workers, &telemetry, &snapshots, &demand, &drain)?;
    let admin_task = tokio::task::spawn_local(admin::serve(sockets.admin.0, admin.clone()));
    let health = HealthArgs {
        snapshots: snapshots.clone(),
        registry: telemetry.registry.clone(),
        seed: entropy_seed(),
    };
    tokio::task::spawn_local(weir_proxy::watch_health(health));
    tokio::task::spawn_local(expire(telemetry.registry.clone()));
    // Held to the end, whether or not anybody can ask for it.
    let place = place.map(Rc::new);
    let handover = options.handover.as_ref().zip(place.clone()).map(|(path, place)| {
        Handover::open(path, place, sockets.kept, node.id, status.clone(), options.handover_timeout)
    });
    let handover = match handover.transpose().context("--handover") {
        // The other one has yielded: nobody else serves.
        Err(error) if takes_over => {
            tracing::error!("{error:#}; serving all the same, but no other process can take over");
            None
        }
        opened => opened?,
    };
    // Whoever reads this may start a successor.
    announce(&sockets.announcement);
    tokio::task::spawn_local(announce_ready(admin, snapshots, status.clone()));
    let succeeded = Rc::new(Cell::new(false));
    let tell = {
        let (status, drain, succeeded) = (status.clone(), drain.clone(), succeeded.clone());
        move || {
            // After that a successor holds the lease.
            if !succeeded.get() {
                status.leave();
                drain.leave(true);
            }
        }
    };
    let heard = {
        let (status, succeeded) = (status.clone(), succeeded.clone());
        async move {
            if !succeeded.get() {
                status.gone().await;
            }
        }
    };
    tokio::task::spawn_local(lifecycle.clone().run(tell, heard, options.drain_pause));

    tokio::select! {
        _ = signals.next() => {
            if let Some(handover) = handover {
                handover.close();
            }
        }
        () = has_successor(handover.as_ref()) => {
            // For a moment both have accepted connections from the same sockets, which harms nobody.
            drain.leave(false);
            admin_task.abort();
            succeeded.set(true);
            status.hand_over();
            if let Some(handover) = handover {
                handover.leave();
            }
            tracing::info!("another process has taken over; this one ends when its connections have");
        }
    }
    // Whoever comes next may begin: this one takes nothing new for long.
    drop(place);
    lifecycle.leave();
    tokio::select! {
        () = lifecycle.left() => {}
        Stop::Now = next_stop(&mut signals) => return Ok(()),
    }
    tracing::info!("draining {} connections, at most {:?}", drain.open(), options.drain_deadline);
    drain.start(options.drain_deadline);
    let open = tokio::select! {
        open = drain.drained() => open,
        Stop::Now = next_stop(&mut signals) => drain.open(),
    };
    match open {
        0 => tracing::info!("drained"),
        open => {
            tracing::warn!("{open} connections are cut off");
            drain.end(LAST_WORDS);
            drain.drained().await;
        }
    }
    drain.stop();
    let ended = tokio::task::spawn_blocking(move || workers.join());
    // A worker that hangs is cut off by the process's end.
    let _ = tokio::time::timeout(WORKERS_END, ended).await;
    telemetry.end().await;
    status.close();
    let _ = tokio::time::timeout(CONFIG_END, config).await;
    Ok(())
}

/// Waits for the signal that insists.
async fn next_stop(signals: &mut Signals) -> Stop {
    loop {
        if signals.next().await == Stop::Now {
            return Stop::Now;
        }
    }
}

/// Waits until another process has taken over; for ever where none can.
async fn has_successor(handover: Option<&Handover>) {
    match handover {
        Some(handover) => handover.succeeded().await,
        None => std::future::pending().await,
    }
}

/// Waits until every listener has its configuration.
async fn serving(admin: &Admin, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    while admin.unready().is_some() {
        // What is published last stays in force even when the publisher is gone.
        if snapshots.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Who this sidecar is. A successor is who its predecessor was, to the control plane and to all peers.
fn node(
    options: &Options,
    sockets: &Sockets,
    state_dir: Option<&Path>,
    predecessor: Option<String>,
) -> anyhow::Result<Node> {
    if let (Some(own), Some(other)) = (&options.node_id, &predecessor)
        && own != other
    {
        bail!(
            "--node-id {own}: the sidecar at --handover is {other:?}; give this one the same name, or another PATH"
        );
    }
    let id = options.node_id.clone().or(predecessor).unwrap_or_else(|| {
        identity::node_id(state_dir, entropy_seed()).unwrap_or_else(|error| {
            tracing::warn!(
                "cannot keep a node id in the state directory: {error}; it will be another after a restart"
            );
            identity::new_node_id(entropy_seed())
        })
    });
    let (namespace, service) =
        options.service.clone().unwrap_or_else(|| ("default".to_owned(), String::new()));
    Ok(Node {
        id,
        target: Target::Weir,
        namespace,
        service,
        service_account: options
            .service_account
            .clone()
            .unwrap_or_else(|| weir_model::mesh::SERVICE_ACCOUNT.to_owned()),
        labels: options.labels.clone(),
        locality: options.locality.clone(),
        outbound: sockets.outbound,
        outbound_tcp: sockets.outbound_tcp.clone(),
        inbound: sockets.inbound.clone(),
        upstreams: options.upstreams.clone(),
        uses: Default::default(),
        sampling: options.sampling,
        access_log: options.access_log,
    })
}

/// Where spans, metrics and log lines go.
struct Telemetry {
    registry: Registry,
    spans: SpanSink,
    exporter: Option<ExporterHandle>,
    access_log: AccessLog,
    log: AccessLogHandle,
}

impl Telemetry {
    fn start(options: &Options, node: &Node) -> anyhow::Result<Self> {
        let registry = Registry::new();
        registry.observe(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], || 1.0);
        let (spans, exporter) = match &options.otlp {
            Some(endpoint) => {
                let name = if node.service.is_empty() { "weir-sidecar" } else { &node.service };
                let resource = Resource {
                    service_name: name.to_owned(),
                    service_namespace: node.namespace.clone(),
                    service_instance_id: node.id.clone(),
                    service_version: String::new(),
                    node_id: node.id.clone(),
                };
                let config =
                    ExporterConfig { endpoint: endpoint.clone(), resource, ..ExporterConfig::default() };
                let (spans, exporter) = Exporter::start(config).context("--otlp")?;
                let counts = exporter.counts_reader();
                let show = |outcome: &str, read: fn(weir_telemetry::export::ExportCounts) -> u64| {
                    let counts = counts.clone();
                    registry.observe(&names::SPANS, &[outcome], move || read(counts()) as f64);
                };
                show("exported", |counts| counts.exported);
                show("dropped_queue_full", |counts| counts.dropped_queue_full);
                show("dropped_export_failed", |counts| counts.dropped_export_failed);
                (spans, Some(exporter))
            }
            None => (SpanSink::disabled(), None),
        };
        // Listeners may ask for lines whatever this process was started with.
        let started = AccessLog::start(std::io::stdout(), std::io::stderr(), access_log::DEFAULT_QUEUE);
        let (access_log, log) = started.context("cannot start the access log")?;
        let access_log = access_log.with_default(options.log_format.clone());
        let dropped = log.dropped_reader();
        registry.observe(&names::ACCESS_LOG_DROPPED, &[], move || dropped() as f64);
        Ok(Self { registry, spans, exporter, access_log, log })
    }

    /// Sends what is left.
    async fn end(self) {
        self.log.flush(FLUSH).await;
        if let Some(exporter) = self.exporter {
            let counts = exporter.shutdown(FLUSH).await;
            let lost = counts.dropped_queue_full + counts.dropped_export_failed;
            tracing::info!("{} spans exported, {lost} lost", counts.exported);
        }
    }
}

/// Says on stdout when this sidecar is ready for the first time.
async fn announce_ready(
    admin: Rc<Admin>,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    status: ConfigStatus,
) {
    while let Some(why) = admin.unready() {
        tracing::debug!("not ready: {why}");
        if snapshots.changed().await.is_err() {
            return;
        }
    }
    let control_plane = status.read(|status| status.control_plane_version.clone());
    let revision = match control_plane.is_empty() {
        true => snapshots.borrow().revision.to_string(),
        false => control_plane,
    };
    announce(&format!("weir-sidecar ready revision={revision}"));
}

fn announce(line: &str) {
    let mut stdout = std::io::stdout().lock();
    // Whoever does not read it does not need it.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

async fn expire(registry: Registry) {
    loop {
        tokio::time::sleep(METRICS_GENERATION).await;
        registry.expire();
    }
}

/// Starts the worker threads, each with its own share of every socket.
fn start_workers(
    entrances: Vec<Vec<Entrance>>,
    telemetry: &Telemetry,
    snapshots: &watch::Receiver<Arc<Snapshot>>,
    demand: &Demand,
    drain: &Drain,
) -> anyhow::Result<Workers> {
    let count = entrances.len();
    let kin = Arc::new(Kin::new(entropy_seed()));
    let make = |(id, entrances)| WorkerArgs {
        id: WorkerId(id),
        entrances,
        snapshots: snapshots.clone(),
        demand: demand.clone(),
        drain: drain.signal(),
        telemetry: TelemetryArgs {
            registry: telemetry.registry.clone(),
            spans: telemetry.spans.clone(),
            access_log: telemetry.access_log.clone(),
        },
        seed: entropy_seed(),
        kin: kin.clone(),
    };
    let args: Vec<Option<WorkerArgs>> = entrances.into_iter().enumerate().map(make).map(Some).collect();
    let args = Mutex::new(args);
    let workers = Workers::start(count, "weir-worker", move |id| {
        let args = args.lock().unwrap_or_else(PoisonError::into_inner)[id.0].take();
        async move {
            // Each worker is made once.
            let Some(args) = args else { return };
            if let Err(error) = weir_proxy::run(args).await {
                tracing::error!("worker {id} cannot serve: {error}; the process ends");
                std::process::exit(1);
            }
        }
    });
    workers.context("cannot start the workers")
}
