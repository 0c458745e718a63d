//! One queue of everything that will happen, in order of time; what falls on the same instant happens in the order it was planned.

use crate::link::{ConnId, End};
use crate::policy::Edit;
use std::collections::BTreeMap;
use weir_model::Time;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// The next fault, change or request.
    Chaos,
    /// Bytes arrive at the control plane.
    ToServer(ConnId, Vec<u8>),
    /// Bytes arrive at a node.
    ToClient(ConnId, Vec<u8>),
    /// The control plane notices that a connection ended.
    ServerSees(ConnId, End),
    /// A node notices that a connection ended.
    ClientSees(ConnId),
    /// A node tries to connect; void if it restarted since.
    Connect(usize, u32),
    /// A node starts.
    StartNode(usize),
    /// A sidecar writes its last good configuration; void if it restarted since.
    Keep(usize, u32),
    /// The control plane starts.
    StartPlane,
    /// The control plane makes a world of the store and the leases; void if it restarted since, like all of its events.
    Publish(u64),
    /// A stream of the control plane sees that there is a new world.
    Wake(u64, ConnId),
    /// The control plane writes who has joined.
    SaveLeases(u64),
    /// The control plane looks for leases that ended.
    Expire(u64),
    /// An operator's request arrives at the control plane.
    Submit(Vec<Edit>),
    /// An operator's request to go back to a revision arrives.
    Rollback(u64),
    /// What the control plane decided to write is on disk.
    Written(u64, Vec<weir_store::Change>),
    /// The operator learns from a control plane that a revision is written.
    Acknowledged(u64, weir_store::Revision),
    /// The operator learns that nothing was, or that nobody knows.
    Refused,
}

/// Time and what happens in it.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    now: u64,
    planned: u64,
    queue: BTreeMap<(u64, u64), Event>,
}

/// The clock's first reading: an hour, so that nothing has to be before the beginning of time.
const EPOCH: u64 = 3_600_000_000;

impl Scheduler {
    /// Plans an event so many microseconds ahead.
    pub(crate) fn after(&mut self, micros: u64, event: Event) {
        self.at(self.now + micros, event);
    }

    /// Plans an event for an instant, in microseconds since the beginning.
    pub(crate) fn at(&mut self, micros: u64, event: Event) {
        self.planned += 1;
        self.queue.insert((micros.max(self.now), self.planned), event);
    }

    /// Moves on to the next event.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let ((at, _), event) = self.queue.pop_first()?;
        self.now = at;
        Some(event)
    }

    /// Microseconds since the beginning.
    pub(crate) fn micros(&self) -> u64 {
        self.now
    }

    /// As pure crates take it.
    pub(crate) fn now(&self) -> Time {
        Time((EPOCH + self.now) * 1000)
    }

    /// Milliseconds of Unix time, for when objects were created.
    pub(crate) fn unix_millis(&self) -> u64 {
        1_800_000_000_000 + self.now / 1000
    }

    /// How many microseconds from now a time is; none if it is over.
    pub(crate) fn until(&self, time: Time) -> u64 {
        time.since(self.now()).as_nanos().div_ceil(1000) as u64
    }
}
