//! A node in the mesh: a client, the process it runs in and the connection it has.

use crate::link::ConnId;
use crate::mutation::Mutation;
use crate::nodes::{Role, Style};
use crate::sidecar::{Heard, Sidecar};
use crate::stock::Stock;
use crate::truth::History;
use weir_model::Time;

/// What a node runs.
#[derive(Debug)]
pub(crate) enum Client {
    /// weir's own.
    Weir(Box<Sidecar>),
    /// Another's.
    Stock(Box<Stock>),
}

/// A node.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Who it is.
    pub(crate) role: Role,
    pub(crate) client: Client,
    /// Whether its process runs.
    pub(crate) up: bool,
    /// Which process: what was planned for an earlier one is void.
    pub(crate) epoch: u32,
    pub(crate) conn: Option<ConnId>,
    /// Attempts to connect since the last success.
    pub(crate) attempts: u32,
    /// Whether nothing passes between it and the control plane.
    pub(crate) cut: bool,
    /// Whether it has given up its lease and goes on asking.
    pub(crate) draining: bool,
    /// Since when every world has had its workload, in microseconds.
    pub(crate) member: Option<u64>,
    /// When its last connection broke, and to which process of the control plane it led.
    pub(crate) severed: Option<(u64, u64)>,
}

impl Peer {
    /// A node whose process does not run yet.
    pub(crate) fn new(role: Role, now: Time) -> Self {
        let client = match role.style {
            Style::Weir => Client::Weir(Box::new(Sidecar::new(role.clone(), now))),
            _ => Client::Stock(Box::new(Stock::new(role.clone()))),
        };
        Self {
            role,
            client,
            up: false,
            epoch: 0,
            conn: None,
            attempts: 0,
            cut: false,
            draining: false,
            member: None,
            severed: None,
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.role.node.id
    }

    /// The process starts.
    pub(crate) fn start(&mut self, now: Time, history: &History) -> Result<(), String> {
        self.up = true;
        self.draining = false;
        self.epoch += 1;
        self.attempts = 0;
        match &mut self.client {
            Client::Weir(sidecar) => sidecar.restart(now, history),
            Client::Stock(stock) => {
                stock.restart();
                Ok(())
            }
        }
    }

    /// The process is gone.
    pub(crate) fn stop(&mut self) -> Option<ConnId> {
        self.up = false;
        self.epoch += 1;
        self.member = None;
        self.conn.take()
    }

    /// The process begins to leave: streams from now on are no lease, and the one there was is to be ended.
    pub(crate) fn drain(&mut self) -> Option<ConnId> {
        self.draining = true;
        self.member = None;
        if let Client::Weir(sidecar) = &mut self.client {
            sidecar.leave();
        }
        self.conn.take()
    }

    /// A stream was opened.
    pub(crate) fn open(&mut self, conn: ConnId) -> Result<(), String> {
        self.conn = Some(conn);
        self.attempts = 0;
        match &mut self.client {
            Client::Weir(sidecar) => sidecar.open(),
            Client::Stock(stock) => {
                stock.open();
                Ok(())
            }
        }
    }

    /// The stream is gone.
    pub(crate) fn lost(&mut self) -> Result<(), String> {
        self.conn = None;
        match &self.client {
            Client::Weir(sidecar) => sidecar.lost(),
            Client::Stock(_) => Ok(()),
        }
    }

    /// A message arrived.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        history: &History,
        mutation: Option<Mutation>,
    ) -> Result<Heard, String> {
        match &mut self.client {
            Client::Weir(sidecar) => sidecar.receive(bytes, history, mutation),
            Client::Stock(stock) => stock.receive(bytes, history, mutation),
        }
    }

    /// What there is to send, if anywhere.
    pub(crate) fn outputs(&mut self, mutation: Option<Mutation>) -> Vec<Vec<u8>> {
        match &mut self.client {
            _ if self.conn.is_none() => vec![],
            Client::Weir(sidecar) => sidecar.outputs(mutation),
            Client::Stock(stock) => stock.outputs(),
        }
    }

    /// How long to wait before connecting again, at most, in microseconds.
    pub(crate) fn patience(&self) -> u64 {
        100_000u64.saturating_mul(1 << self.attempts.min(10)).min(if self.attempts < 32 {
            1_000_000
        } else {
            10_000_000
        })
    }
}
