//! Bytes that nobody reads, and which of several filter chains a connection takes.

use crate::HttpListener;
use crate::access_log::AccessLog;
use ipnet::IpNet;
use std::sync::Arc;
use std::time::Duration;

/// Opaque bytes go to one of several clusters (Envoy's `tcp_proxy`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TcpListener {
    /// Clusters that exist, each with its share of the connections; the weights sum to at least 1.
    pub targets: Vec<TcpTarget>,
    /// Endpoints that are tried for one connection, at least 1.
    pub attempts: u32,
    /// How long nothing may move in either direction; no limit if absent.
    pub idle_timeout: Option<Duration>,
    /// How long a connection may last; no limit if absent.
    pub max_duration: Option<Duration>,
    /// Whether balancers that hash go by the client's address.
    pub hash_source: bool,
    /// How each connection is logged, if it is.
    pub access_log: Option<Arc<AccessLog>>,
}

impl TcpListener {
    /// All connections to one cluster, with weir's defaults.
    pub fn to(cluster: impl Into<String>) -> Self {
        Self {
            targets: vec![TcpTarget { cluster: cluster.into(), weight: 1 }],
            attempts: crate::limits::TCP_ATTEMPTS,
            idle_timeout: Some(crate::limits::TCP_IDLE),
            max_duration: None,
            hash_source: false,
            access_log: None,
        }
    }
}

/// One side of a split of connections.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TcpTarget {
    /// A cluster that exists.
    pub cluster: String,
    /// Its share; 0 gets nothing.
    pub weight: u32,
}

/// What becomes of a connection depends on what is known of it before it is served: its addresses, and what its client says first if that
/// is looked at (Envoy's `filter_chains`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FilterChains {
    /// What of a client's first bytes is looked at; nothing if absent, so that a server may speak first.
    pub inspect: Option<Inspect>,
    /// No two with the same match.
    pub chains: Vec<FilterChain>,
    /// For connections that no chain matches; they are closed if absent.
    pub otherwise: Option<ChainKind>,
}

/// What of a client's first bytes is looked at (Envoy's listener filters).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Inspect {
    /// Whether it is TLS, and if so for which server name and protocols.
    pub tls: bool,
    /// Whether it is HTTP, where it is not TLS.
    pub http: bool,
    /// How long a client may take to say enough.
    pub wait: Duration,
    /// Whether a client that takes longer is served by what is known; else its connection is closed.
    pub go_on: bool,
}

/// One of several filter chains.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FilterChain {
    /// For people; possibly empty.
    pub name: String,
    /// Which connections.
    pub matches: ChainMatch,
    /// What is spoken on them.
    pub kind: ChainKind,
}

/// What is spoken on the connections of a filter chain.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ChainKind {
    /// HTTP/1.1 and HTTP/2.
    Http(Box<HttpListener>),
    /// Bytes.
    Tcp(TcpListener),
}

/// Which connections a filter chain takes: for each criterion any of its values, and whatever is there if it has none.
///
/// The criteria are asked in the order of the fields, and of each the most specific value that any chain still in question has decides: a chain
/// that lacks it is out, even if none of the others matches in the end (Envoy's `FilterChainMatch`).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ChainMatch {
    /// The port that the client connected to.
    pub destination_port: Option<u16>,
    /// The address that the client connected to.
    pub destinations: Vec<IpNet>,
    /// The server name in TLS: `host` or `*.suffix`, in lower case. A wildcard stands for one label or more.
    pub server_names: Vec<String>,
    /// What the bytes are wrapped in: `tls`, or `raw_buffer` for nothing; any if empty.
    pub transport: String,
    /// The protocols that the client offers (ALPN, or what was found to be spoken); its first one that any chain has decides.
    pub application_protocols: Vec<String>,
    /// The address that the connection comes from.
    pub direct_sources: Vec<IpNet>,
    /// Whether the client is on this host.
    pub source_type: SourceType,
    /// The client's address.
    pub sources: Vec<IpNet>,
    /// The client's port.
    pub source_ports: Vec<u16>,
}

/// How specifically a pattern (`host` or `*.suffix`) takes a server name, the more the higher; nothing if it does not. A star stands for one
/// label or more.
pub fn name_fits(pattern: &str, server_name: &str) -> Option<usize> {
    match pattern.strip_prefix('*') {
        None => (pattern == server_name).then_some(usize::MAX),
        Some(suffix) => {
            let rest = server_name.strip_suffix(suffix)?;
            (!rest.is_empty() && suffix.starts_with('.')).then_some(suffix.len())
        }
    }
}

/// Whether a client is on this host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SourceType {
    /// It does not matter.
    #[default]
    Any,
    /// It is: the connection comes from `127.0.0.1` or `::1`, or from the address it goes to.
    Local,
    /// It is not.
    External,
}

impl ChainKind {
    /// Its bytes, if nobody reads them.
    pub fn as_tcp(&self) -> Option<&TcpListener> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Http(_) => None,
        }
    }

    /// Its HTTP, if that is what is spoken.
    pub fn as_http(&self) -> Option<&HttpListener> {
        match self {
            Self::Http(http) => Some(http),
            Self::Tcp(_) => None,
        }
    }
}

impl FilterChains {
    /// What its chains speak, the last one for connections that match none.
    pub fn kinds(&self) -> impl Iterator<Item = &ChainKind> {
        self.chains.iter().map(|chain| &chain.kind).chain(&self.otherwise)
    }
}
