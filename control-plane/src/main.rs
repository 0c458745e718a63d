//! The control plane: arguments → wiring → run.

mod args;

use anyhow::{Context, anyhow};
use args::Args;
use clap::Parser;
use std::io::Write;
use std::sync::Arc;
use weir_serve::access::Entrance;
use weir_serve::door::Door;
use weir_serve::identity::Identities;
use weir_serve::plane::Plane;
use weir_serve::{admin, server};
use weir_store::{Embedded, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    // Every sidecar is a connection, and many systems start a process with 1024 of them at most.
    weir_runtime::limits::raise_open_files();
    if let Err(error) = weir_telemetry::log::init("info") {
        return fail(&anyhow!(error));
    }
    let run = || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(args.workers())
            .enable_all()
            .build()?;
        let result = runtime.block_on(run(args));
        // A request that waits for the disk may finish; nothing else is worth waiting for.
        runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        result
    };
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// On standard error even where logging could not be set up or was turned down: why the process ends is no log level.
fn fail(error: &anyhow::Error) -> std::process::ExitCode {
    let _closed = writeln!(std::io::stderr(), "weir-control-plane: {error:#}");
    std::process::ExitCode::FAILURE
}

async fn run(args: Args) -> anyhow::Result<()> {
    let store = Embedded::open(&args.data_dir, Options::default()).context("the store cannot be opened")?;
    let plane = Plane::new(Arc::new(store), Some(args.data_dir.clone())).map_err(|diagnostics| {
        let lines: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        anyhow!(
            "the store holds policy which this version cannot read; run the version that wrote it\n{}",
            lines.join("\n")
        )
    })?;
    let told = |message: String| anyhow!(message);
    let (data_dir, settings) = (args.data_dir.clone(), args.identities());
    let now = weir_runtime::clock::unix_nanos() / 1_000_000;
    let identities = Identities::open(&data_dir, settings, now, weir_runtime::random::entropy_seed());
    let identities = identities.map_err(told).context("the identities cannot be used")?;
    let policy = server::bind("the policy API", args.policy_listen).await.map_err(told)?;
    let xds = server::bind("xDS", args.xds_listen).await.map_err(told)?;
    let admin_listener = server::bind("the admin page", args.admin_listen).await.map_err(told)?;
    let line = format!(
        "weir-control-plane listening policy={} xds={} admin={}",
        policy.local_addr()?,
        xds.local_addr()?,
        admin_listener.local_addr()?
    );
    // Whoever started us with port 0 reads this line; it must not linger in a buffer.
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output is closed")?;

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let wait = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
        let _closed = stopped.wait_for(|stop| *stop).await;
    };
    let plaintext = args.plaintext.into();
    let door =
        |entrance, listener| Door { entrance, listener, plaintext, identities: Arc::clone(&identities) };
    let (policy, xds) = (door(Entrance::Policy, policy), door(Entrance::Xds, xds));
    let policy = tokio::spawn(server::serve_policy(Arc::clone(&plane), policy, wait(stopped.clone())));
    let xds = tokio::spawn(server::serve_xds(Arc::clone(&plane), xds, wait(stopped)));
    let renewal = tokio::spawn({
        let identities = Arc::clone(&identities);
        async move { identities.run().await }
    });
    let admin = tokio::spawn(admin::serve(Arc::clone(&plane), admin_listener));
    let worlds = tokio::spawn({
        let plane = Arc::clone(&plane);
        async move { plane.run().await }
    });
    let mut signals = weir_runtime::signals::Signals::install().context("signals cannot be handled")?;
    tokio::select! {
        _ = signals.next() => tracing::info!("stopping"),
        ended = policy => ended?.map_err(|error| anyhow!(error)).context("the policy API ended")?,
        ended = xds => ended?.map_err(|error| anyhow!(error)).context("xDS ended")?,
        _ = worlds => return Err(anyhow!("the compiler's loop ended")),
        _ = renewal => return Err(anyhow!("the renewal of certificates ended")),
    }
    // Sidecars keep what they have and look for another control plane; their streams need no farewell.
    let _nobody = stop.send(true);
    admin.abort();
    Ok(())
}
