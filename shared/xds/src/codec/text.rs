//! Conditions on strings, and regular expressions.

use super::fault::{Check, Fault};
use super::pb::matcher;
use matcher::string_matcher::MatchPattern;
use weir_model::{StringMatch, limits};

/// An expression that must match the whole of something.
pub(super) fn regex(expression: &str) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: expression.to_owned(), ..matcher::RegexMatcher::default() }
}

/// An expression within the bounds; whether it compiles is found out when it is linked.
pub(super) fn from_regex(matcher: &matcher::RegexMatcher) -> Check<String> {
    match matcher.regex.len() {
        0 => Err(Fault::of("regex", "empty")),
        1..=limits::REGEX_BYTES => Ok(matcher.regex.clone()),
        _ => Err(Fault::of("regex", format!("longer than {} bytes", limits::REGEX_BYTES))),
    }
}

/// A condition on a string; nothing for one that only asks whether it is there.
pub(super) fn encode(value: &StringMatch) -> Option<matcher::StringMatcher> {
    let pattern = match value {
        StringMatch::Exact(text) => MatchPattern::Exact(text.clone()),
        StringMatch::Regex(expression) => MatchPattern::SafeRegex(regex(expression)),
        StringMatch::Present => return None,
    };
    Some(matcher::StringMatcher { match_pattern: Some(pattern), ..matcher::StringMatcher::default() })
}

/// A condition on a string. Prefix, suffix and infix become the expressions they are short for.
pub(super) fn decode(matcher: &matcher::StringMatcher) -> Check<StringMatch> {
    if matcher.ignore_case {
        return in_any_case(matcher);
    }
    match &matcher.match_pattern {
        Some(MatchPattern::Exact(text)) => exact(text),
        Some(MatchPattern::SafeRegex(expression)) => {
            from_regex(expression).map(StringMatch::Regex).map_err(|fault| fault.within("safe_regex"))
        }
        Some(MatchPattern::Prefix(text)) => affix("prefix", text, "", ".*"),
        Some(MatchPattern::Suffix(text)) => affix("suffix", text, ".*", ""),
        Some(MatchPattern::Contains(text)) => affix("contains", text, ".*", ".*"),
        Some(MatchPattern::Custom(_)) => Err(Fault::unsupported("custom")),
        None => Err(Fault::new("no condition")),
    }
}

/// A condition for which the case of letters does not matter (ASCII). Expressions say that themselves.
fn in_any_case(matcher: &matcher::StringMatcher) -> Check<StringMatch> {
    let (field, text, before, after) = match &matcher.match_pattern {
        Some(MatchPattern::Exact(text)) => ("exact", text, "", ""),
        Some(MatchPattern::Prefix(text)) => ("prefix", text, "", ".*"),
        Some(MatchPattern::Suffix(text)) => ("suffix", text, ".*", ""),
        Some(MatchPattern::Contains(text)) => ("contains", text, ".*", ".*"),
        Some(MatchPattern::SafeRegex(_)) => {
            let sensitive = matcher::StringMatcher { ignore_case: false, ..matcher.clone() };
            return decode(&sensitive);
        }
        Some(MatchPattern::Custom(_)) => return Err(Fault::unsupported("custom")),
        None => return Err(Fault::new("no condition")),
    };
    let mut expression = before.to_owned();
    for char in text.chars() {
        if char.is_ascii_alphabetic() {
            expression.extend(['[', char.to_ascii_lowercase(), char.to_ascii_uppercase(), ']']);
        } else {
            expression.push_str(&escape(char.encode_utf8(&mut [0; 4])));
        }
    }
    expression.push_str(after);
    match expression.len() {
        // An expression that asks for nothing is none.
        0 => exact(""),
        1..=limits::REGEX_BYTES => Ok(StringMatch::Regex(expression)),
        _ => Err(Fault::of(field, format!("longer than {} bytes as an expression", limits::REGEX_BYTES))),
    }
}

/// Equality.
pub(super) fn exact(text: &str) -> Check<StringMatch> {
    if text.len() > limits::HEAD_BYTES {
        return Err(Fault::of("exact", format!("longer than {} bytes", limits::HEAD_BYTES)));
    }
    Ok(StringMatch::Exact(text.to_owned()))
}

/// A fixed text with anything before or after it.
pub(super) fn affix(field: &str, text: &str, before: &str, after: &str) -> Check<StringMatch> {
    let expression = format!("{before}{}{after}", escape(text));
    if expression.len() > limits::REGEX_BYTES {
        return Err(Fault::of(field, format!("longer than {} bytes as an expression", limits::REGEX_BYTES)));
    }
    Ok(StringMatch::Regex(expression))
}

/// The expression that matches this text and nothing else.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$')
        {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}
