//! Opaque bytes: TCP listeners, and connections after an upgrade.
//!
//! Both directions are copied through one buffer each; when one side ends its half, the other is told and may go on. What was
//! read of either side too early goes first.

use std::rc::Rc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_model::limits;
use weir_runtime::io::Rewind;

use crate::balance;
use crate::downstream::Downstream;
use crate::exchange::{Exchange, Upgraded};
use crate::pool::{Active, Counted, Word};
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
        let (mut downstream, mut upstream) = (downstream, stream);
        upstream.write_all(&rewound).await?;
        upstream.write_all(&early).await?;
        downstream.write_all(&from_upstream).await?;
        copy(&mut downstream, &mut upstream).await
    };
    // Ends in an error when one side vanishes, which is how such connections often end.
    let carried = carried.await.unwrap_or_default();
    exchange.carried(carried);
}

/// Serves a connection of a TCP listener: one endpoint for its whole life.
pub(crate) async fn serve(
    downstream: &Rc<Downstream>,
    mut stream: TcpStream,
    cluster: usize,
    access_log: bool,
) {
    let mut exchange = Exchange::opaque(downstream, cluster, access_log);
    match connect(&mut exchange, downstream, cluster).await {
        Ok((mut upstream, _counted)) => {
            let carried = copy(&mut stream, &mut upstream).await.unwrap_or_default();
            exchange.carried(carried);
        }
        Err(kind) => exchange.fail(&kind),
    }
}

/// Another endpoint is tried where one does not answer: nothing was sent yet.
async fn connect(
    exchange: &mut Exchange,
    downstream: &Downstream,
    index: usize,
) -> Result<(TcpStream, Counted), Kind> {
    let pinned = downstream.worker.pinned();
    let cluster = pinned.clusters.get(index).ok_or(Kind::NotConfigured)?;
    let mut tried = Vec::new();
    loop {
        let endpoint = balance::endpoint(&downstream.worker, cluster, None, &tried, now())?;
        let pool = &cluster.pools[endpoint];
        let max = cluster.config.model.circuit_breakers.max_connections;
        let admitted = cluster.shared.admit(Word::Connections, max);
        let counted = admitted.ok_or(Kind::Overflow(Breaker::Connections))?;
        exchange.active = Some(Active::new(pool.clone()));
        match pool.connect(cluster.config.model.connect_timeout).await {
            Ok(stream) => return Ok((stream, counted)),
            Err(kind) if tried.len() + 1 >= limits::TCP_ATTEMPTS => return Err(kind),
            Err(_) => tried.push(endpoint),
        }
    }
}

/// Copies both ways until both sides have ended; bytes up and down.
async fn copy<D, U>(downstream: &mut D, upstream: &mut U) -> std::io::Result<(u64, u64)>
where
    D: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    tokio::io::copy_bidirectional_with_sizes(downstream, upstream, limits::COPY_BUFFER, limits::COPY_BUFFER)
        .await
}
