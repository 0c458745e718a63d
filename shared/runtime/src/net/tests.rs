use std::net::{Ipv4Addr, Ipv6Addr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn any() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

#[tokio::test]
async fn workers_share_one_port_and_every_connection_is_served() {
    let (addr, listeners) = bind_workers(any(), 4).unwrap();
    assert_ne!(addr.port(), 0);
    assert_eq!(listeners.len(), 4);
    assert!(listeners.iter().all(|l| l.local_addr().unwrap() == addr));
    let (sent, mut served) = tokio::sync::mpsc::channel(64);
    for (worker, listener) in listeners.into_iter().enumerate() {
        let mut acceptor = Acceptor::new(listener).unwrap();
        let sent = sent.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = acceptor.accept().await;
                stream.write_all(b"x").await.unwrap();
                sent.send((worker, acceptor.counts().accepted)).await.unwrap();
            }
        });
    }
    let mut workers = std::collections::HashSet::new();
    for _ in 0..64 {
        let mut stream = connect(addr, Duration::from_secs(5), ConnectOptions::default()).await.unwrap();
        assert!(stream.nodelay().unwrap());
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        workers.insert(served.recv().await.unwrap().0);
    }
    assert!(workers.len() > 1, "the kernel spreads connections over the sockets");
}

#[test]
fn a_second_process_cannot_slip_onto_a_shared_port() {
    let (addr, _held) = bind_workers(any(), 2).unwrap();
    for n in [1, 2] {
        let error = bind_workers(addr, n).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let text = error.to_string();
        assert!(text.contains(&addr.to_string()) && text.contains("another instance"), "{text}");
    }
}

#[test]
fn a_port_is_free_again_as_soon_as_its_listeners_are_gone() {
    let (addr, held) = bind_workers(any(), 3).unwrap();
    drop(held);
    let (again, _held) = bind_workers(addr, 3).unwrap();
    assert_eq!(again, addr);
}

#[test]
fn errors_say_what_to_do() {
    let elsewhere: SocketAddr = "192.0.2.1:18080".parse().unwrap();
    let text = bind(elsewhere, BindOptions::default()).unwrap_err().to_string();
    assert!(text.contains("192.0.2.1:18080") && text.contains("this host has no address"), "{text}");
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
    let low = cannot_listen("127.0.0.1:80".parse().unwrap(), denied()).to_string();
    assert!(low.contains("CAP_NET_BIND_SERVICE"), "{low}");
    let transparent = cannot_listen("127.0.0.1:15001".parse().unwrap(), denied()).to_string();
    assert!(transparent.contains("CAP_NET_ADMIN"), "{transparent}");
}

#[test]
fn an_ipv6_listener_serves_ipv4_unless_told_not_to() {
    let every: SocketAddr = (Ipv6Addr::UNSPECIFIED, 0).into();
    let Ok(both) = bind(every, BindOptions::default()) else {
        panic!("this host has no IPv6; the test needs it");
    };
    let port = both.local_addr().unwrap().port();
    std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let only = bind(every, BindOptions { v6_only: true, ..BindOptions::default() }).unwrap();
    let port = only.local_addr().unwrap().port();
    std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
    std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
}

#[tokio::test]
async fn connecting_is_bounded_and_says_where_it_failed() {
    let closed = {
        let listener = bind(any(), BindOptions::default()).unwrap();
        listener.local_addr().unwrap()
    };
    let error = connect(closed, Duration::from_secs(5), ConnectOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains(&closed.to_string()));
    // A listener whose queue is full answers no SYN: with a backlog of zero, one connection fills it.
    let full = bind(any(), BindOptions { backlog: 0, ..BindOptions::default() }).unwrap();
    let addr = full.local_addr().unwrap();
    let mut held = Vec::new();
    let error = loop {
        match connect(addr, Duration::from_millis(200), ConnectOptions::default()).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
        assert!(held.len() < 16, "the backlog has a bound");
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.to_string().contains("200ms"), "{error}");
}

#[tokio::test]
async fn keepalive_is_set_even_from_silly_values() {
    let listener = bind(any(), BindOptions::default()).unwrap();
    let options =
        ConnectOptions { nodelay: false, keepalive: Some(Keepalive::after(Duration::from_millis(1))) };
    let stream = connect(listener.local_addr().unwrap(), Duration::from_secs(5), options).await.unwrap();
    assert!(SockRef::from(&stream).keepalive().unwrap());
    assert!(!stream.nodelay().unwrap());
}

#[test]
fn only_errors_of_one_connection_are_retried_at_once() {
    for errno in [4, 11, 71, 92, 100, 101, 103, 104, 110, 111, 113] {
        let error = io::Error::from_raw_os_error(errno);
        // EPROTO and ENOPROTOOPT have no kind of their own; a pause of a few milliseconds is the safe answer.
        assert_eq!(accept::concerns_one_connection(&error), !matches!(errno, 71 | 92), "{error}");
    }
    for exhausted in [12, 23, 24, 105] {
        let error = io::Error::from_raw_os_error(exhausted);
        assert!(!accept::concerns_one_connection(&error), "{error}");
    }
}

/// Takes all file descriptors away, so it runs in a process of its own: this test starts itself again.
#[test]
fn running_out_of_file_descriptors_is_waited_out() {
    const MARK: &str = "WEIR_TEST_EXHAUST";
    if std::env::var_os(MARK).is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "net::tests::running_out_of_file_descriptors_is_waited_out", "--nocapture"])
            .env(MARK, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut acceptor = Acceptor::new(bind(any(), BindOptions::default()).unwrap()).unwrap();
        let addr = acceptor.local_addr().unwrap();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: limit.maximum }).unwrap();
        let client = connect(addr, Duration::from_secs(5), ConnectOptions::default()).await.unwrap();
        let mut hogs = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            hogs.push(file);
        }
        tokio::time::timeout(Duration::from_millis(100), acceptor.accept()).await.unwrap_err();
        let counts = acceptor.counts();
        assert!(counts.exhausted >= 2 && counts.exhausted < 10 && counts.accepted == 0, "{counts:?}");
        drop(hogs);
        let (_stream, peer) =
            tokio::time::timeout(Duration::from_secs(5), acceptor.accept()).await.expect("recovers");
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(acceptor.counts().accepted, 1);
    });
}

#[tokio::test]
async fn names_and_addresses_are_looked_up() {
    let time = Duration::from_secs(5);
    assert_eq!(lookup("127.0.0.7", 80, time).await.unwrap(), [SocketAddr::from(([127, 0, 0, 7], 80))]);
    let local = lookup("localhost", 81, time).await.unwrap();
    assert!(
        !local.is_empty() && local.iter().all(|it| it.ip().is_loopback() && it.port() == 81),
        "{local:?}"
    );
    assert!(lookup("no such name", 80, time).await.is_err());
}

#[tokio::test]
async fn keepalive_is_set_as_far_as_it_is_said() {
    let listener = bind(([127, 0, 0, 1], 0).into(), BindOptions::default()).unwrap();
    let addr = listener.local_addr().unwrap();
    let keepalive = Some(Keepalive { probes: Some(7), ..Keepalive::default() });
    let options = ConnectOptions { nodelay: true, keepalive };
    let stream = connect(addr, Duration::from_secs(5), options).await.unwrap();
    let socket = SockRef::from(&stream);
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 7);
}
