//! The node's own listeners: from the mesh to the application beside it.
//!
//! What is spoken on an inbound listener is what the services that select the node say of the port it serves. All policy of the way there was
//! enforced by the caller; here everything goes to the application.

use crate::admission;
use crate::health;
use crate::scope::Pass;
use crate::service::http_version;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use weir_model::access_log::AccessLog;
use weir_model::mesh::{AppProtocol, Name, WorkloadPort};
use weir_model::node::{Inbound, Node};
use weir_model::{
    CircuitBreakers, Cluster, ClusterKind, Detection, Diagnostic, Direction, Discovery, Endpoint, Endpoints,
    Forward, HeaderMutation, Health, HttpListener, Listener, ListenerKind, LoadBalancing, Locality,
    LocalityEndpoints, Resource, RetryOn, RetryPolicy, Rewrite, Route, RouteAction, RouteConfiguration,
    RouteMatch, RouteSource, Severity, TcpListener, Timeouts, VirtualHost, WeightedCluster, limits,
};

/// The listeners and application clusters of a node.
pub(crate) fn compile(pass: &mut Pass<'_>) {
    let mut clusters: BTreeMap<SocketAddr, AppProtocol> = BTreeMap::new();
    let node = pass.node;
    for inbound in &node.inbound {
        let protocol = protocol_of(pass, inbound);
        let spoken = *clusters.entry(inbound.app).or_insert(protocol);
        if spoken != protocol {
            pass.say(conflict(inbound, spoken, protocol));
        }
        let listener = listener(inbound, protocol, pass);
        pass.insert(Resource::Listener(listener));
    }
    for (address, protocol) in clusters {
        pass.insert(Resource::Cluster(application(address, protocol)));
    }
}

fn cluster_name(application: SocketAddr) -> String {
    format!("inbound/{application}")
}

fn conflict(inbound: &Inbound, one: AppProtocol, other: AppProtocol) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        resource: format!("inbound {}", inbound.listen),
        field: "ports.appProtocol".to_owned(),
        message: format!("services say both {one:?} and {other:?} of the application at {}", inbound.app),
        mend: "give the ports of these services the same appProtocol".to_owned(),
    }
}

/// What the services that select the node say of an inbound port; the first by name decides.
fn protocol_of(pass: &mut Pass<'_>, inbound: &Inbound) -> AppProtocol {
    let node = pass.node;
    let ports: Vec<WorkloadPort> = node.inbound.iter().map(workload_port).collect();
    let wanted = workload_port(inbound);
    let own = node.service.rsplit_once('/').map_or(node.service.as_str(), |(_, name)| name);
    let first = Name::new(&node.namespace, "");
    let services = pass.mesh.services.range(first..).take_while(|(name, _)| name.namespace == node.namespace);
    let mut said = None;
    for (name, service) in services {
        if !service.selects(&node.labels) && (name.name != own || !service.selector.is_empty()) {
            continue;
        }
        // A port that does not say leaves it to others.
        for port in service.ports.iter().filter(|port| port.protocol != AppProtocol::Unspecified) {
            if service.workload_port(port, &ports) != Some(&wanted) {
                continue;
            }
            match said {
                None => said = Some(port.protocol),
                Some(before) if before != port.protocol => pass.say(conflict(inbound, before, port.protocol)),
                Some(_) => {}
            }
        }
    }
    said.unwrap_or(AppProtocol::Unspecified)
}

/// An inbound listener as the port of the workload that the node is.
fn workload_port(inbound: &Inbound) -> WorkloadPort {
    WorkloadPort { name: inbound.name.clone(), number: inbound.app.port(), address: inbound.listen }
}

/// How a node logs: as it was started to, if it asks for it.
pub(crate) fn access_log(node: &Node) -> Option<Arc<AccessLog>> {
    node.access_log.then(Arc::default)
}

fn listener(inbound: &Inbound, protocol: AppProtocol, pass: &mut Pass<'_>) -> Listener {
    let name = format!("inbound/{}", inbound.listen);
    let cluster = cluster_name(inbound.app);
    let access_log = access_log(pass.node);
    let kind = match protocol {
        AppProtocol::Tcp => ListenerKind::Tcp(TcpListener { access_log, ..TcpListener::to(cluster) }),
        AppProtocol::Unspecified | AppProtocol::Http | AppProtocol::Http2 | AppProtocol::Grpc => {
            // Whoever says what is spoken is taken at his word; else it may be anything, and its server may be the first to speak.
            let detection = (protocol == AppProtocol::Unspecified).then(|| {
                let otherwise =
                    TcpListener { access_log: access_log.clone(), ..TcpListener::to(cluster.clone()) };
                Box::new(Detection { otherwise, wait: limits::SNIFF_WAIT })
            });
            let routes = RouteSource::Inline(routes(name.clone(), cluster, inbound, pass));
            ListenerKind::Http(HttpListener {
                manner: None,
                limits: Default::default(),
                routes,
                tracing: pass.tracing(),
                access_log,
                detection,
                filters: None,
                paths: weir_model::Paths::BASE,
                forwarded: weir_model::Forwarded::Pass,
            })
        }
    };
    Listener { name, address: Some(inbound.listen), direction: Direction::Inbound, kind }
}

/// Everything to the application, as far as it is let in.
fn routes(name: String, cluster: String, inbound: &Inbound, pass: &mut Pass<'_>) -> RouteConfiguration {
    let ports: Vec<WorkloadPort> = pass.node.inbound.iter().map(workload_port).collect();
    let served = admission::served(pass, &ports, &workload_port(inbound));
    let filters = admission::of_services(pass, inbound, &served);
    let forward = Forward {
        clusters: vec![WeightedCluster {
            subset: None,
            cluster,
            weight: 1,
            request_headers: HeaderMutation::default(),
            response_headers: HeaderMutation::default(),
        }],
        rewrite: Rewrite::default(),
        timeouts: Timeouts::default(),
        retry: Some(retry()),
        priority: Default::default(),
        affinity: None,
        mirrors: Vec::new(),
        fallback: None,
    };
    let route = Route {
        name: "inbound".to_owned(),
        stat_prefix: String::new(),
        matches: RouteMatch::default(),
        action: RouteAction::Forward(forward),
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
        filters: None,
    };
    let mut virtual_hosts = admission::hosts(pass, &served, &route, filters.as_deref());
    virtual_hosts.push(VirtualHost {
        name: "inbound".to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        filters,
        options: None,
    });
    RouteConfiguration { name, virtual_hosts, options: None }
}

/// Once more where the application closed an idle connection at the moment it was used, or did not take the connection or the stream. What
/// ends otherwise is for the caller to try elsewhere.
fn retry() -> RetryPolicy {
    let on = RetryOn { connect_failure: true, refused_stream: true, ..RetryOn::default() };
    let backoff = Duration::from_millis(1);
    RetryPolicy { attempts: 1, on, backoff_base: backoff, backoff_max: backoff, ..RetryPolicy::default() }
}

fn application(address: SocketAddr, protocol: AppProtocol) -> Cluster {
    let name = cluster_name(address);
    let endpoint =
        Endpoint { details: None, address, workload: String::new(), health: Health::Healthy, weight: 1 };
    let locality = LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: 1,
        endpoints: vec![endpoint],
    };
    Cluster {
        subsets: None,
        discovery: Discovery::Static(Endpoints {
            drops: Vec::new(),
            weighted_priority_health: false,
            name: name.clone(),
            localities: vec![locality],
            overprovisioning: weir_model::OVERPROVISIONING,
        }),
        name,
        kind: ClusterKind::Application,
        load_balancing: LoadBalancing::RoundRobin,
        http: http_version(protocol),
        connect_timeout: limits::CONNECT_TIMEOUT,
        idle_timeout: limits::IDLE_CONNECTION_AGE,
        circuit_breakers: CircuitBreakers::default(),
        spread: weir_model::Spread::default(),
        health: health::own(),
    }
}
