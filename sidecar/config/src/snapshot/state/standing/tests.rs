use std::sync::Arc;

use weir_decide::outlier::{Outcome, Reason};
use weir_model::{OutlierDetection, Time};

use super::*;

fn endpoint() -> EndpointState {
    EndpointState::new(1, ([127, 0, 0, 1], 1).into(), "w".into(), 4, Standing::default())
}

#[test]
fn a_threshold_is_told_once_and_starts_anew() {
    let (endpoint, config) = (endpoint(), OutlierDetection::default());
    let fail = || endpoint.observe(0, Outcome::Status(500), None, &config);
    let told: Vec<bool> = (0..8).map(|_| fail()).collect();
    assert_eq!(told, [false, false, false, false, true, false, false, false]);
    let suspicion = endpoint.standing.take_suspicion();
    assert_eq!(suspicion.reasons().collect::<Vec<_>>(), [Reason::Consecutive5xx]);
    assert!(endpoint.standing.take_suspicion().is_none());
    assert_eq!((0..5).map(|_| fail()).filter(|told| *told).count(), 1);
}

#[test]
fn totals_are_of_all_workers() {
    let (endpoint, config) = (endpoint(), OutlierDetection::default());
    for worker in 0..4 {
        endpoint.observe(worker, Outcome::Status(200), Some(Duration::from_millis(2)), &config);
        endpoint.observe(worker, Outcome::Failed, None, &config);
    }
    let tally = endpoint.traffic.tally();
    assert_eq!((tally.answers, tally.errors, tally.attempts, tally.failures), (8, 4, 0, 0));
    assert_eq!((tally.timed, tally.micros), (4, 8000));
}

#[test]
fn workers_do_not_lose_each_others_errors() {
    let endpoint = Arc::new(endpoint());
    let config = OutlierDetection { consecutive_5xx: 4000, ..OutlierDetection::default() };
    let threads = (0..4).map(|worker| {
        let (endpoint, config) = (endpoint.clone(), config.clone());
        std::thread::spawn(move || {
            (0..1000).filter(|_| endpoint.observe(worker, Outcome::Status(500), None, &config)).count()
        })
    });
    let threads: Vec<_> = threads.collect();
    assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 1);
    assert_eq!(endpoint.traffic.tally().errors, 4000);
}

#[test]
fn what_comes_back_starts_slowly_and_without_a_past() {
    let (endpoint, config) = (endpoint(), OutlierDetection::default());
    let told = (0..4).filter(|_| endpoint.observe(0, Outcome::Status(500), None, &config)).count();
    assert_eq!(told, 0);
    endpoint.eject(Time(100));
    assert!(endpoint.is_ejected(Time(99)) && !endpoint.is_ejected(Time(100)));
    assert_eq!((endpoint.standing.began(), endpoint.standing.ejections()), (Time(100), 1));
    // In time, and before it.
    endpoint.restore(Time(120));
    assert_eq!(endpoint.standing.began(), Time(100));
    assert!(!endpoint.observe(0, Outcome::Status(500), None, &config));
    endpoint.eject(Time(300));
    endpoint.restore(Time(200));
    assert!(!endpoint.is_ejected(Time(200)));
    assert_eq!(endpoint.standing.began(), Time(200));
}
