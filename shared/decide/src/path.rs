//! Which path a request means: the one form in which it is matched and sent on (RFC 3986 section 6.2.2, and what Envoy adds).
//!
//! Two spellings of one path must take the same route, or a rule is passed by: `/public/../admin`, `/public/%2e%2e/admin` and
//! `/public\..\admin` all are `/admin` to many servers. The rules are the listener's ([`Paths`]) and are applied once, before
//! routing; what they change is what the upstream gets. The query is not looked at.

use weir_model::{EscapedSlashes, Paths};

/// What becomes of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is as it should be.
    Same,
    /// It is meant so.
    Changed(String),
    /// The caller is asked to ask for this instead.
    Redirect(String),
    /// It is refused: why.
    Refused(&'static str),
}

/// Applies the rules to a path without its query. What is not a path (`*`) stays.
pub fn normalize(path: &str, rules: &Paths) -> Outcome {
    if is_plain(path, rules) || !path.starts_with('/') {
        return Outcome::Same;
    }
    let mut changed = None;
    let unescaped = match rules.escaped_slashes {
        EscapedSlashes::Keep => None,
        EscapedSlashes::Reject | EscapedSlashes::Redirect | EscapedSlashes::Forward => unescaped(path),
    };
    let redirect = unescaped.is_some() && rules.escaped_slashes == EscapedSlashes::Redirect;
    if let Some(unescaped) = unescaped {
        if rules.escaped_slashes == EscapedSlashes::Reject {
            return Outcome::Refused("its path has an escaped slash");
        }
        changed = Some(unescaped);
    }
    if rules.normalize {
        let Some(canonical) = canonical(changed.as_deref().unwrap_or(path)) else {
            return Outcome::Refused("its path has an escaped NUL");
        };
        changed = Some(canonical);
    }
    if rules.merge_slashes {
        let merged = merged(changed.as_deref().unwrap_or(path));
        changed = Some(merged);
    }
    match changed.filter(|changed| changed != path) {
        None => Outcome::Same,
        Some(path) if redirect => Outcome::Redirect(path),
        Some(path) => Outcome::Changed(path),
    }
}

/// Whether no rule could change this path. Most requests go no further than this.
fn is_plain(path: &str, rules: &Paths) -> bool {
    if *rules == Paths::NONE {
        return true;
    }
    let mut before = 0;
    for byte in path.bytes() {
        match byte {
            b'%' | b'\\' => return false,
            b'.' | b'/' if before == b'/' => return false,
            _ => {}
        }
        before = byte;
    }
    true
}

/// With `%2F` and `%5C` as what they stand for; `None` if there are none.
fn unescaped(path: &str) -> Option<String> {
    let mut result = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        let slash = match escape.get(..3) {
            Some(found) if found.eq_ignore_ascii_case("%2f") => "/",
            Some(found) if found.eq_ignore_ascii_case("%5c") => "\\",
            _ => {
                result.push_str(&rest[..at + 1]);
                rest = &rest[at + 1..];
                continue;
            }
        };
        result.push_str(before);
        result.push_str(slash);
        rest = &escape[3..];
    }
    result.push_str(rest);
    (result != path).then_some(result)
}

/// Without segments that are dots, however they are written, with slashes for backslashes, and with nothing escaped that need not be.
/// `None` if it has an escaped NUL, which some servers take for the end of the path.
fn canonical(path: &str) -> Option<String> {
    let mut result = String::with_capacity(path.len());
    let mut segments = path.split(['/', '\\']).skip(1).peekable();
    while let Some(segment) = segments.next() {
        let segment = unreserved(segment)?;
        let last = segments.peek().is_none();
        match &*segment {
            "." => {}
            ".." => {
                let parent = result.rfind('/').unwrap_or(0);
                result.truncate(parent);
            }
            segment => {
                result.push('/');
                result.push_str(segment);
                continue;
            }
        }
        if last {
            result.push('/');
        }
    }
    if result.is_empty() {
        result.push('/');
    }
    Some(result)
}

/// A segment with what need not be escaped as it is (RFC 3986 section 6.2.2.2): `%61dmin` is `admin`, and `%2e` a dot. `None` if it has an
/// escaped NUL.
fn unreserved(segment: &str) -> Option<std::borrow::Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(segment.into());
    }
    let mut result = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        let escape = &rest[at..];
        let stands_for = escape.get(1..3).and_then(|digits| {
            let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            u8::from_str_radix(digits, 16).ok()
        });
        match stands_for {
            Some(0) => return None,
            // Nothing becomes an escape that was none: `%2%65` stays.
            Some(byte) if byte.is_ascii_hexdigit() && is_cut_escape(&result) => {
                result.push_str(&escape[..3]);
                rest = &escape[3..];
            }
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                result.push(char::from(byte));
                rest = &escape[3..];
            }
            _ => {
                result.push('%');
                rest = &escape[1..];
            }
        }
    }
    result.push_str(rest);
    Some(result.into())
}

/// Whether a text ends in a percent sign with less than two digits.
fn is_cut_escape(text: &str) -> bool {
    matches!(text.as_bytes(), [.., b'%'] | [.., b'%', _])
}

fn merged(path: &str) -> String {
    let mut result = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !result.ends_with('/') {
            result.push(character);
        }
    }
    result
}

#[cfg(test)]
mod tests;
