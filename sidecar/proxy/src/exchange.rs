//! One request and its response, from the request's head to the last byte of the response: all that they own.
//!
//! It is made when a request comes, travels through `forward`, and then becomes the response's body. Guards in it give back what
//! the request took (its place at the breaker, at the endpoint, on the connection) whichever way it ends, and its end is where
//! metrics, span and log are written. **An exchange that is dropped early was left by its downstream.**

mod source;

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use weir_config::Route;
use weir_decide::hop;
use weir_decide::route::RouteIndex;
use weir_decide::storm;
use weir_decide::storm::trace::TraceKey;
use weir_model::{Priority, Time};

use crate::body::{Body, BodyError};
use crate::downstream::Downstream;
use crate::ending;
use crate::filter::Extra;
use crate::manner;
use crate::pinned::WorkerCluster;
use crate::pool::{Active, ClusterShared, Counted, Word, limit};
use crate::reject::{Breaker, Kind};
use crate::respond::{answer, grpc_status};
use crate::route::Policy;
use crate::tcp::Upgrade;
use crate::telemetry::Recording;
use crate::timer::{Timer, now};
use crate::tunnel;
use crate::upload;
use crate::upstream::Answered;

pub(crate) use source::{Source, Upgraded};

/// One request and its response.
pub(crate) struct Exchange {
    pub(crate) downstream: Rc<Downstream>,
    pub(crate) started: Time,
    pub(crate) timer: Timer,
    source: Source,
    pub(crate) version: Version,
    pub(crate) method: Method,
    pub(crate) grpc: bool,
    /// Where it went, as far as it got.
    pub(crate) policy: Option<Rc<Policy>>,
    pub(crate) route: Option<RouteIndex>,
    /// Which of the route's targets, if that one changes responses.
    pub(crate) target: Option<usize>,
    pub(crate) cluster: Option<Rc<ClusterShared>>,
    admitted: Option<Counted>,
    pub(crate) active: Option<Active>,
    retrying: Option<Counted>,
    pub(crate) retries: u16,
    /// Whether this sidecar has said of the request that it is a further attempt.
    pub(crate) marked: bool,
    /// Whether its failure was tried again in vain, or could not be for want of budget.
    pub(crate) spent: bool,
    /// Its trace, as what is said about traces knows it.
    pub(crate) trace: Option<TraceKey>,
    /// When the current attempt began, and how long its response head took.
    pub(crate) attempted: Time,
    pub(crate) waited: Option<std::time::Duration>,
    pub(crate) upload: Option<Rc<upload::Source>>,
    /// What came of it.
    pub(crate) status: Option<StatusCode>,
    pub(crate) grpc_status: Option<u8>,
    pub(crate) failure: Option<Kind>,
    complete: bool,
    /// When the last thing happened that the clock was read for.
    pub(crate) latest: Time,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
    /// Only if a span or a log line will be written.
    pub(crate) recording: Option<Box<Recording>>,
    /// Whether it is an opaque connection.
    pub(crate) opaque: bool,
    /// What few have.
    pub(crate) extra: Option<Box<Extra>>,
    /// Where it is told that time is up, once it has waited for its upstream.
    place: Option<ending::Place>,
}

impl Exchange {
    /// A request has come.
    pub(crate) fn begin<B>(downstream: Rc<Downstream>, request: &Request<B>) -> Box<Exchange> {
        let method = request.method();
        // gRPC is only ever a POST, so that other requests save the look at their content type.
        let grpc = *method == Method::POST && hop::is_grpc(request.headers());
        let exchange = Exchange::new(downstream, method.clone(), request.version(), grpc);
        exchange.downstream.worker.telemetry.enter(exchange.inbound());
        exchange
    }

    /// What came was no request that could be served, and was answered as it stood: it is told of all the same.
    pub(crate) fn unreadable(downstream: &Rc<Downstream>, kind: &Kind) {
        // What Envoy writes where there is none; it is a token.
        let method = Method::from_bytes(b"-").unwrap_or_default();
        let mut exchange = Exchange::new(downstream.clone(), method, Version::HTTP_11, false);
        let telemetry = &downstream.worker.telemetry;
        telemetry.enter(exchange.inbound());
        exchange.recording = telemetry.unreadable(downstream);
        exchange.fail(kind);
        exchange.respond(answer(kind).status, &HeaderMap::new());
        exchange.complete = true;
    }

    /// An opaque connection has come.
    pub(crate) fn opaque(downstream: &Rc<Downstream>, recording: Option<Recording>) -> Box<Exchange> {
        let mut exchange = Exchange::new(downstream.clone(), Method::CONNECT, Version::HTTP_11, false);
        exchange.opaque = true;
        exchange.recording = recording.map(Box::new);
        exchange
    }

    fn new(downstream: Rc<Downstream>, method: Method, version: Version, grpc: bool) -> Box<Exchange> {
        downstream.begin();
        let started = now();
        Box::new(Exchange {
            downstream,
            started,
            timer: Timer::default(),
            source: Source::None,
            version,
            method,
            grpc,
            policy: None,
            route: None,
            target: None,
            cluster: None,
            admitted: None,
            active: None,
            retrying: None,
            retries: 0,
            marked: false,
            spent: false,
            trace: None,
            attempted: started,
            waited: None,
            upload: None,
            status: None,
            grpc_status: None,
            failure: None,
            complete: false,
            latest: started,
            bytes_up: 0,
            bytes_down: 0,
            recording: None,
            opaque: false,
            extra: None,
            place: None,
        })
    }

    /// The route it takes, once it has one.
    pub(crate) fn route(&self) -> Option<&Route> {
        Some(self.policy.as_ref()?.routes.route(self.route?))
    }

    /// What few have, made when it is first needed.
    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Whether it wants to be a tunnel over HTTP/2.
    pub(crate) fn wants_tunnel(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.tunnel.is_some())
    }

    /// For how long it was held up on purpose.
    pub(crate) fn held(&self) -> std::time::Duration {
        self.extra.as_ref().map_or(std::time::Duration::ZERO, |extra| extra.held)
    }

    /// The listener's direction.
    pub(crate) fn inbound(&self) -> bool {
        self.downstream.worker.is_inbound(self.downstream.entrance)
    }

    /// Takes its place among the cluster's requests.
    pub(crate) fn admit(&mut self, cluster: &WorkerCluster, priority: Priority) -> Result<(), Kind> {
        self.cluster = Some(cluster.shared.clone());
        let worker = &self.downstream.worker;
        if cluster.config.drops(&mut worker.random.borrow_mut()) {
            cluster.shared.state.traffic.of(worker.id).refuse();
            return Err(Kind::Dropped);
        }
        let max = limit(&cluster.config.model.circuit_breakers, Word::Requests, priority);
        self.admitted = cluster.shared.admit(Word::Requests, priority, max);
        let worker = self.downstream.worker.id;
        if self.admitted.is_none() {
            cluster.shared.state.traffic.of(worker).refuse();
            return Err(Kind::Overflow(Breaker::Requests));
        }
        cluster.shared.state.traffic.of(worker).start();
        Ok(())
    }

    /// An attempt failed and another one follows.
    pub(crate) fn retry(
        &mut self,
        outcome: Result<&Response<Source>, &Kind>,
        headers: Option<&mut HeaderMap>,
    ) {
        let status = outcome.ok().map(|response| response.status());
        let downstream = self.downstream.clone();
        downstream.worker.telemetry.attempt(self, status, outcome.err(), headers, now());
        downstream.worker.telemetry.retried(self);
        self.end_attempt(false);
        self.retries += 1;
        self.active = None;
        self.waited = None;
    }

    /// Its cluster has given up: it gives back its places there, and somebody else answers.
    pub(crate) fn abandon(&mut self, outcome: Result<StatusCode, &Kind>) {
        let downstream = self.downstream.clone();
        if self.active.is_some() {
            let telemetry = &downstream.worker.telemetry;
            telemetry.attempt(self, outcome.ok(), outcome.err(), None, now());
            self.end_attempt(false);
        }
        if let (Some(_), Some(cluster)) = (self.admitted.take(), &self.cluster) {
            cluster.state.traffic.of(downstream.worker.id).end(false);
        }
        (self.active, self.retrying, self.waited) = (None, None, None);
    }

    /// Whether somebody else answered for its upstream.
    pub(crate) fn is_degraded(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.degraded)
    }

    /// The head of a response has come, of the attempt that began then.
    pub(crate) fn answered(&mut self, answered: Answered, begun: Time) -> Response<Source> {
        self.latest = answered.at;
        self.waited = Some(answered.at.since(begun));
        answered.response
    }

    /// An attempt that was overtaken wins: it is the current one again, and what the one after it comes to nobody will know.
    pub(crate) fn adopt(&mut self, active: Active, begun: Time) {
        self.end_attempt(true);
        active.pool.endpoint.traffic.of(self.downstream.worker.id).start();
        self.active = Some(active);
        self.attempted = begun;
    }

    /// Whether it is counted among the cluster's retries.
    pub(crate) fn is_retrying(&self) -> bool {
        self.retrying.is_some()
    }

    /// Takes its place among the cluster's retries, of which there may be so many; whether it has one.
    pub(crate) fn count_retry(
        &mut self,
        cluster: &WorkerCluster,
        priority: Priority,
        allowance: u32,
    ) -> bool {
        if self.retrying.is_none() {
            self.retrying = cluster.shared.admit(Word::Retries, priority, allowance);
        }
        self.retrying.is_some()
    }

    /// Why those above are not to try it again, if they are not. Only callers in the mesh can go elsewhere and are told; what goes wrong
    /// between a sidecar and its application is tried again elsewhere by whoever called.
    pub(crate) fn against_retry(&self) -> Option<storm::Reason> {
        let overloaded = matches!(self.failure, Some(Kind::Overflow(_) | Kind::Dropped));
        match () {
            () if self.inbound() => None,
            () if overloaded => Some(storm::Reason::Overloaded),
            () => self.spent.then_some(storm::Reason::Spent),
        }
    }

    /// Why there is no good response, or only a part of one.
    pub(crate) fn fail(&mut self, kind: &Kind) {
        self.failure = Some(kind.clone());
    }

    /// An opaque or upgraded connection has ended; bytes up and down.
    pub(crate) fn carried(&mut self, (up, down): (u64, u64)) {
        self.bytes_up += up;
        self.bytes_down += down;
        self.complete = true;
        self.latest = now();
    }

    /// Ends the part of the exchange that happens before the response: from here on it is the response's body.
    pub(crate) fn attach(mut self: Box<Self>, response: Response<Source>) -> Response<Body> {
        let (mut head, source) = response.into_parts();
        if let Some(manner) = self.policy.as_ref().and_then(|policy| policy.manner.as_ref()) {
            let id = self.extra.as_mut().and_then(|extra| extra.request_id.take());
            manner::response(&mut head.headers, manner, id);
        }
        self.respond(head.status, &head.headers);
        let upgraded = matches!(source, Source::Upgraded(_));
        if self.downstream.worker.drain.is_leaving() && self.version < Version::HTTP_2 && !upgraded {
            // The caller's next request is to go elsewhere; HTTP/2 says it by GOAWAY.
            head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Source::Upgraded(upstream) = source {
            let downstream = self.downstream.clone();
            let upgrade = Upgrade { upstream, exchange: self };
            if upgrade.exchange.version == Version::HTTP_2 {
                return tunnel::open(upgrade, head);
            }
            downstream.upgrade.replace(Some(upgrade));
            return Response::from_parts(head, Body::Empty);
        }
        if let Source::None | Source::Local(_) = source {
            self.complete = true;
            self.latest = now();
            self.discard_rest();
            let Source::Local(bytes) = source else { return Response::from_parts(head, Body::Empty) };
            if self.method == Method::HEAD {
                return Response::from_parts(head, Body::Empty);
            }
            self.bytes_down = bytes.len() as u64;
            return Response::from_parts(head, Body::Full(bytes));
        }
        if source.is_end() {
            self.complete = true;
            source.finish(self.latest);
            self.discard_rest();
            return Response::from_parts(head, Body::Empty);
        }
        self.source = source;
        Response::from_parts(head, Body::Download(self))
    }

    /// Notes what the response says.
    pub(crate) fn respond(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        if let Some(recording) = &mut self.recording {
            recording.see_response(status, headers);
        }
        if self.grpc {
            self.grpc_status = grpc_status(headers);
        }
    }

    /// The next frame of the response.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match self.source.poll_frame(cx) {
            Poll::Ready(Some(Err(error))) if !matches!(self.source, Source::Broken(_)) => {
                // What came before it is passed on first: the codecs drop what they have not written when a body breaks off.
                self.failure = Some(broken(&error));
                self.source = Source::Broken(Some(Box::new(error)));
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
            Poll::Pending if self.must_end(cx) => {
                self.source = Source::None;
                self.failure = Some(Kind::Draining);
                self.grpc_status = Some(ending::UNAVAILABLE);
                return Poll::Ready(Some(Ok(Frame::trailers(ending::trailers()))));
            }
            Poll::Pending => {
                let Poll::Ready(kind) = self.timer.poll(cx) else { return Poll::Pending };
                self.failure = Some(kind);
                self.source = Source::None;
                return Poll::Ready(Some(Err(BodyError::timeout())));
            }
        };
        match &frame {
            Some(Ok(frame)) => {
                self.timer.touch();
                if let Some(data) = frame.data_ref() {
                    self.bytes_down += data.len() as u64;
                } else if let Some(trailers) = frame.trailers_ref() {
                    if self.grpc {
                        self.grpc_status = grpc_status(trailers);
                    }
                    if let Some(recording) = &mut self.recording {
                        recording.see_trailers(trailers);
                    }
                }
                // Nothing follows trailers, and nobody asks for more.
                if frame.is_trailers() || self.source.is_end() {
                    self.finish();
                }
            }
            Some(Err(_)) => {
                if self.version < Version::HTTP_11 {
                    // Where the end of the connection is the end of the body, an orderly one would make it look whole.
                    self.downstream.abort();
                }
                self.source = Source::None;
            }
            None => self.finish(),
        }
        Poll::Ready(frame)
    }

    /// Whether a stream that waits for its upstream is out of time and can tell its caller so. If it is not yet, it is woken
    /// then.
    fn must_end(&mut self, cx: &Context<'_>) -> bool {
        if !self.grpc || self.version != Version::HTTP_2 {
            return false;
        }
        let worker = &self.downstream.worker;
        if worker.drain.is_ending() {
            return true;
        }
        worker.streams.wait(&mut self.place, cx.waker());
        false
    }

    pub(crate) fn is_end(&self) -> bool {
        self.source.is_end()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }

    fn finish(&mut self) {
        self.complete = true;
        self.latest = now();
        let source = std::mem::replace(&mut self.source, Source::None);
        let detached = matches!(source, Source::Detached(_));
        source.finish(self.latest);
        // A connection that goes on by itself goes on with the request body.
        if !detached {
            self.discard_rest();
        }
    }

    /// The response is through, the request body need not be. HTTP/2 resets just the one stream.
    fn discard_rest(&self) {
        if let (Some(upload), true) = (&self.upload, self.version < Version::HTTP_2) {
            upload.clone().discard();
        }
    }

    /// Whether it ended well: not in a failure of ours, nor in an answer that says that the server failed.
    pub(crate) fn success(&self) -> bool {
        let status = self.status.is_some_and(|status| !status.is_server_error());
        // Unknown, deadline exceeded, unimplemented, internal, unavailable, data loss.
        let grpc = self.grpc_status.is_none_or(|code| !matches!(code, 2 | 4 | 12 | 13 | 14 | 15));
        self.failure.is_none() && (self.opaque || (status && grpc))
    }

    /// Envoy's flag, if something went wrong.
    pub(crate) fn flag(&self) -> Option<&'static str> {
        self.failure.as_ref().map(|kind| answer(kind).flag).filter(|flag| !flag.is_empty())
    }

    fn end_attempt(&self, success: bool) {
        if let Some(active) = &self.active {
            active.pool.endpoint.traffic.of(self.downstream.worker.id).end(success);
        }
    }
}

/// What it is that broke a response off.
fn broken(error: &BodyError) -> Kind {
    match error {
        BodyError::Http2(error) if error.is_reset() => {
            Kind::StreamReset(error.reason().unwrap_or(h2::Reason::INTERNAL_ERROR))
        }
        BodyError::Hyper(_) | BodyError::Http2(_) | BodyError::Timeout(_) | BodyError::TooLarge => {
            Kind::ConnectionLost { reused: false }
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // What is complete was so at the last reading.
        let now = if self.complete { self.latest } else { now() };
        if !self.complete && self.failure.is_none() {
            self.failure = Some(Kind::DownstreamLost);
        }
        if let Some(upload) = &self.upload {
            self.bytes_up += upload.bytes();
        }
        let success = self.success();
        self.end_attempt(success);
        if let (Some(_), Some(cluster)) = (&self.admitted, &self.cluster) {
            cluster.state.traffic.of(self.downstream.worker.id).end(success);
        }
        let downstream = self.downstream.clone();
        downstream.worker.telemetry.end(self, now);
        downstream.end(now);
    }
}
