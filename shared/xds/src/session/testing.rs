//! Small resources and clients for the tests of sessions.

use crate::codec;
use crate::encoded::{EncodedSet, Encoder};
use crate::node;
use crate::session::server::{Request, Response, ServerEvent, ServerSession};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use weir_model::node::{Node, Target};
use weir_model::{
    Cluster, ClusterKind, Direction, Discovery, Endpoint, Endpoints, Forward, HttpListener, HttpVersion,
    Listener, ListenerKind, LoadBalancing, LocalityEndpoints, Resource, ResourceSet, ResourceType, Route,
    RouteAction, RouteConfiguration, RouteSource, TcpListener, VirtualHost, WeightedCluster,
};
use weir_proto::envoy::envoy::config::core::v3 as core;
use weir_proto::envoy::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use weir_proto::envoy::google::rpc::Status;

/// An EDS cluster with endpoints of its own name. `generation` changes its content.
pub(crate) fn cluster(name: &str, generation: u64) -> Resource {
    Resource::Cluster(Cluster {
        subsets: None,
        name: name.to_owned(),
        kind: ClusterKind::Unknown,
        discovery: Discovery::Eds(name.to_owned()),
        load_balancing: LoadBalancing::RoundRobin,
        http: HttpVersion::Http1,
        connect_timeout: Duration::from_secs(1 + generation),
        idle_timeout: Duration::from_secs(60),
        circuit_breakers: Default::default(),
        spread: Default::default(),
        health: Default::default(),
    })
}

pub(crate) fn endpoints(name: &str, port: u16) -> Resource {
    let endpoint = Endpoint {
        details: None,
        address: ([127, 0, 0, 1], port).into(),
        workload: String::new(),
        health: Default::default(),
        weight: 1,
    };
    let locality =
        LocalityEndpoints { locality: Default::default(), priority: 0, weight: 1, endpoints: vec![endpoint] };
    Resource::Endpoints(Endpoints {
        drops: Vec::new(),
        weighted_priority_health: false,
        name: name.to_owned(),
        localities: vec![locality],
        overprovisioning: weir_model::OVERPROVISIONING,
    })
}

pub(crate) fn route(name: &str, clusters: &[&str]) -> Resource {
    let clusters = clusters.iter().map(|cluster| WeightedCluster {
        subset: None,
        cluster: (*cluster).to_owned(),
        weight: 1,
        request_headers: Default::default(),
        response_headers: Default::default(),
    });
    let action = RouteAction::Forward(Forward {
        clusters: clusters.collect(),
        rewrite: Default::default(),
        timeouts: Default::default(),
        retry: None,
        priority: Default::default(),
        affinity: None,
        mirrors: Vec::new(),
        fallback: None,
    });
    let route = Route {
        name: String::new(),
        stat_prefix: String::new(),
        matches: Default::default(),
        action,
        request_headers: Default::default(),
        response_headers: Default::default(),
        filters: None,
    };
    let host = VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes: vec![route],
        filters: None,
        options: None,
    };
    Resource::Route(RouteConfiguration { name: name.to_owned(), virtual_hosts: vec![host], options: None })
}

pub(crate) fn listener(name: &str, route: &str) -> Resource {
    Resource::Listener(Listener {
        name: name.to_owned(),
        address: None,
        direction: Direction::Outbound,
        kind: ListenerKind::Http(HttpListener {
            manner: None,
            limits: Default::default(),
            routes: RouteSource::Rds(route.to_owned()),
            tracing: None,
            access_log: None,
            detection: None,
            filters: None,
            paths: weir_model::Paths::NONE,
            forwarded: weir_model::Forwarded::Pass,
        }),
    })
}

pub(crate) fn tcp(name: &str, port: u16, cluster: &str) -> Resource {
    Resource::Listener(Listener {
        name: name.to_owned(),
        address: Some(([127, 0, 0, 1], port).into()),
        direction: Direction::Outbound,
        kind: ListenerKind::Tcp(TcpListener::to(cluster)),
    })
}

pub(crate) fn set(resources: impl IntoIterator<Item = Resource>) -> EncodedSet {
    let mut set = ResourceSet::default();
    resources.into_iter().for_each(|resource| set.insert(resource));
    Encoder::default().encode(&set, Target::Weir)
}

/// A cluster with its endpoints.
pub(crate) fn service(name: &str) -> [Resource; 2] {
    [cluster(name, 0), endpoints(name, 80)]
}

pub(crate) fn node(target: Target) -> Node {
    Node {
        id: "node-1".to_owned(),
        target,
        namespace: "default".to_owned(),
        service: "frontend".to_owned(),
        service_account: weir_model::mesh::SERVICE_ACCOUNT.to_owned(),
        labels: BTreeMap::new(),
        locality: Default::default(),
        outbound: None,
        outbound_tcp: BTreeMap::new(),
        inbound: vec![],
        upstreams: BTreeSet::new(),
        uses: BTreeSet::new(),
        sampling: None,
        access_log: false,
    }
}

fn message(target: Target) -> Option<core::Node> {
    Some(node::encode(&node(target)))
}

fn status(text: &str) -> Option<Status> {
    (!text.is_empty()).then(|| Status { code: 3, message: text.to_owned(), ..Status::default() })
}

/// A state-of-the-world request; an empty text acknowledges.
pub(crate) fn ask(kind: ResourceType, names: &[&str], nonce: &str, refusal: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        node: message(Target::Envoy),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        type_url: codec::type_url(kind).to_owned(),
        response_nonce: nonce.to_owned(),
        error_detail: status(refusal),
        ..DiscoveryRequest::default()
    }
}

/// An incremental request; an empty text acknowledges.
pub(crate) fn ask_delta(
    kind: ResourceType,
    subscribe: &[&str],
    unsubscribe: &[&str],
    nonce: &str,
    refusal: &str,
) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node: message(Target::Weir),
        type_url: codec::type_url(kind).to_owned(),
        resource_names_subscribe: subscribe.iter().map(|name| (*name).to_owned()).collect(),
        resource_names_unsubscribe: unsubscribe.iter().map(|name| (*name).to_owned()).collect(),
        response_nonce: nonce.to_owned(),
        error_detail: status(refusal),
        ..DeltaDiscoveryRequest::default()
    }
}

/// What a response says, for comparison: type, names sent, names removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    pub(crate) kind: ResourceType,
    pub(crate) names: Vec<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) nonce: String,
}

impl Said {
    pub(crate) fn is(&self, kind: ResourceType, names: &[&str], removed: &[&str]) -> bool {
        self.kind == kind && self.names == names && self.removed == removed
    }
}

pub(crate) fn said(response: Response) -> Said {
    match response {
        Response::Sotw(DiscoveryResponse { type_url, resources, nonce, .. }) => Said {
            kind: codec::kind_of(&type_url).unwrap(),
            names: resources.iter().map(|any| codec::decode(any).unwrap().name().to_owned()).collect(),
            removed: vec![],
            nonce,
        },
        Response::Delta(DeltaDiscoveryResponse { type_url, resources, removed_resources, nonce, .. }) => {
            Said {
                kind: codec::kind_of(&type_url).unwrap(),
                names: resources.into_iter().map(|resource| resource.name).collect(),
                removed: removed_resources,
                nonce,
            }
        }
    }
}

impl ServerSession {
    /// Everything there is to send now.
    pub(crate) fn drain(&mut self) -> Vec<Said> {
        std::iter::from_fn(|| self.poll_output()).map(said).collect()
    }

    /// Takes a request that is no error.
    pub(crate) fn take(&mut self, request: impl Into<Request>) -> Vec<ServerEvent> {
        self.receive(request).unwrap()
    }
}
