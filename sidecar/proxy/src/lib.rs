//! The data plane: one module per stage of the request path, one `LocalRuntime` thread per worker.
//!
//! The way in, agreed with the binary (the types of `weir-config` and `weir-telemetry` follow as they appear):
//!
//! ```text
//! pub struct WorkerArgs {                       // Send; one per worker
//!     pub id: weir_runtime::workers::WorkerId,
//!     pub sockets: Vec<std::net::TcpListener>,  // this worker's share of `bind_workers`, one per listener address of the node
//!     pub outbound: Option<SocketAddr>,         // which of them is the outbound HTTP listener: it serves before it is configured
//!     pub snapshots: tokio::sync::watch::Receiver<std::sync::Arc<weir_config::Snapshot>>,
//!     pub demand: weir_config::Demand,          // a clone
//!     pub drain: weir_runtime::drain::DrainSignal,
//!     pub telemetry: ...,                       // this worker's metrics, span sink and access log
//!     pub seed: u64,                            // weir_runtime::random::entropy_seed()
//! }
//! pub async fn run(args: WorkerArgs)            // ends when the drain has stopped, or when nothing is open any more while draining
//! ```
//!
//! A listener takes connections as soon as a snapshot has one for its address; until then they wait in the kernel's queue. The
//! outbound HTTP listener takes them at once: what it can answer without configuration is why there is none (503).
