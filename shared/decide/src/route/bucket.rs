//! The routes that share a path, narrowed further by what their other conditions demand.
//!
//! Where there are more than a few, each is filed under one of its conditions, the one which the fewest others share: an exact
//! header value, an exact query parameter, a method, or a header or parameter that has to be there at all. A request then looks
//! only at the files it can satisfy.

use super::condition::{Conditions, Draw, Value};
use super::hashing::Table;
use super::{Head, query};
use http::{HeaderName, Method};
use std::collections::BTreeMap;

/// Routes in ascending order.
type List = Box<[u32]>;

/// The routes of one path, in ascending order of index.
#[derive(Debug)]
pub(super) struct Bucket {
    /// The lowest of all; `u32::MAX` if there is none.
    lowest: u32,
    /// Whether the lowest takes everything: then neither lists nor conditions are looked at, which would not be in a cache.
    certain: bool,
    /// Looked at one after another.
    linear: List,
    index: Option<Box<Index>>,
}

/// Routes by the condition they are filed under.
#[derive(Debug, Default)]
struct Index {
    methods: Table<Method, List>,
    headers: Table<HeaderName, Values>,
    query: Box<[(Box<[u8]>, Values)]>,
}

/// Routes by the value they demand of one header field or query parameter.
#[derive(Debug, Default)]
struct Values {
    exact: Table<Box<[u8]>, List>,
    /// Any value, or one that an expression matches.
    any: List,
}

/// A condition to file a route under. In order of preference where equally many routes share two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Header(&'a str, Option<&'a [u8]>),
    Query(&'a [u8], Option<&'a [u8]>),
    Method(&'a str),
}

/// Fewer than this are looked at one after another.
const FEW: usize = 8;
/// Query parameters of different names that routes of one path are filed under. Each is looked for in the request's query, so
/// their number is bounded.
const QUERY_NAMES: usize = 16;

impl Bucket {
    pub(super) fn build(mut routes: Vec<u32>, conditions: &[Conditions]) -> Self {
        let of = |route: u32| &conditions[route as usize];
        // What comes after a route that takes everything is never reached.
        if let Some(all) = routes.iter().position(|route| of(*route).is_empty()) {
            routes.truncate(all + 1);
        }
        routes.retain(|route| !of(*route).is_never());
        let lowest = routes.first().copied().unwrap_or(u32::MAX);
        let certain = routes.first().is_some_and(|route| of(*route).is_empty());
        if routes.len() < FEW {
            return Self { lowest, certain, linear: routes.into(), index: None };
        }
        let (linear, index) = Index::build(&routes, conditions);
        Self { lowest, certain, linear, index: Some(Box::new(index)) }
    }

    /// The lowest route of all; `u32::MAX` if there is none.
    pub(super) fn lowest(&self) -> u32 {
        self.lowest
    }

    /// Whether it has a route before `best`.
    pub(super) fn may_lower(&self, best: u32) -> bool {
        self.lowest < best
    }

    /// Lowers `best` to the first route before it whose conditions hold.
    pub(super) fn search(
        &self,
        conditions: &[Conditions],
        head: &Head<'_>,
        draw: &mut Draw<'_>,
        best: &mut u32,
    ) {
        if !self.may_lower(*best) {
            return;
        }
        if self.certain {
            *best = self.lowest;
            return;
        }
        let mut look = |list: &List| {
            let before = list.iter().copied().take_while(|route| *route < *best);
            if let Some(found) = { before }.find(|route| conditions[*route as usize].hold(head, draw)) {
                *best = found;
            }
        };
        if let Some(index) = &self.index {
            index.candidates(head, &mut look);
        }
        look(&self.linear);
    }
}

impl Index {
    /// Files each route, and lists those without a condition to file them under.
    fn build(routes: &[u32], conditions: &[Conditions]) -> (List, Self) {
        let names = query_names(routes, conditions);
        let mut shared: BTreeMap<Key<'_>, usize> = BTreeMap::new();
        for route in routes {
            for key in keys(&conditions[*route as usize], &names) {
                *shared.entry(key).or_default() += 1;
            }
        }
        let mut linear = Vec::new();
        let mut filed: BTreeMap<Key<'_>, Vec<u32>> = BTreeMap::new();
        for route in routes {
            let rarest = keys(&conditions[*route as usize], &names).min_by_key(|key| (shared[key], *key));
            match rarest {
                Some(key) => filed.entry(key).or_default().push(*route),
                None => linear.push(*route),
            }
        }
        (linear.into(), Self::from(filed))
    }

    /// Calls `look` with every list whose condition the request satisfies.
    fn candidates(&self, head: &Head<'_>, look: &mut impl FnMut(&List)) {
        if !self.methods.is_empty()
            && let Some(list) = self.methods.get(head.method)
        {
            look(list);
        }
        let mut header = |name: &HeaderName, values: &Values| {
            // A field that is there twice is looked up twice, which finds nothing new.
            for actual in head.headers.get_all(name) {
                values.candidates(actual.as_bytes(), look);
            }
        };
        // Whichever is fewer: the names filed under, or the request's.
        if self.headers.len() <= head.headers.keys_len() {
            self.headers.iter().for_each(|(name, values)| header(name, values));
        } else {
            for name in head.headers.keys() {
                if let Some(values) = self.headers.get(name) {
                    header(name, values);
                }
            }
        }
        for (name, values) in &self.query {
            if let Some(raw) = head.query.and_then(|query| query::first(query, name)) {
                values.candidates(&query::decode(raw), look);
            }
        }
    }
}

impl From<BTreeMap<Key<'_>, Vec<u32>>> for Index {
    fn from(filed: BTreeMap<Key<'_>, Vec<u32>>) -> Self {
        let mut index = Index::default();
        let mut query: BTreeMap<&[u8], Values> = BTreeMap::new();
        for (key, routes) in filed {
            let list: List = routes.into();
            match key {
                Key::Method(method) => {
                    if let Ok(method) = Method::from_bytes(method.as_bytes()) {
                        index.methods.insert(method, list);
                    }
                }
                Key::Header(name, value) => {
                    if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                        index.headers.entry(name).or_default().insert(value, list);
                    }
                }
                Key::Query(name, value) => query.entry(name).or_default().insert(value, list),
            }
        }
        index.query = query.into_iter().map(|(name, values)| (name.into(), values)).collect();
        index
    }
}

impl Values {
    fn insert(&mut self, value: Option<&[u8]>, list: List) {
        match value {
            Some(value) => {
                self.exact.insert(value.into(), list);
            }
            None => self.any = list,
        }
    }

    fn candidates(&self, actual: &[u8], look: &mut impl FnMut(&List)) {
        if let Some(list) = self.exact.get(actual) {
            look(list);
        }
        if !self.any.is_empty() {
            look(&self.any);
        }
    }
}

/// Every condition a route may be filed under.
fn keys<'a>(conditions: &'a Conditions, names: &'a [&'a [u8]]) -> impl Iterator<Item = Key<'a>> {
    let exact = |value: &'a Value| match value {
        Value::Exact(text) => Some(&**text),
        Value::Regex(_) | Value::Present => None,
    };
    let headers =
        conditions.headers.iter().map(move |(name, value)| Key::Header(name.as_str(), exact(value)));
    let query = conditions.query.iter().filter(move |(name, _)| names.contains(&&**name));
    let query = query.map(move |(name, value)| Key::Query(name, exact(value)));
    let method = conditions.method.iter().map(|method| Key::Method(method.as_str()));
    headers.chain(query).chain(method)
}

/// The query parameters that the most routes have a condition on.
fn query_names<'a>(routes: &[u32], conditions: &'a [Conditions]) -> Vec<&'a [u8]> {
    let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
    for route in routes {
        for (name, _) in &conditions[*route as usize].query {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut names: Vec<(&[u8], usize)> = counts.into_iter().collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    names.into_iter().take(QUERY_NAMES).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests;
