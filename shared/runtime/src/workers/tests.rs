use std::cell::Cell;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use super::*;

#[test]
fn every_worker_runs_its_own_future_on_its_own_thread() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = seen.clone();
    let workers = Workers::start(3, "test", move |id| {
        let record = record.clone();
        async move {
            // Not `Send`, spawned and awaited on the same thread.
            let count = Rc::new(Cell::new(0));
            let inner = count.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                inner.set(inner.get() + 1);
            })
            .await
            .unwrap();
            let thread = std::thread::current().name().unwrap().to_owned();
            record.lock().unwrap().push((id, thread, count.get()));
        }
    })
    .unwrap();
    assert_eq!(workers.count(), 3);
    workers.join();
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let expected: Vec<_> = (0..3).map(|i| (WorkerId(i), format!("test-{i}"), 1)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn zero_workers_means_one() {
    let workers = Workers::start(0, "test", |_| async {}).unwrap();
    assert_eq!(workers.count(), 1);
    workers.join();
}

#[test]
fn is_finished_tells_when_all_have_ended() {
    let (end, ended) = tokio::sync::watch::channel(false);
    let workers = Workers::start(2, "test", move |_| {
        let mut ended = ended.clone();
        async move { drop(ended.wait_for(|end| *end).await) }
    })
    .unwrap();
    assert!(!workers.is_finished());
    end.send_replace(true);
    workers.join();
}

/// Starts this test binary again to die in it, and returns what it said.
fn die(test: &str, how: &str) -> (std::process::ExitStatus, String) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("workers::tests::{test}"), "--nocapture"])
        .env("WEIR_TEST_PANIC", how)
        .output()
        .unwrap();
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_panic_anywhere_on_a_worker_ends_the_process_and_says_why() {
    use std::os::unix::process::ExitStatusExt;
    let name = "a_panic_anywhere_on_a_worker_ends_the_process_and_says_why";
    match std::env::var("WEIR_TEST_PANIC").as_deref() {
        Ok("main") => Workers::start(1, "proxy", |_| async { panic!("lost {}", 42) }).unwrap().join(),
        Ok("task") => Workers::start(2, "proxy", |id| async move {
            if id == WorkerId(1) {
                tokio::task::spawn_local(async { panic!("lost {}", 42) });
            }
            std::future::pending().await
        })
        .unwrap()
        .join(),
        Ok(_) => unreachable!(),
        Err(_) => {
            for (how, worker) in [("main", "proxy-0"), ("task", "proxy-1")] {
                let (status, stderr) = die(name, how);
                assert_eq!(status.signal(), Some(6), "{stderr}");
                let said = format!("worker {worker} panicked (lost 42); the process ends");
                assert!(stderr.contains(&said), "{stderr}");
            }
        }
    }
}
