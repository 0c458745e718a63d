//! The words a worker writes, and what they mean.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of a histogram's buckets, in nanoseconds: OpenTelemetry's advice for HTTP durations (5 ms to 10 s), and
/// 0.5, 1 and 2.5 ms, because a call through a mesh is often shorter than the shortest of those.
pub const DURATION_BOUNDS_NANOS: [u64; 17] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

/// Buckets, one more for what is longer than every bound, and the sum.
pub(super) const BUCKETS: usize = DURATION_BOUNDS_NANOS.len() + 1;
pub(super) const WORDS_OF_HISTOGRAM: usize = BUCKETS + 1;
const SUM: usize = BUCKETS;

/// One cache line of words, so that two workers never write to the same one.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Line([AtomicU64; 8]);

/// One worker's words of one series. Only that worker writes them; anybody may read.
#[derive(Clone, Debug)]
pub(super) struct Cells(Arc<[Line]>);

impl Cells {
    pub(super) fn new(words: usize) -> Cells {
        Cells((0..words.div_ceil(8)).map(|_| Line::default()).collect())
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.0[index / 8].0[index % 8]
    }

    pub(super) fn get(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Relaxed)
    }

    /// Not a read-modify-write instruction, since nobody else writes here.
    fn add(&self, index: usize, n: u64) {
        let word = self.word(index);
        word.store(word.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Whether some worker holds these words besides the registry.
    pub(super) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// A number that changes whenever the words do (short of 2⁶⁴ changes).
    pub(super) fn fingerprint(&self, words: usize) -> u64 {
        (0..words).fold(0u64, |sum, index| sum.rotate_left(7).wrapping_add(self.get(index)))
    }
}

/// Keeps a handle on its worker's thread: the words have a single writer.
type OneThread = PhantomData<Rc<()>>;

/// A worker's handle on a counter.
#[derive(Clone, Debug)]
pub struct Counter(Cells, OneThread);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.add(0, 1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.add(0, n);
    }
}

/// A worker's handle on a gauge. The scrape shows the sum over workers.
#[derive(Clone, Debug)]
pub struct Gauge(Cells, OneThread);

impl Gauge {
    /// One more.
    pub fn inc(&self) {
        self.0.add(0, 1);
    }

    /// One less.
    pub fn dec(&self) {
        self.0.add(0, 1u64.wrapping_neg());
    }

    /// `n` more, or less.
    pub fn add(&self, n: i64) {
        self.0.add(0, n as u64);
    }
}

/// A worker's handle on a histogram of durations.
#[derive(Clone, Debug)]
pub struct Histogram(Cells, OneThread);

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        self.record_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts one duration in nanoseconds.
    pub fn record_nanos(&self, nanos: u64) {
        self.0.add(bucket(nanos), 1);
        self.0.add(SUM, nanos);
    }
}

/// The first bucket whose bound is not below `nanos`. Without branches: all bounds are compared.
pub(super) fn bucket(nanos: u64) -> usize {
    DURATION_BOUNDS_NANOS.iter().map(|bound| usize::from(nanos > *bound)).sum()
}

/// A kind of handle.
pub trait Handle: private::Sealed {}

pub(super) mod private {
    use super::Cells;

    /// Only the handles of this module are handles.
    pub trait Sealed {
        /// Over a worker's words.
        #[doc(hidden)]
        #[allow(private_interfaces)]
        fn over(cells: Cells) -> Self;
        /// The words below.
        #[doc(hidden)]
        #[allow(private_interfaces)]
        fn cells(&self) -> &Cells;
    }
}

macro_rules! handle {
    ($handle:ident) => {
        impl Handle for $handle {}

        #[allow(private_interfaces)]
        impl private::Sealed for $handle {
            fn over(cells: Cells) -> $handle {
                $handle(cells, PhantomData)
            }

            fn cells(&self) -> &Cells {
                &self.0
            }
        }
    };
}

handle!(Counter);
handle!(Gauge);
handle!(Histogram);

/// A counter of the whole process, for what happens rarely or on no worker: one padded word, changed atomically.
#[derive(Clone, Debug, Default)]
pub struct SharedCounter(Arc<Line>);

impl SharedCounter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.0[0].fetch_add(n, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.0[0].load(Ordering::Relaxed)
    }
}
