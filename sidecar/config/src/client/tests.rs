use super::fake::Fake;
use super::*;
use crate::samples::{cluster, endpoints, inbound, listener, node, routes};
use crate::snapshot::NameLookup;
use weir_model::{Resource, ResourceType};

/// Long enough for any of these on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Sidecar {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    demand: Demand,
    status: ConfigStatus,
    task: tokio::task::JoinHandle<()>,
}

fn sidecar(control_planes: &str, state_dir: Option<&std::path::Path>) -> Sidecar {
    let (snapshots, demand, status, task) = Config::start(ConfigOptions {
        identity: None,
        local_cluster: None,
        control_planes: control_planes.parse().unwrap(),
        node: node("n1"),
        state_dir: state_dir.map(PathBuf::from),
        workers: 1,
        bound: BTreeMap::new(),
        seed: 7,
    });
    Sidecar { snapshots, demand, status, task }
}

impl Sidecar {
    async fn until(&mut self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let found =
            tokio::time::timeout(PATIENCE, self.snapshots.wait_for(|snapshot| wanted(snapshot))).await;
        match found {
            Ok(snapshot) => snapshot.unwrap().clone(),
            Err(_) => panic!("no snapshot with {what}: {:#?}", self.status.get()),
        }
    }

    async fn found(&mut self, name: &str) -> Arc<Snapshot> {
        self.until(name, |snapshot| matches!(snapshot.name(name, Time(0)), NameLookup::Found(_))).await
    }

    async fn absent(&mut self, name: &str) -> Arc<Snapshot> {
        self.until(name, |snapshot| matches!(snapshot.name(name, Time(0)), NameLookup::Absent)).await
    }

    async fn status(&self, what: &str, wanted: impl Fn(&crate::Status) -> bool) {
        for _ in 0..PATIENCE.as_millis() / 10 {
            if self.status.read(&wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not {what}: {:#?}", self.status.get());
    }
}

fn reviews() -> Vec<Resource> {
    vec![
        cluster("c", "e"),
        endpoints("e", &[1]),
        listener("reviews:80", "r"),
        routes("r", &["c"]),
        inbound(9000, &["c"]),
    ]
}

fn ports(snapshot: &Snapshot) -> Vec<u16> {
    snapshot
        .live_clusters()
        .flat_map(|cluster| &cluster.endpoints)
        .map(|endpoint| endpoint.address.port())
        .collect()
}

#[tokio::test]
async fn a_name_is_asked_for_found_followed_and_lost() {
    let fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    let mut sidecar = sidecar(&fake.address.to_string(), None);
    let own = sidecar.until("its own listener", |snapshot| !snapshot.listeners.is_empty()).await;
    assert!(matches!(own.name("reviews:80", Time(0)), NameLookup::Unknown), "nobody asked");
    assert!(sidecar.demand.connected());
    sidecar.demand.want("Reviews.:80");
    assert_eq!(ports(&*sidecar.found("reviews:80").await), [1]);
    sidecar.demand.want("nobody");
    sidecar.absent("nobody").await;
    fake.put(&[listener("nobody", "r"), endpoints("e", &[1, 2])]);
    sidecar.found("nobody").await;
    sidecar.until("another endpoint", |snapshot| ports(snapshot) == [1, 2]).await;
    fake.take(ResourceType::Listener, "reviews:80");
    sidecar.absent("reviews:80").await;
    assert!(sidecar.status.get().control_plane_version.starts_with("world"));
}

#[tokio::test]
async fn an_outage_changes_nothing_and_ends_by_itself() {
    let mut fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    let mut sidecar = sidecar(&format!("http://{}", fake.address), None);
    sidecar.until("everything", |snapshot| ports(snapshot) == [1]).await;
    let before = sidecar.snapshots.borrow().sequence;
    fake.kill();
    sidecar.status("disconnected", |status| status.connected_since.is_none() && status.failures > 0).await;
    assert!(!sidecar.demand.connected());
    // A question meanwhile is answered afterwards.
    sidecar.demand.want("reviews:80");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(ports(&sidecar.snapshots.borrow()), [1]);
    let again = Fake::start(fake.address);
    let mut changed = reviews();
    changed[1] = endpoints("e", &[2]);
    again.put(&changed);
    let begun = Instant::now();
    let snapshot = sidecar.until("the new endpoint", |snapshot| ports(snapshot) == [2]).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "back within about a second: {:?}", begun.elapsed());
    assert!(snapshot.sequence > before);
    sidecar.found("reviews:80").await;
    let held: Vec<String> = again
        .received()
        .iter()
        .flat_map(|request| request.initial_resource_versions.keys().cloned())
        .collect();
    assert!(held.contains(&"c".to_owned()) && held.contains(&"e".to_owned()), "{held:?}");
}

#[tokio::test]
async fn a_bad_resource_is_refused_by_name_and_the_last_good_one_serves() {
    let fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    let mut sidecar = sidecar(&fake.address.to_string(), None);
    sidecar.demand.want("reviews:80");
    let good = sidecar.found("reviews:80").await;
    let Resource::Route(mut broken) = routes("r", &["c"]) else { unreachable!() };
    broken.virtual_hosts[0].routes[0].matches.path = weir_model::PathMatch::Regex("[".to_owned());
    fake.put(&[Resource::Route(broken)]);
    fake.put_garbage(ResourceType::Cluster, "garbage");
    sidecar.status("refused twice", |status| status.refused.len() == 2).await;
    let told = |text: &str| {
        let refusals = fake.received().into_iter().filter_map(|request| request.error_detail);
        refusals.into_iter().any(|detail| detail.message.contains(text))
    };
    for _ in 0..200 {
        if told("virtual_hosts[0].routes[0]") && told("garbage") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(told("virtual_hosts[0].routes[0]") && told("garbage"), "{:#?}", fake.received());
    assert_eq!(sidecar.snapshots.borrow().revision, good.revision);
    fake.put(&[routes("r", &["c"]), cluster("garbage", "e")]);
    sidecar.status("mended", |status| status.refused.is_empty() && status.pending.is_empty()).await;
}

#[tokio::test]
async fn a_start_without_a_control_plane_serves_what_was_last_good() {
    let directory = tempfile::tempdir().unwrap();
    let mut fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    let mut first = sidecar(&fake.address.to_string(), Some(directory.path()));
    first.demand.want("reviews:80");
    first.demand.want("nobody");
    first.found("reviews:80").await;
    let last = first.absent("nobody").await;
    first.status.close();
    tokio::time::timeout(PATIENCE, first.task).await.unwrap().unwrap();
    fake.streams(0).await;
    fake.kill();

    let second = sidecar(&fake.address.to_string(), Some(directory.path()));
    let restored = second.snapshots.borrow().clone();
    assert_eq!(restored.sequence, 1, "there at once");
    assert_eq!(restored.revision, last.revision);
    assert!(matches!(restored.name("reviews:80", Time(0)), NameLookup::Found(_)));
    assert!(matches!(restored.name("nobody", Time(0)), NameLookup::Absent));
    assert!(second.status.get().restored);
    second.status("not connected", |status| status.failures > 0).await;

    // The control plane is back with something new: only that is sent, and the names are still asked for.
    let again = Fake::start(fake.address);
    let mut changed = reviews();
    changed.push(listener("nobody", "r"));
    again.put(&changed);
    let mut second = second;
    second.found("nobody").await;
    assert_eq!(ports(&second.snapshots.borrow()), [1]);
}

#[tokio::test]
async fn control_planes_are_tried_in_turn() {
    let fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    // Nothing listens on port 1.
    let mut sidecar = sidecar(&format!("127.0.0.1:1,{}", fake.address), None);
    sidecar.until("everything", |snapshot| ports(snapshot) == [1]).await;
    let status = sidecar.status.get();
    assert!(status.control_plane.ends_with(&fake.address.port().to_string()), "{status:?}");
    assert!(
        status.failures >= 1 && status.last_error.is_some_and(|error| error.contains("cannot be reached"))
    );
}

#[tokio::test]
async fn leaving_waits_until_the_control_plane_has_ended_the_stream_too() {
    let fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    let mut sidecar = sidecar(&fake.address.to_string(), None);
    sidecar.until("everything", |snapshot| ports(snapshot) == [1]).await;
    sidecar.status("known", |status| status.answered).await;
    assert!(sidecar.status.is_known());
    fake.hold_farewells(true);
    sidecar.status.close();
    fake.streams(0).await;
    let early = tokio::time::timeout(Duration::from_millis(300), sidecar.status.gone()).await;
    assert!(early.is_err(), "its peers do not know yet");
    fake.hold_farewells(false);
    tokio::time::timeout(PATIENCE, sidecar.status.gone()).await.unwrap();
    tokio::time::timeout(PATIENCE, sidecar.task).await.unwrap().unwrap();
    assert!(!sidecar.status.is_known());
}

#[tokio::test]
async fn who_leaves_gives_up_the_lease_and_goes_on_asking() {
    let fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    let mut sidecar = sidecar(&fake.address.to_string(), None);
    sidecar.until("everything", |snapshot| ports(snapshot) == [1]).await;
    let draining = || {
        let nodes = fake.received().into_iter().filter_map(|request| request.node);
        nodes.map(|node| weir_xds::node::is_draining(&node)).collect::<Vec<_>>()
    };
    assert_eq!(draining(), [false]);
    fake.hold_farewells(true);
    sidecar.status.leave();
    sidecar.demand.want("reviews:80");
    sidecar.found("reviews:80").await;
    assert_eq!(draining(), [false, true], "the lease has ended, and another stream is none");
    fake.put(&[endpoints("e", &[1, 2])]);
    sidecar.until("another endpoint", |snapshot| ports(snapshot) == [1, 2]).await;
    let early = tokio::time::timeout(Duration::from_millis(300), sidecar.status.gone()).await;
    assert!(early.is_err(), "its peers do not know yet");
    fake.hold_farewells(false);
    tokio::time::timeout(PATIENCE, sidecar.status.gone()).await.unwrap();
    fake.streams(1).await;
    sidecar.status.close();
    tokio::time::timeout(PATIENCE, sidecar.task).await.unwrap().unwrap();
    tokio::time::timeout(PATIENCE, fake.streams(0)).await.unwrap();
}

#[tokio::test]
async fn who_leaves_without_a_control_plane_has_left_and_finds_one_later() {
    // Nothing listens on port 1.
    let fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    let mut sidecar = sidecar(&format!("127.0.0.1:1,127.0.0.1:1,{}", fake.address), None);
    sidecar.status.leave();
    tokio::time::timeout(FAREWELL / 2, sidecar.status.gone()).await.unwrap();
    sidecar.until("everything", |snapshot| ports(snapshot) == [1]).await;
    let nodes = fake.received().into_iter().filter_map(|request| request.node);
    assert!(nodes.into_iter().all(|node| weir_xds::node::is_draining(&node)), "it never held a lease");
}

#[tokio::test]
async fn leaving_does_not_wait_for_a_control_plane_that_is_not_there() {
    // Nothing listens on port 1.
    let sidecar = sidecar("127.0.0.1:1", None);
    sidecar.status("tried", |status| status.failures > 0).await;
    sidecar.status.close();
    tokio::time::timeout(FAREWELL / 2, sidecar.status.gone()).await.unwrap();
}

#[tokio::test]
async fn what_was_handed_over_is_not_written_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    let mut sidecar = sidecar(&fake.address.to_string(), Some(directory.path()));
    sidecar.until("everything", |snapshot| ports(snapshot) == [1]).await;
    sidecar.status("kept", |status| status.saves > 0).await;
    sidecar.status.hand_over();
    std::fs::remove_file(directory.path().join(persist::FILE)).unwrap();
    fake.put(&[endpoints("e", &[2])]);
    sidecar.until("the change", |snapshot| ports(snapshot) == [2]).await;
    sidecar.status.close();
    tokio::time::timeout(PATIENCE, sidecar.task).await.unwrap().unwrap();
    assert!(!directory.path().join(persist::FILE).exists());
}

#[tokio::test]
async fn closing_ends_the_stream_and_keeps_what_is_served() {
    let fake = Fake::start(([127, 0, 0, 1], 0).into());
    fake.put(&reviews());
    let mut sidecar = sidecar(&fake.address.to_string(), None);
    sidecar.until("everything", |snapshot| ports(snapshot) == [1]).await;
    fake.streams(1).await;
    sidecar.status.close();
    tokio::time::timeout(PATIENCE, fake.streams(0)).await.unwrap();
    tokio::time::timeout(PATIENCE, sidecar.task).await.unwrap().unwrap();
    assert_eq!(ports(&sidecar.snapshots.borrow()), [1]);
    assert!(sidecar.status.get().connected_since.is_none());
}
