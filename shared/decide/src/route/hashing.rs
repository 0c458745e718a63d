//! The hash of the index tables: fast on short keys, and the same in every process.
//!
//! Not keyed by chance, since requests only look keys up: what is inserted comes from policy.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A table that is built once from policy and looked up by requests.
pub(super) type Table<K, V> = HashMap<K, V, BuildHasherDefault<Xxh3>>;

/// XXH3 of each run of bytes, seeded by what came before it; numbers by a folded multiplication.
#[derive(Clone, Copy, Default)]
pub(super) struct Xxh3(u64);

/// Makes a first zero count.
const SALT: u64 = 0x243f_6a88_85a3_08d3;
/// Odd, its bits without pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Xxh3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number ^ SALT) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
