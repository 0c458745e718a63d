use super::*;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use weir_config::{Demand, Snapshot};
use weir_runtime::drain::Drain;

use crate::worker::{Entrance, Worker};

/// A connection of an on-demand listener without configuration, served; what its client gets, and the client's end.
async fn served() -> (Rc<Downstream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    let telemetry = crate::pinned::tests::telemetry();
    let entrance = Entrance { address, inbound: false, on_demand: true, tls: None };
    let (drain, demand) = (Drain::new().signal().worker(), Demand::detached(false).0);
    let kin = Arc::new(crate::Kin::new(1));
    let worker =
        Worker::new(0, Arc::new(Snapshot::empty()), vec![entrance], demand, drain, (1, kin), telemetry);
    let downstream = Rc::new(Downstream::new(Rc::new(worker), 0, peer));
    tokio::task::spawn_local(serve_http1(downstream.clone(), Rewind::new(stream)));
    (downstream, client)
}

/// Looks over the connection as if so much time had passed, once the proxy has seen what was sent.
async fn later(downstream: &Downstream, time: Duration) {
    tokio::time::sleep(Duration::from_millis(50)).await;
    downstream.sweep(downstream.worker.recently() + time);
}

async fn rest(client: &mut TcpStream) -> String {
    let mut read = String::new();
    tokio::time::timeout(Duration::from_secs(10), client.read_to_string(&mut read)).await.unwrap().unwrap();
    read
}

#[test]
fn a_slow_head_is_answered_and_the_connection_ends() {
    weir_runtime::workers::runtime().unwrap().block_on(async {
        for begun in ["G", "GET / HTTP/1.1\r\nHost: a\r\n"] {
            let (downstream, mut client) = served().await;
            client.write_all(begun.as_bytes()).await.unwrap();
            later(&downstream, limits::HEAD_TIMEOUT + Duration::from_secs(1)).await;
            let answer = rest(&mut client).await;
            assert_eq!(answer.as_bytes(), respond::SLOW_HEAD);
        }
    });
}

/// Nothing was begun, so there is nothing to answer.
#[test]
fn an_idle_connection_ends_without_a_word() {
    weir_runtime::workers::runtime().unwrap().block_on(async {
        let (downstream, mut client) = served().await;
        later(&downstream, limits::DOWNSTREAM_IDLE + Duration::from_secs(1)).await;
        assert_eq!(rest(&mut client).await, "");
    });
}

#[test]
fn a_body_that_stops_coming_ends_its_connection() {
    weir_runtime::workers::runtime().unwrap().block_on(async {
        let (downstream, mut client) = served().await;
        // Refused at once, as there is no configuration; its body is read on so that the answer can be.
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await.unwrap();
        downstream.begin();
        later(&downstream, limits::BODY_TIMEOUT - Duration::from_secs(1)).await;
        assert!(!downstream.is_slow());
        later(&downstream, limits::BODY_TIMEOUT + Duration::from_secs(1)).await;
        assert!(downstream.is_slow());
        assert!(rest(&mut client).await.starts_with("HTTP/1.1 503 "));
    });
}
