//! `weir demo`: a whole mesh on this machine, under load, through everything an operator does and the worst that may happen to
//! its control plane.
//!
//! In the order of the story, which [`Demo`] tells in one page:
//!
//! - [`options`], [`plan`]: what was asked for, and what happens when;
//! - [`process`], [`mesh`]: the control plane, three applications ([`app`]) and their sidecars, as real processes;
//! - [`load`], [`tally`]: steady requests through two sidecars, counted in the phase in which they were sent;
//! - [`policy`]: changes over the policy API, waited for until every sidecar serves them;
//! - [`screen`]: how it stands, live;
//! - [`bounds`], [`summary`]: what was found, and whether chance explains the splits.
//!
//! Nothing is simulated and nothing retried: one failed request, one split out of bounds or no connected trace make it fail.

pub(crate) mod app;
mod bounds;
mod load;
mod mesh;
mod options;
mod plan;
mod policy;
pub(crate) mod process;
mod screen;
mod summary;
mod tally;

use crate::args::Format;
use crate::output;
use anyhow::{Context, anyhow, bail};
use load::{Load, Shared};
use mesh::{Mesh, NODES, Programs};
pub(crate) use options::Options;
use plan::{CANARY, EVEN, FIRST, OUTAGE, PHASES, Plan, ROLLBACK, SECOND};
use policy::{Policy, SERVICES};
use screen::Screen;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use summary::{Outage, Report, Trace};
use tally::Window;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use weir_telemetry::collector::Collector;

/// How long sidecars may take to join, to serve a change, or to come back.
const SERVED: Duration = Duration::from_secs(30);
/// How long the first request may take to get through.
const READY: Duration = Duration::from_secs(20);
/// How often processes and sidecars are looked after while a phase is measured.
const LOOK: Duration = Duration::from_millis(250);
/// Spans kept; the oldest traces go first.
const SPANS: usize = 20_000;
/// The last spans of a request leave a sidecar so much later.
const SPANS_LATE: Duration = Duration::from_millis(1500);
/// How long a whole trace is looked for.
const TRACE: Duration = Duration::from_secs(5);
/// What a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Runs the demo and says what it found. Exit status 0 only if all was well.
pub(crate) async fn run(options: Options, format: Format) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(options.duration, options.outage).map_err(|wrong| anyhow!(wrong))?;
    let programs = Programs::find(options.bin_dir.as_deref())?;
    let directory = tempfile::Builder::new()
        .prefix("weir-demo-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    let tally = Shared::new();
    let screen = Screen::start(tally.clone());
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Whichever way it ends, the story's processes end with it.
    let told = tokio::select! {
        told = tell(&options, plan, programs, directory.path(), &tally, &screen) => Some(told),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    screen.stop().await;
    let well = matches!(&told, Some(Ok((report, _))) if report.problems().is_empty());
    let kept = (options.keep || (told.is_some() && !well)).then(|| directory.keep());
    let code = match told {
        None => ExitCode::from(INTERRUPTED),
        Some(Err(error)) => {
            note(&kept, "");
            return Err(error);
        }
        Some(Ok((report, tails))) => {
            match format {
                Format::Table => output::print(&report.text()),
                Format::Json | Format::Yaml => output::data(&report.value(), format)?,
            }
            note(&kept, if report.tally.failed() > 0 { &tails } else { "" });
            if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    };
    Ok(code)
}

/// Says where logs are, on standard error.
fn note(kept: &Option<std::path::PathBuf>, tails: &str) {
    anstream::eprint!("{tails}");
    if let Some(directory) = kept {
        anstream::eprintln!("logs and data are in {}", directory.display());
    }
}

/// The demo while its mesh runs.
struct Demo<'a> {
    screen: &'a Screen,
    mesh: Mesh,
    policy: Policy,
    load: Load,
    propagation: Vec<Duration>,
}

/// Everything, in order; what was found, and the ends of all logs.
async fn tell(
    options: &Options,
    plan: Plan,
    programs: Programs,
    directory: &Path,
    tally: &Shared,
    screen: &Screen,
) -> anyhow::Result<(Report, String)> {
    let collector = Collector::new(SPANS);
    let otlp = match &options.otlp {
        Some(url) => url.clone(),
        None => collect(&collector).await?,
    };

    screen.doing("starting a control plane, three applications and their sidecars");
    let mut mesh = Mesh::start(programs, directory, &otlp, options).await?;
    screen.control_plane(true);
    let mut policy = mesh.connect().await?;
    let services = policy.apply(SERVICES.to_owned(), "the services").await?;
    screen.sidecars(&served(&mut policy, &mut mesh, services).await?);
    ready(&mut mesh).await?;
    let load = Load::start(mesh.entrance, options.rate, tally.clone())?;
    let mut demo = Demo { screen, mesh, policy, load, propagation: Vec::new() };

    let apply =
        |weights| async move |policy: &mut Policy| policy.apply(policy::route(weights), "a canary").await;
    let canary = demo.change("applying 90/10", apply(CANARY)).await?;
    demo.measure(FIRST, plan.measure).await?;
    let even = demo.change("applying 50/50", apply(EVEN)).await?;
    demo.measure(SECOND, plan.measure).await?;
    let outage = demo.outage(plan.outage, even).await?;
    let rollback = async move |policy: &mut Policy| policy.rollback(canary).await;
    let rolled_back = demo.change("rolling back to 90/10", rollback).await?;
    demo.measure(ROLLBACK, plan.measure).await?;

    screen.doing("waiting for the last answers and spans");
    let Demo { mut mesh, load, propagation, .. } = demo;
    load.stop().await?;
    mesh.check()?;
    let trace = match &options.otlp {
        Some(url) => Trace::SentTo(url.clone()),
        None => pick(&collector).await,
    };
    let tails = mesh.tails();
    mesh.stop().await;
    let mut revisions = [canary; PHASES.len()];
    (revisions[SECOND], revisions[OUTAGE], revisions[ROLLBACK]) = (even, even, rolled_back);
    let (rate, duration, tally) = (options.rate, options.duration, tally.lock().clone());
    Ok((Report { rate, duration, tally, revisions, outage, propagation, trace }, tails))
}

impl Demo<'_> {
    /// Changes policy and waits until every sidecar serves it. No request is under way that was counted under the old one.
    async fn change(
        &mut self,
        doing: &str,
        write: impl AsyncFnOnce(&mut Policy) -> anyhow::Result<u64>,
    ) -> anyhow::Result<u64> {
        self.screen.doing(doing);
        self.load.enter(Window::Transition).await;
        let revision = write(&mut self.policy).await?;
        let status = served(&mut self.policy, &mut self.mesh, revision).await?;
        self.screen.sidecars(&status);
        let last_ms = status.propagation.map_or(0.0, |propagation| propagation.last_ms);
        self.propagation.push(Duration::from_secs_f64(last_ms.max(0.0) / 1000.0));
        Ok(revision)
    }

    /// Counts requests in a phase for so long.
    async fn measure(&mut self, phase: usize, time: Duration) -> anyhow::Result<()> {
        self.load.enter(Window::Phase(phase)).await;
        let until = Instant::now() + time;
        self.screen.measuring(phase, until);
        self.look_after(until).await
    }

    /// Kills the control plane and starts it again, with load all the time, until every sidecar is in sync with it.
    async fn outage(&mut self, time: Duration, revision: u64) -> anyhow::Result<Outage> {
        self.load.enter(Window::Phase(OUTAGE)).await;
        let killed = Instant::now();
        self.screen.measuring(OUTAGE, killed + time);
        self.mesh.kill_control_plane().await?;
        self.screen.control_plane(false);
        self.look_after(killed + time).await?;
        self.screen.still_measuring("starting the control plane again");
        self.mesh.start_control_plane().await?;
        let away = killed.elapsed();
        self.screen.control_plane(true);
        self.policy = self.mesh.connect().await?;
        self.screen.still_measuring("waiting until every sidecar is back in sync");
        let status = served(&mut self.policy, &mut self.mesh, revision).await?;
        self.screen.sidecars(&status);
        Ok(Outage { away, recovery: killed.elapsed() - away })
    }

    /// Waits, and makes sure that what should run does.
    async fn look_after(&mut self, until: Instant) -> anyhow::Result<()> {
        while Instant::now() < until {
            tokio::time::sleep_until(until.min(Instant::now() + LOOK)).await;
            self.mesh.check()?;
            if self.mesh.has_control_plane() {
                self.screen.sidecars(&self.policy.status().await?);
            }
        }
        Ok(())
    }
}

/// Waits until every sidecar serves a revision; if one does not, its log may say why.
async fn served(
    policy: &mut Policy,
    mesh: &mut Mesh,
    revision: u64,
) -> anyhow::Result<weir_proto::policy::v1::StatusResponse> {
    match policy.served(revision, &NODES, SERVED).await {
        Ok(status) => Ok(status),
        Err(error) => {
            mesh.check()?;
            bail!("{error:#}\n{}", mesh.tails())
        }
    }
}

/// Waits until a request gets through, as a readiness probe does: load begins at a service that is there.
async fn ready(mesh: &mut Mesh) -> anyhow::Result<()> {
    let end = Instant::now() + READY;
    loop {
        let mut slot = None;
        let tried = tokio::time::timeout_at(end, load::exchange(mesh.entrance, &mut slot)).await;
        mesh.check()?;
        match tried {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(_)) if Instant::now() < end => tokio::time::sleep(Duration::from_millis(20)).await,
            Ok(Err(reason)) => bail!("no request got through within {READY:?}: {reason}\n{}", mesh.tails()),
            Err(_) => bail!("no request was answered within {READY:?}\n{}", mesh.tails()),
        }
    }
}

/// Starts the collector; its URL.
async fn collect(collector: &Collector) -> anyhow::Result<String> {
    let listener =
        TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.context("cannot listen for traces")?;
    let address = listener.local_addr()?;
    let collector = collector.clone();
    tokio::spawn(async move { collector.serve(listener, std::future::pending()).await });
    Ok(format!("http://{address}"))
}

/// The most recent trace that crosses the whole mesh; failing that, the largest of the recent ones.
async fn pick(collector: &Collector) -> Trace {
    let whole = |trace: &weir_telemetry::collector::Trace| {
        let summary = trace.summary();
        Trace::is_whole(summary.spans, &summary.services, summary.connected)
    };
    let end = Instant::now() + SPANS_LATE + TRACE;
    tokio::time::sleep(SPANS_LATE).await;
    let found = loop {
        let found = collector.find(whole);
        if found.is_some() || Instant::now() >= end {
            break found;
        }
        tokio::time::sleep(LOOK).await;
    };
    let recent = || collector.trace_ids().into_iter().take(100).filter_map(|id| collector.trace(id));
    match found.or_else(|| recent().max_by_key(|trace| trace.spans.len())) {
        None => Trace::Missing { received: collector.received() },
        Some(trace) => {
            let summary = trace.summary();
            Trace::Collected {
                id: trace.trace_id,
                spans: summary.spans,
                services: summary.services,
                connected: summary.connected,
                tree: trace.render(),
            }
        }
    }
}
