//! The sockets, bound before anything else: with port 0 only they know the addresses that the control plane must be told.

use std::collections::BTreeMap;
use std::fmt::Write;
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
}

/// What a listener is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Inbound,
    Outbound,
    OutboundTcp,
}

impl Way {
    fn flag(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::OutboundTcp => "outbound-tcp",
        }
    }
}

impl Sockets {
    /// Binds all of them, or none.
    pub(crate) fn bind(options: &Options) -> anyhow::Result<Self> {
        let admin = net::bind(options.admin, BindOptions::default()).context("--admin-listen")?;
        let admin_address = admin.local_addr()?;
        let mut sockets = Self {
            workers: (0..options.workers).map(|_| Vec::new()).collect(),
            admin: (admin, admin_address),
            inbound: Vec::new(),
            outbound: None,
            outbound_tcp: BTreeMap::new(),
            bound: BTreeMap::new(),
            required: Vec::new(),
            announcement: "weir-sidecar listening".to_owned(),
        };
        for inbound in &options.inbound {
            let own = sockets.add(Way::Inbound, inbound.listen)?;
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
        if let Some(listen) = options.outbound {
            let own = sockets.add(Way::Outbound, listen)?;
            sockets.required.push(own);
            sockets.outbound = Some(own);
        }
        for (listen, service) in &options.outbound_tcp {
            let own = sockets.add(Way::OutboundTcp, *listen)?;
            sockets.outbound_tcp.insert(own, service.clone());
        }
        sockets.announce("admin", admin_address);
        Ok(sockets)
    }

    /// Binds a socket for each worker, all to the address returned.
    fn add(&mut self, way: Way, listen: SocketAddr) -> anyhow::Result<SocketAddr> {
        let flag = way.flag();
        let (own, listeners) =
            net::bind_workers(listen, self.workers.len()).with_context(|| format!("--{flag}"))?;
        for (worker, socket) in self.workers.iter_mut().zip(listeners) {
            worker.push(Entrance { socket, inbound: way == Way::Inbound, on_demand: way == Way::Outbound });
        }
        self.announce(flag, own);
        Ok(own)
    }

    fn announce(&mut self, what: &str, address: SocketAddr) {
        // Writing to a string cannot fail.
        let _ = write!(self.announcement, " {what}={address}");
    }
}

#[cfg(test)]
mod tests;
