//! Changes of the path, in the few ways Envoy can say them so that it does what the Gateway API asks; and its own, with any expression.
//!
//! Envoy puts `prefix_rewrite` in the place of the characters that matched. With a segment prefix (`/foo`) that is right for `/xyz`, and
//! wrong for `/`, where `/foo/bar` would become `//bar`: that case is said with an expression. With the prefix `/` the replacement needs
//! a trailing slash. A replacement is compared and carried without trailing slash: `/xyz/` means what `/xyz` means.

use super::fault::{At, Check, Fault, required};
use super::pb::matcher;
use super::text;
use weir_model::{PathMatch, PathRewrite, Substitution, limits};

/// A change of the path as Envoy says it.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Edit {
    /// `prefix_rewrite`.
    Prefix(String),
    /// `regex_rewrite`.
    Regex(matcher::RegexMatchAndSubstitute),
}

/// The whole path.
const WHOLE: &str = "^.*$";

/// How Envoy is told to rewrite the path of requests that matched `path`.
pub(super) fn encode(path: &PathMatch, rewrite: &PathRewrite) -> Edit {
    match rewrite {
        PathRewrite::Full(full) => Edit::Regex(substitute(WHOLE, &full.replace('\\', "\\\\"))),
        PathRewrite::Characters(value) => Edit::Prefix(value.clone()),
        PathRewrite::Substitute(change) => Edit::Regex(substitute(&change.pattern, &change.replacement)),
        PathRewrite::Prefix(value) => match (path, canonical(value)) {
            (PathMatch::Prefix(prefix), "/") if prefix == "/" => Edit::Prefix("/".to_owned()),
            (PathMatch::Prefix(prefix), value) if prefix == "/" => Edit::Prefix(format!("{value}/")),
            (PathMatch::Prefix(prefix), "/") => Edit::Regex(substitute(&strip(prefix), "/")),
            (_, value) => Edit::Prefix(value.to_owned()),
        },
    }
}

/// The change that Envoy was told to make.
pub(super) fn decode(path: &PathMatch, edit: &Edit) -> Check<PathRewrite> {
    match edit {
        Edit::Prefix(value) => from_prefix(path, value).at("prefix_rewrite"),
        Edit::Regex(regex) => from_regex(path, regex).at("regex_rewrite"),
    }
}

fn from_prefix(path: &PathMatch, value: &str) -> Check<PathRewrite> {
    if value.len() > limits::HEAD_BYTES {
        return Err(Fault::new(format!("longer than {} bytes", limits::HEAD_BYTES)));
    }
    let characters = || PathRewrite::Characters(value.to_owned());
    Ok(match path {
        // The whole path is what matched, so the whole path is replaced.
        PathMatch::Exact(_) | PathMatch::Regex(_) => PathRewrite::Full(value.to_owned()),
        PathMatch::Characters(_) => characters(),
        PathMatch::Prefix(prefix) => {
            let segments = match (prefix.as_str(), value) {
                ("/", "/") => Some("/"),
                ("/", value) => value.strip_suffix('/'),
                // The root instead of a segment is said with an expression.
                (_, "/") => None,
                (_, value) => Some(value),
            };
            match segments.filter(|value| *value == canonical(value)) {
                Some(value) => PathRewrite::Prefix(value.to_owned()),
                None => characters(),
            }
        }
    })
}

fn from_regex(path: &PathMatch, regex: &matcher::RegexMatchAndSubstitute) -> Check<PathRewrite> {
    let pattern = &required("pattern", regex.pattern.as_ref())?.regex;
    if regex.substitution.len() > limits::HEAD_BYTES {
        return Err(Fault::of("substitution", format!("longer than {} bytes", limits::HEAD_BYTES)));
    }
    if pattern == WHOLE
        && let Some(full) = literal(&regex.substitution)
    {
        return Ok(PathRewrite::Full(full));
    }
    match path {
        PathMatch::Prefix(prefix) if *pattern == strip(prefix) && regex.substitution == "/" => {
            Ok(PathRewrite::Prefix("/".to_owned()))
        }
        _ => from_substitution(regex).map(Box::new).map(PathRewrite::Substitute),
    }
}

/// An expression and what comes in place of its matches; whether it compiles is found out when it is linked.
pub(super) fn from_substitution(regex: &matcher::RegexMatchAndSubstitute) -> Check<Substitution> {
    if regex.substitution.len() > limits::HEAD_BYTES {
        return Err(Fault::of("substitution", format!("longer than {} bytes", limits::HEAD_BYTES)));
    }
    let pattern = text::from_regex(required("pattern", regex.pattern.as_ref())?).at("pattern")?;
    Ok(Substitution { pattern, replacement: regex.substitution.clone() })
}

/// The text of a substitution without groups.
fn literal(substitution: &str) -> Option<String> {
    let mut text = String::with_capacity(substitution.len());
    let mut rest = substitution.chars();
    while let Some(char) = rest.next() {
        if char == '\\' && rest.next() != Some('\\') {
            return None;
        }
        text.push(char);
    }
    Some(text)
}

/// The expression that matches a segment prefix with the slash behind it.
fn strip(prefix: &str) -> String {
    format!("^{}/?", text::escape(prefix))
}

/// A replacement without trailing slash; `/` for the root.
fn canonical(value: &str) -> &str {
    match value.trim_end_matches('/') {
        "" => "/",
        value => value,
    }
}

pub(super) fn substitute(pattern: &str, substitution: &str) -> matcher::RegexMatchAndSubstitute {
    matcher::RegexMatchAndSubstitute {
        pattern: Some(text::regex(pattern)),
        substitution: substitution.to_owned(),
    }
}
