//! TLS on the way out: connects, and shakes hands with a configuration that somebody else made. What a peer has to prove is in there.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::io::HyperIo;

/// A connection in hyper's traits.
pub type Connection = HyperIo<TlsStream<TcpStream>>;

/// Connects to `host` (a name or an address, IPv6 in brackets or not) and shakes hands. The peer is known by what it proves, not by the name: that
/// only tells its sessions from others'.
///
/// # Errors
/// Nobody answers, or one of both is refused; the error's text says why.
pub async fn connect(host: &str, port: u16, config: Arc<ClientConfig>) -> io::Result<Connection> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(HyperIo::new(stream))
}
