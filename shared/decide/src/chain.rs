//! Which filter chain a connection takes, as Envoy chooses.
//!
//! The criteria of [`ChainMatch`] are asked one after the other, in the order of its fields. Each leads from one node of a tree to the next, by
//! the most specific value that any chain below this node has, and **there is no way back**: a chain for the right server name and the wrong
//! protocol hides one that says nothing of names. A connection that gets stuck takes the chain for all others, which is not decided here.
//!
//! Built once per listener, then only read; finding a chain costs as many look-ups as there are criteria, whatever the number of names.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use weir_model::{ChainMatch, IpNet, SourceType, limits};

/// What is known of a connection before it is served.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Where the client connected to.
    pub destination: SocketAddr,
    /// The client.
    pub source: SocketAddr,
    /// The server name it asks for in TLS, in lower case; empty if none is known.
    pub server_name: &'a str,
    /// `tls`, or `raw_buffer` for everything else.
    pub transport: &'a str,
    /// The protocols it offers, the preferred first.
    pub protocols: &'a [Vec<u8>],
}

/// The matches of a listener's chains.
#[derive(Clone, Debug)]
pub struct Chains {
    /// The first one is the root.
    nodes: Vec<Node>,
}

/// Why matches cannot stand side by side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChainError {
    /// This one takes connections that an earlier one takes, and neither is more specific.
    Same {
        /// Its index.
        chain: usize,
        /// The earlier one's.
        other: usize,
    },
    /// The combinations of their values are more than [`limits::CHAIN_MATCHES`], with this one.
    TooMany {
        /// Its index.
        chain: usize,
    },
}

impl std::fmt::Display for ChainError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Same { other, .. } => {
                write!(
                    f,
                    "matches connections that filter_chains[{other}] matches as specifically; remove one"
                )
            }
            Self::TooMany { .. } => write!(
                f,
                "more than {} combinations of values in all filter chains; use fewer",
                limits::CHAIN_MATCHES
            ),
        }
    }
}

impl std::error::Error for ChainError {}

/// The criteria in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Criterion {
    Port,
    Destination,
    ServerName,
    Transport,
    Protocol,
    DirectSource,
    SourceType,
    Source,
    SourcePort,
}

impl Criterion {
    const ALL: [Criterion; 9] = [
        Self::Port,
        Self::Destination,
        Self::ServerName,
        Self::Transport,
        Self::Protocol,
        Self::DirectSource,
        Self::SourceType,
        Self::Source,
        Self::SourcePort,
    ];
}

/// Where one criterion leads to; in the leaves, to chains.
#[derive(Clone, Debug, Default)]
struct Node {
    ports: HashMap<u16, usize>,
    texts: HashMap<Box<str>, usize>,
    /// The longest prefixes first.
    nets: Vec<(IpNet, usize)>,
    kinds: [Option<usize>; 2],
    any: Option<usize>,
}

/// A value of a criterion.
enum Value<'a> {
    Any,
    Port(u16),
    Text(&'a str),
    Net(IpNet),
    Kind(usize),
}

const LOCAL: usize = 0;
const EXTERNAL: usize = 1;

impl Chains {
    /// Of matches, in their order.
    ///
    /// # Errors
    ///
    /// If two of them are the same in one of their combinations of values, or there are too many.
    pub fn new<'a>(matches: impl IntoIterator<Item = &'a ChainMatch>) -> Result<Chains, ChainError> {
        let mut chains = Chains { nodes: vec![Node::default()] };
        let mut left = limits::CHAIN_MATCHES;
        for (chain, matches) in matches.into_iter().enumerate() {
            // The nodes that its combinations have led to so far.
            let mut ends = vec![0];
            for criterion in Criterion::ALL {
                let values = values(criterion, matches);
                let last = criterion == Criterion::SourcePort;
                let mut next = Vec::with_capacity(ends.len() * values.len());
                for node in ends {
                    for value in &values {
                        left = left.checked_sub(1).ok_or(ChainError::TooMany { chain })?;
                        let fresh = if last { chain } else { chains.nodes.len() };
                        let entry = chains.nodes[node].enter(value, fresh);
                        match (last, entry == fresh) {
                            // The same value twice in one match is no contradiction.
                            (true, true) => {}
                            (true, false) => return Err(ChainError::Same { chain, other: entry }),
                            (false, true) => {
                                chains.nodes.push(Node::default());
                                next.push(entry);
                            }
                            (false, false) => next.push(entry),
                        }
                    }
                }
                ends = next;
                ends.sort_unstable();
                ends.dedup();
            }
        }
        for node in &mut chains.nodes {
            node.nets.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        }
        Ok(chains)
    }

    /// The index of the chain that a connection takes.
    pub fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        Criterion::ALL.into_iter().try_fold(0, |node, criterion| self.nodes.get(node)?.step(criterion, facts))
    }
}

impl Node {
    /// Where a value leads; to `fresh` if it led nowhere yet.
    fn enter(&mut self, value: &Value<'_>, fresh: usize) -> usize {
        match value {
            Value::Any => *self.any.get_or_insert(fresh),
            Value::Port(port) => *self.ports.entry(*port).or_insert(fresh),
            Value::Text(text) => match self.texts.get(*text) {
                Some(known) => *known,
                None => {
                    self.texts.insert(Box::from(*text), fresh);
                    fresh
                }
            },
            Value::Net(net) => match self.nets.iter().find(|(known, _)| known == net) {
                Some((_, known)) => *known,
                None => {
                    self.nets.push((*net, fresh));
                    fresh
                }
            },
            Value::Kind(kind) => *self.kinds[*kind].get_or_insert(fresh),
        }
    }

    fn step(&self, criterion: Criterion, facts: &Facts<'_>) -> Option<usize> {
        let found = match criterion {
            Criterion::Port => self.ports.get(&facts.destination.port()).copied(),
            Criterion::SourcePort => self.ports.get(&facts.source.port()).copied(),
            Criterion::Destination => self.within(facts.destination.ip()),
            Criterion::DirectSource | Criterion::Source => self.within(facts.source.ip()),
            Criterion::ServerName => self.named(facts.server_name),
            Criterion::Transport => self.texts.get(facts.transport).copied(),
            Criterion::Protocol => facts.protocols.iter().find_map(|protocol| {
                let protocol = std::str::from_utf8(protocol).ok()?;
                self.texts.get(protocol).copied()
            }),
            Criterion::SourceType => self.kinds[if is_local(facts) { LOCAL } else { EXTERNAL }],
        };
        found.or(self.any)
    }

    fn within(&self, address: IpAddr) -> Option<usize> {
        self.nets.iter().find(|(net, _)| net.contains(&address)).map(|(_, next)| *next)
    }

    /// The name itself, else the longest of the suffixes that begin at one of its dots.
    fn named(&self, name: &str) -> Option<usize> {
        if name.is_empty() {
            return None;
        }
        let suffixes = name.match_indices('.').filter(|(dot, _)| *dot > 0).map(|(dot, _)| &name[dot..]);
        std::iter::once(name).chain(suffixes).find_map(|key| self.texts.get(key).copied())
    }
}

/// Whether a client is on this host: as Envoy has it, of the loopback's addresses only the first one is.
fn is_local(facts: &Facts<'_>) -> bool {
    let source = facts.source.ip();
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    loopback.contains(&source) || source == facts.destination.ip()
}

/// The values of a criterion in a match. A wildcard is kept without its star.
fn values(criterion: Criterion, matches: &ChainMatch) -> Vec<Value<'_>> {
    let nets = |nets: &[IpNet]| nets.iter().map(|net| Value::Net(net.trunc())).collect::<Vec<_>>();
    let mut values = match criterion {
        Criterion::Port => matches.destination_port.map(Value::Port).into_iter().collect(),
        Criterion::Destination => nets(&matches.destinations),
        Criterion::ServerName => {
            let names = matches.server_names.iter();
            names.map(|name| Value::Text(name.strip_prefix('*').unwrap_or(name))).collect()
        }
        Criterion::Transport if matches.transport.is_empty() => Vec::new(),
        Criterion::Transport => vec![Value::Text(&matches.transport)],
        Criterion::Protocol => matches.application_protocols.iter().map(|name| Value::Text(name)).collect(),
        Criterion::DirectSource => nets(&matches.direct_sources),
        Criterion::SourceType => match matches.source_type {
            SourceType::Any => Vec::new(),
            SourceType::Local => vec![Value::Kind(LOCAL)],
            SourceType::External => vec![Value::Kind(EXTERNAL)],
        },
        Criterion::Source => nets(&matches.sources),
        Criterion::SourcePort => matches.source_ports.iter().copied().map(Value::Port).collect(),
    };
    if values.is_empty() {
        values.push(Value::Any);
    }
    values
}

#[cfg(test)]
mod tests;
