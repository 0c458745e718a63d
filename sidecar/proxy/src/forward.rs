//! All of HTTP on one page: a request comes in at the top, its response leaves at the bottom, and whatever else happens leaves
//! through `?` and [`respond`].

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use weir_config::Action;
use weir_decide::{balance as decide, deadline};
use weir_model::limits;

use crate::body::Body;
use crate::downstream::Downstream;
use crate::exchange::{Exchange, Source};
use crate::reject::{Kind, Reject};
use crate::retry;
use crate::timer::{now, within};
use crate::upstream::{self, GRPC_TIMEOUT, Outgoing};
use crate::{balance, respond, route, upload};

/// Answers one request. Never fails: refusals are responses.
///
/// Not an `async fn`, whose arguments would be stored twice; each HTTP/2 stream allocates this future.
pub(crate) fn serve(
    downstream: Rc<Downstream>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> {
    let mut exchange = Exchange::begin(downstream, &request);
    let mut request = request.map(Some);
    async move {
        let response = match forward(&mut exchange, &mut request).await {
            Ok(response) => response,
            Err(reject) => {
                if exchange.policy.is_none() {
                    exchange.downstream.clone().worker.telemetry.refused(&mut exchange, &request);
                }
                refuse(&mut exchange, &reject)
            }
        };
        if let Some(body) = request.body_mut().take() {
            // Answered here, before anybody wanted it.
            exchange.upload = Some(upload::Source::new(body, false));
        }
        Ok(exchange.attach(response))
    }
}

fn refuse(exchange: &mut Exchange, reject: &Reject) -> Response<Source> {
    let (stage, side) = (reject.kind.stage(), reject.kind.side());
    tracing::debug!(?stage, ?side, retried = reject.retried, "refused: {}", reject.kind);
    exchange.fail(&reject.kind);
    respond::rejected(reject, exchange.grpc)
}

async fn forward(
    exchange: &mut Exchange,
    request: &mut Request<Option<Incoming>>,
) -> Result<Response<Source>, Reject> {
    check(request)?;
    let downstream = exchange.downstream.clone();
    let worker = &downstream.worker;

    let authority = route::authority(request)?;
    let scope = route::scope(&downstream, authority, exchange.started).await?;
    exchange.policy = Some(scope.policy.clone());
    let index = route::find(worker, &scope, authority, request);
    exchange.route = index.as_ref().ok().copied();
    worker.telemetry.begin(exchange, request);
    let route = scope.policy.routes.route(index?);
    let forward = match &route.action {
        Action::Forward(forward) => forward,
        Action::Redirect(redirect) => {
            let mut response = respond::redirected(redirect, route, request)?;
            respond::changed(response.headers_mut(), route, None);
            return Ok(response);
        }
        Action::Direct(direct) => {
            let mut response = respond::direct(direct, exchange.grpc);
            respond::changed(response.headers_mut(), route, None);
            return Ok(response);
        }
    };
    let target = balance::target(worker, forward);
    let cluster = &scope.pinned.clusters[target.cluster];
    exchange.admit(cluster)?;

    let caller = request
        .headers()
        .get(GRPC_TIMEOUT)
        .filter(|_| exchange.grpc)
        .and_then(|value| deadline::parse(value).ok());
    let limit = deadline::shorten(caller, forward.timeouts.request, std::time::Duration::ZERO);
    let until = limit.map(|limit| exchange.started + limit);
    let mut timer = std::mem::take(&mut exchange.timer);
    timer.start(until, forward.timeouts.idle, exchange.started);
    let hash = decide::hash(&cluster.config.model.load_balancing, request.headers());
    let mut outgoing = Outgoing::prepare(std::mem::take(request), route, forward, target, cluster)?;
    exchange.upload = outgoing.body().cloned();
    timer.watch(outgoing.body());

    let mut tried = Vec::new();
    let mut begun = exchange.started;
    let mut response = loop {
        let endpoint = balance::endpoint(worker, cluster, hash, &tried, begun)?;
        exchange.attempted = begun;
        timer.attempt(forward.timeouts.backend_request.map(|limit| begun + limit));
        if exchange.grpc {
            upstream::tell_deadline(&mut outgoing, until, begun);
        }
        let outcome = {
            let attempt = pin!(upstream::attempt(exchange, cluster, endpoint, &mut outgoing, begun));
            within(&mut timer, attempt).await.and_then(|outcome| outcome)
        };
        let Some(pause) = retry::verdict(exchange, cluster, forward, &outcome, &outgoing) else {
            break outcome.map_err(|kind| Reject { kind, retried: exchange.retries > 0 })?;
        };
        exchange.retry(outcome.as_ref(), outgoing.head_mut().map(|head| &mut head.headers));
        drop(outcome);
        tried.push(endpoint);
        timer.attempt(None);
        within(&mut timer, Box::pin(tokio::time::sleep(pause)).as_mut()).await?;
        begun = now();
    };

    if let Some(body) = outgoing.body() {
        body.settle();
    }
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        response = Box::pin(upstream::switched(response, &outgoing)).await?;
    }
    exchange.timer = timer;
    respond::finish(&mut response, route, target, exchange.version);
    Ok(response)
}

/// Refuses what cannot be forwarded whatever the routes say.
fn check<B>(request: &Request<B>) -> Result<(), Kind> {
    if *request.method() == Method::CONNECT {
        return Err(Kind::Unsupported("CONNECT"));
    }
    // The HTTP/1 parser has its own bound; HTTP/2 knows one in bytes only.
    if request.headers().len() > limits::HEAD_FIELDS {
        return Err(Kind::TooManyFields);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
