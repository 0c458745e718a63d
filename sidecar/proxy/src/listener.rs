//! A worker's share of a listening socket: accepted connections are told apart and served (stages 1 and 3).
//!
//! Connections wait in the kernel's queue while the configuration has no listener for the address, and while the worker has
//! as many as it may. When draining begins, those in the queue are still taken: they were promised to this process.

use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::FutureExt;
use tokio::net::TcpStream;
use weir_config::ListenerKind;
use weir_model::limits;
use weir_runtime::net::{self, Acceptor, ConnectOptions};

use crate::detect::{Protocol, detect};
use crate::downstream::Downstream;
use crate::worker::Worker;
use crate::{http, tcp};

/// Accepts until draining begins.
pub(crate) async fn serve(worker: Rc<Worker>, entrance: usize, mut acceptor: Acceptor) {
    let draining = worker.drain.draining();
    tokio::pin!(draining);
    loop {
        tokio::select! {
            biased;
            _ = &mut draining => break,
            (stream, peer) = next(&worker, entrance, &mut acceptor) => start(&worker, entrance, stream, peer),
        }
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

/// Serves one connection to its end.
async fn connection(downstream: Rc<Downstream>, stream: TcpStream) {
    // Fails only if the peer is already gone, which reading tells.
    let _ = net::configure(&stream, ConnectOptions::default());
    let opaque = match downstream.worker.pinned().listener(downstream.entrance).map(|listener| &listener.kind)
    {
        Some(ListenerKind::Tcp { cluster, access_log }) => Some((*cluster, *access_log)),
        Some(ListenerKind::Http { .. }) | None => None,
    };
    if let Some((cluster, access_log)) = opaque {
        return tcp::serve(&downstream, stream, cluster, access_log).await;
    }
    let detected = tokio::select! {
        detected = tokio::time::timeout(limits::HEAD_TIMEOUT, detect(stream)) => detected,
        () = downstream.finishing() => return,
    };
    // A peer that says nothing, or goes away first, gets no answer.
    let Ok(Ok(Some((protocol, stream)))) = detected else { return };
    match protocol {
        Protocol::Http1 => http::serve_http1(downstream, stream).await,
        Protocol::Http2 => http::serve_http2(downstream, stream).await,
    }
}
