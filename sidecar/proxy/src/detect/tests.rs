use super::*;
use detect::PREFACE;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// What is found of bytes that come in two pieces, and what can be read afterwards.
fn found(bytes: &[u8], cut: usize, told: bool) -> (Protocol, Vec<u8>) {
    runtime().block_on(async {
        let (mut client, server) = tokio::io::duplex(16);
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let sending = async {
            client.write_all(first).await.unwrap();
            tokio::task::yield_now().await;
            client.write_all(second).await.unwrap();
            drop(client);
        };
        let receiving = async {
            let (protocol, mut stream) = match told {
                true => which_http(server).await.unwrap().unwrap(),
                false => whatever(server, Duration::from_secs(1)).await.unwrap(),
            };
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            (protocol, all)
        };
        tokio::join!(sending, receiving).1
    })
}

proptest! {
    /// However the bytes arrive, they are all still there.
    #[test]
    fn nothing_is_lost(prefix in 0..=PREFACE.len(), rest in proptest::collection::vec(any::<u8>(), 1..40), cut in 0usize..64) {
        let bytes = [&PREFACE[..prefix], &rest].concat();
        let (protocol, given_back) = found(&bytes, cut, true);
        let is_http2 = bytes.starts_with(PREFACE);
        prop_assert_eq!(protocol, if is_http2 { Protocol::Http2 } else { Protocol::Http1 });
        prop_assert_eq!(&given_back, &bytes);
        let (protocol, given_back) = found(&bytes, cut, false);
        prop_assert_eq!(protocol, detect::guess(&bytes));
        prop_assert_eq!(&given_back, &bytes);
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_nobody() {
    let (client, server) = tokio::io::duplex(16);
    drop(client);
    assert!(which_http(server).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_is_not_waited_for_longer_than_said() {
    let wait = Duration::from_millis(100);
    for (said, expected) in
        [(&b""[..], Protocol::Opaque), (b"GE", Protocol::Opaque), (b"GET /a", Protocol::Http1)]
    {
        let (mut client, server) = tokio::io::duplex(64);
        let begun = Instant::now();
        client.write_all(said).await.unwrap();
        let (protocol, stream) = whatever(server, wait).await.unwrap();
        assert_eq!(protocol, expected, "{said:?}");
        assert_eq!(stream.prefix(), said);
        assert_eq!(begun.elapsed(), wait);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_dribbles_gains_no_time() {
    let (mut client, server) = tokio::io::duplex(64);
    let dribble = async {
        for byte in b"GET / HTTP/1.1 and so on" {
            client.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let begun = Instant::now();
    tokio::select! {
        () = dribble => panic!("it took too long"),
        found = whatever(server, Duration::from_millis(100)) => assert_eq!(found.unwrap().0, Protocol::Http1),
    }
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
}
