use super::*;
use std::time::Duration;

#[test]
fn totals_are_the_sum_over_workers_and_differences_are_what_came_since() {
    let traffic = Sharded::new(3);
    for worker in 0..3 {
        for _ in 0..=worker {
            traffic.of(worker).start();
        }
        traffic.of(worker).end(worker != 1);
    }
    let before = traffic.totals();
    assert_eq!(before, Totals { started: 6, succeeded: 2, failed: 1, refused: 0 });
    traffic.of(2).end(false);
    traffic.of(0).refuse();
    assert_eq!(traffic.totals().since(before), Totals { started: 0, succeeded: 0, failed: 1, refused: 1 });
}

#[test]
fn no_workers_still_have_a_cell() {
    let traffic = Sharded::new(0);
    traffic.of(7).start();
    assert_eq!(traffic.totals().started, 1);
}

#[test]
fn cells_do_not_share_cache_lines() {
    let traffic = Sharded::new(2);
    let distance = std::ptr::from_ref(traffic.of(1)).addr() - std::ptr::from_ref(traffic.of(0)).addr();
    assert!(distance >= 128, "{distance}");
    assert!(std::mem::align_of::<Padded<AtomicU32>>() >= 128);
}

#[test]
fn a_guard_counts_while_it_lives() {
    let endpoint =
        Arc::new(EndpointState::new(1, "127.0.0.1:1".parse().unwrap(), "a".into(), 1, Standing::default()));
    let guards = [endpoint.enter(), endpoint.enter()];
    assert_eq!(endpoint.active.load(Relaxed), 2);
    drop(guards);
    assert_eq!(endpoint.active.load(Relaxed), 0);
}

#[test]
fn ejection_ends_by_itself() {
    let endpoint = EndpointState::new(1, "127.0.0.1:1".parse().unwrap(), "a".into(), 1, Standing::default());
    let now = Time(5_000_000_000);
    assert!(!endpoint.is_ejected(now));
    endpoint.ejected_until.store((now + Duration::from_secs(1)).0, Relaxed);
    assert!(endpoint.is_ejected(now));
    assert!(!endpoint.is_ejected(now + Duration::from_secs(1)));
}

#[test]
fn last_use_is_in_whole_seconds() {
    let used = LastUse::default();
    used.touch(Time(3_999_999_999));
    assert_eq!(used.second(), 3);
    used.touch(Time(4_000_000_000));
    assert_eq!(used.second(), 4);
    used.touch(Time(1));
    assert_eq!(used.second(), 4, "a clock reading that is behind changes nothing");
    assert_eq!(seconds(Time(u64::MAX)), u32::MAX);
}
