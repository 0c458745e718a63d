//! The marks of [`super`] kept by trace id, for applications that hand on their trace context and nothing else.
//!
//! A sidecar sees both ends of what its application does: the request that comes in and those that go out on its behalf, and they have a
//! trace id in common. So what is said against retries at one end is remembered under the trace id for a while ([`AGE`]) and holds at the other.
//!
//! There is room for [`SETS`] × [`WAYS`] marks, each one word: the time until which it holds, 24 bits of the hash of its trace id, and what
//! it says. A trace id has one set of words that it may stand in; where all of them are taken, the one that would go first goes. Nothing has to be
//! removed: a word whose time is over is free. **A mark that is lost costs a retry more, a mark that is taken for another's (the odds are
//! one in a million) a retry less**; neither is ever more than that.
//!
//! The words themselves, and how they are exchanged between threads, are the shell's.

use super::Reason;
use std::num::NonZeroU32;
use std::time::Duration;
use weir_model::Time;

/// How many marks have the same place.
pub const WAYS: usize = 16;
/// How many places there are; a power of two.
pub const SETS: usize = 256;
/// How long a mark holds: about as long as calls are made on behalf of one request.
pub const AGE: Duration = Duration::from_secs(10);

const AGE_MILLIS: u32 = AGE.as_millis() as u32;
const TAG: u32 = 32;
const SAID: u32 = 56;

/// A trace id as it is remembered: a part of its hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceKey(NonZeroU32);

impl TraceKey {
    /// Of a trace id. `seed` is the process' own secret, so that nobody can choose trace ids that have the same key.
    pub fn of(trace_id: u128, seed: u64) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&trace_id.to_le_bytes(), seed);
        Self(NonZeroU32::new(hash as u32).unwrap_or(NonZeroU32::MIN))
    }

    /// Which set of words it may stand in, below [`SETS`].
    pub fn set(self) -> usize {
        self.0.get() as usize % SETS
    }

    fn tag(self) -> u64 {
        u64::from(self.0.get() >> 8)
    }
}

/// What is said about a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// A request of it that came in is a further attempt: see [`super::ATTEMPT`].
    Further,
    /// A request of it that went out is not to be retried: see [`super::NO_RETRY`].
    Told(Reason),
}

impl Mark {
    fn bit(self) -> u64 {
        match self {
            Mark::Further => 1,
            Mark::Told(Reason::Spent) => 2,
            Mark::Told(Reason::Overloaded) => 4,
        }
    }
}

/// All that is said about a trace at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks(u64);

impl Marks {
    /// Whether a request of it that came in is a further attempt.
    pub fn further(self) -> bool {
        self.has(Mark::Further)
    }

    /// Why requests of it are not to be retried.
    pub fn told(self) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| self.has(Mark::Told(*reason)))
    }

    fn has(self, mark: Mark) -> bool {
        self.0 & mark.bit() != 0
    }
}

/// What the words of a key's set say about it at `now`.
pub fn find(words: impl IntoIterator<Item = u64>, key: TraceKey, now: Time) -> Marks {
    let now = millis(now);
    let its = words.into_iter().filter(|word| tag(*word) == key.tag() && left(*word, now).is_some());
    Marks(its.fold(0, |said, word| said | word >> SAID))
}

/// Which word of a key's set becomes what, so that the mark is among what [`find`] says until [`AGE`] from `now`.
pub fn place(words: &[u64; WAYS], key: TraceKey, mark: Mark, now: Time) -> (usize, u64) {
    let now = millis(now);
    let mut best = (u32::MAX, 0);
    for (index, word) in words.iter().enumerate() {
        match left(*word, now) {
            Some(_) if tag(*word) == key.tag() => return (index, of(key, word >> SAID | mark.bit(), now)),
            left => best = best.min((left.unwrap_or(0), index)),
        }
    }
    (best.1, of(key, mark.bit(), now))
}

fn of(key: TraceKey, said: u64, now: u32) -> u64 {
    said << SAID | key.tag() << TAG | u64::from(now.wrapping_add(AGE_MILLIS))
}

fn tag(word: u64) -> u64 {
    word >> TAG & 0xFF_FFFF
}

/// For how long a word still holds; `None` if it does not. Times wrap around after 49 days, and what is left from the round before holds
/// only if it happens to lie within the next [`AGE`]. Threads' clocks may differ by a second.
fn left(word: u64, now: u32) -> Option<u32> {
    let left = (word as u32).wrapping_sub(now);
    (word >> SAID != 0 && (1..=AGE_MILLIS + 1_000).contains(&left)).then_some(left)
}

fn millis(time: Time) -> u32 {
    (time.0 / 1_000_000) as u32
}

#[cfg(test)]
mod tests;
