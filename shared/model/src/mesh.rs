//! Policy as the compiler reads it: parsed, typed, validated. Kubernetes' names and defaults, none of its syntax.

use crate::{
    CircuitBreakers, Fraction, HashSource, HeaderMutation, HealthCheck, LoadBalancing, Locality,
    OutlierDetection, PathRewrite, Redirect, RetryPolicy, RouteMatch, Session, SlowStart, Timeouts,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

mod extension;
mod select;
mod stream;

pub use extension::{AdmissionPolicy, Caller, RouteFilter, SERVICE_ACCOUNT, Stranger};
pub use select::Selection;
pub use stream::{StreamBackend, StreamRoute};

/// A namespace and a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name {
    /// The namespace.
    pub namespace: String,
    /// The name within it.
    pub name: String,
}

impl Name {
    /// A name in a namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The whole mesh at one moment: policy at a revision, and the workloads that run.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mesh {
    /// By namespace and name.
    pub services: BTreeMap<Name, Service>,
    /// Declared and joined; joined ones are under their node's identity.
    pub workloads: BTreeMap<Name, Workload>,
    /// HTTP routes and gRPC routes, which attach to services.
    pub http_routes: BTreeMap<RouteName, HttpRoute>,
    /// TLS routes, which attach to services and are chosen by server name.
    pub tls_routes: BTreeMap<Name, StreamRoute>,
    /// TCP routes, which attach to services and have no host names.
    pub tcp_routes: BTreeMap<Name, StreamRoute>,
    /// Traffic policies, which attach to services.
    pub traffic_policies: BTreeMap<Name, TrafficPolicy>,
    /// What rules of routes refer to for what the Gateway API cannot say.
    pub route_filters: BTreeMap<Name, RouteFilter>,
}

/// A name for a set of workloads (Kubernetes `Service`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Service {
    /// Workloads of the same namespace that carry all of these labels; none if empty.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Which endpoints callers prefer (Kubernetes `trafficDistribution`); all are one if absent.
    pub distribution: Option<Distribution>,
}

/// Which endpoints callers prefer (Kubernetes `trafficDistribution`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Distribution {
    /// `PreferSameZone`, and `PreferClose` as it was called first: those of the caller's zone.
    SameZone,
    /// `PreferSameNode`: those of the caller's node, then of its zone.
    SameNode,
}

/// A port of a service.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServicePort {
    /// Unique in the service; empty if it has only one.
    pub name: String,
    /// As clients name it.
    pub port: u16,
    /// As workloads serve it.
    pub target: TargetPort,
    /// What is spoken on it.
    pub protocol: AppProtocol,
}

/// A workload's port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TargetPort {
    /// This number.
    Number(u16),
    /// The port that the workload calls so.
    Named(String),
}

/// What is spoken on a port (Kubernetes `appProtocol`, Gateway API GEP-1911).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AppProtocol {
    /// Not said: HTTP, in whichever version the caller speaks.
    Unspecified,
    /// `http`, `http1`, `kubernetes.io/ws`: HTTP/1.1.
    Http,
    /// `http2`, `kubernetes.io/h2c`.
    Http2,
    /// `grpc`.
    Grpc,
    /// `tcp`, `tls`, or anything else.
    Tcp,
}

/// Something that runs: declared, or joined through its sidecar's stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Workload {
    /// Services select by them.
    pub labels: BTreeMap<String, String>,
    /// Where it is.
    pub locality: Locality,
    /// Relative share within its locality, at least 1.
    pub weight: u32,
    /// Where each of its ports is reached.
    pub ports: Vec<WorkloadPort>,
    /// Whether it takes new traffic.
    pub ready: bool,
}

/// Where a workload's port is reached.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkloadPort {
    /// The port's name; empty if it has none.
    pub name: String,
    /// The number the application listens on; a service's target port may name it. 0 if only the name counts.
    pub number: u16,
    /// Where peers connect.
    pub address: SocketAddr,
}

/// Gateway API `HTTPRoute` or `GRPCRoute`, attached to services (GAMMA, GEP-1294).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpRoute {
    /// The services it attaches to. In the service's namespace it is a producer route and applies to all callers; elsewhere it is a consumer
    /// route and applies to callers of its own namespace only.
    pub parents: Vec<ParentRef>,
    /// In the order written.
    pub rules: Vec<HttpRule>,
    /// When it was first written, in milliseconds of Unix time; older routes win ties (Gateway API precedence).
    pub created_millis: u64,
}

/// A service, or one port of it, that a route attaches to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ParentRef {
    /// The service.
    pub service: Name,
    /// One port of it; all if absent.
    pub port: Option<u16>,
}

/// What names a route: first by `namespace/name`, as the Gateway API's precedence has it, and of two kinds by the same name the gRPC route first.
/// Shown as `HTTPRoute default/reviews`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteName {
    /// Namespace and name.
    pub name: Name,
    /// Which kind of route was written.
    pub kind: RouteKind,
}

impl RouteName {
    /// The route of a kind with a name.
    pub fn new(kind: RouteKind, name: Name) -> Self {
        Self { name, kind }
    }
}

impl std::fmt::Display for RouteName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// Kinds of route. What they say is the same once gRPC methods are paths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RouteKind {
    /// Gateway API `GRPCRoute`.
    Grpc,
    /// Gateway API `HTTPRoute`.
    Http,
}

impl RouteKind {
    /// As documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "GRPCRoute",
            Self::Http => "HTTPRoute",
        }
    }
}

/// One rule of a route.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HttpRule {
    /// Its name, for policies that target one rule; empty if it has none.
    pub name: String,
    /// Any of them; everything if empty. Without fractions.
    pub matches: Vec<RouteMatch>,
    /// Applied to every request that matches.
    pub filters: HttpFilters,
    /// Where requests go, by weight.
    pub backends: Vec<Backend>,
    /// How long things may take; the traffic policy's where absent, and zero means no limit whatever the policy says.
    pub timeouts: Timeouts,
    /// When to try again; the traffic policy's if absent.
    pub retry: Option<RetryPolicy>,
    /// Sessions pinned to endpoints; the traffic policy's if absent.
    pub session: Option<Session>,
}

/// Filters of a rule or of a backend; a backend has header changes only.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HttpFilters {
    /// `RequestHeaderModifier`.
    pub request_headers: HeaderMutation,
    /// `ResponseHeaderModifier`.
    pub response_headers: HeaderMutation,
    /// `RequestRedirect`; such a rule has no backends.
    pub redirect: Option<Redirect>,
    /// `URLRewrite`: the authority.
    pub rewrite_host: Option<String>,
    /// `URLRewrite`: the path.
    pub rewrite_path: Option<PathRewrite>,
    /// `RequestMirror`, each of them.
    pub mirrors: Vec<MirrorFilter>,
    /// `CORS`; for rules only.
    pub cors: Option<CorsFilter>,
    /// `ExtensionRef`: filters of weir's own, by name; for rules only.
    pub extensions: Vec<Name>,
}

/// Which pages of other origins may read the answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CorsFilter {
    /// At least one: `*`, or such as `https://shop.example` or `https://*.shop.example`.
    pub origins: Vec<String>,
    /// Methods that may be used; `*` is every one.
    pub methods: Vec<http::Method>,
    /// Request header fields that may be used; `*` is every one.
    pub headers: Vec<crate::HeaderName>,
    /// Response header fields that may be read; `*` is every one.
    pub expose: Vec<crate::HeaderName>,
    /// How long the answer to a preflight may be remembered.
    pub max_age: std::time::Duration,
    /// Whether cookies and the like may come along.
    pub credentials: bool,
}

/// A copy of some requests goes to another service.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MirrorFilter {
    /// The service and port; without it, nothing is mirrored.
    pub target: BackendTarget,
    /// Which share of the requests.
    pub fraction: Fraction,
}

/// A weighted reference to a service.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Backend {
    /// The service and port; a reference that cannot be resolved answers 500 for its share.
    pub target: BackendTarget,
    /// Its share; 0 gets nothing.
    pub weight: u32,
    /// Header changes for this backend only.
    pub filters: HttpFilters,
}

/// What a backend reference names. Whether it exists is for the compiler to see, since services come and go.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BackendTarget {
    /// The service.
    pub service: Name,
    /// Its port.
    pub port: u16,
}

/// How traffic to a service is handled (`weir.dev/v1`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TrafficPolicy {
    /// The services, or single ports of them, it applies to; a policy for a port wins over one for its service.
    pub targets: BTreeSet<ParentRef>,
    /// How an endpoint is chosen; the default if absent.
    pub load_balancing: Option<LoadBalancing>,
    /// How long a TCP connect may take.
    pub connect_timeout: Option<std::time::Duration>,
    /// For requests whose route says nothing; zero means no limit.
    pub timeouts: Timeouts,
    /// For requests whose route says nothing.
    pub retry: Option<RetryPolicy>,
    /// Concurrency limits.
    pub circuit_breakers: Option<CircuitBreakers>,
    /// Which endpoints take traffic, as far as data planes find out by themselves.
    pub health: HealthPolicy,
    /// What brings callers back, and which localities come first.
    pub affinity: AffinityPolicy,
    /// What is done with requests besides.
    pub actions: ActionPolicy,
    /// When it was first written, in milliseconds of Unix time; the older of two that conflict wins.
    pub created_millis: u64,
}

/// What is done with requests beside sending them somewhere. What is absent is not done.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ActionPolicy {
    /// How many requests there may be. The name of limits is the policy's.
    pub limits: AdmissionPolicy,
    /// What callers' sidecars do to their requests on purpose.
    pub fault: Option<crate::Fault>,
    /// What answers callers where the service cannot.
    pub fallback: Option<FallbackPolicy>,
    /// How many bytes a request's body may have, at each of the service's sidecars.
    pub max_request_bytes: Option<u32>,
}

/// What answers where a service cannot.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum FallbackPolicy {
    /// Another service; without it, nothing does.
    Backend(BackendTarget),
    /// These words.
    Response(crate::StaticAnswer),
}

/// What brings callers back to where they were, and which localities come first. What is absent keeps its default.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct AffinityPolicy {
    /// What is hashed where endpoints are chosen by a consistent hash.
    pub hash: Option<HashSource>,
    /// By what callers keep their side of a split; each request draws for itself if absent.
    pub sticky: Option<HashSource>,
    /// Sessions pinned to endpoints, for rules that have none of their own; none if absent.
    pub session: Option<Session>,
    /// Which localities come first; all are one if absent.
    pub failover: Option<LocalityFailover>,
}

/// Endpoints near the caller are used first, others as these fail.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LocalityFailover {
    /// What is near.
    pub prefer: Near,
    /// How much more than its share what is near can take, in percent; 140 if absent ([`crate::Endpoints::overprovisioning`]).
    pub overprovisioning: Option<u32>,
}

/// What is near a caller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Near {
    /// Its zone; after that its region.
    Zone,
    /// Its region.
    Region,
}

/// Which endpoints take traffic, as far as data planes find out by themselves. What is absent keeps its default.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct HealthPolicy {
    /// Endpoints that answer badly are ejected for a while; off if absent.
    pub outlier_detection: Option<OutlierDetection>,
    /// Endpoints are asked whether they serve; off if absent.
    pub health_check: Option<HealthCheck>,
    /// Below this percentage of available endpoints all of them are used; if absent, only when none is available.
    pub panic_threshold: Option<u32>,
    /// New endpoints get their share by and by; off if absent.
    pub slow_start: Option<SlowStart>,
}
