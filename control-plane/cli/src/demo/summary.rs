//! What the demo found: as JSON for a program, as a table for a person, and whether all is well. Pure.

use super::bounds::{CONFIDENCE, binomial};
use super::plan::{OUTAGE, PHASES, Phase};
use super::tally::{Counts, Tally, VERSIONS, Window};
use crate::output;
use owo_colors::OwoColorize;
use serde_json::{Map, Value, json};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The fewest spans of a trace that crosses the mesh.
const SPANS: usize = 4;
/// The services it must cross.
const SERVICES: [&str; 2] = ["frontend", "reviews"];

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rate: u32,
    pub(crate) duration: Duration,
    pub(crate) tally: Tally,
    /// The revision of each phase.
    pub(crate) revisions: [u64; PHASES.len()],
    pub(crate) outage: Outage,
    /// Of each change, how long it took from being written until its last sidecar served it.
    pub(crate) propagation: Vec<Duration>,
    pub(crate) trace: Trace,
}

/// The time without a control plane.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Outage {
    /// From the kill until it listened again.
    pub(crate) away: Duration,
    /// From then until every sidecar was in sync with it.
    pub(crate) recovery: Duration,
}

/// A trace of a request through the mesh.
#[derive(Debug)]
pub(crate) enum Trace {
    /// The one that was picked, drawn and summed up.
    Collected { id: u128, spans: usize, services: Vec<String>, connected: bool, tree: String },
    /// The collector inside the demo got none that will do: so many spans came in.
    Missing { received: u64 },
    /// Traces went there, where the demo cannot look.
    SentTo(String),
}

impl Trace {
    /// Whether this is one connected trace across the whole mesh.
    pub(crate) fn is_whole(spans: usize, services: &[String], connected: bool) -> bool {
        connected
            && spans >= SPANS
            && SERVICES.iter().all(|wanted| services.iter().any(|service| service == wanted))
    }
}

/// The bounds of the first version's count, and whether it is within.
fn split(phase: Phase, counts: &Counts) -> (RangeInclusive<u64>, bool) {
    let answers = counts.versions.iter().sum();
    let share = f64::from(phase.weights[0]) / f64::from(phase.weights.iter().sum::<u32>());
    let bounds = binomial(answers, share, CONFIDENCE);
    let within = answers > 0 && bounds.contains(&counts.versions[0]);
    (bounds, within)
}

impl Report {
    fn phases(&self) -> impl Iterator<Item = (usize, Phase, &Counts)> {
        PHASES
            .iter()
            .enumerate()
            .map(|(index, phase)| (index, *phase, self.tally.counts(Window::Phase(index))))
    }

    /// Everything that is not as it should be; empty if all is well.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.tally.failed() > 0 {
            problems.push(format!("{} of {} requests failed", self.tally.failed(), self.tally.requests()));
        }
        for (_, phase, counts) in self.phases() {
            let (bounds, within) = split(phase, counts);
            if !within {
                let [v1, v2] = counts.versions;
                problems.push(format!(
                    "phase {}: {} answered {v1} of {} requests; with weights {}/{} chance explains {} to {}",
                    phase.name,
                    VERSIONS[0],
                    v1 + v2,
                    phase.weights[0],
                    phase.weights[1],
                    bounds.start(),
                    bounds.end()
                ));
            }
        }
        match &self.trace {
            Trace::Collected { spans, services, connected, .. }
                if !Trace::is_whole(*spans, services, *connected) =>
            {
                let connected = if *connected { "connected" } else { "not connected" };
                problems.push(format!(
                    "the best trace has {spans} spans of {} and is {connected}",
                    services.join(", ")
                ));
            }
            Trace::Missing { received } => {
                problems.push(format!("no trace arrived, of {received} spans received"))
            }
            Trace::Collected { .. } | Trace::SentTo(_) => {}
        }
        problems
    }

    /// For a program.
    pub(crate) fn value(&self) -> Value {
        let problems = self.problems();
        let phases: Vec<Value> =
            self.phases().map(|(index, phase, counts)| self.phase(index, phase, counts)).collect();
        let outage = self.tally.counts(Window::Phase(OUTAGE));
        let transition = self.tally.counts(Window::Transition);
        let mut propagation: Vec<f64> =
            self.propagation.iter().map(|took| took.as_secs_f64() * 1000.0).collect();
        propagation.sort_by(f64::total_cmp);
        let rank = |quantile: f64| {
            let rank = (quantile * propagation.len() as f64).ceil() as usize;
            propagation.get(rank.saturating_sub(1)).copied().map(thousandths)
        };
        json!({
            "ok": problems.is_empty(),
            "problems": problems,
            "rate": self.rate,
            "duration_seconds": self.duration.as_secs_f64(),
            "requests": self.tally.requests(),
            "failed": self.tally.failed(),
            "failures": self.tally.reasons(),
            "phases": phases,
            "transition": {"requests": transition.requests, "failed": transition.failed},
            "control_plane_outage": {
                "seconds": thousandths(self.outage.away.as_secs_f64()),
                "recovery_seconds": thousandths(self.outage.recovery.as_secs_f64()),
                "requests": outage.requests,
                "failed": outage.failed,
            },
            "propagation_ms": {"p50": rank(0.5), "p99": rank(0.99), "changes": propagation.len()},
            "trace": self.trace_value(),
        })
    }

    fn phase(&self, index: usize, phase: Phase, counts: &Counts) -> Value {
        let (bounds, within) = split(phase, counts);
        let by_version = |values: [Value; 2]| -> Value {
            VERSIONS.iter().map(|version| (*version).to_owned()).zip(values).collect::<Map<_, _>>().into()
        };
        json!({
            "name": phase.name,
            "revision": self.revisions[index],
            "weights": by_version(phase.weights.map(Value::from)),
            "observed": by_version(counts.versions.map(Value::from)),
            "observed_share": by_version(counts.observed().map(|share| Value::from((share * 10_000.0).round() / 10_000.0))),
            "bounds": {
                "confidence": CONFIDENCE,
                "version": VERSIONS[0],
                "low": bounds.start(),
                "high": bounds.end(),
                "within": within,
            },
            "requests": counts.requests,
            "failed": counts.failed,
            "latency_ms": {"p50": counts.latency_ms(0.5), "p99": counts.latency_ms(0.99), "max": counts.latency_ms(1.0)},
        })
    }

    fn trace_value(&self) -> Value {
        match &self.trace {
            Trace::Collected { id, spans, services, connected, tree } => json!({
                "id": format!("{id:032x}"), "spans": spans, "services": services, "connected": connected, "tree": tree,
            }),
            Trace::Missing { received } => {
                json!({"spans": 0, "services": [], "connected": false, "received_spans": received})
            }
            Trace::SentTo(url) => json!({"sent_to": url, "spans": null, "services": null, "connected": null}),
        }
    }

    /// For a person.
    pub(crate) fn text(&self) -> String {
        let rows = self.phases().map(|(index, phase, counts)| {
            let (bounds, within) = split(phase, counts);
            let [v1, v2] = counts.observed().map(|share| share * 100.0);
            let answers = counts.versions.iter().sum::<u64>().max(1) as f64;
            let percent = |count: u64| count as f64 * 100.0 / answers;
            // Without colours: the table would count them as text.
            vec![
                phase.name.to_owned(),
                self.revisions[index].to_string(),
                format!("{}/{}", phase.weights[0], phase.weights[1]),
                format!("{v1:.1}/{v2:.1}"),
                format!("{:.1} … {:.1}", percent(*bounds.start()), percent(*bounds.end())),
                if within { "yes" } else { "NO" }.to_owned(),
                counts.requests.to_string(),
                counts.failed.to_string(),
                format!("{:.2}", counts.latency_ms(0.5)),
                format!("{:.2}", counts.latency_ms(0.99)),
            ]
        });
        let head = [
            "PHASE",
            "REVISION",
            "WEIGHTS",
            "OBSERVED",
            "BOUNDS OF V1",
            "WITHIN",
            "REQUESTS",
            "FAILED",
            "P50 MS",
            "P99 MS",
        ];
        let mut text = output::table(&head, rows.collect());
        let [outage, transition] =
            [Window::Phase(OUTAGE), Window::Transition].map(|window| self.tally.counts(window));
        text.push('\n');
        let mut line = |name: &str, said: String| text.push_str(&format!("{:<16} {said}\n", name.bold()));
        line(
            "all requests",
            format!(
                "{} sent, {} failed; {} of them while a change was on its way",
                self.tally.requests(),
                failed(self.tally.failed()),
                transition.requests
            ),
        );
        line(
            "control plane",
            format!(
                "killed; away {:.1} s, all sidecars in sync {:.1} s later; {} requests meanwhile, {} failed",
                self.outage.away.as_secs_f64(),
                self.outage.recovery.as_secs_f64(),
                outage.requests,
                failed(outage.failed)
            ),
        );
        let took: Vec<String> =
            self.propagation.iter().map(|took| format!("{:.1} ms", took.as_secs_f64() * 1000.0)).collect();
        line("propagation", format!("written → served by every sidecar: {}", took.join(", ")));
        for (reason, count) in self.tally.reasons() {
            line("failed", format!("{} × {reason}", count.red()));
        }
        text.push_str(&match &self.trace {
            Trace::Collected { tree, .. } => format!("\n{tree}"),
            Trace::Missing { .. } => String::new(),
            Trace::SentTo(url) => format!("\ntraces were sent to {url}\n"),
        });
        let problems = self.problems();
        match problems.as_slice() {
            [] => text.push_str(&format!("\n{}\n", "All is well.".green().bold())),
            _ => problems
                .iter()
                .for_each(|problem| text.push_str(&format!("\n{} {problem}", "✗".red().bold()))),
        }
        if !problems.is_empty() {
            text.push('\n');
        }
        text
    }
}

fn failed(count: u64) -> String {
    if count == 0 { "0".green().to_string() } else { count.red().bold().to_string() }
}

/// Rounded: more digits than were measured help nobody.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
