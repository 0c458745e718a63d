use super::*;

const MS: Duration = Duration::from_millis(1);

fn failed(reason: &str) -> Outcome {
    Outcome::Failed(reason.to_owned())
}

#[test]
fn a_request_counts_where_it_was_sent_not_where_it_ended() {
    let mut tally = Tally::new();
    tally.enter(Window::Phase(0));
    let slow = tally.begin();
    tally.enter(Window::Transition);
    let between = tally.begin();
    assert_eq!(tally.under_way_elsewhere(), 1);
    tally.end(slow, Outcome::Served(1), MS);
    assert_eq!(tally.under_way_elsewhere(), 0);
    tally.enter(Window::Phase(1));
    assert_eq!(tally.under_way_elsewhere(), 1);
    tally.end(between, failed("503"), MS);
    assert_eq!(tally.counts(Window::Phase(0)).versions, [0, 1]);
    assert_eq!(tally.counts(Window::Phase(0)).requests, 1);
    assert_eq!(tally.counts(Window::Phase(1)).requests, 0);
    let transition = tally.counts(Window::Transition);
    assert_eq!((transition.requests, transition.failed), (1, 1));
    assert_eq!((tally.requests(), tally.failed()), (2, 1));
}

#[test]
fn failures_are_counted_by_reason_and_their_number_is_bounded() {
    let mut tally = Tally::new();
    for number in 0..100 {
        for _ in 0..2 {
            let ticket = tally.begin();
            tally.end(ticket, failed(&format!("reason {number}")), MS);
        }
    }
    assert_eq!(tally.reasons().len(), REASONS + 1);
    assert_eq!(tally.reasons().values().sum::<u64>(), 200);
    assert_eq!(tally.reasons()["reason 3"], 2);
    assert_eq!(tally.reasons()[OTHER], 2 * (100 - REASONS as u64));
    assert_eq!(tally.failed(), 200);
}

#[test]
fn latencies_are_those_of_answers_within_a_thousandth() {
    let mut tally = Tally::new();
    tally.enter(Window::Phase(2));
    for millis in 1..=100 {
        let ticket = tally.begin();
        tally.end(ticket, Outcome::Served(0), MS * millis);
    }
    let ticket = tally.begin();
    tally.end(ticket, failed("timeout"), Duration::from_secs(10));
    let counts = tally.current();
    for (quantile, millis) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
        let found = counts.latency_ms(quantile);
        assert!((found - millis).abs() <= millis / 1000.0 + 0.001, "{quantile}: {found}");
    }
    assert_eq!(tally.counts(Window::Phase(0)).latency_ms(0.99), 0.0);
}

#[test]
fn a_latency_beyond_all_bounds_is_still_counted() {
    let mut tally = Tally::new();
    let ticket = tally.begin();
    tally.end(ticket, Outcome::Served(0), Duration::MAX);
    assert_eq!(tally.requests(), 1);
    assert!(tally.current().latency_ms(0.5) >= 60_000.0);
}

#[test]
fn shares_are_of_answers() {
    let mut tally = Tally::new();
    assert_eq!(tally.current().observed(), [0.0, 0.0]);
    for number in 0..10 {
        let ticket = tally.begin();
        tally.end(ticket, Outcome::Served(usize::from(number == 0)), MS);
    }
    let ticket = tally.begin();
    tally.end(ticket, failed("503"), MS);
    assert_eq!(tally.current().observed(), [0.9, 0.1]);
}
