//! The conditions that few routes have: on parts of the head that are no header fields, on what is not there, on numbers, on gRPC and on
//! cookies. They are looked at last, and narrow no index.

use super::condition::Value;
use super::explain::Failure;
use super::pattern::{Library, RegexError};
use super::{Head, RouteError, query};
use crate::hop;
use http::HeaderMap;
use http::header::COOKIE;
use std::borrow::Cow;
use weir_model::access_log::LogField;
use weir_model::{CookieCondition, FieldCondition, HeaderName, MoreConditions, ValueCondition};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a route asks besides, compiled.
#[derive(Debug)]
pub(super) struct More {
    grpc: bool,
    fields: Box<[Field]>,
    absent: Box<[Box<[u8]>]>,
    cookies: Box<[Cookie]>,
}

#[derive(Debug)]
struct Field {
    field: LogField,
    test: Test,
    invert: bool,
    missing_is_empty: bool,
}

#[derive(Debug)]
enum Test {
    Value(Value),
    Range(i64, i64),
    Absent,
}

#[derive(Debug)]
struct Cookie {
    name: Box<[u8]>,
    value: Value,
    invert: bool,
}

impl More {
    /// `None` if nothing is asked that the path does not decide.
    pub(super) fn compile(
        model: &MoreConditions,
        library: &mut Library,
    ) -> Result<Option<Box<Self>>, RouteError> {
        let unusable = |field: String| move |error: RegexError| RouteError::new(field, error.to_string());
        let fields = model.fields.iter().enumerate().map(|(index, condition)| {
            Field::compile(condition, library).map_err(unusable(format!("fields[{index}].value.regex")))
        });
        let fields = fields.collect::<Result<_, _>>()?;
        let cookies = model.cookies.iter().enumerate().map(|(index, condition)| {
            Cookie::compile(condition, library).map_err(unusable(format!("cookies[{index}].value.regex")))
        });
        let cookies = cookies.collect::<Result<_, _>>()?;
        let absent = model.absent_query.iter().map(|name| name.as_bytes().into()).collect();
        let more = Self { grpc: model.grpc, fields, absent, cookies };
        Ok((!more.is_empty()).then(|| Box::new(more)))
    }

    fn is_empty(&self) -> bool {
        !self.grpc && self.fields.is_empty() && self.absent.is_empty() && self.cookies.is_empty()
    }

    /// Whether all hold.
    pub(super) fn hold(&self, head: &Head<'_>) -> bool {
        (!self.grpc || hop::is_grpc(head.headers))
            && self.fields.iter().all(|field| field.holds(head))
            && self.absent.iter().all(|name| is_absent(head, name))
            && self.cookies.iter().all(|cookie| cookie.holds(head.headers))
    }
}

impl Field {
    fn compile(model: &FieldCondition, library: &mut Library) -> Result<Self, RegexError> {
        let test = match &model.value {
            ValueCondition::Text(value) => Test::Value(Value::compile(value, library)?),
            ValueCondition::Range(from, to) => Test::Range(*from, *to),
            ValueCondition::Absent => Test::Absent,
        };
        let FieldCondition { field, invert, missing_is_empty, .. } = model;
        Ok(Self { field: field.clone(), test, invert: *invert, missing_is_empty: *missing_is_empty })
    }

    /// Of several fields of one name one that passes the test is enough; inverted, none may.
    fn holds(&self, head: &Head<'_>) -> bool {
        let mut values = values(&self.field, head).peekable();
        match (&self.test, values.peek().is_some()) {
            // An empty one is there.
            (Test::Absent, there) => (there || self.missing_is_empty) == self.invert,
            (Test::Value(Value::Present), there) => (there || self.missing_is_empty) != self.invert,
            (test, false) => self.missing_is_empty && test.passes(b"") != self.invert,
            (test, true) => values.any(|value| test.passes(&value)) != self.invert,
        }
    }
}

impl Test {
    fn passes(&self, value: &[u8]) -> bool {
        match self {
            Self::Value(expected) => expected.holds(value),
            Self::Range(from, to) => number(value).is_some_and(|number| (*from..*to).contains(&number)),
            Self::Absent => false,
        }
    }
}

impl Cookie {
    fn compile(model: &CookieCondition, library: &mut Library) -> Result<Self, RegexError> {
        let value = Value::compile(&model.value, library)?;
        Ok(Self { name: model.name.as_bytes().into(), value, invert: model.invert })
    }

    fn holds(&self, headers: &HeaderMap) -> bool {
        let found = cookie(headers, &self.name).is_some_and(|value| self.value.holds(value));
        found != self.invert
    }
}

fn is_absent(head: &Head<'_>, name: &[u8]) -> bool {
    head.query.is_none_or(|query| query::first(query, name).is_none())
}

/// Every value that a part of the head has.
fn values<'a>(field: &'a LogField, head: &Head<'a>) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let (part, named) = match field {
        LogField::Header(name) => (None, Some(name)),
        LogField::Method => (Some(Cow::Borrowed(head.method.as_str().as_bytes())), None),
        LogField::Authority => (Some(Cow::Borrowed(head.authority.as_bytes())), None),
        LogField::Path => (Some(target(head)), None),
        LogField::Scheme => (Some(Cow::Borrowed(scheme(head.headers))), None),
        LogField::Status => (None, None),
    };
    let fields = named.into_iter().flat_map(|name| head.headers.get_all(name));
    part.into_iter().chain(fields.map(|value| Cow::Borrowed(value.as_bytes())))
}

/// Path and query.
fn target<'a>(head: &Head<'a>) -> Cow<'a, [u8]> {
    match head.query {
        None => Cow::Borrowed(head.path.as_bytes()),
        Some(query) => Cow::Owned([head.path, "?", query].concat().into_bytes()),
    }
}

/// The scheme that a hop before this one says the caller used; `http`, where none does.
fn scheme(headers: &HeaderMap) -> &[u8] {
    let said = headers.get(FORWARDED_PROTO).map(|value| value.as_bytes());
    let known = |said: &&[u8]| said.eq_ignore_ascii_case(b"http") || said.eq_ignore_ascii_case(b"https");
    said.filter(known).unwrap_or(b"http")
}

/// A whole number in decimal, with a sign or without, and with white space around it.
fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim_ascii().parse().ok()
}

/// The value of the first cookie of a name, without the quotes around it.
fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut named = pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..at] == *name).then_some(&pair[at + 1..])
    });
    let value = named.next()?;
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    Some(quoted.unwrap_or(value))
}

/// The first of these conditions that does not hold, in words.
pub(super) fn failure(model: &MoreConditions, head: &Head<'_>) -> Option<Failure> {
    let fails = |field: String, reason: String| Some(Failure { field: format!("match.{field}"), reason });
    if model.grpc && !hop::is_grpc(head.headers) {
        return fails("grpc".to_owned(), "asks for gRPC, which the request's content is not".to_owned());
    }
    for (index, condition) in model.fields.iter().enumerate() {
        let name = format!("fields[{index}]");
        let holds = match Field::compile(condition, &mut Library::default()) {
            Ok(field) => field.holds(head),
            Err(error) => return fails(format!("{name}.value.regex"), error.to_string()),
        };
        if !holds {
            let found: Vec<String> = values(&condition.field, head)
                .map(|value| format!("{:?}", String::from_utf8_lossy(&value)))
                .collect();
            let found = if found.is_empty() { "not there".to_owned() } else { found.join(", ") };
            let not = if condition.invert { "not " } else { "" };
            let reason =
                format!("asks that {} be {not}{:?}; it is {found}", condition.field, condition.value);
            return fails(name, reason);
        }
    }
    if let Some(index) = model.absent_query.iter().position(|name| !is_absent(head, name.as_bytes())) {
        return fails(format!("absent_query[{index}]"), "is in the request's query".to_owned());
    }
    for (index, condition) in model.cookies.iter().enumerate() {
        let name = format!("cookies[{index}]");
        match Cookie::compile(condition, &mut Library::default()) {
            Ok(cookie) if cookie.holds(head.headers) => {}
            Ok(_) => return fails(name, format!("does not hold for the cookie {}", condition.name)),
            Err(error) => return fails(format!("{name}.value.regex"), error.to_string()),
        }
    }
    None
}

#[cfg(test)]
mod tests;
