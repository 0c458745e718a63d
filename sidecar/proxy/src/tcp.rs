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
use weir_decide::detect::Protocol;
use weir_model::access_log::AccessLog;
use weir_model::{Priority, limits};
use weir_runtime::io::Rewind;

use crate::balance;
use crate::detect::whatever;
use crate::downstream::Downstream;
use crate::exchange::{Exchange, Upgraded};
use crate::health;
use crate::pool::{Active, Open};
use crate::reject::{Breaker, Kind};
use crate::timer::now;

/// A connection that switches protocols.
pub(crate) struct Upgrade {
    pub(crate) upstream: Box<Upgraded>,
    /// The request, which goes on until the connection ends.
    pub(crate) exchange: Box<Exchange>,
}

/// Carries an upgraded connection to its end. `early` is what the downstream sent beyond its request.
pub(crate) async fn upgraded(downstream: Rewind<TcpStream>, early: Bytes, upgrade: Upgrade) {
    let Upgrade { upstream, mut exchange } = upgrade;
    let Upgraded { stream, early: from_upstream, counted: _counted } = *upstream;
    let (rewound, downstream) = downstream.into_parts();
    let carried = async {
        let tally = Tally::new(&mut exchange);
        let (mut downstream, mut upstream) = tally.count(downstream, stream);
        upstream.write_all(&rewound).await?;
        upstream.write_all(&early).await?;
        downstream.write_all(&from_upstream).await?;
        copy(&mut downstream, &mut upstream).await
    };
    // Ends in an error when one side vanishes, which is how such connections often end.
    let _ = carried.await;
}

/// Serves a connection of a TCP listener: one endpoint for its whole life.
pub(crate) async fn serve(
    downstream: &Rc<Downstream>,
    stream: Rewind<TcpStream>,
    cluster: usize,
    access_log: Option<&Arc<AccessLog>>,
) {
    let layout = downstream.worker.telemetry.layout(access_log);
    let mut exchange = Exchange::opaque(downstream, cluster, layout);
    match connect(&mut exchange, downstream, cluster).await {
        Ok((upstream, _counted)) => {
            let tally = Tally::new(&mut exchange);
            let (mut stream, mut upstream) = tally.count(stream, upstream);
            let _ = copy(&mut stream, &mut upstream).await;
        }
        Err(kind) => exchange.fail(&kind),
    }
}

/// Serves a connection whose client has said nothing yet: it is connected, and then it matters who speaks first. If that is the client
/// after all, and it speaks HTTP, the connection is given back; nothing was carried, and it counts as nothing.
pub(crate) async fn serve_silent(
    downstream: &Rc<Downstream>,
    stream: TcpStream,
    cluster: usize,
    access_log: Option<&Arc<AccessLog>>,
    wait: Duration,
) -> Option<(Protocol, Rewind<TcpStream>)> {
    let layout = downstream.worker.telemetry.layout(access_log);
    let mut exchange = Exchange::opaque(downstream, cluster, layout);
    let (upstream, _counted) = match connect(&mut exchange, downstream, cluster).await {
        Ok(connected) => connected,
        Err(kind) => {
            exchange.fail(&kind);
            return None;
        }
    };
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
    let tally = Tally::new(&mut exchange);
    let (mut stream, mut upstream) = tally.count(stream, upstream);
    let _ = copy(&mut stream, &mut upstream).await;
    None
}

/// Another endpoint is tried where one does not answer: nothing was sent yet.
async fn connect(
    exchange: &mut Exchange,
    downstream: &Downstream,
    index: usize,
) -> std::result::Result<(TcpStream, Open), Kind> {
    let pinned = downstream.worker.pinned();
    let cluster = pinned.clusters.get(index).ok_or(Kind::NotConfigured)?;
    let mut tried = Vec::new();
    loop {
        let endpoint = balance::endpoint(&downstream.worker, cluster, None, &tried, now())?;
        let pool = &cluster.pools[endpoint];
        let counted = pool.permit(cluster, Priority::Default).ok_or(Kind::Overflow(Breaker::Connections))?;
        exchange.active = Some(Active::new(pool.clone()));
        let connected = pool.connect(cluster.config.model.connect_timeout).await;
        health::outlier::connected(cluster, endpoint, downstream.worker.id, connected.as_ref().err());
        match connected {
            Ok(stream) => return Ok((stream, counted)),
            Err(kind) if tried.len() + 1 >= limits::TCP_ATTEMPTS => return Err(kind),
            Err(_) => tried.push(endpoint),
        }
    }
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
}

/// A stream whose written bytes are counted.
struct Tallied<'a, S> {
    stream: S,
    written: &'a Cell<u64>,
}

impl<'a> Tally<'a> {
    fn new(exchange: &'a mut Exchange) -> Tally<'a> {
        Tally { exchange, up: Cell::new(0), down: Cell::new(0) }
    }

    fn count<D, U>(&self, downstream: D, upstream: U) -> (Tallied<'_, D>, Tallied<'_, U>) {
        (Tallied { stream: downstream, written: &self.down }, Tallied { stream: upstream, written: &self.up })
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.exchange.carried((self.up.get(), self.down.get()));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tallied<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tallied<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.written.set(self.written.get() + *written as u64);
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
