//! How long a request may take, as the next hop is told: `grpc-timeout`, honoured and shortened hop by hop.

use http::HeaderValue;
use std::time::Duration;
use weir_model::GrpcTimeout;

/// A `grpc-timeout` that is not one to eight digits and a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidTimeout;

impl std::fmt::Display for InvalidTimeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("grpc-timeout is not one to eight digits followed by one of H, M, S, m, u, n")
    }
}

impl std::error::Error for InvalidTimeout {}

/// Units from fine to coarse: the letter, and its length in nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// The largest value that eight digits hold.
const MOST: u128 = 99_999_999;

/// Reads the value of `grpc-timeout` (gRPC over HTTP/2, `Timeout`).
pub fn parse(value: &HeaderValue) -> Result<Duration, InvalidTimeout> {
    let (unit, digits) = value.as_bytes().split_last().ok_or(InvalidTimeout)?;
    let (_, nanos) = UNITS.iter().find(|(letter, _)| letter == unit).ok_or(InvalidTimeout)?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(InvalidTimeout);
    }
    let number = digits.iter().fold(0u128, |number, digit| number * 10 + u128::from(digit - b'0'));
    Ok(from_nanos(number * nanos))
}

/// Writes a value of `grpc-timeout` in the finest unit whose eight digits hold it: exact below 0.1 s, and never later than asked
/// (it rounds down, by less than one part in a hundred thousand below a thousand days). More than eight digits of hours become as many as fit.
pub fn format(timeout: Duration) -> HeaderValue {
    let nanos = timeout.as_nanos();
    let unit = UNITS.iter().find(|(_, length)| nanos / length <= MOST);
    let (number, letter) = unit.map_or((MOST, b'H'), |(letter, length)| (nanos / length, *letter));
    let text = std::format!("{number}{}", char::from(letter));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0n"))
}

/// How much of a caller's timeout is granted: no more than the most, and less by the offset if that leaves anything.
pub fn granted(caller: Duration, policy: &GrpcTimeout) -> Duration {
    let granted = policy.max.map_or(caller, |max| caller.min(max));
    granted.checked_sub(policy.offset).filter(|left| !left.is_zero()).unwrap_or(granted)
}

/// What is left of a deadline: the shorter of the caller's timeout and our own limit, less the time already spent. `None` if
/// neither is set; zero if it has passed.
pub fn shorten(caller: Option<Duration>, limit: Option<Duration>, spent: Duration) -> Option<Duration> {
    let shorter = match (caller, limit) {
        (Some(caller), Some(limit)) => caller.min(limit),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => return None,
    };
    Some(shorter.saturating_sub(spent))
}

fn from_nanos(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanos % 1_000_000_000) as u32)
}

#[cfg(test)]
mod tests;
