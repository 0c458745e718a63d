use super::*;

#[tokio::test(start_paused = true)]
async fn time_follows_the_paused_clock() {
    let start = now();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let waited = now() - start;
    assert!(waited >= Duration::from_secs(3600) && waited < Duration::from_secs(3601), "{waited:?}");
    assert_eq!(start - now(), Duration::ZERO, "differences saturate");
}

#[tokio::test(start_paused = true)]
async fn a_moment_survives_the_way_to_tokio_and_back() {
    let moment = now() + Duration::from_millis(1500);
    assert_eq!(Time::from(moment.instant()), moment);
    let past = now() - Duration::from_secs(600);
    assert_eq!(Time::from(past.instant()), past);
    tokio::time::sleep_until(moment.instant()).await;
    assert!(now() >= moment);
}

#[test]
fn arithmetic_saturates_at_both_ends() {
    assert_eq!(Time(5) - Duration::from_secs(1), Time(0));
    assert_eq!(Time(u64::MAX) + Duration::MAX, Time(u64::MAX));
    assert_eq!(Time(7).since(Time(4)), Duration::from_nanos(3));
    // A moment the platform cannot express must not panic.
    let _ = Time(u64::MAX).instant();
    let _ = Time(0).instant();
}

#[test]
fn the_wall_clock_is_in_nanoseconds_of_this_century() {
    assert!(unix_nanos() > 1_600_000_000_000_000_000);
}

#[test]
fn the_executor_runs_futures_that_are_not_send() {
    let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).unwrap();
    let value = std::rc::Rc::new(std::cell::Cell::new(0));
    let seen = value.clone();
    runtime.block_on(async move {
        hyper::rt::Executor::execute(&LocalExec, async move { value.set(7) });
        tokio::task::yield_now().await;
    });
    assert_eq!(seen.get(), 7);
}
