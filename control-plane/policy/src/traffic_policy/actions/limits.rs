//! `rateLimits` of a policy or a `RouteFilter`: how many requests there may be, and who counts them.

use super::super::{duration_field, write_duration};
use crate::decode::{At, Fields, Schema, excerpt};
use crate::parse::{fields, non_empty};
use serde_json::{Value, json};
use std::time::Duration;
use weir_model::mesh::AdmissionPolicy;
use weir_model::{HeaderName, KeyedLimit, LimitKey, RateLimits, TokenBucket, limits};

/// What Envoy takes as the shortest interval.
const INTERVAL: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);
/// The largest number of requests in an interval, or at once.
pub(super) const REQUESTS: u32 = 1_000_000_000;

const LIMIT: Schema = Schema::of(&["requests", "interval", "burst", "by", "header", "enforcedBy"]);
const SIDES: [(&str, Side); 2] = [("Service", Side::Service), ("Caller", Side::Caller)];

/// Who keeps a limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Service,
    Caller,
}

/// Limits, by who keeps them; the name is for the caller to give.
pub(crate) fn read(at: &At<'_>) -> AdmissionPolicy {
    let mut policy = AdmissionPolicy::default();
    for at in at.list(1..=limits::RATE_LIMITS).unwrap_or_default() {
        let Some((side, key, bucket)) = read_limit(&at) else { continue };
        let said = match side {
            Side::Service => &mut policy.service,
            Side::Caller => &mut policy.caller,
        };
        let said = said.get_or_insert_with(|| RateLimits { exhausted: true, ..RateLimits::default() });
        match key {
            None if said.all.is_some() => {
                at.error("there is a limit on all requests already", "remove one, or say by what it counts");
            }
            Some(key) if said.keyed.iter().any(|limit| limit.key == key) => {
                at.error("there is a limit by the same thing already", "remove one");
            }
            None => said.all = Some(bucket),
            Some(key) => said.keyed.push(KeyedLimit { key, bucket }),
        }
    }
    policy
}

fn read_limit(at: &At<'_>) -> Option<(Side, Option<LimitKey>, TokenBucket)> {
    let limit = at.object(&LIMIT)?;
    let requests = limit.required("requests", "write how many there may be in the interval");
    let requests = requests.and_then(|at| at.count(1..=REQUESTS));
    let burst = limit.get("burst").map(|at| at.count(1..=REQUESTS));
    let interval = match limit.get_text("interval") {
        Some(_) => duration_field(&limit, "interval", INTERVAL),
        None => Some(SECOND),
    };
    let side = match limit.get_text("enforcedBy") {
        Some((at, _)) => at.word(&SIDES),
        None => Some(Side::Service),
    };
    let by = match limit.get_text("by") {
        Some((at, _)) => Some(at.word(&[("Header", true), ("SourceAddress", false)])?),
        None => None,
    };
    let key = match by {
        Some(true) => Some(LimitKey::Header(read_header(&limit)?)),
        Some(false) => Some(LimitKey::SourceAddress),
        None => None,
    };
    if let (false, Some(at)) = (by == Some(true), limit.get("header")) {
        at.error("only a limit by Header has one", "write by: Header, or remove it");
    }
    let requests = requests?;
    let burst = match burst {
        Some(burst) => burst?,
        None => requests,
    };
    Some((side?, key, TokenBucket { burst, requests, interval: interval? }))
}

fn read_header(fields: &Fields<'_>) -> Option<HeaderName> {
    let (at, text) = fields.required_text("header", "name the request header by whose value it counts")?;
    let name = text.parse::<HeaderName>().ok();
    if name.is_none() {
        at.error(
            format!("{} is not a header's name", excerpt(&Value::from(text))),
            "write one, such as x-user",
        );
    }
    name
}

pub(crate) fn write(policy: &AdmissionPolicy) -> Option<Value> {
    let one = |bucket: &TokenBucket, side: Side, by: Option<&str>, header: Option<&HeaderName>| {
        fields([
            ("requests", Some(json!(bucket.requests))),
            ("interval", Some(write_duration(bucket.interval))),
            ("burst", Some(json!(bucket.burst))),
            ("by", by.map(|by| json!(by))),
            ("header", header.map(|header| json!(header.as_str()))),
            ("enforcedBy", (side == Side::Caller).then(|| json!("Caller"))),
        ])
    };
    let mut written = Vec::new();
    for (side, limits) in [(Side::Service, &policy.service), (Side::Caller, &policy.caller)] {
        let Some(limits) = limits else { continue };
        written.extend(limits.all.iter().map(|bucket| one(bucket, side, None, None)));
        written.extend(limits.keyed.iter().map(|limit| match &limit.key {
            LimitKey::Header(name) => one(&limit.bucket, side, Some("Header"), Some(name)),
            LimitKey::SourceAddress => one(&limit.bucket, side, Some("SourceAddress"), None),
        }));
    }
    non_empty(written)
}
