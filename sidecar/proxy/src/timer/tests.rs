use super::*;
use std::pin::pin;

const MS: fn(u64) -> Duration = Duration::from_millis;

async fn expired(timer: &mut Timer) -> (Kind, Duration) {
    let begun = Instant::now();
    let kind = poll_fn(|cx| timer.poll(cx)).await;
    (kind, begun.elapsed())
}

fn idle(millis: u64) -> Timeouts {
    Timeouts { idle: Some(MS(millis)), ..Timeouts::default() }
}

fn is_about(elapsed: Duration, wanted: u64) -> bool {
    // Tokio's clock has a resolution of a millisecond.
    elapsed >= MS(wanted) && elapsed <= MS(wanted + 2)
}

#[tokio::test(start_paused = true)]
async fn the_earliest_limit_decides() {
    for (request, attempt, wanted) in [(50, 80, Kind::RequestTimeout), (80, 50, Kind::AttemptTimeout)] {
        let mut timer = Timer::default();
        let begun = now();
        timer.start(
            Some(begun + MS(request)),
            false,
            &Timeouts { backend_request: Some(MS(attempt)), ..idle(1000) },
            &HttpLimits::default(),
            begun,
        );
        timer.attempt(begun);
        let (kind, elapsed) = expired(&mut timer).await;
        assert_eq!(kind, wanted);
        assert!(is_about(elapsed, 50), "{elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifted_attempt_limit_does_not_count() {
    let mut timer = Timer::default();
    let begun = now();
    let timeouts = Timeouts { backend_request: Some(MS(10)), ..Timeouts::default() };
    timer.start(Some(begun + MS(90)), false, &timeouts, &HttpLimits::default(), begun);
    timer.attempt(begun);
    timer.pause();
    let (kind, elapsed) = expired(&mut timer).await;
    assert_eq!(kind, Kind::RequestTimeout);
    assert!(is_about(elapsed, 90), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_moves_is_not_idle() {
    let mut timer = Timer::default();
    timer.start(None, false, &idle(50), &HttpLimits::default(), now());
    for _ in 0..5 {
        let moving = tokio::time::timeout(MS(40), poll_fn(|cx| timer.poll(cx))).await;
        assert!(moving.is_err());
        timer.touch();
    }
    let (kind, elapsed) = expired(&mut timer).await;
    assert_eq!(kind, Kind::IdleTimeout);
    assert!(is_about(elapsed, 50), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn without_limits_there_is_no_timer() {
    let mut timer = Timer::default();
    timer.start(None, false, &Timeouts::default(), &HttpLimits::default(), now());
    timer.touch();
    assert!(timer.sleep.is_none());
    assert_eq!(within(&mut timer, pin!(async { 1 })).await, Ok(1));
    let mut never = pin!(std::future::pending::<()>());
    let never = tokio::time::timeout(Duration::from_secs(3600), within(&mut timer, never.as_mut()));
    assert!(never.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_done_wins_over_a_limit() {
    let mut timer = Timer::default();
    let begun = now();
    timer.start(Some(begun), false, &Timeouts::default(), &HttpLimits::default(), begun);
    assert_eq!(within(&mut timer, pin!(async { 1 })).await, Ok(1));
    assert_eq!(within(&mut timer, pin!(std::future::pending::<()>())).await, Err(Kind::RequestTimeout));
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_its_own_limit_whatever_moves() {
    let mut timer = Timer::default();
    let timeouts = Timeouts { stream: Some(MS(100)), ..idle(1000) };
    timer.start(None, false, &timeouts, &HttpLimits::default(), now());
    assert!(tokio::time::timeout(MS(60), poll_fn(|cx| timer.poll(cx))).await.is_err());
    timer.touch();
    let (kind, elapsed) = expired(&mut timer).await;
    assert_eq!(kind, Kind::DurationTimeout);
    assert!(is_about(elapsed, 40), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_falls_silent_is_over_and_the_next_one_has_its_time() {
    let mut timer = Timer::default();
    timer.start(
        None,
        false,
        &Timeouts { attempt_idle: Some(MS(50)), ..Timeouts::default() },
        &HttpLimits::default(),
        now(),
    );
    for _ in 0..2 {
        timer.attempt(now());
        let (kind, elapsed) = expired(&mut timer).await;
        assert_eq!(kind, Kind::AttemptTimeout);
        assert!(is_about(elapsed, 50), "{elapsed:?}");
        timer.pause();
        assert!(tokio::time::timeout(MS(200), poll_fn(|cx| timer.poll(cx))).await.is_err(), "there is none");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_speaks_for_routes_that_do_not() {
    let limits = HttpLimits { stream_idle: Some(MS(50)), stream: Some(MS(80)), ..HttpLimits::default() };
    let none = Some(Duration::ZERO);
    for (route, wanted, after) in [
        (Timeouts::default(), Kind::IdleTimeout, 50),
        (idle(70), Kind::IdleTimeout, 70),
        (Timeouts { idle: none, ..Timeouts::default() }, Kind::DurationTimeout, 80),
        (Timeouts { stream: none, ..Timeouts::default() }, Kind::IdleTimeout, 50),
    ] {
        let mut timer = Timer::default();
        timer.start(None, false, &route, &limits, now());
        let (kind, elapsed) = expired(&mut timer).await;
        assert_eq!(kind, wanted);
        assert!(is_about(elapsed, after), "{elapsed:?}");
    }
}
