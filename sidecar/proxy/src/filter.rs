//! What is done with a request before it goes anywhere, where its route, virtual host or listener asks for it (stage 8): first CORS, whose
//! preflights cost nobody a token, then limits, then faults, which only those meet that were let in, then the size of
//! the body.
//!
//! A request of a route without filters pays for two looks at an `Option`.

use http::{HeaderMap, Request, Response};
use std::time::Duration;
use weir_config::Route;
use weir_config::snapshot::filters::{Filters, Said};
use weir_decide::cors;
use weir_telemetry::span::Text;

use crate::exchange::{Exchange, Source};
use crate::fallback::Left;
use crate::reject::Kind;
use crate::route::Policy;
use crate::{limit, respond};

/// What few exchanges have.
#[derive(Default)]
pub(crate) struct Extra {
    /// What of the request values in its response are made of, as the route's [`weir_config::More::wanted`] has it.
    pub(crate) asked: Box<[Option<Text>]>,
    /// Fields that the response gets in place of those of their names, whoever gives it.
    stamp: HeaderMap,
    /// For how long it was held up on purpose.
    pub(crate) held: Duration,
    /// What is left of it for somebody else to answer.
    pub(crate) left: Option<Box<Left>>,
    /// Whether somebody else answered for its upstream.
    pub(crate) degraded: bool,
    /// How many bytes its body may have, where it does not say how many it has.
    pub(crate) body_limit: Option<u64>,
    /// The stream it came on, where it wants to be a tunnel.
    pub(crate) tunnel: Option<Box<crate::tunnel::Tunnel>>,
    /// What its response is to say that it is.
    pub(crate) request_id: Option<http::HeaderValue>,
}

impl Extra {
    pub(crate) fn stamp_mut(&mut self) -> &mut HeaderMap {
        &mut self.stamp
    }

    /// Puts the fields into a response.
    pub(crate) fn stamp(&mut self, headers: &mut HeaderMap) {
        let mut name = None;
        for (next, value) in std::mem::take(&mut self.stamp) {
            name = next.or(name);
            if let Some(name) = &name {
                headers.insert(name, value);
            }
        }
    }
}

/// Whether there is anything to do.
pub(crate) fn any(route: &Route, policy: &Policy) -> bool {
    route.filters.is_some() || policy.filters.is_some()
}

/// Answers a request here, turns it away, or lets it go on.
pub(crate) async fn apply<B>(
    exchange: &mut Exchange,
    route: &Route,
    policy: &Policy,
    request: &Request<B>,
) -> Result<Option<Response<Source>>, Kind> {
    let (own, wide) = (route.filters.as_deref(), policy.filters.as_deref());
    if let Some(cors) = said(own, wide, |filters| &filters.cors) {
        match cors.decide(request.method(), request.headers()) {
            Some(cors::Verdict::Preflight(fields)) => {
                exchange.extra().stamp = fields;
                return Ok(Some(respond::empty()));
            }
            Some(cors::Verdict::Actual(fields)) => exchange.extra().stamp = fields,
            None => {}
        }
    }
    if let Some(limits) = said(own, wide, |filters| &filters.limits) {
        limit::admit(exchange, limits, request.headers())?;
    }
    if let Some(fault) = said(own, wide, |filters| &filters.fault) {
        let injected = {
            let random = &mut exchange.downstream.worker.random.borrow_mut();
            fault.inject(request.headers(), random)
        };
        if let Some(delay) = injected.delay {
            exchange.extra().held = delay;
            tokio::time::sleep(delay).await;
        }
        if let Some(answer) = injected.abort {
            return Err(Kind::Aborted(answer));
        }
    }
    if let Some(limit) = said(own, wide, |filters| &filters.body) {
        match length(request.headers()) {
            Some(length) if length > u64::from(*limit) => return Err(Kind::BodyTooLarge),
            Some(_) => {}
            None => exchange.extra().body_limit = Some(u64::from(*limit)),
        }
    }
    Ok(None)
}

/// How long a request's body says it is; the codecs hold it to that.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn said<'a, T>(
    own: Option<&'a Filters>,
    wide: Option<&'a Filters>,
    of: impl Fn(&'a Filters) -> &'a Said<T>,
) -> Option<&'a T> {
    match (own.map(&of), wide.map(&of)) {
        (Some(own), wide) => own.or(wide),
        (None, Some(wide)) => wide.or(None),
        (None, None) => None,
    }
    .map(|this| &**this)
}
