//! Small resources for tests.

use std::time::Duration;

use weir_model::node::{Node, Target};
use weir_model::{
    CircuitBreakers, Cluster, ClusterKind, Direction, Discovery, Endpoint, Endpoints, Forward,
    HeaderMutation, Health, HttpListener, HttpVersion, Listener, ListenerKind, LoadBalancing, Locality,
    LocalityEndpoints, Resource, Rewrite, Route, RouteAction, RouteConfiguration, RouteMatch, RouteSource,
    TcpListener, Timeouts, VirtualHost, WeightedCluster,
};

/// A sidecar with an outbound listener.
pub(crate) fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        target: Target::Weir,
        namespace: "default".to_owned(),
        service: "shop".to_owned(),
        service_account: weir_model::mesh::SERVICE_ACCOUNT.to_owned(),
        labels: [("app".to_owned(), "shop".to_owned())].into(),
        locality: Locality::default(),
        outbound: Some(([127, 0, 0, 1], 15001).into()),
        outbound_tcp: Default::default(),
        inbound: Vec::new(),
        upstreams: Default::default(),
        uses: Default::default(),
        sampling: None,
        access_log: false,
    }
}

/// Endpoints at these ports of loopback, in one locality if there are any.
pub(crate) fn endpoints(name: &str, ports: &[u16]) -> Resource {
    let endpoint = |port: &u16| Endpoint {
        details: None,
        address: ([127, 0, 0, 1], *port).into(),
        workload: format!("w{port}"),
        health: Health::Healthy,
        weight: 1,
    };
    let locality = LocalityEndpoints {
        locality: Locality { region: "eu".into(), zone: "eu-1".into(), sub_zone: String::new() },
        priority: 0,
        weight: 1,
        endpoints: ports.iter().map(endpoint).collect(),
    };
    let localities = if ports.is_empty() { vec![] } else { vec![locality] };
    Resource::Endpoints(Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: name.to_owned(),
        localities,
        overprovisioning: weir_model::OVERPROVISIONING,
    })
}

/// A cluster whose endpoints are discovered.
pub(crate) fn cluster(name: &str, eds: &str) -> Resource {
    Resource::Cluster(Cluster {
        subsets: None,
        name: name.to_owned(),
        kind: ClusterKind::Unknown,
        discovery: Discovery::Eds(eds.to_owned()),
        load_balancing: LoadBalancing::RoundRobin,
        http: HttpVersion::Http1,
        connect_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(60),
        circuit_breakers: CircuitBreakers::default(),
        spread: weir_model::Spread::default(),
        health: Default::default(),
    })
}

/// One route to these clusters in equal shares; a direct response without any.
pub(crate) fn routes(name: &str, clusters: &[&str]) -> Resource {
    Resource::Route(route_configuration(name, clusters))
}

pub(crate) fn route_configuration(name: &str, clusters: &[&str]) -> RouteConfiguration {
    let weighted = |cluster: &&str| WeightedCluster {
        subset: None,
        cluster: (*cluster).to_owned(),
        weight: 1,
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
    };
    let action = match clusters {
        [] => RouteAction::Direct(weir_model::DirectResponse {
            status: http::StatusCode::NOT_FOUND,
            body: "none".into(),
        }),
        _ => RouteAction::Forward(Forward {
            clusters: clusters.iter().map(weighted).collect(),
            rewrite: Rewrite::default(),
            timeouts: Timeouts::default(),
            retry: None,
            priority: Default::default(),
            affinity: None,
            mirrors: Vec::new(),
            fallback: None,
        }),
    };
    let route = Route {
        name: format!("route of {name}"),
        stat_prefix: String::new(),
        matches: RouteMatch::default(),
        action,
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
        filters: None,
    };
    let host = VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        filters: None,
        options: None,
    };
    RouteConfiguration { name: name.to_owned(), virtual_hosts: vec![host], options: None }
}

/// What a name that is asked for resolves to.
pub(crate) fn listener(name: &str, rds: &str) -> Resource {
    http(name, None, RouteSource::Rds(rds.to_owned()))
}

/// An inbound listener with its routes written in it.
pub(crate) fn inbound(port: u16, clusters: &[&str]) -> Resource {
    let address = ([127, 0, 0, 1], port).into();
    let name = format!("inbound/{address}");
    http(&name, Some(address), RouteSource::Inline(route_configuration(&name, clusters)))
}

fn http(name: &str, address: Option<std::net::SocketAddr>, routes: RouteSource) -> Resource {
    Resource::Listener(Listener {
        name: name.to_owned(),
        address,
        direction: if address.is_some() { Direction::Inbound } else { Direction::Outbound },
        kind: ListenerKind::Http(HttpListener {
            manner: None,
            limits: Default::default(),
            routes,
            tracing: None,
            access_log: None,
            detection: None,
            filters: None,
            paths: weir_model::Paths::BASE,
            forwarded: weir_model::Forwarded::Pass,
        }),
    })
}

/// An outbound listener for bytes.
pub(crate) fn tcp(port: u16, cluster: &str) -> Resource {
    let address = ([127, 0, 0, 1], port).into();
    Resource::Listener(Listener {
        name: format!("outbound-tcp/{address}"),
        address: Some(address),
        direction: Direction::Outbound,
        kind: ListenerKind::Tcp(TcpListener::to(cluster)),
    })
}
