//! What the configuration task tells people: how it stands with the control plane, what is in force and what is not.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use weir_model::{ResourceSet, ResourceType};

use crate::demand::Answer;
use crate::graph::Pending;

/// A window into the configuration task, and its off switch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConfigStatus {
    shared: Arc<Mutex<Status>>,
    way: Arc<watch::Sender<Way>>,
    gone: Arc<watch::Sender<bool>>,
    handed_over: Arc<AtomicBool>,
}

/// How far the task is on its way out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    /// It stays.
    Stay,
    /// Its workload takes nothing new; it follows the control plane all the same.
    Leave,
    /// It ends.
    Close,
}

/// How the configuration stands.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The control plane that is connected or was tried last, as a URI.
    pub control_plane: String,
    /// Since when the stream is open, in nanoseconds of Unix time; absent if it is not.
    pub connected_since: Option<u64>,
    /// Streams opened since the start.
    pub connects: u64,
    /// Attempts that failed and streams that ended since the start.
    pub failures: u64,
    /// Why the last attempt failed or the last stream ended.
    pub last_error: Option<String>,
    /// What the control plane calls the state it last sent; empty if it does not say.
    pub control_plane_version: String,
    /// Responses received since the start.
    pub responses: u64,
    /// Whether there was one on the stream that was opened last.
    pub answered: bool,
    /// Resources refused since the start.
    pub refusals: u64,
    /// What was refused last and not replaced since.
    pub refused: Vec<Refused>,
    /// What is in force.
    pub effective: Arc<ResourceSet>,
    /// What was received and is not in force.
    pub pending: Vec<Pending>,
    /// Names asked for, and what the control plane answered.
    pub names: Vec<(Arc<str>, Answer)>,
    /// Whether the configuration began with what was on disk.
    pub restored: bool,
    /// Times the last good configuration was written.
    pub saves: u64,
    /// Times it could not be written.
    pub save_failures: u64,
    /// Why it could not be written the last time; absent if it could.
    pub save_error: Option<String>,
    /// Why load cannot be reported; absent if it can, or nobody asked.
    pub load_report_error: Option<String>,
}

/// A resource that was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: String,
    /// Why, with the field.
    pub error: String,
}

impl Default for ConfigStatus {
    /// Of a task that has not begun.
    fn default() -> Self {
        Self::new()
    }
}

impl ConfigStatus {
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::default(),
            way: Arc::new(watch::Sender::new(Way::Stay)),
            gone: Arc::new(watch::Sender::new(false)),
            handed_over: Arc::default(),
        }
    }

    /// How it stands now.
    pub fn get(&self) -> Status {
        self.read(Status::clone)
    }

    /// Looks at how it stands now, without a copy of it. The task waits meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&Status) -> T) -> T {
        look(&self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives up the lease of this sidecar's workload, so that peers are told to send nothing more: the stream that is the lease ends in order,
    /// and one that is none takes its place. Names are asked for and changes followed as before.
    pub fn leave(&self) {
        self.advance(Way::Leave);
    }

    /// Ends the stream to the control plane for good, and with it the lease if it was not given up before. The configuration in force stays,
    /// and is on disk when the task has ended.
    pub fn close(&self) {
        self.advance(Way::Close);
    }

    fn advance(&self, to: Way) {
        self.way.send_if_modified(|way| std::mem::replace(way, to.max(*way)) < to);
    }

    /// Another process of the same node looks after what is on disk from now on. It has a stream of its own, which holds the
    /// lease when this one's ends.
    pub fn hand_over(&self) {
        self.handed_over.store(true, Relaxed);
    }

    pub(crate) fn is_handed_over(&self) -> bool {
        self.handed_over.load(Relaxed)
    }

    /// Waits, after [`ConfigStatus::leave`], until the control plane has ended the stream as well. weir's does when all peers
    /// have acknowledged that this workload is gone. The wait is bounded: it ends too where nobody is connected, or the control
    /// plane takes too long.
    pub async fn gone(&self) {
        // The sender is held by `self`, so the wait cannot fail.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// Whether the control plane has answered on a stream that is open: it knows this node.
    pub fn is_known(&self) -> bool {
        self.read(|status| status.connected_since.is_some() && status.answered)
    }

    pub(crate) fn way(&self) -> watch::Receiver<Way> {
        self.way.subscribe()
    }

    pub(crate) fn went(&self) {
        self.gone.send_replace(true);
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
