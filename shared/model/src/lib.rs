//! The vocabulary of weir: plain values that every other crate speaks.
//!
//! Two dictionaries live here, and values flow from the first to the second:
//!
//! 1. **Policy**, what an operator wrote, parsed and typed: [`mesh::Mesh`] with its services, workloads, routes and policies.
//! 2. **Configuration**, what one data plane enforces: [`Listener`] → [`RouteConfiguration`] → [`Cluster`] → [`Endpoints`].
//!
//! A compiler turns the first into the second for one [`node::Node`]; a codec carries the second over xDS; a sidecar links it.
//!
//! # Lexicon
//!
//! | word | meaning |
//! |---|---|
//! | downstream, upstream | the side a request comes from, the side it goes to |
//! | listener | an address (or a name, for clients in process) where traffic enters |
//! | virtual host | a set of authorities which share routes |
//! | route | a match and what happens to a request that matches |
//! | cluster | a set of interchangeable endpoints with one policy for reaching them |
//! | endpoint | one address that serves |
//! | locality | region, zone, sub-zone |
//! | workload | something that runs: a pod, a joined sidecar, a declared address |
//! | node | a data plane that asks for configuration: a sidecar, an Envoy, a gRPC client |
//!
//! Nothing here does IO, reads a clock or knows a wire format. All values are `Eq` and `Hash`, so that the hash of a value can be its version.

pub mod access_log;
mod affinity;
mod cluster;
pub mod diagnostic;
mod endpoint;
mod filter;
mod health;
pub mod limits;
mod listener;
mod manner;
pub mod mesh;
mod mirror;
pub mod node;
pub mod precedence;
mod random;
mod resource;
mod route;
mod subset;
mod tcp;
mod time;

pub use affinity::{Affinity, Cookie, HashPolicy, HashSource, Session, StickySplit};
pub use cluster::{
    CircuitBreakers, Cluster, ClusterKind, ConnectionLimits, Discovery, Dns, DnsFamily, DnsHost, DnsLocality,
    HttpVersion, LoadBalancing, RetryBudget, RingSize, Spread, TcpKeepalive, Thresholds, ZoneAware, is_prime,
};
pub use diagnostic::{Diagnostic, Severity};
pub use endpoint::{
    DropOverload, Endpoint, EndpointDetails, Endpoints, Health, Locality, LocalityEndpoints, OVERPROVISIONING,
};
pub use filter::{
    Abort, AbortAnswer, BodyLimit, Cors, Delay, Fault, Filters, KeyedLimit, LimitKey, RateLimits, TokenBucket,
};
pub use health::{
    EndpointHealth, HealthCheck, HttpProbe, LatencyOutlier, NO_TRAFFIC_INTERVAL, OutlierDetection,
    PANIC_THRESHOLD, Probe, SlowStart,
};
pub use ipnet::IpNet;
pub use listener::{
    Detection, Direction, EscapedSlashes, Forwarded, HttpLimits, HttpListener, Listener, ListenerKind, Paths,
    RouteSource, Tracing,
};
pub use manner::{HostPorts, Manner, RequestIds, ServerName, Underscores};
pub use mirror::{Fallback, Mirror, StaticAnswer};
pub use random::Random;
pub use resource::{Resource, ResourceSet, ResourceType, Version};
pub use route::{
    AskedWait, CookieCondition, DirectResponse, EditAction, EditValue, FieldCondition, Forward, Fraction,
    GrpcTimeout, HeaderChanges, HeaderEdit, HeaderEdits, HeaderMatch, HeaderMutation, HeaderName,
    HeaderValue, HostOptions, HostRewrite, HostSource, MoreConditions, PathMatch, PathRewrite, Priority,
    QueryMatch, Redirect, ResetFormat, RetryOn, RetryPolicy, Rewrite, Route, RouteAction, RouteConfiguration,
    RouteMatch, RoutesOptions, StringMatch, Substitution, Timeouts, ValueCondition, VirtualHost,
    WeightedCluster,
};
pub use subset::{Label, Labels, SelectorFallback, SubsetConfig, SubsetFallback, SubsetSelector};
pub use tcp::{
    ChainKind, ChainMatch, FilterChain, FilterChains, Inspect, SourceType, TcpListener, TcpTarget, name_fits,
};
pub use time::Time;
