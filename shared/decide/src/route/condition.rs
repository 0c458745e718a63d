//! The conditions of one route, but for the path.

use super::more::More;
use super::pattern::{Library, Patterns, RegexError};
use super::{Head, RouteError, query};
use http::{HeaderMap, HeaderName, Method};
use std::sync::Arc;
use weir_model::{Random, RouteMatch, StringMatch};

/// All of a route's conditions that the path does not decide.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) method: Option<Method>,
    pub(super) headers: Box<[(HeaderName, Value)]>,
    pub(super) query: Box<[(Box<[u8]>, Value)]>,
    /// Parts per million, if not all of them.
    pub(super) fraction: Option<u32>,
    /// What few routes ask.
    more: Option<Box<More>>,
}

/// A condition on a value that is there.
#[derive(Debug)]
pub(super) enum Value {
    Exact(Box<[u8]>),
    Regex(Arc<Patterns>),
    Present,
}

/// A whole, as fractions have it.
pub(super) const WHOLE: u32 = 1_000_000;

/// What a request draws where a fraction is to decide: one number for all of them, as with Envoy, so that routes with the fractions 1/3 and
/// 2/3 and one without take a third each.
#[derive(Debug)]
pub(super) struct Draw<'a> {
    random: &'a mut Random,
    value: Option<u64>,
}

impl<'a> Draw<'a> {
    pub(super) fn new(random: &'a mut Random) -> Self {
        Self { random, value: None }
    }

    /// Below [`WHOLE`].
    fn value(&mut self) -> u64 {
        *self.value.get_or_insert_with(|| self.random.below(u64::from(WHOLE)))
    }
}

impl Conditions {
    pub(super) fn compile(matches: &RouteMatch, library: &mut Library) -> Result<Self, RouteError> {
        let mut value = |value: &StringMatch, field: String| {
            Value::compile(value, library)
                .map_err(|error| RouteError::new(field + ".value.regex", error.to_string()))
        };
        let headers = matches.headers.iter().enumerate().map(|(index, header)| {
            Ok((header.name.clone(), value(&header.value, format!("headers[{index}]"))?))
        });
        let headers = headers.collect::<Result<_, _>>()?;
        let query = matches.query.iter().enumerate().map(|(index, parameter)| {
            Ok((parameter.name.as_bytes().into(), value(&parameter.value, format!("query[{index}]"))?))
        });
        let query = query.collect::<Result<_, _>>()?;
        let fraction = matches.fraction.map(|fraction| fraction.0).filter(|parts| *parts < WHOLE);
        let more = match matches.more.as_deref() {
            Some(more) => More::compile(more, library)?,
            None => None,
        };
        Ok(Self { method: matches.method.clone(), headers, query, fraction, more })
    }

    /// Whether every request with the right path is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.method.is_none()
            && self.headers.is_empty()
            && self.query.is_empty()
            && self.fraction.is_none()
            && self.more.is_none()
    }

    /// Whether no request is ever taken.
    pub(super) fn is_never(&self) -> bool {
        self.fraction == Some(0)
    }

    /// Whether all hold. Draws only where all others do and a fraction is left to decide.
    pub(super) fn hold(&self, head: &Head<'_>, draw: &mut Draw<'_>) -> bool {
        self.method.as_ref().is_none_or(|method| method == head.method)
            && self.headers.iter().all(|(name, value)| value.holds_in(head.headers, name))
            && self.query.iter().all(|(name, value)| {
                head.query
                    .and_then(|query| query::first(query, name))
                    .is_some_and(|raw| value.holds_encoded(raw))
            })
            && self.more.as_ref().is_none_or(|more| more.hold(head))
            && self.fraction.is_none_or(|parts| draw.value() < u64::from(parts))
    }
}

impl Value {
    pub(super) fn compile(value: &StringMatch, library: &mut Library) -> Result<Self, RegexError> {
        Ok(match value {
            StringMatch::Exact(text) => Self::Exact(text.as_bytes().into()),
            StringMatch::Regex(text) => Self::Regex(library.single(text)?),
            StringMatch::Present => Self::Present,
        })
    }

    pub(super) fn holds(&self, actual: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => **expected == *actual,
            Self::Regex(patterns) => patterns.is_match(actual),
            Self::Present => true,
        }
    }

    /// Whether it holds for a field of this name: of several, one is enough, as with Envoy.
    pub(super) fn holds_in(&self, headers: &HeaderMap, name: &HeaderName) -> bool {
        headers.get_all(name).iter().any(|actual| self.holds(actual.as_bytes()))
    }

    /// The same for a percent-encoded value.
    pub(super) fn holds_encoded(&self, encoded: &str) -> bool {
        match self {
            Self::Exact(expected) => query::equals(encoded, expected),
            Self::Regex(patterns) => patterns.is_match(&query::decode(encoded)),
            Self::Present => true,
        }
    }
}
