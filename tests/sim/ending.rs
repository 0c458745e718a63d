//! The end of a run: faults stop, and everything must come to agree within a bounded number of steps.

use crate::control::marks;
use crate::nodes::Style;
use crate::peer::{Client, Peer};
use crate::stock::Stock;
use crate::truth::{Key, Mark};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use weir_model::ResourceType;
use weir_model::node::Node;
use weir_serve::leases::workload;
use weir_xds::EncodedSet;

/// Steps from calm to agreement.
const STEPS: u64 = 20_000;

impl World {
    /// Runs the mesh from its first to its last event.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        self.begin()?;
        while self.chaos > 0 {
            let Some(event) = self.sched.next() else { return Err("nothing is left to happen".to_owned()) };
            self.step(event)?;
        }
        self.calm();
        self.settle()?;
        // What was refused is mended, so that agreement is possible.
        self.repair();
        self.settle()?;
        self.agree()
    }

    fn settle(&mut self) -> Result<(), String> {
        let end = self.stats.steps + STEPS;
        while let Some(event) = self.sched.next() {
            self.step(event)?;
            if self.stats.steps > end {
                return Err(format!("{STEPS} steps after the last fault messages still go to and fro"));
            }
        }
        Ok(())
    }

    /// Everybody has what policy says, and the control plane knows it.
    fn agree(&mut self) -> Result<(), String> {
        let Some(plane) = &self.plane else { return Err("the control plane does not run".to_owned()) };
        self.operator.check(&self.disk, plane.world.revision)?;
        let joined: BTreeSet<_> = plane.leases.workloads().into_keys().collect();
        let living = self.peers.iter().filter(|peer| peer.up && peer.conn.is_some() && speaks(peer));
        let holding = living.clone().filter(|peer| !peer.draining);
        let expected: BTreeSet<_> =
            holding.filter_map(|peer| workload(&peer.role.node)).map(|(name, _)| name).collect();
        if joined != expected {
            return Err(format!("{joined:?} have joined at the end, {expected:?} live"));
        }
        if let Some(peer) = self.peers.iter().find(|peer| peer.up && peer.conn.is_none()) {
            return Err(format!("{} is not connected at the end", peer.id()));
        }
        let streams = living.clone().count();
        if plane.streams.len() != streams {
            return Err(format!("{} streams are open and {streams} nodes live", plane.streams.len()));
        }
        for peer in living {
            let node = Node { uses: uses(peer), ..peer.role.node.clone() };
            let set = plane.world.compile(&node);
            let wanted = marks(&EncodedSet::new(&set, node.target), node.target);
            let agreed = match &peer.client {
                Client::Weir(sidecar) => {
                    let served = sidecar.served().iter();
                    let served =
                        served.map(|(kind, name, version, _)| ((kind, name.to_owned()), version.0)).collect();
                    match sidecar.open_ends().first() {
                        Some(open) => Err(open.clone()),
                        None => compare(&wanted, &served),
                    }
                }
                Client::Stock(stock) => stock_agrees(stock, peer.role.style, &wanted),
            };
            let behind = || peer.conn.and_then(|conn| plane.behind(conn)).map_or(Ok(()), Err);
            agreed.and_then(|()| behind()).map_err(|why| format!("at the end, {}: {why}", peer.id()))?;
        }
        Ok(())
    }
}

/// A gRPC library without a name to dial has nothing to say.
fn speaks(peer: &Peer) -> bool {
    match &peer.client {
        Client::Weir(_) => true,
        Client::Stock(stock) => peer.role.style != Style::Grpc || !stock.uses().is_empty(),
    }
}

fn uses(peer: &Peer) -> BTreeSet<String> {
    match &peer.client {
        Client::Weir(sidecar) => sidecar.uses().collect(),
        Client::Stock(stock) => stock.uses().clone(),
    }
}

fn stock_agrees(stock: &Stock, style: Style, wanted: &BTreeMap<Key, Mark>) -> Result<(), String> {
    if let Some(name) = stock.warming().next() {
        return Err(format!("the cluster {name} waits for endpoints"));
    }
    let mut served = BTreeMap::new();
    for kind in ResourceType::ALL {
        served.extend(stock.held(kind).iter().map(|(name, held)| ((kind, name.clone()), held.mark)));
    }
    match style {
        // What is not referred to is not asked for, and cannot be told from what is not there.
        Style::Grpc => {
            let asked =
                wanted.iter().filter(|(key, _)| stock.asks(key)).map(|(key, mark)| (key.clone(), *mark));
            compare(&asked.collect(), &served)
        }
        _ => compare(wanted, &served),
    }
}

fn compare(wanted: &BTreeMap<Key, Mark>, served: &BTreeMap<Key, Mark>) -> Result<(), String> {
    for ((kind, name), mark) in wanted {
        match served.get(&(*kind, name.clone())) {
            None => return Err(format!("does not have the {kind} {name}")),
            Some(other) if other != mark => {
                return Err(format!("has another {kind} {name}: {other:016x}, not {mark:016x}"));
            }
            Some(_) => {}
        }
    }
    match served.keys().find(|key| !wanted.contains_key(*key)) {
        Some((kind, name)) => Err(format!("still has the {kind} {name}")),
        None => Ok(()),
    }
}
