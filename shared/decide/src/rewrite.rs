//! What the path looks like upstream (Gateway API `HTTPPathModifier`). The query always stays.

use std::borrow::Cow;
use weir_model::PathRewrite;

/// The path after the rewrite. `prefix` is the one the route matched by, absent if it matched otherwise: then a
/// [`PathRewrite::Prefix`] or [`PathRewrite::Characters`] has nothing to replace and the path stays (neither policy nor xDS says so).
///
/// A [`PathRewrite::Substitute`] needs its expression compiled and is not for here: see [`crate::route::Substitute`].
///
/// A trailing slash of prefix and replacement is ignored, the rest of the path keeps its own: `/foo/bar` matched by `/foo` becomes `/xyz/bar` whether the
/// replacement is `/xyz` or `/xyz/`, and `/bar` where it is `/` or empty.
pub fn path<'a>(rewrite: &'a PathRewrite, path: &'a str, prefix: Option<&str>) -> Cow<'a, str> {
    let (replacement, prefix) = match (rewrite, prefix) {
        (PathRewrite::Full(full), _) => return Cow::Borrowed(if full.is_empty() { "/" } else { full }),
        (PathRewrite::Prefix(_) | PathRewrite::Characters(_), None) | (PathRewrite::Substitute(_), _) => {
            return Cow::Borrowed(path);
        }
        (PathRewrite::Characters(replacement), Some(prefix)) => {
            return match behind(path, prefix) {
                Some(rest) => Cow::Owned([replacement, rest].concat()),
                None => Cow::Borrowed(path),
            };
        }
        (PathRewrite::Prefix(replacement), Some(prefix)) => (replacement, prefix),
    };
    let rest = match behind(path, without_slash(prefix)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => return Cow::Borrowed(path),
    };
    match (without_slash(replacement), rest) {
        ("", "") => Cow::Borrowed("/"),
        ("", rest) => Cow::Borrowed(rest),
        (replacement, "") => Cow::Borrowed(replacement),
        (replacement, rest) => Cow::Owned([replacement, rest].concat()),
    }
}

/// Path and query after the rewrite, ready for a request line.
pub fn target(rewrite: &PathRewrite, path: &str, query: Option<&str>, prefix: Option<&str>) -> String {
    with_query(self::path(rewrite, path, prefix), query)
}

/// Path and query, ready for a request line.
pub fn with_query(path: Cow<'_, str>, query: Option<&str>) -> String {
    match query {
        Some(query) => [&path, "?", query].concat(),
        None => path.into_owned(),
    }
}

/// What follows a prefix, in whichever case the path has it: where case matters, the route has seen to it.
fn behind<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let (begin, rest) = path.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests;
