//! From a request head to the route it takes (stage 6).
//!
//! A [`Scope`] is what requests to one authority are served from: a pinned snapshot and the routes behind the name. The
//! connection remembers the last one, so that a caller that stays with one authority pays for the look-up once per snapshot.
//! An unknown authority is asked for, and its first requests wait.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::HOST;
use weir_config::snapshot::filters::Filters;
use weir_config::{Asked, ListenerKind, NameLookup, Routes};
use weir_decide::authority;
use weir_decide::route::{Head, RouteIndex};
use weir_model::{Forwarded, HttpLimits, Manner, Paths, Time, Tracing, limits};
use weir_telemetry::access_log::Layout;

use crate::downstream::Downstream;
use crate::pinned::Pinned;
use crate::reject::Kind;
use crate::worker::Worker;

/// A remembered scope is looked up again after this long, so that the name counts as used.
const REMEMBER: Duration = Duration::from_secs(60);

/// What requests to one authority are served from.
pub(crate) struct Scope {
    pub(crate) pinned: Rc<Pinned>,
    pub(crate) policy: Rc<Policy>,
    /// The authority it was looked up by; absent if any will do.
    authority: Option<Box<str>>,
    looked_up: Time,
}

/// The part of a scope that an exchange keeps to its end: **a long stream must not keep a whole snapshot alive.**
pub(crate) struct Policy {
    pub(crate) routes: Arc<Routes>,
    pub(crate) tracing: Option<Tracing>,
    /// How its requests are logged, if they are.
    pub(crate) access_log: Option<Arc<Layout>>,
    /// What is done with requests whose route does not say.
    pub(crate) filters: Option<Arc<Filters>>,
    pub(crate) paths: Paths,
    pub(crate) forwarded: Forwarded,
    /// How long requests whose route does not say may take.
    pub(crate) limits: HttpLimits,
    /// What is made of HTTP besides.
    pub(crate) manner: Option<Arc<Manner>>,
}

/// The authority of a request: of its URI, which counts where it has one (RFC 9112 section 3.2.2), else its only `Host`.
pub(crate) fn authority<B>(request: &Request<B>) -> Result<&str, Kind> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => {
            let mut hosts = request.headers().get_all(HOST).iter();
            match (hosts.next(), hosts.next()) {
                (Some(host), None) => host.to_str().map_err(|_| Kind::Malformed("Host is not text"))?,
                (None, _) => return Err(Kind::Malformed("no Host")),
                (Some(_), Some(_)) => return Err(Kind::Malformed("several Host fields")),
            }
        }
    };
    if authority::is_valid(authority) { Ok(authority) } else { Err(Kind::Malformed("Host is not a host")) }
}

/// What a request to `authority` is served from; waits for the control plane if the name is new.
pub(crate) async fn scope(downstream: &Downstream, authority: &str, now: Time) -> Result<Rc<Scope>, Kind> {
    let worker = &downstream.worker;
    let pinned = worker.pinned();
    if let Some(scope) = &*downstream.remembered.borrow() {
        let same = scope.authority.as_deref().is_none_or(|known| known == authority);
        if same && Rc::ptr_eq(&scope.pinned, &pinned) && now.since(scope.looked_up) < REMEMBER {
            return Ok(scope.clone());
        }
    }
    let scope = match look_up(downstream, pinned, authority, now) {
        Found::Scope(scope) => scope,
        Found::Nothing(kind) => return Err(kind),
        Found::Unknown => {
            let look_up = || match look_up(downstream, downstream.worker.pinned(), authority, now) {
                Found::Scope(scope) => Some(Ok(scope)),
                Found::Nothing(kind) => Some(Err(kind)),
                Found::Unknown => None,
            };
            Box::pin(on_demand(&downstream.worker, authority, look_up)).await?
        }
    };
    let scope = Rc::new(scope);
    downstream.remembered.replace(Some(scope.clone()));
    Ok(scope)
}

/// The first route that matches. `authority` is the request's.
pub(crate) fn find<B>(
    worker: &Worker,
    scope: &Scope,
    authority: &str,
    request: &Request<B>,
) -> Result<RouteIndex, Kind> {
    let head = Head {
        authority,
        method: request.method(),
        path: request.uri().path(),
        query: request.uri().query(),
        headers: request.headers(),
    };
    scope.policy.routes.matcher.find(&head, &mut worker.random.borrow_mut()).ok_or(Kind::NoRoute)
}

enum Found {
    Scope(Scope),
    Nothing(Kind),
    /// The name has to be asked for.
    Unknown,
}

fn look_up(downstream: &Downstream, pinned: Rc<Pinned>, authority: &str, now: Time) -> Found {
    let (tracing, access_log, filters, forwarded) = match downstream.kind(&pinned) {
        Some(ListenerKind::Http {
            routes,
            tracing,
            access_log,
            filters,
            paths,
            forwarded,
            limits,
            manner,
            ..
        }) => {
            if !routes.hosts.is_empty() {
                let policy = Rc::new(Policy {
                    routes: routes.clone(),
                    tracing: tracing.clone(),
                    access_log: downstream.worker.telemetry.layout(access_log.as_ref()),
                    filters: filters.clone(),
                    paths: *paths,
                    forwarded: *forwarded,
                    limits: *limits,
                    manner: manner.clone(),
                });
                return Found::Scope(Scope { pinned, policy, authority: None, looked_up: now });
            }
            (tracing.clone(), access_log.clone(), filters.clone(), *forwarded)
        }
        // It spoke HTTP when this connection was accepted; configuration has moved on.
        Some(ListenerKind::Tcp(_) | ListenerKind::Chains(_)) => return Found::Nothing(Kind::NotConfigured),
        None if downstream.worker.is_on_demand(downstream.entrance) => (None, None, None, Forwarded::Pass),
        None => return Found::Nothing(Kind::NotConfigured),
    };
    let found = match pinned.snapshot.name(authority, now) {
        NameLookup::Found(found) => found,
        // What carries bytes is no name for requests.
        NameLookup::Bytes(_) | NameLookup::Absent => return Found::Nothing(Kind::NoSuchName),
        NameLookup::Unknown => return Found::Unknown,
    };
    let policy = Rc::new(Policy {
        routes: found.routes.clone(),
        tracing: found.tracing.clone().or(tracing),
        access_log: downstream.worker.telemetry.layout(found.access_log.as_ref().or(access_log.as_ref())),
        filters: found.filters.clone().or(filters),
        paths: found.paths,
        forwarded,
        limits: found.limits,
        manner: found.manner.clone(),
    });
    Found::Scope(Scope { pinned, policy, authority: Some(authority.into()), looked_up: now })
}

/// Asks for a name and waits until a snapshot knows it, or knows that there is none.
pub(crate) async fn on_demand<T>(
    worker: &Rc<Worker>,
    authority: &str,
    look_up: impl Fn() -> Option<Result<T, Kind>>,
) -> Result<T, Kind> {
    match worker.demand.want(authority) {
        Asked::Sent => {}
        Asked::Full => return Err(Kind::NameUnknown("too many names are being asked for")),
        Asked::Invalid => return Err(Kind::NoSuchName),
    }
    if !worker.demand.connected() {
        return Err(Kind::NameUnknown("the control plane is not connected"));
    }
    let _waiting = worker.wait_for_name().ok_or(Kind::NameUnknown("too many requests wait for names"))?;
    let answered = async {
        loop {
            worker.repinned().await;
            if let Some(answer) = look_up() {
                return answer;
            }
        }
    };
    match tokio::time::timeout(limits::ON_DEMAND_WAIT, answered).await {
        Ok(answer) => answer,
        Err(_) => Err(Kind::NameUnknown("the control plane did not answer in time")),
    }
}
