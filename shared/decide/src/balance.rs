//! Which endpoint of a cluster.

use http::HeaderMap;
use std::time::Duration;
use weir_model::{Endpoints, LoadBalancing, Random, Time};

/// What the shell measures of a cluster's endpoints, by index in [`Endpoints::iter`]'s order.
pub trait Loads {
    /// Requests in flight to the endpoint, from the whole sidecar.
    fn active(&self, endpoint: usize) -> u32;
    /// Its recent response time as [`crate::latency::read`] gives it; `None` if it was never measured.
    fn latency(&self, endpoint: usize, now: Time) -> Option<Duration>;
    /// Whether outlier detection has taken it out for the time being.
    fn ejected(&self, endpoint: usize) -> bool;
}

/// A cluster's endpoints and how to choose among them. Immutable; shared by all workers.
#[derive(Debug)]
pub struct Table {
    endpoints: usize,
}

/// One worker's place in one table: whose turn it is. Starts anew by itself when it is used with another table.
#[derive(Debug, Default)]
pub struct Position {
    turn: usize,
}

impl Table {
    /// The table of a cluster. Indices are those of [`Endpoints::iter`].
    pub fn new(_policy: &LoadBalancing, endpoints: &Endpoints) -> Self {
        Self { endpoints: endpoints.iter().count() }
    }

    /// How many endpoints it has, in whichever health.
    pub fn len(&self) -> usize {
        self.endpoints
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.endpoints == 0
    }

    /// The endpoint for one request. `hash` is [`hash`]'s. `None` if there is nothing to send to.
    pub fn pick(
        &self,
        position: &mut Position,
        _loads: &impl Loads,
        _hash: Option<u64>,
        _now: Time,
        _random: &mut Random,
    ) -> Option<usize> {
        position.turn = (position.turn + 1).checked_rem(self.endpoints)?;
        Some(position.turn)
    }
}

/// What a consistent hash policy hashes of a request. `None` for other policies, and where the request lacks the header.
pub fn hash(_policy: &LoadBalancing, _headers: &HeaderMap) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests;
