use super::count::{GATEWAY, MOST};
use super::*;
use proptest::prelude::*;
use weir_model::LatencyOutlier;

const START: Time = Time(1_000_000_000_000);

fn seconds(seconds: u64) -> Time {
    START + Duration::from_secs(seconds)
}

/// Endpoints with ids from 1 on.
fn hosts(count: u64) -> Vec<Observed> {
    (1..=count).map(|id| Observed { id, available: true, tally: Tally::default() }).collect()
}

/// Anyone may be ejected.
fn free() -> OutlierDetection {
    OutlierDetection { max_ejection_percent: 100, ..OutlierDetection::default() }
}

fn after(outcomes: &[Outcome], config: &OutlierDetection) -> (InARow, Vec<Reason>) {
    outcomes.iter().fold((0, Vec::new()), |(word, mut reasons), outcome| {
        let (word, suspicion) = count(word, *outcome, config);
        reasons.extend(suspicion.reasons());
        (word, reasons)
    })
}

fn ejected(events: &[Event]) -> Vec<(u64, Reason)> {
    let ejected = events.iter().filter_map(|event| match event {
        Event::Ejected { id, reason, .. } => Some((*id, *reason)),
        _ => None,
    });
    ejected.collect()
}

fn suspect(
    detector: &mut Detector,
    config: &OutlierDetection,
    hosts: &[Observed],
    id: u64,
    now: Time,
) -> Event {
    let suspicion = Suspicion::of(Reason::Consecutive5xx);
    detector.suspect(config, hosts, id, suspicion, now, &mut Random::new(1))[0]
}

#[test]
fn errors_in_a_row_are_counted_as_envoy_does() {
    use Outcome::*;
    let config = OutlierDetection::default();
    let five = [Status(500); 5];
    assert_eq!(after(&five, &config).1, [Reason::Consecutive5xx]);
    assert_eq!(after(&[Status(500); 4], &config).1, []);
    // A success begins anew, and so does 499 or 429.
    assert_eq!(
        after(&[Status(500), Status(500), Status(200), Status(500), Status(500), Status(500)], &config).1,
        []
    );
    assert_eq!(after(&[Status(500), Status(429)], &config).0, 0);
    // Both thresholds at once; another 5xx breaks the row of gateway failures only.
    let gateway = [Status(503); 5];
    assert_eq!(after(&gateway, &config).1, [Reason::Consecutive5xx, Reason::ConsecutiveGatewayFailure]);
    let mixed = [Status(502), Status(504), Status(500), Status(503), Status(503)];
    assert_eq!(after(&mixed, &config).1, [Reason::Consecutive5xx]);
    // Nothing came: as a gateway would have answered.
    assert_eq!(
        after(&[Failed, TimedOut, Failed, TimedOut, Failed], &config).1,
        [Reason::Consecutive5xx, Reason::ConsecutiveGatewayFailure]
    );
    // Reached once, not again with each further error.
    assert_eq!(after(&[Status(500); 20], &config).1, [Reason::Consecutive5xx]);
    let off = OutlierDetection { consecutive_5xx: 0, ..config };
    assert_eq!(after(&[Status(500); 100], &off).1, []);
}

#[test]
fn local_errors_can_be_counted_apart() {
    use Outcome::*;
    let config = OutlierDetection { split_external_local_origin_errors: true, ..OutlierDetection::default() };
    assert_eq!(
        after(&[Failed, TimedOut, Failed, TimedOut, Failed], &config).1,
        [Reason::ConsecutiveLocalOriginFailure]
    );
    // Any answer means that it can be reached; not reaching it says nothing of its answers.
    assert_eq!(after(&[Failed, Failed, Failed, Failed, Status(500), Failed], &config).1, []);
    let both = [Status(500), Status(500), Failed, Status(500), Status(500), Failed, Status(500)];
    assert_eq!(after(&both, &config).1, [Reason::Consecutive5xx]);
    assert_eq!(after(&[Failed, Failed, Failed, Failed, Connected, Failed], &config).1, []);
    assert_eq!(tallied(Failed, &config), (None, Some(true)));
    assert_eq!(tallied(Status(500), &config), (Some(true), Some(false)));
    assert_eq!(tallied(TimedOut, &OutlierDetection::default()), (Some(true), None));
}

#[test]
fn what_was_dealt_with_begins_anew() {
    let config = OutlierDetection::default();
    let (word, _) = after(&[Outcome::Status(503); 5], &config);
    let kept = word & kept_after(Suspicion::of(Reason::Consecutive5xx));
    let (_, suspicion) = count(kept, Outcome::Status(503), &config);
    assert!(suspicion.is_none(), "{suspicion:?}");
    assert_eq!(kept >> GATEWAY & MOST, 5);
    assert_eq!(word & kept_after(Suspicion(u32::MAX)), 0);
}

#[test]
fn grpc_statuses_count_as_http_ones() {
    let errors: Vec<u8> = (0..=17).filter(|grpc| http_status(*grpc) >= 500).collect();
    assert_eq!(errors, [2, 4, 12, 13, 14, 15, 17]);
    assert_eq!((http_status(0), http_status(14), http_status(4)), (200, 503, 504));
}

#[test]
fn an_ejection_lasts_longer_each_time_and_is_forgiven_by_and_by() {
    let (config, hosts) = (free(), hosts(3));
    let mut detector = Detector::new(&config, &hosts, START);
    let mut now = START;
    for times in [1, 2, 3] {
        let Event::Ejected { until, .. } = suspect(&mut detector, &config, &hosts, 2, now) else { panic!() };
        assert_eq!(until.since(now), config.base_ejection_time * times);
        // It is out already.
        assert!(detector.suspect(&config, &hosts, 2, Suspicion(1), now, &mut Random::new(1)).is_empty());
        assert!(detector.deadline() <= until);
        now = until;
        assert!(
            detector.tick(&config, &hosts, now, &mut Random::new(1)).contains(&Event::Returned { id: 2 })
        );
    }
    // Two quiet intervals: the next one takes as long as the second did.
    for _ in 0..2 {
        now = now + config.interval;
        detector.tick(&config, &hosts, now, &mut Random::new(1));
    }
    let Event::Ejected { until, .. } = suspect(&mut detector, &config, &hosts, 2, now) else { panic!() };
    assert_eq!(until.since(now), config.base_ejection_time * 2);
}

#[test]
fn an_ejection_has_a_longest_time_and_a_jitter() {
    let config = OutlierDetection {
        max_ejection_time: Duration::from_secs(40),
        max_ejection_time_jitter: Duration::from_secs(7),
        ..free()
    };
    let hosts = hosts(2);
    let mut longest = Duration::ZERO;
    for seed in 0..50 {
        let mut detector = Detector::new(&config, &hosts, START);
        let mut now = START;
        for _ in 0..5 {
            let mut random = Random::new(seed);
            let events = detector.suspect(&config, &hosts, 1, Suspicion(1), now, &mut random);
            let [Event::Ejected { until, .. }] = events[..] else { panic!("{events:?}") };
            longest = longest.max(until.since(now));
            now = until;
            detector.tick(&config, &hosts, now, &mut random);
        }
    }
    assert!(longest > Duration::from_secs(45) && longest <= Duration::from_secs(47), "{longest:?}");
}

#[test]
fn the_percentage_and_the_last_one_are_honoured() {
    let all = hosts(10);
    let eject = |config: &OutlierDetection, hosts: &[Observed]| {
        let mut detector = Detector::new(config, hosts, START);
        hosts.iter().map(|host| suspect(&mut detector, config, hosts, host.id, START)).collect::<Vec<_>>()
    };
    let spared = |events: &[Event], wanted| {
        events.iter().filter(|event| matches!(event, Event::Spared { why, .. } if *why == wanted)).count()
    };
    let events = eject(&OutlierDetection { max_ejection_percent: 35, ..free() }, &all);
    assert_eq!((ejected(&events).len(), spared(&events, Mercy::Overflow)), (3, 7));
    let events = eject(&free(), &all);
    assert_eq!((ejected(&events).len(), spared(&events, Mercy::Last)), (9, 1));
    // A tenth of three is nobody, unless one may be in any case.
    let three = hosts(3);
    assert_eq!(ejected(&eject(&OutlierDetection::default(), &three)), []);
    let one = OutlierDetection { always_eject_one_host: true, ..OutlierDetection::default() };
    assert_eq!(ejected(&eject(&one, &three)).len(), 1);
    assert_eq!(ejected(&eject(&one, &hosts(1))), []);
    // What takes no traffic anyway is nobody's replacement.
    let mut two = hosts(2);
    two[1].available = false;
    assert_eq!(ejected(&eject(&free(), &two)), [(2, Reason::Consecutive5xx)]);
}

#[test]
fn enforcing_is_a_share() {
    let config = OutlierDetection { enforcing_consecutive_5xx: 30, ..free() };
    let hosts = hosts(2);
    let mut random = Random::new(3);
    let mut out = 0;
    for _ in 0..10_000 {
        let mut detector = Detector::new(&config, &hosts, START);
        out += ejected(&detector.suspect(&config, &hosts, 1, Suspicion(1), START, &mut random)).len();
    }
    assert!((2800..3200).contains(&out), "{out}");
}

/// What is found in one interval in which endpoint `n` had the `n`th tally.
fn compared(config: &OutlierDetection, tallies: &[Tally]) -> Vec<(u64, Reason)> {
    let mut hosts = hosts(tallies.len() as u64);
    let mut detector = Detector::new(config, &hosts, START);
    for (host, tally) in hosts.iter_mut().zip(tallies) {
        host.tally = *tally;
    }
    let now = START + config.interval;
    let early = Time(now.0 - 1);
    assert_eq!(ejected(&detector.tick(config, &hosts, early, &mut Random::new(1))), []);
    ejected(&detector.tick(config, &hosts, now, &mut Random::new(1)))
}

fn answered(answers: u64, errors: u64) -> Tally {
    Tally { answers, errors, ..Tally::default() }
}

#[test]
fn success_rates_are_compared() {
    let config = free();
    // Envoy's own example: 50 beside four times 100 is below 52.
    let mut tallies = [answered(100, 0); 5];
    tallies[3] = answered(100, 50);
    assert_eq!(compared(&config, &tallies), [(4, Reason::SuccessRate)]);
    // Too few requests, too few hosts, too small a difference to the spread.
    tallies[0] = answered(99, 0);
    assert_eq!(compared(&config, &tallies), []);
    assert_eq!(compared(&config, &tallies[1..]), []);
    let even =
        [answered(100, 10), answered(100, 20), answered(100, 30), answered(100, 40), answered(100, 50)];
    assert_eq!(compared(&config, &even), []);
    assert_eq!(compared(&config, &[Tally::default(); 10]), []);
}

#[test]
fn failure_percentages_are_compared_to_a_threshold() {
    let config = OutlierDetection { enforcing_failure_percentage: 100, enforcing_success_rate: 0, ..free() };
    let mut tallies = [answered(50, 0); 5];
    tallies[1] = answered(100, 85);
    tallies[2] = answered(100, 84);
    assert_eq!(compared(&config, &tallies), [(2, Reason::FailurePercentage)]);
    tallies[0] = answered(49, 0);
    assert_eq!(compared(&config, &tallies), []);
    // By default it is only told.
    let mut hosts = hosts(5);
    let mut detector = Detector::new(&free(), &hosts, START);
    hosts.iter_mut().for_each(|host| host.tally = answered(100, 99));
    let events = detector.tick(&free(), &hosts, seconds(10), &mut Random::new(1));
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|event| matches!(event, Event::Spared { why: Mercy::NotEnforced, .. })));
}

#[test]
fn local_errors_are_compared_apart() {
    let config = OutlierDetection { split_external_local_origin_errors: true, ..free() };
    let mut tallies = [Tally { attempts: 100, answers: 100, ..Tally::default() }; 5];
    tallies[4] = Tally { attempts: 100, failures: 60, answers: 40, ..Tally::default() };
    assert_eq!(compared(&config, &tallies), [(5, Reason::LocalOriginSuccessRate)]);
    assert_eq!(compared(&free(), &tallies), []);
}

#[test]
fn a_slow_endpoint_stands_out() {
    let detecting = |latency| OutlierDetection { latency: Some(latency), ..free() };
    let config = detecting(LatencyOutlier::default());
    let timed = |millis: u64| Tally { timed: 100, micros: 100_000 * millis, ..Tally::default() };
    let mut tallies = [timed(20), timed(25), timed(30), timed(20), timed(130)];
    assert_eq!(compared(&config, &tallies), [(5, Reason::Latency)]);
    assert_eq!(compared(&free(), &tallies), []);
    // Four times the median, or five times next to nothing, is nothing to be ejected for.
    tallies[4] = timed(120);
    assert_eq!(compared(&config, &tallies), []);
    let fast = [timed(1), timed(1), timed(1), timed(1), timed(99)];
    assert_eq!(compared(&config, &fast), []);
    // Too few hosts with enough answers.
    let mut few = [timed(20), timed(25), timed(30), timed(20), timed(200)];
    few[0].timed = 99;
    assert_eq!(compared(&config, &few), []);
    let two = detecting(LatencyOutlier { minimum_hosts: 2, ..LatencyOutlier::default() });
    assert_eq!(compared(&two, &few[3..]), [(2, Reason::Latency)]);
}

#[test]
fn one_slow_interval_counts_for_half() {
    let config = OutlierDetection { latency: Some(LatencyOutlier::default()), ..free() };
    let mut hosts = hosts(5);
    let mut detector = Detector::new(&config, &hosts, START);
    let mut found = Vec::new();
    for (interval, millis) in [(1, 20), (2, 300), (3, 20), (4, 600)] {
        for host in &mut hosts {
            host.tally.timed += 100;
            host.tally.micros += 100_000 * if host.id == 1 { millis } else { 40 };
        }
        let events = detector.tick(&config, &hosts, seconds(10 * interval), &mut Random::new(1));
        found.push(ejected(&events).len());
    }
    // Averages 20, 160, 90 and 345 beside a median of 40.
    assert_eq!(found, [0, 0, 0, 1]);
}

#[test]
fn a_passed_check_ends_an_ejection() {
    let (config, hosts) = (free(), hosts(3));
    let mut detector = Detector::new(&config, &hosts, START);
    assert_eq!(detector.passed_check(&config, 1, START), None);
    suspect(&mut detector, &config, &hosts, 1, START);
    let not = OutlierDetection { successful_active_health_check_uneject_host: false, ..config.clone() };
    assert_eq!(detector.passed_check(&not, 1, START), None);
    assert_eq!(detector.passed_check(&config, 1, START), Some(Event::Returned { id: 1 }));
    assert_eq!(detector.ejected(), 0);
}

#[test]
fn those_who_leave_make_no_room_and_newcomers_bring_no_past() {
    let config = OutlierDetection { max_ejection_percent: 50, ..free() };
    let all = hosts(4);
    let mut detector = Detector::new(&config, &all, START);
    for id in [1, 2] {
        suspect(&mut detector, &config, &all, id, START);
    }
    assert_eq!(detector.ejected(), 2);
    // The ejected ones go; of the two that are left one may be ejected.
    let left = &all[2..];
    assert!(matches!(suspect(&mut detector, &config, left, 3, START), Event::Ejected { .. }));
    assert_eq!(detector.ejected(), 1);
    // A newcomer whose totals are from before it was looked at.
    let mut with_new = left.to_vec();
    with_new.extend((5..10).map(|id| Observed { id, available: true, tally: answered(1000, 1000) }));
    let events = detector.tick(&config, &with_new, seconds(10), &mut Random::new(1));
    assert_eq!(ejected(&events), []);
}

proptest! {
    /// However endpoints fail, come and go: no more are ejected than may be, and somebody is left.
    #[test]
    fn bounds_hold_in_any_history(
        percent in 0..=100u32,
        always in any::<bool>(),
        steps in proptest::collection::vec((1..20u64, 0..20usize, 0..4u8, any::<bool>()), 1..200),
        seed in any::<u64>(),
    ) {
        let config = OutlierDetection {
            max_ejection_percent: percent,
            always_eject_one_host: always,
            enforcing_failure_percentage: 50,
            max_ejection_time_jitter: Duration::from_secs(5),
            latency: Some(LatencyOutlier { minimum_difference: Duration::ZERO, ..LatencyOutlier::default() }),
            ..OutlierDetection::default()
        };
        let mut random = Random::new(seed);
        let mut all = hosts(12);
        let mut detector = Detector::new(&config, &all, START);
        let mut now = START;
        let mut out: std::collections::BTreeSet<u64> = Default::default();
        for (advance, index, what, flip) in steps {
            now = now + Duration::from_secs(advance);
            let index = index % all.len();
            let id = all[index].id;
            let before = detector.ejected();
            let events = match what {
                0 => detector.suspect(&config, &all, id, Suspicion(random.below(8) as u32), now, &mut random),
                1 => {
                    if all.len() > 1 && flip {
                        out.remove(&all.remove(index).id);
                    } else {
                        all.push(Observed { id: now.0, available: true, tally: Tally::default() });
                    }
                    detector.tick(&config, &all, now, &mut random)
                }
                2 => {
                    for host in &mut all {
                        host.tally.answers += 200;
                        host.tally.errors += random.below(200);
                        host.tally.timed += 200;
                        host.tally.micros += random.below(100_000);
                    }
                    detector.tick(&config, &all, now, &mut random)
                }
                _ => {
                    all[index].available = flip;
                    detector.passed_check(&config, id, now).into_iter().collect()
                }
            };
            for event in &events {
                match event {
                    Event::Ejected { id, until, .. } => {
                        prop_assert!(out.insert(*id));
                        prop_assert!(*until > now);
                        let left = all.iter().any(|host| host.available && !out.contains(&host.id));
                        prop_assert!(left);
                        let within = 100 * out.len() <= percent as usize * all.len();
                        prop_assert!(within || (always && out.len() == 1), "{} of {}", out.len(), all.len());
                    }
                    Event::Returned { id } => { prop_assert!(out.remove(id)); }
                    Event::Spared { .. } => {}
                }
            }
            if what != 3 {
                prop_assert_eq!(detector.ejected(), out.len());
            }
            prop_assert!(before <= all.len() + 1);
        }
    }
}
