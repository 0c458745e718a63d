use std::time::Duration;

use super::*;

fn span(id: u64, parent: Option<u64>, service: &str, start: u64) -> CollectedSpan {
    CollectedSpan {
        span_id: id,
        parent_span_id: parent,
        service: service.to_owned(),
        name: format!("GET /{id}"),
        kind: if id % 2 == 1 { "server" } else { "client" },
        start_unix_nanos: start,
        end_unix_nanos: start + 5_250_000,
        error: false,
        attributes: vec![("http.response.status_code".to_owned(), "200".to_owned())],
    }
}

#[test]
fn one_trace_as_a_tree() {
    let mut failed = span(5, Some(2), "reviews", 2_000_000);
    failed.error = true;
    failed.attributes = vec![("error.type".to_owned(), "time\x1b[2Jout".to_owned())];
    let trace = Trace::new(
        0xabc,
        vec![
            failed,
            span(3, Some(2), "reviews", 1_500_000),
            span(1, None, "frontend", 0),
            span(2, Some(1), "frontend", 1_000_000),
            span(4, Some(1), "frontend", 7_000_000),
        ],
    );
    let expected = "\
trace 00000000000000000000000000000abc
frontend: GET /1 [server] 200 +0.00 ms, 5.25 ms
├─ frontend: GET /2 [client] 200 +1.00 ms, 5.25 ms
│  ├─ reviews: GET /3 [server] 200 +1.50 ms, 5.25 ms
│  └─ reviews: GET /5 [server] +2.00 ms, 5.25 ms ERROR time\u{fffd}[2Jout
└─ frontend: GET /4 [client] 200 +7.00 ms, 5.25 ms
";
    assert_eq!(trace.render(), expected);
    let summary = trace.summary();
    assert_eq!((summary.spans, summary.connected), (5, true));
    assert_eq!(summary.services, ["frontend", "reviews"]);
    assert_eq!(trace.spans[0].duration(), Duration::from_nanos(5_250_000));
}

#[test]
fn connected_means_one_root_and_every_parent_present() {
    let connected = |spans| Trace::new(1, spans).summary().connected;
    assert!(connected(vec![span(1, None, "a", 0)]));
    assert!(!connected(vec![]));
    assert!(!connected(vec![span(1, None, "a", 0), span(2, None, "a", 0)]), "two roots");
    assert!(!connected(vec![span(1, None, "a", 0), span(3, Some(2), "a", 0)]), "a parent is missing");
    assert!(!connected(vec![span(2, Some(1), "a", 0)]), "no root");
    let circle = vec![span(1, None, "a", 0), span(2, Some(3), "a", 0), span(3, Some(2), "a", 0)];
    assert!(!connected(circle.clone()), "a circle");
    assert!(!connected(vec![span(1, None, "a", 0), span(2, Some(2), "a", 0)]), "its own parent");
    let picture = Trace::new(1, circle).render();
    assert_eq!(picture.lines().count(), 4, "every span is drawn once: {picture}");
    assert!(picture.contains("its parent is missing"));
    let twice = vec![span(1, None, "a", 0), span(2, Some(1), "a", 1), span(2, Some(1), "a", 1)];
    assert_eq!(
        Trace::new(1, twice).summary(),
        TraceSummary { spans: 2, services: vec!["a".into()], connected: true }
    );
}

#[test]
fn a_very_deep_trace_is_drawn_without_recursion_or_endless_lines() {
    let spans = (1..=20_000).map(|id| span(id, (id > 1).then(|| id - 1), "a", id)).collect();
    let trace = Trace::new(1, spans);
    assert!(trace.summary().connected);
    let picture = trace.render();
    assert_eq!(picture.lines().count(), 20_001);
    assert!(picture.lines().all(|line| line.chars().count() < 250));
}

#[test]
fn the_oldest_traces_go_when_there_are_too_many_spans() {
    let collector = Collector::new(10);
    for trace in 1..=6u128 {
        for id in 1..=2 {
            collector.store.lock().add(trace, span(id, None, "a", 0));
        }
    }
    assert_eq!(collector.trace_ids(), [6, 5, 4, 3, 2]);
    assert_eq!(collector.received(), 12);
    // One trace that is larger than everything allowed goes as a whole; nothing grows.
    for id in 1..=11 {
        collector.store.lock().add(9, span(id, None, "a", 0));
    }
    assert!(collector.store.lock().spans <= 10);
    collector.clear();
    assert!(collector.trace_ids().is_empty() && collector.received() == 23);
    assert!(collector.find(|_| true).is_none());
}
