//! Opaque bytes: TCP listeners, and connections after an upgrade.
//!
//! Both directions are copied through one buffer each; when one side ends its half, the other is told and may go on. What was
//! read of either side too early goes first.

use std::cell::Cell;
use std::io::Result;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use weir_config::Tcp;
use weir_decide::affinity;
use weir_decide::detect::Protocol;
use weir_model::{Priority, Time, limits};
use weir_runtime::io::Rewind;

use crate::balance;
use crate::detect::whatever;
use crate::downstream::Downstream;
use crate::exchange::{Exchange, Upgraded};
use crate::health;
use crate::pool::{self, Active, Open};
use crate::reject::{Breaker, Kind};
use crate::telemetry::Recording;
use crate::timer::now;

/// A connection that switches protocols.
pub(crate) struct Upgrade {
    pub(crate) upstream: Box<Upgraded>,
    /// The request, which goes on until the connection ends.
    pub(crate) exchange: Box<Exchange>,
}

/// Carries an upgraded connection to its end. `early` is what the downstream sent beyond its request.
pub(crate) async fn upgraded(downstream: Rewind<TcpStream>, early: Bytes, upgrade: Upgrade) {
    let (rewound, downstream) = downstream.into_parts();
    carry_upgraded(downstream, &[rewound, early], upgrade).await;
}

/// The same for any stream; `early` goes up first.
pub(crate) async fn carry_upgraded<D>(downstream: D, early: &[Bytes], upgrade: Upgrade)
where
    D: AsyncRead + AsyncWrite + Unpin,
{
    let Upgrade { upstream, mut exchange } = upgrade;
    let Upgraded { stream, early: from_upstream, counted: _counted } = *upstream;
    let carried = async {
        let tally = Tally::new(&mut exchange);
        let (mut downstream, mut upstream) = tally.count(downstream, stream);
        for early in early {
            upstream.write_all(early).await?;
        }
        downstream.write_all(&from_upstream).await?;
        copy(&mut downstream, &mut upstream).await
    };
    // Ends in an error when one side vanishes, which is how such connections often end.
    let _ = carried.await;
}

/// Serves an opaque connection: one endpoint for its whole life. `server_name` is what its client asks for in TLS, if it is known.
pub(crate) async fn serve(
    downstream: &Rc<Downstream>,
    stream: Rewind<TcpStream>,
    bytes: Arc<Tcp>,
    server_name: &str,
) {
    let mut exchange = opaque(downstream, &bytes, server_name);
    let terms = Terms::of(&bytes);
    let connected = connect(&mut exchange, downstream, &bytes).await;
    // It may last longer than what it was configured by.
    drop(bytes);
    match connected {
        Ok((upstream, _counted)) => carry(&mut exchange, stream, upstream, terms).await,
        Err(kind) => exchange.fail(&kind),
    }
}

/// Counts a connection that goes nowhere, and why.
pub(crate) fn refuse(downstream: &Rc<Downstream>, kind: Kind) {
    Exchange::opaque(downstream, None).fail(&kind);
}

/// Serves a connection whose client has said nothing yet: it is connected, and then it matters who speaks first. If that is the client
/// after all, and it speaks HTTP, the connection is given back; nothing was carried, and it counts as nothing.
pub(crate) async fn serve_silent(
    downstream: &Rc<Downstream>,
    stream: TcpStream,
    bytes: Arc<Tcp>,
    wait: Duration,
) -> Option<(Protocol, Rewind<TcpStream>)> {
    let mut exchange = opaque(downstream, &bytes, "");
    let terms = Terms::of(&bytes);
    let (upstream, _counted) = match connect(&mut exchange, downstream, &bytes).await {
        Ok(connected) => connected,
        Err(kind) => {
            exchange.fail(&kind);
            return None;
        }
    };
    drop(bytes);
    let client_first = tokio::select! {
        biased;
        _ = upstream.readable() => false,
        _ = stream.readable() => true,
    };
    let stream = if client_first {
        let (protocol, stream) = whatever(stream, wait).await.ok()?;
        if matches!(protocol, Protocol::Http1 | Protocol::Http2) {
            exchange.recording = None;
            exchange.carried((0, 0));
            return Some((protocol, stream));
        }
        stream
    } else {
        Rewind::new(stream)
    };
    carry(&mut exchange, stream, upstream, terms).await;
    None
}

fn opaque(downstream: &Rc<Downstream>, bytes: &Tcp, server_name: &str) -> Box<Exchange> {
    let layout = downstream.worker.telemetry.layout(bytes.access_log.as_ref());
    Exchange::opaque(downstream, layout.map(|layout| Recording::opaque(layout, server_name)))
}

/// How long an opaque connection may last.
#[derive(Clone, Copy)]
struct Terms {
    idle: Option<Duration>,
    until: Option<Time>,
}

impl Terms {
    fn of(bytes: &Tcp) -> Terms {
        Terms { idle: bytes.idle_timeout, until: bytes.max_duration.map(|limit| now() + limit) }
    }

    /// Waits until its time is over, and says of what that is a failure, if it is one; `moved` is when something moved last.
    async fn over(self, moved: &Cell<Time>) -> Option<Kind> {
        loop {
            let now = now();
            if self.until.is_some_and(|until| now >= until) {
                return Some(Kind::DurationTimeout);
            }
            let idle = self.idle.map(|idle| moved.get() + idle);
            if idle.is_some_and(|idle| now >= idle) {
                return None;
            }
            match idle.into_iter().chain(self.until).min() {
                Some(next) => tokio::time::sleep(next.since(now)).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// Carries bytes both ways until both sides have ended, or their time is over.
async fn carry(exchange: &mut Exchange, stream: Rewind<TcpStream>, upstream: TcpStream, terms: Terms) {
    let tally = Tally::new(exchange);
    let failure = {
        let (mut stream, mut upstream) = tally.count(stream, upstream);
        tokio::select! {
            biased;
            // Ends in an error when one side vanishes, which is how such connections often end.
            _ = copy(&mut stream, &mut upstream) => None,
            failure = terms.over(&tally.moved) => failure,
        }
    };
    if let Some(kind) = failure {
        tally.exchange.fail(&kind);
    }
}

/// Another endpoint is tried where one does not answer: nothing was sent yet.
async fn connect(
    exchange: &mut Exchange,
    downstream: &Downstream,
    bytes: &Tcp,
) -> std::result::Result<(TcpStream, Open), Kind> {
    let pinned = downstream.worker.pinned();
    let side = bytes.split.pick(&mut downstream.worker.random.borrow_mut());
    let cluster = bytes.targets.get(side).and_then(|index| pinned.clusters.get(*index));
    let cluster = cluster.ok_or(Kind::NotConfigured)?;
    exchange.cluster = Some(cluster.shared.clone());
    let hash = bytes.hash_source.then(|| affinity::of_source(downstream.peer.ip()));
    let mut tried = Vec::new();
    for attempt in 1.. {
        let endpoint = balance::endpoint(&downstream.worker, cluster, (None, hash), &tried, now())?;
        let pool = &cluster.pools[endpoint];
        let counted = pool.permit(cluster, Priority::Default).ok_or(Kind::Overflow(Breaker::Connections))?;
        exchange.active = Some(Active::new(pool.clone()));
        let connected = pool.connect(cluster.config.model.connect_timeout, pool::keepalive(cluster)).await;
        health::outlier::connected(cluster, endpoint, downstream.worker.id, connected.as_ref().err());
        match connected {
            Ok(stream) => return Ok((stream, counted)),
            Err(kind) if attempt >= bytes.attempts => {
                exchange.spent = true;
                return Err(kind);
            }
            Err(_) if !tried.contains(&endpoint) => tried.push(endpoint),
            Err(_) => {}
        }
    }
    Err(Kind::NoEndpoint)
}

/// Copies both ways until both sides have ended.
async fn copy<D, U>(downstream: &mut D, upstream: &mut U) -> Result<()>
where
    D: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    tokio::io::copy_bidirectional_with_sizes(downstream, upstream, limits::COPY_BUFFER, limits::COPY_BUFFER)
        .await?;
    Ok(())
}

/// What was carried so far, written down when the connection is over, whichever way: at its end, by a reset, or because this
/// process ends.
struct Tally<'a> {
    exchange: &'a mut Exchange,
    up: Cell<u64>,
    down: Cell<u64>,
    /// When something moved last.
    moved: Cell<Time>,
}

/// A stream whose written bytes are counted.
struct Tallied<'a, S> {
    stream: S,
    written: &'a Cell<u64>,
    moved: &'a Cell<Time>,
}

impl<'a> Tally<'a> {
    fn new(exchange: &'a mut Exchange) -> Tally<'a> {
        Tally { exchange, up: Cell::new(0), down: Cell::new(0), moved: Cell::new(now()) }
    }

    fn count<D, U>(&self, downstream: D, upstream: U) -> (Tallied<'_, D>, Tallied<'_, U>) {
        let moved = &self.moved;
        (
            Tallied { stream: downstream, written: &self.down, moved },
            Tallied { stream: upstream, written: &self.up, moved },
        )
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.exchange.carried((self.up.get(), self.down.get()));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tallied<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.moved.set(now());
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tallied<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.written.set(self.written.get() + *written as u64);
            self.moved.set(now());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
