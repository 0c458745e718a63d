//! Peak EWMA between real sockets: everybody is found out about, and who does not answer is slow.

use crate::support::*;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use weir_model::{Cluster, Forward, HttpVersion, LoadBalancing, RouteAction, Timeouts};

/// Longer than an answer takes on any machine that is not stuck.
const PATIENCE: Duration = Duration::from_millis(700);

/// A server that answers at once or never, and the number of requests it has read.
async fn backend(answers: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, requests) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let count = requests.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = count.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                // A request of these tests comes in one piece.
                while let Ok(1..) = stream.read(&mut buffer).await {
                    count.fetch_add(1, SeqCst);
                    if answers {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    }
                }
            });
        }
    });
    (address, requests)
}

fn peak_ewma(addresses: &[SocketAddr]) -> Cluster {
    let load_balancing =
        LoadBalancing::PeakEwma { decay: Duration::from_secs(60), default_rtt: Duration::from_secs(5) };
    Cluster { load_balancing, ..cluster("app", HttpVersion::Http1, addresses) }
}

async fn get(client: &mut Peer) -> String {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.message().await.0
}

#[tokio::test]
async fn everybody_is_found_out_about() {
    let mut backends = Vec::new();
    for _ in 0..5 {
        backends.push(backend(true).await);
    }
    let addresses: Vec<SocketAddr> = backends.iter().map(|(address, _)| *address).collect();
    let proxy = Proxy::inbound(peak_ewma(&addresses));
    let mut client = Peer::connect(proxy.inbound).await;
    for _ in 0..100 {
        assert!(get(&mut client).await.starts_with("HTTP/1.1 200 "));
    }
    let requests: Vec<usize> = backends.iter().map(|(_, requests)| requests.load(SeqCst)).collect();
    assert!(requests.iter().all(|count| *count > 0), "{requests:?}");
}

#[tokio::test]
async fn who_does_not_answer_is_slow() {
    let ((good, served), (stuck, asked)) = (backend(true).await, backend(false).await);
    let timeouts = Timeouts { backend_request: Some(PATIENCE), ..Timeouts::default() };
    let forward = Forward { timeouts, ..forward_to(&[("app", 1)]) };
    let proxy = Proxy::routes(vec![peak_ewma(&[good, stuck])], vec![route(RouteAction::Forward(forward))]);
    let mut client = Peer::connect(proxy.inbound).await;
    let mut failed = 0;
    for _ in 0..20 {
        failed += usize::from(!get(&mut client).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!((failed, asked.load(SeqCst), served.load(SeqCst)), (1, 1, 19));
}
