//! What is done with requests beside sending them somewhere: `rateLimits`, `faults`, `fallback` and `maxRequestBytes`.

pub(crate) mod answer;
pub(crate) mod limits;

use super::{duration_field, read_service_kind, write_duration};
use crate::decode::{At, Fields, Schema, excerpt};
use crate::http_route::{matches, read_target};
use crate::parse::fields;
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use weir_model::limits::FAULT_DELAY;
use weir_model::mesh::{ActionPolicy, FallbackPolicy, Name};
use weir_model::{Abort, AbortAnswer, Delay, Fault, Fraction};

/// The fields of a policy that are read here.
pub(super) const FIELDS: [&str; 4] = ["rateLimits", "faults", "fallback", "maxRequestBytes"];

/// The largest limit on a body, in bytes: what the message can say.
const BODY_BYTES: u32 = i32::MAX.cast_unsigned();

const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) fn read(spec: &Fields<'_>, namespace: &str) -> ActionPolicy {
    ActionPolicy {
        limits: spec.get(FIELDS[0]).map(|at| limits::read(&at)).unwrap_or_default(),
        fault: spec.get(FIELDS[1]).and_then(|at| read_fault(&at)),
        fallback: spec.get(FIELDS[2]).and_then(|at| read_fallback(&at, namespace)),
        max_request_bytes: spec.get(FIELDS[3]).and_then(|at| at.count(1..=BODY_BYTES)),
    }
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
    if duration > FAULT_DELAY {
        at.error(format!("{duration:?} is too long"), format!("write at most {}s", FAULT_DELAY.as_secs()));
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

pub(super) fn read_status(at: &At<'_>, range: std::ops::RangeInclusive<u32>) -> Option<StatusCode> {
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
        (None, Some(at)) => answer::read(&at, answer::FALLBACK).map(FallbackPolicy::Response),
        (Some(_), Some(_)) | (None, None) => {
            at.error("it has one of backendRef and response", "say what answers");
            None
        }
    }
}

pub(super) fn write(policy: &ActionPolicy) -> [(&'static str, Option<Value>); 4] {
    [
        (FIELDS[0], limits::write(&policy.limits)),
        (FIELDS[1], policy.fault.as_ref().map(write_fault)),
        (FIELDS[2], policy.fallback.as_ref().map(write_fallback)),
        (FIELDS[3], policy.max_request_bytes.map(|bytes| json!(bytes))),
    ]
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
        FallbackPolicy::Response(said) => json!({"response": answer::write(said, answer::FALLBACK)}),
    }
}

#[cfg(test)]
pub(crate) mod tests;
