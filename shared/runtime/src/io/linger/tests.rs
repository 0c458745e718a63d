use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;

const LIMIT: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_peer_has_closed() {
    let (mut far, near) = duplex(64);
    let mut near = Lingering::new(near, LIMIT, 1 << 20);
    let begun = Instant::now();
    let closing = tokio::spawn(async move {
        near.write_all(b"last words").await.unwrap();
        near.shutdown().await.unwrap();
        begun.elapsed()
    });
    far.write_all(b"still talking").await.unwrap();
    tokio::time::sleep(LIMIT / 2).await;
    let mut words = String::new();
    far.read_to_string(&mut words).await.unwrap();
    assert_eq!(words, "last words");
    drop(far);
    assert_eq!(closing.await.unwrap(), LIMIT / 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_closes_or_never_stops_is_given_up() {
    let (_far, near) = duplex(64);
    let begun = Instant::now();
    Lingering::new(near, LIMIT, 1 << 20).shutdown().await.unwrap();
    assert_eq!(begun.elapsed(), LIMIT);

    let (mut far, near) = duplex(64);
    let talking = tokio::spawn(async move { while far.write_all(&[0; 64]).await.is_ok() {} });
    let begun = Instant::now();
    let mut near = Lingering::new(near, LIMIT, 4096);
    near.shutdown().await.unwrap();
    drop(near);
    talking.await.unwrap();
    assert!(begun.elapsed() < LIMIT);
}

/// The reason for all this: without it the peer's read fails with a reset.
#[tokio::test]
async fn a_peer_that_sends_on_reads_the_last_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    let mut near = Lingering::new(near, LIMIT, 1 << 20);
    let closing = tokio::spawn(async move {
        near.write_all(b"last words").await.unwrap();
        near.shutdown().await.unwrap();
    });
    for _ in 0..20 {
        far.write_all(b"still talking").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut words = String::new();
    far.read_to_string(&mut words).await.unwrap();
    assert_eq!(words, "last words");
    drop(far);
    closing.await.unwrap();
}
