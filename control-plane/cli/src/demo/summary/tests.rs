use super::*;
use crate::demo::tally::Outcome;

/// A demo in which every phase was split exactly as its weights say.
fn report() -> Report {
    let mut tally = Tally::new();
    for (index, phase) in PHASES.iter().enumerate() {
        tally.enter(Window::Phase(index));
        for number in 0..1000 {
            let ticket = tally.begin();
            let version = usize::from(number % 100 >= phase.weights[0]);
            tally.end(ticket, Outcome::Served(version), Duration::from_millis(2));
        }
    }
    let services = ["frontend", "reviews"].map(str::to_owned).to_vec();
    Report {
        rate: 200,
        duration: Duration::from_secs(20),
        tally,
        revisions: [2, 3, 3, 4],
        outage: Outage { away: Duration::from_secs(4), recovery: Duration::from_millis(700) },
        propagation: [12, 3, 9].map(Duration::from_millis).to_vec(),
        trace: Trace::Collected { id: 7, spans: 4, services, connected: true, tree: "trace\n".to_owned() },
    }
}

#[test]
fn a_demo_without_a_flaw_is_ok_and_says_everything() {
    let report = report();
    let value = report.value();
    assert_eq!(value["ok"], true);
    assert_eq!((&value["requests"], &value["failed"]), (&json!(4000), &json!(0)));
    let names: Vec<&str> =
        value["phases"].as_array().unwrap().iter().map(|phase| phase["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["90/10", "50/50", "outage", "rollback"]);
    let first = &value["phases"][0];
    assert_eq!(first["weights"], json!({"reviews-v1": 90, "reviews-v2": 10}));
    assert_eq!(first["observed"], json!({"reviews-v1": 900, "reviews-v2": 100}));
    assert_eq!(first["bounds"]["within"], true);
    assert!((first["latency_ms"]["p99"].as_f64().unwrap() - 2.0).abs() < 0.01);
    assert_eq!(
        value["control_plane_outage"],
        json!({"seconds": 4.0, "recovery_seconds": 0.7, "requests": 1000, "failed": 0})
    );
    assert_eq!(value["propagation_ms"], json!({"p50": 9.0, "p99": 12.0, "changes": 3}));
    assert_eq!(value["trace"]["services"], json!(["frontend", "reviews"]));
    let text = report.text();
    for word in ["90/10", "outage", "rollback", "All is well", "trace"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn one_failed_request_is_one_too_many() {
    let mut report = report();
    let ticket = report.tally.begin();
    report.tally.end(ticket, Outcome::Failed("503: no healthy upstream".to_owned()), Duration::ZERO);
    assert_eq!(report.value()["ok"], false);
    assert_eq!(report.value()["failures"], json!({"503: no healthy upstream": 1}));
    assert!(report.problems()[0].contains("1 of 4001"), "{:?}", report.problems());
    assert!(!report.text().contains("All is well"));
}

#[test]
fn a_split_that_chance_does_not_explain_is_a_problem() {
    let mut report = report();
    report.tally.enter(Window::Phase(1));
    for _ in 0..200 {
        let ticket = report.tally.begin();
        report.tally.end(ticket, Outcome::Served(0), Duration::ZERO);
    }
    let problems = report.problems();
    assert!(problems.len() == 1 && problems[0].contains("50/50"), "{problems:?}");
    assert_eq!(report.value()["phases"][1]["bounds"]["within"], false);
}

#[test]
fn a_phase_without_an_answer_proves_nothing() {
    let mut report = report();
    report.tally = Tally::new();
    assert_eq!(report.problems().len(), PHASES.len());
}

#[test]
fn a_trace_must_be_connected_and_cross_both_services() {
    let services = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let both = services(&["frontend", "reviews"]);
    assert!(Trace::is_whole(4, &both, true));
    assert!(!Trace::is_whole(3, &both, true));
    assert!(!Trace::is_whole(4, &both, false));
    assert!(!Trace::is_whole(9, &services(&["frontend"]), true));
    let mut report = report();
    report.trace = Trace::Missing { received: 3 };
    assert_eq!(report.value()["ok"], false);
    assert_eq!(report.value()["trace"]["connected"], false);
    report.trace = Trace::SentTo("http://elsewhere:4317".to_owned());
    assert_eq!(report.value()["ok"], true);
    assert_eq!(report.value()["trace"]["sent_to"], "http://elsewhere:4317");
}
