//! `HTTPRouteMatch`: path, method, header fields, query parameters.

use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::{fields, non_empty};
use http::Method;
use serde_json::{Value, json};
use weir_decide::route::{RegexError, check_regex};
use weir_model::{HeaderMatch, HeaderName, PathMatch, QueryMatch, RouteMatch, StringMatch, limits};

// The bounds of the Gateway API's CRD.
const CONDITIONS: usize = 16;
const PATH: usize = 1024;
const NAME: usize = 256;
const HEADER_VALUE: usize = 4096;
const QUERY_VALUE: usize = 1024;

const METHODS: [(&str, Method); 9] = [
    ("GET", Method::GET),
    ("HEAD", Method::HEAD),
    ("POST", Method::POST),
    ("PUT", Method::PUT),
    ("DELETE", Method::DELETE),
    ("CONNECT", Method::CONNECT),
    ("OPTIONS", Method::OPTIONS),
    ("TRACE", Method::TRACE),
    ("PATCH", Method::PATCH),
];

pub(super) fn read(at: &At<'_>) -> Option<RouteMatch> {
    let one = at.object(&Schema::of(&["path", "headers", "queryParams", "method"]))?;
    let path = match one.get("path") {
        Some(at) => read_path(&at),
        None => Some(PathMatch::default()),
    };
    let method = match one.get_text("method") {
        Some((at, _)) => read_method(&at).map(Some),
        None => Some(None),
    };
    let headers = read_headers(&one);
    let query =
        read_conditions(&one, "queryParams", QUERY_VALUE, |text| Some(text.to_owned()), String::as_str);
    Some(RouteMatch {
        path: path?,
        method: method?,
        headers: headers?,
        query: query?.into_iter().map(|(name, value)| QueryMatch { name, value }).collect(),
        fraction: None,
        more: None,
    })
}

/// The conditions on header fields, of a match of whichever kind.
pub(crate) fn read_headers(one: &Fields<'_>) -> Option<Vec<HeaderMatch>> {
    let headers = read_conditions(one, "headers", HEADER_VALUE, |text| text.parse().ok(), HeaderName::as_str);
    Some(headers?.into_iter().map(|(name, value)| HeaderMatch { name, value }).collect())
}

/// Those conditions as they are written; nothing if there are none.
pub(crate) fn write_headers(headers: &[HeaderMatch]) -> Option<Value> {
    non_empty(headers.iter().map(|header| write_condition(header.name.as_str(), &header.value)).collect())
}

fn read_method(at: &At<'_>) -> Option<Method> {
    let text = at.text()?;
    let found = METHODS.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        at.not_one_of(text, &METHODS.each_ref().map(|(name, _)| *name));
    }
    found.map(|(_, method)| method.clone())
}

#[derive(Clone, Copy)]
enum PathType {
    Exact,
    Prefix,
    Regex,
}

fn read_path(at: &At<'_>) -> Option<PathMatch> {
    let path = at.object(&Schema::of(&["type", "value"]))?;
    let types = [
        ("Exact", PathType::Exact),
        ("PathPrefix", PathType::Prefix),
        ("RegularExpression", PathType::Regex),
    ];
    let kind = match path.get_text("type") {
        Some((at, _)) => at.word(&types),
        None => Some(PathType::Prefix),
    };
    let value = match path.get_text("value") {
        Some((at, text)) => match kind {
            Some(PathType::Regex) => read_regex(&at, text),
            _ => check_path(&at, text).then(|| text.to_owned()),
        },
        None => Some("/".to_owned()),
    };
    let value = value?;
    Some(match kind? {
        PathType::Exact => PathMatch::Exact(value),
        PathType::Regex => PathMatch::Regex(value),
        // A slash at the end means nothing: whole segments are compared.
        PathType::Prefix => match value.trim_end_matches('/') {
            "" => PathMatch::default(),
            prefix => PathMatch::Prefix(prefix.to_owned()),
        },
    })
}

/// Whether a path is one that a normalised request can have; reports why not.
pub(super) fn check_path(at: &At<'_>, path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let problem = if path.len() > PATH {
        Some(("it is longer than 1024 characters".to_owned(), "shorten it"))
    } else if !path.starts_with('/') {
        Some((format!("{} does not start with /", excerpt(at.value())), "write an absolute path"))
    } else if let Some(part) = ["//", "/./", "/../"].into_iter().find(|part| path.contains(part)) {
        Some((format!("it contains {part}, which no normalised path has"), "write the normalised path"))
    } else if let Some(part) = ["%2f", "#"].into_iter().find(|part| lower.contains(part)) {
        Some((format!("it contains {part}"), "remove it"))
    } else if path.ends_with("/.") || path.ends_with("/..") {
        Some(("it ends with a dot segment".to_owned(), "write the normalised path"))
    } else if path.contains('?') {
        Some(("it contains a query".to_owned(), "match the query with queryParams"))
    } else if !is_path(path) {
        Some((
            format!("{} has characters that a path does not have", excerpt(at.value())),
            "percent-encode them",
        ))
    } else {
        None
    };
    if let Some((message, mend)) = &problem {
        at.error(message, *mend);
    }
    problem.is_none()
}

/// The characters of a path (RFC 3986, section 3.3).
fn is_path(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        let good = match byte {
            b'%' => hex(bytes.next()) && hex(bytes.next()),
            _ => byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&byte),
        };
        if !good {
            return false;
        }
    }
    true
}

/// A regular expression that the data plane can match on: it is the data plane's own check that says so.
pub(crate) fn read_regex(at: &At<'_>, text: &str) -> Option<String> {
    let (message, mend) = match check_regex(text) {
        Ok(()) => return Some(text.to_owned()),
        Err(RegexError::TooLong(_)) => {
            (format!("the expression is longer than {} bytes", limits::REGEX_BYTES), "shorten it")
        }
        Err(RegexError::Syntax { what, .. }) => {
            (format!("{} is not a regular expression: {what}", excerpt(at.value())), "use RE2 syntax")
        }
        Err(RegexError::TooLarge | RegexError::TooLargeTogether) => (
            "the expression needs too much memory".to_owned(),
            "lower its repetition counts, or repeat something narrower, such as [^/] for .",
        ),
    };
    at.error(message, mend);
    None
}

/// Headers or query parameters, each name at most once.
fn read_conditions<N: PartialEq>(
    one: &Fields<'_>,
    field: &str,
    longest: usize,
    parse_name: impl Fn(&str) -> Option<N>,
    shown: impl Fn(&N) -> &str,
) -> Option<Vec<(N, StringMatch)>> {
    let Some(at) = one.get(field) else { return Some(Vec::new()) };
    let mut conditions: Vec<(N, StringMatch)> = Vec::new();
    let mut complete = true;
    for at in at.list(0..=CONDITIONS)? {
        match read_condition(&at, longest, &parse_name) {
            Some((name, _)) if conditions.iter().any(|(known, _)| *known == name) => {
                at.error(
                    format!("{} is there twice", shown(&name)),
                    "merge the two, all conditions must hold",
                );
            }
            Some(condition) => conditions.push(condition),
            None => complete = false,
        }
    }
    complete.then_some(conditions)
}

fn read_condition<N>(
    at: &At<'_>,
    longest: usize,
    parse_name: impl Fn(&str) -> Option<N>,
) -> Option<(N, StringMatch)> {
    let condition = at.object(&Schema::of(&["type", "name", "value"]))?;
    let regex = match condition.get_text("type") {
        Some((at, _)) => at.word(&[("Exact", false), ("RegularExpression", true)]),
        None => Some(false),
    };
    let name = condition.required_text("name", "add a name").and_then(|(at, text)| {
        let name = if is_token(text) { parse_name(text) } else { None };
        if name.is_none() {
            at.error(
                format!("{} is not a name here", excerpt(at.value())),
                "use letters, digits and !#$%&'*+-.^_`|~, at most 256",
            );
        }
        name
    });
    let value = condition.required_text("value", "add a value").and_then(|(at, text)| {
        if text.len() > longest {
            at.error(format!("it is longer than {longest} bytes"), "shorten it");
            return None;
        }
        match regex {
            Some(true) => read_regex(&at, text).map(StringMatch::Regex),
            _ => Some(StringMatch::Exact(text.to_owned())),
        }
    });
    regex?;
    Some((name?, value?))
}

/// A token (RFC 9110, section 5.6.2) of bounded length.
pub(super) fn is_token(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= NAME && text.bytes().all(inner)
}

pub(super) fn write(one: &RouteMatch) -> Value {
    let (kind, value) = match &one.path {
        PathMatch::Exact(path) => ("Exact", path),
        // Only what other control planes say is in characters.
        PathMatch::Prefix(path) | PathMatch::Characters(path) => ("PathPrefix", path),
        PathMatch::Regex(expression) => ("RegularExpression", expression),
    };
    let query = one.query.iter().map(|parameter| write_condition(&parameter.name, &parameter.value));
    fields([
        ("path", Some(json!({"type": kind, "value": value}))),
        ("headers", write_headers(&one.headers)),
        ("queryParams", non_empty(query.collect())),
        ("method", one.method.as_ref().map(|method| json!(method.as_str()))),
    ])
}

fn write_condition(name: &str, value: &StringMatch) -> Value {
    let (kind, value) = match value {
        StringMatch::Exact(value) => ("Exact", value.as_str()),
        StringMatch::Regex(expression) => ("RegularExpression", expression.as_str()),
        StringMatch::Present => ("RegularExpression", ".*"),
    };
    json!({"type": kind, "name": name, "value": value})
}
