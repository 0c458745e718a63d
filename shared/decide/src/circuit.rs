//! Whether a cluster has room: the limits of a circuit breaker.
//!
//! The shell counts, for the whole sidecar; here the counts are only compared. It does not queue and does not wait.

use weir_model::RetryBudget;

/// Whether one more may start while `in_flight` are under way, that one not counted.
pub fn admit(in_flight: u32, max: u32) -> bool {
    in_flight < max
}

/// How many retries may run at once while `active_requests` are in flight, the retried ones included: the budget's share of them,
/// and never less than its minimum.
pub fn retry_allowance(active_requests: u32, budget: &RetryBudget) -> u32 {
    let share = u64::from(active_requests) * u64::from(budget.parts_per_million) / 1_000_000;
    u32::try_from(share).unwrap_or(u32::MAX).max(budget.min_concurrency)
}

#[cfg(test)]
mod tests;
