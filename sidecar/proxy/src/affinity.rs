//! What brings a caller back to where it was: facts in, `weir_decide::affinity`'s answers out (a part of stage 10).
//!
//! A route without affinity pays for the look at an `Option`. One with it decides everything of the request head at once ([`tie`]), before
//! the head is changed for the upstream; what the caller has to bring next time is told with the response ([`Tied::tell`]).

use std::net::SocketAddr;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Request};
use weir_config::{Forward, Target};
use weir_decide::affinity::{self as decide, Caller, Hashed, Pin};
use weir_model::{Session, Time};

use crate::balance;
use crate::downstream::Downstream;
use crate::pinned::{Pinned, WorkerCluster};
use crate::reject::Kind;
use crate::worker::Worker;

/// What ties one request.
pub(crate) struct Tied {
    pub(crate) hash: Option<u64>,
    /// `Set-Cookie` values for the response.
    issued: Vec<HeaderValue>,
    /// Its session's endpoint.
    pin: Option<Pin>,
    /// Whether sessions are for it.
    covered: bool,
}

/// Looks at what ties a request; `None` for a route without affinity.
pub(crate) fn tie<B>(downstream: &Downstream, forward: &Forward, request: &Request<B>) -> Option<Box<Tied>> {
    let affinity = forward.affinity.as_deref()?;
    let (headers, uri) = (request.headers(), request.uri());
    let caller = Caller { headers, source: downstream.peer.ip(), query: uri.query() };
    let random = &mut downstream.worker.random.borrow_mut();
    let Hashed { hash, issued } = decide::hash(&affinity.hash, &caller, random);
    let session = affinity.session.as_ref().filter(|session| decide::covers(session, uri.path()));
    let pin = session.and_then(|session| decide::pin(session, headers));
    Some(Box::new(Tied { hash, issued, pin, covered: session.is_some() }))
}

/// The side of a split: that of its session while the endpoint is there, whatever the weights have become, else the one it sticks to.
pub(crate) fn target<'a>(
    worker: &Worker,
    forward: &'a Forward,
    tied: Option<&Tied>,
    pinned: &Pinned,
    headers: &HeaderMap,
    now: Time,
) -> &'a Target {
    let (Some(tied), Some(affinity)) = (tied, forward.affinity.as_deref()) else {
        return balance::target(worker, forward);
    };
    let holds = |target: &&Target| {
        tied.pin.is_some_and(|pin| {
            let cluster = &pinned.clusters[target.cluster].config;
            pin.cluster == target.key && cluster.table.pinned(pin.endpoint, &cluster.loads(now)).is_some()
        })
    };
    if let Some(target) = forward.targets.iter().find(holds) {
        return target;
    }
    let Some(sticky) = &affinity.split else { return balance::target(worker, forward) };
    let random = &mut worker.random.borrow_mut();
    &forward.targets[decide::side(&forward.split, sticky, tied.hash, headers, random)]
}

/// The endpoint for an attempt. Only the first one goes by the session: a retry is for going elsewhere.
pub(crate) fn endpoint(
    worker: &Worker,
    (target, cluster): (&Target, &WorkerCluster),
    (tied, forward): (Option<&Tied>, &Forward),
    tried: &[usize],
    first: bool,
    now: Time,
) -> Result<usize, Kind> {
    let wanted = target.subset.as_deref();
    let Some(tied) = tied else { return balance::endpoint(worker, cluster, (wanted, None), tried, now) };
    if let Some(pin) = tied.pin.filter(|_| first) {
        let known = Some(pin).filter(|pin| pin.cluster == target.key);
        let found =
            known.and_then(|pin| cluster.config.table.pinned(pin.endpoint, &cluster.config.loads(now)));
        match found {
            Some(endpoint) => return Ok(endpoint),
            None if session(forward).is_some_and(|session| session.strict) => return Err(Kind::NoEndpoint),
            None => {}
        }
    }
    balance::endpoint(worker, cluster, (wanted, tied.hash), tried, now)
}

fn session(forward: &Forward) -> Option<&Session> {
    forward.affinity.as_deref()?.session.as_ref()
}

impl Tied {
    /// Tells the caller what brings it back to the endpoint that answered it.
    pub(crate) fn tell(
        self,
        headers: &mut HeaderMap,
        forward: &Forward,
        target: &Target,
        address: Option<SocketAddr>,
    ) {
        let pin = address.map(|address| Pin { cluster: target.key, endpoint: decide::endpoint_key(address) });
        let changed = pin.filter(|pin| self.covered && self.pin != Some(*pin));
        let cookie = changed
            .zip(session(forward))
            .and_then(|(pin, session)| decide::set_cookie(&session.cookie, &pin.value()));
        for cookie in self.issued.into_iter().chain(cookie) {
            // A map that is full takes no more, and the caller is a new one next time.
            let _full = headers.try_append(SET_COOKIE, cookie);
        }
    }
}
