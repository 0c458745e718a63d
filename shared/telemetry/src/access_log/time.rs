//! Wall-clock times as text, in UTC.

use std::fmt::Write;

use weir_model::access_log::TimeFormat;

/// A moment by the calendar.
struct Moment {
    /// Since 1970.
    seconds: u64,
    nanos: u64,
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    fn of(unix_nanos: u64) -> Moment {
        let (seconds, nanos) = (unix_nanos / 1_000_000_000, unix_nanos % 1_000_000_000);
        let (year, month, day) = date(seconds / 86_400);
        let second = seconds % 86_400;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        Moment { seconds, nanos, year, month, day, hour, minute, second }
    }
}

/// A wall-clock time as RFC 3339 in UTC, to the microsecond.
pub fn rfc3339(unix_nanos: u64) -> String {
    to(unix_nanos, 6)
}

/// The same, to the millisecond, as Envoy writes it.
pub(super) fn milliseconds(unix_nanos: u64) -> String {
    to(unix_nanos, 3)
}

fn to(unix_nanos: u64, digits: u32) -> String {
    let Moment { nanos, year, month, day, hour, minute, second, .. } = Moment::of(unix_nanos);
    let fraction = nanos / 10_u64.pow(9 - digits);
    let digits = digits as usize;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:0digits$}Z")
}

/// As a format has it.
pub(super) fn formatted(unix_nanos: u64, format: &TimeFormat) -> String {
    let Moment { seconds, nanos, year, month, day, hour, minute, second } = Moment::of(unix_nanos);
    let mut text = String::new();
    let mut chars = format.as_str().chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            text.push(char);
            continue;
        }
        // Writing to a string cannot fail; what is not known is not in such a format.
        let _ = match chars.next() {
            Some('Y') => write!(text, "{year:04}"),
            Some('y') => write!(text, "{:02}", year % 100),
            Some('m') => write!(text, "{month:02}"),
            Some('d') => write!(text, "{day:02}"),
            Some('e') => write!(text, "{day:2}"),
            Some('F') => write!(text, "{year:04}-{month:02}-{day:02}"),
            Some('H') => write!(text, "{hour:02}"),
            Some('M') => write!(text, "{minute:02}"),
            Some('S') => write!(text, "{second:02}"),
            Some('T') => write!(text, "{hour:02}:{minute:02}:{second:02}"),
            Some('s') => write!(text, "{seconds}"),
            Some('f') => write!(text, "{nanos:09}"),
            Some('z') => write!(text, "+0000"),
            Some('Z') => write!(text, "UTC"),
            Some(digit @ '1'..='9') => {
                let _f = chars.next();
                let digits = digit.to_digit(10).unwrap_or(9);
                let width = digits as usize;
                write!(text, "{:0width$}", nanos / 10_u64.pow(9 - digits))
            }
            Some(other) => write!(text, "{other}"),
            None => Ok(()),
        };
    }
    text
}

/// The Gregorian date `days` after 1970-01-01. Years are counted from March, so that the leap day is the last of its year.
pub(super) fn date(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01; a cycle of 400 years has 146 097.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next, month, day_of_month)
}
