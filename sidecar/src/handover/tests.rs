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
    let place = Place::take(path).unwrap().expect("nobody else is there");
    open(path, Rc::new(place), limit)
}

fn open(path: &Path, place: Rc<Place>, limit: Duration) -> Handover {
    Handover::open(path, place, kept(path), "node-7".to_owned(), ConfigStatus::default(), limit).unwrap()
}

/// Somebody who finds another one running.
async fn after(path: &Path) -> Takeover {
    match Takeover::begin(path, LIMIT).await.unwrap() {
        Beginning::After(takeover) => takeover,
        Beginning::First(_) => panic!("nobody runs"),
    }
}

#[tokio::test]
async fn nobody_is_found_where_nobody_is() {
    let (_directory, path) = place();
    assert!(matches!(Takeover::begin(&path, LIMIT).await.unwrap(), Beginning::First(_)));
}

#[tokio::test]
async fn a_successor_that_serves_is_yielded_to() {
    let (_directory, path) = place();
    let running = running(&path, LIMIT);
    let successor = async {
        let takeover = after(&path).await;
        assert_eq!(takeover.node_id, "node-7");
        let counts: Vec<_> =
            takeover.listening.iter().map(|listening| (listening.way, listening.sockets.len())).collect();
        assert_eq!(counts, [(Way::Admin, 1), (Way::Inbound, 2)]);
        takeover.complete(&path, ready(()), &ConfigStatus::default(), LIMIT).await
    };
    let (taken, ()) = tokio::join!(successor, running.succeeded());
    let place = taken.unwrap();
    running.leave();
    assert!(Place::take(&path).unwrap().is_none(), "the place was never free");
    // The new one waits at the same place.
    open(&path, Rc::new(place), LIMIT).close();
    assert!(!path.exists());
    assert!(Place::take(&path).unwrap().is_some(), "it is free now");
}

/// Two that start at the same moment: the one that comes second waits for the first, and is its successor.
#[tokio::test]
async fn who_starts_beside_another_one_waits_for_it() {
    let (_directory, path) = place();
    let Beginning::First(place) = Takeover::begin(&path, LIMIT).await.unwrap() else {
        panic!("nobody is there")
    };
    let (second, first) = tokio::join!(after(&path), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let running = open(&path, Rc::new(place), LIMIT);
        tokio::time::timeout(Duration::from_millis(200), running.succeeded()).await.unwrap_err();
        running
    });
    assert_eq!(second.node_id, "node-7");
    first.close();
}

#[tokio::test]
async fn who_never_answers_is_not_waited_for_for_ever() {
    let (_directory, path) = place();
    let _starting = Place::take(&path).unwrap().unwrap();
    let error = Takeover::begin(&path, Duration::from_millis(120)).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("a.sock.lock") && error.contains("--handover-timeout"), "{error}");
}

#[tokio::test]
async fn a_successor_that_fails_or_takes_too_long_changes_nothing() {
    let (_directory, path) = place();
    let running = running(&path, Duration::from_millis(300));
    let failing = async {
        drop(after(&path).await);
        let slow = after(&path).await;
        let begun = Instant::now();
        // Its own patience is shorter than the other's.
        let gave_up =
            slow.complete(&path, pending(), &ConfigStatus::default(), Duration::from_millis(50)).await;
        assert!(format!("{:#}", gave_up.unwrap_err()).contains("--handover-timeout"));
        assert!(begun.elapsed() < Duration::from_millis(250));
        let slow = after(&path).await;
        let refused = slow.complete(&path, pending(), &ConfigStatus::default(), LIMIT).await;
        assert!(format!("{:#}", refused.unwrap_err()).contains("went back on its offer"));
        let last = after(&path).await;
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
        let takeover = after(&path).await;
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
        (r#"{"version": 1}"#, "restart it instead"),
        (r#"{"version": 2, "node": "n"}"#, "no listeners"),
        (r#"{"version": 2, "node": "n", "listeners": [{"way": "sideways"}]}"#, "a listener"),
        (r#"{"version": 2, "listeners": []}"#, "no node id"),
    ];
    for (text, expected) in texts {
        let error = format!("{:#}", Offer::read(text.as_bytes()).map(|_| ()).unwrap_err());
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(Offer::read(&many.write()).is_err());
}
