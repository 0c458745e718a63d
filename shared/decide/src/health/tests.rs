use super::*;
use proptest::prelude::*;
use weir_model::Probe;

const NOW: Time = Time(5_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn config() -> HealthCheck {
    let probe = Probe::Tcp { send: vec![], receive: vec![] };
    HealthCheck::new(probe, SECOND, 5 * SECOND, 3, 2)
}

fn changes(config: &HealthCheck, known: bool, answers: &[Answer]) -> Vec<Change> {
    let mut random = Random::new(1);
    let mut checked = Checked::new(config, known, NOW, &mut random);
    answers.iter().map(|answer| checked.conclude(config, *answer, true, NOW, &mut random)).collect()
}

#[test]
fn the_first_check_decides_at_once() {
    assert_eq!(changes(&config(), false, &[Answer::Passed]), [Change::Healthy]);
    assert_eq!(changes(&config(), false, &[Answer::Failed, Answer::Passed]), [Change::None, Change::Pending]);
    let checked = Checked::new(&config(), false, NOW, &mut Random::new(1));
    assert!(!checked.is_healthy() && !checked.is_known());
    assert_eq!(checked.next(), NOW);
}

#[test]
fn failures_in_a_row_make_it_unhealthy_and_passes_healthy() {
    use Answer::*;
    assert_eq!(
        changes(&config(), true, &[Failed, Failed, Passed, Failed, Failed, Failed, Failed]),
        [
            Change::Pending,
            Change::Pending,
            Change::None,
            Change::Pending,
            Change::Pending,
            Change::Unhealthy,
            Change::None
        ]
    );
    assert_eq!(
        changes(&config(), false, &[Failed, Passed, Failed, Passed, Passed]),
        [Change::None, Change::Pending, Change::None, Change::Pending, Change::Healthy]
    );
    // An answer that says no is enough.
    assert_eq!(changes(&config(), true, &[Failed, Refused]), [Change::Pending, Change::Unhealthy]);
}

#[test]
fn each_state_has_its_interval() {
    use Answer::*;
    let config = HealthCheck {
        interval: SECOND,
        unhealthy_interval: 2 * SECOND,
        unhealthy_edge_interval: 3 * SECOND,
        healthy_edge_interval: 4 * SECOND,
        no_traffic_interval: 50 * SECOND,
        no_traffic_healthy_interval: 60 * SECOND,
        ..config()
    };
    let mut random = Random::new(1);
    let mut checked = Checked::new(&config, true, NOW, &mut random);
    let mut after = |answer, used| {
        checked.conclude(&config, answer, used, NOW, &mut random);
        checked.next().since(NOW).as_secs()
    };
    let seen = [
        after(Passed, true),
        after(Failed, true),
        after(Failed, true),
        after(Failed, true),
        after(Failed, true),
        after(Passed, true),
        after(Passed, true),
        after(Passed, false),
        after(Failed, false),
    ];
    assert_eq!(seen, [1, 3, 3, 2, 2, 4, 1, 60, 50]);
}

#[test]
fn a_healthy_endpoint_of_an_unused_cluster_is_asked_rarely() {
    let config = config();
    let mut random = Random::new(1);
    let mut checked = Checked::new(&config, false, NOW, &mut random);
    checked.conclude(&config, Answer::Passed, false, NOW, &mut random);
    assert_eq!(checked.next().since(NOW), config.no_traffic_healthy_interval);
}

proptest! {
    #[test]
    fn jitter_stays_within_its_bounds(seed: u64, percent in 0..=100u32, millis in 0..10_000u64) {
        let config = HealthCheck {
            initial_jitter: Duration::from_millis(millis),
            interval_jitter: Duration::from_millis(millis),
            interval_jitter_percent: percent,
            ..config()
        };
        let mut random = Random::new(seed);
        let mut checked = Checked::new(&config, true, NOW, &mut random);
        prop_assert!(checked.next().since(NOW) <= config.initial_jitter);
        checked.conclude(&config, Answer::Passed, true, NOW, &mut random);
        let waited = checked.next().since(NOW);
        let most = config.interval + config.interval_jitter + config.interval * percent / 100;
        prop_assert!(waited >= config.interval && waited <= most, "{waited:?}");
    }
}
