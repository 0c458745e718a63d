//! Which workloads run because their sidecar is connected: **the stream is the lease**.
//!
//! A sidecar that ends its stream in order (it drains) leaves at once; one that goes on asking does so on a stream that is no lease
//! (`weir_xds::node::is_draining`). One whose stream breaks may be well and only cut off, so it stays for
//! [`LOST_GRACE`]; peers that cannot reach it retry elsewhere meanwhile. A control plane that restarts restores the leases it last wrote and
//! holds them for [`RESTORED_GRACE`], long enough for every living sidecar to return: otherwise the first ones back would be told that the
//! others are gone.
//!
//! Pure: `now` is an argument, writing to disk is [`persist`]'s.

use std::collections::BTreeMap;
use std::time::Duration;
use weir_model::Time;
use weir_model::mesh::{Name, Workload, WorkloadPort};
use weir_model::node::{Inbound, Node};

pub mod persist;
#[cfg(test)]
mod tests;

/// How long a workload outlives a stream that broke.
pub const LOST_GRACE: Duration = Duration::from_secs(10);
/// How long a workload restored from disk waits for its sidecar.
pub const RESTORED_GRACE: Duration = Duration::from_secs(30);
/// Most workloads that may join one control plane.
pub const LEASES: usize = 100_000;

/// The workload that a node's stream stands for: one that takes inbound traffic.
pub fn workload(node: &Node) -> Option<(Name, Workload)> {
    if node.inbound.is_empty() {
        return None;
    }
    let port = |inbound: &Inbound| WorkloadPort {
        name: inbound.name.clone(),
        number: inbound.app.port(),
        address: inbound.listen,
    };
    let workload = Workload {
        labels: node.labels.clone(),
        locality: node.locality.clone(),
        weight: 1,
        ports: node.inbound.iter().map(port).collect(),
        ready: true,
    };
    Some((Name::new(&node.namespace, &node.id), workload))
}

/// Identifies one stream for the life of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u64);

/// Open streams of one node that are remembered: the one in use, and those of earlier processes whose end is not known yet.
const STREAMS: usize = 8;

#[derive(Clone, PartialEq, Debug)]
enum Hold {
    /// These streams are open, the latest last, each with what it said.
    Streams(Vec<(StreamId, Workload)>),
    /// Nobody holds it; it ends then.
    Until(Time),
}

#[derive(Clone, PartialEq, Debug)]
struct Lease {
    workload: Workload,
    hold: Hold,
}

/// What the end of a stream leaves behind.
enum Ended {
    /// It was the last one of its node.
    Last,
    /// Another one of its node is open; whether that says something else.
    Another { changed: bool },
    /// It was not known, or not any more.
    Unknown,
}

/// The leases of one control plane.
#[derive(Clone, Default, Debug)]
pub struct Leases {
    leases: BTreeMap<Name, Lease>,
}

/// Why a workload may not join.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JoinError {
    /// The bound is reached.
    #[error("{LEASES} workloads have joined already; start another control plane or remove idle sidecars")]
    Full,
}

impl Leases {
    /// A sidecar's stream says that this workload runs. A later stream of the same node takes over from an earlier one, and gives back when it
    /// ends first: after a quick restart the last words of the old process may arrive after the first ones of the new.
    /// Says whether the set of workloads changed.
    pub fn join(&mut self, name: Name, workload: Workload, stream: StreamId) -> Result<bool, JoinError> {
        if self.leases.len() >= LEASES && !self.leases.contains_key(&name) {
            return Err(JoinError::Full);
        }
        let before = self.leases.remove(&name);
        let changed = before.as_ref().is_none_or(|lease| lease.workload != workload);
        let mut streams = match before.map(|lease| lease.hold) {
            Some(Hold::Streams(streams)) => streams,
            Some(Hold::Until(_)) | None => vec![],
        };
        streams.retain(|(open, _)| *open != stream);
        if streams.len() == STREAMS {
            streams.remove(0);
        }
        streams.push((stream, workload.clone()));
        self.leases.insert(name, Lease { workload, hold: Hold::Streams(streams) });
        Ok(changed)
    }

    /// The stream ended in order: its workload is gone, unless another stream of the node is open. Says whether the set of workloads changed.
    pub fn leave(&mut self, name: &Name, stream: StreamId) -> bool {
        match self.end(name, stream) {
            Ended::Last => self.leases.remove(name).is_some(),
            Ended::Another { changed } => changed,
            Ended::Unknown => false,
        }
    }

    /// The stream broke: if it was the node's last one, its workload stays for a while.
    pub fn lose(&mut self, name: &Name, stream: StreamId, now: Time) {
        let last = matches!(self.end(name, stream), Ended::Last);
        if let Some(lease) = self.leases.get_mut(name).filter(|_| last) {
            lease.hold = Hold::Until(now + LOST_GRACE);
        }
    }

    fn end(&mut self, name: &Name, stream: StreamId) -> Ended {
        let Some(Lease { workload, hold: Hold::Streams(streams) }) = self.leases.get_mut(name) else {
            return Ended::Unknown;
        };
        let Some(index) = streams.iter().position(|(open, _)| *open == stream) else {
            return Ended::Unknown;
        };
        streams.remove(index);
        match streams.last() {
            None => Ended::Last,
            Some((_, latest)) => {
                Ended::Another { changed: std::mem::replace(workload, latest.clone()) != *latest }
            }
        }
    }

    /// Takes over what an earlier process wrote. Workloads that have joined meanwhile are left as they are.
    pub fn restore(&mut self, workloads: BTreeMap<Name, Workload>, now: Time) {
        for (name, workload) in workloads.into_iter().take(LEASES) {
            self.leases.entry(name).or_insert(Lease { workload, hold: Hold::Until(now + RESTORED_GRACE) });
        }
    }

    /// Removes what nobody holds any more. Says whether the set of workloads changed.
    pub fn expire(&mut self, now: Time) -> bool {
        let before = self.leases.len();
        self.leases.retain(|_, lease| !matches!(lease.hold, Hold::Until(end) if end <= now));
        self.leases.len() != before
    }

    /// When [`Leases::expire`] next has something to do.
    pub fn deadline(&self) -> Option<Time> {
        let ends = self.leases.values().filter_map(|lease| match lease.hold {
            Hold::Until(end) => Some(end),
            Hold::Streams(_) => None,
        });
        ends.min()
    }

    /// The workloads that run.
    pub fn workloads(&self) -> BTreeMap<Name, Workload> {
        self.leases.iter().map(|(name, lease)| (name.clone(), lease.workload.clone())).collect()
    }
}
