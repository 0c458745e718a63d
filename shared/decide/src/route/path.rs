//! The routes of one virtual host, found by path.

use super::bucket::Bucket;
use super::condition::{Conditions, Draw};
use super::hashing::Table;
use super::pattern::{Expression, Library, RegexError};
use super::prefix::Prefixes;
use super::regexes::Regexes;
use super::{Head, RouteError};
use std::borrow::Cow;
use std::collections::BTreeMap;
use weir_model::{PathMatch, Random, Route};

/// The routes of one virtual host.
#[derive(Debug)]
pub(super) struct Paths {
    /// By index of the route.
    conditions: Box<[Conditions]>,
    exact: Table<Box<str>, Bucket>,
    prefixes: Prefixes<Bucket>,
    regexes: Regexes<Bucket>,
    /// Where case does not matter: by paths in lower case.
    folded: Option<Box<Folded>>,
}

/// The routes for whose paths case does not matter.
#[derive(Debug)]
struct Folded {
    exact: Table<Box<str>, Bucket>,
    prefixes: Prefixes<Bucket>,
}

impl Paths {
    /// Compiles the routes of a virtual host, in their order.
    pub(super) fn compile(routes: &[Route], library: &mut Library) -> Result<Self, RouteError> {
        let mut conditions = Vec::with_capacity(routes.len());
        let (mut exact, mut prefixes, mut regexes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut any_case, mut any_case_prefixes) = (BTreeMap::new(), BTreeMap::new());
        for (index, route) in routes.iter().enumerate() {
            let field = |name: &str| format!("routes[{index}].match.{name}");
            let compiled = Conditions::compile(&route.matches, library);
            conditions.push(compiled.map_err(|error| error.within(&format!("routes[{index}].match")))?);
            let ignore_case = route.matches.more.as_ref().is_some_and(|more| more.ignore_case);
            let bucket: &mut Vec<u32> = match &route.matches.path {
                PathMatch::Exact(path) if !path.starts_with('/') => {
                    return Err(RouteError::new(field("path.exact"), "must begin with a slash"));
                }
                PathMatch::Prefix(path) if !path.is_empty() && !path.starts_with('/') => {
                    return Err(RouteError::new(field("path.prefix"), "must begin with a slash"));
                }
                PathMatch::Characters(path) => {
                    let literal = if ignore_case { in_any_case(path) } else { regex_syntax::escape(path) };
                    regexes.entry(Cow::Owned(literal + "(?s:.)*")).or_default()
                }
                PathMatch::Exact(path) if ignore_case => {
                    any_case.entry(path.to_ascii_lowercase()).or_default()
                }
                PathMatch::Prefix(path) if ignore_case => {
                    let path = path.strip_suffix('/').unwrap_or(path);
                    any_case_prefixes.entry(path.to_ascii_lowercase()).or_default()
                }
                PathMatch::Exact(path) => exact.entry(path.as_str()).or_default(),
                PathMatch::Prefix(path) => {
                    prefixes.entry(path.strip_suffix('/').unwrap_or(path)).or_default()
                }
                PathMatch::Regex(path) => regexes.entry(Cow::Borrowed(path.as_str())).or_default(),
            };
            bucket.push(index as u32);
        }
        let bucket = |routes: Vec<u32>| Bucket::build(routes, &conditions);
        let exact = exact.into_iter().map(|(path, routes)| (path.into(), bucket(routes))).collect();
        let prefixes = prefixes.into_iter().map(|(path, routes)| (path.to_owned(), bucket(routes)));
        let prefixes = Prefixes::build(prefixes);
        let folded = (!any_case.is_empty() || !any_case_prefixes.is_empty()).then(|| {
            let exact = any_case.into_iter().map(|(path, routes)| (path.into(), bucket(routes))).collect();
            let prefixes = any_case_prefixes.into_iter().map(|(path, routes)| (path, bucket(routes)));
            Box::new(Folded { exact, prefixes: Prefixes::build(prefixes) })
        });
        let regexes = compile_regexes(regexes, bucket, library)?;
        Ok(Self { exact, prefixes, regexes, folded, conditions: conditions.into() })
    }

    /// The first route whose conditions all hold.
    pub(super) fn find(&self, head: &Head<'_>, random: &mut Random) -> Option<usize> {
        let mut draw = Draw::new(random);
        // Each bucket can only lower the best index found so far. The most specific come first, as precedence usually has it, so
        // that the rest is passed over unseen.
        let mut best = u32::MAX;
        let mut search = |bucket: &Bucket, best: &mut u32| {
            bucket.search(&self.conditions, head, &mut draw, best);
        };
        if let Some(bucket) = self.exact.get(head.path) {
            search(bucket, &mut best);
        }
        for bucket in self.prefixes.of(head.path) {
            search(bucket, &mut best);
        }
        if let Some(folded) = &self.folded {
            let path = head.path.to_ascii_lowercase();
            if let Some(bucket) = folded.exact.get(path.as_str()) {
                search(bucket, &mut best);
            }
            for bucket in folded.prefixes.of(&path) {
                search(bucket, &mut best);
            }
        }
        let best = std::cell::Cell::new(best);
        self.regexes.search(
            head.path,
            |bucket| bucket.may_lower(best.get()),
            |bucket| {
                let mut lowered = best.get();
                search(bucket, &mut lowered);
                best.set(lowered);
            },
        );
        (best.get() != u32::MAX).then_some(best.get() as usize)
    }
}

/// An expression for a text in which case does not matter (ASCII).
fn in_any_case(text: &str) -> String {
    text.chars().fold(String::new(), |mut expression, char| {
        if char.is_ascii_alphabetic() {
            expression.extend(['[', char.to_ascii_lowercase(), char.to_ascii_uppercase(), ']']);
        } else {
            expression.push_str(&regex_syntax::escape(char.encode_utf8(&mut [0; 4])));
        }
        expression
    })
}

/// Compiles each expression once, with the routes that have it, in order of the first of them.
fn compile_regexes(
    regexes: BTreeMap<Cow<'_, str>, Vec<u32>>,
    bucket: impl Fn(Vec<u32>) -> Bucket,
    library: &mut Library,
) -> Result<Regexes<Bucket>, RouteError> {
    let mut parsed = Vec::with_capacity(regexes.len());
    let regexes = regexes.iter().map(|(text, routes)| (&**text, routes.clone()));
    for (text, routes) in regexes {
        let route = routes.first().copied().unwrap_or_default();
        let expression = Expression::parse(text).map_err(|error| unusable(route, &error))?;
        parsed.push((route, expression, bucket(routes)));
    }
    parsed.sort_by_key(|(route, _, bucket)| (bucket.lowest(), *route));
    let routes: Vec<u32> = parsed.iter().map(|(route, ..)| *route).collect();
    let expressions = parsed.into_iter().map(|(_, expression, bucket)| (expression, bucket)).collect();
    Regexes::compile(expressions, library).map_err(|(position, error)| unusable(routes[position], &error))
}

fn unusable(route: u32, error: &RegexError) -> RouteError {
    RouteError::new(format!("routes[{route}].match.path.regex"), error.to_string())
}
