//! Clusters: sets of interchangeable endpoints and the policy for reaching them.

use crate::{EndpointDetails, EndpointHealth, Endpoints, Health, Locality, SubsetConfig};
use std::time::Duration;

/// A set of interchangeable endpoints (CDS).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cluster {
    /// Its name, unique in one data plane: `outbound/NAMESPACE/SERVICE:PORT` or `inbound/ADDRESS`.
    pub name: String,
    /// What it stands for, so that spans and metrics can say it.
    pub kind: ClusterKind,
    /// Where its endpoints come from.
    pub discovery: Discovery,
    /// How an endpoint is chosen.
    pub load_balancing: LoadBalancing,
    /// What is spoken to the endpoints.
    pub http: HttpVersion,
    /// How long a TCP connect may take.
    pub connect_timeout: Duration,
    /// How long a connection may be idle before it is closed.
    pub idle_timeout: Duration,
    /// Concurrency limits, always finite.
    pub circuit_breakers: CircuitBreakers,
    /// Which endpoints take traffic, as far as the data plane finds out by itself.
    pub health: EndpointHealth,
    /// How traffic spreads over localities.
    pub spread: Spread,
    /// How endpoints fall into subsets that routes ask for; they do not if absent.
    pub subsets: Option<Box<SubsetConfig>>,
}

/// What a cluster stands for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ClusterKind {
    /// A port of a service.
    Service {
        /// The service's namespace.
        namespace: String,
        /// The service's name.
        name: String,
        /// The service's port.
        port: u16,
    },
    /// The application beside this sidecar.
    Application,
    /// From a control plane that does not say.
    Unknown,
}

/// Where a cluster's endpoints come from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Discovery {
    /// From the endpoint discovery service, under this name.
    Eds(String),
    /// Written in the cluster itself (xDS `STATIC`).
    Static(Endpoints),
    /// Names in the cluster itself, which the data plane looks up (xDS `STRICT_DNS` and `LOGICAL_DNS`).
    Dns(Box<Dns>),
}

/// Names that are looked up, again and again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dns {
    /// Whether only the first address of the answer counts (`LOGICAL_DNS`, with one host); all do otherwise.
    pub logical: bool,
    /// From one look-up to the next.
    pub refresh: Duration,
    /// The same after one that failed.
    pub failure_refresh: Duration,
    /// Which addresses count.
    pub family: DnsFamily,
    /// What is said of the endpoints together; without localities.
    pub endpoints: Endpoints,
    /// The names, in order of locality.
    pub hosts: Vec<DnsLocality>,
}

/// The names of one locality at one priority.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DnsLocality {
    /// Where they are.
    pub locality: Locality,
    /// 0 is used first.
    pub priority: u32,
    /// Relative share among the localities of this priority, at least 1.
    pub weight: u32,
    /// At least one in all localities.
    pub hosts: Vec<DnsHost>,
}

/// A name that is looked up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DnsHost {
    /// The name, or an address.
    pub name: String,
    /// The port of each of its addresses.
    pub port: u16,
    /// Health as the control plane sees it.
    pub health: Health,
    /// Relative share of each address within its locality, at least 1.
    pub weight: u32,
    /// What few endpoints have.
    pub details: Option<Box<EndpointDetails>>,
}

/// Which addresses of a name count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum DnsFamily {
    /// Those of IPv6 if there are any, else those of IPv4.
    #[default]
    Auto,
    /// Those of IPv4 if there are any, else those of IPv6.
    V4Preferred,
    /// Those of IPv4.
    V4Only,
    /// Those of IPv6.
    V6Only,
    /// All.
    All,
}

/// How an endpoint is chosen among the available ones.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum LoadBalancing {
    /// In turn, by weight.
    RoundRobin,
    /// At random, by weight.
    Random,
    /// The least loaded of `choices` random ones (Mitzenmacher, 2001).
    LeastRequest {
        /// How many are compared, at least 2.
        choices: u32,
    },
    /// The lower of two by peak-sensitive moving average of latency times load (Finagle's Peak EWMA).
    PeakEwma {
        /// Time after which an old measurement weighs 1/e.
        decay: Duration,
        /// What an endpoint is assumed to take while the first request to it is under way, and when that fails.
        default_rtt: Duration,
    },
    /// Ketama ring hash of what the route hashes ([`crate::Affinity::hash`]).
    RingHash(RingSize),
    /// Maglev table (Eisenbud et al., NSDI 2016), looked up by what the route hashes.
    Maglev {
        /// Slots, a prime; 65537 if absent.
        table_size: Option<u32>,
    },
}

impl Default for LoadBalancing {
    /// The less loaded of two random ones.
    fn default() -> Self {
        Self::LeastRequest { choices: 2 }
    }
}

/// How many points a hash ring has.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RingSize {
    /// At least so many in all, laid out as Envoy lays them out, so that a fleet of both agrees on every key. If absent, every endpoint of
    /// average weight has the same number of points however many there are, so that fewer keys move when one comes or goes.
    pub minimum: Option<u32>,
    /// At most so many in all, except that every endpoint has one.
    pub maximum: Option<u32>,
}

/// Whether a number is prime, as the size of a Maglev table has to be.
pub fn is_prime(number: u32) -> bool {
    let number = u64::from(number);
    number >= 2
        && (2..).take_while(|factor| factor * factor <= number).all(|factor| !number.is_multiple_of(factor))
}

/// How traffic spreads over the localities of a priority, and what of its endpoints keeps sessions (Envoy's `CommonLbConfig`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Spread {
    /// Whether the localities of a priority share its traffic by their weights; if not, their endpoints are one set.
    pub by_locality: bool,
    /// Whether a draining endpoint keeps its sessions (Envoy's `override_host_status` with `DRAINING`).
    pub draining_sessions: bool,
    /// Requests stay in the caller's own zone as far as its capacity goes; off if absent.
    pub zone_aware: Option<ZoneAware>,
    /// Whether a consistent hash places endpoints by their host names instead of their addresses.
    pub hash_by_hostname: bool,
    /// How much more than its share of the requests under way an endpoint takes in a consistent hash, in percent of the share, at least
    /// 100 (Mirrokni et al., 2016); any number if absent.
    pub hash_balance_factor: Option<u32>,
}

/// Routing by zone (Envoy's `ZoneAwareLbConfig`): each caller uses its own zone as far as its share of the endpoints goes beside its share of
/// the callers, and the rest goes where there is more than the callers there need.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ZoneAware {
    /// For which share of the requests, in parts per million.
    pub enabled: u32,
    /// Off for clusters with fewer healthy endpoints.
    pub min_cluster_size: u64,
    /// Whether requests fail rather than go to any endpoint where too few are healthy.
    pub fail_traffic_on_panic: bool,
}

impl Default for ZoneAware {
    /// Envoy's.
    fn default() -> Self {
        Self { enabled: 1_000_000, min_cluster_size: 6, fail_traffic_on_panic: false }
    }
}

impl Default for Spread {
    /// What weir's compiler says: localities by weight, and sessions end in their own time.
    fn default() -> Self {
        Self {
            by_locality: true,
            draining_sessions: true,
            zone_aware: None,
            hash_by_hostname: false,
            hash_balance_factor: None,
        }
    }
}

/// What is spoken upstream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HttpVersion {
    /// HTTP/1.1 with keep-alive.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// What the downstream speaks; between weir sidecars and applications that speak both.
    Downstream,
}

/// Concurrency limits of a cluster, for the whole sidecar. Finite by default.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CircuitBreakers {
    /// Open connections.
    pub max_connections: u32,
    /// Requests that wait for a connection.
    pub max_pending: u32,
    /// Requests in flight.
    pub max_requests: u32,
    /// How many retries may run at once.
    pub retry_budget: RetryBudget,
    /// The same for requests of high priority ([`crate::Priority::High`]), which are counted by themselves.
    pub high: Thresholds,
    /// Open connections to one endpoint; as many as to all if absent.
    pub max_endpoint_connections: Option<u32>,
    /// How long one connection is used.
    pub connection: ConnectionLimits,
}

/// Concurrency limits for the requests of one priority.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Thresholds {
    /// Open connections.
    pub max_connections: u32,
    /// Requests that wait for a connection.
    pub max_pending: u32,
    /// Requests in flight.
    pub max_requests: u32,
    /// How many retries may run at once.
    pub retry_budget: RetryBudget,
}

/// How long one connection to an endpoint is used; no limit where absent.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ConnectionLimits {
    /// Requests that it carries before it is closed.
    pub max_requests: Option<u32>,
    /// Time after which it takes no more requests.
    pub max_duration: Option<Duration>,
    /// Streams that an HTTP/2 connection carries at once, where its peer allows more (Envoy's `max_concurrent_streams`).
    pub max_streams: Option<u32>,
    /// Whether the kernel asks a silent peer whether it is there (Envoy's `upstream_connection_options.tcp_keepalive`).
    pub keepalive: Option<TcpKeepalive>,
}

/// How the kernel asks a silent peer whether it is there; its own numbers where absent.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TcpKeepalive {
    /// Questions without an answer before the connection is given up.
    pub probes: Option<u32>,
    /// How long a connection is silent before the first one.
    pub time: Option<Duration>,
    /// From one to the next.
    pub interval: Option<Duration>,
}

impl Default for Thresholds {
    /// Envoy's numbers, and a budget instead of its fixed three retries.
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending: 1024,
            max_requests: 1024,
            retry_budget: RetryBudget::default(),
        }
    }
}

impl Default for CircuitBreakers {
    /// Envoy's numbers for connections, pending requests and requests; a budget instead of Envoy's fixed three retries.
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending: 1024,
            max_requests: 1024,
            retry_budget: RetryBudget::default(),
            high: Thresholds::default(),
            max_endpoint_connections: None,
            connection: ConnectionLimits::default(),
        }
    }
}

/// Retries in flight may be at most this share of all requests in flight.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RetryBudget {
    /// Parts per million of the active requests.
    pub parts_per_million: u32,
    /// Retries that are always allowed at once.
    pub min_concurrency: u32,
}

impl Default for RetryBudget {
    /// 20 %, and three at once always.
    fn default() -> Self {
        Self { parts_per_million: 200_000, min_concurrency: 3 }
    }
}
