//! Why a request takes the route it takes, in words: each route in order, and the first condition of it that fails.
//!
//! It looks at the routes one after another, as the meaning of a route list is written, not as [`super::Matcher`] finds it; that
//! both agree is tested. It is for people, not for the request path.

use super::condition::{Value, WHOLE};
use super::pattern::Library;
use super::{Head, RouteIndex, host::Names, more, query};
use crate::authority;
use std::fmt;
use weir_model::{Fraction, PathMatch, Route, RouteConfiguration, RouteMatch, StringMatch};

/// How a route was found, or why none was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The authority, as it is looked up.
    pub authority: String,
    /// The virtual host's index and name; absent if none has a domain for the authority.
    pub host: Option<(usize, String)>,
    /// Its routes in order, up to and including the one that takes the request.
    pub considered: Vec<Considered>,
    /// The route that takes the request, or what fractions before it leave over.
    pub chosen: Option<RouteIndex>,
}

/// A route that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Considered {
    /// Where it stands.
    pub index: RouteIndex,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub finding: Finding,
}

/// What came of looking at a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// All conditions hold.
    Matches,
    /// All conditions hold, and this share of such requests is taken.
    Share(Fraction),
    /// A condition does not hold.
    Fails(Failure),
}

/// The first condition that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The field, such as `match.headers[0].value.exact`.
    pub field: String,
    /// What the request has instead.
    pub reason: String,
}

/// Explains one request. A regular expression that does not compile is reported as a condition that fails.
pub fn explain(configuration: &RouteConfiguration, head: &Head<'_>) -> Explanation {
    let authority = authority::normalize(head.authority).into_owned();
    let found = Names::compile(configuration).ok().and_then(|names| names.find(head.authority));
    let mut explanation = Explanation { authority, host: None, considered: Vec::new(), chosen: None };
    let Some((index, host)) = found.and_then(|index| Some((index, configuration.virtual_hosts.get(index)?)))
    else {
        return explanation;
    };
    explanation.host = Some((index, host.name.clone()));
    for (route, Route { name, matches, .. }) in host.routes.iter().enumerate() {
        let place = RouteIndex { host: index, route };
        let finding = match (failure(matches, head), matches.fraction) {
            (Some(failure), _) => Finding::Fails(failure),
            (None, Some(fraction)) if fraction.0 < WHOLE => Finding::Share(fraction),
            (None, _) => Finding::Matches,
        };
        let takes = finding == Finding::Matches;
        explanation.considered.push(Considered { index: place, name: name.clone(), finding });
        if takes {
            explanation.chosen = Some(place);
            break;
        }
    }
    explanation
}

/// The first condition that does not hold: path, method, headers, query.
fn failure(matches: &RouteMatch, head: &Head<'_>) -> Option<Failure> {
    let ignore_case = matches.more.as_ref().is_some_and(|more| more.ignore_case);
    path(&matches.path, head.path, ignore_case)
        .or_else(|| match &matches.method {
            Some(method) if method != head.method => {
                fails("match.method", format!("is {method}, the request's {}", head.method))
            }
            _ => None,
        })
        .or_else(|| {
            matches.headers.iter().enumerate().find_map(|(index, header)| {
                let field = format!("match.headers[{index}]");
                let one = |actual| value(&header.value, actual, &field, header.name.as_str());
                let mut actual = head.headers.get_all(&header.name).iter();
                match actual.next() {
                    None => one(None),
                    // Of several fields one is enough; the first says why, if none is.
                    Some(first) => one(Some(first.as_bytes()))
                        .filter(|_| actual.all(|other| one(Some(other.as_bytes())).is_some())),
                }
            })
        })
        .or_else(|| {
            matches.query.iter().enumerate().find_map(|(index, parameter)| {
                let raw = head.query.and_then(|query| query::first(query, parameter.name.as_bytes()));
                let actual = raw.map(query::decode);
                value(&parameter.value, actual.as_deref(), &format!("match.query[{index}]"), &parameter.name)
            })
        })
        .or_else(|| more::failure(matches.more.as_deref()?, head))
}

/// What is left of a path behind a prefix, if it has that.
fn behind<'a>(actual: &'a str, prefix: &str, ignore_case: bool) -> Option<&'a str> {
    match ignore_case {
        false => actual.strip_prefix(prefix),
        true => {
            let (begin, rest) = actual.split_at_checked(prefix.len())?;
            begin.eq_ignore_ascii_case(prefix).then_some(rest)
        }
    }
}

fn path(expected: &PathMatch, actual: &str, ignore_case: bool) -> Option<Failure> {
    match expected {
        PathMatch::Exact(exact) if behind(actual, exact, ignore_case) == Some("") => None,
        PathMatch::Exact(exact) => {
            fails("match.path.exact", format!("is {exact:?}, the request's path {actual:?}"))
        }
        PathMatch::Prefix(prefix) => {
            let bare = prefix.strip_suffix('/').unwrap_or(prefix);
            match behind(actual, bare, ignore_case) {
                _ if bare.is_empty() => None,
                Some(rest) if rest.is_empty() || rest.starts_with('/') => None,
                Some(_) => fails(
                    "match.path.prefix",
                    format!(
                        "is {prefix:?}, which ends in the middle of a segment of the request's path {actual:?}"
                    ),
                ),
                None => fails(
                    "match.path.prefix",
                    format!("is {prefix:?}, the request's path {actual:?} begins otherwise"),
                ),
            }
        }
        PathMatch::Characters(prefix) if behind(actual, prefix, ignore_case).is_some() => None,
        PathMatch::Characters(prefix) => fails(
            "match.path.characters",
            format!("is {prefix:?}, the request's path {actual:?} begins otherwise"),
        ),
        PathMatch::Regex(regex) => match Library::default().single(regex) {
            Ok(patterns) if patterns.is_match(actual.as_bytes()) => None,
            Ok(_) => fails(
                "match.path.regex",
                format!("{regex:?} does not match the whole of the request's path {actual:?}"),
            ),
            Err(error) => fails("match.path.regex", error.to_string()),
        },
    }
}

fn value(expected: &StringMatch, actual: Option<&[u8]>, field: &str, name: &str) -> Option<Failure> {
    let Some(actual) = actual else {
        return fails(field, format!("{name} is not in the request"));
    };
    let shown = String::from_utf8_lossy(actual);
    match (Value::compile(expected, &mut Library::default()), expected) {
        (Ok(value), _) if value.holds(actual) => None,
        (Err(error), _) => fails(&format!("{field}.value.regex"), error.to_string()),
        (_, StringMatch::Regex(regex)) => fails(
            &format!("{field}.value.regex"),
            format!("{regex:?} does not match the whole of {name}, which is {shown:?}"),
        ),
        (_, StringMatch::Exact(exact)) => {
            fails(&format!("{field}.value.exact"), format!("is {exact:?}, the request's {name} {shown:?}"))
        }
        (_, StringMatch::Present) => None,
    }
}

fn fails(field: &str, reason: String) -> Option<Failure> {
    Some(Failure { field: field.to_owned(), reason })
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches => f.write_str("matches"),
            Self::Share(fraction) => write!(f, "matches, and takes {} of such requests", Percent(*fraction)),
            Self::Fails(failure) => write!(f, "does not match: {failure}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.reason)
    }
}

/// One line for the virtual host, one for each route, one for the outcome.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((_, host)) = &self.host else {
            return write!(f, "no virtual host has a domain for {:?}", self.authority);
        };
        writeln!(f, "{:?} is virtual host {host:?}", self.authority)?;
        for Considered { index, name, finding } in &self.considered {
            writeln!(f, "route {} ({name}) {finding}", index.route)?;
        }
        match self.chosen {
            Some(chosen) => write!(f, "route {} takes the request", chosen.route),
            None if self.considered.iter().any(|route| matches!(route.finding, Finding::Share(_))) => {
                f.write_str("no route takes what the shares leave over")
            }
            None => f.write_str("no route matches"),
        }
    }
}

/// A fraction as a percentage, without trailing zeros.
struct Percent(Fraction);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0.0 / 10_000, self.0.0 % 10_000);
        match rest {
            0 => write!(f, "{whole} %"),
            rest => write!(f, "{whole}.{} %", format!("{rest:04}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests;
