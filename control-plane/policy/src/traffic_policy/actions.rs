//! What is done with requests beside sending them somewhere: `rateLimits`, `faults` and `fallback`.

use super::{duration_field, read_service_kind, write_duration};
use crate::decode::{At, Fields, Schema, excerpt};
use crate::http_route::{matches, read_target};
use crate::parse::{fields, non_empty};
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use weir_model::mesh::{ActionPolicy, FallbackPolicy, Name};
use weir_model::{
    Abort, AbortAnswer, Delay, DirectResponse, Fault, Fraction, HeaderName, KeyedLimit, LimitKey, RateLimits,
    TokenBucket, limits,
};

/// The fields of a policy that are read here.
pub(super) const FIELDS: [&str; 3] = ["rateLimits", "faults", "fallback"];

const MILLISECOND: Duration = Duration::from_millis(1);
/// What Envoy takes as the shortest interval.
const INTERVAL: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);
/// The largest number of requests in an interval, or at once.
const REQUESTS: u32 = 1_000_000_000;

pub(super) fn read(spec: &Fields<'_>, namespace: &str) -> ActionPolicy {
    ActionPolicy {
        limits: spec.get(FIELDS[0]).and_then(|at| read_limits(&at)),
        fault: spec.get(FIELDS[1]).and_then(|at| read_fault(&at)),
        fallback: spec.get(FIELDS[2]).and_then(|at| read_fallback(&at, namespace)),
    }
}

fn read_limits(at: &At<'_>) -> Option<RateLimits> {
    let mut limits = RateLimits { exhausted: true, ..RateLimits::default() };
    for at in at.list(1..=limits::RATE_LIMITS)? {
        match read_limit(&at) {
            Some((None, _)) if limits.all.is_some() => {
                at.error("there is a limit on all requests already", "remove one, or say by what it counts");
            }
            Some((Some(key), _)) if limits.keyed.iter().any(|limit| limit.key == key) => {
                at.error("there is a limit by the same thing already", "remove one");
            }
            Some((None, bucket)) => limits.all = Some(bucket),
            Some((Some(key), bucket)) => limits.keyed.push(KeyedLimit { key, bucket }),
            None => {}
        }
    }
    (!limits.is_empty()).then_some(limits)
}

fn read_limit(at: &At<'_>) -> Option<(Option<LimitKey>, TokenBucket)> {
    let limit = at.object(&Schema::of(&["requests", "interval", "burst", "by", "header"]))?;
    let requests = limit.required("requests", "write how many there may be in the interval");
    let requests = requests.and_then(|at| at.count(1..=REQUESTS));
    let burst = limit.get("burst").map(|at| at.count(1..=REQUESTS));
    let interval = match limit.get_text("interval") {
        Some(_) => duration_field(&limit, "interval", INTERVAL),
        None => Some(SECOND),
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
    Some((key, TokenBucket { burst, requests, interval: interval? }))
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

fn read_fault(at: &At<'_>) -> Option<Fault> {
    let fault = at.object(&Schema::of(&["headers", "delay", "abort"]))?;
    let headers = matches::read_headers(&fault);
    let delay = fault.get("delay").map(|at| read_delay(&at));
    let abort = fault.get("abort").map(|at| read_abort(&at));
    if delay.is_none() && abort.is_none() {
        at.error("it neither delays nor aborts", "add a delay or an abort, or remove it");
        return None;
    }
    let (delay, abort) =
        (delay.map_or(Some(None), |it| it.map(Some)), abort.map_or(Some(None), |it| it.map(Some)));
    Some(Fault { headers: headers?, delay: delay?, abort: abort? })
}

fn read_delay(at: &At<'_>) -> Option<Delay> {
    let delay = at.object(&Schema::of(&["duration", "percent"]))?;
    let fraction = read_percent(&delay);
    if delay.get("duration").is_none() {
        at.error("duration is missing", "say how long requests wait");
        return None;
    }
    let duration = duration_field(&delay, "duration", MILLISECOND)?;
    if duration > limits::FAULT_DELAY {
        at.error(
            format!("{duration:?} is too long"),
            format!("write at most {}s", limits::FAULT_DELAY.as_secs()),
        );
        return None;
    }
    Some(Delay { duration, fraction: fraction? })
}

fn read_abort(at: &At<'_>) -> Option<Abort> {
    let abort = at.object(&Schema::of(&["httpStatus", "grpcStatus", "percent"]))?;
    let fraction = read_percent(&abort);
    let answer = match (abort.get("httpStatus"), abort.get("grpcStatus")) {
        (Some(at), None) => AbortAnswer::Http(read_status(&at, 200..=599)?),
        (None, Some(at)) => AbortAnswer::Grpc(u8::try_from(at.count(1..=16)?).ok()?),
        (Some(_), Some(_)) | (None, None) => {
            at.error("it has one of httpStatus and grpcStatus", "say which status callers get");
            return None;
        }
    };
    Some(Abort { answer, fraction: fraction? })
}

/// `percent`; all requests if absent.
fn read_percent(fields: &Fields<'_>) -> Option<Fraction> {
    let Some(at) = fields.get("percent") else { return Some(Fraction(1_000_000)) };
    let percent = at.value().as_f64().filter(|percent| (0.0..=100.0).contains(percent));
    if percent.is_none() {
        at.error(format!("{} is not a percentage", excerpt(at.value())), "write a number from 0 to 100");
    }
    percent.map(|percent| Fraction((percent * 10_000.0).round() as u32))
}

fn read_status(at: &At<'_>, range: std::ops::RangeInclusive<u32>) -> Option<StatusCode> {
    u16::try_from(at.count(range)?).ok().and_then(|status| StatusCode::from_u16(status).ok())
}

fn read_fallback(at: &At<'_>, namespace: &str) -> Option<FallbackPolicy> {
    let fallback = at.object(&Schema::of(&["backendRef", "response"]))?;
    match (fallback.get("backendRef"), fallback.get("response")) {
        (Some(at), None) => {
            let reference = at.object(&Schema::of(&["group", "kind", "name", "port"]))?;
            read_service_kind(&reference, true);
            read_target(&reference, namespace, &[]).map(FallbackPolicy::Backend)
        }
        (None, Some(at)) => read_response(&at).map(FallbackPolicy::Response),
        (Some(_), Some(_)) | (None, None) => {
            at.error("it has one of backendRef and response", "say what answers");
            None
        }
    }
}

fn read_response(at: &At<'_>) -> Option<DirectResponse> {
    let response = at.object(&Schema::of(&["status", "body"]))?;
    let status = match response.get("status") {
        Some(at) => read_status(&at, 200..=599),
        None => Some(StatusCode::OK),
    };
    let body = match response.get("body") {
        Some(at) => {
            let text = at.text()?;
            if text.len() > limits::DIRECT_BODY_BYTES {
                let message = format!("it is longer than {} bytes", limits::DIRECT_BODY_BYTES);
                at.error(message, "shorten it, or name a backendRef");
                return None;
            }
            text.to_owned()
        }
        None => String::new(),
    };
    Some(DirectResponse { status: status?, body })
}

pub(super) fn write(policy: &ActionPolicy) -> [(&'static str, Option<Value>); 3] {
    [
        (FIELDS[0], policy.limits.as_ref().and_then(write_limits)),
        (FIELDS[1], policy.fault.as_ref().map(write_fault)),
        (FIELDS[2], policy.fallback.as_ref().map(write_fallback)),
    ]
}

fn write_limits(limits: &RateLimits) -> Option<Value> {
    let one = |bucket: &TokenBucket, by: Option<&str>, header: Option<&HeaderName>| {
        fields([
            ("requests", Some(json!(bucket.requests))),
            ("interval", Some(write_duration(bucket.interval))),
            ("burst", Some(json!(bucket.burst))),
            ("by", by.map(|by| json!(by))),
            ("header", header.map(|header| json!(header.as_str()))),
        ])
    };
    let all = limits.all.iter().map(|bucket| one(bucket, None, None));
    let keyed = limits.keyed.iter().map(|limit| match &limit.key {
        LimitKey::Header(name) => one(&limit.bucket, Some("Header"), Some(name)),
        LimitKey::SourceAddress => one(&limit.bucket, Some("SourceAddress"), None),
    });
    non_empty(all.chain(keyed).collect())
}

fn write_percent(fraction: Fraction) -> Value {
    match fraction.0 % 10_000 {
        0 => json!(fraction.0 / 10_000),
        _ => json!(f64::from(fraction.0) / 10_000.0),
    }
}

fn write_fault(fault: &Fault) -> Value {
    let delay = fault.delay.as_ref().map(
        |delay| json!({"duration": write_duration(delay.duration), "percent": write_percent(delay.fraction)}),
    );
    let abort = fault.abort.as_ref().map(|abort| {
        let (field, status) = match abort.answer {
            AbortAnswer::Http(status) => ("httpStatus", json!(status.as_u16())),
            AbortAnswer::Grpc(status) => ("grpcStatus", json!(status)),
        };
        fields([(field, Some(status)), ("percent", Some(write_percent(abort.fraction)))])
    });
    fields([("headers", matches::write_headers(&fault.headers)), ("delay", delay), ("abort", abort)])
}

fn write_fallback(fallback: &FallbackPolicy) -> Value {
    match fallback {
        FallbackPolicy::Backend(target) => {
            let Name { name, .. } = &target.service;
            json!({"backendRef": {"name": name, "port": target.port}})
        }
        FallbackPolicy::Response(response) => {
            let body = (!response.body.is_empty()).then(|| json!(response.body));
            json!({"response": fields([("status", Some(json!(response.status.as_u16()))), ("body", body)])})
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
