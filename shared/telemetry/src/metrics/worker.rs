//! A worker's side: from a small key to a handle.

use std::collections::hash_map::Entry;
use std::fmt::{Display, Write};
use std::hash::Hash;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::cells::{Counter, Gauge, Handle, Histogram};
use super::registry::{EXPIRE_AFTER, LabelValues, Table};
use super::{Family, Registry};
use crate::span::Text;

/// The longest label value, in bytes; the rest is cut.
const MAX_VALUE: usize = 200;

/// Keys a worker remembers for each series that a family may have: about 100 bytes each.
const KEYS_PER_SERIES: usize = 8;

/// A worker's access to the registry. It stays on the thread it was made on, because the words it hands out have one writer.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    registry: Registry,
    worker: usize,
    one_thread: PhantomData<Rc<()>>,
}

impl WorkerMetrics {
    pub(super) fn new(registry: Registry, worker: usize) -> WorkerMetrics {
        WorkerMetrics { registry, worker, one_thread: PhantomData }
    }

    /// This worker's map of a counter family.
    pub fn counters<K: Eq + Hash>(&self, family: &'static Family) -> Counters<K> {
        self.series(family)
    }

    /// This worker's map of a gauge family.
    pub fn gauges<K: Eq + Hash>(&self, family: &'static Family) -> Gauges<K> {
        self.series(family)
    }

    /// This worker's map of a histogram family.
    pub fn histograms<K: Eq + Hash>(&self, family: &'static Family) -> Histograms<K> {
        self.series(family)
    }

    /// A single counter with these label values.
    pub fn counter(&self, family: &'static Family, values: &[&str]) -> Counter {
        self.handle(family, values)
    }

    /// A single gauge with these label values.
    pub fn gauge(&self, family: &'static Family, values: &[&str]) -> Gauge {
        self.handle(family, values)
    }

    /// A single histogram with these label values.
    pub fn histogram(&self, family: &'static Family, values: &[&str]) -> Histogram {
        self.handle(family, values)
    }

    fn series<K, H>(&self, family: &'static Family) -> Series<K, H> {
        let table = self.registry.table(family);
        Series { table, worker: self.worker, known: FxHashMap::default(), one_thread: PhantomData }
    }

    fn handle<H: Handle>(&self, family: &'static Family, values: &[&str]) -> H {
        let mut labels = Labels::default();
        for value in values {
            labels.push(value);
        }
        let table = self.registry.table(family);
        H::over(table.cells(self.worker, labels.finish(table.family)).0)
    }
}

/// Label values in the order of [`Family::labels`].
#[derive(Debug, Default)]
pub struct Labels {
    values: Vec<Text>,
    scratch: String,
}

impl Labels {
    /// The next label's value.
    pub fn push(&mut self, value: impl Display) -> &mut Labels {
        self.scratch.clear();
        // Writing to a string fails only if the value's own `Display` does; what it wrote is then its value.
        let _ = write!(self.scratch, "{value}");
        self.values.push(Text::new(&self.scratch[..self.scratch.floor_char_boundary(MAX_VALUE)]));
        self
    }

    /// Missing values are empty, which Prometheus takes for "no such label"; surplus ones are dropped.
    fn finish(mut self, family: &Family) -> LabelValues {
        debug_assert_eq!(self.values.len(), family.labels.len(), "values for the labels of {}", family.name);
        self.values.resize(family.labels.len(), Text::default());
        self.values.into()
    }
}

/// A worker's counters of one family by a key of its own.
pub type Counters<K> = Series<K, Counter>;
/// A worker's gauges of one family by a key of its own.
pub type Gauges<K> = Series<K, Gauge>;
/// A worker's histograms of one family by a key of its own.
pub type Histograms<K> = Series<K, Histogram>;

/// A worker's handles on the series of one family, by a key of its own: small integers, such as (route, cluster, status).
pub struct Series<K, H> {
    table: Arc<Table>,
    worker: usize,
    known: FxHashMap<K, Known<H>>,
    one_thread: PhantomData<Rc<()>>,
}

struct Known<H> {
    handle: H,
    overflowed: bool,
    fingerprint: u64,
    age: u8,
}

impl<K: Eq + Hash, H: Handle> Series<K, H> {
    /// The handle for `key`. Only for a key not known yet, `labels` is asked for the label values it stands for; two keys may
    /// stand for the same. `get(key, |labels| labels.push(route).push(status))`.
    pub fn get(&mut self, key: K, labels: impl for<'a> FnOnce(&'a mut Labels) -> &'a mut Labels) -> &H {
        // Keys without bound meet a map with one. It has ample room for keys of the `_other` series, because to find out again that a
        // key is one of them costs a hundred times what it costs to remember.
        if self.known.len() > self.table.family.max_series.saturating_mul(KEYS_PER_SERIES) {
            self.known.retain(|_, known| !known.overflowed);
        }
        match self.known.entry(key) {
            Entry::Occupied(known) => &known.into_mut().handle,
            Entry::Vacant(vacant) => {
                let mut values = Labels::default();
                labels(&mut values);
                let (cells, overflowed) = self.table.cells(self.worker, values.finish(self.table.family));
                &vacant.insert(Known { handle: H::over(cells), overflowed, fingerprint: 0, age: 0 }).handle
            }
        }
    }

    /// Ends a generation: lets go of handles that stood still for [`EXPIRE_AFTER`] of them, and of those on the `_other` series,
    /// where there may be room for their own now. Call it once a minute.
    pub fn expire(&mut self) {
        let words = self.table.family.words();
        self.known.retain(|_, known| {
            let fingerprint = known.handle.cells().fingerprint(words);
            known.age = if fingerprint == known.fingerprint { known.age + 1 } else { 0 };
            known.fingerprint = fingerprint;
            known.age < EXPIRE_AFTER && !known.overflowed
        });
    }

    /// Lets go of all handles: when the keys' meaning changes, with a new configuration. No count is lost.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl<K, H> std::fmt::Debug for Series<K, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Series")
            .field("family", &self.table.family.name)
            .field("known", &self.known.len())
            .finish()
    }
}
