//! Whoever writes policy: one request at a time, and a long memory of what was acknowledged.

use crate::control::documents;
use crate::policy::{self, Edit};
use crate::scheduler::Event;
use crate::store::Disk;
use crate::world::{World, note};
use std::collections::BTreeMap;
use weir_model::Version;
use weir_store::{Change, Revision, State};

/// What the operator knows.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    /// Whether an answer is awaited.
    pub(crate) waits: bool,
    /// Every acknowledged revision, and the hash of what the mesh was at it.
    acknowledged: BTreeMap<Revision, u64>,
}

impl Operator {
    /// Every acknowledged revision is still what it was, and is served.
    pub(crate) fn check(&self, disk: &Disk, served: Revision) -> Result<(), String> {
        for (revision, hash) in &self.acknowledged {
            if disk.at(*revision).map(digest) != Some(*hash) {
                return Err(format!("revision {revision} was acknowledged and is lost"));
            }
        }
        match self.acknowledged.last_key_value() {
            Some((newest, _)) if *newest > served => {
                Err(format!("revision {newest} was acknowledged and {served} is served after a restart"))
            }
            _ => Ok(()),
        }
    }
}

fn digest(state: &State) -> u64 {
    let entries: Vec<_> = state.entries.iter().map(|(key, entry)| (key, &entry.value)).collect();
    Version::of(&entries).0
}

impl World {
    /// The operator writes a change, unless an answer is awaited still.
    pub(crate) fn write(&mut self) {
        let documents = documents(self.disk.state());
        let edits = match documents.is_empty() {
            true => policy::first(&mut self.random),
            false => policy::next(&mut self.random, &documents),
        };
        self.submit(edits);
    }

    /// The operator takes the poison out.
    pub(crate) fn repair(&mut self) {
        self.submit(policy::repair(&documents(self.disk.state())));
    }

    fn submit(&mut self, edits: Vec<Edit>) {
        if edits.is_empty() || std::mem::replace(&mut self.operator.waits, true) {
            return;
        }
        self.sched.after(self.net.latency(&mut self.random), Event::Submit(edits));
    }

    /// The operator wants to go back.
    pub(crate) fn roll_back(&mut self) {
        let newest = self.disk.state().revision.0;
        if newest < 2 || std::mem::replace(&mut self.operator.waits, true) {
            return;
        }
        let revision = 1 + self.random.below(newest - 1);
        self.sched.after(self.net.latency(&mut self.random), Event::Rollback(revision));
    }

    pub(crate) fn submitted(&mut self, edits: &[Edit]) -> Result<(), String> {
        let judged = match &self.plane {
            None => Err("nobody is there".to_owned()),
            Some(plane) => plane.judge(&self.disk, edits, self.sched.unix_millis()),
        };
        match judged {
            Ok(changes) => {
                let keys: Vec<String> = edits.iter().map(policy::key).collect();
                note!(self, "operator changes {}", keys.join(", "));
                self.accepted(changes);
            }
            Err(why) => {
                if self.plane.is_some() {
                    self.stats.refused_writes += 1;
                }
                note!(self, "operator is refused: {why}");
                self.sched.after(self.net.latency(&mut self.random), Event::Refused);
            }
        }
        Ok(())
    }

    pub(crate) fn rolled_back(&mut self, revision: u64) -> Result<(), String> {
        let (now, then) = (self.disk.state(), self.disk.at(Revision(revision)));
        let Some(then) = then.filter(|_| self.plane.is_some()) else {
            self.sched.after(self.net.latency(&mut self.random), Event::Refused);
            return Ok(());
        };
        let mut changes = Vec::new();
        for key in now.entries.keys().filter(|key| !then.entries.contains_key(*key)) {
            changes.push(Change::Delete { key: key.clone() });
        }
        for (key, entry) in then.entries.iter() {
            changes.push(Change::Put { key: key.clone(), value: entry.value.clone() });
        }
        note!(self, "operator goes back to revision {revision}");
        self.stats.rollbacks += 1;
        self.accepted(changes);
        Ok(())
    }

    /// The control plane decided to write: after a while it is on disk, unless it dies before.
    fn accepted(&mut self, changes: Vec<Change>) {
        let Some(plane) = &self.plane else { return };
        self.sched.after(self.random.below(20_000), Event::Written(plane.epoch, changes));
    }

    pub(crate) fn written(&mut self, epoch: u64, changes: &[Change]) -> Result<(), String> {
        let latency = self.net.latency(&mut self.random);
        if !self.runs(epoch) {
            self.sched.after(latency, Event::Refused);
            return Ok(());
        }
        let revision = self.disk.apply(changes);
        self.stats.writes += 1;
        self.changed();
        // Nobody hears of it if the control plane dies first; the operator stops waiting all the same.
        self.sched.after(latency, Event::Acknowledged(epoch, revision));
        Ok(())
    }

    pub(crate) fn acknowledged(&mut self, epoch: u64, revision: Revision) -> Result<(), String> {
        self.operator.waits = false;
        if !self.runs(epoch) {
            return Ok(());
        }
        let Some(state) = self.disk.at(revision) else {
            return Err(format!("revision {revision} is acknowledged and not there"));
        };
        self.operator.acknowledged.insert(revision, digest(state));
        note!(self, "operator knows that revision {revision} is written");
        Ok(())
    }
}
