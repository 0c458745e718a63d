//! Whether a request is within its rate: a token bucket whose whole state is one word.
//!
//! The generic cell rate algorithm (ITU-T I.371): the word is the time at which the bucket will be full again. A request moves it on by the
//! time that one token takes to come back, and is refused where that would put it further ahead of now than a whole bucket takes. Rounding
//! is always against the caller, so **never more than the burst and what came back in the meantime is let through**, in whatever order
//! several threads exchange the word.
//!
//! Limits by key count in cells rather than by key: every key has [`ROWS`] cells, one in each row, and the least of them is its bucket (a
//! conservative count-min sketch: Cormode and Muthukrishnan, 2005; Estan and Varghese, 2002). Nothing is stored of a key, nothing has to be
//! evicted but by time, which empties a cell whose moment has passed, and a caller who invents keys can neither make room for himself nor
//! grow the table. The price: a key all of whose cells are shared with busier ones is held to their rate.
//!
//! Which words there are, and how they are exchanged, is the shell's.

use std::time::Duration;
use weir_model::{Time, TokenBucket};

/// In how many cells each key counts.
pub const ROWS: usize = 4;

/// A bucket, ready to decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// Nanoseconds until one token has come back.
    token: u64,
    /// Nanoseconds until an empty bucket is full.
    full: u64,
    /// The policy's own numbers.
    pub policy: TokenBucket,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes on; the word becomes this.
    Pass(u64),
    /// It is refused, and the word stays: so long until the next one may pass.
    Wait(Duration),
}

impl Bucket {
    /// A bucket of at least one token, which is full at first (its word is zero).
    pub fn new(policy: TokenBucket) -> Self {
        let interval = u64::try_from(policy.interval.as_nanos()).unwrap_or(u64::MAX / 2).max(1);
        let token = interval.div_ceil(u64::from(policy.requests.max(1)));
        let full = token.saturating_mul(u64::from(policy.burst.max(1)));
        Self { token, full, policy }
    }

    /// Takes one token at `now` from the bucket with this word.
    pub fn take(&self, word: u64, now: Time) -> Verdict {
        let after = word.max(now.0).saturating_add(self.token);
        match after.checked_sub(now.0.saturating_add(self.full)) {
            None | Some(0) => Verdict::Pass(after),
            Some(over) => Verdict::Wait(Duration::from_nanos(over)),
        }
    }

    /// How many tokens are left, and how long until the bucket is full.
    pub fn left(&self, word: u64, now: Time) -> (u32, Duration) {
        let until_full = word.saturating_sub(now.0);
        let left = self.full.saturating_sub(until_full) / self.token;
        (u32::try_from(left).unwrap_or(u32::MAX), Duration::from_nanos(until_full))
    }

    /// The least burst from which a full bucket would let `requests` through in `time`: what a caller can count on, in whole seconds.
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.full)
    }
}

/// The cells of a key in a table of `cells`, one for each row; the table has at least [`ROWS`] of them.
pub fn cells_of(key: &[u8], seed: u64, cells: usize) -> [usize; ROWS] {
    let row = (cells / ROWS).max(1);
    let hash = xxhash_rust::xxh3::xxh3_128_with_seed(key, seed);
    std::array::from_fn(|index| {
        let part = (hash >> (index * 32)) as u32;
        // Lemire's reduction: even, and without a division.
        index * row + ((u64::from(part) * row as u64) >> 32) as usize
    })
}

/// Whole seconds, rounded up, as `Retry-After` and the fields of rate limits have them; at least one.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests;
