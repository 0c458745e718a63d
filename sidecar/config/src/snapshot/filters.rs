//! What is done with requests besides, linked: conditions are compiled, and limits have the words they count in.
//!
//! A limit counts for the whole sidecar and outlives snapshots: as long as a listener, virtual host or route keeps its place and says the
//! same of its limits, its buckets stay as they are. The linker alone remembers which is whose; workers hold what their snapshot refers to.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use weir_decide::cors::Cors;
use weir_decide::fault::Fault;
use weir_decide::limit::{Bucket, ROWS, Verdict, cells_of};
use weir_decide::route::{FieldCompiler, RouteError};
use weir_model::{LimitKey, RateLimits, Time, limits};

use super::state::Padded;

/// The filters of a route or a listener, with those of wider levels where it says nothing. An empty one is left out.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// How many requests are taken.
    pub limits: Said<Limits>,
    /// Which requests fail or wait on purpose.
    pub fault: Said<Fault>,
    /// Which other origins may read the answers.
    pub cors: Said<Cors>,
    /// How many bytes a request's body may have.
    pub body: Said<u32>,
}

/// What one level says of a filter.
#[derive(Debug, Default)]
pub enum Said<T> {
    /// Nothing: the next wider one counts.
    #[default]
    Nothing,
    /// That there is none.
    Off,
    /// This.
    This(Arc<T>),
}

/// Limits on the rate of requests.
#[derive(Debug)]
pub struct Limits {
    /// As configured.
    pub model: RateLimits,
    all: Option<(Bucket, Padded<AtomicU64>)>,
    keyed: Box<[Keyed]>,
}

/// A limit for each value of something.
#[derive(Debug)]
struct Keyed {
    key: LimitKey,
    bucket: Bucket,
    /// Not for others to know, so that nobody can choose a value that shares another's cells.
    seed: u64,
    cells: Box<[AtomicU64]>,
}

/// A request is one too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Excess {
    /// Whose bucket is empty.
    pub bucket: Bucket,
    /// Until the next request may pass.
    pub wait: Duration,
}

impl<T> Clone for Said<T> {
    fn clone(&self) -> Self {
        match self {
            Said::Nothing => Said::Nothing,
            Said::Off => Said::Off,
            Said::This(this) => Said::This(this.clone()),
        }
    }
}

impl<T> Said<T> {
    /// What counts where `wider` is the next wider level.
    pub fn or<'a>(&'a self, wider: Option<&'a Said<T>>) -> Option<&'a Arc<T>> {
        match (self, wider) {
            (Said::This(this), _) | (Said::Nothing, Some(Said::This(this))) => Some(this),
            (Said::Off, _) | (Said::Nothing, _) => None,
        }
    }

    fn over(&self, wider: &Said<T>) -> Said<T> {
        if let Said::Nothing = self { wider.clone() } else { self.clone() }
    }
}

impl Filters {
    /// What a level says, with what `wider` says where it says nothing.
    fn over(&self, wider: &Filters) -> Filters {
        Filters {
            limits: self.limits.over(&wider.limits),
            fault: self.fault.over(&wider.fault),
            cors: self.cors.over(&wider.cors),
            body: self.body.over(&wider.body),
        }
    }
}

impl Limits {
    fn new(model: &RateLimits) -> Self {
        let keyed = model.keyed.iter().map(|limit| Keyed {
            key: limit.key.clone(),
            bucket: Bucket::new(limit.bucket),
            seed: RandomState::new().hash_one(0u8),
            cells: (0..limits::RATE_LIMIT_CELLS).map(|_| AtomicU64::new(0)).collect(),
        });
        Self {
            all: model.all.map(|bucket| (Bucket::new(bucket), Padded::default())),
            keyed: keyed.collect(),
            model: model.clone(),
        }
    }

    /// Takes a token from the bucket of everything and from that of each thing that the request has; `value` says what it has. The first
    /// empty bucket refuses it, and what was taken before stays taken.
    pub fn take<V: AsRef<[u8]>>(
        &self,
        value: impl Fn(&LimitKey) -> Option<V>,
        now: Time,
    ) -> Result<(), Excess> {
        for keyed in &self.keyed {
            if let Some(value) = value(&keyed.key) {
                keyed.take(value.as_ref(), now)?;
            }
        }
        match &self.all {
            Some((bucket, word)) => take(word, bucket, now),
            None => Ok(()),
        }
    }
}

fn take(word: &AtomicU64, bucket: &Bucket, now: Time) -> Result<(), Excess> {
    let mut seen = word.load(Relaxed);
    loop {
        match bucket.take(seen, now) {
            Verdict::Wait(wait) => return Err(Excess { bucket: *bucket, wait }),
            Verdict::Pass(next) => match word.compare_exchange_weak(seen, next, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            },
        }
    }
}

impl Keyed {
    /// The least of the key's cells is its bucket. **The other cells move on first, and the least one last**: whoever sees the least moved on
    /// sees the others too, so nobody finds a cell that missed a request.
    fn take(&self, value: &[u8], now: Time) -> Result<(), Excess> {
        let cells: [&AtomicU64; ROWS] =
            cells_of(value, self.seed, self.cells.len()).map(|cell| &self.cells[cell]);
        loop {
            let words = cells.map(|cell| cell.load(Acquire));
            let (least, word) = words
                .iter()
                .enumerate()
                .min_by_key(|(_, word)| **word)
                .map_or((0, words[0]), |(least, word)| (least, *word));
            let next = match self.bucket.take(word, now) {
                Verdict::Wait(wait) => return Err(Excess { bucket: self.bucket, wait }),
                Verdict::Pass(next) => next,
            };
            for (index, cell) in cells.iter().enumerate() {
                if index != least {
                    cell.fetch_max(next, AcqRel);
                }
            }
            if cells[least].compare_exchange(word, next, AcqRel, Acquire).is_ok() {
                return Ok(());
            }
        }
    }
}

/// Which limits there are, by who says so: as long as anybody uses them, the same limits at the same place keep their buckets.
#[derive(Debug, Default)]
pub(super) struct Known {
    limits: HashMap<(String, RateLimits), Weak<Limits>>,
}

impl Known {
    /// Links what the level at `place` says, with what the next wider level says where it says nothing; nothing if neither says anything.
    ///
    /// # Errors
    ///
    /// With the first regular expression that cannot be compiled.
    pub(super) fn link(
        &mut self,
        place: impl FnOnce() -> String,
        model: Option<&weir_model::Filters>,
        wider: Option<&Arc<Filters>>,
        compiler: &mut FieldCompiler,
    ) -> Result<Option<Arc<Filters>>, RouteError> {
        let Some(model) = model else { return Ok(wider.cloned()) };
        let limits = match &model.limits {
            None => Said::Nothing,
            Some(limits) if limits.is_empty() => Said::Off,
            Some(limits) => Said::This(self.limits(place(), limits)),
        };
        let fault = match &model.fault {
            None => Said::Nothing,
            Some(fault) if fault.delay.is_none() && fault.abort.is_none() => Said::Off,
            Some(fault) => Said::This(Arc::new(Fault::compile(fault, compiler)?)),
        };
        let cors = match &model.cors {
            None => Said::Nothing,
            Some(cors) => Cors::compile(cors, compiler)?.map_or(Said::Off, |cors| Said::This(Arc::new(cors))),
        };
        let body = match model.body {
            None => Said::Nothing,
            Some(weir_model::BodyLimit::Off) => Said::Off,
            Some(weir_model::BodyLimit::Bytes(bytes)) => Said::This(Arc::new(bytes)),
        };
        let own = Filters { limits, fault, cors, body };
        Ok(Some(Arc::new(match wider {
            Some(wider) => own.over(wider),
            None => own,
        })))
    }

    fn limits(&mut self, place: String, model: &RateLimits) -> Arc<Limits> {
        let key = (place, model.clone());
        if let Some(known) = self.limits.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(Limits::new(model));
        self.limits.insert(key, Arc::downgrade(&new));
        new
    }

    /// Forgets what nobody uses any more.
    pub(super) fn sweep(&mut self) {
        self.limits.retain(|_, limits| limits.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests;
