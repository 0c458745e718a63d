//! From a route to a cluster, and from a cluster to an endpoint (stage 10).

use std::sync::atomic::Ordering::Relaxed;

use weir_config::{ClusterLoads, Forward, Target};
use weir_decide::balance::Loads;
use weir_decide::balance::subset::{Asked, Wanted};
use weir_decide::latency;
use weir_model::{LoadBalancing, Time};

use crate::exchange::Exchange;
use crate::health::outlier;
use crate::pinned::WorkerCluster;
use crate::reject::Kind;
use crate::timer::now;
use crate::worker::Worker;

/// One side of a split.
pub(crate) fn target<'a>(worker: &Worker, forward: &'a Forward) -> &'a Target {
    &forward.targets[forward.split.pick(&mut worker.random.borrow_mut())]
}

/// An endpoint by index; one that was tried for this request before only if there is no other.
pub(crate) fn endpoint(
    worker: &Worker,
    cluster: &WorkerCluster,
    (wanted, hash): (Option<&Wanted>, Option<u64>),
    tried: &[usize],
    now: Time,
) -> Result<usize, Kind> {
    let loads = Untried { loads: cluster.config.loads(now), tried };
    let positions = &mut cluster.positions.borrow_mut();
    let random = &mut worker.random.borrow_mut();
    let asked = Asked { wanted, hash, now };
    cluster.config.pick(positions, &loads, asked, random).ok_or(Kind::NoEndpoint)
}

/// Notes that an endpoint did not answer, or not while it was waited for, where the balancer looks at how long answers take.
pub(crate) fn unanswered(exchange: &Exchange, cluster: &WorkerCluster, kind: &Kind) {
    let LoadBalancing::PeakEwma { decay, default_rtt, .. } = cluster.config.model.load_balancing else {
        return;
    };
    let Some(active) = exchange.active.as_ref().filter(|_| outlier::blames(kind)) else { return };
    let (state, now) = (&active.pool.endpoint.latency, now());
    let waited = now.since(exchange.attempted);
    state.store(latency::unanswered(state.load(Relaxed), waited, now, decay, default_rtt), Relaxed);
}

/// What the sidecar measures, and what this request has tried in vain.
struct Untried<'a> {
    loads: ClusterLoads<'a>,
    tried: &'a [usize],
}

impl Loads for Untried<'_> {
    fn active(&self, endpoint: usize) -> u32 {
        self.loads.active(endpoint)
    }

    fn total(&self) -> u32 {
        self.loads.total()
    }

    fn latency(&self, endpoint: usize, now: Time) -> Option<std::time::Duration> {
        self.loads.latency(endpoint, now)
    }

    fn ejected(&self, endpoint: usize) -> bool {
        self.loads.ejected(endpoint)
    }

    fn tried(&self, endpoint: usize) -> bool {
        self.tried.contains(&endpoint)
    }

    fn starting(&self) -> bool {
        self.loads.starting()
    }

    fn part(&self, endpoint: usize) -> f64 {
        self.loads.part(endpoint)
    }
}
