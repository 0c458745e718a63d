//! The data plane: one module per stage of the request path, in the order a request meets them.
//!
//! | stage | module | in → out |
//! |---|---|---|
//! | listener | `listener` | bound socket → accepted connection, its protocol |
//! | detect | `detect` | first bytes → HTTP/1, HTTP/2 or opaque bytes; `chain` where several filter chains are to choose from, `sni` where the server name says where to |
//! | http | `http` | connection → requests, through hyper's codecs; `tcp` takes opaque bytes |
//! | | `sound`, `canonical`, `manner` | whether the request means one thing, and the form in which it does |
//! | | `kin` | which requests are made on behalf of which: what is said against retries holds for all of a trace |
//! | | `forward` | **the whole path of a request on one page** |
//! | route | `route` | request head → scope (a pinned snapshot's routes) → route |
//! | limit | `filter`, `limit` | route → let in, turned away, delayed, or answered here (CORS, rate limits, faults) |
//! | balance | `balance` | route → cluster → endpoint; `affinity` where the caller is to be brought back |
//! | pool | `pool` | endpoint → connection that is ready, or circuit open |
//! | | `changes` | what the route changes in the fields of the request, and of its response |
//! | upstream | `upstream` | attempt → response; `retry` asks for another lap from balance |
//! | respond | `respond` | `reject` → status, response flag |
//!
//! Beside the path: `exchange` is all that one request owns, and the body of its response; `body` and `upload` are what moves;
//! `mirror` sends copies elsewhere; `timer` holds its limits, `ending` tells streams that time is up; `downstream`, `worker` and `pinned` are a connection, a
//! thread and a snapshot as that thread has it; `tunnel` is a stream that becomes one; `telemetry` tells about it.
//!
//! [`run`] is one worker. It lives on one thread, and **nothing on the request path is shared with other workers but immutable
//! snapshots and single-word atomics**: no lock is taken, no shared reference count is touched. Every queue, buffer, pool and
//! wait has its bound in `weir_model::limits` or in the cluster's circuit breakers.
//!
//! [`watch_health`] is not a worker's: it runs on main's thread, asks endpoints whether they serve and judges by what workers count.
//!
//! It knows nothing of xDS: names it lacks are asked for through [`weir_config::Demand`].

mod affinity;
mod balance;
mod body;
mod canonical;
mod chain;
mod changes;
mod detect;
mod downstream;
mod ending;
mod exchange;
mod fallback;
mod filter;
mod forward;
mod health;
mod hedge;
mod http;
mod kin;
mod limit;
mod listener;
mod manner;
mod mirror;
mod notice;
mod pinned;
mod pool;
mod reject;
mod respond;
mod retry;
mod route;
mod sni;
mod sound;
mod tcp;
mod telemetry;
mod timer;
mod tunnel;
mod upload;
mod upstream;
mod worker;

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;
use weir_config::{Demand, Snapshot};
use weir_runtime::drain::DrainSignal;
use weir_runtime::net::Acceptor;
use weir_runtime::workers::WorkerId;

pub use health::{HealthArgs, watch as watch_health};
pub use kin::Kin;
pub use telemetry::TelemetryArgs;
use worker::Worker;

/// What one worker needs. It is made on main's thread and moved to the worker's.
#[derive(Debug)]
pub struct WorkerArgs {
    /// Which worker.
    pub id: WorkerId,
    /// Where connections come in.
    pub entrances: Vec<Entrance>,
    /// The configuration; the worker serves from its present value at once.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The way to ask for names.
    pub demand: Demand,
    /// The way out.
    pub drain: DrainSignal,
    /// Where spans, metrics and log lines go.
    pub telemetry: TelemetryArgs,
    /// For this worker's random decisions.
    pub seed: u64,
    /// What all workers of this sidecar know about traces.
    pub kin: Arc<Kin>,
}

/// A worker's share of a listening address.
#[derive(Debug)]
pub struct Entrance {
    /// The worker's own socket, non-blocking (`weir_runtime::net::bind_workers`). Its local address finds the listener in the
    /// configuration.
    pub socket: TcpListener,
    /// Whether it leads to the application beside this sidecar.
    pub inbound: bool,
    /// Whether it is the outbound HTTP listener: authorities are resolved by asking the control plane, and it takes
    /// connections before it is configured. Other entrances leave connections in the kernel's queue until then.
    pub on_demand: bool,
    /// Whether it is an outbound listener for TLS, where the server name that a client asks for, with this port, is resolved by asking the
    /// control plane; it needs no configuration of its own.
    pub tls: Option<u16>,
}

/// Serves until the drain has stopped. Call it on the worker's own `LocalRuntime`.
///
/// # Errors
///
/// If a socket cannot be taken into the runtime.
pub async fn run(args: WorkerArgs) -> io::Result<()> {
    let WorkerArgs { id, entrances, mut snapshots, demand, drain, telemetry, seed, kin } = args;
    let mut acceptors = Vec::new();
    let mut described = Vec::new();
    for Entrance { socket, inbound, on_demand, tls } in entrances {
        let address = socket.local_addr()?;
        acceptors.push(Acceptor::new(socket)?);
        described.push(worker::Entrance { address, inbound, on_demand, tls });
    }
    let snapshot = snapshots.borrow_and_update().clone();
    let telemetry = telemetry::Telemetry::new(telemetry);
    let worker =
        Rc::new(Worker::new(id.0, snapshot, described, demand, drain.worker(), (seed, kin), telemetry));
    tokio::task::spawn_local(worker.clone().follow(snapshots));
    tokio::task::spawn_local(worker.clone().tick());
    for (entrance, acceptor) in acceptors.into_iter().enumerate() {
        tokio::task::spawn_local(listener::serve(worker.clone(), entrance, acceptor));
    }
    worker.drain.leaving().await;
    worker.tell_all();
    worker.drain.draining().await;
    worker.finish_all();
    worker.drain.ending().await;
    worker.streams.end();
    worker.drain.stopped().await;
    Ok(())
}
