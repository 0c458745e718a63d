//! Why a request would go where it goes: the same compiler and the same matcher that configure and route it, asked for their reasons.

use crate::loads::Loads;
use crate::plane::{Plane, World};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::collections::{BTreeMap, BTreeSet};
use tonic::Status;
use weir_compile::Withheld;
use weir_decide::route::{self, Considered, Finding, Head};
use weir_model::mesh::{Mesh, SERVICE_ACCOUNT};
use weir_model::node::{Node, Target};
use weir_model::{
    ListenerKind, Locality, Resource, ResourceSet, ResourceType, RouteConfiguration, RouteSource,
};
use weir_proto::policy::v1 as wire;

mod action;
mod stream;

#[cfg(test)]
mod tests;

/// Routes told that were not taken; further ones are counted.
const TOLD: usize = 20;

/// Explains one request.
pub fn explain(plane: &Plane, request: &wire::ExplainRequest) -> Result<wire::ExplainResponse, Status> {
    let asked = Asked::read(request)?;
    let node = match request.node.as_str() {
        "" => client_of(request),
        id => {
            let known = plane.registry.get(id);
            known
                .ok_or_else(|| {
                    Status::not_found(format!("no sidecar {id:?} is connected; `weir status` lists them"))
                })?
                .node
        }
    };
    Ok(explain_in(&plane.world(), node, &asked, &plane.loads))
}

/// A request, read.
struct Asked {
    method: Method,
    authority: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    /// If it is no request but a connection.
    stream: Option<stream::Stream>,
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
            stream: stream::Stream::of_scheme(uri.scheme_str()),
        })
    }
}

/// A client as the request describes it.
fn client_of(request: &wire::ExplainRequest) -> Node {
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    Node {
        id: String::new(),
        target: Target::Weir,
        namespace: or(&request.from_namespace, "default"),
        service: String::new(),
        service_account: or(&request.from_service_account, SERVICE_ACCOUNT),
        labels: request.from_labels.clone().into_iter().collect(),
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

fn explain_in(world: &World, mut node: Node, asked: &Asked, loads: &Loads) -> wire::ExplainResponse {
    let mut told = Told::default();
    if let Some(stream) = asked.stream {
        stream.ask(&mut node, &asked.authority);
    } else if node.target != Target::Envoy {
        // A sidecar asks for what its requests name; so does this one.
        node.uses = BTreeSet::from([asked.authority.clone()]);
    }
    let resources = weir_compile::compile(&world.mesh, &node).resources;
    let who = if node.id.is_empty() {
        format!("a client in namespace {} that runs as {}", node.namespace, node.service_account)
    } else {
        format!("{} ({})", node.id, node.target)
    };
    let scene = Scene { mesh: &world.mesh, resources: &resources, asked, loads };
    let routes = match asked.stream {
        Some(stream) => {
            told.stream(&scene, stream, &who);
            return told.answer(world);
        }
        None => configuration(&resources, &node, &asked.authority),
    };
    match routes {
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
            told.withheld(&world.mesh, &node, &asked.authority);
            told.route(&scene, routes);
        }
    }
    told.answer(world)
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
                    ListenerKind::Tcp(_) | ListenerKind::Chains(_) => return None,
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

/// What an explanation is made from.
struct Scene<'a> {
    mesh: &'a Mesh,
    resources: &'a ResourceSet,
    asked: &'a Asked,
    loads: &'a Loads,
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

    fn answer(self, world: &World) -> wire::ExplainResponse {
        let Told { steps, route, outcomes } = self;
        wire::ExplainResponse { revision: world.revision.0, steps, route, outcomes }
    }

    /// What is attached to the service and is for other callers.
    fn withheld(&mut self, mesh: &Mesh, node: &Node, authority: &str) {
        let Some((service, port)) = weir_compile::resolve(mesh, authority, &node.namespace) else { return };
        let withheld = weir_compile::withheld(mesh, &service, port, node);
        if withheld.is_empty() {
            return;
        }
        let line = |one: &Withheld| format!("{}: {}", one.name, one.reason);
        let mut reasons: Vec<String> = withheld.iter().take(TOLD).map(line).collect();
        if withheld.len() > TOLD {
            reasons.push(format!("… and {} more", withheld.len() - TOLD));
        }
        self.step(
            "caller",
            format!("{} of the service's rules are for other callers", withheld.len()),
            reasons,
        );
    }

    fn route(&mut self, scene: &Scene<'_>, routes: &RouteConfiguration) {
        let asked = scene.asked;
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
        let at = self.steps.len();
        // What fractions before the last route leave over.
        let mut left = 1.0;
        for considered in &found.considered {
            let share = match &considered.finding {
                Finding::Fails(_) => continue,
                Finding::Share(fraction) => f64::from(fraction.0) / 1_000_000.0,
                Finding::Matches => 1.0,
            };
            let host = routes.virtual_hosts.get(considered.index.host);
            let route = host.and_then(|host| Some((host, host.routes.get(considered.index.route)?)));
            if let Some((host, route)) = route {
                self.taken(scene, host, route, left * share);
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
        self.steps.insert(
            at,
            wire::ExplainStep { stage: "route".to_owned(), decision, reasons: reasons(&found.considered) },
        );
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
