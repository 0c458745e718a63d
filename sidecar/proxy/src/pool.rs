//! From an endpoint to a connection that is ready, or to an open circuit breaker (stage 11).
//!
//! Each worker has its own connections to each endpoint. They outlive snapshots: a pool lives as long as its endpoint is in
//! force, and when the endpoint goes, idle connections close at once and busy ones when they are done. The bounds are the
//! cluster's circuit breakers, which count for the whole sidecar, and [`limits::IDLE_CONNECTIONS`] per endpoint and worker.
//!
//! A request for which there is no connection makes one. At the limit of connections it takes the place of an idle one of
//! the same cluster; where there is none it waits, if as many may.

pub(crate) mod driving;
pub(crate) mod http1;
pub(crate) mod http2;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::Request;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use weir_config::{Cluster, ClusterState, EndpointState};
use weir_decide::circuit;
use weir_model::{CircuitBreakers, Priority, RetryBudget, Time, limits};
use weir_runtime::net::{self, ConnectOptions, Keepalive};

use crate::body::Body;
use crate::pinned::WorkerCluster;
use crate::reject::{Breaker, Kind};
use crate::telemetry::{ConnectionMetrics, Telemetry, server_address};

/// How often a request that waits for a connection looks whether another worker has freed one: only its own worker wakes it.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What one worker shares between the pools of a cluster, for as long as the cluster lives.
pub(crate) struct ClusterShared {
    pub(crate) state: Arc<ClusterState>,
    /// How people who ask for its address call it.
    pub(crate) called: Box<str>,
    metrics: ConnectionMetrics,
    /// Requests of this worker that wait for room.
    waiting: Cell<u32>,
    /// Told when this worker has freed a connection while requests wait.
    freed: Notify,
}

/// One worker's connections to one endpoint.
pub(crate) struct EndpointPool {
    pub(crate) endpoint: Arc<EndpointState>,
    pub(crate) shared: Rc<ClusterShared>,
    #[allow(clippy::vec_box, reason = "they move between here and the exchanges")]
    http1: RefCell<Vec<Box<http1::Http1>>>,
    http2: RefCell<http2::Connections>,
    retired: Cell<bool>,
}

/// Why a request did not get its response head.
pub(crate) enum Failure {
    /// The connection turned out closed before anything was written: the request is whole and goes on another one.
    Unsent {
        request: Box<Request<Body>>,
        /// Whether the connection had carried no request before.
        fresh: bool,
    },
    /// It may have been written.
    Failed(Kind),
}

/// What a cluster counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Requests,
    Pending,
    Retries,
    Connections,
}

/// One of what a cluster counts, for as long as this lives.
pub(crate) struct Counted {
    shared: Rc<ClusterShared>,
    word: Word,
    priority: Priority,
}

/// One open connection, counted in its cluster and at its endpoint.
pub(crate) struct Open {
    _counted: Counted,
    endpoint: Arc<EndpointState>,
}

/// How many there may be of what a cluster counts; retries have a budget instead.
pub(crate) fn limit(breakers: &CircuitBreakers, word: Word, priority: Priority) -> u32 {
    let high = priority == Priority::High;
    match word {
        Word::Requests if high => breakers.high.max_requests,
        Word::Requests => breakers.max_requests,
        Word::Pending if high => breakers.high.max_pending,
        Word::Pending => breakers.max_pending,
        Word::Connections if high => breakers.high.max_connections,
        Word::Connections => breakers.max_connections,
        Word::Retries => u32::MAX,
    }
}

/// How long a connection is still used: so many requests, and until then.
#[derive(Clone, Copy, Debug)]
struct Life {
    requests: u32,
    /// Of HTTP/2, at once.
    streams: usize,
    until: Option<Time>,
}

impl Life {
    fn new(cluster: &WorkerCluster) -> Life {
        let limits = &cluster.config.model.circuit_breakers.connection;
        let until = limits.max_duration.map(|limit| crate::timer::now() + limit);
        let streams = limits.max_streams.map_or(usize::MAX, |most| most as usize);
        Life { requests: limits.max_requests.unwrap_or(u32::MAX), streams, until }
    }

    /// Whether it takes another request. Reads no clock where there is no limit.
    fn goes_on(&self) -> bool {
        self.requests > 0 && self.until.is_none_or(|until| crate::timer::now() < until)
    }

    /// One request more.
    fn spend(&mut self) {
        // Without a limit there are more than a connection carries in a year.
        self.requests = self.requests.saturating_sub(1);
    }
}

/// How many retries there may be.
pub(crate) fn budget(breakers: &CircuitBreakers, priority: Priority) -> &RetryBudget {
    match priority {
        Priority::Default => &breakers.retry_budget,
        Priority::High => &breakers.high.retry_budget,
    }
}

/// One request in flight at an endpoint.
pub(crate) struct Active {
    pub(crate) pool: Rc<EndpointPool>,
}

impl ClusterShared {
    pub(crate) fn new(cluster: &Cluster, telemetry: &Telemetry) -> ClusterShared {
        let state = cluster.state.clone();
        let metrics = telemetry.connections_to(&state.name);
        let called = server_address(&cluster.model.kind).into();
        ClusterShared { state, called, metrics, waiting: Cell::new(0), freed: Notify::new() }
    }

    fn word(&self, word: Word, priority: Priority) -> &AtomicU32 {
        let counts = self.state.of(priority);
        match word {
            Word::Requests => counts.requests,
            Word::Pending => counts.pending,
            Word::Retries => counts.retries,
            Word::Connections => counts.connections,
        }
    }

    /// Counts one more, unless there are `max` already.
    pub(crate) fn admit(self: &Rc<Self>, word: Word, priority: Priority, max: u32) -> Option<Counted> {
        let counter = self.word(word, priority);
        if !circuit::admit(counter.fetch_add(1, Relaxed), max) {
            counter.fetch_sub(1, Relaxed);
            return None;
        }
        if let Word::Connections = word {
            self.metrics.open.inc();
        }
        Some(Counted { shared: self.clone(), word, priority })
    }

    /// Waits until there may be room for a connection.
    async fn room(&self) {
        self.waiting.set(self.waiting.get() + 1);
        let _left = Waiting(&self.waiting);
        tokio::select! {
            () = self.freed.notified() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }

    fn tell_freed(&self) {
        if self.waiting.get() > 0 {
            self.freed.notify_one();
        }
    }
}

struct Waiting<'a>(&'a Cell<u32>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.word(self.word, self.priority).fetch_sub(1, Relaxed);
        if let Word::Connections = self.word {
            self.shared.metrics.open.dec();
            self.shared.tell_freed();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.endpoint.connections.fetch_sub(1, Relaxed);
    }
}

impl Active {
    pub(crate) fn new(pool: Rc<EndpointPool>) -> Active {
        pool.endpoint.active.fetch_add(1, Relaxed);
        Active { pool }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.pool.endpoint.active.fetch_sub(1, Relaxed);
    }
}

impl EndpointPool {
    pub(crate) fn new(endpoint: Arc<EndpointState>, shared: Rc<ClusterShared>) -> EndpointPool {
        EndpointPool {
            endpoint,
            shared,
            http1: RefCell::default(),
            http2: RefCell::default(),
            retired: Cell::new(false),
        }
    }

    /// The endpoint is gone: closes what is idle, and lets what is busy close when it is done.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        let idle = self.http1.take();
        let streams = self.http2.take();
        // Outside the borrow: closing a connection tells those who wait.
        drop((idle, streams));
    }

    #[cfg(test)]
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Closes what has been idle for too long, or was closed by the peer.
    pub(crate) fn sweep(&self, now: Time, idle: Duration) {
        let idle = idle.min(limits::IDLE_CONNECTION_AGE);
        http1::sweep(self, now, idle);
        http2::sweep(self, now, idle);
    }

    /// Since when the HTTP/1 connection that was used longest ago has been idle.
    fn idle_since(&self) -> Option<Time> {
        self.http1.borrow().first().map(|oldest| oldest.idle_since())
    }

    /// Closes that connection.
    fn evict(&self) {
        let mut idle = self.http1.borrow_mut();
        let oldest = (!idle.is_empty()).then(|| idle.remove(0));
        drop(idle);
        // Outside the borrow: closing a connection tells those who wait.
        drop(oldest);
    }

    /// A new connection, counted.
    pub(crate) async fn connect(
        &self,
        timeout: Duration,
        keepalive: Option<Keepalive>,
    ) -> Result<TcpStream, Kind> {
        let options = match keepalive {
            None => ConnectOptions::default(),
            keepalive => ConnectOptions { keepalive, ..ConnectOptions::default() },
        };
        let connected = net::connect(self.endpoint.address, timeout, options).await;
        let metrics = &self.shared.metrics;
        if connected.is_ok() {
            metrics.made.inc()
        } else {
            metrics.failed.inc()
        }
        connected.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Kind::ConnectTimeout,
            kind => Kind::ConnectFailed(kind),
        })
    }

    /// Counts a request as waiting for a connection.
    fn pend(&self, cluster: &WorkerCluster, priority: Priority) -> Result<Counted, Kind> {
        let max = limit(&cluster.config.model.circuit_breakers, Word::Pending, priority);
        self.shared.admit(Word::Pending, priority, max).ok_or(Kind::Overflow(Breaker::Pending))
    }

    /// Counts a new connection; makes room for it by closing an idle one of the same cluster if there are too many.
    pub(crate) fn permit(&self, cluster: &WorkerCluster, priority: Priority) -> Option<Open> {
        let breakers = &cluster.config.model.circuit_breakers;
        let open = self.endpoint.connections.fetch_add(1, Relaxed);
        let free = breakers.max_endpoint_connections.is_none_or(|most| circuit::admit(open, most));
        let max = limit(breakers, Word::Connections, priority);
        let admit = || self.shared.admit(Word::Connections, priority, max);
        let counted = if free {
            admit().or_else(|| {
                let idle = cluster.pools.iter().filter_map(|pool| Some((pool.idle_since()?, pool)));
                let (_, oldest) = idle.min_by_key(|(since, _)| *since)?;
                oldest.evict();
                admit()
            })
        } else {
            None
        };
        if counted.is_none() {
            self.endpoint.connections.fetch_sub(1, Relaxed);
        }
        Some(Open { _counted: counted?, endpoint: self.endpoint.clone() })
    }
}

/// How the kernel is to probe silent connections of a cluster, if it says.
pub(crate) fn keepalive(cluster: &WorkerCluster) -> Option<Keepalive> {
    let wanted = cluster.config.model.circuit_breakers.connection.keepalive.as_ref()?;
    Some(Keepalive { time: wanted.time, interval: wanted.interval, probes: wanted.probes })
}

#[cfg(test)]
mod tests;
