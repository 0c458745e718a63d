//! Cross-origin requests: Envoy's `cors`, whose lists are texts joined by commas.

use super::super::fault::{At, Check, Fault, each, is_set, required};
use super::super::pb::{cors, google};
use super::super::{header, text, wire};
use http::Method;
use std::time::Duration;
use weir_model::{Cors, HeaderName, StringMatch, limits};

/// The message of a policy with origins.
pub(super) fn encode(policy: &Cors) -> cors::CorsPolicy {
    let origin = |origin: &StringMatch| {
        // What may be anything is said as an expression.
        text::encode(origin).or_else(|| text::encode(&StringMatch::Regex(".*".to_owned())))
    };
    let names = |names: &[HeaderName]| names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(",");
    cors::CorsPolicy {
        allow_origin_string_match: policy.origins.iter().filter_map(origin).collect(),
        allow_methods: policy.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(","),
        allow_headers: names(&policy.headers),
        expose_headers: names(&policy.expose),
        max_age: policy.max_age.map(|age| age.as_secs().to_string()).unwrap_or_default(),
        allow_credentials: policy.credentials.then_some(google::BoolValue { value: true }),
        ..cors::CorsPolicy::default()
    }
}

/// The policy of a message; without origins if it is switched off.
pub(super) fn decode(message: &cors::CorsPolicy) -> Check<Cors> {
    if message.allow_private_network_access.is_some_and(|allowed| allowed.value) {
        return Err(Fault::unsupported("allow_private_network_access"));
    }
    if message.forward_not_matching_preflights.is_some_and(|forwarded| !forwarded.value) {
        return Err(Fault::of("forward_not_matching_preflights", "only true is supported; leave it unset"));
    }
    if let Some(switch) = &message.filter_enabled {
        let value = required("default_value", switch.default_value.as_ref()).at("filter_enabled")?;
        match wire::from_fraction(value).at("default_value").at("filter_enabled")?.0 {
            0 => return Ok(Cors::default()),
            1_000_000 => {}
            _ => return Err(Fault::of("filter_enabled", "only 0 and 100 % are supported")),
        }
    }
    let origins = &message.allow_origin_string_match;
    let policy = Cors {
        origins: each("allow_origin_string_match", origins, limits::CORS_ENTRIES, text::decode)?,
        methods: list("allow_methods", &message.allow_methods, |method| {
            Method::from_bytes(method.as_bytes())
                .map_err(|_| Fault::new(format!("{:?} is no method", wire::cut(method))))
        })?,
        headers: list("allow_headers", &message.allow_headers, header::header_name)?,
        expose: list("expose_headers", &message.expose_headers, header::header_name)?,
        max_age: from_age(&message.max_age)?,
        credentials: message.allow_credentials.is_some_and(|allowed| allowed.value),
    };
    // What nobody is allowed to do needs no telling.
    Ok(if policy.origins.is_empty() { Cors::default() } else { policy })
}

/// The entries of a list in a text.
fn list<T>(field: &str, joined: &str, decode: impl Fn(&str) -> Check<T>) -> Check<Vec<T>> {
    let entries: Vec<&str> = joined.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    each(field, &entries, limits::CORS_ENTRIES, |entry| decode(entry))
}

fn from_age(text: &String) -> Check<Option<Duration>> {
    if !is_set(text) {
        return Ok(None);
    }
    let seconds = text.trim().parse::<u32>();
    let seconds = seconds
        .map_err(|_| Fault::of("max_age", format!("{:?} is no number of seconds", wire::cut(text))))?;
    Ok(Some(Duration::from_secs(u64::from(seconds))))
}
