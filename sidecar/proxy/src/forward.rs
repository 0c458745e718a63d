//! All of HTTP on one page: a request comes in at the top, its response leaves at the bottom, and whatever else happens leaves
//! through `?` and [`respond`].

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;

use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use weir_config::Action;
use weir_decide::{deadline, hop};
use weir_model::Forwarded;

use crate::body::Body;
use crate::downstream::Downstream;
use crate::exchange::{Exchange, Source};
use crate::hedge::Hedges;
use crate::reject::{Kind, Reject};
use crate::timer::{now, within};
use crate::upstream::{self, GRPC_TIMEOUT, Outgoing};
use crate::{affinity, balance, canonical, health, manner, respond, route, sound, upload};
use crate::{changes, fallback, filter, kin, mirror, retry, tunnel};

/// Answers one request. Never fails: refusals are responses.
///
/// Not an `async fn`, whose arguments would be stored twice; each HTTP/2 stream allocates this future.
pub(crate) fn serve(
    downstream: Rc<Downstream>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> {
    let mut request = request;
    let tunnel = match *request.method() {
        Method::CONNECT => tunnel::of(&mut request, &mut downstream.worker.random.borrow_mut()),
        _ => None,
    };
    let mut exchange = Exchange::begin(downstream, &request);
    if tunnel.is_some() {
        exchange.extra().tunnel = tunnel;
    }
    let mut request = request.map(Some);
    async move {
        let mut response = match forward(&mut exchange, &mut request).await {
            Ok(response) => response,
            Err(reject) => {
                let left = exchange.extra.as_mut().and_then(|extra| extra.left.take());
                let answered = match left {
                    Some(left) => Box::pin(fallback::answer(&mut exchange, &mut request, left, reject)).await,
                    None => Err(reject),
                };
                answered.unwrap_or_else(|reject| refused(&mut exchange, &mut request, reject))
            }
        };
        if let Some(body) = request.body_mut().take() {
            // Answered here, before anybody wanted it.
            exchange.upload = Some(upload::Source::new(body, false));
        }
        if let Some(extra) = &mut exchange.extra {
            extra.stamp(response.headers_mut());
        }
        Ok(exchange.attach(response))
    }
}

fn refused(
    exchange: &mut Exchange,
    request: &mut Request<Option<Incoming>>,
    mut reject: Reject,
) -> Response<Source> {
    reject.kind = blamed(exchange, reject.kind);
    if exchange.policy.is_none() {
        exchange.downstream.clone().worker.telemetry.refused(exchange, request);
    }
    refuse(exchange, &reject)
}

fn refuse(exchange: &mut Exchange, reject: &Reject) -> Response<Source> {
    let (stage, side) = (reject.kind.stage(), reject.kind.side());
    tracing::debug!(?stage, ?side, retried = reject.retried, "refused: {}", reject.kind);
    exchange.fail(&reject.kind);
    let mut response = respond::rejected(reject, exchange.grpc);
    if let Some(route) = exchange.route() {
        // What a route and its chosen target change in responses they change in refusals too.
        let target = match (&route.action, exchange.target) {
            (Action::Forward(forward), Some(target)) => forward.targets.get(target),
            _ => None,
        };
        respond::changed(exchange, &mut response, route, target);
    }
    kin::leave(exchange, &mut response);
    if closes(exchange, &reject.kind) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn forward(
    exchange: &mut Exchange,
    request: &mut Request<Option<Incoming>>,
) -> Result<Response<Source>, Reject> {
    let downstream = exchange.downstream.clone();
    let worker = &downstream.worker;
    if request.version() < Version::HTTP_11
        && let Some(manner) = downstream.manner()
    {
        manner::host(request, &manner);
    }
    sound::request(&downstream, request)?;
    if exchange.version == Version::HTTP_2 {
        // Before anything looks at them: routes match on the whole.
        hop::join_cookies(request.headers_mut());
    }

    let mut authority = route::authority(request)?;
    let scope = route::scope(&downstream, authority, exchange.started).await?;
    exchange.policy = Some(scope.policy.clone());
    match manner::admit(request, &scope.policy.limits)
        .and_then(|()| canonical::target(request, &scope.policy.paths))
    {
        Ok(canonical::Target::Same) => {}
        Ok(canonical::Target::Changed(uri)) => {
            *request.uri_mut() = uri;
            authority = route::authority(request)?;
        }
        // Both go no further, and are told of as they came.
        Ok(canonical::Target::Redirect(response)) => {
            worker.telemetry.begin(exchange, request);
            return Ok(response);
        }
        Err(kind) => {
            worker.telemetry.begin(exchange, request);
            return Err(kind.into());
        }
    }
    if scope.policy.forwarded != Forwarded::Pass {
        canonical::forwarded(request.headers_mut(), downstream.peer.ip(), scope.policy.forwarded);
        authority = route::authority(request)?;
    }
    if let Some(manner) = &scope.policy.manner {
        behave(exchange, request, manner)?;
        authority = route::authority(request)?;
    }
    let index = route::find(worker, &scope, authority, request);
    exchange.route = index.as_ref().ok().copied();
    worker.telemetry.begin(exchange, request);
    kin::enter(exchange, request.headers_mut());
    let route = scope.policy.routes.route(index?);
    changes::see(exchange, route, request);
    if filter::any(route, &scope.policy)
        && let Some(response) = Box::pin(filter::apply(exchange, route, &scope.policy, request)).await?
    {
        return Ok(response);
    }
    let forward = match &route.action {
        Action::Forward(forward) => forward,
        Action::Redirect(redirect) => {
            let mut response = respond::redirected(redirect, route, request)?;
            respond::changed(exchange, &mut response, route, None);
            return Ok(response);
        }
        Action::Direct(direct) => {
            let mut response = respond::direct(direct, exchange.grpc);
            respond::changed(exchange, &mut response, route, None);
            respond::untyped(&mut response, direct, exchange.grpc);
            return Ok(response);
        }
    };
    let tied = affinity::tie(&downstream, forward, request);
    let headers = request.headers();
    let target = affinity::target(worker, forward, tied.as_deref(), &scope.pinned, headers, exchange.started);
    if !target.response_headers.is_empty() {
        exchange.target = forward.targets.iter().position(|one| std::ptr::eq(one, target));
    }
    let cluster = &scope.pinned.clusters[target.cluster];
    let refused = match exchange.admit(cluster, forward.priority) {
        Err(kind) if forward.fallback.is_none() => return Err(kind.into()),
        admitted => admitted.err(),
    };

    let caller = request
        .headers()
        .get(GRPC_TIMEOUT)
        .filter(|_| exchange.grpc)
        .and_then(|value| deadline::parse(value).ok())
        .map(|caller| deadline::granted(caller, &forward.timeouts.grpc));
    // What is still to come of a request counts only where its limits begin with the head.
    let late =
        !forward.timeouts.from_head && request.body().as_ref().is_some_and(|body| !body.is_end_stream());
    let own = forward.timeouts.request.filter(|_| !late);
    let limit = deadline::shorten(caller, own, std::time::Duration::ZERO);
    // The time it was held up on purpose is not its own.
    let until = limit.map(|limit| exchange.started + exchange.held() + limit);
    let mut timer = std::mem::take(&mut exchange.timer);
    timer.start(until, late, &forward.timeouts, &scope.policy.limits, exchange.started);
    if let Some(kind) = refused {
        let failed = Err(kind.into());
        return Err(fallback::leave(exchange, &scope, (forward, target), timer, None, failed));
    }
    let mut outgoing = Outgoing::prepare(exchange, std::mem::take(request), route, forward, target, cluster)?;
    let (path, host) = (forward.rewrite.path.is_some(), forward.rewrite.host.is_some());
    if let (true, Some(recording), Some(sent)) = (path || host, &mut exchange.recording, outgoing.head_mut())
    {
        recording.see_rewritten(sent, path, host);
    }
    if exchange.wants_tunnel() && !outgoing.upgrades {
        return Err(Kind::NoTunnel.into());
    }
    exchange.upload = outgoing.body().cloned();
    if let (Some(extra), Some(body)) = (&exchange.extra, outgoing.body()) {
        body.limit(extra.body_limit.unwrap_or(u64::MAX));
    }
    if !forward.mirrors.is_empty() {
        let hash = tied.as_deref().and_then(|tied| tied.hash);
        mirror::start(exchange, &scope.pinned, forward, hash, &mut outgoing);
    }
    timer.watch(outgoing.body());

    let mut hedges = Hedges::of(forward, cluster, exchange, &outgoing);
    let mut tried = Vec::new();
    let mut begun = exchange.started;
    let result: Result<Response<Source>, Reject> = loop {
        let tied = (tied.as_deref(), &**forward);
        let first = exchange.retries == 0;
        let endpoint = match affinity::endpoint(worker, (target, cluster), tied, &tried, first, begun) {
            Ok(endpoint) => endpoint,
            Err(kind) => break Err(kind.into()),
        };
        exchange.attempted = begun;
        changes::at_endpoint(route, cluster, endpoint, outgoing.head_mut())?;
        timer.attempt(begun);
        if exchange.grpc {
            upstream::tell_deadline(&mut outgoing, until, begun);
        }
        let outcome = match &mut hedges {
            Some(hedges) => Box::pin(hedges.attempt(exchange, endpoint, &outgoing, begun, &mut timer)).await,
            None => {
                let attempt = pin!(upstream::attempt(exchange, cluster, endpoint, &mut outgoing, begun));
                within(&mut timer, attempt).await.and_then(|outcome| outcome)
            }
        };
        health::outlier::attempted(exchange, cluster, &outcome);
        if let Err(kind) = &outcome {
            balance::unanswered(exchange, cluster, kind);
        }
        let hedged = hedges.is_some();
        let Some(pause) = retry::verdict(exchange, cluster, forward, &outcome, &mut outgoing, hedged) else {
            timer.pause();
            if let Some(hedges) = &mut hedges
                && let Some(won) = Box::pin(hedges.wait(exchange, None, &mut timer)).await?
            {
                break Ok(won);
            }
            break outcome.map_err(|kind| Reject { kind, retried: exchange.retries > 0 });
        };
        exchange.retry(outcome.as_ref(), outgoing.head_mut().map(|head| &mut head.headers));
        changes::another(exchange, route, outgoing.head_mut());
        if let Ok(response) = outcome {
            response.into_body().pass_over(exchange.latest);
        }
        if forward.retry.as_ref().is_some_and(|retry| retry.policy().avoid_tried) {
            tried.push(endpoint);
        }
        timer.pause();
        match &mut hedges {
            Some(hedges) => {
                if let Some(won) = Box::pin(hedges.wait(exchange, Some(pause), &mut timer)).await? {
                    break Ok(won);
                }
            }
            None => within(&mut timer, Box::pin(tokio::time::sleep(pause)).as_mut()).await?,
        }
        begun = now();
    };

    let mut response = match fallback::sort(result, exchange.spent && forward.fallback.is_some()) {
        Ok(response) => response,
        Err(failed) => {
            let way = (&**forward, target);
            return Err(fallback::leave(exchange, &scope, way, timer, Some(outgoing), *failed));
        }
    };

    if let Some(body) = outgoing.body() {
        body.settle();
    }
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        response = Box::pin(upstream::switched(response, &outgoing)).await?;
    } else if exchange.wants_tunnel() && response.status().is_success() {
        // To its caller that would be a tunnel, and there is none.
        return Err(Kind::Protocol.into());
    }
    timer.respond(exchange.latest);
    exchange.timer = timer;
    respond::finish(exchange, &mut response, route, Some(target));
    if let Some(tied) = tied {
        let address = exchange.active.as_ref().map(|active| active.pool.endpoint.address);
        tied.tell(response.headers_mut(), forward, target, address);
    }
    kin::leave(exchange, &mut response);
    Ok(response)
}

/// A request that stopped moving before it was whole is its caller's doing (408), not the upstream's (504).
fn blamed(exchange: &Exchange, kind: Kind) -> Kind {
    let unfinished = || exchange.upload.as_ref().is_some_and(|body| !body.is_end());
    match kind {
        Kind::IdleTimeout if unfinished() => Kind::SlowRequest,
        Kind::DurationTimeout if unfinished() => Kind::UnfinishedTimeout,
        Kind::DownstreamLost if exchange.downstream.is_slow() => Kind::SlowRequest,
        Kind::DownstreamLost if exchange.upload.as_ref().is_some_and(|body| body.is_too_large()) => {
            Kind::BodyTooLarge
        }
        kind => kind,
    }
}

/// Does with a request what its listener does besides.
fn behave(
    exchange: &mut Exchange,
    request: &mut Request<Option<Incoming>>,
    manner: &weir_model::Manner,
) -> Result<(), Kind> {
    let downstream = exchange.downstream.clone();
    let forwarded = exchange.policy.as_ref().map_or(Forwarded::Pass, |policy| policy.forwarded);
    let done = {
        let random = &mut downstream.worker.random.borrow_mut();
        manner::request(request, manner, forwarded, downstream.local.get(), random)
    };
    if done.is_err() {
        downstream.worker.telemetry.begin(exchange, request);
    } else if let Some(id) = manner::request_id(request.headers(), manner) {
        exchange.extra().request_id = Some(id);
    }
    done
}

/// Whether nothing more is read of an HTTP/1 connection after a refusal: what follows may be part of what was refused.
fn closes(exchange: &Exchange, kind: &Kind) -> bool {
    let suspect =
        matches!(kind, Kind::Malformed(_) | Kind::SlowRequest | Kind::BodyTooLarge | Kind::NoTunnel)
            || exchange.method == Method::CONNECT;
    exchange.version < Version::HTTP_2 && suspect
}

#[cfg(test)]
mod tests;
