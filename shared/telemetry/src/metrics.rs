//! Counters, gauges and histograms that cost a worker a load and a store.
//!
//! Each worker writes words of its own, which nobody else writes; a scrape reads all workers' words and adds them up. So the
//! request path takes no lock and shares no written cache line:
//!
//! - a [`Family`] is a metric with a fixed list of labels, usually a `static`;
//! - the [`Registry`] is the process's table of families and their series (one series per combination of label values);
//! - a worker has a [`WorkerMetrics`], and from it for each family a map from a small key of its own choice to series
//!   ([`Counters`], [`Gauges`], [`Histograms`]). A known key costs a hash look-up; a new one formats its labels and takes the
//!   family's lock once.
//!
//! **Cardinality is bounded.** Beyond [`Family::max_series`] label combinations, everything new is counted in one series whose
//! label values are all `_other`, and `weir_metrics_overflow_total` says for which family. Series that stood still for
//! [`EXPIRE_AFTER`] generations leave: main calls [`Registry::expire`] and workers their maps' `expire`, once a minute each. A
//! series that any worker still holds stays, so a counter never goes backwards while it is shown.
//!
//! Values of the whole process ([`SharedCounter`]) and values read when scraped ([`Registry::observe`]) complete it. Names and
//! units follow OpenTelemetry's conventions in Prometheus' spelling; [`names`] has those every sidecar has.

mod cells;
pub mod names;
mod process;
mod registry;
mod render;
mod worker;

use cells::WORDS_OF_HISTOGRAM;
pub use cells::{Counter, DURATION_BOUNDS_NANOS, Gauge, Histogram, SharedCounter};
pub use registry::{EXPIRE_AFTER, Registry};
pub use worker::{Counters, Gauges, Histograms, Labels, Series, WorkerMetrics};

/// The content type of [`Registry::render_prometheus`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The label value that stands for everything beyond a bound.
pub const OTHER: &str = "_other";

/// How many series a family may have unless it says otherwise.
pub const DEFAULT_MAX_SERIES: usize = 2000;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in seconds, counted by size.
    Histogram,
}

/// A metric and its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The whole name, unit and `_total` included.
    pub name: &'static str,
    /// One sentence for the reader of a dashboard.
    pub help: &'static str,
    /// `seconds`, `bytes` or nothing.
    pub unit: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The labels' names.
    pub labels: &'static [&'static str],
    /// The most combinations of label values.
    pub max_series: usize,
}

impl Family {
    /// A counter.
    pub const fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
        Family { name, help, unit: "", kind: Kind::Counter, labels, max_series: DEFAULT_MAX_SERIES }
    }

    /// A gauge.
    pub const fn gauge(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
        Family { name, help, unit: "", kind: Kind::Gauge, labels, max_series: DEFAULT_MAX_SERIES }
    }

    /// A histogram of durations; its name ends in `_seconds`.
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family {
        Family { name, help, unit: "seconds", kind: Kind::Histogram, labels, max_series: DEFAULT_MAX_SERIES }
    }

    /// The same with a unit, which its name must contain.
    pub const fn unit(self, unit: &'static str) -> Family {
        Family { unit, ..self }
    }

    /// The same with another bound.
    pub const fn max_series(self, max_series: usize) -> Family {
        Family { max_series, ..self }
    }

    const fn words(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Histogram => WORDS_OF_HISTOGRAM,
        }
    }
}

#[cfg(test)]
mod tests;
