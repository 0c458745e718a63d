//! Connections that nobody reads: which routes apply to a service's port, and where its connections go.
//!
//! Without a route they go to the service's own endpoints. With TLS routes only what asks for one of their server names goes anywhere; with a TCP
//! route everything goes where it says. Of several kinds on one port TLS routes come first (GEP-1294), of several routes for the same
//! connections the oldest. Routes of the callers' namespace take the place of those of the service's own (GEP-1426).

use crate::index::Policy;
use crate::scope::Pass;
use crate::service::port_of;
use crate::{authority, outbound_name};
use std::collections::{BTreeMap, BTreeSet};
use weir_model::mesh::{Mesh, Name, StreamRoute};
use weir_model::{
    ChainKind, ChainMatch, CircuitBreakers, Cluster, ClusterKind, Diagnostic, Discovery, Endpoints,
    FilterChain, FilterChains, HashSource, HttpVersion, Inspect, ListenerKind, LoadBalancing, Severity,
    TcpListener, TcpTarget, limits, name_fits,
};

/// The cluster of connections that are to be closed. It has no endpoints.
pub(crate) const CLOSED: &str = "outbound/closed";

/// Which routes of connections are attached to what.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    tls: BTreeMap<Name, BTreeSet<Name>>,
    tcp: BTreeMap<Name, BTreeSet<Name>>,
    /// The services that TLS routes are attached to, by their server names.
    hosts: BTreeMap<String, BTreeSet<Name>>,
}

/// A route and its name.
type Named<'m> = (&'m Name, &'m StreamRoute);

/// Where the connections to a service's port go.
pub(crate) enum Plan {
    /// All of them to the same targets.
    Bytes(TcpListener),
    /// By server name; for each its route. A name of nothing is every name.
    Names(Vec<(String, Option<String>, TcpListener)>),
}

impl Streams {
    pub(crate) fn new(mesh: &Mesh) -> Self {
        let by_service = |routes: &BTreeMap<Name, StreamRoute>| {
            let mut found: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
            for (name, route) in routes {
                for parent in &route.parents {
                    found.entry(parent.service.clone()).or_default().insert(name.clone());
                }
            }
            found
        };
        let mut hosts: BTreeMap<String, BTreeSet<Name>> = BTreeMap::new();
        for route in mesh.tls_routes.values() {
            for host in &route.hostnames {
                let services = route.parents.iter().map(|parent| parent.service.clone());
                hosts.entry(host.clone()).or_default().extend(services);
            }
        }
        Self { tls: by_service(&mesh.tls_routes), tcp: by_service(&mesh.tcp_routes), hosts }
    }

    /// Those that apply to a port of a service for callers of a namespace, the first first.
    fn applying<'m>(
        attached: &BTreeMap<Name, BTreeSet<Name>>,
        routes: &'m BTreeMap<Name, StreamRoute>,
        (service, port): (&Name, u16),
        namespace: &str,
    ) -> Vec<Named<'m>> {
        let to_port = |route: &StreamRoute| {
            let mut parents = route.parents.iter();
            parents.any(|parent| parent.service == *service && parent.port.is_none_or(|only| only == port))
        };
        let names = attached.get(service).into_iter().flatten();
        let all = names.filter_map(|name| routes.get_key_value(name)).filter(|(_, route)| to_port(route));
        let of = |wanted: &str| {
            let mut found: Vec<_> = all.clone().filter(|(name, _)| name.namespace == wanted).collect();
            found.sort_by_key(|(name, route)| (route.created_millis, *name));
            found
        };
        let consumer = if namespace == service.namespace { Vec::new() } else { of(namespace) };
        if consumer.is_empty() { of(&service.namespace) } else { consumer }
    }

    fn tls<'m>(&self, mesh: &'m Mesh, of: (&Name, u16), namespace: &str) -> Vec<Named<'m>> {
        Self::applying(&self.tls, &mesh.tls_routes, of, namespace)
    }

    fn tcp<'m>(&self, mesh: &'m Mesh, of: (&Name, u16), namespace: &str) -> Vec<Named<'m>> {
        Self::applying(&self.tcp, &mesh.tcp_routes, of, namespace)
    }

    /// Whether any route of connections applies to a port of a service.
    pub(crate) fn any(&self, mesh: &Mesh, of: (&Name, u16), namespace: &str) -> bool {
        !self.tls(mesh, of, namespace).is_empty() || !self.tcp(mesh, of, namespace).is_empty()
    }

    /// The port of a service whose TLS routes have the server name in an authority (`NAME:PORT`); of several the one with the most specific
    /// name, and of those the one whose route is first.
    pub(crate) fn named(&self, mesh: &Mesh, authority: &str, namespace: &str) -> Option<(Name, u16)> {
        let authority = authority.to_ascii_lowercase();
        let (host, port) = authority.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let wildcards = host.match_indices('.').filter(|(dot, _)| *dot > 0);
        let wildcards = wildcards.map(|(dot, _)| format!("*{}", &host[dot..]));
        std::iter::once(host.to_owned()).chain(wildcards).find_map(|pattern| {
            let services = self.hosts.get(&pattern)?.iter();
            let there = services.filter(|service| {
                mesh.services.get(*service).is_some_and(|found| port_of(found, port).is_some())
            });
            let ranked = there.filter_map(|service| {
                let routes = self.tls(mesh, (service, port), namespace);
                let (name, route) =
                    routes.into_iter().find(|(_, route)| route.hostnames.contains(&pattern))?;
                Some(((route.created_millis, name), service))
            });
            ranked.min().map(|(_, service)| (service.clone(), port))
        })
    }
}

impl Pass<'_> {
    /// Where the connections to a port of a service go; the clusters they go to are inserted. Nothing if there is no such port.
    pub(crate) fn connections(&mut self, service: &Name, port: u16) -> Option<Plan> {
        let mesh = self.mesh;
        port_of(mesh.services.get(service)?, port)?;
        let namespace = &self.node.namespace;
        let tls = self.streams().tls(mesh, (service, port), namespace);
        let tcp = self.streams().tcp(mesh, (service, port), namespace);
        let policy = self.policy(service, port);
        let place = format!("port {port} of service {service}");
        if tls.is_empty() {
            let Some(((name, first), rest)) = tcp.split_first() else {
                self.cluster(service, port);
                return Some(Plan::Bytes(self.bytes(&policy, vec![target(outbound_name(service, port), 1)])));
            };
            for (other, _) in rest {
                let message = format!("TCPRoute {name} comes first on {place}: this one takes nothing there");
                self.hidden("TCPRoute", other, message);
            }
            let targets = self.targets("TCPRoute", name, first);
            return Some(Plan::Bytes(self.bytes(&policy, targets)));
        }
        for (other, _) in tcp {
            let message = format!("{place} has TLS routes, which come first: this one takes nothing there");
            self.hidden("TCPRoute", other, message);
        }
        let mut taken: BTreeMap<Option<&str>, &Name> = BTreeMap::new();
        let mut names = Vec::new();
        for (name, route) in tls {
            let targets = self.targets("TLSRoute", name, route);
            let all = [None];
            let hosts: Vec<Option<&str>> = route.hostnames.iter().map(|host| Some(host.as_str())).collect();
            for host in if hosts.is_empty() { &all[..] } else { &hosts } {
                if let Some(first) = taken.get(host) {
                    let host = host.unwrap_or("every server name");
                    let message = format!("TLSRoute {first} comes first on {place} and has {host}");
                    self.hidden("TLSRoute", name, message);
                    continue;
                }
                taken.insert(*host, name);
                let tcp = self.bytes(&policy, targets.clone());
                names.push((format!("TLSRoute {name}"), host.map(str::to_owned), tcp));
            }
        }
        Some(Plan::Names(names))
    }

    /// What a listener for bytes that leads to a port of a service speaks.
    pub(crate) fn stream_listener(&mut self, service: &Name, port: u16) -> Option<ListenerKind> {
        Some(match self.connections(service, port)? {
            Plan::Bytes(tcp) => ListenerKind::Tcp(tcp),
            Plan::Names(names) => {
                let chain = |(name, host, tcp): (String, Option<String>, TcpListener)| FilterChain {
                    // Envoy wants each name once.
                    name: format!("{name} {}", host.as_deref().unwrap_or("*")),
                    matches: match host {
                        Some(host) => ChainMatch { server_names: vec![host], ..ChainMatch::default() },
                        None => ChainMatch { transport: "tls".to_owned(), ..ChainMatch::default() },
                    },
                    kind: ChainKind::Tcp(tcp),
                };
                let inspect = Inspect { tls: true, http: false, wait: limits::HEAD_TIMEOUT, go_on: false };
                let chains = names.into_iter().map(chain).collect();
                ListenerKind::Chains(Box::new(FilterChains {
                    inspect: Some(inspect),
                    chains,
                    otherwise: None,
                }))
            }
        })
    }

    /// Where the connections go whose clients ask for a server name on a port of a service; nothing if nowhere.
    pub(crate) fn named_connections(
        &mut self,
        authority: &str,
        service: &Name,
        port: u16,
    ) -> Option<TcpListener> {
        match self.connections(service, port)? {
            Plan::Bytes(tcp) => Some(tcp),
            Plan::Names(names) => {
                let authority = authority.to_ascii_lowercase();
                let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
                let fitting = names.into_iter().filter_map(|(_, pattern, tcp)| match pattern {
                    Some(pattern) => Some((name_fits(&pattern, host)?, tcp)),
                    None => Some((0, tcp)),
                });
                fitting.max_by_key(|(fit, _)| *fit).map(|(_, tcp)| tcp)
            }
        }
    }

    /// The service's port that an authority of a TLS client names: as for HTTP, or by the host names of TLS routes.
    pub(crate) fn tls_service(&self, authority: &str) -> Option<(Name, u16)> {
        let namespace = &self.node.namespace;
        authority::resolve(self.mesh, authority, namespace)
            .or_else(|| self.streams().named(self.mesh, authority, namespace))
    }

    fn bytes(&self, policy: &Policy<'_>, targets: Vec<TcpTarget>) -> TcpListener {
        let by_source = matches!(policy.consistent_hash(), Some((_, HashSource::SourceAddress)));
        let idle_timeout = match policy.idle_timeout() {
            Some((_, limit)) => Some(limit).filter(|limit| !limit.is_zero()),
            None => Some(limits::TCP_IDLE),
        };
        TcpListener {
            targets,
            idle_timeout,
            hash_source: by_source,
            access_log: crate::inbound::access_log(self.node),
            ..TcpListener::to("")
        }
    }

    /// The backends of a route that exist, and one that closes the share of those that do not.
    fn targets(&mut self, kind: &str, name: &Name, route: &StreamRoute) -> Vec<TcpTarget> {
        let mut targets = Vec::new();
        let mut closed = 0u32;
        for (index, backend) in route.backends.iter().enumerate().filter(|(_, backend)| backend.weight > 0) {
            let (service, port) = (&backend.target.service, backend.target.port);
            if self.cluster(service, port) {
                targets.push(target(outbound_name(service, port), backend.weight));
                continue;
            }
            let problem = match self.mesh.services.contains_key(service) {
                true => format!("service {service} has no port {port}"),
                false => format!("service {service} does not exist"),
            };
            self.say(Diagnostic {
                severity: Severity::Warning,
                resource: format!("{kind} {name}"),
                field: format!("spec.rules[0].backendRefs[{index}]"),
                message: format!("{problem}: its share of the connections is closed"),
                mend: "apply the service, or remove the reference".to_owned(),
            });
            closed = closed.saturating_add(backend.weight);
        }
        if closed > 0 || targets.is_empty() {
            self.insert(weir_model::Resource::Cluster(closed_cluster()));
            targets.push(target(CLOSED.to_owned(), closed.max(1)));
        }
        targets
    }

    fn hidden(&mut self, kind: &str, name: &Name, message: String) {
        self.say(Diagnostic {
            severity: Severity::Warning,
            resource: format!("{kind} {name}"),
            field: "spec.parentRefs".to_owned(),
            message,
            mend: "remove one of them, or attach it to another port".to_owned(),
        });
    }
}

fn target(cluster: String, weight: u32) -> TcpTarget {
    TcpTarget { cluster, weight }
}

/// Without endpoints: whoever is sent there is closed.
fn closed_cluster() -> Cluster {
    Cluster {
        name: CLOSED.to_owned(),
        kind: ClusterKind::Unknown,
        discovery: Discovery::Static(Endpoints {
            name: CLOSED.to_owned(),
            localities: Vec::new(),
            overprovisioning: weir_model::OVERPROVISIONING,
            weighted_priority_health: false,
            drops: Vec::new(),
        }),
        load_balancing: LoadBalancing::default(),
        http: HttpVersion::Http1,
        connect_timeout: limits::CONNECT_TIMEOUT,
        idle_timeout: limits::IDLE_CONNECTION_AGE,
        circuit_breakers: CircuitBreakers::default(),
        spread: weir_model::Spread::default(),
        health: Default::default(),
        subsets: None,
    }
}
