//! Retries: those of a `TrafficPolicy`, and `HTTPRoute` `rules[].retry` (GEP-1731).

use super::breakers::CONCURRENCY;
use super::{MILLISECOND, duration_field, write_duration};
use crate::decode::{At, Schema, excerpt};
use crate::parse::{fields, non_empty};
use crate::scalar::format_duration;
use crate::{RetriesSpec, RetryBudgetSpec, RetryCondition};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use weir_model::{RetryOn, RetryPolicy, limits};

/// Conditions of one retry policy.
const CONDITIONS: usize = 64;
/// The longest back-off of a rule is so many times its first one, as in Envoy.
const BACKOFF_GROWTH: u32 = 10;

const WORDS: [(&str, RetryCondition); 11] = [
    ("connect-failure", RetryCondition::ConnectFailure),
    ("refused-stream", RetryCondition::RefusedStream),
    ("reset", RetryCondition::Reset),
    ("rate-limited", RetryCondition::RateLimited),
    ("gateway-error", RetryCondition::GatewayError),
    ("5xx", RetryCondition::ServerError),
    ("cancelled", RetryCondition::Grpc(1)),
    ("deadline-exceeded", RetryCondition::Grpc(4)),
    ("resource-exhausted", RetryCondition::Grpc(8)),
    ("internal", RetryCondition::Grpc(13)),
    ("unavailable", RetryCondition::Grpc(14)),
];

pub(super) fn read(at: &At<'_>) -> Option<RetriesSpec> {
    let fields = at.object(&Schema::of(&["attempts", "on", "backoff", "budget", "hedge", "retryAfter"]))?;
    let backoff = fields.get("backoff").and_then(|at| {
        let fields = at.object(&Schema::of(&["base", "max"]))?;
        let base = duration_field(&fields, "base", MILLISECOND);
        let max = duration_field(&fields, "max", MILLISECOND);
        if let (Some(base), Some(max)) = (base, max)
            && max < base
        {
            at.error("max is shorter than base", format!("write max: {}", format_duration(base)));
        }
        Some((base, max))
    });
    let (backoff_base, backoff_max) = backoff.unwrap_or_default();
    Some(RetriesSpec {
        attempts: fields.get("attempts").and_then(|at| at.count(0..=limits::RETRIES)),
        on: fields.get("on").and_then(|at| read_conditions(&at)).unwrap_or_default(),
        backoff_base,
        backoff_max,
        budget: fields.get("budget").and_then(|at| read_budget(&at)),
        hedge: fields.get("hedge").and_then(|at| read_flag(&at)),
        retry_after: duration_field(&fields, "retryAfter", Duration::ZERO),
    })
}

fn read_conditions(at: &At<'_>) -> Option<Vec<RetryCondition>> {
    let conditions: BTreeSet<_> = at.list(1..=CONDITIONS)?.iter().filter_map(read_condition).collect();
    Some(conditions.into_iter().collect())
}

fn read_condition(at: &At<'_>) -> Option<RetryCondition> {
    if at.value().is_number() {
        return at
            .integer(400..=599)
            .and_then(|status| u16::try_from(status).ok())
            .map(RetryCondition::Status);
    }
    let text = at.text()?;
    match text.parse::<u16>() {
        Ok(status) if (400..=599).contains(&status) => Some(RetryCondition::Status(status)),
        Ok(_) => {
            at.error(format!("{text} is not a status that tells of a failure"), "write one from 400 to 599");
            None
        }
        Err(_) => at.word(&WORDS),
    }
}

fn read_budget(at: &At<'_>) -> Option<RetryBudgetSpec> {
    let fields = at.object(&Schema::of(&["percent", "minConcurrency"]))?;
    let parts_per_million = fields.get("percent").and_then(|at| {
        let percent = at.value().as_f64().filter(|percent| (0.0..=100.0).contains(percent));
        if percent.is_none() {
            at.error(format!("{} is not a percentage", excerpt(at.value())), "write a number from 0 to 100");
        }
        percent.map(|percent| (percent * 10_000.0).round() as u32)
    });
    let min_concurrency = fields.get("minConcurrency").and_then(|at| at.count(0..=CONCURRENCY));
    Some(RetryBudgetSpec { parts_per_million, min_concurrency })
}

pub(super) fn write(retries: &RetriesSpec) -> Value {
    let on = retries.on.iter().map(|condition| match condition {
        RetryCondition::Status(status) => json!(status.to_string()),
        word => json!(WORDS.iter().find(|(_, known)| known == word).map_or("unavailable", |(text, _)| text)),
    });
    let (base, max) = (retries.backoff_base, retries.backoff_max);
    let backoff = fields([("base", base.map(write_duration)), ("max", max.map(write_duration))]);
    fields([
        ("attempts", retries.attempts.map(|attempts| json!(attempts))),
        ("on", non_empty(on.collect())),
        ("backoff", (base.is_some() || max.is_some()).then_some(backoff)),
        ("budget", retries.budget.as_ref().map(write_budget)),
        ("hedge", retries.hedge.map(|hedge| json!(hedge))),
        ("retryAfter", retries.retry_after.map(write_duration)),
    ])
}

fn write_budget(budget: &RetryBudgetSpec) -> Value {
    let percent = budget.parts_per_million.map(|parts| match parts % 10_000 {
        0 => json!(parts / 10_000),
        _ => json!(f64::from(parts) / 10_000.0),
    });
    fields([("percent", percent), ("minConcurrency", budget.min_concurrency.map(|count| json!(count)))])
}

/// The retries of a rule. What ends without an answer is retried too wherever any code is, as GEP-1731 wants it.
pub(crate) fn read_rule(at: &At<'_>) -> Option<RetryPolicy> {
    let fields = at.object(&Schema::of(&["codes", "attempts", "backoff"]))?;
    let codes: BTreeSet<u16> = match fields.get("codes") {
        Some(at) => at
            .list(0..=CONDITIONS)?
            .iter()
            .filter_map(|at| u16::try_from(at.integer(400..=599)?).ok())
            .collect(),
        None => BTreeSet::new(),
    };
    let default = RetryPolicy::default();
    let attempts = match fields.get("attempts") {
        Some(at) => at.count(0..=limits::RETRIES)?,
        None => default.attempts,
    };
    let backoff_base = duration_field(&fields, "backoff", MILLISECOND).unwrap_or(default.backoff_base);
    let statuses = codes.into_iter().filter_map(|code| StatusCode::from_u16(code).ok()).collect();
    Some(RetryPolicy {
        attempts,
        on: RetryOn { statuses, ..default.on.clone() },
        backoff_base,
        backoff_max: backoff_base.saturating_mul(BACKOFF_GROWTH),
        ..default
    })
}

pub(crate) fn write_rule(retry: &RetryPolicy) -> Value {
    let codes = retry.on.statuses.iter().map(|status| json!(status.as_u16()));
    fields([
        ("codes", non_empty(codes.collect())),
        ("attempts", Some(json!(retry.attempts))),
        ("backoff", Some(write_duration(retry.backoff_base))),
    ])
}

fn read_flag(at: &At<'_>) -> Option<bool> {
    let flag = at.value().as_bool();
    if flag.is_none() {
        at.error(format!("{} is neither true nor false", excerpt(at.value())), "write true or false");
    }
    flag
}

#[cfg(test)]
mod tests;
