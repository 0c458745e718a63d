//! Whether a request goes another lap: facts in, `weir_decide::retry`'s verdict out.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::Response;
use weir_config::Forward;
use weir_decide::circuit::retry_allowance;
use weir_decide::retry::{Load, Outcome, Request, Verdict, pause, should_retry};
use weir_decide::storm;
use weir_runtime::clock;

use crate::exchange::{Exchange, Source};
use crate::pinned::WorkerCluster;
use crate::pool::budget;
use crate::reject::{Kind, Safety};
use crate::upstream::Outgoing;

/// How long to wait before another attempt; `None` if there is none. An attempt that follows has its place in the budget. Where requests
/// are hedged, an attempt that takes too long is overtaken at once.
pub(crate) fn verdict(
    exchange: &mut Exchange,
    cluster: &WorkerCluster,
    forward: &Forward,
    outcome: &Result<Response<Source>, Kind>,
    outgoing: &mut Outgoing,
    hedged: bool,
) -> Option<Duration> {
    let retry = forward.retry.as_ref().filter(|_| outgoing.retries)?;
    let facts = match outcome {
        Ok(response) => Outcome::Response(response.status(), response.headers()),
        // It goes on beside the next one.
        Err(Kind::AttemptTimeout) if hedged => Outcome::Overtaken,
        Err(kind) => of_kind(kind)?,
    };
    let headers = outgoing.head_mut().map(|head| &head.headers).filter(|_| !exchange.marked);
    let request = Request { method: &exchange.method, retries: u32::from(exchange.retries), headers };
    let state = &cluster.shared.state;
    let counts = state.of(forward.priority);
    let own = u32::from(exchange.is_retrying());
    let (requests, retries) =
        (counts.requests.load(Relaxed), counts.retries.load(Relaxed).saturating_sub(own));
    let budget = budget(&cluster.config.model.circuit_breakers, forward.priority);
    let mut verdict = should_retry(retry, &facts, &request, Load { requests, retries }, budget);
    if verdict == Verdict::Retry {
        if !outgoing.repeatable() {
            return None;
        }
        // Counted and decided in one, since other workers decide at the same time.
        if !exchange.count_retry(cluster, forward.priority, retry_allowance(requests, budget)) {
            verdict = Verdict::OverBudget;
        }
    }
    if verdict != Verdict::Retry {
        exchange.spent = verdict.is_spent();
        return None;
    }
    if !facts.is_free()
        && let Some(head) = outgoing.head_mut()
    {
        storm::mark(&mut head.headers, u32::from(exchange.retries) + 2);
        exchange.marked = true;
    }
    if matches!(facts, Outcome::Overtaken) {
        return Some(Duration::ZERO);
    }
    let response = outcome.as_ref().ok().map(Response::headers);
    let random = &mut exchange.downstream.worker.random.borrow_mut();
    let unix = clock::unix_nanos() / 1_000_000_000;
    Some(pause(retry.policy(), u32::from(exchange.retries), response, unix, random))
}

/// What the decision calls a failure; `None` for those that are never retried.
fn of_kind(kind: &Kind) -> Option<Outcome<'static>> {
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
