//! One worker: what its connections share, and the two tasks that look after them.
//!
//! Everything here lives on one thread. Snapshots come through a `watch` channel and are pinned once per change; a coarse tick
//! closes what has been idle for too long, so that neither connections nor requests need a timer for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use weir_config::{Demand, Snapshot};
use weir_model::{Random, Time, limits};
use weir_runtime::drain::WorkerDrain;

use crate::downstream::{Downstream, Order};
use crate::ending::Streams;
use crate::kin::Kin;
use crate::mirror::Mirrors;
use crate::pinned::Pinned;
use crate::telemetry::Telemetry;
use crate::timer::now;

/// How often idle connections are looked over: idle limits are kept this exactly.
const TICK: Duration = Duration::from_millis(250);
/// How often metric series that stood still grow older.
const GENERATION: Duration = Duration::from_secs(60);

/// Where connections come in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entrance {
    /// The socket's.
    pub(crate) address: SocketAddr,
    /// Whether it leads to the application beside this sidecar.
    pub(crate) inbound: bool,
    /// Whether authorities are resolved by asking the control plane, and it serves before it is configured.
    pub(crate) on_demand: bool,
    /// The port of what TLS clients ask for by name, where they are resolved so.
    pub(crate) tls: Option<u16>,
}

/// What the connections of one worker share.
pub(crate) struct Worker {
    /// Which worker, from 0.
    pub(crate) id: usize,
    pub(crate) demand: Demand,
    pub(crate) drain: WorkerDrain,
    pub(crate) random: RefCell<Random>,
    pub(crate) telemetry: Telemetry,
    /// What is said about traces, in the whole sidecar.
    pub(crate) kin: Arc<Kin>,
    /// Those that are told when time is up.
    pub(crate) streams: Rc<Streams>,
    /// The copies of requests it has under way.
    pub(crate) mirrors: Mirrors,
    entrances: Vec<Entrance>,
    pinned: RefCell<Rc<Pinned>>,
    repinned: Notify,
    /// Requests that wait for a name.
    waiting: Cell<usize>,
    downstreams: RefCell<HashMap<u64, Rc<Downstream>>>,
    next_downstream: Cell<u64>,
    /// Told when a connection has ended while there were as many as may be.
    left: Notify,
    /// The time of the last tick.
    recently: Cell<Time>,
}

/// Removes a connection from its worker's list.
pub(crate) struct Listed {
    worker: Rc<Worker>,
    key: u64,
}

impl Worker {
    pub(crate) fn new(
        id: usize,
        snapshot: Arc<Snapshot>,
        entrances: Vec<Entrance>,
        demand: Demand,
        drain: WorkerDrain,
        (seed, kin): (u64, Arc<Kin>),
        telemetry: Telemetry,
    ) -> Worker {
        let pinned = Pinned::first(snapshot, &entrances, &telemetry);
        Worker {
            id,
            demand,
            drain,
            random: RefCell::new(Random::new(seed)),
            telemetry,
            kin,
            streams: Rc::default(),
            mirrors: Mirrors::default(),
            pinned: RefCell::new(Rc::new(pinned)),
            entrances,
            repinned: Notify::new(),
            waiting: Cell::new(0),
            downstreams: RefCell::default(),
            next_downstream: Cell::new(0),
            left: Notify::new(),
            recently: Cell::new(now()),
        }
    }

    /// The snapshot in force.
    pub(crate) fn pinned(&self) -> Rc<Pinned> {
        self.pinned.borrow().clone()
    }

    /// Waits until there is another one.
    pub(crate) async fn repinned(&self) {
        self.repinned.notified().await;
    }

    /// The time to within a tick, without reading the clock.
    pub(crate) fn recently(&self) -> Time {
        self.recently.get()
    }

    /// Whether an entrance resolves authorities by asking for them.
    pub(crate) fn is_on_demand(&self, entrance: usize) -> bool {
        self.entrances.get(entrance).is_some_and(|entrance| entrance.on_demand)
    }

    /// The port of what an entrance's TLS clients ask for by name, if it is for them.
    pub(crate) fn tls(&self, entrance: usize) -> Option<u16> {
        self.entrances.get(entrance)?.tls
    }

    /// Whether an entrance leads to the application beside this sidecar.
    pub(crate) fn is_inbound(&self, entrance: usize) -> bool {
        self.entrances.get(entrance).is_some_and(|entrance| entrance.inbound)
    }

    /// Counts a request that waits for a name, if as many may.
    pub(crate) fn wait_for_name(self: &Rc<Self>) -> Option<WaitsForName> {
        let waiting = self.waiting.get();
        (waiting < limits::ON_DEMAND_WAITING).then(|| {
            self.waiting.set(waiting + 1);
            WaitsForName(self.clone())
        })
    }

    /// Waits until another connection may be accepted.
    pub(crate) async fn room(&self) {
        while self.downstreams.borrow().len() >= limits::DOWNSTREAM_CONNECTIONS {
            self.left.notified().await;
        }
    }

    /// Puts a connection on the list while the result lives.
    pub(crate) fn list(self: &Rc<Self>, downstream: Rc<Downstream>) -> Listed {
        let key = self.next_downstream.get();
        self.next_downstream.set(key + 1);
        self.downstreams.borrow_mut().insert(key, downstream);
        Listed { worker: self.clone(), key }
    }

    /// Has every connection's peer asked to go elsewhere.
    pub(crate) fn tell_all(&self) {
        for downstream in self.downstreams.borrow().values() {
            downstream.order(Order::Tell);
        }
    }

    /// Tells every connection to end after what is under way.
    pub(crate) fn finish_all(&self) {
        for downstream in self.downstreams.borrow().values() {
            downstream.order(Order::Finish);
        }
    }

    /// Pins each snapshot as it comes. Ends with the publisher, after which the last one stays in force.
    pub(crate) async fn follow(self: Rc<Self>, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
        while snapshots.changed().await.is_ok() {
            let snapshot = snapshots.borrow_and_update().clone();
            let next = Rc::new(self.pinned().next(snapshot, &self.entrances, &self.telemetry));
            self.pinned.replace(next);
            for downstream in self.downstreams.borrow().values() {
                // An idle connection must not keep the snapshot before alive.
                downstream.remembered.take();
            }
            self.repinned.notify_waiters();
        }
    }

    /// Looks over idle connections, for ever.
    pub(crate) async fn tick(self: Rc<Self>) {
        let mut expired = now();
        loop {
            tokio::time::sleep(TICK).await;
            let now = now();
            if now.since(expired) >= GENERATION {
                expired = now;
                self.telemetry.expire();
            }
            self.recently.set(now);
            for downstream in self.downstreams.borrow().values() {
                downstream.sweep(now);
            }
            for (cluster, pool) in self.pinned().pools() {
                pool.sweep(now, cluster.config.model.idle_timeout);
            }
        }
    }
}

/// A request that waits for a name.
pub(crate) struct WaitsForName(Rc<Worker>);

impl Drop for WaitsForName {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.worker.downstreams.borrow_mut().remove(&self.key);
        self.worker.left.notify_one();
    }
}
