//! Prometheus' text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::cells::{BUCKETS, DURATION_BOUNDS_NANOS};
use super::registry::{LabelValues, Registry};
use super::{Family, Kind, process};

/// A series' sums, or a value that was read.
enum Sample {
    Words(Vec<u64>),
    Value(f64),
}

/// A family with all its series.
struct Shown {
    family: &'static Family,
    series: Vec<(LabelValues, Sample)>,
}

pub(super) fn render(registry: &Registry) -> String {
    let mut families: BTreeMap<&'static str, Shown> = BTreeMap::new();
    let mut add = |family: &'static Family, labels, sample| {
        let shown = families.entry(family.name).or_insert_with(|| Shown { family, series: Vec::new() });
        shown.series.push((labels, sample));
    };
    for table in registry.tables() {
        for (labels, words) in table.sums() {
            add(table.family, labels, Sample::Words(words));
        }
    }
    for observer in registry.observers() {
        add(observer.family, observer.labels, Sample::Value((observer.read)()));
    }
    for (family, value) in process::read() {
        add(family, Box::default(), Sample::Value(value));
    }
    let mut out = String::new();
    for Shown { family, mut series } in families.into_values() {
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        head(&mut out, family);
        for (labels, sample) in &series {
            one(&mut out, family, labels, sample);
        }
    }
    out
}

fn head(out: &mut String, family: &Family) {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    // Writing to a string cannot fail, here and below.
    let _ = write!(out, "# HELP {} ", family.name);
    escape(out, family.help, false);
    let _ = writeln!(out, "\n# TYPE {} {kind}", family.name);
    if !family.unit.is_empty() {
        let _ = writeln!(out, "# UNIT {} {}", family.name, family.unit);
    }
}

fn one(out: &mut String, family: &Family, labels: &LabelValues, sample: &Sample) {
    match (sample, family.kind) {
        (Sample::Value(value), _) => {
            name(out, family, "", labels, None);
            let _ = writeln!(out, " {value}");
        }
        (Sample::Words(words), Kind::Counter) => {
            name(out, family, "", labels, None);
            let _ = writeln!(out, " {}", words[0]);
        }
        (Sample::Words(words), Kind::Gauge) => {
            name(out, family, "", labels, None);
            let _ = writeln!(out, " {}", words[0] as i64);
        }
        (Sample::Words(words), Kind::Histogram) => histogram(out, family, labels, words),
    }
}

fn histogram(out: &mut String, family: &Family, labels: &LabelValues, words: &[u64]) {
    let mut count = 0u64;
    for (index, words) in words[..BUCKETS].iter().enumerate() {
        count = count.wrapping_add(*words);
        let bound =
            DURATION_BOUNDS_NANOS.get(index).map_or_else(|| "+Inf".to_owned(), |nanos| seconds(*nanos));
        name(out, family, "_bucket", labels, Some(&bound));
        let _ = writeln!(out, " {count}");
    }
    name(out, family, "_sum", labels, None);
    let _ = writeln!(out, " {}", seconds(words[BUCKETS]));
    name(out, family, "_count", labels, None);
    let _ = writeln!(out, " {count}");
}

fn name(out: &mut String, family: &Family, suffix: &str, values: &LabelValues, bound: Option<&str>) {
    out.push_str(family.name);
    out.push_str(suffix);
    // An empty value means the same as no label.
    let labels = family.labels.iter().copied().zip(values.iter().map(|value| value.as_str()));
    let labels = labels.filter(|(_, value)| !value.is_empty()).chain(bound.map(|bound| ("le", bound)));
    let mut open = '{';
    for (label, value) in labels {
        let _ = write!(out, "{open}{label}=\"");
        escape(out, value, true);
        out.push('"');
        open = ',';
    }
    if open == ',' {
        out.push('}');
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

/// Nanoseconds as seconds, exactly.
fn seconds(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
