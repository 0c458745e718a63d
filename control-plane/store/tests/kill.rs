//! A process killed with SIGKILL while it writes: whatever it was doing, every acknowledged batch is there, no batch
//! is there in part, and every start succeeds.
//!
//! The process is this test binary, started again to run [`the_process_that_is_killed`] alone.

#![allow(clippy::disallowed_methods, reason = "it waits for another process, in real time")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use weir_store::{Attribution, Change, Embedded, Options, Revision, Store};

const DIR: &str = "WEIR_STORE_KILL_TEST_DIR";
const ROUND: &str = "WEIR_STORE_KILL_TEST_ROUND";
const ROUNDS: u64 = 50;
const WRITERS: u64 = 4;
/// Keys one batch writes, all with the same value.
const WIDTH: u64 = 5;
const HISTORY: usize = 200;

/// Writes without end, each batch from one of a few threads, and says so on the standard output once it is
/// acknowledged: `ack <revision> <writer> <value>`.
#[test]
fn the_process_that_is_killed() {
    let Ok(dir) = std::env::var(DIR) else {
        // As a test of its own there is nothing to do: it is a part of the next one.
        return;
    };
    let round = std::env::var(ROUND).unwrap();
    let options = Options { history_revisions: HISTORY, ..Options::default() };
    let store = Embedded::open(Path::new(&dir), options).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, round) = (&store, &round);
            scope.spawn(move || {
                for n in 0.. {
                    let value = format!("{round}.{n}");
                    let filler = if n % 7 == 0 { 20_000 } else { 10 };
                    let bytes = format!("{value} {}", "x".repeat(filler));
                    let put =
                        |k| Change::Put { key: format!("{writer}/{k}"), value: bytes.as_bytes().into() };
                    let mut changes: Vec<Change> = (0..WIDTH).map(put).collect();
                    changes.push(Change::Delete { key: format!("{writer}/gone") });
                    if n % 3 == 0 {
                        changes.push(Change::Put { key: format!("{writer}/gone"), value: [1].into() });
                    }
                    let by =
                        Attribution { author: writer.to_string(), message: value.clone(), unix_millis: 0 };
                    let commit = store.apply(None, changes, by).unwrap();
                    let line = format!("ack {} {writer} {value}\n", commit.revision);
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn every_acknowledged_batch_survives_sigkill() {
    let lasting = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        // Every fifth round kills a first start, soon; the others kill a busy process at the end of a long history.
        let fresh = tempfile::tempdir().unwrap();
        let soon = round % 5 == 0;
        let dir = if soon { fresh.path() } else { lasting.path() };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (heard, acks) = sync_channel(1 << 20);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The rest is the test harness's own; a line of ours is short enough for a pipe to take whole.
                if let Some(ack) = parse(&line) {
                    heard.send(ack).unwrap();
                }
            }
        });
        let mut heard = Vec::new();
        if !soon {
            for _ in 0..spread(round) % 150 {
                heard.push(
                    acks.recv_timeout(Duration::from_secs(20)).expect("it acknowledges what it writes"),
                );
            }
        }
        std::thread::sleep(Duration::from_micros(spread(round + 1) % 20_000));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let output = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert_eq!(status.code(), None, "round {round}: it ended by itself: {output}");
        reader.join().unwrap();
        heard.extend(acks);
        acknowledged += heard.len();
        check(dir, &heard, round);
    }
    assert!(acknowledged > ROUNDS as usize * 10, "only {acknowledged} batches were acknowledged");
}

/// Numbers which spread well and are the same in every run.
fn spread(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// A line of the process: revision, writer, value.
fn parse(line: &str) -> Option<(Revision, u64, String)> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["ack", revision, writer, value] = words[..] else { return None };
    Some((Revision(revision.parse().ok()?), writer.parse().ok()?, value.to_owned()))
}

fn check(dir: &Path, acknowledged: &[(Revision, u64, String)], round: u64) {
    let newest: HashMap<u64, (Revision, &String)> =
        acknowledged.iter().map(|(revision, writer, value)| (*writer, (*revision, value))).collect();
    let options = Options { history_revisions: HISTORY, ..Options::default() };
    let store = Embedded::open(dir, options).unwrap_or_else(|error| panic!("round {round}: {error}"));
    let state = store.state();
    assert_eq!(store.verify().unwrap(), state.revision);
    let history = store.history_before(None, HISTORY).unwrap();
    for writer in 0..WRITERS {
        let value = |k: u64| {
            let entry = state.entries.get(&format!("{writer}/{k}"))?;
            let text = std::str::from_utf8(&entry.value).unwrap();
            Some((text.split(' ').next().unwrap().to_owned(), entry.modified))
        };
        let found = value(0);
        for k in 1..WIDTH {
            assert_eq!(value(k), found, "round {round}: writer {writer} left a batch in part");
        }
        let Some((revision, acknowledged)) = newest.get(&writer) else { continue };
        let (found, modified) =
            found.unwrap_or_else(|| panic!("round {round}: writer {writer}'s batches are gone"));
        let number = |value: &str| value.rsplit('.').next().unwrap().parse::<u64>().unwrap();
        assert!(
            number(&found) >= number(acknowledged) && modified >= *revision,
            "round {round}: writer {writer} was promised {acknowledged} at {revision} and {found} at {modified} is there"
        );
        // And it is in history as it was acknowledged, unless pruned since.
        if let Some(commit) = history.iter().find(|commit| commit.revision == *revision) {
            assert_eq!(&commit.attribution.message, *acknowledged);
            assert!(commit.changes.len() as u64 >= WIDTH);
        } else {
            assert!(history.last().is_none_or(|oldest| oldest.revision > *revision));
        }
    }
}
