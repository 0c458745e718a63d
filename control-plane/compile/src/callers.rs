//! Whose requests a rule is for, and what of a service's routes a node is not sent because of that.
//!
//! Peers are not authenticated on the way, so this is decided here, for the node that calls: routes of a consumer's namespace apply to callers
//! of that namespace in place of the producer's (GEP-1426), and a rule with `callers` to those only. A route none of whose rules is for a node
//! is not attached for it, as a consumer route of another namespace is not; without any route left, requests go to the service's own endpoints.

use crate::index::Index;
use std::collections::BTreeSet;
use weir_model::mesh::{HttpRoute, Mesh, Name, RouteName};
use weir_model::node::Node;

/// A rule of a route, by its position.
pub(crate) type RuleId = (RouteName, usize);

/// The routes that apply to a node's requests for a port of a service.
pub(crate) struct Applying<'m> {
    pub(crate) routes: Vec<(&'m RouteName, &'m HttpRoute)>,
    /// Whether they are the consumer's.
    pub(crate) consumer: bool,
    /// Their rules that are for others.
    pub(crate) withheld: BTreeSet<RuleId>,
}

/// A route or a rule that does not apply to a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Withheld {
    /// Which one: `HTTPRoute default/reviews rule 0`, or without a rule.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// What applies.
pub(crate) fn applying<'m>(
    mesh: &'m Mesh,
    index: &Index,
    service: &Name,
    port: u16,
    node: &Node,
) -> Applying<'m> {
    let attached = index.attached(mesh, service, port);
    let for_node = |(_, route): &(&'m RouteName, &'m HttpRoute)| mesh.admits_any(route, node);
    let of = |namespace: &str| -> Vec<_> {
        let own = attached.iter().filter(|(name, _)| name.name.namespace == namespace);
        own.copied().filter(for_node).collect()
    };
    let consumer = if node.namespace == service.namespace { Vec::new() } else { of(&node.namespace) };
    let (routes, consumer) =
        if consumer.is_empty() { (of(&service.namespace), false) } else { (consumer, true) };
    let mut withheld = BTreeSet::new();
    for (name, route) in &routes {
        for (position, rule) in route.rules.iter().enumerate() {
            if !rule.filters.extensions.is_empty() && mesh.admit(&rule.filters, node).is_err() {
                withheld.insert(((*name).clone(), position));
            }
        }
    }
    Applying { routes, consumer, withheld }
}

/// What is attached to a port of a service and does not apply to a node's requests, with the reason.
pub fn withheld(mesh: &Mesh, service: &Name, port: u16, node: &Node) -> Vec<Withheld> {
    let index = Index::new(mesh);
    let Applying { routes, consumer, .. } = applying(mesh, &index, service, port, node);
    let mut found = Vec::new();
    for (name, route) in index.attached(mesh, service, port) {
        let own = &name.name.namespace;
        let applies = routes.iter().any(|(applying, _)| *applying == name);
        let mut say = |name: String, reason: String| found.push(Withheld { name, reason });
        if *own != service.namespace && *own != node.namespace {
            let reason = format!("is for callers in namespace {own}; this one runs in {}", node.namespace);
            say(name.to_string(), reason);
            continue;
        }
        if consumer && !applies && mesh.admits_any(route, node) {
            let reason = format!("the routes of the caller's namespace {} take its place", node.namespace);
            say(name.to_string(), reason);
            continue;
        }
        for (position, rule) in route.rules.iter().enumerate() {
            if let Err((filter, stranger)) = mesh.admit(&rule.filters, node) {
                let reason = format!(
                    "is for callers of {} (RouteFilter {filter}, {})",
                    stranger.reason, stranger.field
                );
                say(format!("{name} rule {position}"), reason);
            }
        }
    }
    found
}
