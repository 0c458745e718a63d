//! Resources, their types and their versions.

use crate::{
    ChainKind, Cluster, Discovery, Endpoints, HttpListener, Listener, ListenerKind, RouteAction,
    RouteConfiguration, RouteSource, TcpListener,
};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The kinds of resource. **Their order is the order of delivery**: what is referred to goes before what refers to it, so that no reference
/// ever dangles on the receiving side (make before break).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ResourceType {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// LDS.
    Listener,
    /// RDS.
    Route,
}

impl ResourceType {
    /// All of them, in order of delivery.
    pub const ALL: [ResourceType; 4] = [Self::Cluster, Self::Endpoints, Self::Listener, Self::Route];
}

impl std::fmt::Display for ResourceType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoints",
            Self::Listener => "listener",
            Self::Route => "route configuration",
        })
    }
}

/// One resource.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Resource {
    /// CDS.
    Cluster(Cluster),
    /// EDS.
    Endpoints(Endpoints),
    /// LDS.
    Listener(Listener),
    /// RDS.
    Route(RouteConfiguration),
}

impl Resource {
    /// Its type.
    pub fn kind(&self) -> ResourceType {
        match self {
            Self::Cluster(_) => ResourceType::Cluster,
            Self::Endpoints(_) => ResourceType::Endpoints,
            Self::Listener(_) => ResourceType::Listener,
            Self::Route(_) => ResourceType::Route,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(cluster) => &cluster.name,
            Self::Endpoints(endpoints) => &endpoints.name,
            Self::Listener(listener) => &listener.name,
            Self::Route(routes) => &routes.name,
        }
    }

    /// The hash of its content. Two control planes which compile the same policy agree on it without talking.
    pub fn version(&self) -> Version {
        Version::of(self)
    }

    /// Every resource this one refers to, possibly several times.
    pub fn references(&self) -> Vec<(ResourceType, &str)> {
        match self {
            Self::Cluster(cluster) => match &cluster.discovery {
                Discovery::Eds(name) => vec![(ResourceType::Endpoints, name)],
                Discovery::Static(_) | Discovery::Dns(_) => vec![],
            },
            Self::Endpoints(_) => vec![],
            Self::Listener(listener) => match &listener.kind {
                ListenerKind::Http(http) => of_http(http),
                ListenerKind::Tcp(tcp) => of_tcp(tcp).collect(),
                ListenerKind::Chains(chains) => {
                    let mut references = Vec::new();
                    for kind in chains.kinds() {
                        match kind {
                            ChainKind::Http(http) => references.extend(of_http(http)),
                            ChainKind::Tcp(tcp) => references.extend(of_tcp(tcp)),
                        }
                    }
                    references
                }
            },
            Self::Route(routes) => clusters_of(routes),
        }
    }
}

fn of_http(http: &HttpListener) -> Vec<(ResourceType, &str)> {
    let mut references = match &http.routes {
        RouteSource::Rds(name) => vec![(ResourceType::Route, name.as_str())],
        RouteSource::Inline(routes) => clusters_of(routes),
    };
    references.extend(http.detection.iter().flat_map(|detection| of_tcp(&detection.otherwise)));
    references
}

fn of_tcp(tcp: &TcpListener) -> impl Iterator<Item = (ResourceType, &str)> {
    tcp.targets.iter().map(|target| (ResourceType::Cluster, target.cluster.as_str()))
}

fn clusters_of(routes: &RouteConfiguration) -> Vec<(ResourceType, &str)> {
    let routes = routes.virtual_hosts.iter().flat_map(|host| &host.routes);
    let forwards = routes.filter_map(|route| match &route.action {
        RouteAction::Forward(forward) => Some(forward.references()),
        RouteAction::Redirect(_) | RouteAction::Direct(_) => None,
    });
    forwards.flatten().map(|cluster| (ResourceType::Cluster, cluster)).collect()
}

/// A content hash (XXH3, 64 bits), shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(pub u64);

impl Version {
    /// The version of a value.
    pub fn of(value: &impl Hash) -> Self {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        value.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for Version {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// Resources by type and name, each with its version. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResourceSet {
    resources: BTreeMap<ResourceType, BTreeMap<String, (Version, Arc<Resource>)>>,
}

impl ResourceSet {
    /// Adds or replaces a resource.
    pub fn insert(&mut self, resource: Resource) {
        self.insert_versioned(resource.version(), Arc::new(resource));
    }

    /// Adds or replaces a resource whose version is known.
    pub fn insert_versioned(&mut self, version: Version, resource: Arc<Resource>) {
        self.resources
            .entry(resource.kind())
            .or_default()
            .insert(resource.name().to_owned(), (version, resource));
    }

    /// Removes a resource; whether it was there.
    pub fn remove(&mut self, kind: ResourceType, name: &str) -> bool {
        let Some(by_name) = self.resources.get_mut(&kind) else { return false };
        let removed = by_name.remove(name).is_some();
        if by_name.is_empty() {
            self.resources.remove(&kind);
        }
        removed
    }

    /// A resource and its version.
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<&(Version, Arc<Resource>)> {
        self.resources.get(&kind)?.get(name)
    }

    /// The resources of one type, in order of name.
    pub fn of(&self, kind: ResourceType) -> impl Iterator<Item = (&str, Version, &Arc<Resource>)> {
        self.resources
            .get(&kind)
            .into_iter()
            .flatten()
            .map(|(name, (version, resource))| (name.as_str(), *version, resource))
    }

    /// All resources, in order of delivery and name.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceType, &str, Version, &Arc<Resource>)> {
        self.resources.iter().flat_map(|(kind, by_name)| {
            by_name.iter().map(move |(name, (version, resource))| (*kind, name.as_str(), *version, resource))
        })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.resources.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// References to what is not in the set, as (referring resource, missing type, missing name).
    pub fn dangling(&self) -> Vec<(String, ResourceType, String)> {
        let mut missing = Vec::new();
        for (_, name, _, resource) in self.iter() {
            for (kind, target) in resource.references() {
                if self.get(kind, target).is_none() {
                    missing.push((name.to_owned(), kind, target.to_owned()));
                }
            }
        }
        missing
    }
}
