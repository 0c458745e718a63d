use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn at(second: u64) -> Time {
    Time(second * 1_000_000_000)
}

fn names(names: &Names) -> Vec<String> {
    names.all().into_iter().map(|(name, _)| name.to_string()).collect()
}

#[test]
fn a_name_is_subscribed_to_once() {
    let mut demand = Names::default();
    assert_eq!(demand.want("a:80".into(), at(1)), Wanted::Subscribe { evicted: None });
    assert_eq!(demand.want("a:80".into(), at(2)), Wanted::Known);
    assert_eq!(demand.all(), vec![("a:80".into(), Answer::None)]);
}

#[test]
fn the_least_recently_used_makes_room() {
    let mut demand = Names::bounded(2);
    demand.want("a".into(), at(1));
    demand.want("b".into(), at(2));
    demand.want("a".into(), at(3));
    assert_eq!(demand.want("c".into(), at(4)), Wanted::Subscribe { evicted: Some("b".into()) });
    assert_eq!(names(&demand), ["a", "c"]);
}

#[test]
fn a_name_that_does_not_exist_makes_room_before_any_other() {
    let mut demand = Names::bounded(2);
    demand.want("service".into(), at(1));
    demand.answer("service", Answer::Listener);
    demand.want("nonsense-0".into(), at(100));
    demand.answer("nonsense-0", Answer::Absent);
    for round in 1..50u32 {
        let name: Arc<str> = format!("nonsense-{round}").into();
        demand.want(name.clone(), at(100));
        demand.answer(&name, Answer::Absent);
    }
    assert_eq!(names(&demand), ["nonsense-49", "service"]);
}

#[test]
fn use_by_a_worker_keeps_a_name() {
    let mut demand = Names::default();
    demand.want("idle".into(), at(0));
    demand.want("busy".into(), at(0));
    let later = at(0) + limits::ON_DEMAND_IDLE;
    demand.linked().find(|name| &*name.name == "busy").unwrap().used.touch(later);
    assert!(demand.expire(later).is_empty());
    assert_eq!(demand.expire(later + Duration::from_secs(1)), vec![Arc::from("idle")]);
    assert_eq!(names(&demand), ["busy"]);
}

#[test]
fn answers_are_news_once_and_only_for_our_names() {
    let mut demand = Names::default();
    demand.want("a".into(), at(0));
    assert!(demand.answer("a", Answer::Absent));
    assert!(!demand.answer("a", Answer::Absent));
    assert!(demand.answer("a", Answer::Listener));
    assert!(!demand.answer("b", Answer::Listener));
    assert!(!demand.linked().next().unwrap().absent);
}

#[test]
fn only_hosts_are_asked_for() {
    for name in ["reviews", "reviews.default:9080", "127.0.0.1:80", "[::1]:80", "a_b.c-d"] {
        assert!(is_name(name), "{name}");
    }
    let long = "a".repeat(NAME_BYTES + 1);
    for name in ["", "*", "inbound/127.0.0.1:80", "a b", "ä", "user@host", &long] {
        assert!(!is_name(name), "{name}");
    }
}

#[test]
fn questions_are_normalised_and_bounded() {
    let (demand, mut wanted) = Demand::detached(true);
    assert_eq!(demand.want("Reviews.Default:9080"), Asked::Sent);
    assert_eq!(demand.want("*"), Asked::Invalid);
    assert_eq!(wanted.try_recv().unwrap().as_ref(), "reviews.default:9080");
    for _ in 0..limits::ON_DEMAND_WAITING {
        assert_eq!(demand.want("a"), Asked::Sent);
    }
    assert_eq!(demand.want("a"), Asked::Full);
}

proptest! {
    /// Whatever is asked for, used and expired, there are never more names than allowed, what was just wanted is there, and
    /// what is reported as evicted or expired is gone.
    #[test]
    fn bounded_and_truthful(steps in prop::collection::vec((0..3u8, 0..12u8, 0..4000u64), 0..200), capacity in 1..6usize) {
        let mut demand = Names::bounded(capacity);
        let mut now = 0;
        let mut subscribed = std::collections::BTreeSet::new();
        for (what, name, passes) in steps {
            now += passes;
            let name: Arc<str> = format!("n{name}").into();
            match what {
                0 => {
                    if let Wanted::Subscribe { evicted } = demand.want(name.clone(), at(now)) {
                        if let Some(evicted) = evicted {
                            prop_assert!(subscribed.remove(&evicted));
                        }
                        prop_assert!(subscribed.insert(name.clone()));
                    }
                    prop_assert!(subscribed.contains(&name));
                }
                1 => {
                    demand.answer(&name, if passes % 2 == 0 { Answer::Absent } else { Answer::Listener });
                }
                _ => {
                    for name in demand.expire(at(now)) {
                        prop_assert!(subscribed.remove(&name));
                    }
                }
            }
            prop_assert!(demand.len() <= capacity);
            prop_assert!(demand.all().into_iter().map(|(name, _)| name).eq(subscribed.iter().cloned()));
        }
    }
}
