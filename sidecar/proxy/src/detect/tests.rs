use super::*;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

proptest! {
    #[test]
    fn anything_but_the_preface_is_http1(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let wanted = if PREFACE.starts_with(&bytes) && bytes.len() < PREFACE.len() {
            None
        } else if bytes.starts_with(PREFACE) {
            Some(Protocol::Http2)
        } else {
            Some(Protocol::Http1)
        };
        prop_assert_eq!(sniff(&bytes), wanted);
    }

    /// However the bytes arrive, they are all still there.
    #[test]
    fn nothing_is_lost(prefix in 0..=PREFACE.len(), rest in proptest::collection::vec(any::<u8>(), 1..40), cut in 0usize..64) {
        let mut bytes = PREFACE[..prefix].to_vec();
        bytes.extend(rest);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (found, given_back) = runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(16);
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let sending = async {
                client.write_all(first).await.unwrap();
                tokio::task::yield_now().await;
                client.write_all(second).await.unwrap();
                drop(client);
            };
            let receiving = async {
                let (protocol, mut stream) = detect(server).await.unwrap().unwrap();
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                (protocol, all)
            };
            tokio::join!(sending, receiving).1
        });
        let is_http2 = bytes.starts_with(PREFACE);
        prop_assert_eq!(found, if is_http2 { Protocol::Http2 } else { Protocol::Http1 });
        prop_assert_eq!(given_back, bytes);
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_nobody() {
    let (client, server) = tokio::io::duplex(16);
    drop(client);
    assert!(detect(server).await.unwrap().is_none());
}
