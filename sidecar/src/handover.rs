//! A binary upgrade: who takes over from whom, and when.
//!
//! | | the process that runs | its successor |
//! |---|---|---|
//! | 1 | waits at `--handover PATH` | finds somebody there |
//! | 2 | offers: its node id, its listening sockets, its place | takes them, binds what it lacks, reads the configuration |
//! | 3 | serves | joins the control plane under the same node id, beside the old stream |
//! | 4 | | says that it serves: every listener has its configuration, and the control plane knows it |
//! | 5 | accepts no more, and yields | starts its workers, answers on the admin endpoint, waits at PATH |
//! | 6 | drains as on SIGTERM, and ends | |
//!
//! Connections that arrive between the fifth line's two halves wait in the sockets' queues, which both processes have. **Until
//! it has yielded the running process changes nothing**: a successor that fails, or takes longer than `--handover-timeout`,
//! leaves it as it was. A process that is gone before it yielded is succeeded at once.
//!
//! **Of processes that start at the same moment one serves.** It holds the place (a lock on `PATH.lock`) from before it binds anything; the others
//! wait until it answers at PATH, and then succeed it like anybody else. The place is handed over with the sockets, so that it is never free
//! in between.
//!
//! How sockets travel, and who may come to the door, is `weir_runtime::handover`'s business.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::Instant;
use weir_config::ConfigStatus;
use weir_runtime::handover::{Door, Peer, Place, SOCKETS};

use crate::run::sockets::{Listening, Way};

/// Both processes must mean the same.
const VERSION: u64 = 2;
const SERVING: &[u8] = b"serving";
const YIELDED: &[u8] = b"yielded";
/// How long messages may take that need nobody's work.
const PROMPT: Duration = Duration::from_secs(5);
/// The pause after this process was out of descriptors for a successor.
const EXHAUSTED: Duration = Duration::from_secs(1);

/// How often a process that starts beside another one looks whether that is there.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How a process begins at a path.
#[derive(Debug)]
pub(crate) enum Beginning {
    /// Nobody is there, and the place is its own.
    First(Place),
    /// Somebody runs there.
    After(Takeover),
}

/// The successor's side.
#[derive(Debug)]
pub(crate) struct Takeover {
    peer: Peer,
    /// The running process's name in the mesh.
    pub(crate) node_id: String,
    /// Whether the control plane was connected to it.
    connected: bool,
    /// Its sockets.
    pub(crate) listening: Vec<Listening>,
    place: Place,
}

impl Takeover {
    /// Asks whoever runs at `path` for its sockets, or takes the place where nobody does. Whoever is only starting there is waited for.
    ///
    /// # Errors
    /// Who runs there does not answer, or who is starting there did not within `limit`.
    pub(crate) async fn begin(path: &Path, limit: Duration) -> anyhow::Result<Beginning> {
        let begun = Instant::now();
        loop {
            if let Some(peer) = Peer::connect(path).await? {
                return Ok(Beginning::After(Takeover::ask(peer).await?));
            }
            if let Some(place) = Place::take(path)? {
                return Ok(Beginning::First(place));
            }
            if begun.elapsed() >= limit {
                bail!(
                    "another process holds {} and has not answered at {} within --handover-timeout {limit:?}; is it starting, or \
                     does it hang? End it, or give this one another PATH",
                    Place::beside(path).display(),
                    path.display()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn ask(mut peer: Peer) -> anyhow::Result<Takeover> {
        let takeover = tokio::time::timeout(PROMPT, async {
            let Some(offer) = peer.receive().await? else {
                bail!("it hung up; is it ending, or is another process taking over?");
            };
            let Offer { node_id, connected, listeners } = Offer::read(&offer)?;
            let mut listening = Vec::new();
            for (way, address, count) in listeners {
                let sockets = peer.receive_sockets(count).await?;
                let same = |socket: &TcpListener| socket.local_addr().is_ok_and(|local| local == address);
                if !sockets.iter().all(same) {
                    bail!("a socket it offers does not listen on {address}");
                }
                listening.push(Listening { way, address, sockets });
            }
            let place = peer.receive_place().await?;
            Ok(Takeover { peer, node_id, connected, listening, place })
        });
        takeover.await.context("it does not answer")?.context("the running sidecar's offer")
    }

    /// Takes over once this process serves, and returns with the place when the other one has yielded. `serving` is that its listeners have
    /// their configuration.
    ///
    /// # Errors
    /// The other process goes on: this one must end without having served anything.
    pub(crate) async fn complete(
        mut self,
        path: &Path,
        serving: impl Future<Output = ()>,
        status: &ConfigStatus,
        limit: Duration,
    ) -> anyhow::Result<Place> {
        let needs_control_plane = self.connected;
        let ready = async {
            serving.await;
            while needs_control_plane && !status.is_known() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            ready = tokio::time::timeout(limit, ready) => ready.with_context(|| {
                let why = status.read(|status| status.last_error.clone());
                let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                format!("no configuration to serve within --handover-timeout {limit:?}{why}; the running sidecar goes on")
            })?,
            // It has nothing to say yet: it hung up, or is gone.
            _ = self.peer.receive() => return succeed_the_dead(path, self.place).await,
        }
        if self.peer.send(SERVING).await.is_err() {
            return succeed_the_dead(path, self.place).await;
        }
        match tokio::time::timeout(PROMPT, self.peer.receive())
            .await
            .context("the running sidecar does not yield")?
        {
            Ok(Some(answer)) if answer == YIELDED => Ok(self.place),
            Ok(Some(_)) => bail!("the running sidecar answers something unknown; it goes on"),
            Ok(None) | Err(_) => succeed_the_dead(path, self.place).await,
        }
    }
}

/// Whoever hung up without having yielded either goes on serving, or is gone.
async fn succeed_the_dead(path: &Path, place: Place) -> anyhow::Result<Place> {
    if Peer::connect(path).await?.is_some() {
        bail!("the running sidecar went back on its offer; it goes on");
    }
    tracing::warn!("the running sidecar is gone without having yielded; taking its place");
    Ok(place)
}

/// What the running process says of itself.
struct Offer {
    node_id: String,
    connected: bool,
    /// Each with how many sockets listen there.
    listeners: Vec<(Way, SocketAddr, usize)>,
}

impl Offer {
    fn write(&self) -> Vec<u8> {
        let listener = |(way, address, sockets): &(Way, SocketAddr, usize)| json!({ "way": way.word(), "address": address.to_string(), "sockets": sockets });
        let listeners: Vec<Value> = self.listeners.iter().map(listener).collect();
        let offer = json!({
            "version": VERSION, "node": self.node_id, "connected": self.connected, "listeners": listeners,
        });
        offer.to_string().into_bytes()
    }

    fn read(bytes: &[u8]) -> anyhow::Result<Offer> {
        let value: Value = serde_json::from_slice(bytes).context("it is not readable")?;
        let version = value["version"].as_u64();
        if version != Some(VERSION) {
            bail!("it speaks version {:?} and this one {VERSION}; restart it instead", version.unwrap_or(0));
        }
        let listener = |value: &Value| {
            let way = Way::of_word(value["way"].as_str()?)?;
            let sockets = usize::try_from(value["sockets"].as_u64()?).ok()?;
            Some((way, value["address"].as_str()?.parse().ok()?, sockets))
        };
        let listeners = value["listeners"].as_array().context("it has no listeners")?;
        let listeners: Option<Vec<_>> = listeners.iter().map(listener).collect();
        let listeners = listeners.context("a listener in it is not readable")?;
        let count = listeners.iter().fold(0_usize, |sum, (_, _, sockets)| sum.saturating_add(*sockets));
        if count > SOCKETS {
            bail!("it has {count} sockets, more than {SOCKETS} cannot be handed over");
        }
        let node_id = value["node"].as_str().context("it has no node id")?.to_owned();
        Ok(Offer { node_id, connected: value["connected"] == true, listeners })
    }
}

/// The running process's side: its sockets once more, for whoever comes.
#[derive(Debug)]
pub(crate) struct Handover {
    door: Door,
    place: Rc<Place>,
    listening: Vec<Listening>,
    node_id: String,
    status: ConfigStatus,
    limit: Duration,
}

impl Handover {
    /// Opens the door.
    pub(crate) fn open(
        path: &Path,
        place: Rc<Place>,
        listening: Vec<Listening>,
        node_id: String,
        status: ConfigStatus,
        limit: Duration,
    ) -> io::Result<Handover> {
        Ok(Handover { door: Door::open(path)?, place, listening, node_id, status, limit })
    }

    /// Waits for a successor that serves, and yields to it: it begins to accept connections at once, and this process must stop.
    /// Those that fail are logged, and change nothing.
    pub(crate) async fn succeeded(&self) {
        loop {
            let peer = match self.door.accept().await {
                Ok(peer) => peer,
                Err(error) => {
                    tracing::warn!("a process that wants to take over cannot be let in: {error}");
                    tokio::time::sleep(EXHAUSTED).await;
                    continue;
                }
            };
            tracing::info!("another process wants to take over");
            match tokio::time::timeout(self.limit, self.offer(peer)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::warn!("it did not take over ({error}); going on as before"),
                Err(_) => {
                    tracing::warn!("it did not take over within {:?}; going on as before", self.limit);
                }
            }
        }
    }

    async fn offer(&self, mut peer: Peer) -> anyhow::Result<()> {
        let listener = |listening: &Listening| (listening.way, listening.address, listening.sockets.len());
        let offer = Offer {
            node_id: self.node_id.clone(),
            connected: self.status.read(|status| status.connected_since.is_some()),
            listeners: self.listening.iter().map(listener).collect(),
        };
        peer.send(&offer.write()).await?;
        for listening in &self.listening {
            peer.send_sockets(&listening.sockets.iter().collect::<Vec<_>>()).await?;
        }
        peer.send_place(&self.place).await?;
        match peer.receive().await? {
            Some(answer) if answer == SERVING => Ok(peer.send(YIELDED).await?),
            Some(_) => bail!("it says something unknown"),
            None => bail!("it hung up"),
        }
    }

    /// Nobody may take over any more.
    pub(crate) fn close(self) {
        self.door.remove();
    }

    /// The place is another process's now.
    pub(crate) fn leave(self) {
        self.door.leave();
    }
}

#[cfg(test)]
mod tests;
