//! What an attempt says of its endpoint, counted where its cluster has outlier detection.

use http::{HeaderMap, Response, StatusCode};
use weir_config::{Cluster, EndpointState};
use weir_decide::outlier::{Outcome, http_status};

use crate::exchange::{Exchange, Source};
use crate::pinned::WorkerCluster;
use crate::reject::Kind;
use crate::respond::grpc_status;

/// Counts the outcome of an attempt that ended, or whose response has begun.
pub(crate) fn attempted(
    exchange: &Exchange,
    cluster: &WorkerCluster,
    outcome: &Result<Response<Source>, Kind>,
) {
    if cluster.config.model.health.outlier_detection.is_none() {
        return;
    }
    let outcome = match outcome {
        Ok(response) => of_response(exchange.grpc, response.status(), response.headers()),
        Err(kind) => match of_failure(kind) {
            Some(outcome) => outcome,
            None => return,
        },
    };
    let waited = exchange.waited.filter(|_| matches!(outcome, Outcome::Status(_)));
    let Some(active) = &exchange.active else { return };
    count(&cluster.config, &active.pool.endpoint, exchange.downstream.worker.id, outcome, waited);
}

/// Counts whether a connection of opaque bytes could be made.
pub(crate) fn connected(cluster: &WorkerCluster, endpoint: usize, worker: usize, failure: Option<&Kind>) {
    let Some(endpoint) = cluster.config.endpoints.get(endpoint) else { return };
    let outcome = failure.map_or(Some(Outcome::Connected), of_failure);
    if let Some(outcome) = outcome {
        count(&cluster.config, endpoint, worker, outcome, None);
    }
}

fn count(
    cluster: &Cluster,
    endpoint: &EndpointState,
    worker: usize,
    outcome: Outcome,
    waited: Option<std::time::Duration>,
) {
    let Some(config) = &cluster.model.health.outlier_detection else { return };
    if endpoint.observe(worker, outcome, waited, config) {
        cluster.state.suspects.notify_one();
    }
}

/// A gRPC status counts where the response's head has it, as in Envoy: one in trailers comes when the response has counted already.
fn of_response(grpc: bool, status: StatusCode, headers: &HeaderMap) -> Outcome {
    let grpc = if grpc { grpc_status(headers) } else { None };
    Outcome::Status(grpc.map_or(status.as_u16(), http_status))
}

/// Whether a failure is the endpoint's doing.
pub(crate) fn blames(kind: &Kind) -> bool {
    of_failure(kind).is_some()
}

/// Nothing for what is not the endpoint's doing.
fn of_failure(kind: &Kind) -> Option<Outcome> {
    match kind {
        Kind::ConnectFailed(_)
        | Kind::ConnectionLost { .. }
        | Kind::StreamReset(_)
        | Kind::Refused
        | Kind::Protocol => Some(Outcome::Failed),
        Kind::ConnectTimeout | Kind::RequestTimeout | Kind::AttemptTimeout => Some(Outcome::TimedOut),
        _ => None,
    }
}
