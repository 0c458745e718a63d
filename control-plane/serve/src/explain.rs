//! Why a request would go where it goes: the same compiler and the same matcher that configure and route it, asked for their reasons.

use crate::plane::{Plane, World};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;
use weir_decide::route::{self, Considered, Finding, Head};
use weir_model::node::{Node, Target};
use weir_model::{
    Cluster, Discovery, Forward, ListenerKind, Locality, Resource, ResourceSet, ResourceType, Route,
    RouteAction, RouteConfiguration, RouteSource,
};
use weir_proto::policy::v1 as wire;

#[cfg(test)]
mod tests;

/// Routes told that were not taken; further ones are counted.
const TOLD: usize = 20;
/// Endpoints told per cluster.
const ENDPOINTS: usize = 50;

/// Explains one request.
pub fn explain(plane: &Plane, request: &wire::ExplainRequest) -> Result<wire::ExplainResponse, Status> {
    let asked = Asked::read(request)?;
    let node = match request.node.as_str() {
        "" => client_of(if request.from_namespace.is_empty() { "default" } else { &request.from_namespace }),
        id => {
            let known = plane.registry.get(id);
            known
                .ok_or_else(|| {
                    Status::not_found(format!("no sidecar {id:?} is connected; `weir status` lists them"))
                })?
                .node
        }
    };
    Ok(explain_in(&plane.world(), node, &asked))
}

/// A request, read.
struct Asked {
    method: Method,
    authority: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

impl Asked {
    fn read(request: &wire::ExplainRequest) -> Result<Self, Status> {
        let wrong = |field: &str, problem: String| Status::invalid_argument(format!("{field}: {problem}"));
        let method = if request.method.is_empty() { "GET" } else { &request.method };
        let method = method.parse().map_err(|_| wrong("method", format!("{method:?} is no HTTP method")))?;
        let url =
            if request.url.contains("://") { request.url.clone() } else { format!("http://{}", request.url) };
        let uri: Uri = url.parse().map_err(|error| {
            wrong("url", format!("{:?}: {error}; write http://HOST[:PORT]/PATH", request.url))
        })?;
        let authority = uri
            .authority()
            .ok_or_else(|| wrong("url", "has no host; write http://HOST[:PORT]/PATH".to_owned()))?;
        let mut headers = HeaderMap::new();
        for (index, header) in request.headers.iter().enumerate() {
            let field = format!("headers[{index}]");
            let name: HeaderName = header
                .name
                .parse()
                .map_err(|_| wrong(&field, format!("{:?} is no field name", header.name)))?;
            let value = HeaderValue::from_str(&header.value)
                .map_err(|_| wrong(&field, "the value has control characters".to_owned()))?;
            headers.append(name, value);
        }
        Ok(Self {
            method,
            authority: weir_decide::authority::normalize(authority.as_str()).into_owned(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            headers,
        })
    }
}

/// Any client of a namespace.
fn client_of(namespace: &str) -> Node {
    Node {
        id: String::new(),
        target: Target::Weir,
        namespace: namespace.to_owned(),
        service: String::new(),
        labels: BTreeMap::new(),
        locality: Locality::default(),
        outbound: None,
        outbound_tcp: BTreeMap::new(),
        inbound: Vec::new(),
        upstreams: BTreeSet::new(),
        uses: BTreeSet::new(),
        sampling: None,
        access_log: false,
    }
}

fn explain_in(world: &World, mut node: Node, asked: &Asked) -> wire::ExplainResponse {
    let mut told = Told::default();
    if node.target != Target::Envoy {
        // A sidecar asks for what its requests name; so does this one.
        node.uses = BTreeSet::from([asked.authority.clone()]);
    }
    let resources = weir_compile::compile(&world.mesh, &node).resources;
    let who = if node.id.is_empty() {
        format!("a client in namespace {}", node.namespace)
    } else {
        format!("{} ({})", node.id, node.target)
    };
    match configuration(&resources, &node, &asked.authority) {
        None => {
            told.step("service", format!("{who} knows no service {:?}: 404", asked.authority), vec![
                "a service is called NAME (in its own namespace), NAME.NAMESPACE, NAME.NAMESPACE.svc or NAME.NAMESPACE.svc.cluster.local, \
                 with one of its ports or none"
                    .to_owned(),
            ]);
            told.outcome("answer 404".to_owned(), 1.0, Vec::new());
        }
        Some(routes) => {
            told.step("service", format!("{who} finds {:?} in {}", asked.authority, routes.name), Vec::new());
            told.route(&resources, routes, asked);
        }
    }
    wire::ExplainResponse {
        revision: world.revision.0,
        steps: told.steps,
        route: told.route,
        outcomes: told.outcomes,
    }
}

/// The routes that a node has for an authority.
fn configuration<'a>(
    resources: &'a ResourceSet,
    node: &Node,
    authority: &str,
) -> Option<&'a RouteConfiguration> {
    let name = match node.target {
        Target::Envoy => "outbound".to_owned(),
        Target::Weir | Target::Grpc => {
            let (_, listener) = resources.get(ResourceType::Listener, authority)?;
            match &**listener {
                Resource::Listener(listener) => match &listener.kind {
                    ListenerKind::Http(http) => match &http.routes {
                        RouteSource::Rds(name) => name.clone(),
                        RouteSource::Inline(routes) => return Some(routes),
                    },
                    ListenerKind::Tcp(_) => return None,
                },
                _ => return None,
            }
        }
    };
    match &*resources.get(ResourceType::Route, &name)?.1 {
        Resource::Route(routes) => Some(routes),
        _ => None,
    }
}

/// What there is to tell, as it is found out.
#[derive(Default)]
struct Told {
    steps: Vec<wire::ExplainStep>,
    route: String,
    outcomes: Vec<wire::ExplainOutcome>,
}

impl Told {
    fn step(&mut self, stage: &str, decision: String, reasons: Vec<String>) {
        self.steps.push(wire::ExplainStep { stage: stage.to_owned(), decision, reasons });
    }

    fn outcome(&mut self, target: String, share: f64, endpoints: Vec<String>) {
        self.outcomes.push(wire::ExplainOutcome { target, share, endpoints });
    }

    fn route(&mut self, resources: &ResourceSet, routes: &RouteConfiguration, asked: &Asked) {
        let head = Head {
            authority: &asked.authority,
            method: &asked.method,
            path: &asked.path,
            query: asked.query.as_deref(),
            headers: &asked.headers,
        };
        let found = route::explain(routes, &head);
        match &found.host {
            None => {
                self.step(
                    "host",
                    format!("no virtual host has the domain {:?}: 404", found.authority),
                    Vec::new(),
                );
                self.outcome("answer 404".to_owned(), 1.0, Vec::new());
                return;
            }
            Some((_, name)) => self.step("host", format!("virtual host {name}"), Vec::new()),
        }
        // What fractions before the last route leave over.
        let mut left = 1.0;
        for considered in &found.considered {
            let share = match &considered.finding {
                Finding::Fails(_) => continue,
                Finding::Share(fraction) => f64::from(fraction.0) / 1_000_000.0,
                Finding::Matches => 1.0,
            };
            if let Some(route) = routes
                .virtual_hosts
                .get(considered.index.host)
                .and_then(|host| host.routes.get(considered.index.route))
            {
                self.action(resources, route, left * share);
            }
            left *= 1.0 - share;
        }
        if left > 0.0 {
            self.outcome("answer 404".to_owned(), left, Vec::new());
        }
        let taken =
            found.considered.iter().rev().find(|considered| !matches!(considered.finding, Finding::Fails(_)));
        let decision = match taken {
            Some(taken) => format!("{} takes it", taken.name),
            None => format!("none of {} routes takes it: 404", found.considered.len()),
        };
        self.route = taken.map(|taken| taken.name.clone()).unwrap_or_default();
        let at = self.steps.len().min(2);
        self.steps.insert(
            at,
            wire::ExplainStep { stage: "route".to_owned(), decision, reasons: reasons(&found.considered) },
        );
    }

    fn action(&mut self, resources: &ResourceSet, route: &Route, share: f64) {
        match &route.action {
            RouteAction::Forward(forward) => self.forward(resources, forward, share),
            RouteAction::Redirect(redirect) => {
                self.outcome(format!("redirect {}", redirect.status.as_u16()), share, Vec::new())
            }
            RouteAction::Direct(direct) => {
                let target = format!("answer {}: {}", direct.status.as_u16(), direct.body);
                self.outcome(target, share, Vec::new());
            }
        }
    }

    fn forward(&mut self, resources: &ResourceSet, forward: &Forward, share: f64) {
        let sum: f64 = forward.clusters.iter().map(|cluster| f64::from(cluster.weight)).sum();
        let mut weights = Vec::new();
        for weighted in forward.clusters.iter().filter(|cluster| cluster.weight > 0) {
            weights.push(format!("{} {}", weighted.cluster, weighted.weight));
            let cluster =
                resources.get(ResourceType::Cluster, &weighted.cluster).map(|(_, resource)| &**resource);
            let endpoints = match cluster {
                Some(Resource::Cluster(cluster)) => endpoints(resources, cluster),
                _ => Vec::new(),
            };
            self.outcome(
                weighted.cluster.clone(),
                share * f64::from(weighted.weight) / sum.max(1.0),
                endpoints,
            );
        }
        self.step("split", format!("by weight: {}", weights.join(", ")), Vec::new());
        if let Some(retry) = &forward.retry {
            self.step(
                "retry",
                format!("up to {} more attempts within the budget", retry.attempts),
                Vec::new(),
            );
        }
    }
}

fn reasons(considered: &[Considered]) -> Vec<String> {
    let line = |one: &Considered| match &one.finding {
        Finding::Matches => format!("{}: matches", one.name),
        Finding::Share(fraction) => {
            format!("{}: matches, for {} % of such requests", one.name, f64::from(fraction.0) / 10_000.0)
        }
        Finding::Fails(failure) => format!("{}: {} {}", one.name, failure.field, failure.reason),
    };
    let mut lines: Vec<String> = considered.iter().take(TOLD).map(line).collect();
    if considered.len() > TOLD {
        lines.push(format!("… and {} more", considered.len() - TOLD));
        lines.extend(considered.last().map(line));
    }
    lines
}

fn endpoints(resources: &ResourceSet, cluster: &Cluster) -> Vec<String> {
    let list = match &cluster.discovery {
        Discovery::Static(list) => Some(list),
        Discovery::Eds(name) => {
            match resources.get(ResourceType::Endpoints, name).map(|(_, resource)| &**resource) {
                Some(Resource::Endpoints(list)) => Some(list),
                _ => None,
            }
        }
    };
    let all = list.into_iter().flat_map(|list| list.iter());
    all.take(ENDPOINTS)
        .map(|(place, endpoint)| format!("{} ({}, {})", endpoint.address, endpoint.workload, place.locality))
        .collect()
}
