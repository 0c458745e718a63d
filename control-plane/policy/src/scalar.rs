//! Scalars with a syntax of their own: names, labels, durations, times. Each reader answers with a reason or a value; each has its writer.

use std::time::Duration;

/// The longest duration, in milliseconds: what `99999h` says, since a longer one has no canonical form.
const LONGEST_MILLIS: u64 = 99_999 * 3_600_000;

/// A DNS label (RFC 1123): up to 63 lower-case letters, digits and `-`, which is neither first nor last.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= 63
        && !text.is_empty()
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// DNS labels joined by dots, up to 253 characters (RFC 1123 subdomain).
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// The name or value part of a Kubernetes label: up to 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit.
fn is_label_word(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63 && text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().last())
}

/// A Kubernetes qualified name: `name` or `prefix/name`.
pub(crate) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_label_word(name),
        None => is_label_word(text),
    }
}

/// A name of protobuf's: letters, digits and `_`, not beginning with a digit; with `dots`, several of them joined by dots.
pub(crate) fn is_grpc_name(text: &str, dots: bool) -> bool {
    let word = |word: &str| {
        word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && word.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
    };
    if dots { text.split('.').all(word) } else { word(text) }
}

/// A Kubernetes label's value.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_word(text)
}

/// Reads a Gateway API duration (GEP-2257): one to four of a number of up to five digits and `h`, `m`, `s` or `ms`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut millis, mut parts) = (text, 0u64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 5 || parts == 4 {
            return None;
        }
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, scale) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        millis += number * scale;
        parts += 1;
    }
    (parts > 0 && millis <= LONGEST_MILLIS).then(|| Duration::from_millis(millis))
}

/// Writes a duration in its canonical form, such as `1h30m` or `250ms`; what is below a millisecond is cut.
pub(crate) fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(LONGEST_MILLIS).min(LONGEST_MILLIS);
    let parts = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "m"),
        (millis / 1000 % 60, "s"),
        (millis % 1000, "ms"),
    ];
    let text: String = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads a point in time (RFC 3339, section 5.6) as milliseconds of Unix time; not before 1970.
pub(crate) fn parse_time(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let (date, time) = (text.get(..10)?, text.get(11..19)?);
    let number = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten()
    };
    let (year, month, day) = (number(date.get(..4)?)?, number(date.get(5..7)?)?, number(date.get(8..10)?)?);
    let (hour, minute, second) =
        (number(time.get(..2)?)?, number(time.get(3..5)?)?, number(time.get(6..8)?)?);
    let marks =
        [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')].into_iter().all(|(index, mark)| bytes[index] == mark);
    let mut rest = text.get(19..)?;
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        millis = format!("{:0<3}", &fraction[..digits]).get(..3)?.parse().ok()?;
        rest = &fraction[digits..];
    }
    let offset_minutes = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = if rest.starts_with('+') { 1 } else { -1 };
            let (hours, minutes) = rest.strip_prefix(['+', '-'])?.split_once(':')?;
            let (hours, minutes) = (two_digits(hours, 23)?, two_digits(minutes, 59)?);
            sign * (hours * 60 + minutes)
        }
    };
    let valid = marks
        && matches!(bytes[10], b'T' | b't' | b' ')
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let seconds =
        days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_minutes * 60;
    valid.then(|| u64::try_from(seconds * 1000 + millis).ok()).flatten()
}

fn two_digits(text: &str, most: i64) -> Option<i64> {
    let number: i64 = (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()?;
    (number <= most).then_some(number)
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|month| days_of(year, month)).sum::<i64>() + day - 1
}

/// Writes a point in time in UTC, with milliseconds only if there are any.
pub fn format_time(unix_millis: u64) -> String {
    // Year 9999 is the last that the format can say.
    let unix_millis = unix_millis.min(253_402_300_799_999);
    let (days, of_day) = ((unix_millis / 86_400_000) as i64, unix_millis % 86_400_000);
    let mut year = 1970 + days / 366;
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut day = days - days_since_1970(year, 1, 1);
    let mut month = 1;
    while day >= days_of(year, month) {
        day -= days_of(year, month);
        month += 1;
    }
    let (hour, minute, second, millis) =
        (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z", day + 1)
}

#[cfg(test)]
mod tests;
