//! Listening, accepting and connecting over TCP.
//!
//! [`bind_workers`] gives every worker its own socket on one address, so that the kernel spreads connections and workers share
//! no accept queue. [`Acceptor`] never gives up: what goes wrong with one connection, or while the process is out of file
//! descriptors, is counted and waited out. [`connect`] is bounded in time. Errors name the address and say what to do, and keep
//! the [`io::ErrorKind`] of their cause.
//!
//! Redirected connections and their original destination are not handled here yet.

mod accept;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;

pub use accept::{AcceptCounts, Acceptor};

/// How many connections may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
pub const DEFAULT_BACKLOG: u16 = 4096;

/// How a listener is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindOptions {
    /// Several sockets of this user may listen on the same address, and the kernel spreads connections over them.
    pub reuse_port: bool,
    /// The bound of the queue of connections not yet accepted.
    pub backlog: u16,
    /// Accept connections to addresses which are not this host's (`IP_TRANSPARENT`; needs `CAP_NET_ADMIN`).
    pub transparent: bool,
    /// On an IPv6 address, leave IPv4 to others. `[::]` then does not serve IPv4.
    pub v6_only: bool,
}

impl Default for BindOptions {
    fn default() -> BindOptions {
        BindOptions { reuse_port: false, backlog: DEFAULT_BACKLOG, transparent: false, v6_only: false }
    }
}

/// What an outgoing connection is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Send small writes at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// How the kernel probes a silent peer. `None`: never.
    pub keepalive: Option<Keepalive>,
}

/// How the kernel probes a silent peer; its own numbers where absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Keepalive {
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// From one probe to the next.
    pub interval: Option<Duration>,
    /// Probes without an answer before the connection is given up.
    pub probes: Option<u32>,
}

impl Keepalive {
    /// After this idle time, every quarter of it, three times.
    pub fn after(time: Duration) -> Self {
        Self { time: Some(time), interval: Some(time / 4), probes: Some(3) }
    }
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions { nodelay: true, keepalive: Some(Keepalive::after(Duration::from_secs(60))) }
    }
}

/// Listens on `addr`, non-blocking and with `SO_REUSEADDR`, so that a restart need not wait for old connections to time out.
///
/// Port 0 lets the kernel choose; ask the listener for the address it got.
pub fn bind(addr: SocketAddr, options: BindOptions) -> io::Result<std::net::TcpListener> {
    let socket = bound(addr, options)?;
    socket.listen(i32::from(options.backlog)).map_err(|error| cannot_listen(addr, error))?;
    Ok(socket.into())
}

/// `n` sockets (at least one) listening on the same address, one for each worker. Port 0 becomes one common port; the address
/// returned says which.
///
/// Sockets that share a port would also share it with another process of the same user which asks for the same: its traffic
/// would silently be split between the two. So the address is first bound exclusively for a moment, and that is refused while
/// anybody listens there.
pub fn bind_workers(addr: SocketAddr, n: usize) -> io::Result<(SocketAddr, Vec<std::net::TcpListener>)> {
    if n <= 1 {
        let listener = bind(addr, BindOptions::default())?;
        return Ok((listener.local_addr()?, vec![listener]));
    }
    if addr.port() != 0 {
        drop(bound(addr, BindOptions::default())?);
    }
    let shared = BindOptions { reuse_port: true, ..BindOptions::default() };
    let first = bind(addr, shared)?;
    let addr = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..n {
        listeners.push(bind(addr, shared)?);
    }
    Ok((addr, listeners))
}

/// Connects to `addr` within `timeout`.
pub async fn connect(addr: SocketAddr, timeout: Duration, options: ConnectOptions) -> io::Result<TcpStream> {
    let stream = match tokio::time::timeout(timeout, TcpStream::connect(addr)).await {
        Ok(connected) => connected.map_err(|error| cannot_connect(addr, error))?,
        Err(_) => {
            let reason = format!("cannot connect to {addr}: no answer within {timeout:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
    };
    configure(&stream, options).map_err(|error| cannot_connect(addr, error))?;
    Ok(stream)
}

/// Sets the options of a connection which is open already, an accepted one for instance.
pub fn configure(stream: &TcpStream, options: ConnectOptions) -> io::Result<()> {
    if options.nodelay {
        stream.set_nodelay(true)?;
    }
    if let Some(wanted) = options.keepalive {
        // The kernel counts in whole seconds and refuses zero.
        let whole = |duration: Duration| duration.max(Duration::from_secs(1));
        let mut keepalive = TcpKeepalive::new();
        if let Some(time) = wanted.time {
            keepalive = keepalive.with_time(whole(time));
        }
        if let Some(interval) = wanted.interval {
            keepalive = keepalive.with_interval(whole(interval));
        }
        if let Some(probes) = wanted.probes {
            keepalive = keepalive.with_retries(probes.max(1));
        }
        let socket = SockRef::from(stream);
        socket.set_keepalive(true)?;
        if wanted != Keepalive::default() {
            socket.set_tcp_keepalive(&keepalive)?;
        }
    }
    Ok(())
}

/// Lets a connection end in a reset when it is closed, so that its peer does not take what came for all there was.
pub fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// The addresses of a host by its name, with this port, as the system's resolver has them; `host` may be an address. Looks them up on
/// a thread of the blocking pool, which goes on when nobody waits any more.
pub async fn lookup(host: &str, port: u16, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    match tokio::time::timeout(timeout, tokio::net::lookup_host((host, port))).await {
        Ok(found) => Ok(found?.collect()),
        Err(_) => {
            let reason = format!("cannot look up {host}: no answer within {timeout:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        }
    }
}

/// A socket bound to `addr` that does not listen yet.
fn bound(addr: SocketAddr, options: BindOptions) -> io::Result<Socket> {
    let open = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if addr.is_ipv6() {
            socket.set_only_v6(options.v6_only)?;
        }
        if options.transparent {
            match addr {
                SocketAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
                SocketAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
            }
        }
        socket.bind(&SockAddr::from(addr))?;
        Ok(socket)
    };
    open().map_err(|error| cannot_listen(addr, error))
}

fn cannot_listen(addr: SocketAddr, error: io::Error) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            ": is another instance running? Stop it, or choose another address or port 0".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(": this host has no address {}; choose one it has, 127.0.0.1 or 0.0.0.0", addr.ip())
        }
        io::ErrorKind::PermissionDenied if addr.port() != 0 && addr.port() < 1024 => {
            ": ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher port".to_owned()
        }
        io::ErrorKind::PermissionDenied => ": transparent listening needs CAP_NET_ADMIN".to_owned(),
        _ => String::new(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}{advice}"))
}

fn cannot_connect(addr: SocketAddr, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot connect to {addr}: {error}"))
}

#[cfg(test)]
mod tests;
