//! Circuit breakers and the limits of connections.
//!
//! weir counts retries against a budget; Envoy's fixed number of concurrent retries is a budget of no share with that minimum. Of several
//! thresholds of a priority the first counts, as in Envoy. `track_remaining` only switches on statistics, which weir has always.

use super::fault::{At, Check, Fault, refuse};
use super::pb::{cluster, core, google};
use super::wire;
use cluster::circuit_breakers::thresholds;
use core::RoutingPriority;
use std::time::Duration;
use weir_model::{CircuitBreakers, ConnectionLimits, RetryBudget, TcpKeepalive, Thresholds};

/// Envoy's own limit where a message does not say.
const BREAKER: u32 = 1024;
/// Envoy's own number of concurrent retries where a message says neither a number nor a budget.
const MAX_RETRIES: u32 = 3;

/// The message of a cluster's circuit breakers.
pub(super) fn encode(breakers: &CircuitBreakers) -> cluster::CircuitBreakers {
    let default = Thresholds {
        max_connections: breakers.max_connections,
        max_pending: breakers.max_pending,
        max_requests: breakers.max_requests,
        retry_budget: breakers.retry_budget.clone(),
    };
    let endpoint = |max_connections| cluster::circuit_breakers::Thresholds {
        max_connections: wire::wrap(max_connections),
        ..cluster::circuit_breakers::Thresholds::default()
    };
    cluster::CircuitBreakers {
        thresholds: vec![one(&default, RoutingPriority::Default), one(&breakers.high, RoutingPriority::High)],
        per_host_thresholds: breakers.max_endpoint_connections.map(endpoint).into_iter().collect(),
    }
}

/// The circuit breakers of a message, but for what limits single connections.
pub(super) fn decode(message: Option<&cluster::CircuitBreakers>) -> Check<CircuitBreakers> {
    let default = cluster::CircuitBreakers::default();
    let message = message.unwrap_or(&default);
    let of = |priority: RoutingPriority| {
        let index = message.thresholds.iter().position(|one| one.priority == priority as i32);
        let default = cluster::circuit_breakers::Thresholds::default();
        let one = index.and_then(|index| message.thresholds.get(index)).unwrap_or(&default);
        from_one(one).at_index("thresholds", index.unwrap_or_default())
    };
    let (thresholds, high) = (of(RoutingPriority::Default)?, of(RoutingPriority::High)?);
    Ok(CircuitBreakers {
        max_connections: thresholds.max_connections,
        max_pending: thresholds.max_pending,
        max_requests: thresholds.max_requests,
        retry_budget: thresholds.retry_budget,
        high,
        max_endpoint_connections: from_endpoint(&message.per_host_thresholds)?,
        connection: ConnectionLimits::default(),
    })
}

/// How long a connection is used, by the options of its protocol.
pub(super) fn from_connection(options: &core::HttpProtocolOptions) -> Check<ConnectionLimits> {
    let max_requests = options.max_requests_per_connection.as_ref().and_then(from_requests);
    let field = "max_connection_duration";
    let max_duration = wire::timeout(field, options.max_connection_duration.as_ref())?;
    Ok(ConnectionLimits { max_requests, max_duration, max_streams: None, keepalive: None })
}

/// The message of how the kernel asks silent peers.
pub(super) fn encode_keepalive(
    keepalive: Option<&TcpKeepalive>,
) -> Option<cluster::UpstreamConnectionOptions> {
    let seconds = |duration: Duration| wire::wrap(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX));
    let keepalive = keepalive?;
    Some(cluster::UpstreamConnectionOptions {
        tcp_keepalive: Some(core::TcpKeepalive {
            keepalive_probes: keepalive.probes.and_then(wire::wrap),
            keepalive_time: keepalive.time.and_then(seconds),
            keepalive_interval: keepalive.interval.and_then(seconds),
        }),
        ..cluster::UpstreamConnectionOptions::default()
    })
}

/// How the kernel asks silent peers. The other options name interfaces, and addresses to try at once, of which endpoints have one.
pub(super) fn from_options(
    options: Option<&cluster::UpstreamConnectionOptions>,
) -> Check<Option<TcpKeepalive>> {
    let Some(keepalive) = options.and_then(|options| options.tcp_keepalive.as_ref()) else {
        return Ok(None);
    };
    // The kernel takes what fits into 16 and 7 bits, and refuses zero.
    let number = |field: &str, value: Option<&google::UInt32Value>, most: u32| match value {
        Some(value) if !(1..=most).contains(&value.value) => {
            Err(Fault::of(field, format!("{} is not from 1 to {most}", value.value)).within("tcp_keepalive"))
        }
        value => Ok(value.map(|value| value.value)),
    };
    let seconds = |value: u32| Duration::from_secs(u64::from(value));
    Ok(Some(TcpKeepalive {
        probes: number("keepalive_probes", keepalive.keepalive_probes.as_ref(), 127)?,
        time: number("keepalive_time", keepalive.keepalive_time.as_ref(), 32_767)?.map(seconds),
        interval: number("keepalive_interval", keepalive.keepalive_interval.as_ref(), 32_767)?.map(seconds),
    }))
}

/// A number of requests, where none means any number.
pub(super) fn from_requests(value: &google::UInt32Value) -> Option<u32> {
    Some(value.value).filter(|requests| *requests > 0)
}

/// Envoy takes the first of the default priority, and nothing of it but the connections.
fn from_endpoint(list: &[cluster::circuit_breakers::Thresholds]) -> Check<Option<u32>> {
    let field = "per_host_thresholds";
    let mut limit = None;
    for (index, one) in list.iter().enumerate() {
        let inner = || {
            refuse!(one; priority, max_pending_requests, max_requests, max_retries, retry_budget, max_connection_pools);
            Ok(one.max_connections.as_ref().map(|connections| connections.value))
        };
        let connections = inner().at_index(field, index)?;
        limit = limit.or(connections);
    }
    Ok(limit)
}

fn one(limits: &Thresholds, priority: RoutingPriority) -> cluster::circuit_breakers::Thresholds {
    cluster::circuit_breakers::Thresholds {
        priority: priority as i32,
        max_connections: wire::wrap(limits.max_connections),
        max_pending_requests: wire::wrap(limits.max_pending),
        max_requests: wire::wrap(limits.max_requests),
        retry_budget: Some(thresholds::RetryBudget {
            budget_percent: Some(wire::percent(limits.retry_budget.parts_per_million)),
            min_retry_concurrency: wire::wrap(limits.retry_budget.min_concurrency),
            budget_interval: None,
        }),
        ..cluster::circuit_breakers::Thresholds::default()
    }
}

fn from_one(message: &cluster::circuit_breakers::Thresholds) -> Check<Thresholds> {
    refuse!(message; max_connection_pools);
    let limit = |value: Option<&google::UInt32Value>| value.map_or(BREAKER, |value| value.value);
    let retry_budget = match &message.retry_budget {
        Some(budget) => from_budget(budget).at("retry_budget")?,
        None => RetryBudget {
            parts_per_million: 0,
            min_concurrency: message.max_retries.as_ref().map_or(MAX_RETRIES, |retries| retries.value),
        },
    };
    Ok(Thresholds {
        max_connections: limit(message.max_connections.as_ref()),
        max_pending: limit(message.max_pending_requests.as_ref()),
        max_requests: limit(message.max_requests.as_ref()),
        retry_budget,
    })
}

fn from_budget(budget: &thresholds::RetryBudget) -> Check<RetryBudget> {
    refuse!(budget; budget_interval);
    let default = RetryBudget::default();
    Ok(RetryBudget {
        parts_per_million: match &budget.budget_percent {
            Some(percent) => wire::from_percent(percent).at("budget_percent")?,
            None => default.parts_per_million,
        },
        min_concurrency: budget
            .min_retry_concurrency
            .as_ref()
            .map_or(default.min_concurrency, |minimum| minimum.value),
    })
}
