use super::*;
use crate::testing::{Fault, Memory, Random};

/// A medium of noise, whose database part is `len` bytes.
fn noise(random: &mut Random, len: u64) -> Arc<Memory> {
    Memory::new((0..DATA + len).map(|_| random.next() as u8).collect())
}

#[test]
fn a_view_behaves_as_a_copy_and_leaves_the_medium_alone() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let len = random.below(5 * DATA);
        let medium = noise(&mut random, len);
        let original = medium.bytes();
        let view = View::new(Arc::clone(&medium) as Arc<dyn Medium>).unwrap();
        let mut copy = original[PAGE..].to_vec();
        for _ in 0..60 {
            match random.below(10) {
                0..=3 if !copy.is_empty() => {
                    let offset = random.below(copy.len() as u64);
                    let data =
                        vec![random.next() as u8; random.below(copy.len() as u64 - offset + 1) as usize];
                    view.write(offset, &data).unwrap();
                    copy[offset as usize..][..data.len()].copy_from_slice(&data);
                }
                4 => {
                    let len = random.below(6 * DATA);
                    view.set_len(len).unwrap();
                    copy.resize(len as usize, 0);
                }
                _ => {
                    let offset = random.below(copy.len() as u64 + 10);
                    let mut out = vec![0; random.below(3 * DATA) as usize];
                    let expected = copy.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
                    match (view.read(offset, &mut out), expected) {
                        (Ok(()), Some(expected)) => assert_eq!(out, expected, "seed {seed}"),
                        (Err(error), None) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
                        (got, expected) => panic!("seed {seed}: {got:?}, expected {}", expected.is_some()),
                    }
                }
            }
            assert_eq!(StorageBackend::len(&view).unwrap(), copy.len() as u64);
        }
        assert!(medium.bytes() == original, "seed {seed}");
        assert_eq!(medium.steps(), 0);
    }
}

#[test]
fn the_durable_header_is_the_one_of_the_last_successful_sync() {
    let medium = noise(&mut Random(1), 3 * DATA);
    let before = medium.bytes()[PAGE..][..HEADER].to_vec();
    let (live, control) = Live::new(Arc::clone(&medium) as Arc<dyn Medium>, before.clone());
    live.write(5, b"abc").unwrap();
    assert_eq!(control.durable_header(), before);
    live.sync_data().unwrap();
    let mut synced = before;
    synced[5..8].copy_from_slice(b"abc");
    assert_eq!(control.durable_header(), synced);

    // A write that leaves the header, one past it, and a sync that fails.
    live.write(HEADER as u64 - 1, b"xyz").unwrap();
    live.write(HEADER as u64, b"q").unwrap();
    medium.fail(Fault::Sync);
    assert!(live.sync_data().is_err());
    assert_eq!(control.durable_header(), synced);
    medium.heal();
    live.sync_data().unwrap();
    synced[HEADER - 1] = b'x';
    assert_eq!(control.durable_header(), synced);
}

#[test]
fn the_first_error_is_the_cause_and_an_ended_backend_does_nothing() {
    let medium = noise(&mut Random(1), DATA);
    let (live, control) = Live::new(Arc::clone(&medium) as Arc<dyn Medium>, vec![0; HEADER]);
    medium.fail(Fault::FullPast(0));
    assert_eq!(live.write(0, b"abc").unwrap_err().kind(), io::ErrorKind::StorageFull);
    medium.heal();
    live.read(10 * DATA, &mut [0]).unwrap_err();
    assert_eq!(control.cause().unwrap().kind(), io::ErrorKind::StorageFull);

    control.end();
    let before = (medium.bytes(), medium.steps());
    assert!(live.write(0, b"abc").is_err());
    assert!(live.set_len(0).is_err());
    assert!(live.sync_data().is_err());
    assert!(live.read(0, &mut [0]).is_err());
    assert!(StorageBackend::len(&live).is_err());
    assert!(before == (medium.bytes(), medium.steps()));
}
