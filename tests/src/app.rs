//! An application that can be restarted: HTTP/1.1 on one port, gRPC on another.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use weir_runtime::clock::LocalExec;
use weir_runtime::io::HyperIo;
use weir_runtime::net::{Acceptor, BindOptions, bind};

/// The running application; it dies with all its connections when dropped.
#[derive(Debug)]
pub struct App {
    /// Answers every request with its path and the length of its body.
    pub http1: SocketAddr,
    /// Echoes every gRPC message.
    pub grpc: SocketAddr,
    served: Arc<AtomicU64>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl App {
    /// Starts it on these addresses; port 0 is any.
    pub fn start(http1: SocketAddr, grpc: SocketAddr) -> Self {
        let (one, two) = (listen(http1), listen(grpc));
        let (http1, grpc) = (one.local_addr().unwrap(), two.local_addr().unwrap());
        let served = Arc::<AtomicU64>::default();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let counted = served.clone();
        let thread = std::thread::spawn(move || {
            let runtime = weir_runtime::workers::runtime().unwrap();
            runtime.block_on(async move {
                let (one, two) = (Acceptor::new(one).unwrap(), Acceptor::new(two).unwrap());
                tokio::task::spawn_local(serve_http1(one, counted.clone()));
                tokio::task::spawn_local(serve_grpc(two, counted));
                let _ = stopped.await;
            });
        });
        Self { http1, grpc, served, stop: Some(stop), thread: Some(thread) }
    }

    /// On free ports of loopback.
    pub fn start_anywhere() -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start(anywhere, anywhere)
    }

    /// Ends it and starts it again on the same addresses.
    pub fn restart(&mut self) {
        let (http1, grpc) = (self.http1, self.grpc);
        self.end();
        *self = Self::start(http1, grpc);
    }

    /// How many requests it answered since it was started.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.end();
    }
}

fn listen(address: SocketAddr) -> std::net::TcpListener {
    bind(address, BindOptions::default()).unwrap()
}

async fn serve_http1(mut acceptor: Acceptor, served: Arc<AtomicU64>) {
    loop {
        let (stream, _) = acceptor.accept().await;
        let served = served.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let served = served.clone();
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await?.to_bytes();
                served.fetch_add(1, Ordering::Relaxed);
                Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::from(format!("{path} {}", body.len()))))
            }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(HyperIo::new(stream), service);
        tokio::task::spawn_local(async move { drop(connection.await) });
    }
}

async fn serve_grpc(mut acceptor: Acceptor, served: Arc<AtomicU64>) {
    loop {
        let (stream, _) = acceptor.accept().await;
        let served = served.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let served = served.clone();
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                served.fetch_add(1, Ordering::Relaxed);
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", hyper::header::HeaderValue::from_static("0"));
                let body = Full::new(body).with_trailers(async { Some(Ok::<_, Infallible>(trailers)) });
                let response = Response::builder().header("content-type", "application/grpc").body(body);
                Ok::<_, hyper::Error>(response.unwrap())
            }
        });
        let connection = hyper::server::conn::http2::Builder::new(LocalExec)
            .serve_connection(HyperIo::new(stream), service);
        tokio::task::spawn_local(async move { drop(connection.await) });
    }
}
