use rustix::process::{Signal as Number, getpid, kill_process};

use super::*;

// One test for both signals: signals reach the whole process, so two tests at a time would see each other's.
#[tokio::test]
async fn the_first_signal_asks_and_the_second_insists() {
    let mut signals = Signals::install().unwrap();
    kill_process(getpid(), Number::TERM).unwrap();
    assert_eq!(signals.next().await, Stop::Gracefully);
    kill_process(getpid(), Number::INT).unwrap();
    assert_eq!(signals.next().await, Stop::Now);
    kill_process(getpid(), Number::TERM).unwrap();
    assert_eq!(signals.next().await, Stop::Now);
}
