//! Words that are answered with: a fallback's `response`, a `RouteFilter`'s `directResponse`.

use super::read_status;
use crate::decode::{At, Schema, excerpt};
use crate::parse::fields;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use weir_model::{DirectResponse, StaticAnswer, limits};

/// The longest media type.
const CONTENT_TYPE: usize = 256;

/// What the two places call the same things.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    schema: Schema,
    status: &'static str,
    /// What to do about a body that is too long.
    mend: &'static str,
}

/// A fallback's response.
pub(crate) const FALLBACK: Words = Words {
    schema: Schema::of(&["status", "contentType", "body"]),
    status: "status",
    mend: "shorten it, or name a backendRef",
};

/// A route's own response.
pub(crate) const DIRECT: Words = Words {
    schema: Schema::of(&["statusCode", "contentType", "body"]),
    status: "statusCode",
    mend: "shorten it, or name a backendRef in place of the filter",
};

pub(crate) fn read(at: &At<'_>, words: Words) -> Option<StaticAnswer> {
    let response = at.object(&words.schema)?;
    let status = match response.get(words.status) {
        Some(at) => read_status(&at, 200..=599),
        None => Some(StatusCode::OK),
    };
    let body = match response.get("body") {
        Some(at) => at.text().filter(|text| {
            let fits = text.len() <= limits::DIRECT_BODY_BYTES;
            if !fits {
                at.error(format!("it is longer than {} bytes", limits::DIRECT_BODY_BYTES), words.mend);
            }
            fits
        }),
        None => Some(""),
    };
    let content_type = match response.get_text("contentType") {
        Some((at, text)) => read_media_type(&at, text).map(Some),
        None => Some(None),
    };
    let (status, body, content_type) = (status?, body?, content_type?);
    if body.is_empty() && content_type.is_some() {
        at.warning("contentType says what a body is, and there is none", "add a body, or remove it");
    }
    if !body.is_empty() && matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        at.error(format!("a response {} has no body", status.as_u16()), "remove the body");
        return None;
    }
    Some(StaticAnswer { response: DirectResponse { status, body: body.to_owned() }, content_type })
}

/// `TYPE/SUBTYPE`, with or without parameters (RFC 9110 section 8.3.1).
fn read_media_type(at: &At<'_>, text: &str) -> Option<HeaderValue> {
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let known = essence.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub));
    let clean = text.len() <= CONTENT_TYPE && text.trim() == text && text.is_ascii();
    let value = HeaderValue::from_str(text).ok().filter(|value| known && clean && value.to_str().is_ok());
    if value.is_none() {
        let found = excerpt(&Value::from(text));
        at.error(format!("{found} is not a media type"), "write one, such as application/json");
    }
    value
}

pub(crate) fn write(answer: &StaticAnswer, words: Words) -> Value {
    let StaticAnswer { response, content_type } = answer;
    let body = (!response.body.is_empty()).then(|| json!(response.body));
    let content_type =
        content_type.as_ref().map(|kind| json!(String::from_utf8_lossy(kind.as_bytes()).into_owned()));
    fields([
        (words.status, Some(json!(response.status.as_u16()))),
        ("contentType", content_type),
        ("body", body),
    ])
}
