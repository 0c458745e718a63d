//! The simulated mesh: nodes, network, control plane, disk and operator, and what each event does to them.
//!
//! One thread, one queue, one source of chance. After every event the invariants of what it touched are checked; what it did not touch
//! cannot have changed.

use crate::control::Plane;
use crate::journal::Journal;
use crate::link::{ConnId, End, Net, Way};
use crate::mutation::Mutation;
use crate::nodes;
use crate::operator::Operator;
use crate::peer::{Client, Peer};
use crate::scheduler::{Event, Scheduler};
use crate::store::Disk;
use crate::truth::History;
use weir_model::Random;

/// How long the control plane waits before it writes who has joined, in microseconds.
const PERSIST_EVERY: u64 = 200_000;
/// The same for a sidecar's last good configuration.
const DEBOUNCE: u64 = 200_000;

/// What happened in a run, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) runs: u64,
    pub(crate) steps: u64,
    pub(crate) messages: u64,
    pub(crate) writes: u64,
    pub(crate) refused_writes: u64,
    pub(crate) rollbacks: u64,
    pub(crate) nacks: u64,
    pub(crate) crashes: u64,
    pub(crate) restarts: u64,
    pub(crate) resets: u64,
    pub(crate) partitions: u64,
}

/// The mesh.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) sched: Scheduler,
    pub(crate) journal: Journal,
    pub(crate) net: Net,
    pub(crate) disk: Disk,
    pub(crate) plane: Option<Plane>,
    /// Processes of the control plane so far, and worlds they made.
    pub(crate) epochs: u64,
    pub(crate) generation: u64,
    /// When the control plane started and when it died, the last time each.
    pub(crate) started: u64,
    pub(crate) died: u64,
    pub(crate) peers: Vec<Peer>,
    pub(crate) histories: Vec<History>,
    pub(crate) operator: Operator,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) stats: Stats,
    /// Faults, changes and requests to come.
    pub(crate) chaos: u64,
}

macro_rules! note {
    ($world:expr, $($arg:tt)*) => { $world.journal.note($world.sched.micros(), format_args!($($arg)*)) };
}
pub(crate) use note;

impl World {
    /// The mesh of a seed, with nothing running yet.
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>, print: bool) -> Self {
        let mut random = Random::new(seed);
        let delay = [200, 2_000, 30_000, 400_000][random.below(4) as usize];
        let sched = Scheduler::default();
        let cast = nodes::cast(&mut random);
        let histories = cast.iter().map(|_| History::default()).collect();
        let chaos = 30 + random.below(30);
        Self {
            net: Net::new(delay),
            peers: cast.into_iter().map(|role| Peer::new(role, sched.now())).collect(),
            histories,
            journal: Journal::new(print),
            disk: Disk::default(),
            plane: None,
            epochs: 0,
            generation: 0,
            started: 0,
            died: 0,
            operator: Operator::default(),
            mutation,
            stats: Stats { runs: 1, ..Stats::default() },
            chaos,
            random,
            sched,
        }
    }

    /// One event.
    pub(crate) fn step(&mut self, event: Event) -> Result<(), String> {
        self.stats.steps += 1;
        match event {
            Event::Chaos => self.wreak(),
            Event::ToServer(conn, bytes) => self.at_server(conn, &bytes),
            Event::ToClient(conn, bytes) => self.at_client(conn, &bytes),
            Event::ServerSees(conn, end) => self.server_sees(conn, end),
            Event::ClientSees(conn) => self.client_sees(conn),
            Event::Connect(peer, epoch) => self.connect(peer, epoch),
            Event::StartNode(peer) => self.start_node(peer),
            Event::Keep(peer, epoch) => self.keep(peer, epoch),
            Event::StartPlane => self.start_plane(),
            Event::Publish(epoch) if self.runs(epoch) => self.publish(),
            Event::Wake(epoch, conn) if self.runs(epoch) => self.refresh(conn),
            Event::SaveLeases(epoch) if self.runs(epoch) => self.save_leases(),
            Event::Expire(epoch) if self.runs(epoch) => self.expire(),
            Event::Publish(_) | Event::Wake(..) | Event::SaveLeases(_) | Event::Expire(_) => Ok(()),
            Event::Submit(edits) => self.submitted(&edits),
            Event::Rollback(revision) => self.rolled_back(revision),
            Event::Written(epoch, changes) => self.written(epoch, &changes),
            Event::Acknowledged(epoch, revision) => self.acknowledged(epoch, revision),
            Event::Refused => {
                self.operator.waits = false;
                Ok(())
            }
        }
    }

    pub(crate) fn runs(&self, epoch: u64) -> bool {
        self.plane.as_ref().is_some_and(|plane| plane.epoch == epoch)
    }

    fn at_server(&mut self, conn: ConnId, bytes: &[u8]) -> Result<(), String> {
        let Some(plane) = self.plane.as_mut().filter(|plane| self.net.plane(conn) == Some(plane.epoch))
        else {
            return Ok(());
        };
        let Some(peer) = self.net.peer(conn).filter(|_| self.net.lives(conn)) else { return Ok(()) };
        self.stats.messages += 1;
        if !plane.streams.contains_key(&conn) {
            plane.accept(conn, peer, self.peers[peer].role.style, self.mutation);
        }
        let taken = plane.receive(conn, bytes).map_err(|why| format!("{}: {why}", self.peers[peer].id()))?;
        for nack in &taken.nacks {
            note!(self, "control plane: {} {nack}", self.peers[peer].id());
        }
        if taken.joined {
            self.changed();
        }
        self.refresh(conn)
    }

    fn at_client(&mut self, conn: ConnId, bytes: &[u8]) -> Result<(), String> {
        let Some(index) = self.net.peer(conn).filter(|_| self.net.lives(conn)) else { return Ok(()) };
        let peer = &mut self.peers[index];
        if peer.conn != Some(conn) {
            return Ok(());
        }
        self.stats.messages += 1;
        let heard = peer.receive(bytes, &self.histories[index], self.mutation);
        let heard = heard.map_err(|why| format!("{}: {why}", self.peers[index].id()))?;
        self.stats.nacks += heard.refused as u64;
        let refused = if heard.refused > 0 { format!(" ({} refused)", heard.refused) } else { String::new() };
        note!(self, "{} gets {}{refused}", self.peers[index].id(), heard.text);
        self.flush(index);
        Ok(())
    }

    /// What a node has to send is sent, and what it serves will be on disk soon.
    pub(crate) fn flush(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        if let Client::Weir(sidecar) = &mut peer.client
            && std::mem::take(&mut sidecar.dirty)
        {
            self.sched.after(DEBOUNCE, Event::Keep(index, peer.epoch));
        }
        for bytes in peer.outputs(self.mutation) {
            if let Some(conn) = self.peers[index].conn {
                self.net.send(conn, Way::Up, bytes, &mut self.sched, &mut self.random);
            }
        }
    }

    fn server_sees(&mut self, conn: ConnId, end: End) -> Result<(), String> {
        let (now, of) = (self.sched.now(), self.net.plane(conn));
        if let Some(plane) = self.plane.as_mut().filter(|plane| of == Some(plane.epoch))
            && plane.ended(conn, end, now)
        {
            self.changed();
        }
        if end == End::InOrder {
            self.net.forget(conn);
        }
        Ok(())
    }

    fn client_sees(&mut self, conn: ConnId) -> Result<(), String> {
        let Some(index) = self.net.peer(conn) else { return Ok(()) };
        let peer = &mut self.peers[index];
        if peer.conn != Some(conn) {
            return Ok(());
        }
        peer.lost().map_err(|why| format!("{}: {why}", self.peers[index].id()))?;
        note!(self, "{} lost its stream", self.peers[index].id());
        self.retry(index);
        Ok(())
    }

    pub(crate) fn retry(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let wait = self.random.below(peer.patience() + 1);
        peer.attempts += 1;
        self.sched.after(wait, Event::Connect(index, peer.epoch));
    }

    fn connect(&mut self, index: usize, epoch: u32) -> Result<(), String> {
        let peer = &self.peers[index];
        if !peer.up || peer.epoch != epoch || peer.conn.is_some() {
            return Ok(());
        }
        let Some(plane) = self.plane.as_ref().filter(|_| !peer.cut) else {
            self.retry(index);
            return Ok(());
        };
        let conn = self.net.open(index, plane.epoch);
        self.peers[index].open(conn).map_err(|why| format!("{}: {why}", self.peers[index].id()))?;
        note!(self, "{} opens stream {}", self.peers[index].id(), conn.0);
        self.flush(index);
        Ok(())
    }

    fn start_node(&mut self, index: usize) -> Result<(), String> {
        if self.peers[index].up {
            return Ok(());
        }
        let now = self.sched.now();
        self.peers[index]
            .start(now, &self.histories[index])
            .map_err(|why| format!("{}: {why}", self.peers[index].id()))?;
        note!(self, "{} starts", self.peers[index].id());
        self.sched.after(self.random.below(2_000), Event::Connect(index, self.peers[index].epoch));
        Ok(())
    }

    fn keep(&mut self, index: usize, epoch: u32) -> Result<(), String> {
        let peer = &mut self.peers[index];
        if let Client::Weir(sidecar) = &mut peer.client
            && peer.epoch == epoch
        {
            sidecar.keep();
        }
        Ok(())
    }

    pub(crate) fn start_plane(&mut self) -> Result<(), String> {
        if self.plane.is_some() {
            return Ok(());
        }
        self.epochs += 1;
        self.generation += 1;
        self.started = self.sched.micros();
        let remember = self.mutation != Some(Mutation::ForgetLeases);
        let plane = Plane::start(self.epochs, self.generation, &self.disk, remember, self.sched.now())?;
        note!(
            self,
            "control plane starts at revision {}, generation {}",
            plane.world.revision,
            self.generation
        );
        let revision = plane.world.revision;
        self.plane = Some(plane);
        self.operator.check(&self.disk, revision)?;
        self.members()?;
        self.plan_expiry();
        Ok(())
    }

    /// The store or the leases changed: a new world is due.
    pub(crate) fn changed(&mut self) {
        if let Some(plane) = &mut self.plane
            && !std::mem::replace(&mut plane.due.publish, true)
        {
            self.sched.after(self.random.below(3_000), Event::Publish(plane.epoch));
        }
    }

    fn publish(&mut self) -> Result<(), String> {
        let Some(plane) = &mut self.plane else { return Ok(()) };
        plane.due.publish = false;
        if plane.leases.workloads() != self.disk.leases && !std::mem::replace(&mut plane.due.save, true) {
            self.sched.after(PERSIST_EVERY, Event::SaveLeases(plane.epoch));
        }
        if plane.publish(&self.disk)? {
            self.generation = plane.world.generation;
            let (epoch, revision) = (plane.epoch, plane.world.revision);
            for conn in plane.wake() {
                self.sched.after(self.random.below(3_000), Event::Wake(epoch, conn));
            }
            note!(self, "control plane: generation {} at revision {revision}", self.generation);
            self.members()?;
        }
        self.plan_expiry();
        Ok(())
    }

    fn plan_expiry(&mut self) {
        let Some(plane) = &mut self.plane else { return };
        let deadline = plane.leases.deadline();
        if let Some(at) = deadline.filter(|_| plane.due.expire != deadline) {
            self.sched.after(self.sched.until(at), Event::Expire(plane.epoch));
        }
        plane.due.expire = deadline;
    }

    fn expire(&mut self) -> Result<(), String> {
        let now = self.sched.now();
        if let Some(plane) = &mut self.plane
            && plane.leases.expire(now)
        {
            self.changed();
        }
        self.plan_expiry();
        Ok(())
    }

    fn save_leases(&mut self) -> Result<(), String> {
        if let Some(plane) = &mut self.plane {
            plane.due.save = false;
            self.disk.leases = plane.leases.workloads();
        }
        Ok(())
    }

    fn refresh(&mut self, conn: ConnId) -> Result<(), String> {
        let Some(plane) = &mut self.plane else { return Ok(()) };
        let Some(peer) = self.net.peer(conn) else { return Ok(()) };
        let stale = (self.mutation == Some(Mutation::OldWorlds)).then_some(&mut self.random);
        let outputs = plane.refresh(conn, &mut self.histories, stale);
        for bytes in outputs.map_err(|why| format!("{}: {why}", self.peers[peer].id()))? {
            self.net.send(conn, Way::Down, bytes, &mut self.sched, &mut self.random);
        }
        Ok(())
    }
}
