//! What the demo shows while it runs, on standard error: a small table drawn over itself on a terminal, a line each second
//! anywhere else. Standard output is left to the summary.

use super::load::Shared;
use super::mesh::NODES;
use super::plan::{PHASES, Weights};
use super::tally::{Tally, VERSIONS};
use owo_colors::OwoColorize;
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often the table is drawn.
const FRAME: Duration = Duration::from_millis(200);
/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(1);
/// The rate shown is that of this time.
const RATE_OVER: Duration = Duration::from_secs(2);
/// Width of the bar.
const BAR: usize = 40;

/// What is going on, for whoever looks.
#[derive(Clone, Debug)]
struct View {
    /// What is being done, in a few words.
    doing: String,
    weights: Option<Weights>,
    /// The end of the current measurement.
    until: Option<Instant>,
    control_plane: bool,
    /// The revision each of [`NODES`] serves and whether it is in sync; `None` if that is not known now.
    sidecars: [Option<(u64, bool)>; NODES.len()],
}

/// The view and the task that draws it.
#[derive(Debug)]
pub(crate) struct Screen {
    view: Arc<Mutex<View>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Screen {
    pub(crate) fn start(tally: Shared) -> Screen {
        let view = View {
            doing: "starting".to_owned(),
            weights: None,
            until: None,
            control_plane: false,
            sidecars: [None; NODES.len()],
        };
        let view = Arc::new(Mutex::new(view));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(draw(Arc::clone(&view), tally, stopped));
        Screen { view, stop, task }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something else is being done from now on, without a known end; no split is measured.
    pub(crate) fn doing(&self, what: &str) {
        self.view().weights = None;
        self.still_measuring(what);
    }

    /// Something is being done while the phase goes on, without a known end.
    pub(crate) fn still_measuring(&self, what: &str) {
        let mut view = self.view();
        view.doing = what.to_owned();
        view.until = None;
    }

    /// A phase is measured until then.
    pub(crate) fn measuring(&self, phase: usize, until: Instant) {
        let mut view = self.view();
        view.doing = format!("measuring {}", PHASES[phase].name);
        view.weights = Some(PHASES[phase].weights);
        view.until = Some(until);
    }

    /// The control plane came or went.
    pub(crate) fn control_plane(&self, up: bool) {
        let mut view = self.view();
        view.control_plane = up;
        if !up {
            view.sidecars = [None; NODES.len()];
        }
    }

    /// What each sidecar serves.
    pub(crate) fn sidecars(&self, status: &weir_proto::policy::v1::StatusResponse) {
        let one = |node: &str| {
            let sidecar = status.sidecars.iter().find(|sidecar| sidecar.node == node && sidecar.connected)?;
            Some((sidecar.serving_revision, sidecar.in_sync))
        };
        self.view().sidecars = NODES.map(one);
    }

    /// Draws no more, and leaves the terminal as a line to write on.
    pub(crate) async fn stop(self) {
        let _ended = self.stop.send(true);
        let _ended = self.task.await;
    }
}

async fn draw(view: Arc<Mutex<View>>, tally: Shared, mut stopped: watch::Receiver<bool>) {
    let terminal = std::io::stderr().is_terminal();
    let mut frames = tokio::time::interval(if terminal { FRAME } else { LINE });
    let mut rates = Rates::default();
    let mut drawn = 0;
    loop {
        let end = tokio::select! {
            _ = frames.tick() => false,
            _ = stopped.wait_for(|stopped| *stopped) => true,
        };
        let text = {
            let view = view.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let tally = tally.lock();
            let now = Instant::now();
            let shown = Shown { view: &view, tally: &tally, rate: rates.rate(now, tally.requests()), now };
            match terminal {
                true => shown.table(),
                false => shown.line(),
            }
        };
        if terminal {
            // Up to the first line of the last table, and clear below.
            let up = if drawn > 0 { format!("\x1b[{drawn}A\x1b[J") } else { String::new() };
            write(&format!("{up}{text}"));
            drawn = text.lines().count();
        } else if !end {
            write(&text);
        }
        if end {
            return;
        }
    }
}

fn write(text: &str) {
    // Nobody to show it to is no reason to stop.
    let mut out = anstream::stderr();
    let _unseen = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// How many requests a second, over the last moments.
#[derive(Debug, Default)]
struct Rates(VecDeque<(Instant, u64)>);

impl Rates {
    fn rate(&mut self, now: Instant, requests: u64) -> f64 {
        while self.0.front().is_some_and(|(then, _)| now.duration_since(*then) > RATE_OVER) {
            self.0.pop_front();
        }
        self.0.push_back((now, requests));
        let Some((then, before)) = self.0.front() else { return 0.0 };
        let seconds = now.duration_since(*then).as_secs_f64();
        if seconds > 0.0 { (requests - before) as f64 / seconds } else { 0.0 }
    }
}

struct Shown<'a> {
    view: &'a View,
    tally: &'a Tally,
    rate: f64,
    now: Instant,
}

impl Shown<'_> {
    fn line(&self) -> String {
        let control_plane = if self.view.control_plane { "up" } else { "down" };
        if self.tally.requests() == 0 {
            return format!("{}: control plane {control_plane}\n", self.view.doing);
        }
        let split = self.view.weights.map(|weights| {
            let [v1, v2] = self.tally.current().observed().map(|share| share * 100.0);
            format!(", {}/{} observed {v1:.1}/{v2:.1}", weights[0], weights[1])
        });
        format!(
            "{}{}: {:.0} requests/s, {} failed of {}, p50 {:.2} ms, p99 {:.2} ms, control plane {}\n",
            self.view.doing,
            split.unwrap_or_default(),
            self.rate,
            self.tally.failed(),
            self.tally.requests(),
            self.tally.current().latency_ms(0.5),
            self.tally.current().latency_ms(0.99),
            control_plane,
        )
    }

    /// No line wider than eighty columns, or a terminal would wrap it and the table could not be drawn over itself.
    fn table(&self) -> String {
        let counts = self.tally.current();
        let left = self.view.until.map(|until| {
            format!(", {:.0} s left", until.saturating_duration_since(self.now).as_secs_f64().ceil())
        });
        let control_plane = if self.view.control_plane {
            "● up".green().to_string()
        } else {
            "● down".red().bold().to_string()
        };
        let failed = match self.tally.failed() {
            0 => "0 failed".green().to_string(),
            some => format!("{some} failed").red().bold().to_string(),
        };
        let mut text =
            format!("{:<15}{}{}\n", "weir demo".bold(), self.view.doing.cyan(), left.unwrap_or_default());
        let mut row = |name: &str, said: String| text.push_str(&format!("{:<15}{said}\n", name.dimmed()));
        row("control plane", control_plane);
        row("sidecars", self.sidecars());
        row("requests", format!("{:.0}/s, {} sent, {failed}", self.rate, self.tally.requests()));
        row(
            "latency",
            format!("p50 {:.2} ms, p99 {:.2} ms", counts.latency_ms(0.5), counts.latency_ms(0.99)),
        );
        if let Some(weights) = self.view.weights {
            row(
                "split",
                bar(counts.observed()[0], f64::from(weights[0]) / f64::from(weights[0] + weights[1])),
            );
            let [v1, v2] = counts.observed().map(|share| share * 100.0);
            row(
                "",
                format!(
                    "{} {v1:.1} % of {}, {} {v2:.1} % of {}",
                    VERSIONS[0], weights[0], VERSIONS[1], weights[1]
                ),
            );
        }
        text
    }

    fn sidecars(&self) -> String {
        let one = |(node, state): (&str, &Option<(u64, bool)>)| match state {
            Some((revision, true)) => format!("{node} {}", format!("r{revision} ✓").green()),
            Some((revision, false)) => format!("{node} {}", format!("r{revision} …").yellow()),
            None => format!("{node} {}", "r?".dimmed()),
        };
        NODES.into_iter().zip(&self.view.sidecars).map(one).collect::<Vec<_>>().join("  ")
    }
}

/// The observed split as a bar, with a mark where the weights put it.
fn bar(observed: f64, wanted: f64) -> String {
    let column = |share: f64| ((share * BAR as f64).round() as usize).min(BAR);
    let (filled, mark) = (column(observed), column(wanted).min(BAR - 1));
    let part = |from: usize, to: usize| {
        let (first, rest) = (filled.clamp(from, to) - from, to - filled.clamp(from, to));
        format!("{}{}", "█".repeat(first).blue(), "█".repeat(rest).magenta())
    };
    format!("{}{}{}", part(0, mark), "┃".bold(), part(mark + 1, BAR))
}

#[cfg(test)]
mod tests;
