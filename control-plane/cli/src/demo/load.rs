//! Steady load, as an open loop: requests are sent when they are due, whether or not earlier ones were answered.
//!
//! A latency is measured from the moment a request was **due**, not from when it could be sent: if the mesh stalls for a second, the
//! requests of that second show it (no coordinated omission). What is in flight is bounded by [`CONNECTIONS`], one request on
//! each; when all are busy the next request waits, and its latency says so.

use super::plan;
use super::tally::{Outcome, Tally, Ticket, VERSIONS, Window};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Connections, each with at most one request on it.
const CONNECTIONS: usize = 64;
/// Requests that are due and wait; when there are more, the clock that makes them waits too, and they keep their time.
const WAITING: usize = 1024;
/// When a request without an answer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes read of an answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// How much of an answer's text is worth showing.
const REASON_CHARS: usize = 120;
/// The name under which the load is sent.
const HOST: &str = "frontend.default:9080";
const PATH: &str = "/product/7";

/// A connection, if it is open.
type Slot = Option<SendRequest<Empty<Bytes>>>;

/// The counts, shared by everybody who counts or looks.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<Tally>>);

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared(Arc::new(Mutex::new(Tally::new())))
    }

    /// Never to be held over an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Load that runs.
#[derive(Debug)]
pub(crate) struct Load {
    tally: Shared,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Load {
    /// Begins to send.
    pub(crate) fn start(target: SocketAddr, rate: u32, tally: Shared) -> anyhow::Result<Load> {
        let (ticks, due) = mpsc::channel(WAITING);
        std::thread::Builder::new().name("metronome".to_owned()).spawn(move || metronome(rate, &ticks))?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(dispatch(target, due, stopped, tally.clone()));
        Ok(Load { tally, stop, task })
    }

    /// Requests from now on are counted here; returns when none from before is under way.
    pub(crate) async fn enter(&self, window: Window) {
        self.tally.lock().enter(window);
        // Ends, since every request does, at the latest after its time limit.
        while self.tally.lock().under_way_elsewhere() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Sends no more, and waits for the answers that are under way.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let _ended = self.stop.send(());
        Ok(self.task.await?)
    }
}

/// Says when requests are due. A thread of its own, since tokio's timer ticks in milliseconds and requests are due between those.
#[allow(
    clippy::disallowed_methods,
    reason = "the thread has nothing else to do, and wakes to the microsecond"
)]
fn metronome(rate: u32, ticks: &mpsc::Sender<Instant>) {
    let begin = Instant::now();
    for number in 0.. {
        let due = begin + plan::due(number, rate);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if ticks.blocking_send(due).is_err() {
            return;
        }
    }
}

async fn dispatch(
    target: SocketAddr,
    mut due: mpsc::Receiver<Instant>,
    mut stopped: oneshot::Receiver<()>,
    tally: Shared,
) {
    let (give, mut free) = mpsc::channel::<Slot>(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let _room = give.try_send(None);
    }
    loop {
        let next = async { Some((due.recv().await?, free.recv().await?)) };
        let (due, slot) = tokio::select! {
            _ = &mut stopped => break,
            next = next => match next {
                Some(next) => next,
                None => break,
            },
        };
        let (tally, give) = (tally.clone(), give.clone());
        let ticket = tally.lock().begin();
        tokio::spawn(async move {
            let slot = request(target, slot, due, ticket, &tally).await;
            let _over = give.send(slot).await;
        });
    }
    drop((due, give));
    // Every request under way holds a sender.
    while free.recv().await.is_some() {}
}

/// One request, counted; gives back its connection if that can be used again.
async fn request(target: SocketAddr, mut slot: Slot, due: Instant, ticket: Ticket, tally: &Shared) -> Slot {
    let outcome = match tokio::time::timeout(TIMEOUT, exchange(target, &mut slot)).await {
        Ok(Ok(version)) => Outcome::Served(version),
        Ok(Err(reason)) => Outcome::Failed(reason),
        Err(_) => {
            slot = None;
            Outcome::Failed(format!("no answer within {TIMEOUT:?}"))
        }
    };
    tally.lock().end(ticket, outcome, due.elapsed());
    slot
}

/// Sends a request and reads which version answered.
pub(crate) async fn exchange(target: SocketAddr, slot: &mut Slot) -> Result<usize, String> {
    let mut sender = match slot.take().filter(|sender| !sender.is_closed()) {
        Some(sender) => sender,
        None => connect(target).await?,
    };
    sender.ready().await.map_err(|error| format!("the connection is not ready: {error}"))?;
    let request =
        Request::get(PATH).header("host", HOST).body(Empty::new()).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| format!("no response: {error}"))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| format!("{status}, and its body broke off: {error}"))?.to_bytes();
    *slot = Some(sender);
    if status != StatusCode::OK {
        return Err(format!("{status}: {}", brief(&body)));
    }
    let answer: serde_json::Value =
        serde_json::from_slice(&body).map_err(|error| format!("200, but no JSON: {error}"))?;
    let version = answer["reviews"]["version"].as_str().unwrap_or_default();
    let known = VERSIONS.iter().position(|known| *known == version);
    known.ok_or_else(|| format!("200, but from {:?}", brief(version.as_bytes())))
}

async fn connect(target: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream = TcpStream::connect(target).await.map_err(|error| format!("cannot connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| format!("cannot connect: {error}"))?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| format!("cannot connect: {error}"))?;
    tokio::spawn(connection);
    Ok(sender)
}

fn brief(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().take(REASON_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
