//! A mesh, indexed by what the compiler asks of it.

use crate::admission;
use crate::memo::ServicePort;
use crate::stream::Streams;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use weir_model::mesh::{
    FallbackPolicy, HttpRoute, LocalityFailover, Mesh, Name, RouteName, Selection, TrafficPolicy,
};
use weir_model::{
    CircuitBreakers, Fault, HashSource, HealthCheck, LoadBalancing, OutlierDetection, RateLimits,
    RetryPolicy, Session, SlowStart,
};

/// What is attached to what.
#[derive(Debug)]
pub(crate) struct Index {
    /// The workloads behind each service.
    pub(crate) selection: Selection,
    /// The routes attached to each service, on any port.
    routes: BTreeMap<Name, BTreeSet<RouteName>>,
    /// The policy of each service or port of one; of several, the one that was first.
    policies: BTreeMap<(Name, Option<u16>), Name>,
    /// Whose routes limit single rules, by where those go.
    pub(crate) limiting: BTreeMap<ServicePort, BTreeSet<ServicePort>>,
    /// Routes of connections.
    pub(crate) streams: Streams,
}

impl Index {
    pub(crate) fn new(mesh: &Mesh) -> Self {
        let mut routes: BTreeMap<Name, BTreeSet<RouteName>> = BTreeMap::new();
        for (name, route) in &mesh.http_routes {
            for parent in &route.parents {
                routes.entry(parent.service.clone()).or_default().insert(name.clone());
            }
        }
        let mut by_age: Vec<(&Name, &TrafficPolicy)> = mesh.traffic_policies.iter().collect();
        by_age.sort_by_key(|(name, policy)| (policy.created_millis, *name));
        let mut policies = BTreeMap::new();
        for (name, policy) in by_age {
            // A policy governs its own namespace only.
            for target in policy.targets.iter().filter(|target| target.service.namespace == name.namespace) {
                policies.entry((target.service.clone(), target.port)).or_insert_with(|| name.clone());
            }
        }
        let (limiting, streams) = (admission::limiting(mesh), Streams::new(mesh));
        Self { selection: Selection::new(mesh), routes, policies, limiting, streams }
    }

    /// The routes attached to a port of a service, in order of their names.
    pub(crate) fn attached<'m>(
        &self,
        mesh: &'m Mesh,
        service: &Name,
        port: u16,
    ) -> Vec<(&'m RouteName, &'m HttpRoute)> {
        let attached = self.routes.get(service).into_iter().flatten();
        let attached = attached.filter_map(|name| mesh.http_routes.get_key_value(name));
        let to_port = |route: &HttpRoute| {
            let mut parents = route.parents.iter();
            parents.any(|parent| parent.service == *service && parent.port.is_none_or(|only| only == port))
        };
        attached.filter(|(_, route)| to_port(route)).collect()
    }

    /// What policies say of a port of a service: field by field, one for the port before one for the whole service.
    pub(crate) fn policy<'m>(&self, mesh: &'m Mesh, service: &Name, port: u16) -> Policy<'m> {
        let of = |port| {
            let name = self.policies.get(&(service.clone(), port))?;
            mesh.traffic_policies.get_key_value(name)
        };
        Policy { port: of(Some(port)), service: of(None) }
    }
}

/// What policies say of a port of a service; each answer comes with the policy that gave it.
#[derive(Clone, Copy)]
pub(crate) struct Policy<'m> {
    port: Option<(&'m Name, &'m TrafficPolicy)>,
    service: Option<(&'m Name, &'m TrafficPolicy)>,
}

/// A value, and the policy it is from.
type Said<'m, T> = Option<(&'m Name, T)>;

impl<'m> Policy<'m> {
    fn field<T>(&self, read: impl Fn(&'m TrafficPolicy) -> Option<T>) -> Said<'m, T> {
        let said = [self.port, self.service].into_iter().flatten();
        said.filter_map(|(name, policy)| Some((name, read(policy)?))).next()
    }

    pub(crate) fn load_balancing(&self) -> Said<'m, &'m LoadBalancing> {
        self.field(|policy| policy.load_balancing.as_ref())
    }

    /// What is hashed, if the policy that says how endpoints are chosen says so.
    pub(crate) fn consistent_hash(&self) -> Said<'m, &'m HashSource> {
        let (name, hash) =
            self.field(|policy| policy.load_balancing.as_ref().map(|_| policy.affinity.hash.as_ref()))?;
        Some((name, hash?))
    }

    pub(crate) fn sticky(&self) -> Said<'m, &'m HashSource> {
        self.field(|policy| policy.affinity.sticky.as_ref())
    }

    pub(crate) fn session(&self) -> Said<'m, &'m Session> {
        self.field(|policy| policy.affinity.session.as_ref())
    }

    pub(crate) fn failover(&self) -> Said<'m, &'m LocalityFailover> {
        self.field(|policy| policy.affinity.failover.as_ref())
    }

    pub(crate) fn connect_timeout(&self) -> Said<'m, Duration> {
        self.field(|policy| policy.connect_timeout)
    }

    pub(crate) fn request_timeout(&self) -> Said<'m, Duration> {
        self.field(|policy| policy.timeouts.request)
    }

    pub(crate) fn backend_request_timeout(&self) -> Said<'m, Duration> {
        self.field(|policy| policy.timeouts.backend_request)
    }

    pub(crate) fn idle_timeout(&self) -> Said<'m, Duration> {
        self.field(|policy| policy.timeouts.idle)
    }

    pub(crate) fn stream_timeout(&self) -> Said<'m, Duration> {
        self.field(|policy| policy.timeouts.stream)
    }

    pub(crate) fn retry(&self) -> Said<'m, &'m RetryPolicy> {
        self.field(|policy| policy.retry.as_ref())
    }

    pub(crate) fn circuit_breakers(&self) -> Said<'m, &'m CircuitBreakers> {
        self.field(|policy| policy.circuit_breakers.as_ref())
    }

    pub(crate) fn limits(&self) -> Said<'m, &'m RateLimits> {
        self.field(|policy| policy.actions.limits.service.as_ref())
    }

    pub(crate) fn caller_limits(&self) -> Said<'m, &'m RateLimits> {
        self.field(|policy| policy.actions.limits.caller.as_ref())
    }

    pub(crate) fn max_request_bytes(&self) -> Said<'m, u32> {
        self.field(|policy| policy.actions.max_request_bytes)
    }

    pub(crate) fn fault(&self) -> Said<'m, &'m Fault> {
        self.field(|policy| policy.actions.fault.as_ref())
    }

    pub(crate) fn fallback(&self) -> Said<'m, &'m FallbackPolicy> {
        self.field(|policy| policy.actions.fallback.as_ref())
    }

    pub(crate) fn outlier_detection(&self) -> Said<'m, &'m OutlierDetection> {
        self.field(|policy| policy.health.outlier_detection.as_ref())
    }

    pub(crate) fn health_check(&self) -> Said<'m, &'m HealthCheck> {
        self.field(|policy| policy.health.health_check.as_ref())
    }

    pub(crate) fn panic_threshold(&self) -> Said<'m, u32> {
        self.field(|policy| policy.health.panic_threshold)
    }

    pub(crate) fn slow_start(&self) -> Said<'m, &'m SlowStart> {
        self.field(|policy| policy.health.slow_start.as_ref())
    }
}
