//! A worker's share of a listening socket: accepted connections are told apart and served (stages 1 and 3).
//!
//! Connections wait in the kernel's queue while the configuration has no listener for the address, and while the worker has
//! as many as it may. When draining begins, those in the queue are still taken: they were promised to this process, unless
//! another one has the socket too.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::net::TcpStream;
use weir_config::{Chains, Detection, ListenerKind, Tcp};
use weir_decide::detect::Protocol;
use weir_model::limits;
use weir_runtime::io::Rewind;
use weir_runtime::net::{self, Acceptor, ConnectOptions};

use crate::detect::{whatever, which_http};
use crate::downstream::Downstream;
use crate::worker::Worker;
use crate::{chain, http, sni, tcp};

/// Accepts until draining begins, or another process does it.
pub(crate) async fn serve(worker: Rc<Worker>, entrance: usize, mut acceptor: Acceptor) {
    let closing = worker.drain.closing();
    tokio::pin!(closing);
    loop {
        tokio::select! {
            biased;
            () = &mut closing => break,
            (stream, peer) = next(&worker, entrance, &mut acceptor) => start(&worker, entrance, stream, peer),
        }
    }
    if !worker.drain.is_draining() {
        return;
    }
    // What has arrived by now; the socket closes after it.
    while let Some((stream, peer)) = acceptor.accept().now_or_never() {
        start(&worker, entrance, stream, peer);
        // Lets the new connection's task run, and the accept queue be looked at again.
        tokio::task::yield_now().await;
    }
}

async fn next(worker: &Worker, entrance: usize, acceptor: &mut Acceptor) -> (TcpStream, SocketAddr) {
    let ready = || {
        worker.is_on_demand(entrance)
            || worker.tls(entrance).is_some()
            || worker.pinned().listener(entrance).is_some()
    };
    while !ready() {
        worker.repinned().await;
    }
    worker.room().await;
    acceptor.accept().await
}

fn start(worker: &Rc<Worker>, entrance: usize, stream: TcpStream, peer: SocketAddr) {
    let downstream = Rc::new(Downstream::new(worker.clone(), entrance, peer));
    let listed = worker.list(downstream.clone());
    let counted = worker.drain.connection();
    let inbound = worker.is_inbound(entrance);
    worker.telemetry.accepted(inbound);
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        connection(downstream, stream).await;
        drop((listed, counted));
        worker.telemetry.closed(inbound);
    });
}

/// Waits until a connection without a request has to end: its first one may be on its way.
pub(crate) async fn finished(downstream: &Downstream) {
    downstream.finishing().await;
    tokio::time::sleep(limits::LAST_REQUEST).await;
}

/// What listeners carry beside HTTP of which they know that it is.
enum Special {
    Bytes(Arc<Tcp>),
    Unknown(Detection),
    Chains(Arc<Chains>),
}

/// Serves one connection to its end.
async fn connection(downstream: Rc<Downstream>, stream: TcpStream) {
    // Fails only if the peer is already gone, which reading tells.
    let _ = net::configure(&stream, ConnectOptions::default());
    downstream.local.set(stream.local_addr().ok());
    if let Some(port) = downstream.worker.tls(downstream.entrance) {
        return sni::serve(downstream, stream, port).await;
    }
    let special = match downstream.kind(&downstream.worker.pinned()) {
        Some(ListenerKind::Tcp(bytes)) => Some(Special::Bytes(bytes.clone())),
        Some(ListenerKind::Chains(chains)) => Some(Special::Chains(chains.clone())),
        Some(ListenerKind::Http { detection, .. }) => detection.clone().map(Special::Unknown),
        None => None,
    };
    match special {
        None => {}
        Some(Special::Bytes(bytes)) => {
            return tcp::serve(&downstream, Rewind::new(stream), bytes, "").await;
        }
        Some(Special::Unknown(otherwise)) => return detected(downstream, stream, otherwise).await,
        // Boxed, since few listeners have them, and all connections would have to be as large.
        Some(Special::Chains(chains)) => return Box::pin(chain::serve(downstream, stream, chains)).await,
    }
    let detected = tokio::select! {
        biased;
        detected = tokio::time::timeout(limits::HEAD_TIMEOUT, which_http(stream)) => detected,
        () = finished(&downstream) => return,
    };
    // A peer that says nothing, or goes away first, gets no answer.
    let Ok(Ok(Some((protocol, stream)))) = detected else { return };
    match protocol {
        Protocol::Http2 => http::serve_http2(downstream, stream).await,
        Protocol::Http1 | Protocol::Tls | Protocol::Opaque => http::serve_http1(downstream, stream).await,
    }
}

/// Serves a connection of which nobody said what it speaks.
async fn detected(downstream: Rc<Downstream>, stream: TcpStream, otherwise: Detection) {
    let Detection { otherwise, wait } = otherwise;
    // A peer that is gone gets no answer.
    let Ok((protocol, stream)) = whatever(stream, wait).await else { return };
    let (protocol, stream) = if stream.prefix().is_empty() {
        let (_, stream) = stream.into_parts();
        let silent = tcp::serve_silent(&downstream, stream, otherwise.clone(), wait);
        // Boxed, since few connections come to this, and all would have to be as large.
        let Some(spoken) = Box::pin(silent).await else { return };
        spoken
    } else {
        (protocol, stream)
    };
    match protocol {
        Protocol::Http1 => http::serve_http1(downstream, stream).await,
        Protocol::Http2 => http::serve_http2(downstream, stream).await,
        // Who speaks TLS speaks it with the application.
        Protocol::Tls | Protocol::Opaque => {
            tcp::serve(&downstream, stream, otherwise, "").await;
        }
    }
}
