//! A bounded queue from workers to one thread, made so that filling it costs a worker little.
//!
//! The thread does not wait for items, which would make every worker that adds one wake it with a system call. It comes by at
//! an interval, and a worker wakes it only after having added a good part of a batch. Blocks are allocated as the queue fills,
//! so an idle queue takes no memory for its capacity.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

/// A queue for `capacity` items whose reader wants `batch` of them at a time.
pub(crate) fn bounded<T>(capacity: usize, batch: usize) -> (Sink<T>, Source<T>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    let shared = Arc::new(Shared { wake: Notify::new(), dropped: AtomicU64::new(0) });
    // A quarter of a batch from each of a few workers wakes the reader before a batch has waited long.
    let wake_every = u32::try_from(batch.min(capacity) / 4).unwrap_or(u32::MAX).max(1);
    let source = Source { receiver, shared: shared.clone() };
    (Sink { sender, shared, wake_every, added: Cell::new(0) }, source)
}

struct Shared {
    wake: Notify,
    dropped: AtomicU64,
}

/// A worker's end; clone it once for each.
pub(crate) struct Sink<T> {
    sender: mpsc::Sender<T>,
    shared: Arc<Shared>,
    wake_every: u32,
    added: Cell<u32>,
}

impl<T> Clone for Sink<T> {
    fn clone(&self) -> Sink<T> {
        Sink {
            sender: self.sender.clone(),
            shared: self.shared.clone(),
            wake_every: self.wake_every,
            added: Cell::new(0),
        }
    }
}

impl<T> Sink<T> {
    /// Adds an item, or drops and counts it if the queue is full or its reader gone. Never waits.
    pub(crate) fn offer(&self, item: T) -> bool {
        if self.sender.try_send(item).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let added = self.added.get() + 1;
        if added < self.wake_every {
            self.added.set(added);
        } else {
            self.added.set(0);
            self.shared.wake.notify_one();
        }
        true
    }
}

/// The reading thread's end.
pub(crate) struct Source<T> {
    receiver: mpsc::Receiver<T>,
    shared: Arc<Shared>,
}

impl<T> Source<T> {
    /// Waits until a worker thinks there is enough to do, at most `longest`. Safe to drop.
    pub(crate) async fn ready(&self, longest: Duration) {
        let _ = tokio::time::timeout(longest, self.shared.wake.notified()).await;
    }

    /// Moves items into `batch` until it holds `max`.
    pub(crate) fn take(&mut self, batch: &mut Vec<T>, max: usize) {
        while batch.len() < max
            && let Ok(item) = self.receiver.try_recv()
        {
            batch.push(item);
        }
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether nothing waits and nothing can come any more.
    pub(crate) fn is_over(&self) -> bool {
        self.receiver.is_closed() && self.receiver.is_empty()
    }

    /// A look at the drop counter from elsewhere.
    pub(crate) fn dropped(&self) -> Dropped {
        Dropped(self.shared.clone())
    }
}

/// How many items a queue refused.
#[derive(Clone)]
pub(crate) struct Dropped(Arc<Shared>);

impl Dropped {
    pub(crate) fn get(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
