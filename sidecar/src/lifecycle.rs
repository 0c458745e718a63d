//! How far the sidecar is on its way out, as the admin endpoint and main see it: serving, leaving, left.
//!
//! Leaving comes before draining: the control plane and, through it, all peers are told first, while everything is still
//! taken; only what comes after the pause, and after all have heard, is turned away (by `weir_runtime::drain`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// One handle of it; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle {
    stage: Arc<watch::Sender<Stage>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Serving,
    Leaving,
    Left,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self { stage: Arc::new(watch::Sender::new(Stage::Serving)) }
    }

    /// Begins to leave. Later calls change nothing.
    pub(crate) fn leave(&self) {
        self.advance(Stage::Leaving);
    }

    /// Whether it has begun to leave.
    pub(crate) fn is_leaving(&self) -> bool {
        *self.stage.borrow() != Stage::Serving
    }

    /// Waits until it begins to leave, then does so: `tell` lets the control plane know and all connections, and `heard` is when
    /// the peers that the control plane feeds have acknowledged it, which it says within a bound. All others, and idle
    /// connections, get `pause` to hear of it.
    pub(crate) async fn run(self, tell: impl FnOnce(), heard: impl Future<Output = ()>, pause: Duration) {
        self.reaches(Stage::Leaving).await;
        tracing::info!(
            "leaving: not ready any more, the control plane is told, new work is taken for {pause:?} and until peers know"
        );
        tell();
        tokio::join!(heard, tokio::time::sleep(pause));
        self.advance(Stage::Left);
    }

    /// Waits until peers had time to hear that this sidecar goes.
    pub(crate) async fn left(&self) {
        self.reaches(Stage::Left).await;
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let advances = *stage < to;
            *stage = to.max(*stage);
            advances
        });
    }

    async fn reaches(&self, wanted: Stage) {
        // The sender is held by `self`, so the wait cannot fail.
        let _ = self.stage.subscribe().wait_for(|stage| *stage >= wanted).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn leaving_tells_first_and_then_waits() {
        let lifecycle = Lifecycle::new();
        let told = Cell::new(None);
        let begun = Instant::now();
        assert!(!lifecycle.is_leaving());
        let tell = || told.set(Some(begun.elapsed()));
        let heard = tokio::time::sleep(Duration::from_millis(1500));
        let run = lifecycle.clone().run(tell, heard, Duration::from_secs(2));
        let other = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            lifecycle.leave();
            lifecycle.leave();
            assert!(lifecycle.is_leaving());
            lifecycle.left().await;
            begun.elapsed()
        };
        let ((), left) = tokio::join!(run, other);
        assert_eq!(told.get(), Some(Duration::from_secs(1)));
        assert_eq!(left, Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn peers_that_take_longer_than_the_pause_are_waited_for() {
        let lifecycle = Lifecycle::new();
        lifecycle.leave();
        let begun = Instant::now();
        let heard = tokio::time::sleep(Duration::from_secs(5));
        lifecycle.clone().run(|| {}, heard, Duration::from_secs(2)).await;
        lifecycle.left().await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }
}
