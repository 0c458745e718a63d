//! `HTTPCORSFilter`: which pages of other origins may read the answers (Gateway API GEP-1767).

use super::{HEADERS, is_token};
use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::{fields, non_empty};
use crate::scalar::is_subdomain;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use weir_model::HeaderName;
use weir_model::mesh::CorsFilter;

/// What the Gateway API takes if a filter does not say, in seconds.
const MAX_AGE: u32 = 5;
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"];
const KNOWN: [&str; 6] =
    ["allowOrigins", "allowCredentials", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"];
const ORIGINS: usize = 64;

pub(super) fn read(at: &At<'_>) -> Option<CorsFilter> {
    const SCHEMA: Schema = Schema::of(&KNOWN);
    let cors = at.object(&SCHEMA)?;
    let origins = cors.required(KNOWN[0], "add an origin such as https://shop.example").and_then(|at| {
        let origins: Vec<_> = at.list(1..=ORIGINS)?.iter().map(read_origin).collect();
        origins.into_iter().collect::<Option<Vec<_>>>()
    });
    let methods = list(&cors, KNOWN[2], |at| {
        let text = at.text()?;
        if !METHODS.contains(&text) {
            at.not_one_of(text, &METHODS);
            return None;
        }
        Method::from_bytes(text.as_bytes()).ok()
    });
    let (headers, expose) = (list(&cors, KNOWN[3], read_name), list(&cors, KNOWN[4], read_name));
    let credentials = match cors.get(KNOWN[1]) {
        Some(at) => match at.value() {
            Value::Bool(allowed) => Some(*allowed),
            _ => {
                at.error(format!("{} is not true or false", excerpt(at.value())), "write true or false");
                None
            }
        },
        None => Some(false),
    };
    let max_age = match cors.get(KNOWN[5]) {
        Some(at) => at.count(1..=i32::MAX as u32),
        None => Some(MAX_AGE),
    };
    Some(CorsFilter {
        origins: origins?,
        methods: methods?,
        headers: headers?,
        expose: expose?,
        max_age: Duration::from_secs(u64::from(max_age?)),
        credentials: credentials?,
    })
}

fn list<T>(cors: &Fields<'_>, field: &str, read: impl Fn(&At<'_>) -> Option<T>) -> Option<Vec<T>> {
    let Some(at) = cors.get(field) else { return Some(Vec::new()) };
    let entries: Vec<_> = at.list(0..=HEADERS * 4)?.iter().map(read).collect();
    entries.into_iter().collect()
}

fn read_name(at: &At<'_>) -> Option<HeaderName> {
    let text = at.text()?;
    let name = if is_token(text) { text.parse().ok() } else { None };
    if name.is_none() {
        at.error(format!("{} is not a header's name", excerpt(at.value())), "write one, or \"*\"");
    }
    name
}

/// `*`, or a scheme and a host, whose first label may be `*`, and perhaps a port.
fn read_origin(at: &At<'_>) -> Option<String> {
    let text = at.text()?;
    let good = text == "*"
        || text.split_once("://").is_some_and(|(scheme, authority)| {
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) => (host, port.parse::<u16>().is_ok()),
                None => (authority, true),
            };
            let host = host.strip_prefix("*.").unwrap_or(host);
            matches!(scheme, "http" | "https") && port && (host == "*" || is_subdomain(host))
        });
    if !good {
        let mend = "write one such as https://shop.example or https://*.shop.example, or \"*\"";
        at.error(format!("{} is not an origin", excerpt(at.value())), mend);
    }
    good.then(|| text.to_owned())
}

pub(super) fn write(cors: &CorsFilter) -> Value {
    let names = |names: &[HeaderName]| non_empty(names.iter().map(|name| json!(name.as_str())).collect());
    fields([
        (KNOWN[0], non_empty(cors.origins.iter().map(|origin| json!(origin)).collect())),
        (KNOWN[1], cors.credentials.then_some(json!(true))),
        (KNOWN[2], non_empty(cors.methods.iter().map(|method| json!(method.as_str())).collect())),
        (KNOWN[3], names(&cors.headers)),
        (KNOWN[4], names(&cors.expose)),
        (KNOWN[5], Some(json!(cors.max_age.as_secs()))),
    ])
}
