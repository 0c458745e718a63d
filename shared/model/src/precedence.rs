//! Which of several matching routes wins, as an order.
//!
//! The Gateway API's order (`HTTPRouteRule.matches`), over all routes attached to one service: exact path, longest path prefix, a method,
//! most header matches, most query matches; then, which is weir's own, a rule for some callers before one for everybody; then the oldest
//! route, the first by `namespace/name`, the first rule and match within it. Where regular expressions stand is left to implementations: here, as in Envoy Gateway and Cilium, after exact paths and before prefixes, longest
//! expression first, since after prefixes any catch-all would hide them.

use crate::mesh::RouteName;
use crate::{PathMatch, RouteMatch};
use std::cmp::Reverse;

/// Where a match stands among others: **the smaller one wins**. The order of the fields is the order of the rules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Precedence<'a> {
    /// By kind and length of the path match.
    pub path: PathRank,
    /// By whether a method is asked for.
    pub method: MethodRank,
    /// More header matches first.
    pub headers: Reverse<usize>,
    /// More query matches first.
    pub query: Reverse<usize>,
    /// Whether it is for some callers only.
    pub callers: CallerRank,
    /// The older route first.
    pub created_millis: u64,
    /// The route, by `namespace/name`.
    pub route: &'a RouteName,
    /// The position of the rule in the route.
    pub rule: usize,
    /// The position of the match in the rule.
    pub position: usize,
}

/// The kinds of path match, the most specific first, and within a kind the longest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PathRank {
    /// The whole path.
    Exact,
    /// An expression of so many characters.
    Regex(Reverse<usize>),
    /// A prefix of so many characters.
    Prefix(Reverse<usize>),
}

/// Whether a method is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MethodRank {
    /// One.
    Given,
    /// Any.
    Any,
}

/// Whose requests a match is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CallerRank {
    /// Those of some callers.
    Some,
    /// Everybody's.
    All,
}

impl<'a> Precedence<'a> {
    /// The same for some callers only, if `only`.
    #[must_use]
    pub fn for_some(self, only: bool) -> Self {
        Self { callers: if only { CallerRank::Some } else { CallerRank::All }, ..self }
    }

    /// Where `matches`, at `position` of rule number `rule` of `route`, stands.
    pub fn of(
        matches: &RouteMatch,
        route: &'a RouteName,
        created_millis: u64,
        rule: usize,
        position: usize,
    ) -> Self {
        Self {
            path: match &matches.path {
                PathMatch::Exact(_) => PathRank::Exact,
                PathMatch::Regex(expression) => PathRank::Regex(Reverse(expression.chars().count())),
                PathMatch::Prefix(prefix) | PathMatch::Characters(prefix) => {
                    PathRank::Prefix(Reverse(prefix.chars().count()))
                }
            },
            method: if matches.method.is_some() { MethodRank::Given } else { MethodRank::Any },
            headers: Reverse(matches.headers.len()),
            query: Reverse(matches.query.len()),
            callers: CallerRank::All,
            created_millis,
            route,
            rule,
            position,
        }
    }
}

#[cfg(test)]
mod tests;
