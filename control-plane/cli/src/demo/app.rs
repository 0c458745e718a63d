//! The demo's applications: small HTTP servers that know nothing of the mesh but the port of their sidecar.
//!
//! `reviews` answers with its version. `frontend` asks `reviews` through its sidecar, by name, and answers with what it was
//! told. Both are instrumented as applications are: they make spans of their own where their caller records the trace, and
//! pass its headers on where it does not.

mod spans;

use super::tally::VERSIONS;
use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use spans::{Span, Spans};
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// Connections served at once.
const CONNECTIONS: usize = 1024;
/// Idle connections to the sidecar that are kept.
const IDLE: usize = 64;
/// Most bytes read of an answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// How long `reviews` may take.
const TIMEOUT: Duration = Duration::from_secs(8);
/// What `frontend` asks for, and by which name.
const REVIEWS: (&str, &str) = ("/reviews/7", "reviews.default:9080");
const REVIEWS_ROUTE: &str = "/reviews/{id}";
/// The headers that make one trace of two requests: W3C's, and B3's in both forms.
const TRACE_HEADERS: [&str; 9] = [
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-request-id",
];

/// Which application to be.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// frontend, reviews-v1 or reviews-v2
    #[arg(long)]
    name: String,
    /// Where spans go.
    #[arg(long)]
    otlp: String,
}

#[derive(Debug)]
struct App {
    role: Role,
    spans: Spans,
}

#[derive(Debug)]
enum Role {
    /// Asks `reviews` at this address, which is its sidecar's.
    Frontend(Client),
    /// Is this version of it.
    Reviews(&'static str),
}

impl Role {
    /// The service, and its one path as a template.
    fn route(&self) -> (&'static str, &'static str) {
        match self {
            Role::Frontend(_) => ("frontend", "/product/{id}"),
            Role::Reviews(_) => ("reviews", REVIEWS_ROUTE),
        }
    }
}

/// Runs until standard input ends, which is when the demo does.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on 127.0.0.1")?;
    let mut out = std::io::stdout();
    writeln!(out, "{} listening http={}", options.name, listener.local_addr()?).and_then(|()| out.flush())?;
    let mut lines = standard_input()?;
    let role = match VERSIONS.into_iter().find(|version| *version == options.name) {
        Some(version) => Role::Reviews(version),
        None => {
            // The sidecar has to know this application's port before it can say its own.
            let line =
                lines.recv().await.context("standard input ended before the sidecar's address came")?;
            let sidecar =
                line.trim().parse().with_context(|| format!("{line:?} is not the address of a sidecar"))?;
            Role::Frontend(Client { sidecar, idle: Mutex::new(Vec::new()) })
        }
    };
    let spans = Spans::start(role.route().0, &format!("{} app", options.name), &options.otlp)?;
    let app = Arc::new(App { role, spans });
    tokio::select! {
        ended = serve(listener, app) => ended,
        () = async { while lines.recv().await.is_some() {} } => Ok(()),
    }
}

/// The lines of standard input, until it ends. On a thread of its own: such a read cannot be waited for otherwise.
fn standard_input() -> anyhow::Result<mpsc::Receiver<String>> {
    let (lines, read) = mpsc::channel(1);
    let forward = move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(forward).context("cannot start a thread")?;
    Ok(read)
}

async fn serve(listener: TcpListener, app: Arc<App>) -> anyhow::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await?;
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // A connection that was gone again, or no descriptors left: neither is worth ending for.
                anstream::eprintln!("cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let _slow = stream.set_nodelay(true);
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| answer(&app, request));
            let server = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .clone();
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                anstream::eprintln!("connection: {error}");
            }
        });
    }
}

async fn answer(app: &App, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let span = app.spans.server(request.headers(), path, app.role.route().1);
    let answered = match &app.role {
        Role::Reviews(version) => Ok(json!({
            "version": version,
            "product": path,
            "reviews": [{"stars": 5, "text": "Does what it says."}, {"stars": 4, "text": "Holds."}],
        })),
        Role::Frontend(client) => {
            let asked = client.reviews(request.headers(), span.as_ref(), &app.spans);
            match tokio::time::timeout(TIMEOUT, asked).await {
                Ok(reviews) => reviews.map(|reviews| json!({"page": path, "reviews": reviews})),
                Err(_) => Err(format!("reviews did not answer within {TIMEOUT:?}")),
            }
        }
    };
    let (status, text, body) = match answered {
        Ok(body) => (StatusCode::OK, "application/json", body.to_string()),
        Err(reason) => {
            anstream::eprintln!("{reason}");
            (StatusCode::BAD_GATEWAY, "text/plain", reason)
        }
    };
    if let Some(span) = span {
        app.spans.end(span, Some(status));
    }
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(text));
    Ok(response)
}

/// `frontend`'s way out: plain HTTP to its sidecar, the Host header names the service.
#[derive(Debug)]
struct Client {
    sidecar: SocketAddr,
    idle: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
}

impl Client {
    /// Asks, as part of the caller's trace.
    async fn reviews(
        &self,
        incoming: &HeaderMap,
        caller: Option<&Span>,
        spans: &Spans,
    ) -> Result<Value, String> {
        let (path, host) = REVIEWS;
        let mut request = Request::get(path).body(Empty::new()).map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static(host));
        for name in TRACE_HEADERS {
            for value in incoming.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let span = caller.map(|caller| spans.client(caller, path, REVIEWS_ROUTE, headers));
        let answered = self.send(request).await;
        if let Some(span) = span {
            spans.end(span, answered.as_ref().ok().map(|(status, _)| *status));
        }
        let (status, body) = answered?;
        if status != StatusCode::OK {
            return Err(format!("reviews: {status}: {}", String::from_utf8_lossy(&body)));
        }
        serde_json::from_slice(&body).map_err(|error| format!("the answer of reviews is no JSON: {error}"))
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        let mut sender = match self.idle() {
            Some(sender) => sender,
            None => {
                self.connect().await.map_err(|error| format!("cannot connect to the sidecar: {error}"))?
            }
        };
        let unready = |error| format!("the connection to the sidecar is not ready: {error}");
        sender.ready().await.map_err(unready)?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| format!("the sidecar did not respond: {error}"))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| format!("the answer of reviews broke off: {error}"))?.to_bytes();
        self.keep(sender);
        Ok((status, body))
    }

    fn idle(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(|sender| !sender.is_closed())
    }

    fn keep(&self, sender: SendRequest<Empty<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(self.sidecar).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
