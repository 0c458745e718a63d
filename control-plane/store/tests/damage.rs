//! A damaged or newer file is refused, says so, and is left as it was; what is accepted is right.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use weir_store::{Attribution, Change, Commit, Embedded, FILE_NAME, Options, State, Store, StoreError};
use xxhash_rust::xxh3::xxh3_128;

fn put(key: &str, value: impl Into<Vec<u8>>) -> Change {
    Change::Put { key: key.into(), value: value.into().into() }
}

/// A store with some history, closed; its bytes, and what it says.
struct Sample {
    bytes: Vec<u8>,
    state: State,
    history: Vec<Commit>,
}

fn write(store: &impl Store) {
    for n in 0..40_u32 {
        let mut changes =
            vec![put(&format!("route/{}", n % 11), format!("weights {n}").repeat(n as usize % 60))];
        if n % 5 == 0 {
            changes.push(Change::Delete { key: format!("route/{}", n % 7) });
        }
        if n == 20 {
            changes.push(put("large", vec![7; 30_000]));
        }
        let by = Attribution { author: "ann".into(), message: n.to_string(), unix_millis: n.into() };
        store.apply(None, changes, by).unwrap();
    }
}

fn sample(clean: bool) -> Sample {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options { history_revisions: 30, ..Options::default() }).unwrap();
    write(&store);
    let (state, history) = (store.state(), store.history_before(None, 99).unwrap());
    // What a kill would leave is what is in the file while the store is open.
    let mut bytes = std::fs::read(dir.path().join(FILE_NAME)).unwrap();
    drop(store);
    if clean {
        bytes = std::fs::read(dir.path().join(FILE_NAME)).unwrap();
    }
    Sample { bytes, state, history }
}

struct Place {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        Self { dir, path }
    }

    fn open(&self, bytes: &[u8]) -> Result<Embedded, StoreError> {
        std::fs::write(&self.path, bytes).unwrap();
        Embedded::open(self.dir.path(), Options::default())
    }

    /// Opening `bytes` must fail as damage and change nothing.
    fn refuses(&self, bytes: &[u8], what: &str) {
        let error = self.open(bytes).err().unwrap_or_else(|| panic!("{what} was accepted"));
        self.unchanged(bytes, what);
        named(&error, &self.path, what);
    }

    fn unchanged(&self, bytes: &[u8], what: &str) {
        assert!(std::fs::read(&self.path).unwrap() == bytes, "{what}: the file was changed");
    }
}

fn named(error: &StoreError, path: &Path, what: &str) {
    let StoreError::Damaged { path: said, .. } = error else { panic!("{what}: {error}") };
    assert_eq!(said, path, "{what}");
    let text = error.to_string();
    assert!(text.contains("restore it from a backup") && text.contains("not been changed"), "{what}: {text}");
}

/// Damage is refused, or hit nothing: then everything reads as before, and writing goes on. Says which.
fn refused_or_right(place: &Place, sample: &Sample, bytes: &[u8], what: &str) -> bool {
    match place.open(bytes) {
        Err(error) => {
            place.unchanged(bytes, what);
            named(&error, &place.path, what);
            true
        }
        Ok(store) => {
            assert_eq!(store.state(), sample.state, "{what}");
            assert_eq!(store.history_before(None, 99).unwrap(), sample.history, "{what}");
            let commit = store.apply(None, vec![put("after", what)], Attribution::default()).unwrap();
            assert_eq!(store.verify().unwrap(), commit.revision, "{what}");
            false
        }
    }
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let place = Place::new();
    place.refuses(b"", "an empty file");
    place.refuses(b"x", "one byte");
    place.refuses(&[0; 5000], "zeros");
    place.refuses(&[0; 2 << 20], "many zeros");
    place.refuses(&b"apiVersion: v1\nkind: Service\n".repeat(1000), "text");
    let noise: Vec<u8> =
        (0..300_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u8).collect();
    place.refuses(&noise, "noise");

    let sample = sample(true);
    place.refuses(&sample.bytes[4096..], "a store without its first page");
    let mut headless = sample.bytes.clone();
    headless[4096..8192].fill(0);
    place.refuses(&headless, "a store without the database's header");
    let mut noisy = sample.bytes.clone();
    noisy[4096..8192].copy_from_slice(&noise[..4096]);
    place.refuses(&noisy, "a store with noise for the database's header");
    let first_page = &sample.bytes[..4096];
    place.refuses(&[first_page, &[0; 1 << 20]].concat(), "a first page and zeros");
    place.refuses(&[first_page, &noise].concat(), "a first page and noise");
}

#[test]
fn a_truncated_file_is_refused() {
    let place = Place::new();
    for clean in [true, false] {
        let sample = sample(clean);
        let len = sample.bytes.len();
        let mut cuts: Vec<usize> = (1..64).map(|part| len * part / 64).collect();
        cuts.extend([0, 1, 40, 511, 4095, 4096, 4097, 4416, 8191, 8192, 12_288, len - 4096, len - 1]);
        // Redundant space at the end may go missing without harm; a page that is used may not.
        let refused = cuts.iter().filter(|cut| {
            refused_or_right(
                &place,
                &sample,
                &sample.bytes[..**cut],
                &format!("cut to {cut} of {len}, clean {clean}"),
            )
        });
        assert!(refused.count() > 20, "hardly any cut was noticed");
    }
}

#[test]
fn flipped_bytes_are_refused_or_hit_nothing() {
    for clean in [true, false] {
        let sample = sample(clean);
        let used: Vec<usize> = (0..sample.bytes.len()).filter(|at| sample.bytes[*at] != 0).collect();
        // The headers byte by byte where something is written, the rest in steps.
        let headers = used.iter().filter(|at| **at < 4096 + 320).copied();
        let rest = used.iter().filter(|at| **at >= 4096 + 320).copied();
        let places: Vec<usize> = headers.chain(rest.step_by(used.len() / 150)).collect();
        let (next, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let place = Place::new();
                    let mut bytes = sample.bytes.clone();
                    while let Some(&at) = places.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                        let flip = if at % 3 == 0 { 0xff } else { 1 << (at % 8) };
                        bytes[at] ^= flip;
                        let what = format!("byte {at} of {} ^ {flip:#04x}, clean {clean}", bytes.len());
                        refused.fetch_add(
                            refused_or_right(&place, &sample, &bytes, &what).into(),
                            Ordering::Relaxed,
                        );
                        bytes[at] ^= flip;
                    }
                });
            }
        });
        let refused = refused.into_inner();
        assert!(refused > 50, "only {refused} of {} flips were noticed", places.len());
    }
}

/// A whole page replaced by an older version of itself has a checksum that fits; what it lacks is the newest commit.
#[test]
fn a_database_that_went_back_in_time_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    write(&store);
    let before = store.state();
    drop(store);
    let older = std::fs::read(&path).unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    store.apply(None, vec![put("a", "1")], Attribution::default()).unwrap();
    drop(store);
    let newer = std::fs::read(&path).unwrap();

    let place = Place::new();
    place.refuses(&[&newer[..4096], &older[4096..]].concat(), "an old database under a new mark");
    // The whole file from a backup is not damage.
    assert_eq!(place.open(&older).unwrap().state(), before);
}

#[test]
fn a_newer_file_is_refused_as_newer() {
    let mut bytes = sample(true).bytes;
    bytes[16..20].copy_from_slice(&7_u32.to_le_bytes());
    let checksum = xxh3_128(&bytes[..24]).to_le_bytes();
    bytes[24..40].copy_from_slice(&checksum);
    // What a newer format holds elsewhere is its own affair.
    bytes[4096..].fill(0xab);
    let place = Place::new();
    let error = place.open(&bytes).unwrap_err();
    place.unchanged(&bytes, "newer");
    assert!(
        matches!(&error, StoreError::NewerFormat { path, found: 7, supported: 1 } if *path == place.path)
    );
    assert!(error.to_string().contains("start the weir that wrote it"), "{error}");
}
