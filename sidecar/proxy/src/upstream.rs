//! One attempt at an upstream (stage 12): the request as it goes out, and what comes of sending it.
//!
//! [`Outgoing`] is prepared once per request, in place: the head of the downstream's request becomes the upstream's. It is
//! copied only where the policy could ask for it again after it was written.

use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use http::header::{CONNECTION, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Request, Response, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use weir_config::{Fallback, Forward, Route, Target};
use weir_decide::{deadline, hop, latency, rewrite};
use weir_model::{HttpVersion, Priority, Time};

use crate::body::Body;
use crate::changes;
use crate::exchange::{Exchange, Source, Upgraded};
use crate::pinned::WorkerCluster;
use crate::pool::{Active, EndpointPool, Failure};
use crate::reject::Kind;
use crate::timer::now;
use crate::upload;

pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A request for an upstream, as often as it may be sent.
pub(crate) struct Outgoing {
    /// `None` while an attempt has it and no other could follow.
    head: Option<Parts>,
    body: Option<Rc<upload::Source>>,
    /// Whether a copy of the head stays behind for another attempt.
    keep: bool,
    /// Whether it may have further attempts at all.
    pub(crate) retries: bool,
    priority: Priority,
    http2: bool,
    /// Whether the caller and the upstream may switch protocols.
    pub(crate) upgrades: bool,
}

impl Outgoing {
    /// Turns the downstream's request into the upstream's: what ends at this hop goes, the policy's changes come, and the
    /// target takes the form of the upstream's protocol.
    pub(crate) fn prepare(
        exchange: &mut Exchange,
        request: Request<Option<Incoming>>,
        route: &Route,
        forward: &Forward,
        target: &Target,
        cluster: &WorkerCluster,
    ) -> Result<Outgoing, Kind> {
        let (mut head, body) = request.into_parts();
        let http2 = match cluster.config.model.http {
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
            // Only over HTTP/1.1 can an upstream switch protocols; HTTP/2 itself has no such field.
            HttpVersion::Downstream => head.version == Version::HTTP_2 && !head.headers.contains_key(UPGRADE),
        };
        let upstream = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        hop::request(&mut head.headers, upstream);
        // We say "continue" ourselves as soon as an upstream wants the body. Other expectations are the upstream's to judge.
        if head
            .headers
            .get(EXPECT)
            .is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))
        {
            head.headers.remove(EXPECT);
        }
        changes::request(exchange, route, target, &mut head);
        let host = changes::host(route, forward, &mut head)?;
        if let Some(path) = &forward.rewrite.path {
            let compiled = route.more.as_deref().and_then(|more| more.path.as_ref());
            let path = match compiled {
                Some(change) => rewrite::with_query(change.apply(head.uri.path()), head.uri.query()),
                None => rewrite::target(path, head.uri.path(), head.uri.query(), route.prefix.as_deref()),
            };
            rewrite_path(&mut head.uri, &path)?;
        }
        if http2 {
            for_http2(&mut head, host.as_deref())?;
        } else {
            for_http1(&mut head, host.as_deref())?;
        }
        head.version = upstream;
        changes::sent(exchange, route, &head);
        let upgrades = !http2 && head.headers.contains_key(http::header::UPGRADE);
        let retry = forward.retry.as_ref().filter(|retry| retry.takes(&head.headers));
        let elsewhere = matches!(forward.fallback.as_deref(), Some(Fallback::Cluster(_)));
        let keep = elsewhere || retry.is_some_and(|retry| retry.may_repeat(&head.method, http2));
        let retries = retry.is_some();
        let body = body.filter(|body| !body.is_end_stream());
        if !http2 && body.as_ref().is_some_and(|body| body.size_hint().exact().is_none()) {
            head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let body = body.map(|body| upload::Source::new(body, keep));
        Ok(Outgoing { head: Some(head), body, keep, retries, priority: forward.priority, http2, upgrades })
    }

    /// The same for another cluster, which may speak another protocol. Without upgrades, and for one attempt.
    pub(crate) fn for_cluster(mut self, cluster: &WorkerCluster) -> Result<Outgoing, Kind> {
        let head = self.head.as_mut().ok_or(Kind::Protocol)?;
        self.http2 = match cluster.config.model.http {
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
            HttpVersion::Downstream => head.version == Version::HTTP_2,
        };
        let sized = self.body.as_ref().is_none_or(|body| body.length().is_some());
        reform(head, self.http2, sized)?;
        (self.upgrades, self.keep, self.retries) = (false, false, false);
        Ok(self)
    }

    /// The method and the headers, as long as no attempt has them.
    pub(crate) fn head_mut(&mut self) -> Option<&mut Parts> {
        self.head.as_mut()
    }

    /// The downstream's body, if there is one.
    pub(crate) fn body(&self) -> Option<&Rc<upload::Source>> {
        self.body.as_ref()
    }

    /// Whether there is all it takes for another attempt.
    pub(crate) fn repeatable(&self) -> bool {
        self.head.is_some() && self.body.as_ref().is_none_or(|body| body.repeatable())
    }

    /// The same without a body, for an attempt beside others; nothing if it cannot be sent again.
    pub(crate) fn again(&self) -> Option<Outgoing> {
        let head = self.head.clone()?;
        Some(Outgoing { head: Some(head), body: None, ..*self })
    }

    /// The request for one attempt.
    fn take(&mut self) -> Option<Request<Body>> {
        let head = self.head.take();
        if self.keep {
            // The copy stays and the original goes: copies are made without room to grow, and the codec goes on to use what it gets for
            // the fields of the response.
            self.head = head.clone();
        }
        let body = self.body.as_ref().map_or(Body::Empty, |body| Body::Upload(body.read()));
        Some(Request::from_parts(head?, body))
    }

    /// It was not sent after all.
    fn put_back(&mut self, request: Request<Body>) {
        self.head = Some(request.into_parts().0);
    }
}

/// One attempt at one endpoint. Dead idle connections do not count: they are passed over.
pub(crate) async fn attempt(
    exchange: &mut Exchange,
    cluster: &WorkerCluster,
    endpoint: usize,
    outgoing: &mut Outgoing,
    begun: Time,
) -> Result<Response<Source>, Kind> {
    enter(exchange, &cluster.pools[endpoint]);
    let answered = send(cluster, endpoint, outgoing, begun).await?;
    Ok(exchange.answered(answered, begun))
}

/// A response head, and when it came.
pub(crate) struct Answered {
    pub(crate) response: Response<Source>,
    pub(crate) at: Time,
}

/// An attempt begins.
pub(crate) fn enter(exchange: &mut Exchange, pool: &Rc<EndpointPool>) {
    exchange.active = Some(Active::new(pool.clone()));
    pool.endpoint.traffic.of(exchange.downstream.worker.id).start();
}

/// Sends a request to one endpoint and waits for the head of its response.
pub(crate) async fn send(
    cluster: &WorkerCluster,
    endpoint: usize,
    outgoing: &mut Outgoing,
    begun: Time,
) -> Result<Answered, Kind> {
    let pool = &cluster.pools[endpoint];
    loop {
        let sent = if outgoing.http2 {
            let lease = pool.http2(cluster, outgoing.priority).await?;
            let request = outgoing.take().ok_or(Kind::Protocol)?;
            lease.send(request).await.map(|response| response.map(Source::Http2))
        } else {
            let mut lease = pool.http1(cluster, outgoing.priority).await?;
            let request = outgoing.take().ok_or(Kind::Protocol)?;
            let answer = pin!(lease.send(request));
            lease.receive(answer).await.map(|response| {
                let unfinished = outgoing.body.as_ref().is_some_and(|body| body.unfinished());
                response.map(|body| Source::http1(body, lease, unfinished))
            })
        };
        match sent {
            Ok(response) => {
                let now = now();
                let state = &pool.endpoint.latency;
                let decay = cluster.config.latency_decay();
                let latency = latency::observe(state.load(Relaxed), now.since(begun), now, decay);
                state.store(latency, Relaxed);
                return Ok(Answered { response, at: now });
            }
            Err(Failure::Unsent { request, fresh }) => {
                outgoing.put_back(*request);
                if fresh {
                    return Err(Kind::ConnectFailed(std::io::ErrorKind::ConnectionReset));
                }
            }
            Err(Failure::Failed(_)) if outgoing.body.as_ref().is_some_and(|body| body.broken()) => {
                return Err(Kind::DownstreamLost);
            }
            Err(Failure::Failed(kind)) => return Err(kind),
        }
    }
}

/// What becomes of a response with status 101: the connection, if both sides may switch protocols.
pub(crate) async fn switched(
    response: Response<Source>,
    outgoing: &Outgoing,
) -> Result<Response<Source>, Kind> {
    let (head, source) = response.into_parts();
    let Source::Http1 { lease, .. } = source else { return Err(Kind::Protocol) };
    if !outgoing.upgrades {
        return Err(Kind::Protocol);
    }
    let (stream, early, counted) = lease.upgrade().await.ok_or(Kind::Protocol)?;
    let upgraded = Upgraded { stream, early, counted };
    Ok(Response::from_parts(head, Source::Upgraded(Box::new(upgraded))))
}

/// Puts a request that is ready for one upstream into the form of another one's protocol; `sized` says whether the length of its body is known.
pub(crate) fn reform(head: &mut Parts, http2: bool, sized: bool) -> Result<(), Kind> {
    head.headers.remove(UPGRADE);
    head.headers.remove(CONNECTION);
    head.headers.remove(TRANSFER_ENCODING);
    if http2 {
        for_http2(head, None)?;
    } else {
        for_http1(head, None)?;
        if !sized {
            head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
    head.version = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    Ok(())
}

/// Says another host in a request that is ready for its upstream.
pub(crate) fn say_host(head: &mut Parts, host: &str) -> Result<(), Kind> {
    match head.version {
        Version::HTTP_2 => for_http2(head, Some(host)),
        _ => for_http1(head, Some(host)),
    }
}

/// The target in origin form and the authority in `Host` (RFC 9112 section 3.2).
fn for_http1(head: &mut Parts, host: Option<&str>) -> Result<(), Kind> {
    if let Some(authority) = head.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str());
        head.headers.insert(HOST, host.map_err(|_| Kind::Malformed("its authority cannot stand in Host"))?);
        let path = head.uri.path_and_query().cloned();
        head.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    if let Some(host) = host {
        let host = HeaderValue::from_str(host)
            .map_err(|_| Kind::Malformed("the route's host cannot stand in Host"))?;
        head.headers.insert(HOST, host);
    }
    Ok(())
}

/// Scheme and authority in the target, and no `Host` (RFC 9113 section 8.3.1).
fn for_http2(head: &mut Parts, host: Option<&str>) -> Result<(), Kind> {
    let stated = head.headers.remove(HOST);
    if host.is_none() && head.uri.authority().is_some() {
        return Ok(());
    }
    let authority = match (host, &stated) {
        (Some(host), _) => Authority::try_from(host),
        (None, Some(host)) => Authority::try_from(host.as_bytes()),
        (None, None) => return Err(Kind::Malformed("no Host")),
    };
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.authority = Some(authority.map_err(|_| Kind::Malformed("Host is not an authority"))?);
    parts.scheme = Some(parts.scheme.unwrap_or(Scheme::HTTP));
    head.uri = Uri::from_parts(parts).map_err(|_| Kind::Malformed("its target is not a path"))?;
    Ok(())
}

fn rewrite_path(uri: &mut Uri, target: &str) -> Result<(), Kind> {
    let mut parts = std::mem::take(uri).into_parts();
    let path =
        PathAndQuery::try_from(target).map_err(|_| Kind::Malformed("its rewritten path is not a path"))?;
    parts.path_and_query = Some(path);
    *uri = Uri::from_parts(parts).map_err(|_| Kind::Malformed("its rewritten target is not one"))?;
    Ok(())
}

/// Tells the upstream how long it has, in gRPC's words.
pub(crate) fn tell_deadline(outgoing: &mut Outgoing, until: Option<Time>, now: Time) {
    if let (Some(until), Some(head)) = (until, outgoing.head_mut()) {
        head.headers.insert(GRPC_TIMEOUT, deadline::format(until.since(now)));
    }
}

#[cfg(test)]
mod tests;
