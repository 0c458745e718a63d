//! The admin endpoint: how this sidecar stands, for people, probes and scrapers. HTTP/1.1 on the main thread, away from the
//! threads that carry requests.
//!
//! It reads, except for `/drain`. On a loopback address it answers only requests that name a loopback host, so that a web page
//! whose domain was pointed at 127.0.0.1 cannot read it. Connections, heads and their time are bounded; bodies are not read.

mod breakers;
mod clusters;
mod dump;
pub(crate) mod metrics;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::sync::{Semaphore, watch};
use weir_config::{ConfigStatus, Snapshot};
use weir_model::Time;
use weir_runtime::clock::{self, HyperTimer};
use weir_runtime::io::HyperIo;
use weir_runtime::net::Acceptor;
use weir_telemetry::metrics::Registry;

use crate::lifecycle::Lifecycle;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 64;
/// Largest request head.
const HEAD_BYTES: usize = 16 * 1024;
/// How long a head may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

const INDEX: &str = "\
weir-sidecar

GET  /ready         200 if this sidecar serves and is not about to end, else 503 and why
GET  /live          200
GET  /metrics       Prometheus text
GET  /config_dump   configuration in force, pending and refused, JSON
GET  /clusters      clusters and endpoints as they are used now; ?format=json
POST /drain         tell the control plane and peers that this sidecar goes; answers when they had time to hear it
";

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What the endpoint shows.
pub(crate) struct Admin {
    pub(crate) node: weir_model::node::Node,
    pub(crate) status: ConfigStatus,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) lifecycle: Lifecycle,
    /// The listeners without which this sidecar is not ready.
    pub(crate) listeners: Vec<std::net::SocketAddr>,
    pub(crate) registry: Registry,
    /// The address it listens on.
    pub(crate) bound: IpAddr,
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    /// Why this sidecar is not ready, if it is not.
    pub(crate) fn unready(&self) -> Option<String> {
        if self.lifecycle.is_leaving() {
            return Some("draining".to_owned());
        }
        let snapshot = self.snapshots.borrow().clone();
        if snapshot.sequence == 0 {
            let status = self.status.get();
            let why = match (status.connected_since, status.last_error) {
                (Some(_), _) => "it is connected and has sent nothing that can be served yet".to_owned(),
                (None, Some(error)) => error,
                (None, None) => "connecting".to_owned(),
            };
            return Some(format!(
                "no configuration yet from the control plane {}: {why}",
                status.control_plane
            ));
        }
        let missing = self.listeners.iter().find(|address| snapshot.listener(**address).is_none())?;
        Some(format!("the control plane has sent no listener for {missing} yet"))
    }

    async fn answer(&self, request: &Parts) -> Answer {
        if !self.trusts(&request.headers) {
            let text = "this endpoint is for this host: name it by 127.0.0.1, [::1] or localhost\n";
            return text_answer(StatusCode::FORBIDDEN, text);
        }
        let path = request.uri.path();
        let allowed = match path {
            "/drain" => request.method == Method::POST || is_lifecycle_hook(request),
            _ => request.method == Method::GET || request.method == Method::HEAD,
        };
        let is_known =
            matches!(path, "/" | "/ready" | "/live" | "/metrics" | "/config_dump" | "/clusters" | "/drain");
        if is_known && !allowed {
            let allow = if path == "/drain" { "POST" } else { "GET, HEAD" };
            let mut answer = text_answer(StatusCode::METHOD_NOT_ALLOWED, &format!("use {allow}\n"));
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            return answer;
        }
        match path {
            "/" => text_answer(StatusCode::OK, INDEX),
            "/live" => text_answer(StatusCode::OK, "live\n"),
            "/ready" => match self.unready() {
                None => text_answer(StatusCode::OK, "ready\n"),
                Some(why) => text_answer(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
            },
            "/metrics" => {
                typed_answer(weir_telemetry::metrics::CONTENT_TYPE, self.registry.render_prometheus())
            }
            "/config_dump" => {
                let dump = dump::dump(&self.node, &self.status.get(), &self.snapshots.borrow().clone());
                typed_answer(JSON, pretty(&dump))
            }
            "/clusters" => {
                let snapshot = self.snapshots.borrow().clone();
                let now = Time(clock::now().nanos());
                match query(request, "format") {
                    Some("json") => typed_answer(JSON, pretty(&clusters::json(&snapshot, now))),
                    None | Some("text") => typed_answer(TEXT, clusters::text(&snapshot, now)),
                    Some(_) => text_answer(StatusCode::BAD_REQUEST, "format: text or json\n"),
                }
            }
            "/drain" => {
                self.lifecycle.leave();
                self.lifecycle.left().await;
                text_answer(StatusCode::OK, "draining: peers have been told; end the process with SIGTERM\n")
            }
            _ => text_answer(StatusCode::NOT_FOUND, INDEX),
        }
    }

    /// Whether the request's Host may be answered. A name that is not `localhost` may be anybody's who controls a domain.
    fn trusts(&self, headers: &HeaderMap) -> bool {
        if !self.bound.is_loopback() {
            return true;
        }
        let Some(host) = headers.get(HOST) else { return true };
        let Ok(authority) = host.to_str().unwrap_or_default().parse::<http::uri::Authority>() else {
            return false;
        };
        let host = authority.host();
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        ip.is_ok() || host.eq_ignore_ascii_case("localhost")
    }
}

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: std::net::TcpListener, admin: std::rc::Rc<Admin>) -> std::io::Result<()> {
    let mut acceptor = Acceptor::new(listener)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return Ok(()) };
        let (stream, _) = acceptor.accept().await;
        let admin = admin.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let admin = admin.clone();
                async move {
                    let (parts, _body) = request.into_parts();
                    Ok::<_, Infallible>(admin.answer(&parts).await)
                }
            });
            let connection = http1::Builder::new()
                .timer(HyperTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(HyperIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!("admin connection: {error}");
            }
            drop(place);
        });
    }
}

/// The kubelet's `preStop` hook can only send GET. A browser cannot be made to send its user agent from another page.
fn is_lifecycle_hook(request: &Parts) -> bool {
    let agent = request.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    request.method == Method::GET && agent.is_some_and(|agent| agent.starts_with("kube-lifecycle/"))
}

fn query<'a>(request: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = request.uri.query()?.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn text_answer(status: StatusCode, text: &str) -> Answer {
    let mut answer = typed_answer(TEXT, text.to_owned());
    *answer.status_mut() = status;
    answer
}

fn typed_answer(content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests;
