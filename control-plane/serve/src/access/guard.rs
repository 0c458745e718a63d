//! Stands before every service of a door: no request reaches one that [`decide`] did not let through. What it learned of the
//! caller travels in the request's extensions.

use super::{Caller, Entrance, Reason, Refusal, decide};
use crate::door::Link;
use crate::identity::Identities;
use crate::plane::Plane;
use http::{HeaderMap, Request, Response};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};

/// Puts a [`Guard`] before a service.
#[derive(Clone)]
pub struct GuardLayer {
    /// Whose door.
    pub entrance: Entrance,
    /// Where refusals are counted.
    pub plane: Arc<Plane>,
    /// Who knows tokens.
    pub identities: Arc<Identities>,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { layer: self.clone(), inner }
    }
}

/// A service behind the decision.
#[derive(Clone)]
pub struct Guard<S> {
    layer: GuardLayer,
    inner: S,
}

impl GuardLayer {
    fn decide(&self, request: &Request<Body>) -> Result<(Caller, Link), Refusal> {
        let link = request.extensions().get::<Link>().cloned().ok_or_else(|| Refusal {
            reason: Reason::Credentials,
            message: "nothing is known of this connection".to_owned(),
        })?;
        let bearer = bearer(request.headers()).map(|token| {
            token.and_then(|token| self.identities.bearer(token).map_err(|error| error.to_string()))
        });
        decide(self.entrance, &link.peer, bearer, request.uri().path()).map(|caller| (caller, link))
    }
}

/// The bearer token of a request, if it shows one.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, String>> {
    let shown = headers.get(http::header::AUTHORIZATION)?;
    let token = shown.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    Some(token.ok_or_else(|| "authorization is not understood; write `Bearer TOKEN`".to_owned()))
}

/// The status of a refusal.
pub fn status(refusal: &Refusal) -> Status {
    match refusal.reason {
        Reason::Handshake | Reason::Plaintext | Reason::Credentials | Reason::Token => {
            Status::unauthenticated(&refusal.message)
        }
        Reason::Role | Reason::Node => Status::permission_denied(&refusal.message),
        Reason::Request => Status::invalid_argument(&refusal.message),
    }
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.layer.decide(&request) {
            Ok((caller, link)) => {
                // Where tonic's own listener would have put it.
                let info = TcpConnectInfo { local_addr: link.local, remote_addr: link.remote };
                request.extensions_mut().insert(info);
                request.extensions_mut().insert(caller);
                Box::pin(self.inner.call(request))
            }
            Err(refusal) => {
                let peer = request.extensions().get::<Link>().map(Link::to_string).unwrap_or_default();
                let message = format!("{} {}", request.uri().path(), refusal.message);
                self.layer.plane.refusals.note(self.layer.entrance, refusal.reason, &peer, &message);
                let response = status(&refusal).into_http();
                Box::pin(async move { Ok(response) })
            }
        }
    }
}
