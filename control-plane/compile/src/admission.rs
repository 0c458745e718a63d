//! How many requests a node's inbound listener lets in: limits of the services that it serves, and of single rules of the routes to them.
//!
//! A rule's limit is kept by the sidecars of its backends, which recognise the rule's requests as callers did: by the authority of the service
//! that the route is attached to, and by the rule's matches in order of precedence. Validation refuses what they could not recognise: rules for
//! some callers, routes of consumers, and rules whose requests come rewritten. **A rule's limit takes the place of its service's**, as a more
//! specific filter does everywhere.

use crate::actions::of_policy;
use crate::index::Index;
use crate::memo::ServicePort;
use crate::scope::Pass;
use crate::{authority, extension};
use std::collections::{BTreeMap, BTreeSet};
use weir_model::mesh::{HttpRoute, HttpRule, Mesh, Name, RouteName, WorkloadPort};
use weir_model::node::{Inbound, Target};
use weir_model::precedence::Precedence;
use weir_model::{BodyLimit, Filters, RateLimits, Route, RouteMatch, VirtualHost};

/// The service ports that an inbound port of the node serves.
pub(crate) fn served(pass: &Pass<'_>, ports: &[WorkloadPort], wanted: &WorkloadPort) -> Vec<ServicePort> {
    let node = pass.node;
    let own = node.service.rsplit_once('/').map_or(node.service.as_str(), |(_, name)| name);
    let first = Name::new(&node.namespace, "");
    let services = pass.mesh.services.range(first..).take_while(|(name, _)| name.namespace == node.namespace);
    let mut served = Vec::new();
    for (name, service) in services {
        if service.selects(&node.labels) || (name.name == own && service.selector.is_empty()) {
            let serving =
                service.ports.iter().filter(|port| service.workload_port(port, ports) == Some(wanted));
            served.extend(serving.map(|port| (name.clone(), port.port)));
        }
    }
    served
}

/// The limits of the services that an inbound port serves, on requests and on their bodies: as the first by name says.
pub(crate) fn of_services(
    pass: &mut Pass<'_>,
    inbound: &Inbound,
    served: &[ServicePort],
) -> Option<Box<Filters>> {
    let mut found: Option<&RateLimits> = None;
    for (name, port) in served {
        let Some((policy, limits)) = pass.policy(name, *port).limits() else { continue };
        match found {
            None => found = Some(limits),
            Some(before) if before != limits => {
                let message = format!("{} has the limits of another policy already", inbound.listen);
                let mend = "give the services that share a port the same limits";
                pass.say(of_policy(policy, "spec.rateLimits", message, mend));
            }
            Some(_) => {}
        }
    }
    let body = body_of_services(pass, inbound, served).map(BodyLimit::Bytes);
    let filters = Filters { limits: found.cloned(), body, ..Filters::default() };
    (!filters.is_empty()).then(|| Box::new(filters))
}

fn body_of_services(pass: &mut Pass<'_>, inbound: &Inbound, served: &[ServicePort]) -> Option<u32> {
    let mut found = None;
    for (name, port) in served {
        let Some((policy, bytes)) = pass.policy(name, *port).max_request_bytes() else { continue };
        match found {
            None => found = Some(bytes),
            Some(before) if before != bytes => {
                let message = format!("{} has the limit of another policy already", inbound.listen);
                let mend = "give the services that share a port the same limit";
                pass.say(of_policy(policy, "spec.maxRequestBytes", message, mend));
            }
            Some(_) => {}
        }
    }
    found
}

/// Virtual hosts for the services whose routes have rules with limits of their own: those rules, and what stands before them. `everything` is
/// the listener's route to the application, `wide` what it does with all requests.
pub(crate) fn hosts(
    pass: &mut Pass<'_>,
    served: &[ServicePort],
    everything: &Route,
    wide: Option<&Filters>,
) -> Vec<VirtualHost> {
    let parents: BTreeSet<&ServicePort> =
        served.iter().flat_map(|port| pass.index().limiting(port)).collect();
    let (mut hosts, mut taken) = (Vec::new(), BTreeSet::new());
    for (service, port) in parents {
        let Some(found) = pass.mesh.services.get(service) else { continue };
        let names = authority::authorities(service, found, *port, &service.namespace);
        let domains: Vec<String> = names.into_iter().filter(|name| taken.insert(name.clone())).collect();
        let mut routes = rules(pass, service, *port, served, everything);
        if domains.is_empty() || routes.is_empty() {
            continue;
        }
        routes.push(everything.clone());
        hosts.push(VirtualHost {
            name: format!("inbound/{service}:{port}"),
            domains,
            routes,
            filters: wide.map(|filters| Box::new(filters.clone())),
            options: None,
        });
    }
    hosts
}

/// The rules of a service's routes up to the last one that is limited here.
fn rules(
    pass: &mut Pass<'_>,
    service: &Name,
    port: u16,
    served: &[ServicePort],
    everything: &Route,
) -> Vec<Route> {
    let everyone = RouteMatch::default();
    let mesh = pass.mesh;
    let mut entries = Vec::new();
    for (name, route) in pass.index().attached(mesh, service, port) {
        for (position, rule) in route.rules.iter().enumerate() {
            if !is_recognised(mesh, name, service, rule) {
                continue;
            }
            let limits = extension::service_limits(mesh, rule).filter(|_| goes_to(rule, served));
            if pass.node.target == Target::Envoy && limits.is_some() && rule.matches.len() > 1 {
                let said = extension::by_match(name, position);
                pass.say(said);
            }
            let matches =
                if rule.matches.is_empty() { std::slice::from_ref(&everyone) } else { &rule.matches };
            entries.extend(matches.iter().enumerate().map(|(index, matches)| {
                let precedence = Precedence::of(matches, name, route.created_millis, position, index);
                (precedence, matches, limits.clone())
            }));
        }
    }
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let last = entries.iter().rposition(|(_, _, limits)| limits.is_some());
    entries.truncate(last.map_or(0, |last| last + 1));
    let route = |(precedence, matches, limits): (Precedence<'_>, &RouteMatch, Option<RateLimits>)| {
        let name = extension::rule_name(precedence.route, precedence.rule);
        let limits = limits.map(|limits| RateLimits { name: name.clone(), ..limits });
        Route {
            name: format!("{name} match {}", precedence.position),
            stat_prefix: precedence.route.to_string(),
            matches: matches.clone(),
            filters: limits.map(|limits| Box::new(Filters { limits: Some(limits), ..Filters::default() })),
            ..everything.clone()
        }
    };
    entries.into_iter().map(route).collect()
}

/// Whether a rule's requests look here as they looked to callers.
fn is_recognised(mesh: &Mesh, route: &RouteName, service: &Name, rule: &HttpRule) -> bool {
    route.name.namespace == service.namespace && !mesh.is_for_some(&rule.filters) && !rewrites(rule)
}

fn rewrites(rule: &HttpRule) -> bool {
    let own = std::iter::once(&rule.filters);
    let mut all = own.chain(rule.backends.iter().map(|backend| &backend.filters));
    all.any(|filters| filters.rewrite_host.is_some() || filters.rewrite_path.is_some())
}

fn goes_to(rule: &HttpRule, served: &[ServicePort]) -> bool {
    let live = rule.backends.iter().filter(|backend| backend.weight > 0);
    live.map(|backend| &backend.target)
        .any(|target| served.iter().any(|(name, port)| *name == target.service && *port == target.port))
}

/// For each port of a service that is a backend of a rule with a limit of its own, the ports of services that such routes are attached to.
pub(crate) fn limiting(mesh: &Mesh) -> BTreeMap<ServicePort, BTreeSet<ServicePort>> {
    let mut limiting: BTreeMap<ServicePort, BTreeSet<ServicePort>> = BTreeMap::new();
    if mesh.route_filters.values().all(|filter| filter.limits.service.is_none()) {
        return limiting;
    }
    for (name, route) in &mesh.http_routes {
        let limited = |rule: &&HttpRule| extension::service_limits(mesh, rule).is_some();
        for backend in route.rules.iter().filter(limited).flat_map(|rule| &rule.backends) {
            let target = (backend.target.service.clone(), backend.target.port);
            limiting.entry(target).or_default().extend(parents(mesh, name, route));
        }
    }
    limiting
}

fn parents(mesh: &Mesh, name: &RouteName, route: &HttpRoute) -> Vec<ServicePort> {
    let own = route.parents.iter().filter(|parent| parent.service.namespace == name.name.namespace);
    let ports = own.filter_map(|parent| Some((parent, mesh.services.get(&parent.service)?)));
    ports
        .flat_map(|(parent, service)| {
            let wanted = service.ports.iter().filter(|port| parent.port.is_none_or(|only| only == port.port));
            wanted.map(|port| (parent.service.clone(), port.port))
        })
        .collect()
}

/// The limits that the sidecars of a service's port keep for the requests of a route by its name: the rule's, else the service's own.
pub fn service_limits(mesh: &Mesh, service: &Name, port: u16, route: &str) -> Option<RateLimits> {
    let served = [(service.clone(), port)];
    let of_rule = mesh.http_routes.iter().find_map(|(name, it)| {
        let rest = route.strip_prefix(&name.to_string())?;
        let (position, rule) = it.rules.iter().enumerate().find(|(position, _)| {
            rest.strip_prefix(" rule ")
                .and_then(|rest| rest.strip_prefix(&position.to_string()))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })?;
        let limits = extension::service_limits(mesh, rule).filter(|_| goes_to(rule, &served))?;
        Some(RateLimits { name: extension::rule_name(name, position), ..limits })
    });
    of_rule
        .or_else(|| Index::new(mesh).policy(mesh, service, port).limits().map(|(_, limits)| limits.clone()))
}

impl Index {
    /// The ports of services whose routes limit single rules that go to a port of a service.
    pub(crate) fn limiting(&self, backend: &ServicePort) -> impl Iterator<Item = &ServicePort> {
        self.limiting.get(backend).into_iter().flatten()
    }
}
