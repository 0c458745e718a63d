//! The two ways to be told to stop: SIGTERM or SIGINT asks, a second one insists.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The first signal: finish what is under way, within the drain deadline.
    Gracefully,
    /// Every further signal: stop at once.
    Now,
}

/// Listens for SIGTERM and SIGINT. From its creation on the process no longer dies of them.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    asked: bool,
}

impl Signals {
    /// Takes over both signals; must be called inside a tokio runtime with IO enabled.
    pub fn install() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            asked: false,
        })
    }

    /// Waits for the next signal. Safe to use in `select!`: dropping the future loses no signal.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        if std::mem::replace(&mut self.asked, true) { Stop::Now } else { Stop::Gracefully }
    }
}

#[cfg(test)]
mod tests;
