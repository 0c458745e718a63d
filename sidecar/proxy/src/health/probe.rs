//! One endpoint asked once: a connection, perhaps a request, and what its answer means.
//!
//! It does not count and does not decide; [`Answer`] says what came. Everything is within the check's timeout, and what is read
//! within [`limits::HEALTH_CHECK_BYTES`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_config::Cluster;
use weir_decide::header;
use weir_decide::health::{Answer, grpc};
use weir_model::{HealthCheck, HttpProbe, Probe, limits};
use weir_runtime::clock::{HyperTimer, LocalExec};
use weir_runtime::io::HyperIo;
use weir_runtime::net::{self, ConnectOptions};

use crate::body::Body;
use crate::respond::grpc_status;

const AGENT: HeaderValue = HeaderValue::from_static("weir/HC");

/// What is asked.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// As whom this endpoint is asked, if it differs from what the check says.
    pub(super) host: Option<String>,
    /// How, and as whom.
    pub(super) cluster: Arc<Cluster>,
}

/// Asks one endpoint, again and again; keeps its connection between two checks.
#[derive(Default)]
pub(super) struct Prober {
    connection: Option<Connection>,
}

enum Connection {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// There was no answer; why does not matter to who asks.
struct NoAnswer;

impl<E: std::error::Error> From<E> for NoAnswer {
    fn from(_: E) -> NoAnswer {
        NoAnswer
    }
}

impl Prober {
    /// Asks once.
    pub(super) async fn ask(&mut self, target: &Target) -> Answer {
        let Some(config) = &target.cluster.model.health.health_check else { return Answer::Failed };
        let asked = tokio::time::timeout(config.timeout, self.probe(config, target)).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(NoAnswer)) | Err(_) => {
                self.connection = None;
                Answer::Failed
            }
        };
        if !config.reuse_connection {
            self.connection = None;
        }
        answer
    }

    async fn probe(&mut self, config: &HealthCheck, target: &Target) -> Result<Answer, NoAnswer> {
        match &config.probe {
            Probe::Tcp { send, receive } => tcp(config.timeout, target.address, send, receive).await,
            Probe::Http(probe) => {
                let make = || http_request(probe, target);
                let response = self.send(config.timeout, target.address, probe.http2, make).await?;
                let status = response.status();
                self.read(response).await?;
                Ok(judge(probe, status))
            }
            Probe::Grpc { service, authority } => {
                let make = || grpc_request(service, authority, target);
                let response = self.send(config.timeout, target.address, true, make).await?;
                let (status, in_head) = (response.status(), grpc_status(response.headers()));
                let (body, trailers) = self.read(response).await?;
                let grpc_status = in_head.or_else(|| trailers.as_ref().and_then(grpc_status));
                let serves = status == StatusCode::OK && grpc_status == Some(0) && grpc::serves(&body);
                Ok(if serves { Answer::Passed } else { Answer::Refused })
            }
        }
    }

    /// Sends on the connection from the check before, if it is still good, else on a new one.
    async fn send(
        &mut self,
        timeout: Duration,
        address: SocketAddr,
        http2: bool,
        make: impl Fn() -> Result<Request<Body>, NoAnswer>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        if let Some(mut connection) = self.connection.take()
            && connection.is(http2)
            && let Ok(response) = connection.send(make()?).await
        {
            self.connection = Some(connection);
            return Ok(response);
        }
        // The other side may just have closed it, which says nothing.
        let mut connection = Connection::new(timeout, address, http2).await?;
        let response = connection.send(make()?).await?;
        self.connection = Some(connection);
        Ok(response)
    }

    /// Reads a body, so that its connection can be used again; lets go of the connection if there is too much of it.
    async fn read(
        &mut self,
        response: Response<Incoming>,
    ) -> Result<(Vec<u8>, Option<http::HeaderMap>), NoAnswer> {
        let mut incoming = response.into_body();
        let (mut body, mut trailers) = (Vec::new(), None);
        while let Some(frame) = next_frame(&mut incoming).await {
            match frame?.into_data() {
                Ok(data) if body.len() + data.len() <= limits::HEALTH_CHECK_BYTES => {
                    body.extend_from_slice(&data)
                }
                Ok(_) => {
                    self.connection = None;
                    break;
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok((body, trailers))
    }
}

async fn next_frame(body: &mut Incoming) -> Option<Result<http_body::Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut *body), cx)).await
}

impl Connection {
    async fn new(timeout: Duration, address: SocketAddr, http2: bool) -> Result<Connection, NoAnswer> {
        let stream = HyperIo::new(connect(timeout, address).await?);
        // Drivers end when the connection does, or when nobody can send on it any more.
        if http2 {
            let builder = http2::Builder::new(LocalExec).timer(HyperTimer::new()).clone();
            let (sender, driver) = builder.handshake(stream).await?;
            tokio::task::spawn_local(async move { drop(driver.await) });
            Ok(Connection::Http2(sender))
        } else {
            let (sender, driver) =
                http1::Builder::new().max_buf_size(limits::HEAD_BYTES).handshake(stream).await?;
            tokio::task::spawn_local(async move { drop(driver.await) });
            Ok(Connection::Http1(sender))
        }
    }

    fn is(&self, http2: bool) -> bool {
        http2 == matches!(self, Connection::Http2(_))
    }

    async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, NoAnswer> {
        match self {
            Connection::Http1(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Connection::Http2(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }
}

async fn connect(timeout: Duration, address: SocketAddr) -> Result<TcpStream, NoAnswer> {
    Ok(net::connect(address, timeout, ConnectOptions::default()).await?)
}

/// Connected, and perhaps answered as expected: every block in order, with anything between them.
async fn tcp(
    timeout: Duration,
    address: SocketAddr,
    send: &[u8],
    receive: &[Vec<u8>],
) -> Result<Answer, NoAnswer> {
    let mut stream = connect(timeout, address).await?;
    stream.write_all(send).await?;
    let mut received = Vec::new();
    while !has_all(&received, receive) {
        let mut chunk = [0; 1024];
        let count = stream.read(&mut chunk).await?;
        if count == 0 || received.len() + count > limits::HEALTH_CHECK_BYTES {
            return Ok(Answer::Failed);
        }
        received.extend_from_slice(&chunk[..count]);
    }
    Ok(Answer::Passed)
}

fn has_all(received: &[u8], blocks: &[Vec<u8>]) -> bool {
    let mut rest = received;
    blocks.iter().all(|block| {
        let found = block.is_empty().then_some(0);
        let found = found.or_else(|| rest.windows(block.len().max(1)).position(|window| window == block));
        found.is_some_and(|at| {
            rest = &rest[at + block.len()..];
            true
        })
    })
}

fn judge(probe: &HttpProbe, status: StatusCode) -> Answer {
    let within =
        |ranges: &[(u16, u16)]| ranges.iter().any(|(from, below)| (*from..*below).contains(&status.as_u16()));
    let passed = if probe.expected.is_empty() { status == StatusCode::OK } else { within(&probe.expected) };
    match passed {
        true => Answer::Passed,
        false if within(&probe.retriable) => Answer::Failed,
        false => Answer::Refused,
    }
}

fn http_request(probe: &HttpProbe, target: &Target) -> Result<Request<Body>, NoAnswer> {
    let authority = authority(&probe.host, target)?;
    let mut request = Request::new(Body::Empty);
    *request.method_mut() = probe.method.clone();
    request.headers_mut().insert(USER_AGENT, AGENT);
    header::apply(&probe.headers, request.headers_mut());
    let path = PathAndQuery::try_from(probe.path.as_str())?;
    if probe.http2 {
        *request.uri_mut() = absolute(authority, path)?;
    } else {
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
        *request.uri_mut() = Uri::from(path);
    }
    Ok(request)
}

fn grpc_request(service: &str, name: &str, target: &Target) -> Result<Request<Body>, NoAnswer> {
    let mut request = Request::new(Body::Full(grpc::request(service).into()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = absolute(authority(name, target)?, PathAndQuery::from_static(grpc::PATH))?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(USER_AGENT, AGENT);
    Ok(request)
}

fn absolute(authority: Authority, path: PathAndQuery) -> Result<Uri, NoAnswer> {
    Ok(Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path).build()?)
}

/// What the policy says, else the cluster's name as in Envoy, if it can be one, else the address.
fn authority(name: &str, target: &Target) -> Result<Authority, NoAnswer> {
    let name = match &target.host {
        Some(host) => host,
        None if name.is_empty() => target.cluster.model.name.as_str(),
        None => name,
    };
    match Authority::try_from(name) {
        Ok(authority) => Ok(authority),
        Err(_) => Ok(Authority::try_from(target.address.to_string())?),
    }
}

#[cfg(test)]
mod tests;
