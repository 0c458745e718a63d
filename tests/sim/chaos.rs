//! What goes wrong, and what goes on meanwhile.

use crate::mutation::Mutation;
use crate::nodes::{self, Style};
use crate::peer::Client;
use crate::policy::one_in;
use crate::scheduler::Event;
use crate::world::{World, note};
use weir_model::limits::ON_DEMAND_IDLE;
use weir_serve::leases::{LOST_GRACE, RESTORED_GRACE};

/// A workload that joined this long ago is on the control plane's disk, in microseconds.
const SETTLED: u64 = 1_000_000;

impl World {
    /// Everything starts.
    pub(crate) fn begin(&mut self) -> Result<(), String> {
        self.start_plane()?;
        self.write();
        for index in 0..self.peers.len() {
            self.sched.after(self.random.below(1_000_000), Event::StartNode(index));
        }
        self.sched.after(1_500_000, Event::Chaos);
        Ok(())
    }

    /// The next thing that happens.
    pub(crate) fn wreak(&mut self) -> Result<(), String> {
        if self.chaos == 0 {
            return Ok(());
        }
        self.chaos -= 1;
        let pause = if one_in(&mut self.random, 15) { 12_000_000 } else { 400_000 };
        self.sched.after(self.random.below(pause), Event::Chaos);
        let index = self.random.below(self.peers.len() as u64) as usize;
        match self.random.below(100) {
            0..=39 => self.write(),
            40..=45 => self.roll_back(),
            46..=61 => self.want(index)?,
            62..=71 => self.request(index)?,
            72..=77 => self.reset(index),
            78..=81 => self.partition(index),
            82..=86 => self.kill_plane(),
            87..=89 => self.kill_node(index)?,
            90..=94 => self.stop_node(index)?,
            95..=96 => self.expire_names(index)?,
            _ => self.repair(),
        }
        Ok(())
    }

    fn want(&mut self, index: usize) -> Result<(), String> {
        let authority = nodes::authority(&mut self.random);
        let (now, history) = (self.sched.now(), &self.histories[index]);
        let peer = &mut self.peers[index];
        if !peer.up {
            return Ok(());
        }
        let connected = peer.conn.is_some();
        match &mut peer.client {
            Client::Weir(sidecar) => {
                sidecar
                    .want(&authority, now, history)
                    .map_err(|why| format!("{}: {why}", self.peers[index].id()))?;
            }
            Client::Stock(stock) if peer.role.style == Style::Grpc => {
                stock.want(authority.clone(), connected)
            }
            Client::Stock(_) => return Ok(()),
        }
        note!(self, "{} wants {authority}", self.peers[index].id());
        self.flush(index);
        Ok(())
    }

    fn request(&mut self, index: usize) -> Result<(), String> {
        let authority = nodes::authority(&mut self.random);
        let now = self.sched.now();
        let peer = &mut self.peers[index];
        match &mut peer.client {
            Client::Weir(sidecar) if peer.up => {
                let done = sidecar.request(&authority, now, &mut self.random);
                done.map_err(|why| format!("{}: {why}", self.peers[index].id()))
            }
            _ => Ok(()),
        }
    }

    fn expire_names(&mut self, index: usize) -> Result<(), String> {
        let later = self.sched.now() + ON_DEMAND_IDLE + ON_DEMAND_IDLE / 2;
        let peer = &mut self.peers[index];
        if let Client::Weir(sidecar) = &mut peer.client
            && peer.up
        {
            let done = sidecar.expire(later, &self.histories[index]);
            done.map_err(|why| format!("{}: {why}", self.peers[index].id()))?;
            note!(self, "{} gives up its names", self.peers[index].id());
            self.flush(index);
        }
        Ok(())
    }

    fn reset(&mut self, index: usize) {
        if let Some(conn) = self.peers[index].conn {
            note!(self, "the stream of {} is reset", self.peers[index].id());
            self.stats.resets += 1;
            self.sever(index, conn, false);
        }
    }

    fn sever(&mut self, index: usize, conn: crate::link::ConnId, silent: bool) {
        if self.net.lives(conn) {
            // A stream that the control plane never heard of does not begin the grace anew.
            let severed = (self.sched.micros(), self.net.plane(conn).unwrap_or_default());
            let known = self.plane.as_ref().is_some_and(|plane| plane.knows(conn));
            let earlier = self.peers[index].severed.filter(|_| !known);
            self.peers[index].severed = Some(earlier.unwrap_or(severed));
            self.net.sever(conn, silent, &mut self.sched, &mut self.random);
        }
    }

    fn partition(&mut self, index: usize) {
        let cut = !std::mem::replace(&mut self.peers[index].cut, true);
        if !cut {
            self.peers[index].cut = false;
            return;
        }
        note!(self, "{} is cut off", self.peers[index].id());
        self.stats.partitions += 1;
        if let Some(conn) = self.peers[index].conn {
            self.sever(index, conn, true);
        }
    }

    fn kill_plane(&mut self) {
        let Some(epoch) = self.plane.as_ref().map(|plane| plane.epoch) else { return };
        note!(self, "control plane dies");
        self.stats.crashes += 1;
        self.died = self.sched.micros();
        if self.mutation == Some(Mutation::LoseWrites) {
            self.disk.lose_newest();
        }
        for conn in self.net.living(|_, of| of == epoch) {
            if let Some(index) = self.net.peer(conn) {
                self.sever(index, conn, false);
            }
        }
        self.plane = None;
        let down = if one_in(&mut self.random, 3) { 20_000_000 } else { 500_000 };
        self.sched.after(self.random.below(down), Event::StartPlane);
    }

    /// `kill -9`, or the machine is gone: the system says goodbye, or nobody does.
    fn kill_node(&mut self, index: usize) -> Result<(), String> {
        if !self.peers[index].up {
            return Ok(());
        }
        note!(self, "{} dies", self.peers[index].id());
        self.stats.restarts += 1;
        if let Some(conn) = self.peers[index].stop() {
            let silent = one_in(&mut self.random, 3);
            self.sever(index, conn, silent);
        }
        self.sched.after(self.random.below(3_000_000), Event::StartNode(index));
        Ok(())
    }

    /// SIGTERM: the stream ends in order. A sidecar gives up its lease first and goes on asking; what it has is written when it ends.
    fn stop_node(&mut self, index: usize) -> Result<(), String> {
        if !self.peers[index].up {
            return Ok(());
        }
        if matches!(self.peers[index].client, Client::Weir(_)) && !self.peers[index].draining {
            note!(self, "{} drains", self.peers[index].id());
            if let Some(conn) = self.peers[index].drain() {
                self.net.close(conn, &mut self.sched, &mut self.random);
            }
            self.retry(index);
            return Ok(());
        }
        note!(self, "{} leaves", self.peers[index].id());
        self.stats.restarts += 1;
        if let Client::Weir(sidecar) = &mut self.peers[index].client {
            sidecar.keep();
        }
        if let Some(conn) = self.peers[index].stop() {
            self.net.close(conn, &mut self.sched, &mut self.random);
        }
        if !one_in(&mut self.random, 5) {
            self.sched.after(self.random.below(20_000_000), Event::StartNode(index));
        }
        Ok(())
    }

    /// Nothing goes wrong from now on.
    pub(crate) fn calm(&mut self) {
        self.chaos = 0;
        note!(self, "--- calm");
        for index in 0..self.peers.len() {
            self.peers[index].cut = false;
            if !self.peers[index].up && !one_in(&mut self.random, 4) {
                self.sched.after(self.random.below(1_000_000), Event::StartNode(index));
            }
        }
        self.sched.after(self.random.below(1_000_000), Event::StartPlane);
    }

    /// **Whoever lives stays**: a workload that joined does not vanish from the mesh while its sidecar runs, unless the two were apart for
    /// longer than the grace; a restart of the control plane gives everybody time to return.
    pub(crate) fn members(&mut self) -> Result<(), String> {
        let Some(plane) = &self.plane else { return Ok(()) };
        let now = self.sched.micros();
        for peer in &mut self.peers {
            let Some((name, _)) = weir_serve::leases::workload(&peer.role.node).filter(|_| !peer.draining)
            else {
                continue;
            };
            if plane.world.mesh.workloads.contains_key(&name) {
                // An earlier process may have joined, and then it is that one's lease.
                if peer.conn.is_some_and(|conn| self.net.lives(conn) && plane.knows(conn)) {
                    peer.member.get_or_insert(now);
                    peer.severed = None;
                }
                continue;
            }
            let Some(since) = peer.member.take() else { continue };
            let grace = match peer.severed {
                Some((_, to)) if to != plane.epoch => self.started + RESTORED_GRACE.as_micros() as u64,
                Some((at, _)) => at + LOST_GRACE.as_micros() as u64,
                None => u64::MAX,
            };
            let saved = since + SETTLED <= if self.died > 0 { self.died } else { now };
            if peer.up && saved && now < grace {
                return Err(format!("{} runs, and its workload is gone from the mesh", peer.role.node.id));
            }
        }
        Ok(())
    }
}
