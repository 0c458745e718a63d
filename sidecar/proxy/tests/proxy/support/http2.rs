//! HTTP/2 peers, driven by hand.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::{Upstream, patient};

/// An HTTP/2 client on one connection.
pub struct Client2 {
    pub sender: h2::client::SendRequest<bytes::Bytes>,
    driver: tokio::task::JoinHandle<()>,
}

impl Client2 {
    pub async fn connect(address: SocketAddr) -> Client2 {
        let stream = patient(TcpStream::connect(address)).await.unwrap();
        let (sender, connection) = patient(h2::client::handshake(stream)).await.unwrap();
        let driver = tokio::spawn(async move { drop(connection.await) });
        Client2 { sender, driver }
    }

    /// Sends a request without a body and waits for the response head.
    pub async fn get(&mut self, uri: &str) -> http::Response<h2::RecvStream> {
        let request = http::Request::get(uri).body(()).unwrap();
        let (response, _) = self.sender.send_request(request, true).unwrap();
        patient(response).await.unwrap()
    }

    /// Begins a request with a body.
    pub async fn post(&mut self, uri: &str) -> (h2::client::ResponseFuture, h2::SendStream<bytes::Bytes>) {
        let request =
            http::Request::post(uri).header("te", "trailers").header("content-type", "application/grpc");
        self.sender.send_request(request.body(()).unwrap(), false).unwrap()
    }

    /// Waits until the connection has ended.
    pub async fn ended(self) {
        drop(self.sender);
        patient(self.driver).await.unwrap();
    }
}

/// The server's end of one HTTP/2 connection.
pub struct Server2 {
    requests: mpsc::Receiver<(http::Request<h2::RecvStream>, h2::server::SendResponse<bytes::Bytes>)>,
    goodbye: Arc<tokio::sync::Notify>,
}

impl Server2 {
    pub async fn accept(upstream: &Upstream) -> Server2 {
        Server2::with(upstream, &h2::server::Builder::new()).await
    }

    pub async fn with(upstream: &Upstream, builder: &h2::server::Builder) -> Server2 {
        let stream = upstream.accept().await.stream;
        let mut connection = patient(builder.handshake(stream)).await.unwrap();
        let (sender, requests) = mpsc::channel(64);
        let goodbye = Arc::new(tokio::sync::Notify::new());
        let told = goodbye.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    accepted = connection.accept() => match accepted {
                        Some(Ok(request)) => drop(sender.send(request).await),
                        Some(Err(_)) | None => return,
                    },
                    () = told.notified() => connection.graceful_shutdown(),
                }
            }
        });
        Server2 { requests, goodbye }
    }

    pub async fn request(
        &mut self,
    ) -> (http::Request<h2::RecvStream>, h2::server::SendResponse<bytes::Bytes>) {
        patient(self.requests.recv()).await.unwrap()
    }

    /// Whether the connection has ended.
    pub async fn ended(&mut self) -> bool {
        patient(self.requests.recv()).await.is_none()
    }

    /// Sends GOAWAY.
    pub fn say_goodbye(&self) {
        self.goodbye.notify_one();
    }
}

/// A whole body and its trailers.
pub async fn collect(mut body: h2::RecvStream) -> (String, Option<http::HeaderMap>) {
    let mut bytes = Vec::new();
    while let Some(chunk) = patient(body.data()).await {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        bytes.extend_from_slice(&chunk);
    }
    (String::from_utf8(bytes).unwrap(), patient(body.trailers()).await.unwrap())
}

/// Trailers of a gRPC response.
pub fn grpc_trailers(status: &str) -> http::HeaderMap {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    trailers
}
