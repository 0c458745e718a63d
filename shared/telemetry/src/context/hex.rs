//! Lower-case hexadecimal, fixed width, on the stack.

/// Reads exactly the digits given; `upper` says whether A to F are allowed too. `None` if anything else is among them or they
/// do not fit.
pub(super) fn parse(digits: &[u8], upper: bool) -> Option<u128> {
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    let mut value = 0u128;
    for digit in digits {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' if upper => digit - b'A' + 10,
            _ => return None,
        };
        value = value << 4 | u128::from(nibble);
    }
    Some(value)
}

/// Fills `out` with the low `4 * out.len()` bits of `value`.
pub(super) fn write(mut value: u128, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}
