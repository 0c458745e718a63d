//! Query parameters as conditions see them: the first of each name, percent-decoded (RFC 3986 section 2.1).
//!
//! A plus sign is a plus sign, and a percent sign without two hexadecimal digits stands for itself.

use std::borrow::Cow;

/// The value of the first parameter of a name, still encoded; empty if it has none (`a` in `?a&b=1`).
pub(super) fn first<'a>(query: &'a str, name: &[u8]) -> Option<&'a str> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| equals(key, name)).map(|(_, value)| value)
}

/// Whether an encoded text decodes to `expected`.
pub(super) fn equals(encoded: &str, expected: &[u8]) -> bool {
    if encoded.len() < expected.len() {
        return false;
    }
    encoded.as_bytes() == expected
        || (encoded.contains('%') && Decoded(encoded.as_bytes()).eq(expected.iter().copied()))
}

/// A text decoded. Borrows when it contains no percent sign.
pub(super) fn decode(encoded: &str) -> Cow<'_, [u8]> {
    match encoded.contains('%') {
        false => Cow::Borrowed(encoded.as_bytes()),
        true => Decoded(encoded.as_bytes()).collect(),
    }
}

/// The bytes that an encoded text stands for.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        if let (b'%', [high, low, after @ ..]) = (first, rest)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            self.0 = after;
            return Some(high << 4 | low);
        }
        self.0 = rest;
        Some(*first)
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
