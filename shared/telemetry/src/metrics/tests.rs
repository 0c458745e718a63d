use std::time::Duration;

use super::cells::bucket;
use super::*;

static REQUESTS: Family =
    Family::counter("test_requests_total", "Requests, \"all\" of\nthem.", &["route", "code"]);
static ACTIVE: Family = Family::gauge("test_active", "Under way.", &[]);
static DURATION: Family = Family::histogram("test_duration_seconds", "Durations.", &["route"]);
static SMALL: Family = Family::counter("test_small_total", "Few series.", &["key"]).max_series(3);

/// What is rendered, without the process's own metrics.
fn text(registry: &Registry) -> String {
    let all = registry.render_prometheus();
    let ours = all.lines().filter(|line| !line.contains("process_"));
    ours.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_text_format() {
    let registry = Registry::new();
    let worker = registry.worker();
    let mut requests = worker.counters::<(u32, u16)>(&REQUESTS);
    for _ in 0..3 {
        requests.get((1, 200), |labels| labels.push("a\\b\"c\nd").push(200)).inc();
    }
    requests.get((2, 503), |labels| labels.push("").push(503)).add(7);
    worker.gauge(&ACTIVE, &[]).dec();
    let durations = worker.histogram(&DURATION, &["r"]);
    durations.record(Duration::from_micros(500));
    durations.record(Duration::from_micros(501));
    durations.record(Duration::from_millis(7));
    durations.record(Duration::from_secs(60));
    registry.observe(&names::BUILD_INFO, &["0.1.0"], || 1.0);
    registry.shared_counter(&names::SPANS, &["exported"]).add(5);
    let expected = r#"# HELP test_active Under way.
# TYPE test_active gauge
test_active -1
# HELP test_duration_seconds Durations.
# TYPE test_duration_seconds histogram
# UNIT test_duration_seconds seconds
test_duration_seconds_bucket{route="r",le="0.0005"} 1
test_duration_seconds_bucket{route="r",le="0.001"} 2
test_duration_seconds_bucket{route="r",le="0.0025"} 2
test_duration_seconds_bucket{route="r",le="0.005"} 2
test_duration_seconds_bucket{route="r",le="0.01"} 3
test_duration_seconds_bucket{route="r",le="0.025"} 3
test_duration_seconds_bucket{route="r",le="0.05"} 3
test_duration_seconds_bucket{route="r",le="0.075"} 3
test_duration_seconds_bucket{route="r",le="0.1"} 3
test_duration_seconds_bucket{route="r",le="0.25"} 3
test_duration_seconds_bucket{route="r",le="0.5"} 3
test_duration_seconds_bucket{route="r",le="0.75"} 3
test_duration_seconds_bucket{route="r",le="1"} 3
test_duration_seconds_bucket{route="r",le="2.5"} 3
test_duration_seconds_bucket{route="r",le="5"} 3
test_duration_seconds_bucket{route="r",le="7.5"} 3
test_duration_seconds_bucket{route="r",le="10"} 3
test_duration_seconds_bucket{route="r",le="+Inf"} 4
test_duration_seconds_sum{route="r"} 60.008001
test_duration_seconds_count{route="r"} 4
# HELP test_requests_total Requests, "all" of\nthem.
# TYPE test_requests_total counter
test_requests_total{code="503"} 7
test_requests_total{route="a\\b\"c\nd",code="200"} 3
# HELP weir_build_info Always 1; the version is in its label.
# TYPE weir_build_info gauge
weir_build_info{version="0.1.0"} 1
# HELP weir_spans_total Spans by outcome: exported, or dropped and why.
# TYPE weir_spans_total counter
weir_spans_total{outcome="exported"} 5
"#;
    assert_eq!(text(&registry), expected);
}

#[test]
fn the_process_speaks_about_itself() {
    let all = Registry::new().render_prometheus();
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "process_threads",
    ] {
        let line = all.lines().find(|line| line.starts_with(&format!("{name} "))).expect(name);
        let value: f64 = line.split(' ').next_back().unwrap().parse().unwrap();
        assert!(value > 0.0 || name.contains("cpu"), "{line}");
    }
}

#[test]
fn a_program_may_call_itself_anything() {
    let stat = "7 (a) R 1 ) S 2 3) S 1 1 1 0 -1 4194304 100 0 0 0 11 22 0 0 20 0 3 0 555 4096 9 18446744073709551615";
    let parsed = process::Stat::parse(stat).unwrap();
    let expected =
        process::Stat { cpu_ticks: 33, threads: 3, start_ticks: 555, virtual_bytes: 4096, resident_pages: 9 };
    assert_eq!(parsed, expected);
    assert_eq!(process::Stat::parse("7 (a) R 1"), None);
}

#[test]
fn workers_count_alone_and_the_scrape_sums() {
    let registry = Registry::new();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let registry = registry.clone();
            std::thread::spawn(move || {
                let worker = registry.worker();
                let mut requests = worker.counters::<u16>(&REQUESTS);
                for i in 0..10_000u16 {
                    requests.get(i % 2, |labels| labels.push("r").push(200 + i % 2)).inc();
                }
                worker.gauge(&ACTIVE, &[]).inc();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let text = text(&registry);
    assert!(text.contains("test_requests_total{route=\"r\",code=\"200\"} 20000\n"), "{text}");
    assert!(text.contains("test_requests_total{route=\"r\",code=\"201\"} 20000\n"), "{text}");
    assert!(text.contains("test_active 4\n"), "{text}");
}

#[test]
fn two_keys_of_a_worker_may_mean_one_series() {
    let registry = Registry::new();
    let worker = registry.worker();
    let (mut a, mut b) = (worker.counters::<u8>(&REQUESTS), worker.counters::<u8>(&REQUESTS));
    for key in 0..3 {
        a.get(key, |labels| labels.push("r").push(200)).inc();
        b.get(key, |labels| labels.push("r").push(200)).inc();
    }
    assert!(text(&registry).contains("test_requests_total{route=\"r\",code=\"200\"} 6\n"));
}

#[test]
fn beyond_the_bound_everything_is_counted_as_other() {
    let registry = Registry::new();
    let (one, two) = (registry.worker(), registry.worker());
    let mut first = one.counters::<u32>(&SMALL);
    for key in 0..1000 {
        first.get(key, |labels| labels.push(key)).inc();
        assert!(first.len() <= 3 * 8 + 1, "the worker's map has a bound too");
    }
    // Another worker finds the same series full, and known ones open.
    let mut second = two.counters::<u32>(&SMALL);
    second.get(2, |labels| labels.push(2)).inc();
    second.get(77, |labels| labels.push(77)).inc();
    let text = text(&registry);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("test_small_total{")).collect();
    assert_eq!(
        lines,
        [
            "test_small_total{key=\"0\"} 1",
            "test_small_total{key=\"1\"} 1",
            "test_small_total{key=\"2\"} 2",
            "test_small_total{key=\"_other\"} 998",
        ]
    );
    assert!(text.contains("weir_metrics_overflow_total{metric=\"test_small_total\"} 998\n"), "{text}");
}

#[test]
fn idle_series_leave_and_make_room_and_held_ones_stay() {
    let registry = Registry::new();
    let worker = registry.worker();
    let mut series = worker.counters::<u32>(&SMALL);
    for key in 0..3 {
        series.get(key, |labels| labels.push(key)).inc();
    }
    let held = series.get(0, |_| unreachable!("known")).clone();
    for _ in 0..2 * EXPIRE_AFTER {
        series.get(1, |_| unreachable!("in use")).inc();
        series.expire();
        registry.expire();
    }
    assert_eq!(series.len(), 1);
    held.inc();
    let now = text(&registry);
    assert!(now.contains("test_small_total{key=\"0\"} 2\n"), "somebody holds it, so nothing is lost: {now}");
    assert!(now.contains("test_small_total{key=\"1\"} 21\n") && !now.contains("key=\"2\""), "{now}");
    series.get(9, |labels| labels.push(9)).inc();
    assert!(text(&registry).contains("test_small_total{key=\"9\"} 1\n"), "the room is used again");
}

#[test]
fn a_counter_never_goes_backwards_when_one_worker_forgets_it() {
    let registry = Registry::new();
    let (one, two) = (registry.worker(), registry.worker());
    let mut idle = one.counters::<u8>(&SMALL);
    let mut busy = two.counters::<u8>(&SMALL);
    idle.get(0, |labels| labels.push("k")).add(100);
    for round in 1..=30u64 {
        busy.get(0, |labels| labels.push("k")).inc();
        idle.expire();
        busy.expire();
        registry.expire();
        let expected = format!("test_small_total{{key=\"k\"}} {}\n", 100 + round);
        assert!(text(&registry).contains(&expected), "round {round}");
    }
    assert!(idle.is_empty());
    idle.get(0, |labels| labels.push("k")).inc();
    assert!(text(&registry).contains("test_small_total{key=\"k\"} 131\n"));
}

#[test]
fn forgetting_everything_with_a_new_configuration_loses_no_count() {
    let registry = Registry::new();
    let worker = registry.worker();
    let mut series = worker.counters::<u8>(&SMALL);
    series.get(0, |labels| labels.push("k")).inc();
    series.clear();
    series.get(1, |labels| labels.push("k")).inc();
    assert!(text(&registry).contains("test_small_total{key=\"k\"} 2\n"));
}

#[test]
fn buckets_are_the_first_bound_not_below() {
    for nanos in (0..70).map(|shift| 1u64.checked_shl(shift).unwrap_or(u64::MAX)).chain(DURATION_BOUNDS_NANOS)
    {
        for nanos in [nanos.saturating_sub(1), nanos, nanos.saturating_add(1)] {
            let expected = DURATION_BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
            assert_eq!(bucket(nanos), expected, "{nanos}");
        }
    }
    assert!(DURATION_BOUNDS_NANOS.is_sorted());
}

#[test]
fn long_label_values_are_cut() {
    let registry = Registry::new();
    registry.worker().counter(&SMALL, &[&"é".repeat(500)]).inc();
    assert!(text(&registry).contains(&format!("{{key=\"{}\"}} 1", "é".repeat(100))));
}

/// Names as `promtool check metrics` wants them.
#[test]
fn every_family_has_a_good_name() {
    let all = [
        &names::HTTP_SERVER_REQUEST_DURATION,
        &names::HTTP_CLIENT_REQUEST_DURATION,
        &names::HTTP_SERVER_ACTIVE_REQUESTS,
        &names::RPC_SERVER_CALL_DURATION,
        &names::RPC_CLIENT_CALL_DURATION,
        &names::RESPONSE_FLAGS,
        &names::UPSTREAM_RETRIES,
        &names::DOWNSTREAM_CONNECTIONS,
        &names::DOWNSTREAM_CONNECTIONS_ACTIVE,
        &names::UPSTREAM_CONNECTIONS,
        &names::UPSTREAM_CONNECTIONS_ACTIVE,
        &names::TCP_BYTES,
        &names::SPANS,
        &names::ACCESS_LOG_DROPPED,
        &names::METRICS_OVERFLOW,
        &names::BUILD_INFO,
    ];
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    for family in all {
        let name = family.name;
        assert!(plain(name) && !family.help.is_empty(), "{name}");
        assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
        assert!(family.unit.is_empty() || name.contains(family.unit), "{name}");
        assert_eq!(family.kind == Kind::Histogram, name.ends_with("_seconds"), "{name}");
        assert!(family.labels.iter().all(|label| plain(label) && *label != "le"), "{name}");
    }
}

#[test]
fn a_table_is_read_anew_and_bounded() {
    static TABLE: Family = Family::gauge("table", "Rows that come and go.", &["row"]).max_series(2);
    let registry = Registry::new();
    let rows = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(1));
    let read = rows.clone();
    registry.observe_table(&TABLE, move || {
        let rows = read.load(std::sync::atomic::Ordering::Relaxed);
        (0..rows).map(|row| (vec![format!("r{row}")], row as f64)).collect()
    });
    let shown = |text: &str| text.lines().filter(|line| line.starts_with("table{")).count();
    assert_eq!(shown(&registry.render_prometheus()), 1);
    rows.store(3, std::sync::atomic::Ordering::Relaxed);
    let text = registry.render_prometheus();
    assert_eq!(shown(&text), 2, "no more than the family may have: {text}");
    assert!(text.contains("table{row=\"r1\"} 1"), "{text}");
}
