//! The table of all families, and the bound on their series.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::cells::{Cells, SharedCounter};
use super::{Family, OTHER, WorkerMetrics, names};
use crate::span::Text;

/// After how many generations without a change a series may leave.
pub const EXPIRE_AFTER: u8 = 10;

/// The process's metrics. Clones are the same registry.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    tables: Mutex<BTreeMap<&'static str, Arc<Table>>>,
    observers: Mutex<Vec<Observer>>,
    tabled: Mutex<Vec<Tabled>>,
    workers: Mutex<usize>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("families", &self.tables.lock().len()).finish_non_exhaustive()
    }
}

pub(super) type LabelValues = Box<[Text]>;
type Observe = Arc<dyn Fn() -> f64 + Send + Sync>;

/// A value read when scraped.
#[derive(Clone)]
pub(super) struct Observer {
    pub(super) family: &'static Family,
    pub(super) labels: LabelValues,
    pub(super) read: Observe,
}

type ReadTable = Arc<dyn Fn() -> Vec<(Vec<String>, f64)> + Send + Sync>;

/// Values read when scraped, of which there are now more and now fewer.
#[derive(Clone)]
struct Tabled {
    family: &'static Family,
    read: ReadTable,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// A worker's access; call it on the worker's thread, once for each.
    pub fn worker(&self) -> WorkerMetrics {
        let mut workers = self.0.workers.lock();
        *workers += 1;
        WorkerMetrics::new(self.clone(), *workers - 1)
    }

    /// A counter of the whole process, shown with these label values.
    pub fn shared_counter(&self, family: &'static Family, labels: &[&str]) -> SharedCounter {
        let counter = SharedCounter::default();
        let shown = counter.clone();
        self.observe(family, labels, move || shown.get() as f64);
        counter
    }

    /// Shows what `read` returns whenever the registry is scraped. The caller keeps the number of these bounded.
    pub fn observe(
        &self,
        family: &'static Family,
        labels: &[&str],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let labels = labels.iter().map(Text::new).collect();
        self.0.observers.lock().push(Observer { family, labels, read: Arc::new(read) });
    }

    /// Shows what `read` returns whenever the registry is scraped: for each series its label values and its value. Beyond
    /// [`Family::max_series`] the rest is left out.
    pub fn observe_table(
        &self,
        family: &'static Family,
        read: impl Fn() -> Vec<(Vec<String>, f64)> + Send + Sync + 'static,
    ) {
        self.0.tabled.lock().push(Tabled { family, read: Arc::new(read) });
    }

    /// Ends a generation: series that stood still for [`EXPIRE_AFTER`] of them and that no worker holds leave. Call it once a
    /// minute.
    pub fn expire(&self) {
        for table in self.tables() {
            table.expire();
        }
    }

    /// Everything in Prometheus' text format, families and series in order of their names, the process's own metrics included.
    pub fn render_prometheus(&self) -> String {
        super::render::render(self)
    }

    pub(super) fn table(&self, family: &'static Family) -> Arc<Table> {
        let mut tables = self.0.tables.lock();
        tables.entry(family.name).or_insert_with(|| Arc::new(Table::new(family))).clone()
    }

    pub(super) fn tables(&self) -> Vec<Arc<Table>> {
        self.0.tables.lock().values().cloned().collect()
    }

    pub(super) fn observers(&self) -> Vec<Observer> {
        let mut observers = self.0.observers.lock().clone();
        let tabled = self.0.tabled.lock().clone();
        for Tabled { family, read } in tabled {
            let rows = read().into_iter().take(family.max_series);
            observers.extend(rows.map(|(labels, value)| Observer {
                family,
                labels: labels.iter().map(Text::new).collect(),
                read: Arc::new(move || value),
            }));
        }
        for table in self.tables() {
            if table.overflow.get() > 0 {
                let overflow = table.overflow.clone();
                observers.push(Observer {
                    family: &names::METRICS_OVERFLOW,
                    labels: [Text::new_static(table.family.name)].into(),
                    read: Arc::new(move || overflow.get() as f64),
                });
            }
        }
        observers
    }
}

/// One family's series.
pub(super) struct Table {
    pub(super) family: &'static Family,
    series: Mutex<FxHashMap<LabelValues, SharedSeries>>,
    overflow: SharedCounter,
}

/// One series: each worker's words, by the worker's number.
#[derive(Default)]
struct SharedSeries {
    cells: Vec<Option<Cells>>,
    fingerprint: u64,
    age: u8,
}

impl Table {
    fn new(family: &'static Family) -> Table {
        Table { family, series: Mutex::default(), overflow: SharedCounter::default() }
    }

    /// The worker's words of a series; those of the `_other` series, and `true`, if there is no room for a new one.
    pub(super) fn cells(&self, worker: usize, labels: LabelValues) -> (Cells, bool) {
        let mut all = self.series.lock();
        let full = all.len() >= self.family.max_series.max(1) && !all.contains_key(&labels);
        let labels = if full {
            self.overflow.inc();
            labels.iter().map(|_| Text::new_static(OTHER)).collect()
        } else {
            labels
        };
        let series = all.entry(labels).or_default();
        series.age = 0;
        if series.cells.len() <= worker {
            series.cells.resize_with(worker + 1, || None);
        }
        (series.cells[worker].get_or_insert_with(|| Cells::new(self.family.words())).clone(), full)
    }

    fn expire(&self) {
        let words = self.family.words();
        self.series.lock().retain(|_, series| {
            let cells = || series.cells.iter().flatten();
            let fingerprint =
                cells().fold(0u64, |all, cells| all.wrapping_mul(31).wrapping_add(cells.fingerprint(words)));
            if fingerprint != series.fingerprint || cells().any(Cells::is_held) {
                series.fingerprint = fingerprint;
                series.age = 0;
                return true;
            }
            series.age += 1;
            series.age < EXPIRE_AFTER
        });
    }

    /// Every series' label values and the sums of its words, copied so that workers need not wait for their rendering.
    pub(super) fn sums(&self) -> Vec<(LabelValues, Vec<u64>)> {
        let words = self.family.words();
        let all = self.series.lock();
        let sum = |series: &SharedSeries| {
            let mut sums = vec![0u64; words];
            for cells in series.cells.iter().flatten() {
                for (index, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.wrapping_add(cells.get(index));
                }
            }
            sums
        };
        all.iter().map(|(labels, series)| (labels.clone(), sum(series))).collect()
    }
}
