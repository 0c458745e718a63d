//! What answers where the clusters of a route cannot (beside stage 13): another cluster, once, or words of the policy's.
//!
//! It answers for what an upstream did not: no endpoint that takes traffic, no connection, an open breaker, a connection or stream that broke,
//! an attempt that took too long, an answer that was to be tried again and may not be any more. **The reason is told**: in
//! `x-weir-degraded`, in the response flags (`FB`, beside the flag of what happened), and so in metrics, spans and the log. It does not
//! answer for refusals of ours, nor where the time of the whole request is over and something would still have to be asked.

use std::pin::pin;
use std::rc::Rc;

use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use weir_config::{Action, Fallback, Forward, Target};

use crate::exchange::{Exchange, Source};
use crate::reject::{Kind, Reject};
use crate::route::Scope;
use crate::timer::{Timer, now, within};
use crate::upstream::{self, Outgoing};
use crate::{balance, health, respond};

const DEGRADED: HeaderName = HeaderName::from_static("x-weir-degraded");

/// What is left of a request whose clusters have given up: kept with its exchange until it is answered for, so that requests which need no
/// fallback do not carry the way to one.
pub(crate) struct Left {
    scope: Rc<Scope>,
    /// Which side of the split it was on.
    target: usize,
    timer: Timer,
    /// As it was sent, or about to be; absent if nothing was done with it yet.
    outgoing: Option<Outgoing>,
    /// An answer that was to be tried again.
    answer: Option<Response<Source>>,
}

/// What is answered as it is, and what somebody else may have to answer: failures, and answers in vain where `spent`.
pub(crate) fn sort(
    result: Result<Response<Source>, Reject>,
    spent: bool,
) -> Result<Response<Source>, Box<Result<Response<Source>, Reject>>> {
    match result {
        Ok(response) if !spent => Ok(response),
        failed => Err(Box::new(failed)),
    }
}

/// Leaves a request to be answered for, if its route has somebody for that. `failed` is what it comes to otherwise.
pub(crate) fn leave(
    exchange: &mut Exchange,
    scope: &Rc<Scope>,
    (forward, target): (&Forward, &Target),
    timer: Timer,
    outgoing: Option<Outgoing>,
    failed: Result<Response<Source>, Reject>,
) -> Reject {
    let (answer, reject) = match failed {
        Ok(answer) => (Some(answer), Kind::Spent.into()),
        Err(reject) => (None, reject),
    };
    let asks = matches!(forward.fallback.as_deref(), Some(Fallback::Cluster(_)));
    if forward.fallback.is_some() && reason(&reject.kind, asks).is_some() {
        let target = forward.targets.iter().position(|one| std::ptr::eq(one, target)).unwrap_or_default();
        let left = Left { scope: scope.clone(), target, timer, outgoing, answer };
        exchange.extra().left = Some(Box::new(left));
    }
    reject
}

/// Why it is answered for; nothing for what is not answered for. `asks` says whether somebody else would be asked.
fn reason(kind: &Kind, asks: bool) -> Option<&'static str> {
    match kind {
        Kind::Spent => Some("retries-exhausted"),
        Kind::NoEndpoint => Some("no-healthy-upstream"),
        Kind::ConnectFailed(_) | Kind::ConnectTimeout => Some("connect-failure"),
        Kind::Overflow(_) => Some("overflow"),
        Kind::Dropped => Some("dropped"),
        Kind::ConnectionLost { .. } | Kind::StreamReset(_) | Kind::Refused | Kind::Protocol => {
            Some("upstream-reset")
        }
        Kind::AttemptTimeout => Some("upstream-timeout"),
        Kind::RequestTimeout => Some("upstream-timeout").filter(|_| !asks),
        _ => None,
    }
}

/// Answers instead, where it can; else it stays as it is.
pub(crate) async fn answer(
    exchange: &mut Exchange,
    request: &mut Request<Option<Incoming>>,
    left: Box<Left>,
    reject: Reject,
) -> Result<Response<Source>, Reject> {
    let Left { scope, target, mut timer, outgoing, answer } = *left;
    let route = exchange.route.map(|index| scope.policy.routes.route(index));
    let Some((route, Action::Forward(forward))) = route.map(|route| (route, &route.action)) else {
        return Err(reject);
    };
    let failed = match answer {
        Some(answer) => Ok(answer),
        None => Err(reject),
    };
    let cluster = match forward.fallback.as_deref() {
        Some(Fallback::Cluster(cluster)) => &scope.pinned.clusters[*cluster],
        Some(Fallback::Direct(direct)) => {
            give_up(exchange, failed);
            let mut response = respond::direct(&direct.response, exchange.grpc);
            respond::typed(&mut response, direct.content_type.as_ref(), exchange.grpc);
            respond::changed(exchange, &mut response, route, None);
            return Ok(response);
        }
        None => return failed,
    };
    let mut outgoing = match outgoing {
        Some(outgoing) if !outgoing.repeatable() => return failed,
        Some(outgoing) => outgoing.for_cluster(cluster)?,
        None => {
            let request = std::mem::take(request);
            let outgoing =
                Outgoing::prepare(exchange, request, route, forward, &forward.targets[target], cluster)?;
            exchange.upload = outgoing.body().cloned();
            timer.watch(outgoing.body());
            outgoing
        }
    };
    give_up(exchange, failed);
    exchange.admit(cluster, forward.priority)?;
    let begun = now();
    let downstream = exchange.downstream.clone();
    let endpoint = balance::endpoint(&downstream.worker, cluster, (None, None), &[], begun)?;
    exchange.attempted = begun;
    timer.attempt(begun);
    let outcome = {
        let attempt = pin!(upstream::attempt(exchange, cluster, endpoint, &mut outgoing, begun));
        within(&mut timer, attempt).await.and_then(|outcome| outcome)
    };
    health::outlier::attempted(exchange, cluster, &outcome);
    let mut response = outcome.map_err(|kind| Reject { kind, retried: true })?;
    if let Some(body) = outgoing.body() {
        body.settle();
    }
    timer.respond(exchange.latest);
    // What happened before was made good.
    exchange.failure = None;
    exchange.timer = timer;
    respond::finish(exchange, &mut response, route, None);
    Ok(response)
}

/// Ends what was tried, and has the caller told why.
fn give_up(exchange: &mut Exchange, failed: Result<Response<Source>, Reject>) {
    let kind = match failed {
        Ok(response) => {
            exchange.abandon(Ok(response.status()));
            response.into_body().pass_over(exchange.latest);
            Kind::Spent
        }
        Err(reject) => {
            exchange.abandon(Err(&reject.kind));
            exchange.fail(&reject.kind);
            reject.kind
        }
    };
    exchange.target = None;
    let extra = exchange.extra();
    extra.degraded = true;
    if let Some(reason) = reason(&kind, false) {
        extra.stamp_mut().insert(DEGRADED, HeaderValue::from_static(reason));
    }
}
