//! How connections come in: TLS and, from where that is trusted, plain text, told apart by their first byte. A wrong certificate ends here. Slow
//! and silent callers keep others waiting only where there are 256 of them, and then for ten seconds at most.

use crate::access::{Entrance, Peer, Reason};
use crate::identity::Identities;
use crate::plane::{Plane, unix_millis};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// Handshakes at once; further callers wait to be accepted.
const HANDSHAKES: usize = 256;
/// How long a caller may take until its handshake is done, or its first byte is there.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that wait to be served.
const QUEUE: usize = 64;
/// What a TLS record of a handshake begins with (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// From where plain text is trusted, as it is: without any credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plaintext {
    /// From nowhere.
    Never,
    /// From this machine.
    Loopback,
    /// From everywhere.
    Any,
}

impl Plaintext {
    fn trusts(self, remote: Option<SocketAddr>) -> bool {
        match self {
            Self::Never => false,
            Self::Loopback => remote.is_some_and(|remote| remote.ip().to_canonical().is_loopback()),
            Self::Any => true,
        }
    }
}

/// A door: who listens, and who is let in.
pub struct Door {
    /// Whose it is.
    pub entrance: Entrance,
    /// Where callers arrive.
    pub listener: TcpListener,
    /// From where plain text is trusted.
    pub plaintext: Plaintext,
    /// Who proves that this is the control plane, and knows its peers.
    pub identities: Arc<Identities>,
}

/// What is known of a connection.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its other end.
    pub remote: Option<SocketAddr>,
    /// This end.
    pub local: Option<SocketAddr>,
    /// Who is there.
    pub peer: Peer,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.remote {
            Some(remote) => write!(f, "{remote}")?,
            None => f.write_str("unknown")?,
        }
        match &self.peer {
            Peer::Known { id, .. } => write!(f, " ({id})"),
            Peer::Nobody | Peer::Plain { .. } => Ok(()),
        }
    }
}

/// A connection that came in.
#[derive(Debug)]
pub struct Incoming {
    link: Link,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Door {
    /// Accepts until the stream is dropped.
    pub fn open(self, plane: Arc<Plane>) -> ReceiverStream<io::Result<Incoming>> {
        let (tx, rx) = mpsc::channel(QUEUE);
        tokio::spawn(self.accept(plane, tx));
        ReceiverStream::new(rx)
    }

    async fn accept(self, plane: Arc<Plane>, tx: mpsc::Sender<io::Result<Incoming>>) {
        let permits = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = tx.closed() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(entrance = %self.entrance, "cannot accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (plane, tx) = (Arc::clone(&plane), tx.clone());
            let (entrance, plaintext) = (self.entrance, self.plaintext);
            // The secrets of this moment; a connection keeps those it began with.
            let acceptor = TlsAcceptor::from(self.identities.tls());
            tokio::spawn(async move {
                let shaken =
                    tokio::time::timeout(HANDSHAKE_TIMEOUT, shake_hands(stream, &acceptor, plaintext));
                match shaken.await {
                    Ok(Ok(incoming)) => {
                        drop(permit);
                        // Nobody is served any more if this fails.
                        let _stopping = tx.send(Ok(incoming)).await;
                    }
                    Ok(Err(None)) => {}
                    Ok(Err(Some(why))) => {
                        plane.refusals.note(entrance, Reason::Handshake, &remote.to_string(), &why)
                    }
                    Err(_) => {
                        let why = format!("no handshake within {HANDSHAKE_TIMEOUT:?}");
                        plane.refusals.note(entrance, Reason::Handshake, &remote.to_string(), &why);
                    }
                }
            });
        }
    }
}

/// Says why not; nothing for one who left without a word, as probes do.
async fn shake_hands(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    plaintext: Plaintext,
) -> Result<Incoming, Option<String>> {
    let (remote, local) = (stream.peer_addr().ok(), stream.local_addr().ok());
    // Without it, answers would wait for each other; if the kernel does not let us, they do.
    let _slower = stream.set_nodelay(true);
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => return Err(None),
        Ok(_) => {}
    }
    if first[0] != TLS_HANDSHAKE {
        let link = Link { remote, local, peer: Peer::Plain { trusted: plaintext.trusts(remote) } };
        return Ok(Incoming { link, bytes: Bytes::Plain(stream) });
    }
    let tls =
        acceptor.accept(stream).await.map_err(|error| Some(format!("the TLS handshake failed: {error}")))?;
    let peer = weir_identity::tls::peer(tls.get_ref().1, unix_millis() / 1000)
        .map_err(|error| Some(error.to_string()))?;
    let peer = peer.map_or(Peer::Nobody, |leaf| Peer::Known { id: leaf.id, not_after: leaf.not_after });
    Ok(Incoming { link: Link { remote, local, peer }, bytes: Bytes::Tls(Box::new(tls)) })
}

impl Connected for Incoming {
    type ConnectInfo = Link;

    fn connect_info(&self) -> Link {
        self.link.clone()
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Bytes::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Bytes::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Bytes::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(stream) => stream.is_write_vectored(),
            Bytes::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests;
