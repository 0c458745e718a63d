use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[tokio::test]
async fn the_prefix_comes_first_then_the_stream_however_small_the_reads() {
    for step in 1..=7 {
        let (mut far, near) = duplex(64);
        far.write_all(b" world").await.unwrap();
        drop(far);
        let mut stream = Rewind::with_prefix(near, Bytes::from_static(b"hello"));
        assert_eq!(stream.prefix(), b"hello");
        let mut all = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            let n = stream.read(&mut buffer).await.unwrap();
            if n == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..n]);
        }
        assert_eq!(all, b"hello world");
        assert!(stream.prefix().is_empty());
    }
}

#[tokio::test]
async fn what_was_not_read_again_can_be_taken_along() {
    let (mut far, near) = duplex(64);
    let mut stream = Rewind::with_prefix(near, Bytes::from_static(b"abcdef"));
    let mut two = [0; 2];
    stream.read_exact(&mut two).await.unwrap();
    stream.write_all(b"out").await.unwrap();
    let mut out = [0; 3];
    far.read_exact(&mut out).await.unwrap();
    let (rest, _) = stream.into_parts();
    assert_eq!((&two, &out, &rest[..]), (b"ab", b"out", &b"cdef"[..]));
}

#[tokio::test]
async fn vectored_writes_reach_the_socket_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let mut stream = HyperIo::new(Rewind::new(client));
    assert!(hyper::rt::Write::is_write_vectored(&stream));
    let parts = [IoSlice::new(b"one "), IoSlice::new(b"two "), IoSlice::new(b"three")];
    let n =
        std::future::poll_fn(|cx| hyper::rt::Write::poll_write_vectored(Pin::new(&mut stream), cx, &parts))
            .await
            .unwrap();
    assert_eq!(n, 13);
    let mut got = [0; 13];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"one two three");
}
