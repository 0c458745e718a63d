use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::*;
use crate::net::bind_workers;

/// A directory that nobody else may enter, and a path for a door in it.
fn place(name: &str) -> (PathBuf, PathBuf) {
    let directory = std::env::temp_dir().join(format!("weir-handover-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    (directory.clone(), directory.join("door"))
}

fn free() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[tokio::test]
async fn sockets_change_hands_with_the_connections_that_wait_in_them() {
    let (directory, path) = place("sockets");
    assert!(Peer::connect(&path).await.unwrap().is_none(), "nobody is there");
    let door = Door::open(&path).unwrap();
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    // More than one batch.
    let (address, sockets) = bind_workers(free(), BATCH + 3).unwrap();
    let mut waiting = TcpStream::connect(address).unwrap();
    waiting.write_all(b"hello").unwrap();
    let (old, new) = tokio::join!(door.accept(), Peer::connect(&path));
    let (mut old, mut new) = (old.unwrap(), new.unwrap().unwrap());
    let message = vec![b'x'; 100_000];
    let count = sockets.len();
    let handing = async {
        old.send(&message).await.unwrap();
        old.send_sockets(&sockets.iter().collect::<Vec<_>>()).await.unwrap();
        assert_eq!(old.receive().await.unwrap().unwrap(), b"thanks");
        assert_eq!(old.receive().await.unwrap(), None, "it hung up");
    };
    let taking = async {
        assert_eq!(new.receive().await.unwrap().unwrap(), message);
        let taken = new.receive_sockets(count).await.unwrap();
        new.send(b"thanks").await.unwrap();
        drop(new);
        taken
    };
    let ((), taken) = tokio::join!(handing, taking);
    assert!(taken.iter().all(|socket| socket.local_addr().unwrap() == address));
    drop(sockets);
    let mut accepted = loop {
        if let Some((accepted, _)) = taken.iter().find_map(|socket| socket.accept().ok()) {
            break accepted;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    accepted.set_nonblocking(false).unwrap();
    let mut bytes = [0; 5];
    accepted.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    door.remove();
    assert!(!path.exists() && Peer::connect(&path).await.unwrap().is_none());
    fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_door_that_was_left_behind_is_replaced_and_a_file_is_not() {
    let (directory, path) = place("left");
    Door::open(&path).unwrap().leave();
    assert!(path.exists() && Peer::connect(&path).await.unwrap().is_none());
    Door::open(&path).unwrap().remove();
    fs::write(&path, "precious").unwrap();
    let error = Door::open(&path).unwrap_err();
    assert!(error.to_string().contains("is no socket"), "{error}");
    fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_directory_that_others_may_enter_is_refused() {
    let (directory, path) = place("open");
    Door::open(&path).unwrap().leave();
    fs::set_permissions(&directory, Permissions::from_mode(0o750)).unwrap();
    for error in [Door::open(&path).unwrap_err(), Peer::connect(&path).await.unwrap_err()] {
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
    fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn only_listening_sockets_are_taken_and_only_as_many_as_were_announced() {
    let (directory, path) = place("wrong");
    let door = Door::open(&path).unwrap();
    let (address, sockets) = bind_workers(free(), 2).unwrap();
    let connected: OwnedFd = TcpStream::connect(address).unwrap().into();
    let connected = TcpListener::from(connected);
    let pair = || async {
        let (old, new) = tokio::join!(door.accept(), Peer::connect(&path));
        (old.unwrap(), new.unwrap().unwrap())
    };
    let (mut old, mut new) = pair().await;
    old.send_sockets(&[&connected]).await.unwrap();
    let error = new.receive_sockets(1).await.unwrap_err();
    assert!(error.to_string().contains("listening"), "{error}");
    let (mut old, mut new) = pair().await;
    old.send_sockets(&[&sockets[0]]).await.unwrap();
    let error = new.receive_sockets(2).await.unwrap_err();
    assert!(error.to_string().contains("fewer"), "{error}");
    let (mut old, mut new) = pair().await;
    old.send(b"words").await.unwrap();
    let error = new.receive_sockets(1).await.unwrap_err();
    assert!(error.to_string().contains("something else") || error.to_string().contains("fewer"), "{error}");
    assert!(new.receive_sockets(SOCKETS + 1).await.is_err());
    let (mut old, new) = pair().await;
    assert!(old.send(&vec![0; MESSAGE_BYTES + 1]).await.is_err());
    drop(new);
    assert_eq!(old.receive().await.unwrap(), None);
    fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_message_that_claims_too_much_is_not_read() {
    let (directory, path) = place("long");
    let door = Door::open(&path).unwrap();
    let (old, new) = tokio::join!(door.accept(), Peer::connect(&path));
    let (old, mut new) = (old.unwrap(), new.unwrap().unwrap());
    let mut raw = old.stream;
    raw.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    assert!(new.receive().await.is_err());
    fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_place_is_held_by_one_or_handed_over() {
    let (directory, path) = place("held");
    let held = Place::take(&path).unwrap().unwrap();
    assert!(Place::take(&path).unwrap().is_none());
    let door = Door::open(&path).unwrap();
    let (old, new) = tokio::join!(door.accept(), Peer::connect(&path));
    let (mut old, mut new) = (old.unwrap(), new.unwrap().unwrap());
    old.send_place(&held).await.unwrap();
    let taken = new.receive_place().await.unwrap();
    drop(held);
    assert!(Place::take(&path).unwrap().is_none(), "the other one has it");
    drop(taken);
    assert!(Place::take(&path).unwrap().is_some());
    let (_, sockets) = bind_workers(free(), 1).unwrap();
    old.send_sockets(&[&sockets[0]]).await.unwrap();
    assert!(new.receive_place().await.unwrap_err().to_string().contains("lock"));
    fs::remove_dir_all(directory).unwrap();
}
