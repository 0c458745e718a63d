use super::*;
use weir_model::Locality;

fn workload(weight: u32) -> Workload {
    Workload { labels: BTreeMap::new(), locality: Locality::default(), weight, ports: vec![], ready: true }
}

fn name(text: &str) -> Name {
    Name::new("default", text)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_stream_that_ends_in_order_takes_its_workload_along_at_once() {
    let mut leases = Leases::default();
    assert_eq!(leases.join(name("a"), workload(1), StreamId(1)), Ok(true));
    assert_eq!(leases.join(name("a"), workload(1), StreamId(1)), Ok(false), "nothing new");
    assert!(leases.leave(&name("a"), StreamId(1)));
    assert!(leases.workloads().is_empty());
}

#[test]
fn a_broken_stream_leaves_its_workload_for_the_grace() {
    let mut leases = Leases::default();
    leases.join(name("a"), workload(1), StreamId(1)).unwrap();
    let now = Time(5_000_000_000);
    leases.lose(&name("a"), StreamId(1), now);
    assert_eq!(leases.deadline(), Some(now + LOST_GRACE));
    assert!(!leases.expire(now + (LOST_GRACE - SECOND)));
    assert_eq!(leases.workloads().len(), 1);
    assert!(leases.expire(now + LOST_GRACE));
    assert!(leases.workloads().is_empty());
}

#[test]
fn a_new_stream_takes_over_and_the_old_ones_end_changes_nothing() {
    let mut leases = Leases::default();
    leases.join(name("a"), workload(1), StreamId(1)).unwrap();
    assert_eq!(leases.join(name("a"), workload(2), StreamId(2)), Ok(true), "its weight changed");
    assert!(!leases.leave(&name("a"), StreamId(1)));
    leases.lose(&name("a"), StreamId(1), Time(0));
    assert_eq!(leases.deadline(), None);
    assert_eq!(leases.workloads()[&name("a")].weight, 2);
}

#[test]
fn the_end_of_a_stream_that_was_heard_of_late_takes_nothing_from_the_one_that_lives() {
    let mut leases = Leases::default();
    leases.join(name("a"), workload(2), StreamId(2)).unwrap();
    assert_eq!(leases.join(name("a"), workload(1), StreamId(1)), Ok(true), "the old process, late");
    assert!(leases.leave(&name("a"), StreamId(1)), "what the living one says counts again");
    assert_eq!(leases.workloads()[&name("a")].weight, 2);
    leases.join(name("a"), workload(1), StreamId(3)).unwrap();
    leases.lose(&name("a"), StreamId(3), Time(0));
    assert_eq!(leases.deadline(), None);
    assert_eq!(leases.workloads()[&name("a")].weight, 2);
    assert!(leases.leave(&name("a"), StreamId(2)));
    assert!(leases.workloads().is_empty());
}

#[test]
fn a_node_that_opens_streams_without_end_is_remembered_within_a_bound() {
    let mut leases = Leases::default();
    for stream in 0..100 {
        leases.join(name("a"), workload(1), StreamId(stream)).unwrap();
    }
    for stream in 0..100 {
        leases.lose(&name("a"), StreamId(stream), Time(0));
    }
    assert_eq!(leases.deadline(), Some(Time(0) + LOST_GRACE), "the last one counted");
}

#[test]
fn a_restart_keeps_everybody_until_they_had_time_to_return() {
    let mut before = Leases::default();
    before.join(name("a"), workload(1), StreamId(1)).unwrap();
    before.join(name("b"), workload(1), StreamId(2)).unwrap();
    let mut after = Leases::default();
    let now = Time(1);
    after.join(name("a"), workload(3), StreamId(1)).unwrap();
    after.restore(before.workloads(), now);
    assert_eq!(after.workloads()[&name("a")].weight, 3, "the living one wins over the disk");
    assert_eq!(after.workloads().len(), 2);
    assert!(after.expire(now + RESTORED_GRACE));
    assert_eq!(after.workloads().into_keys().collect::<Vec<_>>(), vec![name("a")]);
}

#[test]
fn leases_survive_on_disk_and_damage_is_told() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(persist::load(dir.path()), Ok(BTreeMap::new()), "no file is no lease");
    let port = weir_model::mesh::WorkloadPort {
        name: "http".into(),
        number: 9080,
        address: "127.0.0.1:1".parse().unwrap(),
    };
    let locality = Locality { region: "eu".into(), zone: "eu-1".into(), sub_zone: String::new() };
    let labels = BTreeMap::from([("app".to_owned(), "reviews".to_owned())]);
    let written = BTreeMap::from([(
        name("a"),
        Workload { labels, locality, weight: 2, ports: vec![port], ready: true },
    )]);
    persist::save(dir.path(), &written).unwrap();
    assert_eq!(persist::load(dir.path()), Ok(written));
    std::fs::write(dir.path().join("joined.json"), "{\"format\": 1, \"work").unwrap();
    assert!(persist::load(dir.path()).unwrap_err().contains("joined.json"));
}
