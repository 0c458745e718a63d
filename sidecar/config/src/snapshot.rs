//! The one immutable value that workers serve from: names are indices, matchers are compiled, **every index exists**.
//!
//! The control plane's resources become a [`Snapshot`] in [`link::Linker`]; workers get it through a `watch` channel and keep
//! it for the length of a request. What outlives a snapshot (loads, latencies, breakers) is in [`state`] and shared between
//! successive snapshots by cluster name and endpoint address.
//!
//! Nothing here decides where a request goes; that is `weir_decide` with what is found here.

mod breakers;
mod bytes;
mod drops;
pub mod filters;
pub mod link;
mod more;
pub mod state;

pub use breakers::Breaker;
pub use bytes::{Chains, Tcp};
pub use drops::Dropping;
pub use more::{Host, Levels, More};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use weir_decide::balance::subset::{Asked, Positions, Subsets, Wanted};
use weir_decide::balance::{Loads, Table};
use weir_decide::retry::Retry;
use weir_decide::route::{Matcher, RouteIndex};
use weir_decide::split::Split;
use weir_model::access_log::AccessLog;
use weir_model::{
    CircuitBreakers, ClusterKind, DirectResponse, Direction, Discovery, Fraction, HeaderMutation,
    HttpVersion, LoadBalancing, Priority, Random, Redirect, Resource, Rewrite, Time, Timeouts, Tracing,
    Version,
};

use filters::Filters;
use state::{ClusterState, EndpointState, LastUse};

/// A whole configuration, linked.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up from 1 with every publication; 0 is the empty one before the first.
    pub sequence: u64,
    /// The hash of the versions of all resources in it: equal for equal configurations.
    pub revision: Version,
    /// Listeners with an address, in order of name.
    pub listeners: Vec<Listener>,
    /// Clusters by index. The index of a cluster does not change while its name lives; a place whose cluster is gone holds
    /// [`Cluster::is_vacant`] until it is used again, and nothing refers to it.
    pub clusters: Vec<Arc<Cluster>>,
    names: HashMap<Arc<str>, NamedEntry>,
}

/// What a name that was asked for resolves to.
#[derive(Clone, Copy, Debug)]
pub enum NameLookup<'a> {
    /// To these routes.
    Found(&'a NamedRoutes),
    /// To opaque bytes, which go there.
    Bytes(&'a Arc<Tcp>),
    /// The control plane says that it does not exist.
    Absent,
    /// It was never asked for, or there is no answer yet.
    Unknown,
}

/// The routes behind a name.
#[derive(Clone, Debug)]
pub struct NamedRoutes {
    /// The routes.
    pub routes: Arc<Routes>,
    /// Whether and how requests are traced, if the control plane says so for this name; else as their listener says.
    pub tracing: Option<Tracing>,
    /// How each request is logged, if it is.
    pub access_log: Option<Arc<AccessLog>>,
    /// What is done with requests whose route does not say.
    pub filters: Option<Arc<Filters>>,
    /// The form in which paths are matched and sent on.
    pub paths: weir_model::Paths,
    /// How long requests whose route does not say may take.
    pub limits: weir_model::HttpLimits,
    /// What is made of HTTP besides.
    pub manner: Option<Arc<weir_model::Manner>>,
}

#[derive(Clone, Debug)]
struct NamedEntry {
    used: Arc<LastUse>,
    /// Absent if the control plane says that the name does not exist.
    answer: Option<Named>,
}

/// What there is behind a name that was asked for.
#[derive(Clone, Debug)]
pub enum Named {
    /// HTTP.
    Routes(NamedRoutes),
    /// Opaque bytes.
    Bytes(Arc<Tcp>),
}

/// Where traffic enters.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// The address its socket is bound to (`local_addr`), even where the configuration knows it by another.
    pub address: Option<SocketAddr>,
    /// Towards the application or away from it.
    pub direction: Direction,
    /// What is spoken.
    pub kind: ListenerKind,
}

/// What a listener speaks.
#[derive(Clone, Debug)]
pub enum ListenerKind {
    /// HTTP/1.1 and HTTP/2.
    Http {
        /// By authority; without any virtual host on an outbound listener, which goes by [`Snapshot::name`].
        routes: Arc<Routes>,
        /// Whether and how requests are traced.
        tracing: Option<Tracing>,
        /// How each request is logged, if it is.
        access_log: Option<Arc<AccessLog>>,
        /// What becomes of connections that turn out not to speak HTTP; absent: they are taken for bad HTTP.
        detection: Option<Detection>,
        /// What is done with requests whose route does not say.
        filters: Option<Arc<Filters>>,
        /// The form in which paths are matched and sent on.
        paths: weir_model::Paths,
        /// What is believed and told about who asks.
        forwarded: weir_model::Forwarded,
        /// How long its connections, and requests whose route does not say, may take.
        limits: weir_model::HttpLimits,
        /// What is made of HTTP besides.
        manner: Option<Arc<weir_model::Manner>>,
    },
    /// Bytes.
    Tcp(Arc<Tcp>),
    /// One or the other, by what is known of a connection.
    Chains(Arc<Chains>),
}

impl ListenerKind {
    /// What is spoken on a connection that took this chain; itself for one that took none. Nothing if there is no such chain any more.
    pub fn of_chain(&self, chain: Option<u64>) -> Option<&ListenerKind> {
        match (self, chain) {
            (Self::Chains(chains), Some(chain)) => chains.by_id(chain),
            (_, None) => Some(self),
            (_, Some(_)) => None,
        }
    }
}

/// Where connections go that turn out not to speak HTTP.
#[derive(Clone, Debug)]
pub struct Detection {
    /// They go there.
    pub otherwise: Arc<Tcp>,
    /// How long a client may say nothing before its connection is taken for one whose server speaks first.
    pub wait: Duration,
}

/// A route configuration, compiled.
#[derive(Debug)]
pub struct Routes {
    /// Its name.
    pub name: Arc<str>,
    /// Finds the route.
    pub matcher: Arc<Matcher>,
    /// By [`RouteIndex`]: virtual hosts, and the routes of each.
    pub hosts: Vec<Vec<Route>>,
}

impl Routes {
    /// What the matcher found.
    pub fn route(&self, index: RouteIndex) -> &Route {
        &self.hosts[index.host][index.route]
    }
}

/// What happens to the requests that match a route.
///
/// Two cache lines, with what most routes do not have behind pointers and what many have in common shared: of ten thousand routes
/// each request finds another one, and none of them is in a cache.
#[derive(Debug)]
pub struct Route {
    /// Equal for routes of the same `stat_prefix` while any of them lives, never used again for another: a key for caches.
    pub id: u32,
    /// Where it comes from, for people and spans.
    pub name: Box<str>,
    /// What metrics count its requests under.
    pub stat_prefix: Arc<str>,
    /// Applied to the request before it is sent on.
    pub request_headers: Option<Box<HeaderMutation>>,
    /// Applied to the response before it is returned.
    pub response_headers: Option<Box<HeaderMutation>>,
    /// What happens.
    pub action: Action,
    /// What is done with its requests besides, its virtual host's included; for the rest, its listener's count.
    pub filters: Option<Arc<Filters>>,
    /// What few routes do besides.
    pub more: Option<Arc<More>>,
    /// The path prefix it matched by, if it did: what [`weir_model::PathRewrite::Prefix`] replaces.
    pub prefix: Option<Box<str>>,
}

/// What happens to a request.
#[derive(Debug)]
pub enum Action {
    /// It goes upstream. Routes of one configuration that do the same share it.
    Forward(Arc<Forward>),
    /// The caller is sent elsewhere.
    Redirect(Box<Redirect>),
    /// It is answered here.
    Direct(Box<DirectResponse>),
}

/// A request goes to one of several clusters.
#[derive(Debug)]
pub struct Forward {
    /// Which of the targets, by weight.
    pub split: Split,
    /// In the order of the split.
    pub targets: Vec<Target>,
    /// Applied before sending on.
    pub rewrite: Rewrite,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// When to try again.
    pub retry: Option<Retry>,
    /// What ties a caller to where it went before.
    pub affinity: Option<Box<weir_model::Affinity>>,
    /// Where copies go.
    pub mirrors: Box<[Mirror]>,
    /// What answers where the targets cannot.
    pub fallback: Option<Box<Fallback>>,
    /// Which circuit breakers count it.
    pub priority: Priority,
}

/// What answers where the targets of a route cannot.
#[derive(Debug)]
pub enum Fallback {
    /// Another cluster: an index into [`Snapshot::clusters`].
    Cluster(usize),
    /// This sidecar, with these words.
    Direct(weir_model::StaticAnswer),
}

/// Where copies of requests go.
#[derive(Debug)]
pub struct Mirror {
    /// Index into [`Snapshot::clusters`].
    pub cluster: usize,
    /// Which share of the requests.
    pub fraction: Fraction,
    /// Whether the host in the copy ends in `-shadow`.
    pub marks_host: bool,
}

/// One side of a split.
#[derive(Debug)]
pub struct Target {
    /// Index into [`Snapshot::clusters`].
    pub cluster: usize,
    /// Which subset of its endpoints, if the cluster has any.
    pub subset: Option<Box<Wanted>>,
    /// What stands for the cluster in a session cookie ([`weir_decide::affinity::cluster_key`]).
    pub key: u64,
    /// Applied after the route's.
    pub request_headers: HeaderMutation,
    /// Applied before the route's.
    pub response_headers: HeaderMutation,
}

/// A cluster with its endpoints.
#[derive(Debug)]
pub struct Cluster {
    /// As configured.
    pub model: Arc<weir_model::Cluster>,
    /// Chooses among the endpoints.
    pub table: Table,
    /// The same for the parts of them that routes ask for.
    pub subsets: Option<Box<Subsets>>,
    /// Shares of its requests that are refused.
    pub drops: Box<[Dropping]>,
    /// In the order of the table and of [`Cluster::assignment`].
    pub endpoints: Vec<Arc<EndpointState>>,
    /// What outlives this snapshot.
    pub state: Arc<ClusterState>,
    /// The cluster itself if its endpoints are static, the endpoints resource otherwise.
    source: Arc<Resource>,
}

impl Cluster {
    /// The endpoints as configured, with locality, priority, weight and health; empty if vacant.
    pub fn assignment(&self) -> Option<&weir_model::Endpoints> {
        match &*self.source {
            Resource::Endpoints(endpoints) => Some(endpoints),
            Resource::Cluster(weir_model::Cluster { discovery: Discovery::Static(endpoints), .. }) => {
                Some(endpoints)
            }
            Resource::Cluster(_) | Resource::Listener(_) | Resource::Route(_) => None,
        }
    }

    /// The endpoint for a request. Of a cluster without subsets, what its route asks for does not count.
    pub fn pick(
        &self,
        positions: &mut Positions,
        loads: &impl Loads,
        asked: Asked<'_>,
        random: &mut Random,
    ) -> Option<usize> {
        match &self.subsets {
            None => self.table.pick(&mut positions.whole, loads, asked.hash, asked.now, random),
            Some(subsets) => subsets.pick(&self.table, positions, loads, asked, random),
        }
    }

    /// Whether a request is refused because the control plane sees the cluster overloaded; counted if it is.
    pub fn drops(&self, random: &mut Random) -> bool {
        !self.drops.is_empty() && drops::drops(&self.drops, random)
    }

    /// What its balancer compares, at `now`.
    pub fn loads(&self, now: Time) -> ClusterLoads<'_> {
        let health = &self.model.health;
        let starting = || self.state.starting_until.load(Relaxed) > now.0;
        ClusterLoads {
            endpoints: &self.endpoints,
            state: &self.state,
            decay: self.latency_decay(),
            checked: health.health_check.is_some(),
            slow_start: health.slow_start.as_ref().filter(|_| starting()),
            now,
        }
    }

    /// How long an endpoint of this cluster has taken to answer lately; absent if it was never measured.
    pub fn latency(&self, endpoint: &EndpointState, now: Time) -> Option<Duration> {
        weir_decide::latency::read(endpoint.latency.load(Relaxed), now, self.latency_decay())
    }

    /// Whether an endpoint of this cluster fails its health checks, or has not passed one yet.
    pub fn fails_checks(&self, endpoint: &EndpointState) -> bool {
        self.model.health.health_check.is_some() && endpoint.standing.is_failing()
    }

    /// Which part of its share an endpoint of this cluster has: less than 1 while it starts slowly.
    pub fn part(&self, endpoint: &EndpointState, now: Time) -> f64 {
        let slow_start = self.model.health.slow_start.as_ref();
        slow_start.map_or(1.0, |config| weir_decide::slow_start::part(config, endpoint.standing.began(), now))
    }

    /// Time after which an old latency weighs 1/e: the balancer's, or ten seconds where it does not look at latency.
    pub fn latency_decay(&self) -> Duration {
        match &self.model.load_balancing {
            LoadBalancing::PeakEwma { decay, .. } => *decay,
            _ => Duration::from_secs(10),
        }
    }

    /// What fills the place of a cluster that is gone.
    fn vacant() -> Self {
        let none = weir_model::Endpoints {
            drops: Vec::new(),
            weighted_priority_health: false,
            name: String::new(),
            localities: Vec::new(),
            overprovisioning: weir_model::OVERPROVISIONING,
        };
        let model = weir_model::Cluster {
            subsets: None,
            name: String::new(),
            kind: ClusterKind::Unknown,
            discovery: Discovery::Static(none),
            load_balancing: LoadBalancing::RoundRobin,
            http: HttpVersion::Http1,
            connect_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            circuit_breakers: CircuitBreakers::default(),
            spread: weir_model::Spread::default(),
            health: Default::default(),
        };
        Self {
            model: Arc::new(model.clone()),
            table: empty_table(),
            subsets: None,
            drops: Box::default(),
            endpoints: Vec::new(),
            state: Arc::new(ClusterState::new(0, "".into(), 1)),
            source: Arc::new(Resource::Cluster(model)),
        }
    }

    /// Whether this only fills the place of a cluster that is gone.
    pub fn is_vacant(&self) -> bool {
        self.model.name.is_empty()
    }
}

/// The shared state of a cluster's endpoints, as a balancer reads it.
#[derive(Clone, Copy, Debug)]
pub struct ClusterLoads<'a> {
    endpoints: &'a [Arc<EndpointState>],
    state: &'a ClusterState,
    decay: Duration,
    checked: bool,
    /// Only while any endpoint starts slowly.
    slow_start: Option<&'a weir_model::SlowStart>,
    now: Time,
}

impl Loads for ClusterLoads<'_> {
    fn active(&self, endpoint: usize) -> u32 {
        self.endpoints[endpoint].active.load(Relaxed)
    }

    fn total(&self) -> u32 {
        self.state.requests.load(Relaxed).saturating_add(self.state.high.requests.load(Relaxed))
    }

    fn latency(&self, endpoint: usize, now: Time) -> Option<Duration> {
        weir_decide::latency::read(self.endpoints[endpoint].latency.load(Relaxed), now, self.decay)
    }

    fn ejected(&self, endpoint: usize) -> bool {
        let endpoint = &self.endpoints[endpoint];
        endpoint.is_ejected(self.now) || (self.checked && endpoint.standing.is_failing())
    }

    fn starting(&self) -> bool {
        self.slow_start.is_some()
    }

    fn part(&self, endpoint: usize) -> f64 {
        let began = self.endpoints[endpoint].standing.began();
        self.slow_start.map_or(1.0, |config| weir_decide::slow_start::part(config, began, self.now))
    }
}

fn empty_table() -> Table {
    Table::new(
        &LoadBalancing::RoundRobin,
        &weir_model::Spread::default(),
        &weir_model::Endpoints {
            name: String::new(),
            localities: Vec::new(),
            overprovisioning: weir_model::OVERPROVISIONING,
            drops: Vec::new(),
            weighted_priority_health: false,
        },
    )
}

impl Snapshot {
    /// Nothing at all: what is served before the first configuration.
    pub fn empty() -> Self {
        Self {
            sequence: 0,
            revision: Version(0),
            listeners: Vec::new(),
            clusters: Vec::new(),
            names: HashMap::new(),
        }
    }

    /// What an authority resolves to, and notes that it was used. The authority may be in any case and its host may end in
    /// a dot.
    pub fn name(&self, authority: &str, now: Time) -> NameLookup<'_> {
        let entry = match self.names.get(authority) {
            Some(entry) => Some(entry),
            None => self.names.get(&*weir_decide::authority::normalize(authority)),
        };
        let Some(entry) = entry else { return NameLookup::Unknown };
        entry.used.touch(now);
        match &entry.answer {
            Some(Named::Routes(routes)) => NameLookup::Found(routes),
            Some(Named::Bytes(tcp)) => NameLookup::Bytes(tcp),
            None => NameLookup::Absent,
        }
    }

    /// Every name that the control plane has answered, with what it resolves to; for people. In no order.
    pub fn names(&self) -> impl Iterator<Item = (&str, Option<&Named>)> {
        self.names.iter().map(|(name, entry)| (&**name, entry.answer.as_ref()))
    }

    /// The listener of the socket that is bound to an address.
    pub fn listener(&self, address: SocketAddr) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.address == Some(address))
    }

    /// The clusters that exist.
    pub fn live_clusters(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.clusters.iter().filter(|cluster| !cluster.is_vacant())
    }
}
