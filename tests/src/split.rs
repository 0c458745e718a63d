//! Whether counts are what a weighted split gives.

/// Whether `hits` of `total` is within the bounds that hold with 99.9 % for a share of `expected` (normal approximation with continuity
/// correction; the counts tested are in the hundreds and more).
pub fn plausible(hits: u64, total: u64, expected: f64) -> bool {
    const Z: f64 = 3.290_526_731;
    let (hits, total) = (hits as f64, total as f64);
    (hits - total * expected).abs() <= Z * (total * expected * (1.0 - expected)).sqrt() + 0.5
}
