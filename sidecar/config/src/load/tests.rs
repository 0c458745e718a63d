use super::*;
use crate::samples::{cluster, endpoints};
use crate::snapshot::link::Linker;
use weir_model::{Resource, ResourceSet};

fn link(linker: &mut Linker, resources: Vec<Resource>) -> Arc<Snapshot> {
    let mut set = ResourceSet::default();
    for resource in resources {
        set.insert(resource);
    }
    Arc::new(linker.link(&set, []).unwrap())
}

fn all(endpoints: bool) -> LoadStatsResponse {
    LoadStatsResponse {
        send_all_clusters: true,
        report_endpoint_granularity: endpoints,
        ..Default::default()
    }
}

#[test]
fn a_report_says_what_came_since_the_last_one() {
    let mut linker = Linker::new(2);
    let snapshot = link(&mut linker, vec![cluster("c", "e"), endpoints("e", &[1, 2])]);
    let mut report = Report::default();
    assert!(report.take(&snapshot, &all(true), Duration::ZERO).is_empty(), "an idle cluster is not reported");
    let [first, second] = &snapshot.clusters[0].endpoints[..] else { panic!() };
    for worker in 0..2 {
        first.traffic.of(worker).start();
        first.traffic.of(worker).end(worker == 0);
    }
    second.traffic.of(0).start();
    let _active = second.enter();
    snapshot.clusters[0].state.traffic.of(1).refuse();
    let stats = report.take(&snapshot, &all(true), Duration::from_millis(1500));
    assert_eq!(stats.len(), 1);
    let stats = &stats[0];
    assert_eq!((stats.cluster_name.as_str(), stats.cluster_service_name.as_str()), ("c", "e"));
    assert_eq!(stats.total_dropped_requests, 1);
    assert_eq!(stats.load_report_interval, Some(ProtoDuration { seconds: 1, nanos: 500_000_000 }));
    let [locality] = &stats.upstream_locality_stats[..] else { panic!("{stats:?}") };
    assert_eq!(locality.locality.as_ref().unwrap().zone, "eu-1");
    assert_eq!(locality.total_issued_requests, 3);
    assert_eq!(locality.total_successful_requests, 1);
    assert_eq!(locality.total_error_requests, 1);
    assert_eq!(locality.total_requests_in_progress, 1);
    assert_eq!(locality.upstream_endpoint_stats.len(), 2);
    second.traffic.of(0).end(true);
    drop(_active);
    let stats = report.take(&snapshot, &all(false), Duration::from_secs(1));
    let locality = &stats[0].upstream_locality_stats[0];
    assert_eq!((locality.total_issued_requests, locality.total_successful_requests), (0, 1));
    assert!(locality.upstream_endpoint_stats.is_empty());
    assert!(report.take(&snapshot, &all(true), Duration::ZERO).is_empty());
}

#[test]
fn an_endpoint_that_went_away_is_reported_once_more() {
    let mut linker = Linker::new(1);
    let before = link(&mut linker, vec![cluster("c", "e"), endpoints("e", &[1, 2])]);
    let mut report = Report::default();
    report.take(&before, &all(true), Duration::ZERO);
    let after = link(&mut linker, vec![cluster("c", "e"), endpoints("e", &[1])]);
    before.clusters[0].endpoints[1].traffic.of(0).start();
    before.clusters[0].endpoints[1].traffic.of(0).end(false);
    let stats = report.take(&after, &all(true), Duration::ZERO);
    assert_eq!(stats[0].upstream_locality_stats[0].total_error_requests, 1);
    assert!(report.take(&after, &all(true), Duration::ZERO).is_empty());
}

#[test]
fn only_what_was_asked_for_is_reported() {
    let mut linker = Linker::new(1);
    let resources = vec![cluster("a", "a"), endpoints("a", &[1]), cluster("b", "b"), endpoints("b", &[2])];
    let snapshot = link(&mut linker, resources);
    for cluster in snapshot.live_clusters() {
        cluster.endpoints[0].traffic.of(0).start();
    }
    let selection = LoadStatsResponse { clusters: vec!["b".to_owned()], ..Default::default() };
    let stats = Report::default().take(&snapshot, &selection, Duration::ZERO);
    assert_eq!(stats.iter().map(|stats| stats.cluster_name.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn the_interval_is_what_was_asked_for_within_reason() {
    let period = |seconds, nanos| {
        let asked = LoadStatsResponse {
            load_reporting_interval: Some(ProtoDuration { seconds, nanos }),
            ..Default::default()
        };
        ticks(&asked, Instant::now()).period()
    };
    assert_eq!(period(2, 0), Duration::from_secs(2));
    assert_eq!(period(0, 1), SHORTEST);
    assert_eq!(period(-1, 0), USUAL);
    assert_eq!(period(1, -5), USUAL);
    assert_eq!(period(i64::MAX, 0), Duration::from_secs(24 * 3600));
    assert_eq!(ticks(&LoadStatsResponse::default(), Instant::now()).period(), USUAL);
}
