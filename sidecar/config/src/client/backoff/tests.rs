use super::*;

#[test]
fn bounds_double_up_to_a_second_and_much_later_to_ten() {
    let bound = |attempt| Backoff { attempt }.bound().as_millis();
    let bounds: Vec<_> = (0..6).map(bound).collect();
    assert_eq!(bounds, [100, 200, 400, 800, 1000, 1000]);
    assert_eq!(bound(PATIENCE - 1), 1000);
    assert_eq!(bound(PATIENCE), 10_000);
    assert_eq!(bound(u32::MAX), 10_000);
}

#[test]
fn waits_are_spread_over_the_whole_range() {
    let mut random = Random::new(1);
    let waits: Vec<_> = (0..1000).map(|_| Backoff { attempt: 4 }.next(&mut random).as_millis()).collect();
    assert!(waits.iter().all(|wait| *wait <= 1000));
    assert!(waits.iter().any(|wait| *wait < 50) && waits.iter().any(|wait| *wait > 950));
}

#[test]
fn a_good_connection_begins_anew() {
    let mut backoff = Backoff::default();
    let mut random = Random::new(1);
    for _ in 0..40 {
        backoff.next(&mut random);
    }
    assert_eq!(backoff.bound(), LONG_MAX);
    backoff.reset();
    assert_eq!(backoff.bound(), BASE);
}
