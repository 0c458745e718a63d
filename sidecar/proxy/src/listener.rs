//! A worker's share of a listening socket: accepted connections are told apart and served (stages 1 and 3).
//!
//! Connections wait in the kernel's queue while the configuration has no listener for the address, and while the worker has
//! as many as it may. When draining begins, those in the queue are still taken: they were promised to this process, unless
//! another one has the socket too.

use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::FutureExt;
use tokio::net::TcpStream;
use weir_config::{Detection, ListenerKind};
use weir_decide::detect::Protocol;
use weir_model::limits;
use weir_runtime::io::Rewind;
use weir_runtime::net::{self, Acceptor, ConnectOptions};

use crate::detect::{whatever, which_http};
use crate::downstream::Downstream;
use crate::worker::Worker;
use crate::{http, tcp};

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
    while !worker.is_on_demand(entrance) && worker.pinned().listener(entrance).is_none() {
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
async fn finished(downstream: &Downstream) {
    downstream.finishing().await;
    tokio::time::sleep(limits::LAST_REQUEST).await;
}

/// Serves one connection to its end.
async fn connection(downstream: Rc<Downstream>, stream: TcpStream) {
    // Fails only if the peer is already gone, which reading tells.
    let _ = net::configure(&stream, ConnectOptions::default());
    downstream.local.set(stream.local_addr().ok());
    let (otherwise, opaque) =
        match downstream.worker.pinned().listener(downstream.entrance).map(|listener| &listener.kind) {
            Some(ListenerKind::Tcp { cluster, access_log }) => (None, Some((*cluster, access_log.clone()))),
            Some(ListenerKind::Http { detection, .. }) => (detection.clone(), None),
            None => (None, None),
        };
    if let Some((cluster, access_log)) = opaque {
        return tcp::serve(&downstream, Rewind::new(stream), cluster, access_log.as_ref()).await;
    }
    if let Some(otherwise) = otherwise {
        return detected(downstream, stream, otherwise).await;
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
    let Detection { cluster, access_log, wait } = otherwise;
    // A peer that is gone gets no answer.
    let Ok((protocol, stream)) = whatever(stream, wait).await else { return };
    let (protocol, stream) = if stream.prefix().is_empty() {
        let (_, stream) = stream.into_parts();
        let silent = tcp::serve_silent(&downstream, stream, cluster, access_log.as_ref(), wait);
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
            tcp::serve(&downstream, stream, cluster, access_log.as_ref()).await;
        }
    }
}
