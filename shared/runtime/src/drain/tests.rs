use std::future::Future;
use std::sync::mpsc;

use super::*;
use crate::workers::{Workers, runtime};

fn local<F: Future>(future: F) -> F::Output {
    runtime().unwrap().block_on(future)
}

#[test]
fn stages_only_advance_and_the_first_deadline_holds() {
    local(async {
        let drain = Drain::new();
        let signal = drain.signal();
        assert_eq!((drain.stage(), signal.is_draining()), (Stage::Running, false));
        drain.start(Duration::from_secs(10));
        let first = drain.stage();
        drain.start(Duration::from_secs(99));
        assert_eq!(drain.stage(), first);
        assert!(signal.is_draining());
        drain.stop();
        drain.start(Duration::from_secs(1));
        assert_eq!(signal.stage(), Stage::Stopped);
        signal.stopped().await;
    });
}

#[test]
fn leaving_comes_before_draining_and_takes_new_connections_only_while_nobody_else_does() {
    local(async {
        let drain = Drain::new();
        let worker = drain.signal().worker();
        let _open = worker.connection();
        drain.leave(true);
        worker.leaving().await;
        assert!(worker.is_leaving() && !worker.is_draining() && worker.stage().is_accepting());
        let waits = tokio::time::timeout(Duration::from_millis(5), drain.drained()).await;
        assert!(waits.is_err(), "not yet draining");
        drain.leave(false);
        drain.leave(true);
        worker.closing().await;
        assert_eq!(worker.stage(), Stage::Leaving { accepting: false });
        drain.start(Duration::from_secs(60));
        drain.leave(true);
        worker.draining().await;
        assert!(worker.is_draining() && !worker.is_ending());
        drain.end(Duration::from_millis(5));
        drain.start(Duration::from_secs(60));
        worker.ending().await;
        assert_eq!(drain.drained().await, 1);
        drain.stop();
        worker.stopped().await;
        assert!(worker.is_ending() && worker.is_draining());
    });
}

#[test]
fn a_worker_hears_of_it_and_main_hears_when_the_last_connection_ends() {
    local(async {
        let drain = Drain::new();
        let worker = drain.signal().worker();
        let (a, b) = (worker.connection(), worker.connection());
        assert_eq!((worker.open(), drain.open()), (2, 2));
        let conn = tokio::task::spawn_local({
            let worker = worker.clone();
            async move {
                let _a = a;
                worker.draining().await
            }
        });
        tokio::task::yield_now().await;
        assert!(!worker.is_draining() && !conn.is_finished());
        drain.start(Duration::from_secs(3600));
        let deadline = conn.await.unwrap();
        assert_eq!(drain.stage(), Stage::Draining { deadline });
        assert_eq!(drain.open(), 1);
        let late = tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            drop(b);
        });
        assert_eq!(drain.drained().await, 0);
        late.await.unwrap();
    });
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_the_wait() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let drain = Drain::new();
            let worker = drain.signal().worker();
            let _stuck = worker.connection();
            let before = clock::now();
            drain.start(Duration::from_secs(30));
            assert_eq!(drain.drained().await, 1);
            let waited = before.elapsed();
            assert!(waited >= Duration::from_secs(30) && waited < Duration::from_secs(31), "{waited:?}");
        })
        .await;
}

#[test]
fn stopping_ends_the_wait_and_skips_draining() {
    local(async {
        let drain = Drain::new();
        let worker = drain.signal().worker();
        let _open = worker.connection();
        let waiting = worker.clone();
        let both = tokio::task::spawn_local(async move {
            waiting.draining().await;
            waiting.stopped().await;
        });
        drain.stop();
        assert_eq!(drain.drained().await, 1);
        both.await.unwrap();
        assert_eq!(worker.stage(), Stage::Stopped);
    });
}

#[test]
fn workers_stop_when_main_is_gone() {
    local(async {
        let drain = Drain::new();
        let signal = drain.signal();
        let worker = signal.worker();
        drop(drain);
        worker.stopped().await;
        signal.stopped().await;
    });
}

/// Many rounds of the race between "draining begins" and "the last connection ends", with real threads: `drained` must never
/// sleep until its deadline.
#[test]
fn the_last_connection_is_never_missed() {
    for round in 0..200 {
        let drain = Drain::new();
        let signal = drain.signal();
        let (opened, wait) = mpsc::sync_channel(2);
        let workers = Workers::start(2, "drain", move |_| {
            let (signal, opened) = (signal.clone(), opened.clone());
            async move {
                let worker = signal.worker();
                let guard = worker.connection();
                opened.send(()).unwrap();
                // Ends at about the moment main begins to drain.
                for _ in 0..(round % 50) {
                    std::hint::spin_loop();
                }
                drop(guard);
            }
        })
        .unwrap();
        for _ in 0..2 {
            wait.recv().unwrap();
        }
        drain.start(Duration::from_secs(60));
        let left = local(async { tokio::time::timeout(Duration::from_secs(20), drain.drained()).await });
        assert_eq!(left.expect("drained hangs"), 0);
        workers.join();
    }
}
