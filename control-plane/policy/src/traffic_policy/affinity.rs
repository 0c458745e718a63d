//! What brings callers back: what is hashed, what keeps a side of a split, sessions (also of an `HTTPRoute`'s rules), near localities.

use super::{duration_field, write_duration};
use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::fields;
use serde_json::{Value, json};
use std::time::Duration;
use weir_model::mesh::{LocalityFailover, Near};
use weir_model::{Cookie, HashSource, HeaderName, Session};

/// The cookie of a session that is not given a name.
const SESSION: &str = "weir-session";
const SECOND: Duration = Duration::from_secs(1);
const NEAR: [(&str, Near); 2] = [("Zone", Near::Zone), ("Region", Near::Region)];

/// Gateway API `SessionPersistence` (GEP-1619).
const PERSISTENCE: Schema = Schema {
    known: &["sessionName", "absoluteTimeout", "type", "cookieConfig"],
    later: &[("idleTimeout", "write an absoluteTimeout with cookieConfig.lifetimeType: Permanent")],
    ignored: &[],
};

/// What is hashed: exactly one thing.
pub(super) fn read_source(at: &At<'_>) -> Option<HashSource> {
    let fields = at.object(&Schema::of(&["header", "cookie", "sourceAddress", "query"]))?;
    one_of(&fields, &["header", "cookie", "sourceAddress", "query"])?;
    if let Some(at) = fields.get("sourceAddress") {
        return match at.value() {
            Value::Bool(true) => Some(HashSource::SourceAddress),
            other => {
                at.error(format!("{} is not allowed here", excerpt(other)), "write true");
                None
            }
        };
    }
    if let Some((_, name)) = fields.get_text("query") {
        return Some(HashSource::Query(name.to_owned()));
    }
    read_header_or_cookie(&fields)
}

/// By what callers keep their side of a split.
pub(super) fn read_splitting(at: &At<'_>) -> Option<HashSource> {
    let fields = at.object(&Schema::of(&["stickyBy"]))?;
    let at = fields.required("stickyBy", "name a cookie or a header, such as {cookie: {name: canary}}")?;
    let fields = at.object(&Schema::of(&["header", "cookie"]))?;
    one_of(&fields, &["header", "cookie"])?;
    read_header_or_cookie(&fields)
}

fn one_of(fields: &Fields<'_>, names: &[&str]) -> Option<()> {
    let given = names.iter().filter(|name| fields.get(name).is_some()).count();
    if given != 1 {
        let message = format!("{given} of {} are there", names.join(", "));
        fields.here().error(message, "write exactly one of them");
    }
    (given == 1).then_some(())
}

fn read_header_or_cookie(fields: &Fields<'_>) -> Option<HashSource> {
    if let Some(at) = fields.get("cookie") {
        return read_cookie(&at).map(HashSource::Cookie);
    }
    let (at, text) = fields.required_text("header", "name the request header")?;
    let header = text.parse::<HeaderName>().ok();
    if header.is_none() {
        at.error(
            format!("{} is not a header's name", excerpt(&Value::from(text))),
            "write one, such as x-user",
        );
    }
    header.map(HashSource::Header)
}

fn read_cookie(at: &At<'_>) -> Option<Cookie> {
    let fields = at.object(&Schema::of(&["name", "ttl", "path"]))?;
    let name = fields.required_text("name", "name the cookie").and_then(|(at, text)| token(&at, text));
    let ttl = read_seconds(&fields, "ttl").unwrap_or_default();
    let path = match fields.get_text("path") {
        Some((at, text)) => cookie_path(&at, text)?,
        None => "/".to_owned(),
    };
    Some(Cookie { name: name?, ttl: Some(ttl), path, attributes: Vec::new() })
}

fn token(at: &At<'_>, text: &str) -> Option<String> {
    let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if !good || text.len() > 128 {
        let found = excerpt(&Value::from(text));
        at.error(format!("{found} is not a cookie's name"), "write up to 128 letters, digits, dashes");
        return None;
    }
    Some(text.to_owned())
}

fn cookie_path(at: &At<'_>, text: &str) -> Option<String> {
    let good = text.starts_with('/') && text.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b';');
    if !good || text.len() > 1024 {
        at.error(format!("{} is not a cookie's path", excerpt(&Value::from(text))), "write one, such as /");
        return None;
    }
    Some(text.to_owned())
}

/// A duration in whole seconds, which is what a cookie can say.
fn read_seconds(fields: &Fields<'_>, name: &str) -> Option<Duration> {
    let duration = duration_field(fields, name, Duration::ZERO)?;
    if duration.subsec_nanos() > 0
        && let Some(at) = fields.get(name)
    {
        at.error("a cookie lives for whole seconds", "write a whole number of seconds, such as 1h or 90s");
        return None;
    }
    Some(duration)
}

/// A session. Only by cookie: one by header would be for callers that keep it by themselves.
pub(crate) fn read_session(at: &At<'_>) -> Option<Session> {
    let fields = at.object(&PERSISTENCE)?;
    if let Some((at, kind)) = fields.get_text("type").filter(|(_, kind)| *kind != "Cookie") {
        let found = excerpt(&Value::from(kind));
        at.error(format!("session persistence by {found} is not supported yet"), "write Cookie");
    }
    let lifetime = fields
        .get("cookieConfig")
        .and_then(|at| at.object(&Schema::of(&["lifetimeType"])))
        .and_then(|config| config.get("lifetimeType")?.word(&[("Session", false), ("Permanent", true)]));
    let permanent = lifetime.unwrap_or(false);
    let ttl = read_seconds(&fields, "absoluteTimeout");
    match (permanent, ttl) {
        (true, None | Some(Duration::ZERO)) => {
            fields.here().error("a permanent cookie needs an absoluteTimeout", "add one, such as 24h");
        }
        (false, Some(ttl)) if ttl >= SECOND => {
            let message = "absoluteTimeout has an effect on permanent cookies only";
            fields.here().error(message, "write cookieConfig: {lifetimeType: Permanent}, or remove it");
        }
        _ => {}
    }
    let name = match fields.get_text("sessionName") {
        Some((at, text)) => token(&at, text)?,
        None => SESSION.to_owned(),
    };
    let cookie =
        Cookie { name, ttl: Some(ttl.unwrap_or_default()), path: "/".to_owned(), attributes: Vec::new() };
    Some(Session { cookie, strict: false })
}

pub(super) fn read_failover(at: &At<'_>) -> Option<LocalityFailover> {
    let fields = at.object(&Schema::of(&["prefer", "overprovisioningPercent"]))?;
    let prefer = fields.required("prefer", "write Zone or Region")?.word(&NEAR)?;
    let overprovisioning = fields.get("overprovisioningPercent").and_then(|at| at.count(100..=10_000));
    Some(LocalityFailover { prefer, overprovisioning })
}

pub(super) fn write_source(source: &HashSource) -> Value {
    match source {
        HashSource::Header(name) => json!({"header": name.as_str()}),
        HashSource::Cookie(cookie) => json!({"cookie": write_cookie(cookie)}),
        HashSource::SourceAddress => json!({"sourceAddress": true}),
        HashSource::Query(name) => json!({"query": name}),
    }
}

pub(super) fn write_splitting(source: &HashSource) -> Value {
    json!({"stickyBy": write_source(source)})
}

fn write_cookie(cookie: &Cookie) -> Value {
    let ttl = cookie.ttl.filter(|ttl| !ttl.is_zero());
    fields([
        ("name", Some(json!(cookie.name))),
        ("ttl", ttl.map(write_duration)),
        ("path", (!cookie.path.is_empty()).then(|| json!(cookie.path))),
    ])
}

pub(crate) fn write_session(session: &Session) -> Value {
    let ttl = session.cookie.ttl.filter(|ttl| !ttl.is_zero());
    fields([
        ("sessionName", Some(json!(session.cookie.name))),
        ("absoluteTimeout", ttl.map(write_duration)),
        ("type", Some(json!("Cookie"))),
        ("cookieConfig", ttl.map(|_| json!({"lifetimeType": "Permanent"}))),
    ])
}

pub(super) fn write_failover(failover: &LocalityFailover) -> Value {
    let near = NEAR.iter().find(|(_, near)| *near == failover.prefer).map_or("Zone", |(word, _)| word);
    fields([
        ("prefer", Some(json!(near))),
        ("overprovisioningPercent", failover.overprovisioning.map(|percent| json!(percent))),
    ])
}
