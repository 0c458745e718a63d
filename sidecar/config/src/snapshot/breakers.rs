//! How far a cluster's circuit breakers are from opening; for people and dashboards, not for the request path.

use std::sync::atomic::Ordering::Relaxed;

use weir_decide::circuit::retry_allowance;
use weir_model::{CircuitBreakers, Priority, Thresholds};

use super::Cluster;

/// One circuit breaker of a priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Breaker {
    /// `requests`, `pending`, `connections` or `retries`.
    pub name: &'static str,
    /// What is under way.
    pub active: u32,
    /// How much may be; of retries, at this moment.
    pub max: u32,
}

impl Breaker {
    /// Whether one more would be turned away, or would have to wait.
    pub fn is_open(self) -> bool {
        self.active >= self.max
    }

    /// How many more are let through.
    pub fn remaining(self) -> u32 {
        self.max.saturating_sub(self.active)
    }
}

impl Cluster {
    /// The circuit breakers of a priority.
    pub fn breakers(&self, priority: Priority) -> [Breaker; 4] {
        let limits = thresholds(&self.model.circuit_breakers, priority);
        let counts = self.state.of(priority);
        let [requests, pending, connections, retries] =
            [counts.requests, counts.pending, counts.connections, counts.retries]
                .map(|count| count.load(Relaxed));
        let breaker = |name, active, max| Breaker { name, active, max };
        [
            breaker("requests", requests, limits.max_requests),
            breaker("pending", pending, limits.max_pending),
            breaker("connections", connections, limits.max_connections),
            breaker("retries", retries, retry_allowance(requests, &limits.retry_budget)),
        ]
    }

    /// Whether anything is under way with a priority, or anybody has limited it.
    pub fn uses(&self, priority: Priority) -> bool {
        priority == Priority::Default
            || self.model.circuit_breakers.high != Thresholds::default()
            || self.breakers(priority).iter().any(|breaker| breaker.active > 0)
    }
}

fn thresholds(breakers: &CircuitBreakers, priority: Priority) -> Thresholds {
    match priority {
        Priority::High => breakers.high.clone(),
        Priority::Default => Thresholds {
            max_connections: breakers.max_connections,
            max_pending: breakers.max_pending,
            max_requests: breakers.max_requests,
            retry_budget: breakers.retry_budget.clone(),
        },
    }
}

#[cfg(test)]
mod tests;
