//! The sockets, bound or taken over before anything else: with port 0 only they know the addresses that the control plane must
//! be told.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, bail};
use weir_model::node::Inbound;
use weir_proxy::Entrance;
use weir_runtime::net::{self, BindOptions};

use crate::arguments::Options;

/// Every socket of the process, and what its address means.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Each worker's share.
    pub(crate) workers: Vec<Vec<Entrance>>,
    /// The admin endpoint's, with its address.
    pub(crate) admin: (TcpListener, SocketAddr),
    /// Inbound listeners as peers reach them.
    pub(crate) inbound: Vec<Inbound>,
    /// The outbound HTTP listener.
    pub(crate) outbound: Option<SocketAddr>,
    /// Outbound TCP listeners, each with its service.
    pub(crate) outbound_tcp: BTreeMap<SocketAddr, String>,
    /// From the address that peers use to the socket's own, where they differ.
    pub(crate) bound: BTreeMap<SocketAddr, SocketAddr>,
    /// The sockets' own addresses for which there must be configuration before this sidecar is ready.
    pub(crate) required: Vec<SocketAddr>,
    /// One line for whoever started the process.
    pub(crate) announcement: String,
    /// All sockets once more, if another process may take over. They keep their ports open until they are dropped.
    pub(crate) kept: Vec<Listening>,
}

/// The sockets of one address.
#[derive(Debug)]
pub(crate) struct Listening {
    /// What they are for.
    pub(crate) way: Way,
    /// Where they listen.
    pub(crate) address: SocketAddr,
    /// One for each worker of the process that bound them.
    pub(crate) sockets: Vec<TcpListener>,
}

/// What a listener is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Inbound,
    Outbound,
    OutboundTcp,
    OutboundTls,
    Admin,
}

impl Way {
    const ALL: [Way; 5] = [Way::Inbound, Way::Outbound, Way::OutboundTcp, Way::OutboundTls, Way::Admin];

    /// Its name in announcements and offers.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::OutboundTcp => "outbound-tcp",
            Self::OutboundTls => "outbound-tls",
            Self::Admin => "admin",
        }
    }

    /// The way with this name.
    pub(crate) fn of_word(word: &str) -> Option<Way> {
        Self::ALL.into_iter().find(|way| way.word() == word)
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Inbound => "--inbound",
            Self::Outbound => "--outbound",
            Self::OutboundTcp => "--outbound-tcp",
            Self::OutboundTls => "--outbound-tls",
            Self::Admin => "--admin-listen",
        }
    }
}

impl Sockets {
    /// Takes over what was inherited and is still wanted, and binds the rest; all of them, or none.
    pub(crate) fn bind(options: &Options, mut inherited: Vec<Listening>) -> anyhow::Result<Self> {
        let mut kept = Vec::new();
        let mut listen = |way: Way, listen: SocketAddr, workers: usize| {
            let listening = listening(&mut inherited, way, listen, workers).context(way.flag())?;
            if options.handover.is_some() {
                kept.push(listening.again().context(way.flag())?);
            }
            Ok::<_, anyhow::Error>(listening)
        };
        let admin = listen(Way::Admin, options.admin, 1)?;
        let admin_address = admin.address;
        let admin = admin.sockets.into_iter().next().context("--admin-listen: no socket")?;
        let mut sockets = Self {
            workers: (0..options.workers).map(|_| Vec::new()).collect(),
            admin: (admin, admin_address),
            inbound: Vec::new(),
            outbound: None,
            outbound_tcp: BTreeMap::new(),
            bound: BTreeMap::new(),
            required: Vec::new(),
            announcement: "weir-sidecar listening".to_owned(),
            kept: Vec::new(),
        };
        for inbound in &options.inbound {
            let own = sockets.add(listen(Way::Inbound, inbound.listen, options.workers)?, None)?;
            let reached = SocketAddr::new(inbound.advertised, own.port());
            if sockets.inbound.iter().any(|other| other.listen == reached) {
                bail!(
                    "--inbound {}: peers would reach two listeners at {reached}; choose another port",
                    inbound.listen
                );
            }
            if reached != own {
                sockets.bound.insert(reached, own);
            }
            sockets.required.push(own);
            sockets.inbound.push(Inbound { name: inbound.name.clone(), listen: reached, app: inbound.app });
        }
        if let Some(address) = options.outbound {
            let own = sockets.add(listen(Way::Outbound, address, options.workers)?, None)?;
            sockets.required.push(own);
            sockets.outbound = Some(own);
        }
        for (address, service) in &options.outbound_tcp {
            let own = sockets.add(listen(Way::OutboundTcp, *address, options.workers)?, None)?;
            sockets.outbound_tcp.insert(own, service.clone());
        }
        for (address, port) in &options.outbound_tls {
            sockets.add(listen(Way::OutboundTls, *address, options.workers)?, Some(*port))?;
        }
        sockets.announce(Way::Admin, admin_address);
        sockets.kept = kept;
        Ok(sockets)
    }

    /// Gives each worker its share; the address. `tls` is the port of what TLS clients ask for by name.
    fn add(&mut self, listening: Listening, tls: Option<u16>) -> anyhow::Result<SocketAddr> {
        let Listening { way, address, sockets } = listening;
        let shares = spread(sockets, self.workers.len()).context(way.flag())?;
        for (worker, share) in self.workers.iter_mut().zip(shares) {
            let entrance = |socket| Entrance {
                socket,
                inbound: way == Way::Inbound,
                on_demand: way == Way::Outbound,
                tls,
            };
            worker.extend(share.into_iter().map(entrance));
        }
        self.announce(way, address);
        Ok(address)
    }

    fn announce(&mut self, way: Way, address: SocketAddr) {
        // Writing to a string cannot fail.
        let _ = write!(self.announcement, " {}={address}", way.word());
    }
}

impl Listening {
    /// The same sockets under other descriptors.
    fn again(&self) -> io::Result<Listening> {
        let sockets = self.sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        Ok(Listening { sockets, ..*self })
    }

    /// Whether it is what was asked for; port 0 is content with any port.
    fn serves(&self, way: Way, listen: SocketAddr) -> bool {
        let any = listen.port() == 0 && self.address.ip() == listen.ip();
        self.way == way && (any || self.address == listen)
    }
}

/// What was inherited for an address (with port 0, the next one not yet taken), or new sockets.
fn listening(
    inherited: &mut Vec<Listening>,
    way: Way,
    listen: SocketAddr,
    workers: usize,
) -> io::Result<Listening> {
    if let Some(found) = inherited.iter().position(|listening| listening.serves(way, listen)) {
        return Ok(inherited.remove(found));
    }
    if way == Way::Admin {
        let socket = net::bind(listen, BindOptions::default())?;
        return Ok(Listening { way, address: socket.local_addr()?, sockets: vec![socket] });
    }
    let (address, sockets) = net::bind_workers(listen, workers)?;
    Ok(Listening { way, address, sockets })
}

/// Each worker's sockets. Connections wait in every one of them, so each has a worker; where another process had fewer workers,
/// several of this one's share a socket.
fn spread(sockets: Vec<TcpListener>, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let own = sockets.len();
    let shared = sockets.iter().cycle().take(workers.saturating_sub(own)).map(TcpListener::try_clone);
    let shared: Vec<TcpListener> = shared.collect::<io::Result<_>>()?;
    let mut shares: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, socket) in sockets.into_iter().chain(shared).enumerate() {
        shares[index % workers].push(socket);
    }
    Ok(shares)
}

#[cfg(test)]
mod tests;
