//! Whether a request goes another lap: facts in, `weir_decide::retry`'s verdict out.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::Response;
use weir_config::Forward;
use weir_decide::retry::{Outcome, Verdict, backoff, should_retry};

use crate::exchange::{Exchange, Source};
use crate::pinned::WorkerCluster;
use crate::reject::{Kind, Safety};
use crate::respond::grpc_status;
use crate::upstream::Outgoing;

/// How long to wait before another attempt; `None` if there is none.
pub(crate) fn verdict(
    exchange: &Exchange,
    cluster: &WorkerCluster,
    forward: &Forward,
    outcome: &Result<Response<Source>, Kind>,
    outgoing: &Outgoing,
) -> Option<Duration> {
    let policy = forward.retry.as_ref()?;
    let outcome = match outcome {
        Ok(response) => {
            // The usual case first: a success that no policy lists.
            let grpc = if exchange.grpc { grpc_status(response.headers()) } else { None };
            Outcome::Status(response.status(), grpc)
        }
        Err(kind) => of_kind(kind)?,
    };
    let state = &cluster.shared.state;
    let verdict = should_retry(
        policy,
        &outcome,
        &exchange.method,
        u32::from(exchange.retries),
        state.requests.load(Relaxed),
        state.retries.load(Relaxed),
        &cluster.config.model.circuit_breakers.retry_budget,
    );
    if verdict != Verdict::Retry || !outgoing.repeatable() {
        return None;
    }
    Some(backoff(policy, u32::from(exchange.retries), &mut exchange.downstream.worker.random.borrow_mut()))
}

/// What the decision calls a failure; `None` for those that are never retried.
fn of_kind(kind: &Kind) -> Option<Outcome> {
    if kind.safety() == Safety::Never {
        return None;
    }
    match kind {
        Kind::ConnectFailed(_) | Kind::ConnectTimeout => Some(Outcome::ConnectFailure),
        Kind::Refused => Some(Outcome::Refused),
        Kind::ConnectionLost { reused } => Some(Outcome::Reset { reused: *reused }),
        Kind::StreamReset(_) => Some(Outcome::Reset { reused: false }),
        Kind::AttemptTimeout => Some(Outcome::Timeout),
        _ => None,
    }
}
