//! `weir-fleet`: many sidecars in one process, and how long a change takes to reach all of them.
//!
//! Each sidecar is a node of its own with a TCP connection and an incremental ADS stream of its own, joins the mesh as a workload, asks for
//! what a real one would, decodes what it gets and acknowledges it; it serves nothing. Then the weights of a route that all of them use are
//! changed again and again through the policy API, and for each change the time is taken from the request's sending until each sidecar has
//! the new route and its acknowledgement is out.
//!
//! ```text
//! weir-fleet --xds 127.0.0.1:15010 --policy 127.0.0.1:15011 --sidecars 1000 --rounds 20
//! {"sidecars": 1000, "rounds": 20, "propagation_ms": {"p50": …, "p99": …, "max": …}, "failed": 0}
//! ```
//!
//! One JSON object goes to standard output, progress to standard error. `failed` counts the pairs of sidecar and change that took longer than
//! the deadline; the exit status is 0 only if there is none.

mod policy;
mod sidecar;

use anyhow::{Context, bail};
use clap::Parser;
use policy::Operator;
use sidecar::Report;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

/// Connections that are made at the same time.
const CONNECTING: usize = 32;
/// How long all sidecars together may take to connect and get their first configuration.
const START: Duration = Duration::from_secs(300);
/// The mesh is quiet when no sidecar got anything for this long.
const QUIET: Duration = Duration::from_secs(1);
/// How long a change may take to reach a sidecar.
const DEADLINE: Duration = Duration::from_secs(30);
/// Reports that wait to be counted.
const REPORTS: usize = 4096;
/// How often progress is told.
const TELL: Duration = Duration::from_secs(2);

/// Many sidecars in one process, and how long a policy change takes to reach all of them.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The control plane's xDS address, such as 127.0.0.1:15010.
    #[arg(long)]
    xds: String,
    /// Its policy API, such as 127.0.0.1:15011.
    #[arg(long)]
    policy: String,
    /// How many sidecars connect.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    sidecars: u32,
    /// How many changes are made.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
}

/// What came of all changes.
#[derive(Default)]
struct Outcome {
    took: Vec<Duration>,
    failed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(outcome) if outcome.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            say(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let files = weir_runtime::limits::raise_open_files();
    if files.is_some_and(|files| files < u64::from(args.sidecars) + 64) {
        bail!(
            "{files:?} files may be open, too few for {} connections; raise the limit (ulimit -n)",
            args.sidecars
        );
    }
    let mut operator = Operator::connect(&args.policy).await.context("the policy API")?;
    operator.begin(args.sidecars).await.context("the first policy")?;
    let (tx, mut reports) = mpsc::channel(REPORTS);
    let permits = Arc::new(Semaphore::new(CONNECTING));
    for index in 0..args.sidecars {
        tokio::spawn(sidecar::run(index, args.xds.clone(), Arc::clone(&permits), tx.clone()));
    }
    drop(tx);
    start(args.sidecars, &mut reports).await?;
    let mut outcome = Outcome::default();
    let mut told = Instant::now();
    for round in 1..=args.rounds {
        change(round, args.sidecars, &mut operator, &mut reports, &mut outcome).await?;
        if told.elapsed() >= TELL {
            told = Instant::now();
            say(format_args!("{round} of {} changes", args.rounds));
        }
    }
    let line = outcome.json(args);
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output")?;
    Ok(outcome)
}

/// Waits until every sidecar has the first route and the mesh is quiet.
async fn start(sidecars: u32, reports: &mut mpsc::Receiver<Report>) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut ready = vec![false; sidecars as usize];
    let (mut count, mut told, mut last) = (0, begun, begun);
    loop {
        let until = if count == sidecars { last + QUIET } else { begun + START };
        match timeout_at(until, reports.recv()).await {
            Ok(Some(Report::Lost(index, why))) => bail!("sidecar {index}: {why}"),
            Ok(Some(Report::Has { index, weight, .. })) => {
                last = Instant::now();
                if weight == policy::weight(0) && !std::mem::replace(&mut ready[index as usize], true) {
                    count += 1;
                }
            }
            Ok(Some(Report::Busy)) => last = Instant::now(),
            Ok(None) => bail!("all sidecars are gone"),
            Err(_) if count == sidecars => break,
            Err(_) => bail!("{count} of {sidecars} sidecars are configured after {START:?}"),
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            say(format_args!("{count} of {sidecars} sidecars are configured"));
        }
    }
    say(format_args!("{sidecars} sidecars are configured after {:.1?}", last - begun));
    Ok(())
}

/// Makes one change and waits until every sidecar has it.
async fn change(
    round: u32,
    sidecars: u32,
    operator: &mut Operator,
    reports: &mut mpsc::Receiver<Report>,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let (wanted, sent) = (policy::weight(round), Instant::now());
    let applied = operator.set(round);
    let mut has = vec![false; sidecars as usize];
    let collected = async {
        let mut left = sidecars;
        while left > 0 {
            match timeout_at(sent + DEADLINE, reports.recv()).await {
                Ok(Some(Report::Has { index, weight, at })) if weight == wanted => {
                    if !std::mem::replace(&mut has[index as usize], true) {
                        outcome.took.push(at - sent);
                        left -= 1;
                    }
                }
                Ok(Some(Report::Has { .. } | Report::Busy)) => {}
                Ok(Some(Report::Lost(index, why))) => bail!("sidecar {index}: {why}"),
                Ok(None) => bail!("all sidecars are gone"),
                Err(_) => {
                    say(format_args!("change {round} did not reach {left} sidecars within {DEADLINE:?}"));
                    outcome.failed += u64::from(left);
                    break;
                }
            }
        }
        Ok(())
    };
    let (applied, collected) = tokio::join!(applied, collected);
    applied.with_context(|| format!("change {round}"))?;
    collected
}

impl Outcome {
    fn json(&mut self, args: &Args) -> serde_json::Value {
        self.took.sort_unstable();
        let millis = |quantile: f64| {
            let rank = (quantile * self.took.len() as f64).ceil() as usize;
            let took = self.took.get(rank.saturating_sub(1)).copied().unwrap_or_default();
            (took.as_secs_f64() * 1e5).round() / 1e2
        };
        serde_json::json!({
            "sidecars": args.sidecars,
            "rounds": args.rounds,
            "propagation_ms": { "p50": millis(0.5), "p99": millis(0.99), "max": millis(1.0) },
            "failed": self.failed,
        })
    }
}

fn say(what: std::fmt::Arguments<'_>) {
    // Nobody reads it where standard error is closed, and that changes nothing.
    let _closed = writeln!(std::io::stderr(), "weir-fleet: {what}");
}
