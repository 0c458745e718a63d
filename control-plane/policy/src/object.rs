//! Objects: a kind, a name, metadata and a spec.

use crate::Spec;
use serde_json::Value;
use std::collections::BTreeMap;
use weir_model::Diagnostic;
use weir_model::mesh::Name;

/// The kinds of object there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Kubernetes `Service`.
    Service,
    /// weir's `Workload`: a declared endpoint.
    Workload,
    /// Gateway API `HTTPRoute`.
    HttpRoute,
    /// Gateway API `GRPCRoute`.
    GrpcRoute,
    /// Gateway API `TLSRoute`.
    TlsRoute,
    /// Gateway API `TCPRoute`.
    TcpRoute,
    /// weir's `TrafficPolicy`.
    TrafficPolicy,
    /// weir's `RouteFilter`.
    RouteFilter,
}

impl Kind {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Kind; 8] = [
        Self::Service,
        Self::Workload,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TlsRoute,
        Self::TcpRoute,
        Self::TrafficPolicy,
        Self::RouteFilter,
    ];

    /// As documents write it: `HTTPRoute`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Workload => "Workload",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::TlsRoute => "TLSRoute",
            Self::TcpRoute => "TCPRoute",
            Self::TrafficPolicy => "TrafficPolicy",
            Self::RouteFilter => "RouteFilter",
        }
    }

    /// The `apiVersion` it is written with.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Service => "v1",
            Self::HttpRoute | Self::GrpcRoute => "gateway.networking.k8s.io/v1",
            Self::TlsRoute => "gateway.networking.k8s.io/v1alpha3",
            Self::TcpRoute => "gateway.networking.k8s.io/v1alpha2",
            Self::Workload | Self::TrafficPolicy | Self::RouteFilter => "weir.dev/v1",
        }
    }

    /// Whether it may be written with this `apiVersion`: its own, or an older one that says the same.
    pub fn has_api_version(self, version: &str) -> bool {
        version == self.api_version()
            || (self == Self::TlsRoute && version == "gateway.networking.k8s.io/v1alpha2")
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no kind.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "there is no kind {0:?}: write Service, Workload, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, TrafficPolicy or RouteFilter"
)]
pub struct KindError(pub String);

impl std::str::FromStr for Kind {
    type Err = KindError;

    /// Any case, singular or plural, as a command line takes it: `httproute`, `HTTPRoutes`, `svc`.
    fn from_str(text: &str) -> Result<Self, KindError> {
        match text.to_ascii_lowercase().as_str() {
            "service" | "services" | "svc" => Ok(Self::Service),
            "workload" | "workloads" => Ok(Self::Workload),
            "httproute" | "httproutes" => Ok(Self::HttpRoute),
            "grpcroute" | "grpcroutes" => Ok(Self::GrpcRoute),
            "tlsroute" | "tlsroutes" => Ok(Self::TlsRoute),
            "tcproute" | "tcproutes" => Ok(Self::TcpRoute),
            "trafficpolicy" | "trafficpolicies" => Ok(Self::TrafficPolicy),
            "routefilter" | "routefilters" => Ok(Self::RouteFilter),
            _ => Err(KindError(text.to_owned())),
        }
    }
}

/// What names an object. Shown as `HTTPRoute default/reviews`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectId {
    /// The kind.
    pub kind: Kind,
    /// Namespace and name.
    pub name: Name,
}

impl ObjectId {
    /// The object of a kind with a name.
    pub fn new(kind: Kind, name: Name) -> Self {
        Self { kind, name }
    }

    /// The key a store keeps it under: `HTTPRoute/default/reviews`.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.name.namespace, self.name.name)
    }

    /// The inverse of [`ObjectId::key`]; nothing for any other text.
    pub fn from_key(key: &str) -> Option<Self> {
        let mut parts = key.splitn(3, '/');
        let (kind, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
        (!namespace.is_empty() && !name.is_empty() && !name.contains('/'))
            .then(|| Self::new(kind, Name::new(namespace, name)))
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What is said of an object beside its spec. Kubernetes' own bookkeeping (`uid`, `resourceVersion`, …) is not kept.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Metadata {
    /// Labels; a service selects workloads by theirs.
    pub labels: BTreeMap<String, String>,
    /// Free text.
    pub annotations: BTreeMap<String, String>,
    /// When it was first written, in milliseconds of Unix time; whoever stores it sets it once. Older objects win ties.
    pub created_millis: Option<u64>,
}

/// One policy object.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Object {
    /// Kind, namespace and name; the kind is that of the spec.
    pub id: ObjectId,
    /// Labels, annotations, time of creation.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: Spec,
}

impl Object {
    /// The canonical form. Lossless: parsing it gives the same object.
    pub fn to_json(&self) -> Value {
        crate::parse::to_json(self)
    }

    /// The bytes a store keeps: the canonical form as compact JSON.
    pub fn to_stored(&self) -> Vec<u8> {
        self.to_json().to_string().into_bytes()
    }

    /// The inverse of [`Object::to_stored`].
    pub fn from_stored(bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        crate::parse::from_stored(bytes)
    }

    /// Whether both say the same, whenever they were written.
    pub fn same_content(&self, other: &Self) -> bool {
        let (mine, others) = (&self.metadata, &other.metadata);
        self.id == other.id
            && self.spec == other.spec
            && mine.labels == others.labels
            && mine.annotations == others.annotations
    }
}
