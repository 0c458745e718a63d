//! Accepting connections for as long as the listener lives.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// The pause after the first failure for want of resources; doubled up to [`LONGEST_PAUSE`] while it goes on.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What [`Acceptor::accept`] lived through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptCounts {
    /// Connections handed out.
    pub accepted: u64,
    /// Connections that were gone, or refused by the network stack, before they could be accepted.
    pub aborted: u64,
    /// Times the process had no file descriptor or memory left for a connection which is waiting.
    pub exhausted: u64,
}

/// A worker's end of a listener: [`Acceptor::accept`] yields connections and never an error.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    counts: AcceptCounts,
    pause: Duration,
}

impl Acceptor {
    /// Takes a non-blocking listener into the current runtime; call it on the worker's thread.
    pub fn new(listener: std::net::TcpListener) -> io::Result<Acceptor> {
        Ok(Acceptor {
            listener: TcpListener::from_std(listener)?,
            counts: AcceptCounts::default(),
            pause: FIRST_PAUSE,
        })
    }

    /// The address listened on, with the real port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What happened so far.
    pub fn counts(&self) -> AcceptCounts {
        self.counts
    }

    /// The next connection and its peer, with `TCP_NODELAY` set.
    ///
    /// Safe to use in `select!`: dropping the future loses no connection. Out of descriptors or memory it pauses: the
    /// connection stays in the kernel's queue, where its client waits, and trying again at once would only burn the processor.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let error = match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.counts.accepted += 1;
                    self.pause = FIRST_PAUSE;
                    // Fails only when the peer is already gone, which the first read will tell.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer);
                }
                Err(error) => error,
            };
            if concerns_one_connection(&error) {
                self.counts.aborted += 1;
                // A queue full of dead connections must not hold the worker: let others run.
                tokio::task::yield_now().await;
            } else {
                self.counts.exhausted += 1;
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// accept(2) also reports errors that were already pending on the new connection; those are over with it. Everything else is
/// about this process or host and is met with a pause.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
            | Kind::WouldBlock
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::TimedOut
            | Kind::PermissionDenied
    )
}
