//! Copies of requests for other clusters (beside stage 12).
//!
//! A copy is made when the request itself is ready to be sent, and lives in a task of its own from then on: **whatever becomes of
//! it, the caller neither waits for it nor learns of it.** It gets what is read of the request body as far as it keeps up
//! ([`crate::upload::tee`]), its response is read and dropped, and there are bounds on how many there are
//! ([`limits::MIRRORS_IN_FLIGHT`], and the breakers of the cluster that it goes to) and on how long one takes. A copy that finds no room is
//! not made, and counted.
//!
//! It is sent once: no retries, no upgrades.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode, Version};
use weir_config::{Forward, Mirror};
use weir_decide::{latency, mirror as decide};
use weir_model::{HttpVersion, Priority, limits};

use crate::balance;
use crate::body::Body;
use crate::exchange::{Exchange, Source};
use crate::pinned::{Pinned, WorkerCluster};
use crate::pool::{Active, Counted, Failure, Word};
use crate::reject::Kind;
use crate::telemetry::MirrorSpan;
use crate::timer::now;
use crate::upload::tee::Watch;
use crate::upstream::{Outgoing, reform};
use crate::worker::Worker;

/// The copies that a worker has under way.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    in_flight: Cell<usize>,
}

/// What became of a copy, as metrics call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// It was answered.
    Answered,
    /// It could not be sent, or its connection broke.
    Failed,
    /// It took too long.
    TimedOut,
    /// It could not keep up with the body of its original, or that broke off.
    Cut,
    /// There was no room for it.
    Dropped,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Failed => "failed",
            Outcome::TimedOut => "timeout",
            Outcome::Cut => "cut",
            Outcome::Dropped => "dropped",
        }
    }
}

/// Starts the copies of a request that is about to be sent.
pub(crate) fn start(
    exchange: &Exchange,
    pinned: &Pinned,
    forward: &Forward,
    hash: Option<u64>,
    outgoing: &mut Outgoing,
) {
    let worker = &exchange.downstream.worker;
    for mirror in &forward.mirrors {
        if !decide::selected(mirror.fraction, &mut worker.random.borrow_mut()) {
            continue;
        }
        let cluster = &pinned.clusters[mirror.cluster];
        let room = take_place(worker, cluster);
        let copy = room.and_then(|place| Copy::of(exchange, cluster, mirror, hash, outgoing, place));
        match copy {
            Some(copy) => {
                let time = forward.timeouts.request.unwrap_or(limits::MIRROR_TIME);
                drop(tokio::task::spawn_local(copy.run(time)));
            }
            None => worker.telemetry.mirrored(&cluster.shared, Outcome::Dropped),
        }
    }
}

/// A copy's place among those of its worker and among the requests of its cluster.
struct Place {
    worker: Rc<Worker>,
    _admitted: Counted,
}

fn take_place(worker: &Rc<Worker>, cluster: &WorkerCluster) -> Option<Place> {
    let in_flight = &worker.mirrors.in_flight;
    if in_flight.get() >= limits::MIRRORS_IN_FLIGHT {
        return None;
    }
    let admitted = cluster.shared.admit(
        Word::Requests,
        Priority::Default,
        cluster.config.model.circuit_breakers.max_requests,
    )?;
    in_flight.set(in_flight.get() + 1);
    Some(Place { worker: worker.clone(), _admitted: admitted })
}

impl Drop for Place {
    fn drop(&mut self) {
        let in_flight = &self.worker.mirrors.in_flight;
        in_flight.set(in_flight.get() - 1);
    }
}

/// One copy.
struct Copy {
    place: Place,
    cluster: Rc<WorkerCluster>,
    request: Request<Body>,
    /// How its body ends, if it has one.
    body: Option<Watch>,
    hash: Option<u64>,
    span: Option<Box<MirrorSpan>>,
}

impl Copy {
    /// `None` if the request cannot be said in the other cluster's protocol.
    fn of(
        exchange: &Exchange,
        cluster: &Rc<WorkerCluster>,
        mirror: &Mirror,
        hash: Option<u64>,
        outgoing: &mut Outgoing,
        place: Place,
    ) -> Option<Copy> {
        let body = outgoing.body().map(|body| body.tee());
        let mut head = outgoing.head_mut()?.clone();
        // A mirror's cluster is spoken to as the original's is, unless it says how itself.
        let http2 = match cluster.config.model.http {
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
            HttpVersion::Downstream => head.version == Version::HTTP_2,
        };
        if mirror.marks_host {
            mark_host(&mut head);
        }
        reform(&mut head, http2, body.as_ref().is_none_or(|body| body.size_hint().exact().is_some())).ok()?;
        let span = place.worker.telemetry.mirror_span(exchange, &cluster.shared, &mut head.headers);
        let watch = body.as_ref().map(|body| body.watch());
        let body = body.map_or(Body::Empty, Body::Copied);
        let request = Request::from_parts(head, body);
        Some(Copy { place, cluster: cluster.clone(), request, body: watch, hash, span })
    }

    async fn run(self, time: Duration) {
        let Copy { place, cluster, request, body, hash, span } = self;
        let mut status = None;
        let outcome = {
            let sent = pin!(send(&place.worker, &cluster, request, hash, &mut status));
            tokio::time::timeout(time, sent).await
        };
        let outcome = match outcome {
            _ if body.is_some_and(|body| body.is_cut()) && status.is_none() => Outcome::Cut,
            Ok(Ok(())) => Outcome::Answered,
            Ok(Err(_)) => Outcome::Failed,
            Err(_) => Outcome::TimedOut,
        };
        let telemetry = &place.worker.telemetry;
        telemetry.mirrored(&cluster.shared, outcome);
        if let Some(span) = span {
            telemetry.end_mirror(*span, status, outcome, now());
        }
    }
}

/// Sends a copy to one endpoint and reads its response to the end.
async fn send(
    worker: &Worker,
    cluster: &WorkerCluster,
    mut request: Request<Body>,
    hash: Option<u64>,
    status: &mut Option<StatusCode>,
) -> Result<(), Kind> {
    let begun = now();
    let endpoint = balance::endpoint(worker, cluster, (None, hash), &[], begun)?;
    let pool = &cluster.pools[endpoint];
    let _active = Active::new(pool.clone());
    let http2 = request.version() == Version::HTTP_2;
    let response = loop {
        let sent = if http2 {
            pool.http2(cluster, Priority::Default)
                .await?
                .send(request)
                .await
                .map(|response| response.map(Source::Http2))
        } else {
            let mut lease = pool.http1(cluster, Priority::Default).await?;
            let answer = pin!(lease.send(request));
            let received = lease.receive(answer).await;
            received.map(|response| response.map(|body| Source::http1(body, lease, false)))
        };
        match sent {
            Ok(response) => break response,
            // A connection that had been idle was closed meanwhile.
            Err(Failure::Unsent { request: whole, fresh: false }) => request = *whole,
            Err(Failure::Unsent { .. }) => {
                return Err(Kind::ConnectFailed(std::io::ErrorKind::ConnectionReset));
            }
            Err(Failure::Failed(kind)) => return Err(kind),
        }
    };
    *status = Some(response.status());
    let state = &pool.endpoint.latency;
    let now = now();
    let observed = latency::observe(
        state.load(std::sync::atomic::Ordering::Relaxed),
        now.since(begun),
        now,
        cluster.config.latency_decay(),
    );
    state.store(observed, std::sync::atomic::Ordering::Relaxed);
    drop_body(response.into_body()).await
}

/// Reads a response to its end, so that its connection can go on; a long one is not worth that.
async fn drop_body(mut source: Source) -> Result<(), Kind> {
    let mut read = 0;
    while !source.is_end() {
        match poll_fn(|cx| source.poll_frame(cx)).await {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) => return Err(Kind::ConnectionLost { reused: false }),
            None => break,
        }
        if read > limits::DISCARD_BYTES {
            return Ok(());
        }
    }
    source.finish(now());
    Ok(())
}

/// Marks the host in `Host` and in the target, wherever it is.
fn mark_host(head: &mut Parts) {
    if let Some(host) = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok())
        && let Ok(marked) = HeaderValue::from_str(&decide::shadow_authority(host))
    {
        head.headers.insert(http::header::HOST, marked);
    }
    let Some(authority) = head.uri.authority() else { return };
    let Ok(marked) = decide::shadow_authority(authority.as_str()).parse() else { return };
    let mut parts = head.uri.clone().into_parts();
    parts.authority = Some(marked);
    if let Ok(uri) = http::Uri::from_parts(parts) {
        head.uri = uri;
    }
}
