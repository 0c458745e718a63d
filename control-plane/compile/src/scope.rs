//! What a node gets: the services it declared or asked for, under the names it knows them by.
//!
//! | target | services | how they are named |
//! |---|---|---|
//! | weir | declared, and asked for | a listener for each authority |
//! | gRPC | asked for | a listener for each authority |
//! | Envoy | declared, or all of its namespace | one route configuration `outbound` with a virtual host for each service port |
//!
//! A name that was asked for and means nothing is left out, which tells the one who asked that it does not exist.

use crate::callers::{self, Applying};
use crate::inbound::access_log;
use crate::index::{Index, Policy};
use crate::memo::{Memo, Routes, RoutesKey, ServicePort, Versioned};
use crate::service::port_of;
use crate::stream::Streams;
use crate::{Compiled, authority, inbound, near, outbound_name, route, service};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use weir_model::mesh::{AppProtocol, Mesh, Name, Service};
use weir_model::node::{Node, Target};
use weir_model::{
    Diagnostic, Direction, HttpListener, Listener, ListenerKind, Resource, ResourceSet, RouteConfiguration,
    RouteSource, Severity, Tracing, VirtualHost, limits,
};

/// Compiles for one node.
pub(crate) fn compile(mesh: &Mesh, index: &Index, memo: &mut Memo, node: &Node) -> Compiled {
    let mut pass =
        Pass { mesh, index, memo, node, resources: ResourceSet::default(), found: BTreeSet::new() };
    match node.target {
        Target::Weir => {
            pass.by_name();
            if let Some(address) = node.outbound {
                // Which routes apply is found by the authority of each request.
                let name = format!("outbound/{address}");
                let none =
                    RouteConfiguration { name: name.clone(), virtual_hosts: Vec::new(), options: None };
                pass.outbound_listener(address, name, RouteSource::Inline(none));
            }
        }
        Target::Grpc => pass.by_name(),
        Target::Envoy => {
            if let Some(address) = node.outbound {
                pass.envoy_routes();
                pass.outbound_listener(
                    address,
                    format!("outbound/{address}"),
                    RouteSource::Rds("outbound".to_owned()),
                );
            }
        }
    }
    if node.target != Target::Grpc {
        pass.tcp_listeners();
        inbound::compile(&mut pass);
    }
    Compiled { resources: pass.resources, diagnostics: bounded(pass.found) }
}

/// The first findings; errors are before everything else in their order.
fn bounded(found: BTreeSet<Diagnostic>) -> Vec<Diagnostic> {
    let beyond = found.len().saturating_sub(limits::DIAGNOSTICS);
    let mut first: Vec<Diagnostic> = found.into_iter().take(limits::DIAGNOSTICS).collect();
    first.extend((beyond > 0).then(|| Diagnostic {
        severity: Severity::Note,
        resource: "node".to_owned(),
        field: String::new(),
        message: format!("there are {beyond} more findings"),
        mend: "mend those above first".to_owned(),
    }));
    first
}

/// The state of one compilation.
pub(crate) struct Pass<'a> {
    pub(crate) mesh: &'a Mesh,
    index: &'a Index,
    memo: &'a mut Memo,
    pub(crate) node: &'a Node,
    resources: ResourceSet,
    found: BTreeSet<Diagnostic>,
}

impl<'a> Pass<'a> {
    pub(crate) fn say(&mut self, diagnostic: Diagnostic) {
        self.found.insert(diagnostic);
    }

    /// What is attached to what.
    pub(crate) fn index(&self) -> &'a Index {
        self.index
    }

    /// What policies say of a port of a service.
    pub(crate) fn policy(&self, service: &Name, port: u16) -> Policy<'a> {
        self.index.policy(self.mesh, service, port)
    }

    /// Routes of connections.
    pub(crate) fn streams(&self) -> &'a Streams {
        &self.index.streams
    }

    pub(crate) fn insert(&mut self, resource: Resource) {
        self.resources.insert(resource);
    }

    fn insert_versioned(&mut self, (version, resource): &Versioned) {
        self.resources.insert_versioned(*version, Arc::clone(resource));
    }

    /// Whether and how this node traces.
    pub(crate) fn tracing(&self) -> Option<Tracing> {
        self.node.sampling.map(|sampling| Tracing { sampling })
    }

    fn warn(&mut self, field: String, message: String, mend: &str) {
        let (severity, resource, mend) = (Severity::Warning, "node".to_owned(), mend.to_owned());
        self.say(Diagnostic { severity, resource, field, message, mend });
    }

    fn outbound_listener(&mut self, address: SocketAddr, name: String, routes: RouteSource) {
        let http = HttpListener {
            manner: None,
            limits: Default::default(),
            routes,
            tracing: self.tracing(),
            access_log: access_log(self.node),
            detection: None,
            filters: None,
            paths: weir_model::Paths::BASE,
            forwarded: weir_model::Forwarded::Pass,
        };
        let kind = ListenerKind::Http(http);
        self.insert(Resource::Listener(Listener {
            name,
            address: Some(address),
            direction: Direction::Outbound,
            kind,
        }));
    }

    /// The services it declared; what is not there is told.
    fn declared(&mut self) -> Vec<(&'a Name, &'a Service)> {
        let mut services = Vec::new();
        for upstream in &self.node.upstreams {
            let (namespace, name) = upstream.split_once('/').unwrap_or((&self.node.namespace, upstream));
            match self.mesh.services.get_key_value(&Name::new(namespace, name)) {
                Some(service) => services.push(service),
                None => {
                    let mend = "declare services as NAMESPACE/NAME, or apply the service";
                    self.warn(
                        "upstreams".to_owned(),
                        format!("service {namespace}/{name} does not exist"),
                        mend,
                    );
                }
            }
        }
        services
    }

    /// Listeners by authority.
    fn by_name(&mut self) {
        if self.node.target == Target::Weir {
            for (name, service) in self.declared() {
                for port in service.ports.iter().filter(|port| port.protocol != AppProtocol::Tcp) {
                    let routes = self.named_routes(name, port.port);
                    for authority in authority::authorities(name, service, port.port, &self.node.namespace) {
                        self.named_listener(authority, routes.clone());
                    }
                }
            }
        }
        for authority in &self.node.uses {
            // What a client asks for in TLS is asked for in the same way as what it asks for in HTTP.
            let Some((name, port)) = self.tls_service(authority) else { continue };
            let opaque = self.mesh.services.get(&name).and_then(|service| port_of(service, port));
            let opaque = opaque.is_none_or(|port| port.protocol == AppProtocol::Tcp);
            if opaque && self.node.target == Target::Weir {
                if let Some(tcp) = self.named_connections(authority, &name, port) {
                    let (direction, kind) = (Direction::Outbound, ListenerKind::Tcp(tcp));
                    let name = authority.clone();
                    self.insert(Resource::Listener(Listener { name, address: None, direction, kind }));
                }
                continue;
            }
            if self.node.target == Target::Grpc
                && self.index.streams.any(self.mesh, (&name, port), &self.node.namespace)
            {
                let message = format!(
                    "port {port} of service {name} has TCP or TLS routes, which gRPC clients do not take"
                );
                let mend = "run a sidecar beside the client, or attach a GRPCRoute";
                self.warn(format!("uses[{authority:?}]"), message, mend);
            }
            if opaque {
                let message =
                    format!("port {port} of service {name} carries opaque bytes (appProtocol), not HTTP");
                self.warn(
                    format!("uses[{authority:?}]"),
                    message,
                    "declare an outbound TCP listener for it, or give it an appProtocol",
                );
                continue;
            }
            let routes = self.named_routes(&name, port);
            self.named_listener(authority.clone(), routes);
        }
    }

    fn named_listener(&mut self, authority: String, routes: String) {
        let http = HttpListener {
            manner: None,
            limits: Default::default(),
            routes: RouteSource::Rds(routes),
            tracing: None,
            access_log: None,
            detection: None,
            filters: None,
            paths: weir_model::Paths::BASE,
            forwarded: weir_model::Forwarded::Pass,
        };
        let kind = ListenerKind::Http(http);
        self.insert(Resource::Listener(Listener {
            name: authority,
            address: None,
            direction: Direction::Outbound,
            kind,
        }));
    }

    /// The route configuration of a service's port, with everything it refers to; its name.
    fn named_routes(&mut self, service: &Name, port: u16) -> String {
        let routes = self.routes(service, port);
        if let Some(resource) = &routes.resource {
            self.insert_versioned(resource);
        }
        outbound_name(service, port)
    }

    /// The routes of a service's port; the clusters they refer to are inserted.
    fn routes(&mut self, service: &Name, port: u16) -> Arc<Routes> {
        let Applying { routes, consumer, withheld } =
            callers::applying(self.mesh, self.index, service, port, self.node);
        let key = RoutesKey {
            target: self.node.target,
            service: (service.clone(), port),
            consumer: consumer.then(|| self.node.namespace.clone()),
            withheld,
        };
        let compiled = match self.memo.routes.get(&key) {
            Some(compiled) => Arc::clone(compiled),
            None => {
                let (mesh, index, target) = (self.mesh, self.index, self.node.target);
                let withheld = &key.withheld;
                let request = route::Request { mesh, index, service, port, routes, withheld, target };
                let compiled = Arc::new(route::routes(&request));
                self.memo.routes.insert(key, Arc::clone(&compiled));
                compiled
            }
        };
        self.found.extend(compiled.diagnostics.iter().cloned());
        for (service, port) in &compiled.clusters {
            self.cluster(service, *port);
        }
        compiled
    }

    /// The cluster of a service's port and its endpoints; whether there is such a port.
    pub(crate) fn cluster(&mut self, name: &Name, number: u16) -> bool {
        let Some(found) = self.mesh.services.get(name) else { return false };
        let Some(port) = port_of(found, number) else { return false };
        let key: ServicePort = (name.clone(), number);
        let (mesh, index, target) = (self.mesh, self.index, self.node.target);
        let cluster = self.memo.clusters.entry((target, key.clone()));
        let cluster = Arc::clone(
            cluster.or_insert_with(|| Arc::new(service::cluster(mesh, index, name, port, target))),
        );
        let near = near::nearness(index.policy(mesh, name, number).failover(), found);
        let place = near.as_ref().map(|near| near.of(self.node));
        let near = near.zip(place.clone());
        let endpoints = self.memo.endpoints.entry((key, place));
        let endpoints = Arc::clone(endpoints.or_insert_with(|| {
            Arc::new(service::endpoints(mesh, index, (name, found), port, near.as_ref()))
        }));
        self.insert_versioned(&cluster.resource);
        self.insert_versioned(&endpoints.resource);
        self.found.extend(cluster.diagnostics.iter().chain(&endpoints.diagnostics).cloned());
        true
    }

    /// One route configuration for all services, as an Envoy looks them up by authority itself.
    fn envoy_routes(&mut self) {
        let namespace = &self.node.namespace;
        let services = match self.node.upstreams.is_empty() {
            false => self.declared(),
            true => {
                let from = Name::new(namespace, "");
                self.mesh
                    .services
                    .range(from..)
                    .take_while(|(name, _)| name.namespace == *namespace)
                    .collect()
            }
        };
        let mut hosts: BTreeMap<ServicePort, VirtualHost> = BTreeMap::new();
        // An Envoy refuses a domain that is there twice.
        let mut domains = BTreeSet::new();
        for (name, service) in services {
            for port in service.ports.iter().filter(|port| port.protocol != AppProtocol::Tcp) {
                if hosts.len() == limits::VIRTUAL_HOSTS {
                    let message =
                        format!("more than {} service ports: the rest is left out", limits::VIRTUAL_HOSTS);
                    self.warn("upstreams".to_owned(), message, "declare the services it uses");
                    break;
                }
                let own: Vec<String> = authority::authorities(name, service, port.port, namespace)
                    .into_iter()
                    .filter(|domain| domains.insert(domain.clone()))
                    .collect();
                if own.is_empty() {
                    continue;
                }
                let compiled = self.routes(name, port.port);
                let (routes, filters) = (compiled.routes.clone(), compiled.filters.clone());
                let host = VirtualHost {
                    name: outbound_name(name, port.port),
                    domains: own,
                    routes,
                    filters,
                    options: None,
                };
                hosts.insert((name.clone(), port.port), host);
            }
        }
        let virtual_hosts = hosts.into_values().collect();
        self.insert(Resource::Route(RouteConfiguration {
            name: "outbound".to_owned(),
            virtual_hosts,
            options: None,
        }));
    }

    /// Outbound listeners for opaque bytes; one that leads nowhere is left out.
    fn tcp_listeners(&mut self) {
        for (address, upstream) in &self.node.outbound_tcp {
            let found = self.tcp_service(upstream);
            let Some(kind) = found.and_then(|(name, port)| self.stream_listener(&name, port)) else {
                let mend = "write NAME.NAMESPACE:PORT of a service, or apply it";
                self.warn(
                    format!("outbound_tcp[\"{address}\"]"),
                    format!("{upstream:?} is no port of a service"),
                    mend,
                );
                continue;
            };
            let direction = Direction::Outbound;
            let name = format!("outbound-tcp/{address}");
            self.insert(Resource::Listener(Listener { name, address: Some(*address), direction, kind }));
        }
    }

    /// The port that a name means for bytes: without one, the service's first opaque port, or its only one.
    fn tcp_service(&self, upstream: &str) -> Option<ServicePort> {
        if let Some((name, port)) = upstream
            .rsplit_once(':')
            .and_then(|_| authority::resolve(self.mesh, upstream, &self.node.namespace))
        {
            return Some((name, port));
        }
        let host = upstream.to_ascii_lowercase();
        let name = authority::service_name(host.strip_suffix('.').unwrap_or(&host), &self.node.namespace)?;
        let ports = &self.mesh.services.get(&name)?.ports;
        let opaque = ports.iter().find(|port| port.protocol == AppProtocol::Tcp);
        let only = || if ports.len() == 1 { ports.first() } else { None };
        let port = opaque.or_else(only)?.port;
        Some((name, port))
    }
}
