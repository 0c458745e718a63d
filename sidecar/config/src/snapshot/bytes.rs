//! Opaque bytes and filter chains, linked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use weir_decide::chain::{self, Facts};
use weir_decide::split::Split;
use weir_model::access_log::AccessLog;
use weir_model::{ChainMatch, Inspect, Version, limits};

use super::ListenerKind;

/// Where opaque bytes go.
#[derive(Debug)]
pub struct Tcp {
    /// Which of the targets, by weight.
    pub split: Split,
    /// In the order of the split: indices into [`super::Snapshot::clusters`].
    pub targets: Vec<usize>,
    /// Endpoints that are tried for one connection, at least 1.
    pub attempts: u32,
    /// How long nothing may move in either direction.
    pub idle_timeout: Option<Duration>,
    /// How long a connection may last.
    pub max_duration: Option<Duration>,
    /// Whether balancers that hash go by the client's address.
    pub hash_source: bool,
    /// How each connection is logged, if it is.
    pub access_log: Option<Arc<AccessLog>>,
}

impl Tcp {
    /// All connections to the cluster of an index, with no limits but that of attempts.
    pub fn to(cluster: usize) -> Tcp {
        Tcp {
            split: Split::sole(),
            targets: vec![cluster],
            attempts: limits::TCP_ATTEMPTS,
            idle_timeout: None,
            max_duration: None,
            hash_source: false,
            access_log: None,
        }
    }
}

/// What becomes of connections by what is known of them.
#[derive(Debug)]
pub struct Chains {
    /// What of a client's first bytes is looked at; nothing if absent.
    pub inspect: Option<Inspect>,
    tree: chain::Chains,
    /// In the order of the tree, and after them the one for all others, if there is one.
    kinds: Vec<(u64, ListenerKind)>,
    /// How many of them the tree finds.
    chosen: usize,
    places: HashMap<u64, usize>,
}

impl Chains {
    /// `kinds` are those of the matches in the tree, and one more for connections that match none, if they are not closed.
    pub(super) fn new<'a>(
        inspect: Option<Inspect>,
        tree: chain::Chains,
        matches: impl IntoIterator<Item = &'a ChainMatch>,
        kinds: Vec<ListenerKind>,
    ) -> Chains {
        let mut ids: Vec<u64> = matches.into_iter().map(|matches| Version::of(matches).0).collect();
        let chosen = ids.len();
        // A match that hashes to this would be found first.
        ids.push(u64::MAX);
        let kinds: Vec<_> = ids.into_iter().zip(kinds).collect();
        let places = kinds.iter().enumerate().rev().map(|(place, (id, _))| (*id, place)).collect();
        Chains { inspect, tree, kinds, chosen, places }
    }

    /// The chain that a connection takes: its identity, which stays the same while its match does, and what is spoken on it.
    pub fn find(&self, facts: &Facts<'_>) -> Option<(u64, &ListenerKind)> {
        let place = self.tree.find(facts).unwrap_or(self.chosen);
        self.kinds.get(place).map(|(id, kind)| (*id, kind))
    }

    /// What is spoken on a chain.
    pub fn by_id(&self, id: u64) -> Option<&ListenerKind> {
        self.kinds.get(*self.places.get(&id)?).map(|(_, kind)| kind)
    }

    /// What is spoken on each chain, in the order written.
    pub fn kinds(&self) -> impl Iterator<Item = &ListenerKind> {
        self.kinds.iter().map(|(_, kind)| kind)
    }
}
