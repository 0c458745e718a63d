//! Connections between nodes and the control plane. Like TCP: what is sent arrives late, in order and once, or the connection is gone and
//! with it everything on its way. Each end notices that in its own time.

use crate::scheduler::{Event, Scheduler};
use std::collections::BTreeMap;
use weir_model::Random;

/// One connection, for the whole run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ConnId(pub(crate) u64);

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The node said goodbye.
    InOrder,
    /// It broke.
    Broken,
}

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// To the control plane.
    Up,
    /// To the node.
    Down,
}

#[derive(Debug)]
struct Conn {
    peer: usize,
    /// The process of the control plane that it leads to.
    plane: u64,
    /// When the last message of each direction arrives.
    last: [u64; 2],
    broken: bool,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Net {
    conns: BTreeMap<ConnId, Conn>,
    next: u64,
    /// What a message usually takes, in microseconds.
    pub(crate) delay: u64,
}

/// How long a dead peer is not noticed where nothing says so: HTTP/2 keepalive, in microseconds.
const KEEPALIVE: u64 = 15_000_000;

impl Net {
    /// A network in which a message usually takes so long.
    pub(crate) fn new(delay: u64) -> Self {
        Self { conns: BTreeMap::new(), next: 0, delay }
    }

    /// A time near the usual one, now and then much longer.
    pub(crate) fn latency(&self, random: &mut Random) -> u64 {
        let usual = self.delay / 2 + random.below(self.delay + 1);
        if random.below(40) == 0 { usual * 20 } else { usual }
    }

    /// A new connection of a node to a process of the control plane.
    pub(crate) fn open(&mut self, peer: usize, plane: u64) -> ConnId {
        self.next += 1;
        let id = ConnId(self.next);
        self.conns.insert(id, Conn { peer, plane, last: [0; 2], broken: false });
        id
    }

    /// The node of a connection.
    pub(crate) fn peer(&self, id: ConnId) -> Option<usize> {
        self.conns.get(&id).map(|conn| conn.peer)
    }

    /// The process of the control plane that a connection leads to.
    pub(crate) fn plane(&self, id: ConnId) -> Option<u64> {
        self.conns.get(&id).map(|conn| conn.plane)
    }

    /// Whether bytes still pass.
    pub(crate) fn lives(&self, id: ConnId) -> bool {
        self.conns.get(&id).is_some_and(|conn| !conn.broken)
    }

    /// Puts bytes on their way.
    pub(crate) fn send(
        &mut self,
        id: ConnId,
        way: Way,
        bytes: Vec<u8>,
        sched: &mut Scheduler,
        random: &mut Random,
    ) {
        let latency = self.latency(random);
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.broken) else { return };
        let last = &mut conn.last[way as usize];
        *last = (*last + 1).max(sched.micros() + latency);
        let event = match way {
            Way::Up => Event::ToServer(id, bytes),
            Way::Down => Event::ToClient(id, bytes),
        };
        sched.at(*last, event);
    }

    /// The node closes in order: the control plane learns it after everything sent before.
    pub(crate) fn close(&mut self, id: ConnId, sched: &mut Scheduler, random: &mut Random) {
        let latency = self.latency(random);
        if let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.broken) {
            let at = (conn.last[Way::Up as usize] + 1).max(sched.micros() + latency);
            conn.last[Way::Up as usize] = at;
            sched.at(at, Event::ServerSees(id, End::InOrder));
        }
    }

    /// The connection is gone, with everything on its way. `silent`: nothing tells the ends but their keepalives.
    pub(crate) fn sever(&mut self, id: ConnId, silent: bool, sched: &mut Scheduler, random: &mut Random) {
        let latency = [self.latency(random), self.latency(random)];
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.broken) else { return };
        conn.broken = true;
        let mut notice =
            |latency: u64| if silent { KEEPALIVE / 3 + random.below(KEEPALIVE) } else { latency };
        sched.after(notice(latency[0]), Event::ClientSees(id));
        sched.after(notice(latency[1]), Event::ServerSees(id, End::Broken));
    }

    /// The connections to a process of the control plane, or of a node, that still pass bytes.
    pub(crate) fn living(&self, of: impl Fn(usize, u64) -> bool) -> Vec<ConnId> {
        let living = self.conns.iter().filter(|(_, conn)| !conn.broken && of(conn.peer, conn.plane));
        living.map(|(id, _)| *id).collect()
    }

    /// Both ends know that it is over.
    pub(crate) fn forget(&mut self, id: ConnId) {
        self.conns.remove(&id);
    }
}
