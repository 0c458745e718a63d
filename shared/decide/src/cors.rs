//! Which pages of other origins may read an answer (Fetch standard, "HTTP CORS protocol"), as Envoy's filter has it.
//!
//! A preflight of an origin that may is answered here. What is said to others is nothing: their request goes on, and their browser keeps the
//! answer from them.

use crate::route::{AnyText, FieldCompiler, RouteError};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, ORIGIN,
};
use http::{HeaderName, HeaderValue, Method};
use weir_model::StringMatch;

/// Everything, in a list of what is allowed.
const ANY: &str = "*";

/// A policy, ready to decide.
#[derive(Debug)]
pub struct Cors {
    any_origin: bool,
    origins: AnyText,
    methods: Allowed,
    headers: Allowed,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    credentials: bool,
}

/// What a preflight is told of one of its questions.
#[derive(Debug)]
enum Allowed {
    /// Nothing.
    Unsaid,
    /// This list.
    These(HeaderValue),
    /// Whatever was asked for: `*` means itself where credentials come along.
    Asked,
}

/// What becomes of a request of an origin that may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It only asks: it is answered with these fields, and goes nowhere.
    Preflight(HeaderMap),
    /// It goes on, and its answer gets these fields in place of those of their names.
    Actual(HeaderMap),
}

impl Cors {
    /// Compiles a policy; nothing for one without origins.
    ///
    /// # Errors
    ///
    /// With the first regular expression that cannot be compiled.
    pub fn compile(
        model: &weir_model::Cors,
        compiler: &mut FieldCompiler,
    ) -> Result<Option<Self>, RouteError> {
        if model.origins.is_empty() {
            return Ok(None);
        }
        let names = |names: &[HeaderName]| joined(names.iter().map(HeaderName::as_str));
        let allowed = |list: Option<HeaderValue>| match list {
            Some(list) if list == ANY && model.credentials => Allowed::Asked,
            Some(list) => Allowed::These(list),
            None => Allowed::Unsaid,
        };
        Ok(Some(Self {
            any_origin: model.origins.contains(&StringMatch::Exact(ANY.to_owned())),
            origins: compiler.texts(&model.origins, "allow_origin_string_match")?,
            methods: allowed(joined(model.methods.iter().map(Method::as_str))),
            headers: allowed(names(&model.headers)),
            expose: names(&model.expose),
            max_age: model.max_age.map(|age| HeaderValue::from(age.as_secs())),
            credentials: model.credentials,
        }))
    }

    /// Decides on a request; nothing if it is of no origin, or of one that may not.
    pub fn decide(&self, method: &Method, headers: &HeaderMap) -> Option<Verdict> {
        let origin = headers.get(ORIGIN).filter(|origin| !origin.is_empty())?;
        if !self.any_origin && !self.origins.holds(origin.as_bytes()) {
            return None;
        }
        let mut answer = HeaderMap::new();
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|asked| !asked.is_empty());
        let (Method::OPTIONS, Some(asked)) = (method.clone(), asked) else {
            insert(&mut answer, ACCESS_CONTROL_EXPOSE_HEADERS, self.expose.as_ref());
            return Some(Verdict::Actual(answer));
        };
        insert(&mut answer, ACCESS_CONTROL_ALLOW_METHODS, self.methods.of(Some(asked)));
        let wanted = headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
        insert(&mut answer, ACCESS_CONTROL_ALLOW_HEADERS, self.headers.of(wanted));
        insert(&mut answer, ACCESS_CONTROL_MAX_AGE, self.max_age.as_ref());
        Some(Verdict::Preflight(answer))
    }
}

impl Allowed {
    fn of<'a>(&'a self, asked: Option<&'a HeaderValue>) -> Option<&'a HeaderValue> {
        match self {
            Allowed::Unsaid => None,
            Allowed::These(list) => Some(list),
            Allowed::Asked => asked,
        }
    }
}

fn insert(answer: &mut HeaderMap, name: HeaderName, value: Option<&HeaderValue>) {
    if let Some(value) = value {
        answer.insert(name, value.clone());
    }
}

/// A list as one value; nothing if it is empty.
fn joined<'a>(entries: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let entries: Vec<&str> = entries.collect();
    // Names and methods are tokens, which may stand in a field.
    (!entries.is_empty()).then(|| HeaderValue::from_str(&entries.join(", ")).ok()).flatten()
}

#[cfg(test)]
mod tests;
