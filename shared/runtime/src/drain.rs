//! The way out, in stages: Running → Leaving → Draining → Ending → Stopped.
//!
//! Leaving and Ending are there for those who want to be told first: a drain may go from Running to Draining and from there to
//! Stopped. Main holds the [`Drain`] and moves it forward. Each worker turns a [`DrainSignal`] into its own [`WorkerDrain`] once, at its
//! start; connections then wait on that one and count themselves with its guards, so that neither waiting nor counting touches
//! anything another worker writes. Main waits in [`Drain::drained`] until the last guard everywhere is gone.
//!
//! What a connection does when draining (GOAWAY, `Connection: close`) is the proxy's business.

mod worker;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::{self, Time};

pub use worker::{ConnectionGuard, WorkerDrain};

/// How far the process is on its way out. Stages only ever advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Serving.
    Running,
    /// Peers are asked to go elsewhere; what comes all the same is served.
    Leaving {
        /// Whether new connections are taken. They are not where another process has taken the listening sockets over.
        accepting: bool,
    },
    /// No new connections; what is under way may finish until the deadline.
    Draining {
        /// When the process stops whether or not everything has finished.
        deadline: Time,
    },
    /// Too late for what is still under way: streams that can be told so are.
    Ending {
        /// When they have had time to hear it.
        deadline: Time,
    },
    /// Drop everything.
    Stopped,
}

impl Stage {
    /// Whether no new connections are taken and open ones end after what is under way (or at once).
    pub fn is_draining(self) -> bool {
        !matches!(self, Stage::Running | Stage::Leaving { .. })
    }

    /// Whether new connections are taken.
    pub fn is_accepting(self) -> bool {
        matches!(self, Stage::Running | Stage::Leaving { accepting: true })
    }

    /// When draining, or what is left of it, is over; now if it is.
    fn deadline(self) -> Time {
        match self {
            Stage::Draining { deadline } | Stage::Ending { deadline } => deadline,
            _ => clock::now(),
        }
    }
}

/// Main's end: moves the stages forward and waits for connections to end.
#[derive(Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
    shared: Arc<Shared>,
}

/// What main and the workers share. Touched when a connection opens or closes, never per request, except for reading `draining`.
#[derive(Debug, Default)]
struct Shared {
    draining: AtomicBool,
    /// Told whenever a count may have reached zero after draining began.
    idle: Notify,
    workers: Mutex<Vec<Arc<Count>>>,
}

/// One worker's open connections; alone on its cache lines because only that worker writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicUsize);

impl Drain {
    /// A process that is running.
    pub fn new() -> Drain {
        Drain { stage: watch::Sender::new(Stage::Running), shared: Arc::default() }
    }

    /// An end to wait on, for a worker or any other task.
    pub fn signal(&self) -> DrainSignal {
        DrainSignal { stage: self.stage.subscribe(), shared: self.shared.clone() }
    }

    /// Asks peers to go elsewhere, and goes on serving; new connections are taken as `accepting` says. Once they are not, that
    /// stays.
    pub fn leave(&self, accepting: bool) {
        self.advance(|stage| match stage {
            Stage::Running => Some(Stage::Leaving { accepting }),
            Stage::Leaving { accepting: true } if !accepting => Some(Stage::Leaving { accepting }),
            _ => None,
        });
    }

    /// Begins draining, to be over within `limit`. The first call decides; later ones change nothing.
    pub fn start(&self, limit: Duration) {
        let deadline = clock::now() + limit;
        self.advance(|stage| match stage {
            Stage::Running | Stage::Leaving { .. } => Some(Stage::Draining { deadline }),
            _ => None,
        });
    }

    /// Tells what is still open that it ends, and gives it `limit` to pass that on.
    pub fn end(&self, limit: Duration) {
        let deadline = clock::now() + limit;
        self.advance(|stage| match stage {
            Stage::Ending { .. } | Stage::Stopped => None,
            _ => Some(Stage::Ending { deadline }),
        });
    }

    /// Stops at once.
    pub fn stop(&self) {
        self.advance(|stage| (stage != Stage::Stopped).then_some(Stage::Stopped));
    }

    /// The stage now.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Connections open now, on all workers.
    pub fn open(&self) -> usize {
        let workers = self.shared.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|count| count.0.load(Ordering::Relaxed)).sum()
    }

    /// Waits, once draining has begun, until no connection is open or the deadline has passed, and returns how many are still
    /// open: zero is a clean end. Before draining it waits for that first.
    pub async fn drained(&self) -> usize {
        let mut stage = self.stage.subscribe();
        loop {
            let idle = self.shared.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            let now = *stage.borrow_and_update();
            // Pairs with the fence in `ConnectionGuard::drop`: either main sees the count at zero here, or the worker sees
            // that draining has begun and notifies.
            fence(Ordering::SeqCst);
            let open = self.open();
            match now {
                Stage::Running | Stage::Leaving { .. } => drop(stage.changed().await),
                Stage::Stopped => return open,
                Stage::Draining { deadline } | Stage::Ending { deadline } => {
                    if open == 0 || clock::now() >= deadline {
                        return open;
                    }
                    tokio::select! {
                        () = idle => {}
                        _ = stage.changed() => {}
                        () = tokio::time::sleep_until(deadline.instant()) => {}
                    }
                }
            }
        }
    }

    fn advance(&self, to: impl FnOnce(Stage) -> Option<Stage>) {
        self.stage.send_if_modified(|stage| match to(*stage) {
            Some(next) => {
                *stage = next;
                if next.is_draining() {
                    self.shared.draining.store(true, Ordering::SeqCst);
                }
                true
            }
            None => false,
        });
    }
}

impl Default for Drain {
    fn default() -> Drain {
        Drain::new()
    }
}

/// A task's end. Cheap to ask, but waiting on it takes a lock that all clones share: workers take a [`WorkerDrain`] from it.
#[derive(Clone, Debug)]
pub struct DrainSignal {
    stage: watch::Receiver<Stage>,
    shared: Arc<Shared>,
}

impl DrainSignal {
    /// Whether draining has begun (or is over): one relaxed load.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// The stage now.
    pub fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until draining begins, and returns its deadline; the present moment if the process stops at once.
    pub async fn draining(&self) -> Time {
        self.reaches(Stage::is_draining).await.deadline()
    }

    /// Waits until everything is to be dropped.
    pub async fn stopped(&self) {
        self.reaches(|stage| stage == Stage::Stopped).await;
    }

    /// A main that is gone counts as stopped: its tasks must not outlive it.
    async fn reaches(&self, wanted: impl Fn(Stage) -> bool) -> Stage {
        let mut stage = self.stage.clone();
        stage.wait_for(|stage| wanted(*stage)).await.map_or(Stage::Stopped, |stage| *stage)
    }

    /// This worker's own end. Call it once per worker, on its `LocalRuntime`: it spawns the task that passes stages on.
    pub fn worker(&self) -> WorkerDrain {
        WorkerDrain::start(self.clone())
    }
}

#[cfg(test)]
mod tests;
