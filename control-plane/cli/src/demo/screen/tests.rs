use super::*;
use crate::demo::tally::Outcome;

/// The text as a terminal shows it.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn view() -> View {
    View {
        doing: "waiting until every sidecar is back in sync".to_owned(),
        weights: Some([90, 10]),
        until: None,
        control_plane: true,
        sidecars: [Some((1234, true)), Some((1233, false)), None],
    }
}

#[test]
fn the_table_is_never_wrapped() {
    let mut tally = Tally::new();
    for _ in 0..2 {
        let ticket = tally.begin();
        tally.end(ticket, Outcome::Failed("503".to_owned()), Duration::ZERO);
    }
    let shown = Shown { view: &view(), tally: &tally, rate: 19_999.0, now: Instant::now() };
    let table = plain(&shown.table());
    for line in table.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for word in ["2 failed", "frontend-1 r1234 ✓", "reviews-v1-1 r1233 …", "reviews-v2-1 r?", "● up"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert_eq!(shown.line().lines().count(), 1);
}

#[test]
fn the_bar_has_one_width_and_a_mark_where_the_weights_put_it() {
    for observed in [0.0, 0.004, 0.45, 0.5, 0.9, 1.0] {
        for wanted in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let bar: Vec<char> = plain(&bar(observed, wanted)).chars().collect();
            assert_eq!(bar.len(), BAR, "{observed} {wanted}");
            let mark = bar.iter().position(|cell| *cell == '┃').unwrap();
            assert!((mark as f64 - wanted * BAR as f64).abs() <= 1.0, "{observed} {wanted}: {mark}");
        }
    }
    let filled = |observed| bar(observed, 0.5).split("\x1b[35m").next().unwrap().matches('█').count();
    assert!(filled(0.25) == BAR / 4 && filled(0.0) == 0);
}

#[test]
fn the_rate_is_that_of_the_last_moments() {
    let mut rates = Rates::default();
    let (start, mut last) = (Instant::now(), 0.0);
    for step in 0..100 {
        // A hundred a second at first, then two hundred.
        let requests = if step < 50 { step * 20 } else { 1000 + (step - 50) * 40 };
        last = rates.rate(start + Duration::from_millis(200) * step as u32, requests);
    }
    assert!((last - 200.0).abs() < 1.0, "{last}");
}
