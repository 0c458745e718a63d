//! A worker's own view of the drain: no other worker's cache line is written for a connection.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use super::{Count, DrainSignal, Shared, Stage};
use crate::clock::Time;

/// The drain as one worker's connections see it; clone it freely on that worker.
#[derive(Clone, Debug)]
pub struct WorkerDrain {
    local: Rc<Local>,
}

#[derive(Debug)]
struct Local {
    stage: Cell<Stage>,
    changed: Notify,
    open: Cell<usize>,
    /// `open` again, where main can read it.
    count: Arc<Count>,
    shared: Arc<Shared>,
}

impl WorkerDrain {
    pub(super) fn start(signal: DrainSignal) -> WorkerDrain {
        let count = Arc::new(Count::default());
        let shared = signal.shared.clone();
        shared.workers.lock().unwrap_or_else(PoisonError::into_inner).push(count.clone());
        let local = Rc::new(Local {
            stage: Cell::new(signal.stage()),
            changed: Notify::new(),
            open: Cell::new(0),
            count,
            shared,
        });
        tokio::task::spawn_local(pass_on(signal, local.clone()));
        WorkerDrain { local }
    }

    /// Whether draining has begun (or is over), as far as this worker has heard.
    pub fn is_draining(&self) -> bool {
        self.local.stage.get().is_draining()
    }

    /// Whether peers are to be asked to go elsewhere, as far as this worker has heard.
    pub fn is_leaving(&self) -> bool {
        self.local.stage.get() != Stage::Running
    }

    /// Whether what is still under way is to be told that it ends, as far as this worker has heard.
    pub fn is_ending(&self) -> bool {
        matches!(self.local.stage.get(), Stage::Ending { .. } | Stage::Stopped)
    }

    /// The stage, as far as this worker has heard.
    pub fn stage(&self) -> Stage {
        self.local.stage.get()
    }

    /// Waits until draining begins, and returns its deadline; the present moment if the process stops at once.
    pub async fn draining(&self) -> Time {
        self.reaches(Stage::is_draining).await.deadline()
    }

    /// Waits until peers are to be asked to go elsewhere.
    pub async fn leaving(&self) {
        self.reaches(|stage| stage != Stage::Running).await;
    }

    /// Waits until no new connections are to be taken.
    pub async fn closing(&self) {
        self.reaches(|stage| !stage.is_accepting()).await;
    }

    /// Waits until what is still under way is to be told that it ends.
    pub async fn ending(&self) {
        self.reaches(|stage| matches!(stage, Stage::Ending { .. } | Stage::Stopped)).await;
    }

    /// Waits until everything is to be dropped.
    pub async fn stopped(&self) {
        self.reaches(|stage| stage == Stage::Stopped).await;
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connection(&self) -> ConnectionGuard {
        self.local.set_open(self.local.open.get() + 1);
        ConnectionGuard { local: self.local.clone() }
    }

    /// Connections open on this worker.
    pub fn open(&self) -> usize {
        self.local.open.get()
    }

    async fn reaches(&self, wanted: impl Fn(Stage) -> bool) -> Stage {
        loop {
            let stage = self.local.stage.get();
            if wanted(stage) {
                return stage;
            }
            // Nothing else runs on this thread between the check and the registration, so no change is missed.
            self.local.changed.notified().await;
        }
    }
}

impl Local {
    fn set_open(&self, open: usize) {
        self.open.set(open);
        self.count.0.store(open, Ordering::Relaxed);
    }
}

/// Counts one connection as open while it lives.
#[derive(Debug)]
pub struct ConnectionGuard {
    local: Rc<Local>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let open = self.local.open.get() - 1;
        self.local.set_open(open);
        if open == 0 {
            // See `Drain::drained`.
            fence(Ordering::SeqCst);
            if self.local.shared.draining.load(Ordering::Relaxed) {
                self.local.shared.idle.notify_one();
            }
        }
    }
}

/// Brings each stage to this worker's connections. Ends with the last stage.
async fn pass_on(mut signal: DrainSignal, local: Rc<Local>) {
    loop {
        let stage = *signal.stage.borrow_and_update();
        local.stage.set(stage);
        local.changed.notify_waiters();
        if stage == Stage::Stopped {
            return;
        }
        if signal.stage.changed().await.is_err() {
            local.stage.set(Stage::Stopped);
            local.changed.notify_waiters();
            return;
        }
    }
}
