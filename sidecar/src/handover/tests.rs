use super::*;
use clap::Parser;
use std::future::{pending, ready};
use std::path::PathBuf;
use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::run::sockets::Sockets;

const LIMIT: Duration = Duration::from_secs(5);

/// A place for a door, in a directory that only this user may enter.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("door").join("a.sock");
    (directory, path)
}

fn kept(path: &Path) -> Vec<Listening> {
    let line = format!(
        "weir-sidecar --xds 127.0.0.1:1 --service a --admin-listen 127.0.0.1:0 --inbound 127.0.0.1:0=1 --workers 2 \
         --handover {}",
        path.display()
    );
    let options = Arguments::try_parse_from(line.split_whitespace()).unwrap().check(1).unwrap();
    Sockets::bind(&options, Vec::new()).unwrap().kept
}

/// Somebody who runs, with these words as its status.
fn running(path: &Path, limit: Duration) -> Handover {
    Handover::open(path, kept(path), "node-7".to_owned(), ConfigStatus::default(), limit).unwrap()
}

#[tokio::test]
async fn nobody_is_found_where_nobody_is() {
    let (_directory, path) = place();
    assert!(Takeover::begin(&path).await.unwrap().is_none());
}

#[tokio::test]
async fn a_successor_that_serves_is_yielded_to() {
    let (_directory, path) = place();
    let running = running(&path, LIMIT);
    let successor = async {
        let takeover = Takeover::begin(&path).await.unwrap().unwrap();
        assert_eq!(takeover.node_id, "node-7");
        let counts: Vec<_> =
            takeover.listening.iter().map(|listening| (listening.way, listening.sockets.len())).collect();
        assert_eq!(counts, [(Way::Admin, 1), (Way::Inbound, 2)]);
        takeover.complete(&path, ready(()), &ConfigStatus::default(), LIMIT).await
    };
    let (taken, ()) = tokio::join!(successor, running.succeeded());
    taken.unwrap();
    running.leave();
    // The new one waits at the same place.
    self::running(&path, LIMIT).close();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_successor_that_fails_or_takes_too_long_changes_nothing() {
    let (_directory, path) = place();
    let running = running(&path, Duration::from_millis(300));
    let failing = async {
        drop(Takeover::begin(&path).await.unwrap().unwrap());
        let slow = Takeover::begin(&path).await.unwrap().unwrap();
        let begun = Instant::now();
        // Its own patience is shorter than the other's.
        let gave_up =
            slow.complete(&path, pending(), &ConfigStatus::default(), Duration::from_millis(50)).await;
        assert!(format!("{:#}", gave_up.unwrap_err()).contains("--handover-timeout"));
        assert!(begun.elapsed() < Duration::from_millis(250));
        let slow = Takeover::begin(&path).await.unwrap().unwrap();
        let refused = slow.complete(&path, pending(), &ConfigStatus::default(), LIMIT).await;
        assert!(format!("{:#}", refused.unwrap_err()).contains("went back on its offer"));
        let last = Takeover::begin(&path).await.unwrap().unwrap();
        last.complete(&path, ready(()), &ConfigStatus::default(), LIMIT).await.unwrap();
    };
    tokio::join!(failing, running.succeeded());
}

#[tokio::test]
async fn a_process_that_is_gone_is_succeeded_at_once() {
    let (_directory, path) = place();
    let running = running(&path, LIMIT);
    let (gone, came) = tokio::sync::oneshot::channel();
    let successor = async {
        let takeover = Takeover::begin(&path).await.unwrap().unwrap();
        gone.send(()).unwrap();
        takeover.complete(&path, pending(), &ConfigStatus::default(), LIMIT).await
    };
    let old = async {
        tokio::select! {
            () = running.succeeded() => panic!("nobody serves"),
            () = async { came.await.unwrap() } => {}
        }
        running.leave();
    };
    let (taken, ()) = tokio::join!(successor, old);
    taken.unwrap();
}

#[test]
fn an_offer_comes_back_as_it_was_and_nonsense_is_refused() {
    let listeners = vec![(Way::OutboundTcp, "127.0.0.1:5432".parse().unwrap(), 3)];
    let offer = Offer { node_id: "n".to_owned(), connected: true, listeners };
    let read = Offer::read(&offer.write()).unwrap();
    assert_eq!((read.node_id.as_str(), read.connected, &read.listeners), ("n", true, &offer.listeners));
    let many =
        Offer { listeners: vec![(Way::Inbound, "127.0.0.1:1".parse().unwrap(), SOCKETS + 1)], ..offer };
    let texts = [
        ("", "readable"),
        ("{}", "restart it instead"),
        (r#"{"version": 2}"#, "restart it instead"),
        (r#"{"version": 1, "node": "n"}"#, "no listeners"),
        (r#"{"version": 1, "node": "n", "listeners": [{"way": "sideways"}]}"#, "a listener"),
        (r#"{"version": 1, "listeners": []}"#, "no node id"),
    ];
    for (text, expected) in texts {
        let error = format!("{:#}", Offer::read(text.as_bytes()).map(|_| ()).unwrap_err());
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(Offer::read(&many.write()).is_err());
}
