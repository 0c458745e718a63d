//! What each kind of object says, typed. Values that have a type in the model have it here already, so that nothing can fail later.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use weir_model::mesh::{
    ActionPolicy, AffinityPolicy, Distribution, HealthPolicy, HttpRule, Name, RouteFilter, StreamBackend,
    TargetPort,
};
use weir_model::{HeaderMatch, LoadBalancing, Locality, Timeouts};

/// The spec of an object.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Spec {
    /// A name for a set of workloads.
    Service(ServiceSpec),
    /// A declared endpoint.
    Workload(WorkloadSpec),
    /// Routes of HTTP requests.
    HttpRoute(HttpRouteSpec),
    /// Routes of gRPC calls.
    GrpcRoute(GrpcRouteSpec),
    /// Routes of TLS connections, by server name.
    TlsRoute(StreamRouteSpec),
    /// Routes of connections.
    TcpRoute(StreamRouteSpec),
    /// How traffic to services is handled.
    TrafficPolicy(Box<TrafficPolicySpec>),
    /// What rules of routes have beyond the Gateway API; the name of limits is empty.
    RouteFilter(Box<RouteFilter>),
}

/// Kubernetes `ServiceSpec`, as far as a mesh reads it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ServiceSpec {
    /// Labels of the workloads it selects.
    pub selector: BTreeMap<String, String>,
    /// Its ports, at least one.
    pub ports: Vec<ServicePortSpec>,
    /// Which endpoints callers prefer (`trafficDistribution`).
    pub distribution: Option<Distribution>,
}

/// A port of a service.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServicePortSpec {
    /// Its name; empty if it is the only port.
    pub name: String,
    /// As clients name it.
    pub port: u16,
    /// As workloads serve it; the same number if absent.
    pub target: Option<TargetPort>,
    /// What is spoken, as written; see [`weir_model::mesh::AppProtocol`].
    pub app_protocol: Option<String>,
}

/// weir's `Workload`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WorkloadSpec {
    /// Where it is reached.
    pub address: IpAddr,
    /// Port numbers by name, at least one.
    pub ports: BTreeMap<String, u16>,
    /// Region, zone and sub-zone.
    pub locality: Locality,
    /// Relative share within its locality, at least 1.
    pub weight: u32,
}

/// Gateway API `HTTPRouteSpec`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpRouteSpec {
    /// What it attaches to, at least one.
    pub parents: Vec<RouteParent>,
    /// Host names; without effect on routes that attach to services (GEP-1294).
    pub hostnames: Vec<String>,
    /// In the order written. References in them are resolved: a name without a namespace has the route's.
    pub rules: Vec<HttpRule>,
}

/// Gateway API `GRPCRouteSpec`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrpcRouteSpec {
    /// What it attaches to, at least one.
    pub parents: Vec<RouteParent>,
    /// Host names; without effect on routes that attach to services.
    pub hostnames: Vec<String>,
    /// In the order written.
    pub rules: Vec<GrpcRule>,
}

/// Gateway API `TLSRouteSpec` or `TCPRouteSpec`: either has one rule.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StreamRouteSpec {
    /// What it attaches to, at least one.
    pub parents: Vec<RouteParent>,
    /// Server names (`host` or `*.suffix`) that it is for; every one if empty. None in a `TCPRoute`.
    pub hostnames: Vec<String>,
    /// The rule's name; empty if it has none.
    pub name: String,
    /// Where connections go, by weight; at least one.
    pub backends: Vec<StreamBackend>,
}

/// One rule of a `GRPCRoute`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrpcRule {
    /// As written: any of them; every call if empty.
    pub matches: Vec<GrpcMatch>,
    /// The rule of HTTP that says the same.
    pub lowered: HttpRule,
}

/// Which calls.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrpcMatch {
    /// Every method if absent.
    pub method: Option<GrpcMethod>,
    /// On metadata, all of them.
    pub headers: Vec<HeaderMatch>,
}

/// Which methods: of a service, of a name, or both.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrpcMethod {
    /// Whether both are expressions.
    pub regex: bool,
    /// With its package, such as `helloworld.Greeter`; any if absent.
    pub service: Option<String>,
    /// Such as `SayHello`; any if absent.
    pub method: Option<String>,
}

/// A service, or one port of it, that a route attaches to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteParent {
    /// The service.
    pub service: Name,
    /// One port of it by name (`sectionName`).
    pub section: Option<String>,
    /// One port of it by number.
    pub port: Option<u16>,
}

/// weir's `TrafficPolicy`. What is absent keeps its default.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct TrafficPolicySpec {
    /// What it applies to, at least one; in its own namespace.
    pub targets: Vec<PolicyTarget>,
    /// How an endpoint is chosen.
    pub load_balancing: Option<LoadBalancing>,
    /// How long a TCP connect may take.
    pub connect_timeout: Option<Duration>,
    /// For requests whose route says nothing; zero means no limit.
    pub timeouts: Timeouts,
    /// For requests whose route says nothing.
    pub retries: Option<RetriesSpec>,
    /// Concurrency limits.
    pub circuit_breakers: Option<CircuitBreakersSpec>,
    /// Which endpoints take traffic, as far as data planes find out by themselves.
    pub health: HealthPolicy,
    /// What brings callers back, and which localities come first.
    pub affinity: AffinityPolicy,
    /// What is done with requests besides; the name of limits is empty.
    pub actions: ActionPolicy,
}

/// A service, or one port of it, that a policy applies to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyTarget {
    /// The service's name.
    pub name: String,
    /// One port of it, by name (`sectionName`).
    pub section: Option<String>,
}

/// When to try again.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RetriesSpec {
    /// Attempts beyond the first; 0 turns retries off.
    pub attempts: Option<u32>,
    /// Which outcomes; the default's if empty.
    pub on: Vec<RetryCondition>,
    /// The first back-off's upper bound.
    pub backoff_base: Option<Duration>,
    /// The largest back-off.
    pub backoff_max: Option<Duration>,
    /// How many retries may run at once.
    pub budget: Option<RetryBudgetSpec>,
    /// Whether an attempt that takes too long goes on beside the next one.
    pub hedge: Option<bool>,
    /// The longest `Retry-After` that is waited for; none if zero.
    pub retry_after: Option<Duration>,
}

/// How many retries may run at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct RetryBudgetSpec {
    /// Parts per million of the active requests; written in percent.
    pub parts_per_million: Option<u32>,
    /// Retries that are always allowed at once.
    pub min_concurrency: Option<u32>,
}

/// An outcome that is retried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RetryCondition {
    /// `connect-failure`: the connection could not be made.
    ConnectFailure,
    /// `refused-stream`: the peer did not take the stream.
    RefusedStream,
    /// `reset`: the connection broke before response headers.
    Reset,
    /// `rate-limited`: a response that says it comes of a rate limit (`x-envoy-ratelimited`).
    RateLimited,
    /// `gateway-error`: 502, 503 and 504, or no answer.
    GatewayError,
    /// `5xx`: 500 to 599, or no answer.
    ServerError,
    /// One HTTP status; 504 is also what an attempt that takes too long counts as.
    Status(u16),
    /// One gRPC status, such as `unavailable`.
    Grpc(u8),
}

/// Concurrency limits for requests of one priority.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ThresholdsSpec {
    /// Open connections.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    pub max_pending: Option<u32>,
    /// Requests in flight.
    pub max_requests: Option<u32>,
}

/// Concurrency limits.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct CircuitBreakersSpec {
    /// Open connections.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    pub max_pending: Option<u32>,
    /// Requests in flight.
    pub max_requests: Option<u32>,
    /// The same for requests of high priority, which are counted by themselves.
    pub high: ThresholdsSpec,
    /// Open connections to one endpoint.
    pub max_endpoint_connections: Option<u32>,
    /// Requests that one connection carries.
    pub max_connection_requests: Option<u32>,
    /// Time after which a connection takes no more requests.
    pub max_connection_duration: Option<Duration>,
}
