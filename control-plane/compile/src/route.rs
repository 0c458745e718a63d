//! The routes of a service's port, in order of precedence.
//!
//! Without an attached HTTPRoute, requests go to the service's own endpoints. With one, only what its rules match goes anywhere: the rest finds no
//! route, which every data plane answers with 404 (GEP-1294).

use crate::callers::RuleId;
use crate::extension::{self, Extension};
use crate::index::{Index, Policy};
use crate::memo::{self, versioned};
use crate::service::{port_of, scaled, weight_scale};
use crate::{actions, affinity, express, outbound_name, share};
use http::StatusCode;
use std::collections::BTreeSet;
use std::time::Duration;
use weir_model::mesh::{Backend, HttpRoute, HttpRule, Mesh, Name, RouteName};
use weir_model::node::Target;
use weir_model::precedence::Precedence;
use weir_model::{
    Diagnostic, DirectResponse, Filters, Forward, Fraction, HeaderMutation, Priority, Resource, RetryPolicy,
    Rewrite, Route, RouteAction, RouteConfiguration, RouteMatch, Severity, Timeouts, VirtualHost,
    WeightedCluster, limits,
};

const MILLION: u64 = 1_000_000;

/// The routes of a port of a service.
pub(crate) struct Request<'m> {
    pub(crate) mesh: &'m Mesh,
    pub(crate) index: &'m Index,
    pub(crate) service: &'m Name,
    pub(crate) port: u16,
    pub(crate) routes: Vec<(&'m RouteName, &'m HttpRoute)>,
    /// Rules of them that are for other callers.
    pub(crate) withheld: &'m BTreeSet<RuleId>,
    pub(crate) target: Target,
}

impl<'m> Request<'m> {
    fn attached(&self) -> affinity::Attached<'m> {
        let Request { mesh, index, service, port, target, .. } = *self;
        affinity::Attached { mesh, index, service, port, target }
    }
}

/// A match of a rule, and where it stands.
struct Entry<'m> {
    precedence: Precedence<'m>,
    matches: &'m RouteMatch,
    rule: &'m HttpRule,
}

/// What comes out.
#[derive(Default)]
struct Output {
    routes: Vec<Route>,
    clusters: BTreeSet<memo::ServicePort>,
    diagnostics: Vec<Diagnostic>,
}

pub(crate) fn routes(request: &Request<'_>) -> memo::Routes {
    let everything = RouteMatch::default();
    let policy = request.index.policy(request.mesh, request.service, request.port);
    let mut out = Output::default();
    if request.routes.is_empty() {
        default_route(request, &policy, &mut out);
    }
    let mut entries = Vec::new();
    for (name, route) in &request.routes {
        for (rule_index, rule) in route.rules.iter().enumerate() {
            if !request.withheld.is_empty() && request.withheld.contains(&((*name).clone(), rule_index)) {
                continue;
            }
            let matches =
                if rule.matches.is_empty() { std::slice::from_ref(&everything) } else { &rule.matches };
            let some = request.mesh.is_for_some(&rule.filters);
            entries.extend(matches.iter().enumerate().map(|(position, matches)| Entry {
                precedence:
                    Precedence::of(matches, name, route.created_millis, rule_index, position).for_some(some),
                matches,
                rule,
            }));
        }
    }
    entries.sort_unstable_by(|a, b| a.precedence.cmp(&b.precedence));
    for entry in &entries {
        lower(request, &policy, entry, &mut out);
    }
    finish(request, &policy, out)
}

fn finish(request: &Request<'_>, policy: &Policy<'_>, mut out: Output) -> memo::Routes {
    let filters = actions::of_callers(policy, request.target, &mut out.diagnostics);
    if out.routes.len() > limits::ROUTES {
        out.diagnostics.push(Diagnostic {
            severity: Severity::Error,
            resource: format!("Service {}", request.service),
            field: String::new(),
            message: format!("{} routes, of which only the first {} apply", out.routes.len(), limits::ROUTES),
            mend: "attach fewer routes to it".to_owned(),
        });
        out.routes.truncate(limits::ROUTES);
    }
    out.diagnostics.sort_unstable();
    out.diagnostics.dedup();
    let Output { routes, clusters, diagnostics } = out;
    if request.target == Target::Envoy {
        return memo::Routes { resource: None, routes, filters, clusters, diagnostics };
    }
    let name = outbound_name(request.service, request.port);
    let host =
        VirtualHost { name: name.clone(), domains: vec!["*".to_owned()], routes, filters, options: None };
    let configuration = RouteConfiguration { name, virtual_hosts: vec![host], options: None };
    let resource = Some(versioned(Resource::Route(configuration)));
    memo::Routes { resource, routes: Vec::new(), filters: None, clusters, diagnostics }
}

/// Everything to the service's own endpoints.
fn default_route(request: &Request<'_>, policy: &Policy<'_>, out: &mut Output) {
    let Request { service, port, target, .. } = *request;
    out.clusters.insert((service.clone(), port));
    let forward = Forward {
        clusters: vec![WeightedCluster {
            subset: None,
            cluster: outbound_name(service, port),
            weight: 1,
            request_headers: HeaderMutation::default(),
            response_headers: HeaderMutation::default(),
        }],
        rewrite: Rewrite::default(),
        timeouts: timeouts(&Timeouts::default(), policy),
        retry: retry(None, policy),
        priority: Priority::Default,
        mirrors: Vec::new(),
        fallback: actions::fallback(request.mesh, policy, target, &mut out.clusters, &mut out.diagnostics),
        affinity: None,
    };
    let route = Route {
        name: format!("Service {service} port {port}"),
        stat_prefix: String::new(),
        matches: RouteMatch::default(),
        action: RouteAction::Forward(forward),
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
        filters: None,
    };
    let mut route = route;
    affinity::tie(&request.attached(), policy, None, &mut route, (&mut out.clusters, &mut out.diagnostics));
    out.routes.extend(express::route(target, None, policy, route, &mut out.diagnostics));
}

/// One match of a rule: the shares of what does not resolve, then the rest.
fn lower(request: &Request<'_>, policy: &Policy<'_>, entry: &Entry<'_>, out: &mut Output) {
    let Precedence { route: name, rule: rule_index, position, .. } = entry.precedence;
    let Entry { matches, rule, .. } = *entry;
    let origin = express::Origin { route: name, rule: rule_index, position, spec: rule };
    let extension = extension::of(request.mesh, request.target, &origin, &mut out.diagnostics);
    let (extension, broken) = match extension {
        Ok(extension) => (extension, None),
        Err(problem) => (Extension::default(), Some(problem)),
    };
    let route = |action| Route {
        name: format!("{name} rule {rule_index} match {position}"),
        stat_prefix: name.to_string(),
        matches: matches.clone(),
        action,
        request_headers: rule.filters.request_headers.clone(),
        response_headers: rule.filters.response_headers.clone(),
        filters: filters(request.target, rule, &extension),
    };
    let mut lowered = Vec::new();
    let live: Vec<(usize, &Backend)> =
        rule.backends.iter().enumerate().filter(|(_, backend)| backend.weight > 0).collect();
    if let Some(problem) = broken {
        lowered.push(failing(&route, &problem));
    } else if let Some(answer) = &extension.answer {
        let mut answering = route(RouteAction::Direct(answer.response.clone()));
        answering.action = extension::direct(answer, &mut answering.response_headers);
        lowered.push(answering);
    } else if let Some(redirect) = &rule.filters.redirect {
        lowered.push(route(RouteAction::Redirect(share::redirect(redirect, &matches.path))));
    } else if live.is_empty() {
        lowered.push(failing(&route, "the rule has no backend"));
    } else {
        let (resolved, missing): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|(_, backend)| exists(request.mesh, backend));
        let (apart, together): (Vec<_>, Vec<_>) =
            resolved.into_iter().partition(|(_, backend)| share::is_apart(backend));
        let sum = |backends: &[(usize, &Backend)]| {
            backends.iter().map(|(_, backend)| u64::from(backend.weight)).sum::<u64>()
        };
        let total = sum(&apart) + sum(&together) + sum(&missing);
        let mut taken = 0;
        let mut take = |mut route: Route, backend: &Backend| {
            let weight = u64::from(backend.weight);
            route.matches.fraction = match request.target {
                // It draws for each route: of the requests that the shares before did not take.
                Target::Grpc => fraction(weight, total - taken),
                // They draw once for all routes: with the shares before.
                Target::Envoy | Target::Weir => fraction(taken + weight, total),
            };
            taken += weight;
            lowered.push(route);
        };
        for (index, backend) in missing {
            let problem = problem(request.mesh, backend);
            out.diagnostics.push(unresolved(&origin, index, &problem));
            take(failing(&route, &problem), backend);
        }
        let mut forward = |backends: &[(usize, &Backend)], sum: u64| {
            let own = backends.first().map(|(_, backend)| &backend.filters);
            let copies = rule.filters.mirrors.iter().chain(own.into_iter().flat_map(|own| &own.mirrors));
            let copies = copies.filter(|_| request.target != Target::Grpc);
            let clusters = &mut out.clusters;
            RouteAction::Forward(Forward {
                clusters: weighted(backends, sum, clusters),
                rewrite: share::rewrite(&rule.filters, own, &matches.path),
                timeouts: timeouts(&rule.timeouts, policy),
                retry: retry(rule.retry.as_ref(), policy),
                priority: extension.priority,
                mirrors: share::mirrors(request.mesh, &origin, copies, clusters, &mut out.diagnostics),
                fallback: actions::fallback(
                    request.mesh,
                    policy,
                    request.target,
                    clusters,
                    &mut out.diagnostics,
                ),
                affinity: None,
            })
        };
        for own in apart {
            let (_, backend) = own;
            let action = match &backend.filters.redirect {
                Some(redirect) => RouteAction::Redirect(share::redirect(redirect, &matches.path)),
                None => forward(&[(own.0, backend)], backend.weight.into()),
            };
            take(route(action), backend);
        }
        if !together.is_empty() {
            let action = forward(&together, sum(&together));
            lowered.push(route(action));
        }
    }
    for mut route in lowered {
        affinity::tie(
            &request.attached(),
            policy,
            Some(&origin),
            &mut route,
            (&mut out.clusters, &mut out.diagnostics),
        );
        out.routes.extend(express::route(request.target, Some(&origin), policy, route, &mut out.diagnostics));
    }
}

/// What is done with a rule's requests besides.
fn filters(target: Target, rule: &HttpRule, extension: &Extension) -> Option<Box<Filters>> {
    let cors = share::cors(&rule.filters).filter(|_| target != Target::Grpc);
    let Some(limits) = &extension.limits else { return cors };
    let mut filters = cors.unwrap_or_default();
    filters.limits = Some(limits.clone());
    Some(filters)
}

fn weighted(
    resolved: &[(usize, &Backend)],
    sum: u64,
    clusters: &mut BTreeSet<memo::ServicePort>,
) -> Vec<WeightedCluster> {
    let scale = weight_scale(sum);
    let one = |(_, backend): &(usize, &Backend)| {
        let (service, port) = (&backend.target.service, backend.target.port);
        clusters.insert((service.clone(), port));
        WeightedCluster {
            subset: None,
            cluster: outbound_name(service, port),
            weight: scaled(backend.weight, scale),
            request_headers: backend.filters.request_headers.clone(),
            response_headers: backend.filters.response_headers.clone(),
        }
    };
    resolved.iter().map(one).collect()
}

/// `weight` of `left`; nothing if that is all of it.
fn fraction(weight: u64, left: u64) -> Option<Fraction> {
    if weight >= left {
        return None;
    }
    let parts = (weight * MILLION + left / 2) / left;
    // What is something stays something, and what is not all stays less than all.
    u32::try_from(parts.clamp(1, MILLION - 1)).ok().map(Fraction)
}

/// An answer for requests that should go somewhere and cannot; the filters are of those that do.
fn failing(route: &impl Fn(RouteAction) -> Route, body: &str) -> Route {
    let answer = DirectResponse { status: StatusCode::INTERNAL_SERVER_ERROR, body: body.to_owned() };
    Route {
        request_headers: HeaderMutation::default(),
        response_headers: HeaderMutation::default(),
        filters: None,
        ..route(RouteAction::Direct(answer))
    }
}

fn exists(mesh: &Mesh, backend: &Backend) -> bool {
    let service = mesh.services.get(&backend.target.service);
    service.is_some_and(|service| port_of(service, backend.target.port).is_some())
}

fn problem(mesh: &Mesh, backend: &Backend) -> String {
    let (service, port) = (&backend.target.service, backend.target.port);
    match mesh.services.contains_key(service) {
        true => format!("service {service} has no port {port}"),
        false => format!("service {service} does not exist"),
    }
}

fn unresolved(origin: &express::Origin<'_>, backend: usize, problem: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        resource: origin.route.to_string(),
        field: format!("spec.rules[{}].backendRefs[{backend}]", origin.rule),
        message: format!("{problem}: its share is answered 500"),
        mend: "apply the service, or remove the reference".to_owned(),
    }
}

/// A rule's own timeouts, else the policy's; zero means none.
fn timeouts(own: &Timeouts, policy: &Policy<'_>) -> Timeouts {
    let effective = |own: Option<Duration>, said: Option<(&Name, Duration)>| {
        own.or(said.map(|(_, timeout)| timeout)).filter(|timeout| !timeout.is_zero())
    };
    let request = effective(own.request, policy.request_timeout());
    let stream = effective(own.stream, policy.stream_timeout());
    Timeouts {
        // As Gateway API has it; an Envoy begins when the request is whole, which is the same for all that come at once.
        from_head: true,
        // Data planes know one of the two at a time; of both it is the one that ends first.
        request: request.filter(|_| stream.is_none()),
        stream: stream.map(|stream| request.map_or(stream, |request| request.min(stream))),
        backend_request: effective(own.backend_request, policy.backend_request_timeout()),
        idle: effective(own.idle, policy.idle_timeout()),
        ..Timeouts::default()
    }
}

/// A rule's own retries, else the policy's, else the default.
fn retry(own: Option<&RetryPolicy>, policy: &Policy<'_>) -> Option<RetryPolicy> {
    let said = own.or_else(|| policy.retry().map(|(_, retry)| retry));
    let mut retry = said.cloned().unwrap_or_default();
    retry.attempts = retry.attempts.min(limits::RETRIES);
    (retry.attempts > 0).then_some(retry)
}
