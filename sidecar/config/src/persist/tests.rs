use super::*;
use crate::samples::{cluster, endpoints, inbound, listener, routes};
use proptest::prelude::*;

fn saved() -> Saved {
    let resources = [
        endpoints("e", &[1, 2]),
        cluster("c", "e"),
        routes("r", &["c"]),
        listener("reviews:80", "r"),
        inbound(9000, &["c"]),
    ];
    Saved {
        node: "n1".to_owned(),
        resources: resources
            .into_iter()
            .map(|resource| (resource.version().to_string(), Arc::new(resource)))
            .collect(),
        names: vec![("nobody".to_owned(), true), ("reviews:80".to_owned(), false)],
    }
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(decode(&encode(&saved()), "n1"), Ok((saved(), vec![])));
    let empty = Saved { node: "n1".to_owned(), ..Saved::default() };
    assert_eq!(decode(&encode(&empty), "n1"), Ok((empty, vec![])));
}

#[test]
fn no_byte_may_be_missing_or_wrong() {
    let bytes = encode(&saved());
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length], "n1").is_err(), "cut to {length}");
    }
    for index in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[index] ^= 0x10;
        assert!(decode(&damaged, "n1").is_err(), "byte {index}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(decode(&longer, "n1"), Err(Unusable::Damaged(_))));
}

#[test]
fn files_of_others_are_told_apart() {
    let bytes = encode(&saved());
    assert_eq!(decode(&bytes, "n2"), Err(Unusable::OtherNode("n1".to_owned())));
    let newer = [&b"weir last-good 2\n"[..], &bytes[MAGIC.len()..]].concat();
    assert_eq!(decode(&newer, "n1"), Err(Unusable::OtherFormat("weir last-good 2".to_owned())));
    assert_eq!(decode(b"{}", "n1"), Err(Unusable::Foreign));
    assert_eq!(decode(b"", "n1"), Err(Unusable::Foreign));
}

#[test]
fn a_resource_that_is_not_understood_is_left_out_alone() {
    let known = SavedResource {
        version: "1".into(),
        resource: Some(codec::encode(&endpoints("e", &[]), Target::Weir)),
    };
    let unknown =
        SavedResource { version: "2".into(), resource: Some(Any { type_url: "x".into(), value: vec![1] }) };
    let body = Body { node: "n1".into(), resources: vec![known, unknown], names: vec![] }.encode_to_vec();
    let mut bytes = MAGIC.to_vec();
    bytes.extend((body.len() as u64).to_le_bytes());
    bytes.extend(xxh3_64(&body).to_le_bytes());
    bytes.extend(body);
    let (saved, left_out) = decode(&bytes, "n1").unwrap();
    assert_eq!(saved.resources.len(), 1);
    assert!(matches!(&left_out[..], [Unusable::Resource(_)]), "{left_out:?}");
}

#[test]
fn a_directory_keeps_the_last_one() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(load(directory.path(), "n1"), None);
    store(directory.path(), &Saved { node: "n1".into(), ..Saved::default() }).unwrap();
    store(directory.path(), &saved()).unwrap();
    assert_eq!(load(directory.path(), "n1"), Some(saved()));
    assert_eq!(load(directory.path(), "n2"), None);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    std::fs::write(directory.path().join(FILE), b"weir last-good 1\n damaged").unwrap();
    assert_eq!(load(directory.path(), "n1"), None);
}

#[test]
fn a_full_disk_leaves_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path(), &saved()).unwrap();
    let aside = directory.path().join(format!("{FILE}.new"));
    std::os::unix::fs::symlink("/dev/full", &aside).unwrap();
    let error = store(directory.path(), &Saved::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(!aside.exists());
    assert_eq!(load(directory.path(), "n1"), Some(saved()));
}

#[tokio::test(start_paused = true)]
async fn changes_in_quick_succession_are_written_together() {
    let directory = tempfile::tempdir().unwrap();
    let status = ConfigStatus::new();
    let keeper = Keeper::start(directory.path().to_owned(), status.clone());
    for number in 0..100 {
        keeper.keep(Saved { names: vec![(number.to_string(), false)], ..saved() });
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    keeper.keep(saved());
    keeper.finish().await;
    assert_eq!(load(directory.path(), "n1"), Some(saved()));
    let saves = status.get().saves;
    assert!((2..=7).contains(&saves), "one second at 200 ms each, and the last: {saves}");
}

#[tokio::test(start_paused = true)]
async fn writing_is_tried_again_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join(format!("{FILE}.new"));
    std::fs::create_dir(&blocked).unwrap();
    let status = ConfigStatus::new();
    let keeper = Keeper::start(directory.path().to_owned(), status.clone());
    keeper.keep(saved());
    tokio::time::sleep(Duration::from_secs(25)).await;
    let failed = status.get();
    assert!(failed.save_failures >= 2 && failed.save_error.is_some(), "{failed:?}");
    std::fs::remove_dir(&blocked).unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(load(directory.path(), "n1"), Some(saved()));
    assert_eq!((status.get().saves, status.get().save_error), (1, None));
    keeper.finish().await;
}

proptest! {
    /// Whatever is in the file, reading it ends.
    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..256), with_header in any::<bool>()) {
        let mut file = Vec::new();
        if with_header {
            file.extend(MAGIC);
            file.extend((bytes.len() as u64).to_le_bytes());
            file.extend(xxh3_64(&bytes).to_le_bytes());
        }
        file.extend(bytes);
        let _ = decode(&file, "n1");
    }
}

/// Two processes of one node, while one takes over from the other.
#[test]
fn those_who_write_at_the_same_time_leave_a_whole_file() {
    let directory = tempfile::tempdir().unwrap();
    let saved = |names: usize| Saved {
        node: "n1".to_owned(),
        names: (0..names).map(|name| (format!("name-{name}"), true)).collect(),
        ..Saved::default()
    };
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (directory, saved) = (directory.path(), &saved);
            scope.spawn(move || {
                for round in 0..10 {
                    store(directory, &saved(1 + 400 * writer + round)).unwrap();
                }
            });
        }
        for _ in 0..100 {
            if let Ok(bytes) = std::fs::read(directory.path().join(FILE)) {
                decode(&bytes, "n1").unwrap();
            }
        }
    });
    assert!(!load(directory.path(), "n1").unwrap().names.is_empty());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
