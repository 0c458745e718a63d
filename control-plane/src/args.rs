//! The command line. Each flag is also an environment variable.

use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The control plane of a weir mesh: takes policy over gRPC, compiles it, streams it to sidecars.
#[derive(Parser, Debug)]
#[command(name = "weir-control-plane", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where policy is kept. Created if it does not exist; one control plane at a time.
    #[arg(long, env = "WEIR_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Where operators reach the policy API (gRPC, with reflection and health).
    #[arg(long, env = "WEIR_POLICY_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:15011")]
    pub(crate) policy_listen: SocketAddr,
    /// Where sidecars, Envoys and gRPC clients reach xDS.
    #[arg(long, env = "WEIR_XDS_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:15010")]
    pub(crate) xds_listen: SocketAddr,
    /// Where probes and scrapers reach /ready, /live and /metrics.
    #[arg(long, env = "WEIR_ADMIN_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:15014")]
    pub(crate) admin_listen: SocketAddr,
    /// Threads that serve; the number of CPUs this process may use if not given.
    #[arg(long, env = "WEIR_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
}

impl Args {
    pub(crate) fn workers(&self) -> usize {
        self.workers.map_or_else(weir_runtime::workers::available_cpus, usize::from)
    }
}

const EXAMPLES: &str = "\
Examples:
  weir-control-plane --data-dir /var/lib/weir
  weir-control-plane --data-dir ./data --policy-listen 127.0.0.1:0 --xds-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0

With port 0 any free port is taken. The addresses are printed on standard output, in one line:
  weir-control-plane listening policy=127.0.0.1:15011 xds=127.0.0.1:15010 admin=127.0.0.1:15014

The policy API and xDS are not authenticated: keep them on loopback or on a network you trust.";
